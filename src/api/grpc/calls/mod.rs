//! Requests → calls, field by field.
//!
//! Must not judge values: the catalog does. Invariant: no field of a request is dropped; one whose absence the catalog
//! must see arrives as absent.

use super::pb;
use crate::catalog::{
    AudioDraft, AudioLayerDraft, BackdropDraft, Call, ComponentDraft, ComponentLayerDraft,
    CopyCaster, CreateCaster, DescribeCasters, FilterDraft, ImageDraft, LayoutDraft, LookDraft,
    PlacementDraft, ResourceDraft, SceneDraft, TagDraft, TextBackgroundDraft, TextDraft,
    TransitionDraft, VideoLayerDraft, WayDraft, WhenDraft,
};

/// `Request as r => call`: how each request becomes a call.
macro_rules! calls {
    ($($request:ident as $r:ident => $call:expr;)*) => {
        $(
            impl From<pb::$request> for Call {
                fn from($r: pb::$request) -> Call {
                    $call
                }
            }
        )*
    };
}

mod config;
mod rundown;

calls! {
    CreateCasterRequest as r => Call::CreateCaster(CreateCaster {
        caster_name: r.caster_name,
        client_token: r.client_token,
        norm_type: r.norm_type,
        charge_type: r.charge_type,
        resource_group_id: r.resource_group_id,
        tags: tags(r.tags),
    });
    CopyCasterRequest as r => Call::CopyCaster(CopyCaster {
        src_caster_id: r.src_caster_id,
        caster_name: r.caster_name,
        client_token: r.client_token,
    });
    DeleteCasterRequest as r => Call::DeleteCaster { caster_id: r.caster_id };
    DescribeCastersRequest as r => Call::DescribeCasters(DescribeCasters {
        caster_id: r.caster_id,
        caster_name: r.caster_name,
        status: r.status,
        start_time_unix_ms: r.start_time_unix_ms,
        end_time_unix_ms: r.end_time_unix_ms,
        order_by_modify_asc: r.order_by_modify_asc,
        page_num: r.page_num,
        page_size: r.page_size,
        norm_type: r.norm_type,
        charge_type: r.charge_type,
        resource_group_id: r.resource_group_id,
        tags: tags(r.tags),
    });
    SetCasterConfigRequest as r => Call::SetCasterConfig {
        caster_id: r.caster_id,
        config: config::config(r.config.unwrap_or_default()),
    };
    DescribeCasterConfigRequest as r => Call::DescribeCasterConfig { caster_id: r.caster_id };
    StartCasterRequest as r => Call::StartCaster { caster_id: r.caster_id };
    StopCasterRequest as r => Call::StopCaster { caster_id: r.caster_id };
    StartCasterRecordingRequest as r => Call::StartCasterRecording { caster_id: r.caster_id };
    StopCasterRecordingRequest as r => Call::StopCasterRecording { caster_id: r.caster_id };
    RestartCasterRequest as r => Call::RestartCaster { caster_id: r.caster_id };
    UpdateCasterResourceGroupRequest as r => Call::UpdateCasterResourceGroup {
        caster_id: r.caster_id,
        new_resource_group_id: r.new_resource_group_id,
    };
    DescribeCasterStreamUrlRequest as r => Call::DescribeCasterStreamUrl { caster_id: r.caster_id };
    AddCasterVideoResourceRequest as r => Call::AddCasterVideoResource {
        caster_id: r.caster_id,
        draft: resource(r.video_resource.unwrap_or_default()),
    };
    ModifyCasterVideoResourceRequest as r => Call::ModifyCasterVideoResource {
        caster_id: r.caster_id,
        resource_id: r.resource_id,
        draft: resource(r.video_resource.unwrap_or_default()),
    };
    DeleteCasterVideoResourceRequest as r => Call::DeleteCasterVideoResource {
        caster_id: r.caster_id,
        resource_id: r.resource_id,
    };
    EffectCasterVideoResourceRequest as r => Call::EffectCasterVideoResource {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
        resource_id: r.resource_id,
    };
    DescribeCasterVideoResourcesRequest as r => Call::DescribeCasterVideoResources {
        caster_id: r.caster_id,
    };
    AddCasterLayoutRequest as r => Call::AddCasterLayout {
        caster_id: r.caster_id,
        draft: LayoutDraft { preset: r.preset, ..layout(r.layout.unwrap_or_default()) },
    };
    ModifyCasterLayoutRequest as r => Call::ModifyCasterLayout {
        caster_id: r.caster_id,
        layout_id: r.layout_id,
        draft: LayoutDraft { preset: r.preset, ..layout(r.layout.unwrap_or_default()) },
    };
    DescribeLayoutPresetsRequest as _r => Call::DescribeLayoutPresets;
    DeleteCasterLayoutRequest as r => Call::DeleteCasterLayout {
        caster_id: r.caster_id,
        layout_id: r.layout_id,
    };
    DescribeCasterLayoutsRequest as r => Call::DescribeCasterLayouts {
        caster_id: r.caster_id,
        layout_id: r.layout_id,
    };
    AddCasterComponentRequest as r => Call::AddCasterComponent {
        caster_id: r.caster_id,
        draft: component(r.component.unwrap_or_default()),
    };
    ModifyCasterComponentRequest as r => Call::ModifyCasterComponent {
        caster_id: r.caster_id,
        component_id: r.component_id,
        draft: component(r.component.unwrap_or_default()),
    };
    DeleteCasterComponentRequest as r => Call::DeleteCasterComponent {
        caster_id: r.caster_id,
        component_id: r.component_id,
    };
    DescribeCasterComponentsRequest as r => Call::DescribeCasterComponents {
        caster_id: r.caster_id,
        component_id: r.component_id,
    };
    DescribeCasterScenesRequest as r => Call::DescribeCasterScenes {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
    };
    SetCasterSceneConfigRequest as r => Call::SetCasterSceneConfig(SceneDraft {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
        layout_id: r.layout_id,
        component_ids: r.component_ids,
        when: WhenDraft { force: r.force, wait_ms: r.wait_ms },
        way: way(r.transition, r.component_fade_frames),
    });
    UpdateCasterSceneConfigRequest as r => Call::UpdateCasterSceneConfig(SceneDraft {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
        layout_id: r.layout_id,
        component_ids: r.component_ids,
        when: WhenDraft { force: r.force, wait_ms: r.wait_ms },
        way: way(r.transition, r.component_fade_frames),
    });
    DeleteCasterSceneConfigRequest as r => Call::DeleteCasterSceneConfig {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
        kind: r.r#type,
    };
    StartCasterSceneRequest as r => Call::StartCasterScene {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
    };
    StopCasterSceneRequest as r => Call::StopCasterScene {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
    };
    CopyCasterSceneConfigRequest as r => Call::CopyCasterSceneConfig {
        caster_id: r.caster_id,
        from_scene_id: r.from_scene_id,
        to_scene_id: r.to_scene_id,
        when: WhenDraft { force: r.force, wait_ms: r.wait_ms },
        way: way(r.transition, r.component_fade_frames),
    };
    DescribeCasterSceneAudioRequest as r => Call::DescribeCasterSceneAudio {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
    };
    UpdateCasterSceneAudioRequest as r => Call::UpdateCasterSceneAudio(AudioDraft {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
        follow_enable: r.follow_enable,
        audio_layers: r.audio_layers.into_iter().map(audio_layer).collect(),
        mix_list: r.mix_list,
    });
    FadeCasterToBlackRequest as r => Call::FadeCasterToBlack {
        caster_id: r.caster_id,
        on: r.on,
        duration_frames: r.duration_frames,
    };
    EffectCasterUrgentRequest as r => Call::EffectCasterUrgent {
        caster_id: r.caster_id,
        scene_id: r.scene_id,
    };
}

