//! Tests of the catalog: values (tables of what is refused), life (states and effects), property (random calls).

mod config;
mod life;
mod look;
mod model;
mod operations;
pub(crate) mod property;
mod recording;
mod rundown;
mod transitions;
mod values;

use std::cell::Cell;

use uuid::Uuid;

use super::MediaFacts;
use super::{
    Answer, AudioLayerDraft, Call, Caster, Catalog, Change, ComponentDraft, ComponentLayerDraft,
    ConfigDraft, Context, CreateCaster, Effect, ErrorCode, LayoutDraft, PlacementDraft, Prepared,
    Refused, ResourceDraft, SceneDraft, Subject, TextDraft, VideoLayerDraft, WayDraft, WhenDraft,
};
use crate::ids::{Bus, CasterId, MaterialId};

/// A catalog with its own time and identifiers, and one caster.
pub(crate) struct World {
    pub(crate) catalog: Catalog,
    pub(crate) caster: String,
    pub(crate) now_unix_ms: u64,
    pub(crate) expected_revision: Option<u64>,
    ids: Cell<u128>,
}

impl World {
    /// A caster that was only created.
    pub(crate) fn bare() -> World {
        let mut world = World {
            catalog: Catalog::default(),
            caster: String::new(),
            now_unix_ms: 1000,
            expected_revision: None,
            ids: Cell::new(0),
        };
        world.caster = world.create("token").unwrap();
        world
    }

    /// A caster that can start: three sources, a layout of each of the first two, a text, an image.
    pub(crate) fn ready() -> World {
        let mut world = World::bare();
        let caster_id = world.caster.clone();
        world.ok(Call::SetCasterConfig { caster_id, config: config() });
        for number in 1..=3 {
            world.add_resource(number);
        }
        world.add_layout(&[1], &[1]);
        world.add_layout(&[1, 2], &[2]);
        world.add_component(1, text("hello"));
        world.add_component(2, image("file:///logo.png"));
        world
    }

    /// A caster on air that shows its first layout and the text on both scenes.
    pub(crate) fn on_air() -> World {
        let mut world = World::ready();
        let caster_id = world.caster.clone();
        world.ok(Call::StartCaster { caster_id });
        for bus in [Bus::Pvw, Bus::Pgm] {
            world.ok(Call::SetCasterSceneConfig(world.scene(bus, Some(0), &[0])));
        }
        world
    }

    pub(crate) fn create(&mut self, token: &str) -> Result<String, Refused> {
        let draft = CreateCaster {
            caster_name: String::new(),
            client_token: token.into(),
            norm_type: Some(1),
            charge_type: "PostPaid".into(),
            ..Default::default()
        };
        match self.call(Call::CreateCaster(draft))?.answer {
            Answer::Written(written) => Ok(written.caster.to_string()),
            other => panic!("{other:?}"),
        }
    }

    /// Prepares and commits.
    pub(crate) fn call(&mut self, call: Call) -> Result<Prepared, Refused> {
        self.now_unix_ms += 1;
        let fresh = || {
            self.ids.set(self.ids.get() + 1);
            Uuid::from_u128(self.ids.get())
        };
        let media = |id: &MaterialId| match id.as_str() {
            "clip" => Some(MediaFacts::Video { duration_ms: 60_000 }),
            "still" => Some(MediaFacts::Image),
            _ => None,
        };
        let ctx = Context {
            media: &media,
            expected_revision: self.expected_revision,
            ..Context::new(self.now_unix_ms, &fresh)
        };
        let prepared = self.catalog.prepare(call, &ctx)?;
        if let Some(change) = prepared.change.clone() {
            self.catalog.commit(change);
        }
        Ok(prepared)
    }

    pub(crate) fn ok(&mut self, call: Call) -> Prepared {
        let told = format!("{call:?}");
        self.call(call).unwrap_or_else(|refused| panic!("{told}: {refused}"))
    }

    fn refused(&mut self, call: Call, code: ErrorCode) {
        let told = format!("{call:?}");
        let before = self.catalog.clone();
        match self.call(call) {
            Err(refused) => assert_eq!(refused.code, code, "{told}: {}", refused.message),
            Ok(_) => panic!("{told} was accepted, not refused with {code}"),
        }
        assert_eq!(self.catalog, before, "{told}");
    }

    pub(crate) fn the_caster(&self) -> &Caster {
        self.catalog.caster(&CasterId::parse(&self.caster).unwrap()).unwrap()
    }

    pub(crate) fn add_resource(&mut self, number: u8) {
        let (caster_id, draft) = (self.caster.clone(), resource(number));
        self.ok(Call::AddCasterVideoResource { caster_id, draft });
    }

