//! The show that is edited: a caster on air, and every kind of change that can be made to it, drawn at random.

use std::time::Duration;

use onair::api::client::Client;
use onair::api::grpc::pb as v1;
use onair::time::Clock;

use crate::support::{self, From, Server};
use crate::{Failed, Sample, sample};

/// How long both scenes show the same before a look: overlays are kept for 60 s after they were last shown.
const STILL: Duration = Duration::from_secs(70);

/// An xorshift generator: the same seed, the same show.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % end
    }

    /// 0–1 in hundredths.
    pub(crate) fn share(&mut self) -> f32 {
        self.below(101) as f32 / 100.0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// A caster on air and what it has to play with.
pub(crate) struct Show {
    client: Client,
    caster: String,
    pub(crate) pvw: v1::Scene,
    pgm: v1::Scene,
    locations: Vec<String>,
    /// The layout that is never changed.
    plain: String,
    layouts: Vec<String>,
    components: Vec<String>,
    edits: u64,
    refused: u64,
}

const TEXTS: [&str; 5] =
    ["Evening news", "晚间新闻", "Вечерние новости", "أخبار المساء", "two lines\nof text"];

impl Show {
    pub(crate) async fn start(server: &Server) -> Result<Show, Failed> {
        let mut client = server.client().await;
        let request = v1::CreateCasterRequest {
            caster_name: "soak".into(),
            client_token: "soak".into(),
            norm_type: Some(1),
            charge_type: "PostPaid".into(),
            ..Default::default()
        };
        let caster = client.create_caster(request).await?.into_inner().caster_id;
        let config = v1::CasterConfig {
            domain_name: "127.0.0.1".into(),
            transcode_config: Some(v1::TranscodeConfig {
                caster_template: "lp_hd".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request =
            v1::SetCasterConfigRequest { caster_id: caster.clone(), config: Some(config) };
        client.set_caster_config(request).await?;
        let sources = ["file:clip.mp4", "file:clip.mp4", "pattern:640x360", "pattern:640x360"];
        let mut locations = Vec::new();
        for (index, url) in sources.iter().enumerate() {
            locations.push(format!("RV{:02}", index + 1));
            support::add_source(&mut client, &caster, &locations[index], &From::Vod(url)).await;
        }
        let request = v1::StartCasterRequest { caster_id: caster.clone() };
        let started = client.start_caster(request).await?.into_inner();
        let (Some(pvw), Some(pgm)) = (started.pvw_scene, started.pgm_scene) else {
            return Err("StartCaster answered without scenes".into());
        };
        let plain = v1::AddCasterLayoutRequest {
            caster_id: caster.clone(),
            layout: Some(quad(&locations)),
            ..Default::default()
        };
        let plain = client.add_caster_layout(plain).await?.into_inner().layout_id;
        let (layouts, components) = (Vec::new(), Vec::new());
        let (edits, refused) = (0, 0);
        Ok(Show { client, caster, pvw, pgm, locations, plain, layouts, components, edits, refused })
    }

    pub(crate) fn flv(&self) -> String {
        let flv = self.pgm.stream_infos.iter().find(|info| info.video_format == "flv");
        flv.map_or_else(String::new, |info| info.output_stream_url.clone())
    }

    pub(crate) async fn state(&mut self) -> Result<v1::WatchCasterResponse, Failed> {
        let request =
            v1::WatchCasterRequest { caster_id: self.caster.clone(), ..Default::default() };
        let mut states = self.client.watch_caster(request).await?.into_inner();
        Ok(states.message().await?.ok_or("no state")?)
    }

    /// Random changes for so long, and a row of the table for each minute of the show that begins meanwhile.
    pub(crate) async fn edit_for(
        &mut self,
        length: Duration,
        chance: &mut Chance,
        server: &Server,
        clock: &Clock,
    ) -> Result<(), Failed> {
        let end_ns = clock.now_ns() + length.as_nanos() as u64;
        let mut minute = None;
        while clock.now_ns() < end_ns {
            self.edit(chance).await?;
            let now = clock.now_ns() / 60_000_000_000;
            if minute.replace(now) != Some(now) {
                let Sample { rss_mib, gpu_objects } = sample(server)?;
                let Show { edits, refused, .. } = self;
                println!("| {now} | {edits} | {refused} | {rss_mib:.1} | {gpu_objects} |");
            }
            tokio::time::sleep(Duration::from_millis(100 + chance.below(400))).await;
        }
        Ok(())
    }

    /// Puts the same plain layout on both scenes, waits until nothing is kept that they do not need, and looks.
    pub(crate) async fn still(&mut self, server: &Server) -> Result<Sample, Failed> {
        let request = v1::FadeCasterToBlackRequest {
            caster_id: self.caster.clone(),
            on: false,
            duration_frames: 1,
        };
        self.client.fade_caster_to_black(request).await?;
        for scene_id in [self.pvw.scene_id.clone(), self.pgm.scene_id.clone()] {
            let request = v1::SetCasterSceneConfigRequest {
                caster_id: self.caster.clone(),
                scene_id,
                layout_id: self.plain.clone(),
                ..Default::default()
            };
            self.client.set_caster_scene_config(request).await?;
        }
        tokio::time::sleep(STILL).await;
        sample(server)
    }

    /// One random change. What the rules refuse (a layout that is on air is deleted, say) is counted; what breaks is an error.
    async fn edit(&mut self, chance: &mut Chance) -> Result<(), Failed> {
        self.edits += 1;
        let result = match chance.below(11) {
            0 => self.add_layout(chance).await,
            1 => self.add_text(chance).await,
            2 => self.modify_layout(chance).await,
            3 => self.modify_text(chance).await,
            4 => self.delete(chance).await,
            5 => self.set_scene(chance, self.pgm.scene_id.clone()).await,
            6 => self.mix(chance).await,
            7 => self.take(chance).await,
            8 => self.fade(chance).await,
            _ => match self.set_scene(chance, self.pvw.scene_id.clone()).await {
                Ok(()) => self.take(chance).await,
                refused => refused,
            },
        };
        match result {
            Ok(()) => Ok(()),
            Err(status) if is_a_rule(&status) => {
                self.refused += 1;
                Ok(())
            }
            Err(status) => Err(status.into()),
        }
    }

    async fn add_layout(&mut self, chance: &mut Chance) -> Result<(), tonic::Status> {
        let layout = self.layout(chance);
        let request = v1::AddCasterLayoutRequest {
            caster_id: self.caster.clone(),
            layout: Some(layout),
            ..Default::default()
        };
        let answer = self.client.add_caster_layout(request).await?.into_inner();
        self.layouts.push(answer.layout_id);
        Ok(())
    }

    async fn modify_layout(&mut self, chance: &mut Chance) -> Result<(), tonic::Status> {
        if self.layouts.is_empty() {
            return Ok(());
        }
        let request = v1::ModifyCasterLayoutRequest {
            caster_id: self.caster.clone(),
            layout_id: chance.pick(&self.layouts).clone(),
            layout: Some(self.layout(chance)),
            ..Default::default()
        };
        self.client.modify_caster_layout(request).await.map(drop)
    }

    fn layout(&self, chance: &mut Chance) -> v1::Layout {
        let count = 1 + chance.below(self.locations.len() as u64) as usize;
        let first = chance.below(self.locations.len() as u64) as usize;
        let shown: Vec<String> =
            self.locations.iter().cycle().skip(first).take(count).cloned().collect();
        let video_layers = shown.iter().map(|_| v1::VideoLayer {
            fill_mode: chance.pick(&["fit", "none"]).to_string(),
            width_normalized: 0.1 + 0.9 * chance.share(),
            height_normalized: 0.1 + 0.9 * chance.share(),
            position_normalized: vec![chance.share() - 0.3, chance.share() - 0.3],
            position_refer: chance.pick(&["topLeft", "center", "bottomRight"]).to_string(),
            look: (chance.below(2) == 0).then(|| look(chance)),
            ..Default::default()
        });
        v1::Layout {
            video_layers: video_layers.collect(),
            mix_list: vec![shown[0].clone()],
            audio_layers: vec![v1::AudioLayer::default()],
            blend_list: shown,
            backdrop: Some(v1::Backdrop { color: color(chance), image: None }),
            ..Default::default()
        }
    }

    async fn add_text(&mut self, chance: &mut Chance) -> Result<(), tonic::Status> {
        let component = v1::Component {
            location_id: format!("RC{:02}", 1 + chance.below(20)),
            component_type: "text".into(),
            component_layer: Some(v1::ComponentLayer {
                position_normalized: vec![chance.share() * 0.8, chance.share() * 0.9],
                transparency: Some(chance.below(256) as i32),
                ..Default::default()
            }),
            text_layer_content: Some(text(chance)),
            effect: chance.pick(&["none", "none", "animateH", "animateV"]).to_string(),
            ..Default::default()
        };
        let request = v1::AddCasterComponentRequest {
            caster_id: self.caster.clone(),
            component: Some(component),
        };
        let answer = self.client.add_caster_component(request).await?.into_inner();
        self.components.push(answer.component_id);
        Ok(())
    }

    async fn modify_text(&mut self, chance: &mut Chance) -> Result<(), tonic::Status> {
        if self.components.is_empty() {
            return Ok(());
        }
        let component =
            v1::Component { text_layer_content: Some(text(chance)), ..Default::default() };
        let request = v1::ModifyCasterComponentRequest {
            caster_id: self.caster.clone(),
            component_id: chance.pick(&self.components).clone(),
            component: Some(component),
        };
        self.client.modify_caster_component(request).await.map(drop)
    }

    /// A layout or a component that is too many.
    async fn delete(&mut self, chance: &mut Chance) -> Result<(), tonic::Status> {
        if self.layouts.len() > 8 {
            let index = chance.below(self.layouts.len() as u64) as usize;
            let request = v1::DeleteCasterLayoutRequest {
                caster_id: self.caster.clone(),
                layout_id: self.layouts[index].clone(),
            };
            self.client.delete_caster_layout(request).await?;
            self.layouts.swap_remove(index);
        }
        if self.components.len() > 8 {
            let index = chance.below(self.components.len() as u64) as usize;
            let request = v1::DeleteCasterComponentRequest {
                caster_id: self.caster.clone(),
                component_id: self.components[index].clone(),
            };
            self.client.delete_caster_component(request).await?;
            self.components.swap_remove(index);
        }
        Ok(())
    }

    async fn set_scene(
        &mut self,
        chance: &mut Chance,
        scene_id: String,
    ) -> Result<(), tonic::Status> {
        if self.layouts.is_empty() {
            return Ok(());
        }
        let mut component_ids: Vec<String> =
            (0..chance.below(4)).filter_map(|_| self.components.first().cloned()).collect();
        if !self.components.is_empty() {
            component_ids.push(chance.pick(&self.components).clone());
        }
        component_ids.sort_unstable();
        component_ids.dedup();
        let is_pgm = scene_id == self.pgm.scene_id;
        let request = v1::SetCasterSceneConfigRequest {
            caster_id: self.caster.clone(),
            scene_id,
            layout_id: chance.pick(&self.layouts).clone(),
            component_ids,
            component_fade_frames: is_pgm.then(|| chance.below(20) as i32),
            ..Default::default()
        };
        self.client.set_caster_scene_config(request).await.map(drop)
    }

    async fn take(&mut self, chance: &mut Chance) -> Result<(), tonic::Status> {
        let request = v1::CopyCasterSceneConfigRequest {
            caster_id: self.caster.clone(),
            from_scene_id: self.pvw.scene_id.clone(),
            to_scene_id: self.pgm.scene_id.clone(),
            force: chance.below(4) == 0,
            transition: (chance.below(3) > 0).then(|| transition(chance)),
            ..Default::default()
        };
        self.client.copy_caster_scene_config(request).await.map(drop)
    }

    async fn fade(&mut self, chance: &mut Chance) -> Result<(), tonic::Status> {
        let request = v1::FadeCasterToBlackRequest {
            caster_id: self.caster.clone(),
            on: chance.below(2) == 0,
            duration_frames: chance.below(30) as i32,
        };
        self.client.fade_caster_to_black(request).await.map(drop)
    }

    async fn mix(&mut self, chance: &mut Chance) -> Result<(), tonic::Status> {
        let layer = v1::AudioLayer { volume_rate: Some(chance.share()), ..Default::default() };
        let request = v1::UpdateCasterSceneAudioRequest {
            caster_id: self.caster.clone(),
            scene_id: self.pgm.scene_id.clone(),
            follow_enable: Some(chance.below(2) as i32),
            mix_list: vec![chance.pick(&self.locations).clone()],
            audio_layers: vec![layer],
        };
        self.client.update_caster_scene_audio(request).await.map(drop)
    }
}

/// All four sources, each in its quarter.
fn quad(locations: &[String]) -> v1::Layout {
    let quarters = [[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]];
    let video_layers = quarters.map(|at| v1::VideoLayer {
        fill_mode: "fit".into(),
        width_normalized: 0.5,
        height_normalized: 0.5,
        position_normalized: at.to_vec(),
        ..Default::default()
    });
    v1::Layout {
        video_layers: video_layers.to_vec(),
        mix_list: vec![locations[0].clone()],
        audio_layers: vec![v1::AudioLayer::default()],
        blend_list: locations.to_vec(),
        ..Default::default()
    }
}

fn color(chance: &mut Chance) -> String {
    format!("0x{:06x}", chance.below(0x100_0000))
}

fn look(chance: &mut Chance) -> v1::LayerLook {
    v1::LayerLook {
        crop_left: 0.3 * chance.share(),
        crop_bottom: 0.3 * chance.share(),
        mirror: chance.pick(&["none", "horizontal", "vertical"]).to_string(),
        opacity: Some(chance.share()),
        corner_radius: 0.1 * chance.share(),
        border_width: 0.02 * chance.share(),
        border_color: color(chance),
        ..Default::default()
    }
}

fn transition(chance: &mut Chance) -> v1::Transition {
    v1::Transition {
        kind: chance.pick(&["mix", "dip", "wipe", "slide", "push"]).to_string(),
        direction: chance.pick(&["left", "right", "up", "downRight"]).to_string(),
        color: String::new(),
        duration_frames: 1 + chance.below(25) as i32,
    }
}

fn text(chance: &mut Chance) -> v1::TextLayerContent {
    v1::TextLayerContent {
        text: chance.pick(&TEXTS).to_string(),
        color: color(chance),
        size_normalized: Some(0.02 + 0.1 * chance.share()),
        border_width_normalized: 0.1 * chance.share(),
        border_color: "0x000000".into(),
        background: (chance.below(3) == 0).then(|| v1::TextBackground {
            color: color(chance),
            opacity: Some(chance.share()),
            padding: chance.share(),
        }),
        ..Default::default()
    }
}

/// Whether the catalog's rules refused, as against something that broke.
fn is_a_rule(status: &tonic::Status) -> bool {
    use tonic::Code;
    matches!(
        status.code(),
        Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::NotFound
            | Code::InvalidArgument
            | Code::Aborted
    )
}
