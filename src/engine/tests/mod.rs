//! Tests of the engine through its public face, and what they share.

mod clocks;
mod commands;
mod cues;
mod files;
mod groups;
mod pauses;
mod sounds;
mod transit;
mod views;
mod vigil;

use std::sync::{Arc, OnceLock};

use super::{
    AudioFilter, Command, CommandId, Engine, EngineConfig, InputKind, MixSpec, Plan, ValidChannel,
    Way,
};
use crate::frame::{AudioBlock, Picture, Size, StereoSample, VideoFrame};
use crate::ids::InputKey;
use crate::limits;
use crate::picture::{LayerSpec, Look, Placement};
use crate::time::FrameRate;

/// An engine and the tick it is at.
struct Stage {
    engine: Engine,
    n: u64,
    commands: u64,
}

impl Stage {
    fn new(rate: FrameRate) -> Stage {
        let config = EngineConfig {
            rate,
            canvas: Size::new(640, 360),
            file_ahead: limits::FILE_AHEAD_FRAMES,
        };
        Stage { engine: Engine::new(config), n: 0, commands: 0 }
    }

    /// With inputs 1, 2… of these kinds, all in PGM's picture and mix from tick 0 on.
    fn with(rate: FrameRate, kinds: &[InputKind]) -> Stage {
        let mut stage = Stage::new(rate);
        let keys: Vec<_> = (1..=kinds.len() as u32).map(InputKey).collect();
        for (&input, &kind) in keys.iter().zip(kinds) {
            stage.command(Command::AddInput { input, kind, held: false });
        }
        let spec = scene(&keys);
        let when = super::Readiness { force: true, wait: std::time::Duration::ZERO };
        stage.command(Command::SetScene { bus: crate::ids::Bus::Pgm, spec, when, way: Way::CUT });
        stage.tick();
        stage
    }

    fn command(&mut self, command: Command) -> CommandId {
        self.commands += 1;
        self.engine.command(CommandId(self.commands), command);
        CommandId(self.commands)
    }

    fn tick(&mut self) -> Plan {
        let plan = self.engine.tick(self.n);
        assert_eq!(plan.tick, self.n);
        self.n += 1;
        plan
    }
}

fn scene(inputs: &[InputKey]) -> super::SceneSpec {
    let layer = |&input: &InputKey| LayerSpec {
        input,
        placement: Placement::default(),
        delay_ms: 0,
        look: Look::default(),
    };
    let entry = |&input: &InputKey| MixSpec {
        input,
        gain: 1.0,
        channel: ValidChannel::All,
        delay_ms: 0,
        filter: AudioFilter::default(),
    };
    super::SceneSpec {
        picture: crate::picture::ScenePicture {
            layers: inputs.iter().map(layer).collect(),
            ..Default::default()
        },
        mix: inputs.iter().map(entry).collect(),
    }
}

/// A frame of a tiny picture; the timestamp tells which.
fn frame(pts_ns: i64) -> VideoFrame {
    static PICTURE: OnceLock<Arc<Picture>> = OnceLock::new();
    let picture = PICTURE.get_or_init(|| Arc::new(Picture::flat(Size::new(2, 2), [16, 128, 128])));
    VideoFrame { pts_ns, picture: picture.clone(), scaled: Vec::new() }
}

fn block(pts_ns: i64, samples: impl IntoIterator<Item = StereoSample>) -> AudioBlock {
    AudioBlock { pts_ns, samples: samples.into_iter().collect() }
}

/// Timestamp of the frame that an input shows in a plan.
fn shown(plan: &Plan, input: u32) -> Option<i64> {
    let frame = plan.frames.iter().find(|(key, _)| *key == InputKey(input));
    frame.map(|(_, frame)| frame.pts_ns)
}
