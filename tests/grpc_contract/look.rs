//! How layers, layouts and texts look: written, read as it was, refused by name, on disk.

use onair::api::grpc::pb::{
    AddCasterComponentRequest, AddCasterLayoutRequest, Backdrop, Component,
    DescribeCasterComponentsRequest, DescribeCasterLayoutsRequest, DescribeLayoutPresetsRequest,
    ImageLayerContent, LayerLook, Layout, ModifyCasterComponentRequest, ModifyCasterLayoutRequest,
    TextBackground, TextLayerContent, VideoLayer,
};
use onair::catalog::LayoutPreset;
use tonic::Code;

use super::app::{Client, Server};
use super::workflow;

fn look() -> LayerLook {
    LayerLook {
        crop_left: 0.1,
        crop_top: 0.2,
        crop_right: 0.3,
        crop_bottom: 0.4,
        mirror: "vertical".into(),
        opacity: Some(0.75),
        corner_radius: 0.05,
        border_width: 0.01,
        border_color: "0x0a0b0c".into(),
    }
}

fn backdrop() -> Backdrop {
    let image_url = "http://files.example.com/sky.png".to_owned();
    let image = Some(ImageLayerContent { image_url, ..ImageLayerContent::default() });
    Backdrop { color: "0x102030".into(), image }
}

/// The layout of the worked example, its second layer and itself with a look.
fn layout() -> Layout {
    let mut layout = workflow::layout(&["RV01", "RV02"]);
    layout.video_layers[1].look = Some(look());
    layout.backdrop = Some(backdrop());
    layout
}

fn boxed(background: Option<TextBackground>) -> Component {
    let title = workflow::title("RC02");
    let text = title.text_layer_content.clone().unwrap();
    Component { text_layer_content: Some(TextLayerContent { background, ..text }), ..title }
}

async fn read_layout(client: &mut Client, caster_id: &str, layout_id: &str) -> Layout {
    let (caster_id, layout_id) = (caster_id.to_owned(), layout_id.to_owned());
    let request = DescribeCasterLayoutsRequest { caster_id, layout_id };
    let read = client.describe_caster_layouts(request).await.unwrap().into_inner();
    let [layout] = &read.layouts[..] else { panic!("{read:?}") };
    Layout { layout_id: String::new(), ..layout.clone() }
}

async fn read_text(client: &mut Client, caster_id: &str, component_id: &str) -> TextLayerContent {
    let (caster_id, component_id) = (caster_id.to_owned(), component_id.to_owned());
    let request = DescribeCasterComponentsRequest { caster_id, component_id };
    let read = client.describe_caster_components(request).await.unwrap().into_inner();
    read.components[0].text_layer_content.clone().unwrap()
}

#[tokio::test]
async fn looks_are_read_as_they_were_written() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = workflow::prepare(client, "t").await;
    let caster_id = || ids.caster.clone();
    let request = AddCasterLayoutRequest {
        caster_id: caster_id(),
        layout: Some(layout()),
        preset: String::new(),
    };
    let added = client.add_caster_layout(request).await.unwrap().into_inner();
    let layout_id = || added.layout_id.clone();
    assert_eq!(read_layout(client, &ids.caster, &layout_id()).await, layout());
    // What says nothing of looks leaves them as they are; what is there but empty makes them plain.
    let change = |layout| ModifyCasterLayoutRequest {
        caster_id: caster_id(),
        layout_id: layout_id(),
        layout: Some(layout),
        preset: String::new(),
    };
    client.modify_caster_layout(change(workflow::layout(&["RV01", "RV02"]))).await.unwrap();
    assert_eq!(read_layout(client, &ids.caster, &layout_id()).await, layout());
    let mut plain = workflow::layout(&["RV01", "RV02"]);
    plain.video_layers[1].look = Some(LayerLook::default());
    plain.backdrop = Some(Backdrop::default());
    client.modify_caster_layout(change(plain)).await.unwrap();
    let read = read_layout(client, &ids.caster, &layout_id()).await;
    assert_eq!(read, workflow::layout(&["RV01", "RV02"]));

    let dark = TextBackground { color: "0x000000".into(), opacity: Some(0.5), padding: 0.25 };
    let component = Some(boxed(Some(dark.clone())));
    let request = AddCasterComponentRequest { caster_id: caster_id(), component };
    let added = client.add_caster_component(request).await.unwrap().into_inner();
    for (change, background) in
        [(boxed(None), Some(dark)), (boxed(Some(TextBackground::default())), None)]
    {
        let request = ModifyCasterComponentRequest {
            caster_id: caster_id(),
            component_id: added.component_id.clone(),
            component: Some(change),
        };
        client.modify_caster_component(request).await.unwrap();
        let text = read_text(client, &ids.caster, &added.component_id).await;
        assert_eq!(text, boxed(background).text_layer_content.unwrap());
    }
    let before = server.catalog();
    assert_eq!(server.stop().await, before, "every accepted write is on disk");
}

