//! The proof that a recording is the programme: every frame once and in its time, its sound with it.
//!
//! Works on whatever ffmpeg opens: a file of any container, or a playlist. The programme shows the test pattern over the
//! whole picture, at 30 frames per second.

use std::path::Path;
use std::process::Command;

use onair::media::pattern::{Area, is_flash, read_frame_number};

use crate::support::{Process, pictures, samples, spawn_ffmpeg};

/// Frames per second of the tests' programmes.
const FPS: f64 = 30.0;
/// Length of an AAC frame, s; containers round its times to 1 ms.
const SOUND_S: f64 = 1024.0 / 48_000.0;
const ROUNDING_S: f64 = 0.002;

/// What a recording holds.
#[derive(Debug)]
pub(crate) struct Proof {
    /// Each picture, in the order of the file.
    pub(crate) frames: Vec<Frame>,
    /// What is missing, double or out of order in the times of pictures and sounds; empty when nothing is.
    pub(crate) gaps: Vec<String>,
    /// Beep minus flash where it is worst; none without a flash that has its beep.
    pub(crate) av_offset_ms: Option<f64>,
}

/// A picture of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its time in the file, in frames.
    pub(crate) tick: i64,
    pub(crate) key: bool,
    /// The number in the pattern, where it can be read.
    pub(crate) number: Option<u64>,
}

impl Proof {
    /// Time of the first picture, in frames.
    pub(crate) fn first_tick(&self) -> i64 {
        self.frames[0].tick
    }

    /// Where the source's frames do not follow each other, from the first one on that has a number: tick, number before,
    /// number there.
    pub(crate) fn jumps(&self) -> Vec<(i64, Option<u64>, Option<u64>)> {
        let begin = self.frames.iter().position(|frame| frame.number.is_some());
        let shown = &self.frames[begin.unwrap_or(0)..];
        let pairs = shown.windows(2).map(|pair| (pair[1].tick, pair[0].number, pair[1].number));
        pairs.filter(|(_, before, now)| before.map(|number| number + 1) != *now).collect()
    }

    /// The pictures with the numbers `from` to `to`: number, and whether it is a keyframe.
    pub(crate) fn numbered(&self, from: u64, to: u64) -> Vec<(u64, bool)> {
        let all = self.frames.iter().filter_map(|frame| Some((frame.number?, frame.key)));
        all.filter(|(number, _)| (from..=to).contains(number)).collect()
    }

    /// First and last number in it.
    pub(crate) fn span(&self) -> (u64, u64) {
        let mut numbers = self.frames.iter().filter_map(|frame| frame.number);
        let first = numbers.next().expect("a number can be read");
        (first, numbers.next_back().unwrap_or(first))
    }

    /// Panics unless everything is there: no gap, no jump, and sound within 20 ms of its picture.
    pub(crate) fn check(&self, name: &str) {
        assert!(self.gaps.is_empty(), "{name}: {:#?}", self.gaps);
        assert!(self.jumps().is_empty(), "{name}: {:?}", self.jumps());
        let offset_ms = self.av_offset_ms.unwrap_or_else(|| panic!("{name}: no flash with a beep"));
        assert!(offset_ms.abs() <= 20.0, "{name}: sound is {offset_ms} ms behind");
    }
}

/// Records a stream as it is, with the times that it has, until the guard is dropped or ended.
pub(crate) fn tap(url: &str, to: &Path) -> Process {
    spawn_ffmpeg(&format!(
        "-rw_timeout 10000000 -analyzeduration 500000 -copyts -i {url} -c copy -copyts -flush_packets 1 -f flv {}",
        to.display()
    ))
}

/// Reads a recording.
pub(crate) fn proof(recording: &Path) -> Proof {
    let times = packet_times(recording, "v:0");
    let (mut frames, mut gaps) = (Vec::new(), Vec::new());
    let (mut flashes, mut before) = (Vec::new(), true);
    pictures(recording, |index, picture| {
        let Some((time_s, key)) = times.get(index) else { return };
        let whole = Area::whole(picture);
        let now = is_flash(picture, whole);
        if now && !before {
            flashes.push(*time_s);
        }
        before = now;
        #[expect(clippy::cast_possible_truncation, reason = "minutes of frames")]
        let tick = (time_s * FPS).round() as i64;
        frames.push(Frame { tick, key: *key, number: read_frame_number(picture, whole) });
    });
    if frames.len() != times.len() {
        gaps.push(format!("{} of {} pictures can be decoded", frames.len(), times.len()));
    }
    for pair in frames.windows(2).filter(|pair| pair[1].tick != pair[0].tick + 1) {
        gaps.push(format!("picture {} follows {}", pair[1].tick, pair[0].tick));
    }
    for pair in packet_times(recording, "a:0").windows(2) {
        let step_s = pair[1].0 - pair[0].0;
        if (step_s - SOUND_S).abs() > ROUNDING_S {
            gaps.push(format!("the sound at {:.4} s is {:.1} ms long", pair[0].0, step_s * 1000.0));
        }
    }
    let offsets = beep_offsets(recording, &flashes).into_iter();
    Proof { frames, gaps, av_offset_ms: offsets.max_by(|a, b| a.abs().total_cmp(&b.abs())) }
}

/// Presentation time of each packet of a stream, s, and whether it is a keyframe; in the order of those times.
fn packet_times(recording: &Path, stream: &str) -> Vec<(f64, bool)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", stream, "-show_entries", "packet=pts_time,flags"])
        .args(["-of", "csv=p=0"])
        .arg(recording)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let fields = text.lines().filter_map(|line| line.split_once(','));
    fields.filter_map(|(time, flags)| Some((time.parse().ok()?, flags.contains('K')))).collect()
}

/// Beep onset minus flash, ms, for each flash that has one.
fn beep_offsets(recording: &Path, flashes_s: &[f64]) -> Vec<f64> {
    let (samples, start_s) = samples(recording);
    let loud: Vec<_> = samples.iter().map(|s| s.abs() > 0.05).collect();
    let quiet_before = |at: usize| loud[at.saturating_sub(4800)..at].iter().all(|loud| !loud);
    let onsets: Vec<f64> = (4800..loud.len())
        .filter(|&at| loud[at] && !loud[at - 1] && quiet_before(at))
        .map(|at| start_s + at as f64 / 48_000.0)
        .collect();
    let nearest = |flash_s: &f64| {
        let distances = onsets.iter().map(|onset| (onset - flash_s) * 1000.0);
        distances.min_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|ms| ms.abs() < 500.0)
    };
    flashes_s.iter().filter_map(nearest).collect()
}

/// Panics unless all of them show the same frames and keyframes wherever they overlap, which is for `at_least` frames,
/// and each is whole.
pub(crate) fn check_same(proofs: &[(String, Proof)], at_least: u64) {
    for (name, proof) in proofs {
        proof.check(name);
    }
    let spans = || proofs.iter().map(|(_, proof)| proof.span());
    let from = spans().map(|(first, _)| first).max().unwrap();
    let to = spans().map(|(_, last)| last).min().unwrap();
    let all: Vec<_> = proofs.iter().map(|(name, proof)| (name, proof.span())).collect();
    assert!(from + at_least <= to + 1, "only {from} to {to} are common: {all:?}");
    let (first_name, first) = &proofs[0];
    let expected = first.numbered(from, to);
    assert_eq!(expected.len() as u64, to + 1 - from);
    for (name, proof) in &proofs[1..] {
        assert_eq!(proof.numbered(from, to), expected, "{name} beside {first_name}");
    }
}
