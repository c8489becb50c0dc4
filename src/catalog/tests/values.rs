//! Tables of values: what is refused with which code, what is accepted and how it is kept.

use super::*;
use crate::catalog::{ComponentContent, ImageDraft, Source, Template};
use ErrorCode::*;

type Edit<T> = fn(&mut T);

fn check<T: Clone>(
    base: &T,
    call: impl Fn(&World, T) -> Call,
    table: &[(Edit<T>, Option<ErrorCode>)],
) {
    for (row, (edit, code)) in table.iter().enumerate() {
        let mut world = World::ready();
        let mut draft = base.clone();
        edit(&mut draft);
        let call = call(&world, draft);
        match code {
            Some(code) => world.refused(call, *code),
            None => {
                world.call(call).unwrap_or_else(|refused| panic!("row {row}: {refused}"));
            }
        }
    }
}

#[test]
fn create_caster() {
    let base = CreateCaster {
        caster_name: "demo".into(),
        client_token: "another".into(),
        norm_type: Some(1),
        charge_type: "PostPaid".into(),
        ..Default::default()
    };
    check(
        &base,
        |_, draft| Call::CreateCaster(draft),
        &[
            (|_| {}, None),
            (|d| d.client_token = "token".into(), None),
            (|d| d.client_token.clear(), Some(MissingParameter)),
            (|d| d.client_token = "x".repeat(65), Some(ParameterMalformed)),
            (|d| d.client_token = "ü".into(), Some(ParameterMalformed)),
            (|d| d.norm_type = None, Some(MissingParameter)),
            (|d| d.norm_type = Some(6), Some(NormTypeMalformed)),
            (|d| d.charge_type.clear(), Some(MissingParameter)),
            (|d| d.charge_type = "PrePaid".into(), Some(ChargeTypeMalformed)),
            (|d| d.caster_name = "x".repeat(256), None),
            (|d| d.caster_name = "x".repeat(257), Some(ParameterMalformed)),
            (|d| d.caster_name = "a\nb".into(), Some(ParameterMalformed)),
        ],
    );
}

#[test]
fn set_caster_config() {
    let call = |w: &World, config| Call::SetCasterConfig { caster_id: w.caster.clone(), config };
    check(
        &config(),
        call,
        &[
            (|_| {}, None),
            (|d| *d = ConfigDraft::default(), None),
            (|d| d.caster_template = "lp_4k".into(), Some(ParameterMalformed)),
            (|d| d.frame_rate = "30000/1001".into(), None),
            (|d| d.frame_rate = "24".into(), Some(ParameterMalformed)),
            (|d| d.domain_name = "127.0.0.1".into(), None),
            (|d| d.domain_name = "[::1]".into(), None),
            (|d| d.domain_name = "a..b".into(), Some(ParameterMalformed)),
            (|d| d.domain_name = "a/b".into(), Some(ParameterMalformed)),
            (|d| d.domain_name = "a:1935".into(), Some(ParameterMalformed)),
            (|d| d.domain_name = "[::1".into(), Some(ParameterMalformed)),
            (|d| d.x264_preset = "veryfast".into(), None),
            (|d| d.x264_preset = "warp".into(), Some(ParameterMalformed)),
            (|d| d.video_bps = Some(100_000), None),
            (|d| d.video_bps = Some(99_999), Some(ParameterMalformed)),
            (|d| d.side_output_urls = vec!["rtmp://a/b/c".into(), "rtmps://a/b/c".into()], None),
            (|d| d.side_output_urls = vec!["http://a/b".into()], Some(ParameterMalformed)),
            (|d| d.side_output_urls = vec!["rtmp://a/b".into(); 2], Some(ParameterMalformed)),
            (
                |d| d.side_output_urls = (0..21).map(|n| format!("rtmp://a/{n}")).collect(),
                Some(ParameterMalformed),
            ),
        ],
    );
}

fn add_resource(world: &World, draft: ResourceDraft) -> Call {
    Call::AddCasterVideoResource { caster_id: world.caster.clone(), draft }
}

