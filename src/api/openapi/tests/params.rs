//! Parameters in every spelling that clients send.

use crate::api::openapi::calls;
use crate::api::openapi::fault::Fault;
use crate::api::openapi::params::Params;
use crate::api::openapi::percent::{decode_pairs, encode};
use crate::catalog::{
    Call, ComponentDraft, ConfigDraft, LayoutDraft, RecordDraft, RecordFormatDraft,
};

fn params(query: &str) -> Params {
    Params::merge(decode_pairs(query.as_bytes()).unwrap().into_iter()).unwrap()
}

fn json(name: &str, text: &str) -> Params {
    params(&format!("{name}={}", encode(text)))
}

fn code<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    result.unwrap_err().code.into_owned()
}

#[test]
fn booleans_and_numbers() {
    for (text, value) in [
        ("True", Some(true)),
        ("true", Some(true)),
        ("TRUE", Some(true)),
        ("1", Some(true)),
        ("False", Some(false)),
        ("false", Some(false)),
        ("0", Some(false)),
        ("", None),
    ] {
        assert_eq!(params(&format!("Force={text}")).flag("Force"), Ok(value), "{text}");
    }
    assert_eq!(code(params("Force=yes").flag("Force")), "InvalidForce.Malformed");
    assert_eq!(params("N=-1").number::<i32>("N"), Ok(Some(-1)));
    assert_eq!(params("N=").number::<i32>("N"), Ok(None));
    for text in ["x", "1.5", "99999999999", "1%00"] {
        let refused = params(&format!("PageSize={text}")).number::<i32>("PageSize");
        assert_eq!(code(refused), "InvalidPageSize.Malformed", "{text}");
    }
    assert_eq!(code(params("StartTime=2026").time_ms("StartTime")), "InvalidStartTime.Malformed");
}

#[test]
fn lists_count_from_one_without_holes() {
    for (query, expected) in [
        ("L.1=a&L.2=b", Ok(2)),
        ("L.2=b&L.1=a&M.1=c", Ok(2)),
        ("L=a", Ok(0)),
        ("L.10=a&L.9=a&L.8=a&L.7=a&L.6=a&L.5=a&L.4=a&L.3=a&L.2=a&L.1=a", Ok(10)),
        ("L.1=a&L.3=b", Err("InvalidL.Malformed")),
        ("L.0=a", Err("InvalidL.Malformed")),
        ("L.01=a", Err("InvalidL.Malformed")),
        ("L.x=a", Err("InvalidL.Malformed")),
        ("L.1.X=a", Err("InvalidX.Malformed")),
        ("L.99999999999999999999999=a", Err("InvalidL.Malformed")),
    ] {
        let list = params(query).texts("L").map(|list| list.len());
        match expected {
            Err("InvalidX.Malformed") => assert!(list.is_err(), "{query}"),
            Err(expected) => assert_eq!(code(list), expected, "{query}"),
            Ok(count) => assert_eq!(list, Ok(count), "{query}"),
        }
    }
    let p = params(
        "BlendList.1=RV01&VideoLayer.1.PositionNormalized.1=0.5&VideoLayer.1.PositionNormalized.2=x",
    );
    let fault = calls::add_layout(&p).unwrap_err();
    assert_eq!(fault.code, "InvalidPositionNormalized.Malformed");
    assert!(fault.message.contains("VideoLayer.1.PositionNormalized.2"), "{}", fault.message);
}

#[test]
fn what_is_required_is_there() {
    let p = params("CasterId=&BlendList.1=RV01&MixListing.1=a");
    assert_eq!(p.require(&["CasterId", "BlendList"]), Ok(()));
    assert_eq!(code(p.require(&["CasterId", "MixList"])), "MissingMixList");
    assert!(
        Params::merge([("A".into(), "1".into()), ("A".into(), "1".into())].into_iter()).is_err()
    );
}

