//! Ramps, routes, delay, limiter and meters; filters in a file of their own.

use super::limiter::KNEE;
use super::{AudioFilter, Level, MixSpec, Mixer, RAMP_SAMPLES, ValidChannel};
use crate::frame::StereoSample;
use crate::ids::InputKey;

mod filters;

const A: InputKey = InputKey(1);
const B: InputKey = InputKey(2);

fn entry(input: InputKey, gain: f32) -> MixSpec {
    MixSpec { input, gain, channel: ValidChannel::All, delay_ms: 0, filter: AudioFilter::default() }
}

/// Blocks of uneven length of a mix over constant sources A = (0.5, 0.25) and B = (−0.25, 0.5).
fn play(mixer: &mut Mixer, samples: usize) -> Vec<StereoSample> {
    let (a, b) = (vec![[0.5f32, 0.25]; 1000], vec![[-0.25f32, 0.5]; 1000]);
    let mut all = Vec::new();
    while all.len() < samples {
        let len = [800, 801, 799][all.len() % 3].min(samples - all.len());
        let source = |input| match input {
            A => Some(&a[..len]),
            B => Some(&b[..len]),
            _ => None,
        };
        all.extend(mixer.mix(&source, len).0);
    }
    all
}

fn largest_step(samples: &[StereoSample], before: StereoSample) -> f32 {
    let firsts = std::iter::once(&before).chain(samples);
    firsts
        .zip(samples)
        .map(|(a, b)| (a[0] - b[0]).abs().max((a[1] - b[1]).abs()))
        .fold(0.0, f32::max)
}

#[test]
fn every_change_is_a_ramp_of_30_ms() {
    let left = MixSpec { channel: ValidChannel::Left, ..entry(A, 1.0) };
    let right = MixSpec { channel: ValidChannel::Right, ..entry(A, 1.0) };
    let table: [(&str, &[MixSpec], StereoSample); 8] = [
        ("in", &[entry(A, 1.0)], [0.5, 0.25]),
        ("down", &[entry(A, 0.5)], [0.25, 0.125]),
        ("add", &[entry(A, 0.5), entry(B, 1.0)], [0.0, 0.625]),
        ("swap", &[entry(B, 0.5)], [-0.125, 0.25]),
        ("left", &[left], [0.5, 0.5]),
        ("right", &[right], [0.25, 0.25]),
        ("mute", &[entry(A, 0.0)], [0.0, 0.0]),
        ("none", &[], [0.0, 0.0]),
    ];
    let mut mixer = Mixer::new();
    let mut before = [0.0; 2];
    for (name, mix, after) in table {
        mixer.set(mix, RAMP_SAMPLES);
        let out = play(&mut mixer, 3000);
        let bound = 1.5 / RAMP_SAMPLES as f32;
        assert!(largest_step(&out, before) <= bound, "{name}: step {}", largest_step(&out, before));
        let ramp = RAMP_SAMPLES as usize;
        assert!(
            out[ramp..].iter().all(|s| *s == after),
            "{name}: {:?} at the end of the ramp",
            out[ramp]
        );
        let near = |s: StereoSample| (s[0] - after[0]).abs() + (s[1] - after[1]).abs();
        assert!(before == after || near(out[ramp - 100]) > 0.0, "{name}: the ramp ended early");
        before = after;
    }
    assert!(mixer.voices.is_empty());
}

#[test]
fn a_source_that_vanishes_fades() {
    let mut mixer = Mixer::new();
    mixer.set(&[entry(A, 1.0)], RAMP_SAMPLES);
    let before = play(&mut mixer, 3000)[2999];
    let (out, _) = mixer.mix(&|_| None, 800);
    assert!(largest_step(&out, before) < 0.01);
    assert_eq!(out[799], [0.0; 2]);
}

#[test]
fn a_delay_is_exact_and_has_its_past() {
    let late = MixSpec { delay_ms: 100, ..entry(A, 1.0) };
    let mut mixer = Mixer::new();
    // Prepared on preview: the past is collected, nothing sounds.
    mixer.prepare(&[], std::slice::from_ref(&late));
    assert!(mixer.needs(A));
    let ramp = |from: usize| (from..from + 960).map(|i| [i as f32 / 1e5; 2]).collect::<Vec<_>>();
    for n in 0..20 {
        if n == 10 {
            mixer.set(std::slice::from_ref(&late), RAMP_SAMPLES);
        }
        let now = ramp(n * 960);
        let (block, _) = mixer.mix(&|_| Some(now.as_slice()), 960);
        if n >= 12 {
            assert_eq!(block, ramp(n * 960 - 4800), "block {n}");
        } else if n >= 10 {
            assert!(block[959][0] > 0.0);
        } else {
            assert_eq!(block, vec![[0.0; 2]; 960]);
        }
    }
    mixer.set(&[], RAMP_SAMPLES);
    mixer.prepare(&[], &[]);
    assert!(mixer.needs(A), "still fading");
}

#[test]
fn the_limiter_bends_only_what_is_loud() {
    for (input, gain, loud) in
        [(0.5, 1.0, false), (0.85, 1.0, false), (0.95, 1.0, true), (1.0, 10.0, true)]
    {
        let mut mixer = Mixer::new();
        mixer.set(&[entry(A, gain)], RAMP_SAMPLES);
        let wave: Vec<_> = (0..960).map(|i| [input * (i as f32 * 0.05).sin(); 2]).collect();
        let mut out = Vec::new();
        for _ in 0..4 {
            out = mixer.mix(&|_| Some(wave.as_slice()), 960).0;
            assert!(out.iter().all(|s| s[0].abs() <= 1.0));
        }
        assert_eq!(out == wave, !loud, "{input} × {gain}");
        assert_eq!(Level::of(&out).peak > KNEE, loud);
    }
    let mut mixer = Mixer::new();
    mixer.set(&[entry(A, 1.0)], RAMP_SAMPLES);
    let bad = vec![[f32::NAN, f32::INFINITY]; 960];
    let (out, level) = mixer.mix(&|_| Some(bad.as_slice()), 960);
    assert!(out.iter().flatten().all(|v| v.is_finite()) && level.peak == 0.0);
}