#[test]
fn resources() {
    check(
        &resource(4),
        add_resource,
        &[
            (|_| {}, None),
            (|d| d.location_id = "RV99".into(), None),
            (|d| d.location_id.clear(), Some(MissingParameter)),
            (|d| d.location_id = "RV00".into(), Some(ParameterMalformed)),
            (|d| d.location_id = "RV4".into(), Some(ParameterMalformed)),
            (|d| d.location_id = "RV+4".into(), Some(ParameterMalformed)),
            (|d| d.location_id = "RC04".into(), Some(ParameterMalformed)),
            (|d| d.location_id = "RV01".into(), Some(DuplicateLocationId)),
            (|d| d.resource_name.clear(), Some(MissingParameter)),
            (|d| d.live_stream_url.clear(), Some(ParameterMalformed)),
            (|d| d.live_stream_url = "srt://h:9000?mode=caller".into(), None),
            (|d| d.live_stream_url = "file:///etc/passwd".into(), Some(LiveStreamUrlMalformed)),
            (|d| d.live_stream_url = "no url".into(), Some(LiveStreamUrlMalformed)),
            (|d| d.live_stream_url = "rtmp:///app".into(), Some(LiveStreamUrlMalformed)),
            (|d| d.live_stream_url += &"x".repeat(4096), Some(LiveStreamUrlMalformed)),
            (|d| d.vod_url = "http://a/b.mp4".into(), Some(ParameterMalformed)),
            (|d| d.repeat_num = Some(1), Some(ParameterMalformed)),
        ],
    );
}

#[test]
fn files() {
    let vod_url = "http://a/b.mp4".to_owned();
    let base = ResourceDraft { live_stream_url: String::new(), vod_url, ..resource(4) };
    check(
        &base,
        add_resource,
        &[
            (|_| {}, None),
            (|d| d.vod_url = "file:///clips/b.mp4".into(), None),
            (|d| d.vod_url = "pattern:".into(), None),
            (|d| d.vod_url = "pattern: x".into(), Some(ParameterMalformed)),
            (|d| d.vod_url = "rtmp://a/b".into(), Some(ParameterMalformed)),
            (|d| d.vod_url = "file:///".into(), Some(ParameterMalformed)),
            (|d| d.repeat_num = Some(-1), None),
            (|d| d.repeat_num = Some(-2), Some(ParameterMalformed)),
            (|d| d.begin_offset_ms = Some(-1), Some(ParameterMalformed)),
            (|d| d.end_offset_ms = Some(-500), None),
            (
                |d| (d.begin_offset_ms, d.end_offset_ms) = (Some(500), Some(500)),
                Some(ParameterMalformed),
            ),
        ],
    );
}

#[test]
fn images_and_materials() {
    let base = ResourceDraft { live_stream_url: String::new(), ..resource(4) };
    check(
        &base,
        add_resource,
        &[
            (|d| d.image_url = "file:b.png".into(), None),
            (|d| d.image_url = "https://a/b.png".into(), None),
            (|d| d.image_url = "srt://a/b".into(), Some(ParameterMalformed)),
            (|d| d.material_id = "m".into(), Some(MaterialIdMalformed)),
            (|d| d.image_id = "m".into(), Some(MaterialIdMalformed)),
            (|d| d.material_id = "clip".into(), None),
            (|d| d.material_id = "still".into(), Some(MaterialIdMalformed)),
            (|d| d.image_id = "still".into(), None),
            (|d| d.image_id = "clip".into(), Some(MaterialIdMalformed)),
        ],
    );
}

