//! Parameters → calls, operation by operation.
//!
//! Must not judge values: the catalog does. Invariant: no parameter that the catalog knows is dropped, in whichever
//! spelling it came; one whose absence the catalog must see arrives as absent.

use super::fault::Fault;
use super::params::Params;
use crate::catalog::{
    AudioDraft, AudioLayerDraft, Call, ChannelDraft, ComponentDraft, ComponentLayerDraft,
    CopyCaster, CreateCaster, DescribeCasters, FilterDraft, ImageDraft, LayoutDraft,
    PlacementDraft, ResourceDraft, SceneDraft, TagDraft, TextDraft, VideoLayerDraft, WayDraft,
    WhenDraft,
};

mod config;
mod rundown;

pub(super) use config::{set_config, set_sync_group};
pub(super) use rundown::{
    add_episode, add_group, add_group_content, add_program, describe_program, modify_episode,
    modify_program, set_timed_event,
};

/// A call, or the parameter that cannot be read.
type Read<T = Call> = Result<T, Fault>;

pub(super) fn create_caster(p: &Params) -> Read {
    Ok(Call::CreateCaster(CreateCaster {
        caster_name: p.text("CasterName"),
        client_token: p.text("ClientToken"),
        norm_type: p.number("NormType")?,
        charge_type: p.text("ChargeType"),
        resource_group_id: p.text("ResourceGroupId"),
        tags: tags(p)?,
    }))
}

pub(super) fn copy_caster(p: &Params) -> Read {
    Ok(Call::CopyCaster(CopyCaster {
        src_caster_id: p.text("SrcCasterId"),
        caster_name: p.text("CasterName"),
        client_token: p.text("ClientToken"),
    }))
}

fn tags(p: &Params) -> Read<Vec<TagDraft>> {
    let tag = |tag: Params| TagDraft { key: tag.text("Key"), value: tag.text("Value") };
    Ok(p.items("Tag")?.into_iter().map(tag).collect())
}

pub(super) fn describe_casters(p: &Params) -> Read {
    Ok(Call::DescribeCasters(DescribeCasters {
        caster_id: p.text("CasterId"),
        caster_name: p.text("CasterName"),
        status: p.number("Status")?,
        start_time_unix_ms: p.time_ms("StartTime")?,
        end_time_unix_ms: p.time_ms("EndTime")?,
        order_by_modify_asc: p.flag("OrderByModifyAsc")?.unwrap_or(false),
        page_num: p.number("PageNum")?,
        page_size: p.number("PageSize")?,
        norm_type: p.number("NormType")?,
        charge_type: p.number("ChargeType")?,
        resource_group_id: p.text("ResourceGroupId"),
        tags: tags(p)?,
    }))
}

/// `Function => Call { field Param, … }`: calls of nothing but texts.
macro_rules! texts {
    ($($function:ident => $call:ident { $($field:ident $param:literal),+ };)*) => {
        $(
            pub(super) fn $function(p: &Params) -> Read {
                Ok(Call::$call { $($field: p.text($param)),+ })
            }
        )*
    };
}

texts! {
    delete_caster => DeleteCaster { caster_id "CasterId" };
    describe_caster_config => DescribeCasterConfig { caster_id "CasterId" };
    start_caster => StartCaster { caster_id "CasterId" };
    stop_caster => StopCaster { caster_id "CasterId" };
    restart_caster => RestartCaster { caster_id "CasterId" };
    update_resource_group => UpdateCasterResourceGroup {
        caster_id "CasterId", new_resource_group_id "NewResourceGroupId"
    };
    describe_stream_url => DescribeCasterStreamUrl { caster_id "CasterId" };
    delete_resource => DeleteCasterVideoResource { caster_id "CasterId", resource_id "ResourceId" };
    effect_resource => EffectCasterVideoResource {
        caster_id "CasterId", scene_id "SceneId", resource_id "ResourceId"
    };
    describe_resources => DescribeCasterVideoResources { caster_id "CasterId" };
    delete_layout => DeleteCasterLayout { caster_id "CasterId", layout_id "LayoutId" };
    describe_layouts => DescribeCasterLayouts { caster_id "CasterId", layout_id "LayoutId" };
    delete_component => DeleteCasterComponent { caster_id "CasterId", component_id "ComponentId" };
    describe_components => DescribeCasterComponents {
        caster_id "CasterId", component_id "ComponentId"
    };
    describe_scenes => DescribeCasterScenes { caster_id "CasterId", scene_id "SceneId" };
    delete_scene_config => DeleteCasterSceneConfig {
        caster_id "CasterId", scene_id "SceneId", kind "Type"
    };
    start_scene => StartCasterScene { caster_id "CasterId", scene_id "SceneId" };
    stop_scene => StopCasterScene { caster_id "CasterId", scene_id "SceneId" };
    describe_scene_audio => DescribeCasterSceneAudio { caster_id "CasterId", scene_id "SceneId" };
    describe_channels => DescribeCasterChannels { caster_id "CasterId" };
    effect_urgent => EffectCasterUrgent { caster_id "CasterId", scene_id "SceneId" };
    delete_episode => DeleteCasterEpisode { caster_id "CasterId", episode_id "EpisodeId" };
    delete_program => DeleteCasterProgram { caster_id "CasterId" };
    delete_group => DeleteCasterEpisodeGroup { program_id "ProgramId" };
    describe_sync_group => DescribeCasterSyncGroup { caster_id "CasterId" };
    describe_rtc_info => DescribeCasterRtcInfo { caster_id "CasterId" };
}

