//! Looks, backdrops, boxes of texts and presets: what is refused, what is kept, what happens on air.

use super::*;
use crate::catalog::{
    Backdrop, BackdropDraft, ComponentContent, ImageDraft, LayerLook, Layout, LayoutPreset,
    LookDraft, Mirror, Place, PositionRefer, Showing, TextBackground, TextBackgroundDraft, Way,
    When,
};
use crate::limits;
use ErrorCode::*;

/// Edits of a plain value, and what the refusal names; none when it is accepted.
type Table<T> = [(fn(&mut T), Option<&'static str>)];

/// Each row is added and then, where it is refused, nothing has changed.
fn check<T: Default>(call: impl Fn(&World, T) -> Call, table: &Table<T>) {
    for (row, (edit, names)) in table.iter().enumerate() {
        let mut world = World::ready();
        let mut draft = T::default();
        edit(&mut draft);
        let before = world.catalog.clone();
        match (world.call(call(&world, draft)), names) {
            (Ok(_), None) => {}
            (Err(refused), Some(names)) => {
                assert!(
                    refused.message.contains(names),
                    "row {row}: {} instead of {names}",
                    refused.message
                );
                assert_eq!(world.catalog, before, "row {row}");
            }
            (answer, names) => panic!("row {row}: {names:?} expected, {answer:?}"),
        }
    }
}

fn add(world: &World, draft: LayoutDraft) -> Call {
    Call::AddCasterLayout { caster_id: world.caster.clone(), draft }
}

fn modify(world: &World, index: usize, draft: LayoutDraft) -> Call {
    let (caster_id, layout_id) = (world.caster.clone(), world.layout_id(index));
    Call::ModifyCasterLayout { caster_id, layout_id, draft }
}

/// The second of two layers looks like this.
fn with_look(look: LookDraft) -> LayoutDraft {
    let mut draft = layout(&[1, 2], &[]);
    draft.video_layers[1].look = Some(look);
    draft
}

fn last(world: &World) -> &Layout {
    world.the_caster().layouts.last().unwrap()
}

#[test]
fn looks() {
    check::<LookDraft>(
        |world, look| add(world, with_look(look)),
        &[
            (|_| {}, None),
            (|d| d.crop_left = 0.99, None),
            (|d| d.crop_left = 0.991, Some("Look.CropLeft ")),
            (|d| d.crop_top = -0.01, Some("Look.CropTop ")),
            (|d| d.crop_right = f32::NAN, Some("Look.CropRight ")),
            (|d| d.crop_bottom = f32::INFINITY, Some("Look.CropBottom ")),
            (
                |d| (d.crop_left, d.crop_right) = (0.5, 0.5),
                Some("Look.CropLeft and Look.CropRight together"),
            ),
            (
                |d| (d.crop_top, d.crop_bottom) = (0.2, 0.8),
                Some("Look.CropTop and Look.CropBottom together"),
            ),
            (|d| (d.crop_left, d.crop_top) = (0.9, 0.9), None),
            (|d| d.mirror = "both".into(), None),
            (|d| d.mirror = "Both".into(), Some("Look.Mirror \"Both\"")),
            (|d| d.opacity = Some(0.0), None),
            (|d| d.opacity = Some(1.01), Some("Look.Opacity ")),
            (|d| d.opacity = Some(f32::NAN), Some("Look.Opacity ")),
            (|d| d.corner_radius = 0.5, None),
            (|d| d.corner_radius = 0.51, Some("Look.CornerRadius ")),
            (|d| d.corner_radius = f32::NAN, Some("Look.CornerRadius ")),
            (|d| d.border_width = 0.5, None),
            (|d| d.border_width = f32::NEG_INFINITY, Some("Look.BorderWidth ")),
            (|d| d.border_color = "0xA0b0C0".into(), None),
            (|d| d.border_color = "white".into(), Some("Look.BorderColor ")),
        ],
    );
}

#[test]
fn backdrops() {
    fn image(d: &mut BackdropDraft) -> &mut ImageDraft {
        d.image.get_or_insert_default()
    }
    check::<BackdropDraft>(
        |world, backdrop| add(world, LayoutDraft { backdrop: Some(backdrop), ..layout(&[1], &[]) }),
        &[
            (|_| {}, None),
            (|d| d.color = "0x102030".into(), None),
            (|d| d.color = "102030".into(), Some("Backdrop.Color ")),
            (|d| image(d).image_url = "file:///sky.png".into(), None),
            (|d| image(d).image_url = "rtmp://h/sky".into(), Some("ImageUrl ")),
            (|d| image(d).material_id = "still".into(), None),
            (|d| image(d).material_id = "clip".into(), Some("MaterialId ")),
            (|d| image(d).material_id = "nothing".into(), Some("MaterialId ")),
            (|d| *image(d) = ImageDraft::default(), Some("Backdrop.Image.MaterialId ")),
            (
                |d| {
                    image(d).material_id = "still".into();
                    image(d).image_url = "file:///sky.png".into();
                },
                Some("Only one of MaterialId and ImageUrl"),
            ),
        ],
    );
}

fn boxed(background: Option<TextBackgroundDraft>) -> ComponentDraft {
    let mut draft = text("in a box");
    draft.text.as_mut().unwrap().background = background;
    draft
}

#[test]
fn boxes_of_texts() {
    check::<TextBackgroundDraft>(
        |world, background| Call::AddCasterComponent {
            caster_id: world.caster.clone(),
            draft: ComponentDraft { location_id: "RC09".into(), ..boxed(Some(background)) },
        },
        &[
            (|_| {}, None),
            (|d| d.color = "0x000000".into(), None),
            (|d| d.color = "black".into(), Some("Background.Color ")),
            (|d| d.opacity = Some(1.5), Some("Background.Opacity ")),
            (|d| d.opacity = Some(f32::NAN), Some("Background.Opacity ")),
            (|d| d.padding = 4.0, None),
            (|d| d.padding = 4.1, Some("Background.Padding ")),
            (|d| d.padding = -0.1, Some("Background.Padding ")),
        ],
    );
}

#[test]
fn presets() {
    fn of(preset: &str, sources: usize) -> LayoutDraft {
        let blend_list = (1..=sources).map(|n| format!("RV{n:02}")).collect();
        LayoutDraft { preset: preset.into(), blend_list, ..LayoutDraft::default() }
    }
    check::<LayoutDraft>(
        add,
        &[
            (|d| *d = of("single", 1), None),
            (|d| *d = of("side_by_side", 2), None),
            (|d| *d = of("quad", 3), Some("Preset quad shows 4 sources, BlendList has 3.")),
            (|d| *d = of("single", 2), Some("Preset single shows 1 sources, BlendList has 2.")),
            (
                |d| *d = of("mosaic", 2),
                Some("single, side_by_side, top_bottom, quad, pip_top_left"),
            ),
            (|d| *d = of("", 1), Some("VideoLayers")),
            (|d| *d = of("single", 0), Some("BlendList")),
            (
                |d| *d = LayoutDraft { preset: "single".into(), ..layout(&[1], &[]) },
                Some("Only one of Preset and VideoLayer"),
            ),
            (
                |d| {
                    *d = of("single", 1);
                    d.audio_layers.push(AudioLayerDraft::default());
                },
                Some("AudioLayers"),
            ),
            (|d| *d = of("pip_top_left", 9), Some("shows 2 sources")),
            (
                |d| {
                    *d = of("single", 1);
                    d.blend_list[0] = "RV77".into();
                },
                Some("RV77"),
            ),
        ],
    );
    for &preset in LayoutPreset::ALL {
        let slots = preset.slots();
        let mut world = World::ready();
        for number in 4..=9 {
            world.add_resource(number);
        }
        world.ok(add(&world, of(preset.as_str(), slots.len())));
        let made = last(&world);
        let placements: Vec<_> = made.video.iter().map(|layer| layer.placement).collect();
        assert_eq!(placements, slots);
        let heard: Vec<_> =
            made.audio.iter().map(|a| (a.location.number(), a.volume_rate)).collect();
        assert_eq!(heard, [(1, 1.0)], "the first source is heard");
        // An ordinary layout: what is read of it can be written.
        for slot in slots {
            let has_sides = slot.width > 0.0 && slot.height > 0.0;
            let across = slot.x + slot.width;
            assert!(has_sides && across <= 1.0 + f32::EPSILON, "{preset:?} {slot:?}");
            assert!(slot.y + slot.height <= 1.0 + f32::EPSILON, "{preset:?} {slot:?}");
        }
    }
}

#[test]
fn a_preset_sounds_as_the_call_says() {
    let preset = LayoutDraft {
        preset: "side_by_side".into(),
        blend_list: vec!["RV01".into(), "RV02".into()],
        ..LayoutDraft::default()
    };
    let mix_list = || vec!["RV02".into(), "RV03".into()];
    let quiet = AudioLayerDraft { volume_rate: Some(0.5), ..AudioLayerDraft::default() };
    for (draft, heard) in [
        (preset.clone(), vec![(1, 1.0)]),
        (LayoutDraft { mix_list: mix_list(), ..preset.clone() }, vec![(2, 1.0), (3, 1.0)]),
        (
            LayoutDraft {
                mix_list: mix_list(),
                audio_layers: vec![quiet.clone(), quiet],
                ..preset
            },
            vec![(2, 0.5), (3, 0.5)],
        ),
    ] {
        let mut world = World::ready();
        world.ok(add(&world, draft));
        let audio = last(&world).audio.iter().map(|a| (a.location.number(), a.volume_rate));
        assert_eq!(audio.collect::<Vec<_>>(), heard);
    }
}

fn mirrored() -> LookDraft {
    LookDraft { mirror: "horizontal".into(), opacity: Some(0.5), ..LookDraft::default() }
}

/// Whether each layer, by location, is mirrored.
fn mirrors(layout: &Layout) -> Vec<(u8, bool)> {
    let of = |layer: &crate::catalog::VideoLayer| {
        (layer.location.number(), layer.look.mirror == Mirror::Horizontal)
    };
    layout.video.iter().map(of).collect()
}

#[test]
fn a_look_stays_with_its_location_until_another_is_given() {
    let plain =
        |blend: &[u8]| LayoutDraft { mix_list: vec![], audio_layers: vec![], ..layout(blend, &[]) };
    let with_preset = |preset: &str| LayoutDraft { preset: preset.into(), ..Default::default() };
    let cleared = with_look(LookDraft::default());
    // A change of a layout whose second layer is mirrored, and which layers are mirrored after it.
    for (draft, after) in [
        (LayoutDraft::default(), vec![(1, false), (2, true)]),
        (plain(&[1, 2]), vec![(1, false), (2, true)]),
        (plain(&[2, 1]), vec![(2, true), (1, false)]),
        (plain(&[2]), vec![(2, true)]),
        (plain(&[3]), vec![(3, false)]),
        (cleared, vec![(1, false), (2, false)]),
        (with_preset("pip_top_left"), vec![(1, false), (2, true)]),
        // Locations alone: all else stays where it is, so does how it looks.
        (
            LayoutDraft { blend_list: vec!["RV01".into(), "RV03".into()], ..Default::default() },
            vec![(1, false), (3, true)],
        ),
    ] {
        let mut world = World::ready();
        world.ok(add(&world, with_look(mirrored())));
        world.ok(modify(&world, 2, draft.clone()));
        assert_eq!(mirrors(last(&world)), after, "{draft:?}");
    }
    let mut world = World::ready();
    world.ok(add(&world, with_look(mirrored())));
    let expected = LayerLook { mirror: Mirror::Horizontal, opacity: 0.5, ..LayerLook::default() };
    assert_eq!(last(&world).video[1].look, expected);
    assert_eq!(last(&world).video[0].look, LayerLook::default());
    world.ok(modify(&world, 2, with_preset("pip_bottom_right")));
    let pip = last(&world).video[1].placement;
    assert_eq!((pip.refer, pip.width), (PositionRefer::BottomRight, 0.3));
    world.refused(modify(&world, 2, with_preset("quad")), ParameterMalformed);
}

#[test]
fn a_backdrop_and_a_box_stay_until_others_are_given() {
    let mut world = World::ready();
    let sky = BackdropDraft {
        color: "0x0000ff".into(),
        image: Some(ImageDraft { material_id: "still".into(), ..ImageDraft::default() }),
    };
    world.ok(add(&world, LayoutDraft { backdrop: Some(sky), ..layout(&[1], &[1]) }));
    world.ok(modify(&world, 2, layout(&[2], &[2])));
    let still = crate::ids::MaterialId::parse("still").unwrap();
    let expected = Backdrop { rgb: 0x00_00ff, image: Some(Place::Material(still)) };
    assert_eq!(last(&world).backdrop, expected);
    let caster = world.the_caster();
    assert!(caster.uses_media("still") && !caster.uses_media("clip"));
    let shown: Vec<_> = caster.images().map(|(showing, _)| showing).collect();
    assert_eq!(shown, [Showing::Component(&caster.components[1]), Showing::Layout(last(&world))]);
    let none = LayoutDraft { backdrop: Some(BackdropDraft::default()), ..LayoutDraft::default() };
    world.ok(modify(&world, 2, none));
    assert_eq!(last(&world).backdrop, Backdrop::default());
    assert!(!world.the_caster().uses_media("still"));

    let dark = TextBackgroundDraft { color: "0x000000".into(), opacity: Some(0.6), padding: 0.25 };
    let expected = TextBackground { rgb: 0, opacity: 0.6, padding: 0.25 };
    for (draft, background) in [
        (boxed(Some(dark)), Some(expected)),
        (boxed(None), Some(expected)),
        (image("file:///b.png"), None),
        (boxed(None), None),
        (
            boxed(Some(TextBackgroundDraft { color: "0xffffff".into(), ..Default::default() })),
            Some(TextBackground { rgb: 0xff_ffff, opacity: 1.0, padding: 0.0 }),
        ),
        (boxed(Some(TextBackgroundDraft::default())), None),
    ] {
        let (caster_id, component_id) = (world.caster.clone(), world.component_id(0));
        world.ok(Call::ModifyCasterComponent { caster_id, component_id, draft });
        let is = match &world.the_caster().components[0].content {
            ComponentContent::Text(text) => text.background,
            ComponentContent::Image { .. } => None,
        };
        assert_eq!(is, background);
    }
}

#[test]
fn what_changes_on_air_is_shown_at_once() {
    let mut world = World::on_air();
    let at_once = When { force: true, wait_ms: 0 };
    let both =
        [Bus::Pgm, Bus::Pvw].map(|bus| Effect::SceneSet { bus, when: at_once, way: Way::Cut });
    let look = LayoutDraft {
        video_layers: vec![VideoLayerDraft { look: Some(mirrored()), ..video_layer(1.0, &[]) }],
        ..LayoutDraft::default()
    };
    assert_eq!(world.ok(modify(&world, 0, look)).effects, both);
    let backdrop = |color: &str, image_url: &str| {
        let image = ImageDraft { image_url: image_url.into(), ..ImageDraft::default() };
        let image = Some(image).filter(|_| !image_url.is_empty());
        let backdrop = Some(BackdropDraft { color: color.into(), image });
        LayoutDraft { backdrop, ..LayoutDraft::default() }
    };
    let url = "file:///sky.png";
    let loaded = Effect::ImageShown(Place::Url(url.into()));
    let mut with_image = vec![loaded.clone()];
    with_image.extend(both.clone());
    assert_eq!(world.ok(modify(&world, 0, backdrop("", url))).effects, with_image);
    assert_eq!(world.ok(modify(&world, 0, backdrop("0x00ff00", url))).effects, both);
    assert_eq!(world.ok(modify(&world, 0, backdrop("", ""))).effects, both);
    // Nobody sees this one yet.
    assert_eq!(world.ok(modify(&world, 1, backdrop("", url))).effects, [loaded]);
}

#[test]
fn images_behind_layouts_are_limited() {
    let mut world = World::ready();
    let image = ImageDraft { image_url: "file:///sky.png".into(), ..ImageDraft::default() };
    let backdrop = Some(BackdropDraft { color: String::new(), image: Some(image) });
    let with_image = LayoutDraft { backdrop: backdrop.clone(), ..layout(&[1], &[]) };
    for _ in 0..limits::MAX_BACKDROP_IMAGES {
        world.ok(add(&world, with_image.clone()));
    }
    world.refused(add(&world, with_image), ResourceNumberExceed);
    let one_more = LayoutDraft { backdrop, ..LayoutDraft::default() };
    world.refused(modify(&world, 0, one_more.clone()), ResourceNumberExceed);
    world.ok(modify(&world, 2, one_more));
    world.ok(add(&world, layout(&[1], &[])));
}