#[test]
fn layouts() {
    let call = |w: &World, draft| Call::AddCasterLayout { caster_id: w.caster.clone(), draft };
    check(
        &layout(&[1, 2], &[1, 2]),
        call,
        &[
            (|_| {}, None),
            (
                |d| {
                    d.mix_list.clear();
                    d.audio_layers.clear()
                },
                None,
            ),
            (|d| d.blend_list.clear(), Some(MissingParameter)),
            (
                |d| {
                    d.video_layers.pop();
                },
                Some(VideoLayersMismatch),
            ),
            (
                |d| {
                    d.audio_layers.pop();
                },
                Some(VideoLayersMismatch),
            ),
            (|d| d.blend_list[1] = "RV01".into(), Some(ParameterMalformed)),
            (|d| d.mix_list[1] = "RV01".into(), Some(ParameterMalformed)),
            (|d| d.blend_list[1] = "RV77".into(), Some(ResourceNotFound)),
            (|d| d.mix_list[1] = "RV77".into(), Some(ResourceNotFound)),
            (|d| d.blend_list[1] = "RV100".into(), Some(ParameterMalformed)),
            (|d| d.blend_list = vec!["RV01".into(); 33], Some(ParameterMalformed)),
            (
                |d| d.video_layers[0].placement.position_normalized = vec![0.1],
                Some(PositionMalformed),
            ),
            (|d| d.video_layers[0].placement.position_normalized.clear(), None),
            (
                |d| d.video_layers[0].placement.position_normalized[0] = f32::NAN,
                Some(ParameterMalformed),
            ),
            (
                |d| d.video_layers[0].placement.position_normalized[0] = 1.5,
                Some(ParameterMalformed),
            ),
            (|d| d.video_layers[0].placement.width_normalized = 0.0, Some(ParameterMalformed)),
            (|d| d.video_layers[0].placement.width_normalized = 1.1, Some(ParameterMalformed)),
            (|d| d.video_layers[0] = VideoLayerDraft::default(), None),
            (|d| d.video_layers[0].fill_mode = "crop".into(), Some(ParameterMalformed)),
            (|d| d.video_layers[0].placement.position_refer = "leftCenter".into(), None),
            (
                |d| d.video_layers[0].placement.position_refer = "middle".into(),
                Some(ParameterMalformed),
            ),
            (|d| d.audio_layers[0].volume_rate = Some(10.0), None),
            (|d| d.audio_layers[0].volume_rate = Some(10.1), Some(ParameterMalformed)),
            (|d| d.audio_layers[0].volume_rate = Some(-0.1), Some(ParameterMalformed)),
            (|d| d.audio_layers[0].valid_channel = "leftChannel".into(), None),
            (|d| d.audio_layers[0].valid_channel = "left".into(), Some(ParameterMalformed)),
            (|d| d.audio_layers[0].fixed_delay_duration_ms = 5000, None),
            (|d| d.audio_layers[0].fixed_delay_duration_ms = 5001, Some(ParameterMalformed)),
        ],
    );
}

#[test]
fn components() {
    let call = |w: &World, draft| Call::AddCasterComponent { caster_id: w.caster.clone(), draft };
    let base = ComponentDraft { location_id: "RC03".into(), ..text("hello\nworld") };
    fn style(d: &mut ComponentDraft) -> &mut TextDraft {
        d.text.as_mut().unwrap()
    }
    check(
        &base,
        call,
        &[
            (|_| {}, None),
            (|d| d.location_id.clear(), Some(MissingParameter)),
            (|d| d.location_id = "RV01".into(), Some(ParameterMalformed)),
            (|d| d.location_id = "RC01".into(), Some(DuplicateLocationId)),
            (|d| d.component_type.clear(), Some(MissingParameter)),
            (|d| d.component_type = "caption".into(), Some(ParameterMalformed)),
            (|d| d.component_type = "html".into(), Some(ParameterMalformed)),
            (|d| d.component_type = "Text".into(), Some(ParameterMalformed)),
            (|d| d.component_type = "image".into(), Some(MissingParameter)),
            (|d| d.text = None, Some(MissingParameter)),
            (|d| d.image = Some(ImageDraft::default()), Some(ParameterMalformed)),
            (|d| d.layer = None, Some(MissingParameter)),
            (|d| d.layer.as_mut().unwrap().transparency = Some(256), Some(ParameterMalformed)),
            (|d| d.layer.as_mut().unwrap().transparency = Some(-1), Some(ParameterMalformed)),
            (|d| d.layer_order = "background".into(), None),
            (|d| d.layer_order = "under".into(), Some(ParameterMalformed)),
            (|d| d.effect = "none".into(), None),
            (|d| d.effect = "animateH".into(), None),
            (|d| d.effect = "animateV".into(), None),
            (|d| d.effect = "animate".into(), Some(ParameterMalformed)),
            (|d| style(d).text = "ü".repeat(1024), None),
            (|d| style(d).text = "ü".repeat(1025), Some(ParameterMalformed)),
            (|d| style(d).color = "0xABCDEF".into(), None),
            (|d| style(d).color = "#ffffff".into(), Some(ParameterMalformed)),
            (|d| style(d).border_color = "0x+12345".into(), Some(ParameterMalformed)),
            (|d| style(d).size_normalized = Some(-1.0), None),
            (|d| style(d).size_normalized = Some(1.01), Some(ParameterMalformed)),
            (|d| style(d).border_width_normalized = f32::INFINITY, Some(ParameterMalformed)),
            (
                |d| {
                    *d = image("file:///b.png");
                    d.location_id = "RC09".into()
                },
                None,
            ),
            (
                |d| {
                    *d = image("");
                    d.location_id = "RC09".into()
                },
                Some(MissingParameter),
            ),
            (
                |d| {
                    *d = image("rtmp://a/b");
                    d.location_id = "RC09".into()
                },
                Some(ParameterMalformed),
            ),
            (
                |d| {
                    *d = image("");
                    d.location_id = "RC09".into();
                    d.image.as_mut().unwrap().material_id = "m".into();
                },
                Some(ParameterMalformed),
            ),
        ],
    );
}