pub(super) fn add_resource(p: &Params) -> Read {
    Ok(Call::AddCasterVideoResource { caster_id: p.text("CasterId"), draft: resource(p)? })
}

pub(super) fn modify_resource(p: &Params) -> Read {
    Ok(Call::ModifyCasterVideoResource {
        caster_id: p.text("CasterId"),
        resource_id: p.text("ResourceId"),
        draft: resource(p)?,
    })
}

fn resource(p: &Params) -> Read<ResourceDraft> {
    Ok(ResourceDraft {
        resource_name: p.text("ResourceName"),
        location_id: p.text("LocationId"),
        live_stream_url: p.text("LiveStreamUrl"),
        vod_url: p.text("VodUrl"),
        material_id: p.text("MaterialId"),
        image_id: p.text("ImageId"),
        image_url: p.text("ImageUrl"),
        repeat_num: p.number("RepeatNum")?,
        begin_offset_ms: p.number("BeginOffset")?,
        end_offset_ms: p.number("EndOffset")?,
        pts_callback_interval_ms: p.number("PtsCallbackInterval")?,
        fixed_delay_duration_ms: p.number("FixedDelayDuration")?,
    })
}

pub(super) fn add_layout(p: &Params) -> Read {
    Ok(Call::AddCasterLayout { caster_id: p.text("CasterId"), draft: layout(p)? })
}

pub(super) fn modify_layout(p: &Params) -> Read {
    Ok(Call::ModifyCasterLayout {
        caster_id: p.text("CasterId"),
        layout_id: p.text("LayoutId"),
        draft: layout(p)?,
    })
}

fn layout(p: &Params) -> Read<LayoutDraft> {
    let video_layer = |layer: Params| -> Read<VideoLayerDraft> {
        let placement = placement(&layer)?;
        Ok(VideoLayerDraft {
            fill_mode: layer.text("FillMode"),
            placement,
            fixed_delay_duration_ms: layer.number("FixedDelayDuration")?.unwrap_or_default(),
            ..VideoLayerDraft::default()
        })
    };
    Ok(LayoutDraft {
        blend_list: p.texts("BlendList")?,
        video_layers: p.items("VideoLayer")?.into_iter().map(video_layer).collect::<Read<_>>()?,
        mix_list: p.texts("MixList")?,
        audio_layers: audio_layers(p)?,
        ..LayoutDraft::default()
    })
}

fn placement(p: &Params) -> Read<PlacementDraft> {
    Ok(PlacementDraft {
        width_normalized: p.number("WidthNormalized")?.unwrap_or_default(),
        height_normalized: p.number("HeightNormalized")?.unwrap_or_default(),
        position_normalized: p.numbers("PositionNormalized")?,
        position_refer: p.text("PositionRefer"),
    })
}

fn audio_layers(p: &Params) -> Read<Vec<AudioLayerDraft>> {
    let audio_layer = |layer: Params| -> Read<AudioLayerDraft> {
        Ok(AudioLayerDraft {
            volume_rate: layer.number("VolumeRate")?,
            valid_channel: layer.text("ValidChannel"),
            fixed_delay_duration_ms: layer.number("FixedDelayDuration")?.unwrap_or_default(),
            filter: layer.json("Filter")?.map(filter).transpose()?,
        })
    };
    p.items("AudioLayer")?.into_iter().map(audio_layer).collect()
}