#[tokio::test]
async fn a_look_that_cannot_be_is_refused_by_name() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = workflow::prepare(client, "t").await;
    type Edit = fn(&mut AddCasterLayoutRequest);
    fn edit_look(request: &mut AddCasterLayoutRequest) -> &mut LayerLook {
        request.layout.as_mut().unwrap().video_layers[1].look.as_mut().unwrap()
    }
    fn edit_backdrop(request: &mut AddCasterLayoutRequest) -> &mut Backdrop {
        request.layout.as_mut().unwrap().backdrop.as_mut().unwrap()
    }
    let table: [(Edit, &str); 14] = [
        (|r| edit_look(r).crop_left = 0.7, "Look.CropLeft and Look.CropRight"),
        (|r| edit_look(r).crop_top = 1.0, "Look.CropTop"),
        (|r| edit_look(r).crop_right = -0.1, "Look.CropRight"),
        (|r| edit_look(r).crop_bottom = f32::NAN, "Look.CropBottom"),
        (|r| edit_look(r).mirror = "sideways".into(), "Look.Mirror"),
        (|r| edit_look(r).opacity = Some(1.5), "Look.Opacity"),
        (|r| edit_look(r).corner_radius = 0.6, "Look.CornerRadius"),
        (|r| edit_look(r).border_width = f32::NAN, "Look.BorderWidth"),
        (|r| edit_look(r).border_color = "red".into(), "Look.BorderColor"),
        (|r| edit_backdrop(r).color = "red".into(), "Backdrop.Color"),
        (|r| edit_backdrop(r).image = Some(ImageLayerContent::default()), "Backdrop.Image"),
        (|r| r.preset = "quad".into(), "Only one of Preset and VideoLayer"),
        (
            |r| {
                r.preset = "mosaic".into();
                r.layout.as_mut().unwrap().video_layers.clear();
            },
            "single, side_by_side",
        ),
        (
            |r| {
                r.preset = "quad".into();
                r.layout.as_mut().unwrap().video_layers.clear();
            },
            "Preset quad shows 4 sources, BlendList has 2",
        ),
    ];
    for (edit, names) in table {
        let (caster_id, preset) = (ids.caster.clone(), String::new());
        let mut request = AddCasterLayoutRequest { caster_id, layout: Some(layout()), preset };
        edit(&mut request);
        let before = server.catalog();
        let refused = client.add_caster_layout(request).await.expect_err(names);
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().contains(names), "{names}: {}", refused.message());
        assert_eq!(server.catalog(), before, "{names}");
    }
    for (background, names) in [
        (TextBackground { color: "red".into(), ..Default::default() }, "Background.Color"),
        (TextBackground { opacity: Some(-1.0), ..Default::default() }, "Background.Opacity"),
        (TextBackground { padding: f32::NAN, ..Default::default() }, "Background.Padding"),
    ] {
        let component = Some(boxed(Some(background)));
        let request = AddCasterComponentRequest { caster_id: ids.caster.clone(), component };
        let refused = client.add_caster_component(request).await.expect_err(names);
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().contains(names), "{names}: {}", refused.message());
    }
}

#[tokio::test]
async fn presets_are_told_and_make_ordinary_layouts() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = workflow::prepare(client, "t").await;
    let request = DescribeLayoutPresetsRequest {};
    let told = client.describe_layout_presets(request).await.unwrap().into_inner().presets;
    let names: Vec<&str> = told.iter().map(|preset| &preset.name[..]).collect();
    let known: Vec<&str> = LayoutPreset::ALL.iter().map(|preset| preset.as_str()).collect();
    assert_eq!(names, known);
    for preset in told.iter().filter(|preset| preset.slots.len() == 2) {
        let blend_list = vec!["RV02".to_owned(), "RV01".to_owned()];
        let request = AddCasterLayoutRequest {
            caster_id: ids.caster.clone(),
            layout: Some(Layout { blend_list: blend_list.clone(), ..Layout::default() }),
            preset: preset.name.clone(),
        };
        let added = client.add_caster_layout(request).await.unwrap().into_inner();
        let made = read_layout(client, &ids.caster, &added.layout_id).await;
        assert_eq!((&made.blend_list, &made.video_layers), (&blend_list, &preset.slots));
        assert_eq!(made.mix_list, ["RV02"], "the first one is heard");
        // What was made and told is a layout like any other.
        let by_hand = AddCasterLayoutRequest {
            caster_id: ids.caster.clone(),
            layout: Some(made.clone()),
            preset: String::new(),
        };
        let added = client.add_caster_layout(by_hand).await.unwrap().into_inner();
        assert_eq!(read_layout(client, &ids.caster, &added.layout_id).await, made);
    }
    let request = ModifyCasterLayoutRequest {
        caster_id: ids.caster.clone(),
        layout_id: ids.layout.clone(),
        layout: None,
        preset: "side_by_side".into(),
    };
    client.modify_caster_layout(request).await.unwrap();
    let made = read_layout(client, &ids.caster, &ids.layout).await;
    let delayed = |slot: &VideoLayer| VideoLayer { fixed_delay_duration: 40, ..slot.clone() };
    let slots = told.iter().find(|preset| preset.name == "side_by_side").unwrap().slots.iter();
    assert_eq!(made.video_layers, slots.map(delayed).collect::<Vec<_>>());
    assert_eq!(made.audio_layers, workflow::layout(&["RV01"]).audio_layers, "the mix stays");
}