#[test]
fn list_casters() {
    let base = super::super::DescribeCasters::default();
    check(
        &base,
        |_, draft| Call::DescribeCasters(draft),
        &[
            (|_| {}, None),
            (|d| d.status = Some(2), Some(StatusMalformed)),
            (|d| d.page_num = Some(0), Some(PageNumMalformed)),
            (|d| d.page_size = Some(0), Some(PageSizeMalformed)),
            (|d| d.page_size = Some(101), Some(PageSizeMalformed)),
            (|d| d.page_num = Some(i32::MAX), None),
            (|d| d.start_time_unix_ms = Some(-1), Some(StartTimeMalformed)),
            (
                |d| {
                    d.start_time_unix_ms = Some(2);
                    d.end_time_unix_ms = Some(1)
                },
                Some(EndTimeMalformed),
            ),
        ],
    );
}

#[test]
fn pages_and_filters() {
    let mut world = World::bare();
    for token in ["b", "c", "d"] {
        world.create(token).unwrap();
    }
    let mut list = |edit: Edit<super::super::DescribeCasters>| {
        let mut draft = super::super::DescribeCasters::default();
        edit(&mut draft);
        match world.ok(Call::DescribeCasters(draft)).answer {
            Answer::Casters { total, page } => {
                (total, page.iter().map(|c| c.client_token.clone()).collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        }
    };
    let own = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(list(|_| {}), (4, own(&["d", "c", "b", "token"])));
    assert_eq!(list(|d| d.order_by_modify_asc = true), (4, own(&["token", "b", "c", "d"])));
    assert_eq!(
        list(|d| {
            d.page_size = Some(3);
            d.page_num = Some(2)
        }),
        (4, own(&["token"]))
    );
    assert_eq!(list(|d| d.page_num = Some(9)), (4, own(&[])));
    assert_eq!(list(|d| d.status = Some(1)), (0, own(&[])));
    assert_eq!(list(|d| d.caster_id = "nobody".into()), (0, own(&[])));
    assert_eq!(list(|d| d.start_time_unix_ms = Some(1003)), (2, own(&["d", "c"])));
}

#[test]
fn what_is_absent_has_its_default() {
    let world = World::ready();
    let caster = world.the_caster();
    assert_eq!(caster.config.name, caster.id.to_string());
    assert_eq!(caster.config.template, Some(Template::Hd));
    assert!(matches!(&caster.resources[0].source, Source::Live { url } if url.ends_with("cam1")));
    let component = &caster.components[0];
    assert_eq!(component.name, component.id.to_string());
    assert_eq!(component.opacity, 255);
    let ComponentContent::Text(text) = &component.content else { panic!("{component:?}") };
    assert_eq!((text.color_rgb, &text.font_name[..]), (0xff_00_00, "KaiTi"));
    assert_eq!((text.size_normalized, text.border_rgb), (0.05, None));
    for template in Template::ALL {
        let ((w, h), portrait) = (template.size_px(), template.as_str().ends_with("_v"));
        assert_eq!(w < h, portrait, "{template:?}");
        assert!(w % 2 == 0 && h % 2 == 0, "{template:?}");
    }
}