fn filter(p: Params) -> Read<FilterDraft> {
    let number = |name: &str| -> Read<i32> { Ok(p.number(name)?.unwrap_or_default()) };
    Ok(FilterDraft {
        enable_agc: number("EnableAgc")?,
        enable_ans: number("EnableAns")?,
        ans_mode: number("AnsMode")?,
        enable_beautify: number("EnableBeautify")?,
        voice_beautify_mode: number("VoiceBeautifyMode")?,
    })
}

pub(super) fn add_component(p: &Params) -> Read {
    Ok(Call::AddCasterComponent { caster_id: p.text("CasterId"), draft: component(p)? })
}

pub(super) fn modify_component(p: &Params) -> Read {
    Ok(Call::ModifyCasterComponent {
        caster_id: p.text("CasterId"),
        component_id: p.text("ComponentId"),
        draft: component(p)?,
    })
}

fn component(p: &Params) -> Read<ComponentDraft> {
    let layer = |layer: Params| -> Read<ComponentLayerDraft> {
        let transparency = layer.number("Transparency")?;
        Ok(ComponentLayerDraft { placement: placement(&layer)?, transparency })
    };
    let text = |text: Params| -> Read<TextDraft> {
        Ok(TextDraft {
            text: text.text("Text"),
            color: text.color("Color"),
            font_name: text.text("FontName"),
            size_normalized: text.number("SizeNormalized")?,
            border_width_normalized: text.number("BorderWidthNormalized")?.unwrap_or_default(),
            border_color: text.color("BorderColor"),
            ..TextDraft::default()
        })
    };
    let image = |image: Params| ImageDraft {
        material_id: image.text("MaterialId"),
        image_url: [image.text("ImageUrl"), image.text("Url")].concat(),
    };
    Ok(ComponentDraft {
        component_name: p.text("ComponentName"),
        location_id: p.text("LocationId"),
        component_type: p.text("ComponentType"),
        layer: p.json("ComponentLayer")?.map(layer).transpose()?,
        text: p.json("TextLayerContent")?.map(text).transpose()?,
        image: p.json("ImageLayerContent")?.map(image),
        layer_order: p.text("LayerOrder"),
        effect: p.text("Effect"),
    })
}

pub(super) fn set_scene(p: &Params) -> Read {
    scene(p).map(Call::SetCasterSceneConfig)
}

pub(super) fn update_scene(p: &Params) -> Read {
    scene(p).map(Call::UpdateCasterSceneConfig)
}

fn scene(p: &Params) -> Read<SceneDraft> {
    Ok(SceneDraft {
        caster_id: p.text("CasterId"),
        scene_id: p.text("SceneId"),
        layout_id: p.text("LayoutId"),
        component_ids: p.texts("ComponentId")?,
        when: when(p)?,
        // The cloud API knows cuts only.
        way: WayDraft::default(),
    })
}

pub(super) fn copy_scene(p: &Params) -> Read {
    Ok(Call::CopyCasterSceneConfig {
        caster_id: p.text("CasterId"),
        from_scene_id: p.text("FromSceneId"),
        to_scene_id: p.text("ToSceneId"),
        when: when(p)?,
        way: WayDraft::default(),
    })
}

/// `Force` and `WaitMs` are ours: the cloud API has no word for them.
fn when(p: &Params) -> Read<WhenDraft> {
    Ok(WhenDraft { force: p.flag("Force")?.unwrap_or(false), wait_ms: p.number("WaitMs")? })
}

pub(super) fn update_scene_audio(p: &Params) -> Read {
    Ok(Call::UpdateCasterSceneAudio(AudioDraft {
        caster_id: p.text("CasterId"),
        scene_id: p.text("SceneId"),
        follow_enable: p.number("FollowEnable")?,
        audio_layers: audio_layers(p)?,
        mix_list: p.texts("MixList")?,
    }))
}

pub(super) fn set_channel(p: &Params) -> Read {
    Ok(Call::SetCasterChannel(ChannelDraft {
        caster_id: p.text("CasterId"),
        channel_id: p.text("ChannelId"),
        resource_id: p.text("ResourceId"),
        seek_offset_ms: p.number("SeekOffset")?,
        play_status: p.number("PlayStatus")?,
        face_beauty: p.text("FaceBeauty"),
    }))
}
