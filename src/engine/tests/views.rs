//! Layers with a delay: what they show, and what others see of it.

use std::sync::Arc;

use super::super::{Command, Event, InputKind, Readiness, SceneSpec, Way};
use super::files::{FILE, File};
use super::{Stage, frame, scene, shown};
use crate::frame::{Picture, Size, VideoFrame};
use crate::ids::{Bus, InputKey};
use crate::limits;
use crate::picture::{DrawOp, LayerSpec};
use crate::time::FrameRate;

const NOW: Readiness = Readiness { force: true, wait: std::time::Duration::ZERO };

/// The file once for each delay, side by side.
fn delayed(delays_ms: &[u32]) -> SceneSpec {
    let mut spec = scene(&[FILE]);
    let layer = spec.picture.layers[0].clone();
    let layers = delays_ms.iter().map(|&delay_ms| LayerSpec { delay_ms, ..layer.clone() });
    spec.picture.layers = layers.collect();
    spec
}

#[test]
fn a_layer_shows_what_its_input_showed() {
    for rate in FrameRate::SUPPORTED {
        let mut stage = Stage::with(rate, &[InputKind::Paced]);
        let delays = [0, 200, 1000, 5000, 9000];
        let ticks = delays.map(|ms| rate.tick_at(u64::from(ms.min(5000)) * 1_000_000) as i64);
        stage.command(Command::SetScene {
            bus: Bus::Pgm,
            spec: delayed(&delays),
            when: NOW,
            way: Way::CUT,
        });
        let mut file = File::new(i64::from(rate.num()), i64::from(rate.den()));
        file.feed(&mut stage);
        for n in 0..400 {
            let plan = stage.tick();
            file.feed(&mut stage);
            assert_eq!(plan.pgm.ops.len(), delays.len());
            for (op, late) in plan.pgm.ops.iter().zip(ticks) {
                let DrawOp::Layer { input, .. } = op else { panic!("{op:?}") };
                let number = file.frame_of(shown(&plan, input.0).expect("a frame"));
                assert_eq!(number, (n - late).max(0), "{rate}: tick {n}, {late} late");
                let sizes = plan.wanted.iter().find(|(key, _)| key == input);
                assert_eq!(sizes.map(|(_, sizes)| sizes.len()), Some(1));
            }
            assert_eq!(plan.tally.pgm, [FILE]);
            // The same delay is kept once.
            assert_eq!(plan.frames.len(), 4);
        }
    }
}

#[test]
fn pvw_fills_a_delay_ahead_of_the_take() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
    let mut file = File::new(30, 1);
    stage.command(Command::SetScene {
        bus: Bus::Pvw,
        spec: delayed(&[500]),
        when: NOW,
        way: Way::CUT,
    });
    for n in 0..200 {
        file.feed(&mut stage);
        if n == 100 {
            stage.command(Command::Take { when: NOW, way: Way::CUT });
        }
        let plan = stage.tick();
        let DrawOp::Layer { input, .. } = plan.pgm.ops[0] else { panic!("{:?}", plan.pgm) };
        let late = if n < 100 { 0 } else { 15 };
        assert_eq!(file.frame_of(shown(&plan, input.0).unwrap()), n - late, "tick {n}");
    }
    // Gone from both, it is kept no longer: the next use begins anew.
    for spec in [delayed(&[0]), delayed(&[500])] {
        for bus in [Bus::Pgm, Bus::Pvw] {
            stage.command(Command::SetScene { bus, spec: spec.clone(), when: NOW, way: Way::CUT });
        }
        file.feed(&mut stage);
        let plan = stage.tick();
        let DrawOp::Layer { input, .. } = plan.pgm.ops[0] else { panic!("{:?}", plan.pgm) };
        assert_eq!(shown(&plan, input.0), shown(&plan, 1).or(shown(&plan, input.0)));
    }
    stage.command(Command::RemoveInput { input: FILE });
    assert!(stage.tick().frames.is_empty());
}

#[test]
fn what_is_kept_has_limits() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Still]);
    // 16 MB each: 32 of them may be kept.
    let size = Size::new(4096, 2730);
    stage.command(Command::SetScene {
        bus: Bus::Pgm,
        spec: delayed(&[3000]),
        when: NOW,
        way: Way::CUT,
    });
    let mut told = 0;
    for n in 0..120 {
        let picture = Arc::new(Picture::flat(size, [n as u8, 128, 128]));
        stage.engine.video(FILE, VideoFrame { picture, ..frame(n) });
        let plan = stage.tick();
        told += plan.events.iter().filter(|event| matches!(event, Event::DelayCut { .. })).count();
        let DrawOp::Layer { input, .. } = plan.pgm.ops[0] else { panic!("{:?}", plan.pgm) };
        let late = n - shown(&plan, input.0).unwrap();
        assert!((n.min(30)..=n.min(33)).contains(&late), "tick {n}: {late} late");
    }
    assert_eq!(told, 1);
    let many: Vec<u32> = (1..=limits::MAX_VIEWS as u32 + 3).map(|k| k * 100).collect();
    stage.command(Command::SetScene {
        bus: Bus::Pgm,
        spec: delayed(&many),
        when: NOW,
        way: Way::CUT,
    });
    stage.tick();
    let plan = stage.tick();
    // The rest share the input itself.
    assert_eq!(plan.frames.len(), limits::MAX_VIEWS + 1);
    assert_eq!(plan.tally.pgm, [InputKey(1)]);
}