#[test]
fn a_layout_whole() {
    let p = params(
        "CasterId=c&BlendList.1=RV01&BlendList.2=RV02&VideoLayer.1.FillMode=fit\
         &VideoLayer.1.WidthNormalized=1.0&VideoLayer.2.PositionNormalized.1=0.68\
         &VideoLayer.2.PositionNormalized.2=0.02&VideoLayer.2.PositionRefer=topRight\
         &MixList.1=RV01&AudioLayer.1.VolumeRate=0.5&AudioLayer.1.FixedDelayDuration=40\
         &VideoLayer.1.Look.Opacity=0.5&Backdrop.Color=0xffffff&Preset=quad",
    );
    let Ok(Call::AddCasterLayout { caster_id, draft }) = calls::add_layout(&p) else { panic!() };
    let LayoutDraft { blend_list, video_layers, mix_list, audio_layers, preset, backdrop } = draft;
    // Looks are gRPC's: what comes by this wire says nothing of them, so that they stay.
    assert!(preset.is_empty() && backdrop.is_none());
    assert!(video_layers.iter().all(|layer| layer.look.is_none()));
    assert_eq!(
        (&caster_id[..], &blend_list[..], &mix_list[..]),
        ("c", &["RV01".into(), "RV02".into()][..], &["RV01".into()][..])
    );
    assert_eq!(video_layers[0].placement.width_normalized, 1.0);
    assert_eq!(video_layers[1].placement.position_normalized, [0.68, 0.02]);
    assert_eq!(video_layers[1].placement.position_refer, "topRight");
    assert_eq!(
        (audio_layers[0].volume_rate, audio_layers[0].fixed_delay_duration_ms),
        (Some(0.5), 40)
    );
}

