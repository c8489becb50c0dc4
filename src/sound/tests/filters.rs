//! Gain control and noise suppression, on signals made here: syllables, tones and noise.

use std::f32::consts::TAU;

use super::super::auto_gain::TARGET_DB;
use super::super::filters::Filters;
use super::super::suppressor::LATENCY;
use super::super::{AnsMode, AudioFilter, Mixer, RAMP_SAMPLES, ValidChannel};
use super::{A, B, entry, largest_step};
use crate::frame::StereoSample;
use crate::ids::InputKey;
use crate::sound::MixSpec;
use crate::time::SAMPLE_RATE;

const SECOND: usize = SAMPLE_RATE as usize;
const NONE: AudioFilter = AudioFilter { agc: false, ans: None };
const AGC: AudioFilter = AudioFilter { agc: true, ans: None };
const SPEECH: AudioFilter = AudioFilter { agc: false, ans: Some(AnsMode::Speech) };
const MUSIC: AudioFilter = AudioFilter { agc: false, ans: Some(AnsMode::Music) };
const BOTH: AudioFilter = AudioFilter { agc: true, ans: Some(AnsMode::Speech) };

fn filtered(input: InputKey, filter: AudioFilter) -> MixSpec {
    MixSpec { filter, ..entry(input, 1.0) }
}

fn amplitude(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

fn db(samples: &[f32]) -> f32 {
    let sum: f64 = samples.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    10.0 * (sum / samples.len() as f64).log10() as f32
}

fn side(samples: &[StereoSample], side: usize) -> Vec<f32> {
    samples.iter().map(|s| s[side]).collect()
}

/// White noise of an RMS in dBFS, the same for the same seed.
fn noise(seed: u64, level_db: f32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    // Even between −√3 and √3 of the RMS.
    let scale = 3f32.sqrt() * amplitude(level_db);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next() * scale).collect()
}

fn tone(hertz: f32, level_db: f32, len: usize) -> Vec<f32> {
    let peak = amplitude(level_db) * 2f32.sqrt();
    (0..len).map(|i| peak * (TAU * hertz * i as f32 / SAMPLE_RATE as f32).sin()).collect()
}

/// Something like speech at an RMS of −26 dBFS: pulses of a gliding pitch through the formants of four vowels, four
/// syllables a second for a second and a half, then half a second of pause.
fn syllables(len: usize) -> Vec<f32> {
    const FORMANTS: [[f32; 3]; 4] = [
        [730.0, 1090.0, 2440.0],
        [270.0, 2290.0, 3010.0],
        [300.0, 870.0, 2240.0],
        [530.0, 1840.0, 2480.0],
    ];
    let (mut past, mut phase) = ([[0.0f32; 2]; 3], 0.0f32);
    let mut sample = |i: usize| {
        let t = i as f32 / SAMPLE_RATE as f32;
        phase += (120.0 + 20.0 * (TAU * 0.7 * t).sin()) / SAMPLE_RATE as f32;
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase = phase.fract();
        let mut voice = 0.0;
        for (k, hertz) in FORMANTS[(t * 4.0) as usize % 4].into_iter().enumerate() {
            let radius = (-TAU / 2.0 * (80.0 + 30.0 * k as f32) / SAMPLE_RATE as f32).exp();
            let turn = 2.0 * radius * (TAU * hertz / SAMPLE_RATE as f32).cos();
            let now = pulse + turn * past[k][0] - radius * radius * past[k][1];
            past[k] = [now, past[k][0]];
            voice += now / (1 << k) as f32;
        }
        let (syllable, within) = ((t * 4.0) as usize % 8, (t * 4.0).fract());
        let sounds = syllable < 6 && within < 0.7;
        if sounds { voice * (TAU / 2.0 * within / 0.7).sin() } else { 0.0 }
    };
    let raw: Vec<f32> = (0..len).map(&mut sample).collect();
    let gain = amplitude(-26.0 - db(&raw));
    raw.into_iter().map(|v| v * gain).collect()
}