fn way(transition: Option<pb::Transition>, component_fade_frames: Option<i32>) -> WayDraft {
    let transition = transition.map(|m| TransitionDraft {
        kind: m.kind,
        direction: m.direction,
        color: m.color,
        duration_frames: m.duration_frames,
    });
    WayDraft { transition, component_fade_frames }
}

fn tags(tags: Vec<pb::Tag>) -> Vec<TagDraft> {
    tags.into_iter().map(|tag| TagDraft { key: tag.key, value: tag.value }).collect()
}

fn resource(m: pb::VideoResource) -> ResourceDraft {
    ResourceDraft {
        resource_name: m.resource_name,
        location_id: m.location_id,
        live_stream_url: m.live_stream_url,
        vod_url: m.vod_url,
        material_id: m.material_id,
        image_id: m.image_id,
        image_url: m.image_url,
        repeat_num: m.repeat_num,
        begin_offset_ms: m.begin_offset,
        end_offset_ms: m.end_offset,
        pts_callback_interval_ms: m.pts_callback_interval,
        fixed_delay_duration_ms: m.fixed_delay_duration,
    }
}

fn layout(m: pb::Layout) -> LayoutDraft {
    LayoutDraft {
        preset: String::new(),
        backdrop: m.backdrop.map(|backdrop| BackdropDraft {
            color: backdrop.color,
            image: backdrop.image.map(image),
        }),
        blend_list: m.blend_list,
        video_layers: m.video_layers.into_iter().map(video_layer).collect(),
        mix_list: m.mix_list,
        audio_layers: m.audio_layers.into_iter().map(audio_layer).collect(),
    }
}