#[test]
fn transcode_configs_in_every_spelling() {
    for (text, template) in [
        (r#"{"CasterTemplate":"lp_hd"}"#, "lp_hd"),
        (r#"{"casterTemplate":"lp_ld","liveTemplate":[]}"#, "lp_ld"),
        ("{}", ""),
        ("", ""),
        ("null", ""),
    ] {
        let config = calls::set_config(&json("TranscodeConfig", text));
        let Ok(Call::SetCasterConfig { config: ConfigDraft { caster_template, .. }, .. }) = config
        else {
            panic!("{text}: {config:?}")
        };
        assert_eq!(caster_template, template, "{text}");
    }
    for text in ["{", "lp_hd", "7", r#"{"CasterTemplate":"a","casterTemplate":"b"}"#] {
        assert!(calls::set_config(&json("TranscodeConfig", text)).is_err(), "{text}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("{{\"{}\":[1]}}", "n".repeat(10_000));
    for text in [deep, long] {
        assert_eq!(
            code(json("TranscodeConfig", &text).json("TranscodeConfig")),
            "InvalidTranscodeConfig.Malformed"
        );
    }
}

fn config(params: &Params) -> ConfigDraft {
    match calls::set_config(params) {
        Ok(Call::SetCasterConfig { config, .. }) => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn custom_params_as_they_are_told() {
    for (text, rate, bps, size_px) in [
        (
            r#"{"CustomParams":{"video":{"bitrate":800,"fps":25,"height":360,"width":640}}}"#,
            "25",
            Some(800_000),
            [Some(640), Some(360)],
        ),
        (
            r#"{"FrameRate":"30000/1001","CustomParams":{"video":{"fps":30}}}"#,
            "30000/1001",
            None,
            [None; 2],
        ),
        (r#"{"VideoBps":1,"CustomParams":{"video":{"bitrate":800}}}"#, "", Some(1), [None; 2]),
    ] {
        let config = config(&json("TranscodeConfig", text));
        assert_eq!((&config.frame_rate[..], config.video_bps), (rate, bps), "{text}");
        assert_eq!(config.custom_size_px, size_px, "{text}");
    }
}

#[test]
fn renditions_in_every_spelling() {
    for (text, expected) in [
        (r#"{"LiveTemplate":["lld","lsd"]}"#, &["lld", "lsd"][..]),
        (r#"{"liveTemplate":["lld"]}"#, &["lld"]),
        (r#"{"LiveTemplateIds":{"LocationId":["lld","lsd"]}}"#, &["lld", "lsd"]),
        (r#"{"liveTemplateIds":{"locationId":["lld"]}}"#, &["lld"]),
        (r#"{"LiveTemplateIds":["lld"]}"#, &["lld"]),
        (r#"{"LiveTemplate":"lld"}"#, &["lld"]),
        (r#"{"LiveTemplate":""}"#, &[]),
        (r#"{"LiveTemplate":[]}"#, &[]),
        ("", &[]),
    ] {
        assert_eq!(config(&json("TranscodeConfig", text)).live_templates, expected, "{text}");
    }
}

#[test]
fn recordings_in_every_spelling() {
    for text in [
        r#"{"OssEndpoint":"e","OssBucket":"b","VideoFormat":[{"Format":"m3u8","OssObjectPrefix":"p","SliceOssObjectPrefix":"s","CycleDuration":900}]}"#,
        r#"{"endpoint":"e","ossBucket":"b","videoFormat":[{"prefix":"p","slicePrefix":"s","format":"m3u8","interval":900}],"interval":"5"}"#,
        r#"{"OssEndpoint":"e","OssBucket":"b","RecordFormat":{"RecordFormat":[{"Format":"m3u8","OssObjectPrefix":"p","SliceOssObjectPrefix":"s","CycleDuration":"900"}]}}"#,
        r#"{"OssEndpoint":"e","OssBucket":"b","RecordFormat":[{"Format":"m3u8","OssObjectPrefix":"p","SliceOssObjectPrefix":"s","CycleDuration":900}]}"#,
    ] {
        let record = config(&json("RecordConfig", text)).record.unwrap();
        let RecordDraft { oss_endpoint, oss_bucket, on_demand, formats } = &record;
        assert_eq!((&oss_endpoint[..], &oss_bucket[..], *on_demand), ("e", "b", None), "{text}");
        let [
            RecordFormatDraft {
                format,
                cycle_duration_s,
                oss_object_prefix,
                slice_oss_object_prefix,
            },
        ] = &formats[..]
        else {
            panic!("{text}: {record:?}")
        };
        assert_eq!((&format[..], *cycle_duration_s), ("m3u8", Some(900)), "{text}");
        assert_eq!((&oss_object_prefix[..], &slice_oss_object_prefix[..]), ("p", "s"), "{text}");
    }
    for (text, is_asked_for) in [("", false), ("{}", false), (r#"{"OnDemand":7}"#, true)] {
        assert_eq!(config(&json("RecordConfig", text)).record.is_some(), is_asked_for, "{text}");
    }
}

#[test]
fn sync_groups_in_every_spelling() {
    for text in [
        r#"[{"mode":0,"resourceIds":["a","b"],"hostResourceId":"a"}]"#,
        r#"[{"Mode":"0","ResourceIds":["a","b"],"HostResourceId":"a"}]"#,
        r#"{"SyncGroup":[{"Mode":0,"ResourceIds":{"ResourceId":["a","b"]},"HostResourceId":"a"}]}"#,
    ] {
        let groups = config(&json("SyncGroupsConfig", text)).sync_groups;
        let [group] = &groups[..] else { panic!("{text}: {groups:?}") };
        assert_eq!((group.mode, &group.host_resource_id[..]), (Some(0), "a"), "{text}");
        assert_eq!(group.resource_ids, ["a", "b"], "{text}");
    }
    for text in ["", "[]", "{}"] {
        assert!(config(&json("SyncGroupsConfig", text)).sync_groups.is_empty(), "{text}");
    }
    assert!(calls::set_config(&json("SyncGroupsConfig", r#"{"Groups":[]}"#)).is_ok());
    assert!(calls::set_config(&json("SyncGroupsConfig", r#"{"Groups":[1]}"#)).is_err());
}

#[test]
fn standby_by_itself() {
    for (query, on, after_s) in [
        (
            "AutoSwitchUrgentOn=True&AutoSwitchUrgentConfig=%7B%22eofThres%22%3A3%7D",
            true,
            Some(3.0),
        ),
        (
            "AutoSwitchUrgentOn=false&AutoSwitchUrgentConfig=%7B%22EofThres%22%3A%221.5%22%7D",
            false,
            Some(1.5),
        ),
        ("AutoSwitchUrgentOn=1", true, None),
        ("Delay=", false, None),
    ] {
        let config = config(&params(query));
        assert_eq!(
            (config.auto_switch_urgent_on, config.auto_switch_after_s),
            (on, after_s),
            "{query}"
        );
    }
}

#[test]
fn episode_groups_by_parameters_and_by_content() {
    let flat = params(
        "ClientToken=t&DomainName=d&StartTime=2099-01-01T00:00:00Z&RepeatNum=-1&SideOutputUrl=rtmp://a/b\
         &CallbackUrl=http://c&Item.1.ItemName=one&Item.1.VodUrl=file:1.mp4&Item.2.VodUrl=file:2.mp4",
    );
    let content = r#"{"DomainName":"d","StartTime":"2099-01-01T00:00:00Z","RepeatNum":-1,
        "SideOutputUrl":"rtmp://a/b","CallbackUrl":"http://c",
        "Items":[{"ItemName":"one","VodUrl":"file:1.mp4"},{"VodUrl":"file:2.mp4"}]}"#;
    let content = params(&format!("ClientToken=t&Content={}", encode(content)));
    let group = calls::add_group(&flat).unwrap();
    assert_eq!(calls::add_group_content(&content).unwrap(), group);
    let Call::AddCasterEpisodeGroup(draft) = group else { panic!("{group:?}") };
    assert_eq!((draft.items.len(), draft.start_time_unix_ms), (2, Some(4_070_908_800_000)));
}

#[test]
fn relays_with_and_without_brackets() {
    for (text, count) in [
        (r#"["rtmp://a/app/s1","rtmp://b/app/s2"]"#, Some(2)),
        (r#""rtmp://a/app/s1","rtmp://b/app/s2""#, Some(2)),
        (r#" ["rtmp://a/app/s1"] "#, Some(1)),
        ("[]", Some(0)),
        ("", Some(0)),
        ("rtmp://a/app/s1", None),
        ("[[1]]", None),
    ] {
        let list = json("SideOutputUrlList", text).json_texts("SideOutputUrlList");
        assert_eq!(list.ok().map(|list| list.len()), count, "{text}");
    }
}

#[test]
fn components_in_every_spelling() {
    let of = |layer: &str, text: &str| {
        let p =
            params(&format!("ComponentLayer={}&TextLayerContent={}", encode(layer), encode(text)));
        calls::add_component(&p).map(|call| match call {
            Call::AddCasterComponent { draft: ComponentDraft { layer, text, .. }, .. } => {
                (layer.unwrap(), text.unwrap())
            }
            other => panic!("{other:?}"),
        })
    };
    for (layer, text) in [
        (
            r#"{"HeightNormalized":"1","PositionRefer":"topRight","WidthNormalized":"0","PositionNormalized":["0.1","0.2"],"Transparency":"255"}"#,
            r#"{"Text":"a","Color":"0xff0000","SizeNormalized":"0.08","BorderWidthNormalized":"0.05","BorderColor":"0x0000ff"}"#,
        ),
        (
            r#"{"heightNormalized":1,"positionRefer":"topRight","widthNormalized":0.0,"positionNormalized":[0.1,0.2],"transparency":255}"#,
            r#"{"text":"a","color":16711680,"sizeNormalized":0.08,"borderWidthNormalized":0.05,"borderColor":255}"#,
        ),
    ] {
        let (layer, text) = of(layer, text).unwrap();
        let at = layer.placement;
        assert_eq!((at.height_normalized, at.width_normalized), (1.0, 0.0));
        assert_eq!(
            (&at.position_normalized[..], &at.position_refer[..]),
            (&[0.1, 0.2][..], "topRight")
        );
        assert_eq!(layer.transparency, Some(255));
        assert_eq!(
            (&text.text[..], &text.color[..], &text.border_color[..]),
            ("a", "0xff0000", "0x0000ff")
        );
        assert_eq!((text.size_normalized, text.border_width_normalized), (Some(0.08), 0.05));
    }
    let fault = of(r#"{"HeightNormalized":"tall"}"#, "{}").unwrap_err();
    assert_eq!(fault.code, "InvalidHeightNormalized.Malformed");
    assert!(fault.message.contains("ComponentLayer.HeightNormalized"), "{}", fault.message);
}