fn added(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn stereo(left: &[f32], right: &[f32]) -> Vec<StereoSample> {
    left.iter().zip(right).map(|(l, r)| [*l, *r]).collect()
}

/// What a mixer makes of the sources of A and B (which is silence where it is empty), in blocks of these lengths in turn.
fn play(mixer: &mut Mixer, [a, b]: [&[StereoSample]; 2], cut: &[usize]) -> Vec<StereoSample> {
    let (mut out, mut cut) = (Vec::new(), cut.iter().cycle());
    while out.len() < a.len() {
        let end = a.len().min(out.len() + cut.next().unwrap());
        let range = out.len()..end;
        let source = |input| match input {
            A => a.get(range.clone()),
            _ => b.get(range.clone()),
        };
        let mixed = mixer.mix(&source, range.len()).0;
        assert_eq!(mixed.len(), range.len());
        out.extend(mixed);
    }
    out
}

/// What one filter makes of a source.
fn through(filter: AudioFilter, source: &[StereoSample]) -> Vec<StereoSample> {
    let mut mixer = Mixer::new();
    mixer.set(&[filtered(A, filter)], RAMP_SAMPLES);
    play(&mut mixer, [source, &[]], &[1600])
}

/// How much of `wanted` is in `heard`, dB, where `heard` is `late` samples later.
fn share_db(wanted: &[f32], heard: &[f32], late: usize) -> f32 {
    let pairs = wanted.iter().zip(&heard[late..]);
    let product: f64 = pairs.map(|(w, h)| f64::from(*w) * f64::from(*h)).sum();
    let power: f64 = wanted[..heard.len() - late].iter().map(|w| f64::from(*w).powi(2)).sum();
    20.0 * (product / power).log10() as f32
}

/// The pauses of [`syllables`] from the second one on, without what still sounds of the syllable before.
fn pauses(samples: &[f32]) -> Vec<f32> {
    let from = |k: usize| k * 2 * SECOND + SECOND * 16 / 10;
    (1..samples.len() / (2 * SECOND))
        .flat_map(|k| samples[from(k)..from(k) + SECOND * 3 / 10].to_vec())
        .collect()
}

#[test]
fn noise_goes_and_speech_stays() {
    let clean = syllables(8 * SECOND);
    // By how many dB the noise in pauses falls (measured: 21.9 and 23.6 from speech, 5.6 from music), and the delay.
    for (filter, falls_db, late) in
        [(NONE, -0.1..=0.1, 0), (SPEECH, 18.0..=99.0, LATENCY), (MUSIC, 5.0..=6.1, LATENCY)]
    {
        for level_db in [-50.0, -40.0] {
            let noisy = added(&clean, &noise(7, level_db, clean.len()));
            let out = through(filter, &stereo(&noisy, &noisy));
            assert!(out.iter().all(|s| s[0] == s[1]), "{filter:?}: the same on both sides");
            let out = side(&out, 0);
            let fell = level_db - db(&pauses(&out));
            assert!(falls_db.contains(&fell), "{filter:?}: {level_db} dBFS fell by {fell} dB");
            // Measured: −0.35 dB of speech, −0.17 dB in music's mode.
            let kept = share_db(&clean[SECOND..], &out[SECOND..], late);
            assert!(
                kept.abs() < 0.6,
                "{filter:?}: speech over {level_db} dBFS changed by {kept} dB"
            );
        }
    }
}

#[test]
fn suppression_keeps_the_image() {
    let left = syllables(8 * SECOND);
    let right: Vec<f32> = left.iter().map(|v| v * 0.5).collect();
    let noises = [1, 2].map(|seed| noise(seed, -46.0, left.len()));
    let (left_noisy, right_noisy) = (added(&left, &noises[0]), added(&right, &noises[1]));
    let out = through(SPEECH, &stereo(&left_noisy, &right_noisy));
    let [l, r] = [0, 1].map(|of| share_db(&left[SECOND..], &side(&out, of)[SECOND..], LATENCY));
    assert!((l - r - 6.02).abs() < 0.3, "6 dB to the left became {} dB", l - r);
    // Each side is what it would be alone, whether they were the same once or not.
    let parting = [&left_noisy[..3 * SECOND / 2], &right_noisy[3 * SECOND / 2..]].concat();
    let both = through(SPEECH, &stereo(&left_noisy, &parting));
    for (of, alone) in [&left_noisy, &parting].into_iter().enumerate() {
        assert!(side(&both, of) == side(&through(SPEECH, &stereo(alone, alone)), of), "side {of}");
    }
}

#[test]
fn filters_that_are_not_wanted_are_gone() {
    let block = vec![[0.25, -0.25]; 800];
    for filter in [AGC, SPEECH, MUSIC, BOTH] {
        let mut filters = Filters::new();
        assert!(filters.are_out());
        filters.set(filter);
        assert!(filters.run(None, ValidChannel::All, 800).is_none(), "nothing ever sounded");
        for _ in 0..5 {
            filters.run(Some(&block), ValidChannel::All, 800).unwrap();
        }
        let tail = (0..10).take_while(|_| filters.run(None, ValidChannel::All, 800).is_some());
        assert_eq!(tail.count(), 3, "{filter:?}: a ramp and the delay");
        filters.run(Some(&block), ValidChannel::All, 800).unwrap();
        filters.set(NONE);
        assert!(!filters.are_out(), "{filter:?} fades");
        for _ in 0..2 {
            filters.run(Some(&block), ValidChannel::All, 800).unwrap();
        }
        assert!(filters.are_out(), "{filter:?}");
    }
}

#[test]
fn gain_comes_to_the_target_and_leaves_the_background() {
    for level_db in [-40.0, -30.0, -12.0, -6.0] {
        let len = 8 * SECOND;
        for source in [tone(440.0, level_db, len), noise(3, level_db, len)] {
            let out = side(&through(AGC, &stereo(&source, &source)), 0);
            let end = db(&out[7 * SECOND..]);
            assert!((end - TARGET_DB).abs() < 0.5, "{level_db} dBFS came to {end}");
        }
    }
    // Something loud after something quiet: within full scale at once, on target in half a second.
    let (quiet, loud) = (tone(440.0, -40.0, 8 * SECOND), tone(440.0, -6.0, 2 * SECOND));
    let jump = [quiet, loud].concat();
    let out = side(&through(AGC, &stereo(&jump, &jump)), 0);
    assert!(out.iter().all(|v| v.abs() <= 1.0));
    let after = db(&out[8 * SECOND + SECOND / 2..9 * SECOND]);
    assert!((after - TARGET_DB).abs() < 1.0, "{after} half a second after the jump");
    // The gain of what was spoken stands in a pause; what never was more than background stays as it is.
    let hiss = noise(5, -50.0, 8 * SECOND);
    let (same, ramp) = (stereo(&hiss, &hiss), RAMP_SAMPLES as usize);
    assert!(through(AGC, &same)[ramp..] == same[ramp..]);
    let pause = [tone(440.0, -30.0, 5 * SECOND), hiss].concat();
    let out = side(&through(AGC, &stereo(&pause, &pause)), 0);
    let held = db(&out[12 * SECOND..]);
    assert!((held - -40.0).abs() < 0.2, "−50 dBFS came to {held} in a pause");
    let silence = vec![[0.0; 2]; 2 * SECOND];
    for filter in [AGC, SPEECH, MUSIC, BOTH] {
        assert_eq!(through(filter, &silence), silence, "{filter:?}");
    }
}

#[test]
fn gain_moves_slowly_and_without_steps() {
    let even = vec![[0.5; 2]; 2 * SECOND];
    let out = through(AGC, &even);
    assert!((out[2 * SECOND - 1][0] - amplitude(TARGET_DB)).abs() < 0.005);
    assert!(largest_step(&out, [0.0; 2]) < 1.0 / RAMP_SAMPLES as f32);
    // A pause of a second in which something else is to be heard, softly.
    let pause = [tone(440.0, -20.0, 4 * SECOND), noise(3, -38.0, SECOND)].concat();
    let out = side(&through(AGC, &stereo(&pause, &pause)), 0);
    let rose = db(&out[5 * SECOND - SECOND / 20..]) - -38.0;
    assert!((2.0..3.5).contains(&rose), "the gain rose by {rose} dB in a second");
}

#[test]
fn how_a_source_is_cut_into_blocks_is_not_heard() {
    let mono = added(&syllables(SECOND), &noise(7, -45.0, SECOND));
    let source = stereo(&mono, &noise(9, -30.0, SECOND));
    for filter in [AGC, SPEECH, BOTH] {
        let whole = through(filter, &source);
        for cut in [&[1601, 1602][..], &[800], &[1], &[479, 481, 960, 7], &[4799]] {
            let mut mixer = Mixer::new();
            mixer.set(&[filtered(A, filter)], RAMP_SAMPLES);
            assert!(play(&mut mixer, [&source, &[]], cut) == whole, "{filter:?} in {cut:?}");
        }
    }
}

#[test]
fn filters_come_and_go_without_a_click() {
    let (a, b) = (tone(440.0, -30.0, 6 * SECOND), tone(300.0, -26.0, 6 * SECOND));
    let (a, b) = (stereo(&a, &a), stereo(&b, &b));
    let own = largest_step(&a, a[0]);
    for stay in [12_000, 3000, 1000, 160] {
        let [mut both, mut alone, mut other] = [(); 3].map(|()| Mixer::new());
        other.set(&[entry(B, 1.0)], RAMP_SAMPLES);
        let mut heard = Vec::new();
        for filter in
            [NONE, SPEECH, MUSIC, BOTH, AGC, NONE, BOTH, MUSIC, NONE, AGC, NONE, SPEECH, NONE]
        {
            both.set(&[filtered(A, filter), entry(B, 1.0)], RAMP_SAMPLES);
            alone.set(&[filtered(A, filter)], RAMP_SAMPLES);
            let range = heard.len()..heard.len() + stay;
            let sources = [&a[range.clone()], &b[range]];
            let mixed = play(&mut both, sources, &[800]);
            let b_alone = play(&mut other, sources, &[800]);
            let a_alone = play(&mut alone, sources, &[800]);
            for ((mixed, a), b) in mixed.iter().zip(&a_alone).zip(&b_alone) {
                assert!((mixed[0] - a[0] - b[0]).abs() < 1e-6, "the other source changed");
            }
            heard.extend(a_alone);
        }
        let ramp = RAMP_SAMPLES as usize;
        let range = heard.len()..heard.len() + ramp + 800;
        heard.extend(play(&mut alone, [&a[range], &[]], &[800]));
        // The gain may come to 6 dB, and a ramp goes from one place of the tone to another.
        let bound = 2.0 * own + 4.0 * amplitude(-27.0) / RAMP_SAMPLES as f32;
        let step = largest_step(&heard, [0.0; 2]);
        assert!(step <= bound, "every {stay}: {step}, the tone itself {own}");
        assert!(heard[heard.len() - 800..] == a[heard.len() - 800..heard.len()], "nothing is left");
    }
}

#[test]
fn a_source_that_stops_is_not_kept() {
    let source = tone(440.0, -20.0, 2 * SECOND);
    let (source, silence) = (stereo(&source, &source), vec![[0.0; 2]; SECOND / 2]);
    let own = largest_step(&source, source[0]);
    let mut mixer = Mixer::new();
    mixer.set(&[filtered(A, BOTH)], RAMP_SAMPLES);
    // It vanishes at its peak: what is in the filters comes, and the rest fades.
    let peak = SECOND + 27;
    let mut heard = play(&mut mixer, [&source[..peak], &[]], &[1600]);
    heard.extend((0..8).flat_map(|_| mixer.mix(&|_| None, 800).0));
    let step = largest_step(&heard, [0.0; 2]);
    assert!(step <= 1.2 * own, "a step of {step}, the tone itself {own}");
    assert!(db(&side(&heard[peak..peak + LATENCY], 0)) > -24.0, "cut short");
    assert_eq!(mixer.mix(&|_| None, 1600).1.peak, 0.0);
    // Muted and heard again: nothing of what it was comes back.
    play(&mut mixer, [&source, &[]], &[1600]);
    mixer.set(&[MixSpec { gain: 0.0, ..filtered(A, BOTH) }], RAMP_SAMPLES);
    play(&mut mixer, [&source, &[]], &[1600]);
    mixer.set(&[filtered(A, BOTH)], RAMP_SAMPLES);
    assert_eq!(play(&mut mixer, [&silence, &[]], &[1600]), silence);
}

#[test]
fn a_filter_does_not_learn_nonsense() {
    let clean = syllables(4 * SECOND);
    let mut mixer = Mixer::new();
    mixer.set(&[filtered(A, SPEECH)], RAMP_SAMPLES);
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX].map(|v| [v, -v]);
    let out = play(&mut mixer, [&bad.repeat(400), &[]], &[1600]);
    assert!(out.iter().flatten().all(|v| v.abs() <= 1.0));
    let out = side(&play(&mut mixer, [&stereo(&clean, &clean), &[]], &[1600]), 0);
    let kept = share_db(&clean[2 * SECOND..], &out[2 * SECOND..], LATENCY);
    assert!(kept.abs() < 0.6, "speech after nonsense changed by {kept} dB");
}