    fn add_layout(&mut self, blend: &[u8], mix: &[u8]) {
        let (caster_id, draft) = (self.caster.clone(), layout(blend, mix));
        self.ok(Call::AddCasterLayout { caster_id, draft });
    }

    fn add_component(&mut self, number: u8, mut draft: ComponentDraft) {
        draft.location_id = format!("RC{number:02}");
        let caster_id = self.caster.clone();
        self.ok(Call::AddCasterComponent { caster_id, draft });
    }

    pub(crate) fn scene_id(&self, bus: Bus) -> String {
        self.the_caster().scene(bus).map(|s| s.id.to_string()).unwrap_or_default()
    }

    fn scene(&self, bus: Bus, layout: Option<usize>, components: &[usize]) -> SceneDraft {
        let caster = self.the_caster();
        SceneDraft {
            caster_id: self.caster.clone(),
            scene_id: self.scene_id(bus),
            layout_id: layout.map(|i| caster.layouts[i].id.to_string()).unwrap_or_default(),
            component_ids: components
                .iter()
                .map(|&i| caster.components[i].id.to_string())
                .collect(),
            when: WhenDraft::default(),
            way: WayDraft::default(),
        }
    }

    fn effect_call(&self, bus: Bus, index: usize) -> Call {
        Call::EffectCasterVideoResource {
            caster_id: self.caster.clone(),
            scene_id: self.scene_id(bus),
            resource_id: self.resource_id(index),
        }
    }

    fn resource_id(&self, index: usize) -> String {
        self.the_caster().resources[index].id.to_string()
    }

    fn layout_id(&self, index: usize) -> String {
        self.the_caster().layouts[index].id.to_string()
    }

    fn component_id(&self, index: usize) -> String {
        self.the_caster().components[index].id.to_string()
    }
}

pub(crate) fn config() -> ConfigDraft {
    ConfigDraft {
        domain_name: "live.example.com".into(),
        caster_template: "lp_hd".into(),
        ..ConfigDraft::default()
    }
}

pub(crate) fn resource(number: u8) -> ResourceDraft {
    ResourceDraft {
        resource_name: format!("camera {number}"),
        location_id: format!("RV{number:02}"),
        live_stream_url: format!("rtmp://in.example.com/app/cam{number}"),
        ..ResourceDraft::default()
    }
}

pub(crate) fn layout(blend: &[u8], mix: &[u8]) -> LayoutDraft {
    let names = |list: &[u8]| list.iter().map(|n| format!("RV{n:02}")).collect();
    LayoutDraft {
        blend_list: names(blend),
        video_layers: blend.iter().map(|_| video_layer(1.0, &[0.0, 0.0])).collect(),
        mix_list: names(mix),
        audio_layers: mix.iter().map(|_| AudioLayerDraft::default()).collect(),
        ..LayoutDraft::default()
    }
}

fn video_layer(width: f32, position: &[f32]) -> VideoLayerDraft {
    VideoLayerDraft {
        fill_mode: "fit".into(),
        placement: PlacementDraft {
            width_normalized: width,
            height_normalized: width,
            position_normalized: position.to_vec(),
            position_refer: String::new(),
        },
        ..VideoLayerDraft::default()
    }
}

pub(crate) fn text(text: &str) -> ComponentDraft {
    ComponentDraft {
        component_type: "text".into(),
        layer: Some(ComponentLayerDraft::default()),
        text: Some(TextDraft { text: text.into(), ..TextDraft::default() }),
        ..ComponentDraft::default()
    }
}

pub(crate) fn image(url: &str) -> ComponentDraft {
    ComponentDraft {
        component_type: "image".into(),
        layer: Some(ComponentLayerDraft::default()),
        image: Some(super::ImageDraft { image_url: url.into(), ..super::ImageDraft::default() }),
        ..ComponentDraft::default()
    }
}

fn subject(prepared: &Prepared) -> &Subject {
    match &prepared.answer {
        Answer::Written(written) => &written.subject,
        other => panic!("{other:?}"),
    }
}

/// Whether effects are only asked of a caster on air, and reads ask for nothing.
pub(crate) fn effects_fit(prepared: &Prepared) -> bool {
    match &prepared.change {
        Some(Change::Upsert(caster)) => {
            caster.is_on_air() || prepared.effects.is_empty() || prepared.effects == [Effect::Stop]
        }
        Some(Change::Delete(_) | Change::UpsertGroup(_) | Change::DeleteGroup(_)) | None => {
            prepared.effects.is_empty()
        }
    }
}