fn video_layer(m: pb::VideoLayer) -> VideoLayerDraft {
    VideoLayerDraft {
        fill_mode: m.fill_mode,
        placement: PlacementDraft {
            width_normalized: m.width_normalized,
            height_normalized: m.height_normalized,
            position_normalized: m.position_normalized,
            position_refer: m.position_refer,
        },
        fixed_delay_duration_ms: m.fixed_delay_duration,
        look: m.look.map(look),
    }
}

fn look(m: pb::LayerLook) -> LookDraft {
    LookDraft {
        crop_left: m.crop_left,
        crop_top: m.crop_top,
        crop_right: m.crop_right,
        crop_bottom: m.crop_bottom,
        mirror: m.mirror,
        opacity: m.opacity,
        corner_radius: m.corner_radius,
        border_width: m.border_width,
        border_color: m.border_color,
    }
}

fn audio_layer(m: pb::AudioLayer) -> AudioLayerDraft {
    AudioLayerDraft {
        volume_rate: m.volume_rate,
        valid_channel: m.valid_channel,
        fixed_delay_duration_ms: m.fixed_delay_duration,
        filter: m.filter.map(filter),
    }
}

fn filter(m: pb::AudioFilter) -> FilterDraft {
    FilterDraft {
        enable_agc: m.enable_agc,
        enable_ans: m.enable_ans,
        ans_mode: m.ans_mode,
        enable_beautify: m.enable_beautify,
        voice_beautify_mode: m.voice_beautify_mode,
    }
}

fn component(m: pb::Component) -> ComponentDraft {
    ComponentDraft {
        component_name: m.component_name,
        location_id: m.location_id,
        component_type: m.component_type,
        layer: m.component_layer.map(|l| ComponentLayerDraft {
            placement: PlacementDraft {
                width_normalized: l.width_normalized,
                height_normalized: l.height_normalized,
                position_normalized: l.position_normalized,
                position_refer: l.position_refer,
            },
            transparency: l.transparency,
        }),
        text: m.text_layer_content.map(|t| TextDraft {
            text: t.text,
            color: t.color,
            font_name: t.font_name,
            size_normalized: t.size_normalized,
            border_width_normalized: t.border_width_normalized,
            border_color: t.border_color,
            background: t.background.map(|b| TextBackgroundDraft {
                color: b.color,
                opacity: b.opacity,
                padding: b.padding,
            }),
        }),
        image: m.image_layer_content.map(image),
        layer_order: m.layer_order,
        effect: m.effect,
    }
}

fn image(m: pb::ImageLayerContent) -> ImageDraft {
    ImageDraft { material_id: m.material_id, image_url: m.image_url }
}
