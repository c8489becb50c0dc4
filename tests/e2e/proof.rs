//! The proof that a recording is the programme: every frame once and in its time, its sound with it.
//!
//! Works on whatever ffmpeg opens: a file of any container, or a playlist. The programme shows the test pattern over the
//! whole picture, at 30 frames per second.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use onair::media::pattern::{Area, is_flash, read_frame_number};

use crate::support::{Process, ffmpeg, pictures, samples};

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
    /// Beep minus flash, of the pair that is farthest apart; none without a flash that came in its time and has its beep.
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

    /// The tick at which each number comes, of those that come once; not the first and the last, which may have come before.
    fn begins(&self) -> BTreeMap<u64, i64> {
        let mut comes = Vec::new();
        let mut before = None;
        for Frame { tick, number, .. } in &self.frames {
            if *number != before {
                comes.extend(number.map(|number| (number, *tick)));
            }
            before = *number;
        }
        let mut ticks = BTreeMap::<u64, Vec<i64>>::new();
        for (number, tick) in comes.iter().skip(1).rev().skip(1) {
            ticks.entry(*number).or_default().push(*tick);
        }
        ticks
            .into_iter()
            .filter(|(_, at)| at.len() == 1)
            .map(|(number, at)| (number, at[0]))
            .collect()
    }

    /// What is shown at the ticks of another recording, whose ticks are `later` by so many.
    fn shown(&self, later: i64) -> BTreeMap<i64, (Option<u64>, bool)> {
        let moved = |frame: &Frame| (frame.tick + later, (frame.number, frame.key));
        self.frames.iter().map(moved).collect()
    }

    /// By how many ticks the other is later, by the first number that both have.
    pub(crate) fn later(&self, name: &str, (other_name, other): (&str, &Proof)) -> i64 {
        let begins = other.begins();
        let mut ticks = self.begins().into_iter();
        let later = ticks.find_map(|(number, tick)| Some(begins.get(&number)? - tick));
        later.unwrap_or_else(|| panic!("{name} has no frame of {other_name}"))
    }

    /// Panics unless it shows at each tick what the other does, or what it showed the tick before, with the same keyframes,
    /// wherever they overlap; gives the ticks that show a picture once more where the other, which is `later` by so many
    /// ticks, has the next one.
    pub(crate) fn check_beside(
        &self,
        (name, later): (&str, i64),
        (other_name, other): (&str, &Proof),
    ) -> Vec<i64> {
        let (expected, shown) = (other.shown(0), self.shown(later));
        let mut held = Vec::new();
        for (tick, frame) in &shown {
            let expected = expected.get(tick).unwrap_or(frame);
            let before = shown.get(&(tick - 1)).map(|(number, _)| *number);
            match before == Some(frame.0) && frame.0 != expected.0 && frame.1 == expected.1 {
                true => held.push(*tick),
                false => assert_eq!(frame, expected, "tick {tick}: {name} beside {other_name}"),
            }
        }
        held
    }

    /// How many of these ticks it should show, since it shows some before and after, and does not; and how many show the
    /// picture before once more.
    pub(crate) fn lost(&self, later: i64, ticks: &RangeInclusive<i64>) -> (usize, usize) {
        let shown = self.shown(later);
        let (Some((first, _)), Some((last, _))) = (shown.first_key_value(), shown.last_key_value())
        else {
            return (0, 0);
        };
        let within = *ticks.start().max(first)..=*ticks.end().min(last);
        let missing = within.clone().filter(|tick| !shown.contains_key(tick)).count();
        let number = |tick: i64| shown.get(&tick).and_then(|(number, _)| *number);
        let held =
            within.filter(|tick| number(*tick).is_some() && number(*tick) == number(tick - 1));
        (missing, held.count())
    }

    /// Whether it has all of these ticks, but for gaps.
    pub(crate) fn covers(&self, later: i64, ticks: &RangeInclusive<i64>) -> bool {
        let ends = [self.frames[0], self.frames[self.frames.len() - 1]];
        ends[0].tick + later <= *ticks.start() && ends[1].tick + later >= *ticks.end()
    }

    /// Panics unless everything is there: no gap, and sound within 20 ms of its picture. A machine that is late may have
    /// shown a picture twice, see [`Proof::jumps`].
    pub(crate) fn check(&self, name: &str) {
        assert!(self.gaps.is_empty(), "{name}: {:#?}", self.gaps);
        let offset_ms = self.av_offset_ms.unwrap_or_else(|| panic!("{name}: no flash with a beep"));
        assert!(offset_ms.abs() <= 20.0, "{name}: sound is {offset_ms} ms behind");
    }
}

/// Who plays streams and takes relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Player {
    /// FFmpeg as Debian has it. It records FLV.
    Debian,
    /// One that knows Enhanced RTMP. It records Matroska, which both read.
    Newer,
}

impl Player {
    fn ffmpeg(self, line: &str) -> Command {
        let debian = ffmpeg(line);
        match self {
            Player::Debian => debian,
            Player::Newer => {
                let mut newer = Command::new(newer_ffmpeg());
                newer.args(debian.get_args()).stdin(Stdio::null());
                newer
            }
        }
    }

    /// What its recordings are called.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Player::Debian => "flv",
            Player::Newer => "mkv",
        }
    }

    /// Has a program record what `input` names, as it is and with the times that it has, until the guard is dropped or ended.
    fn record(self, program: Player, input: &str, to: &Path) -> Process {
        let form = match self {
            Player::Debian => "-f flv",
            Player::Newer => "-f matroska -cluster_time_limit 300",
        };
        let line =
            format!("-copyts {input} -c copy -copyts -flush_packets 1 {form} {}", to.display());
        Process(program.ffmpeg(&line).spawn().unwrap())
    }

    /// Records a stream.
    pub(crate) fn tap(self, url: &str, to: &Path) -> Process {
        self.record(self, &format!("-rw_timeout 10000000 -analyzeduration 500000 -i {url}"), to)
    }

    /// Records what is pushed to it: FLV to an RTMP address, MPEG-TS to an SRT address.
    pub(crate) fn listen(self, url: &str, to: &Path) -> Process {
        match url.starts_with("srt:") {
            // MPEG-TS of HEVC is nothing new, and the newer one's build crashes on it. A busy machine is late, and SRT drops what is.
            true => {
                let input = format!("-f mpegts -i {url}?mode=listener&latency=2000000");
                self.record(Player::Debian, &input, to)
            }
            false => self.record(self, &format!("-f flv -listen 1 -i {url}"), to),
        }
    }

    /// Reads a recording of the server's; FLV that Debian's may not know by way of a copy.
    pub(crate) fn proof(self, recording: &Path) -> Proof {
        if self == Player::Debian || recording.extension().is_none_or(|name| name != "flv") {
            return proof(recording);
        }
        let copy = recording.with_extension("copy.mkv");
        let mut copying = self.record(self, &format!("-i {}", recording.display()), &copy);
        assert!(copying.wait(Duration::from_secs(20)).success());
        proof(&copy)
    }
}

/// An FFmpeg that knows Enhanced RTMP, which Debian's does not.
pub(crate) fn newer_ffmpeg() -> String {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ffmpeg/install");
    let output = Command::new(install).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Records a stream by Debian's FFmpeg, see [`Player::tap`].
pub(crate) fn tap(url: &str, to: &Path) -> Process {
    Player::Debian.tap(url, to)
}

/// Reads a recording.
pub(crate) fn proof(recording: &Path) -> Proof {
    let mut times = packet_times(recording, "v:0");
    let is_reordered = !times.is_sorted_by(|a, b| a.0 <= b.0);
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut frames, mut gaps) = (Vec::new(), Vec::new());
    let (mut flashes, mut before) = (Vec::new(), true);
    pictures(recording, |index, picture| {
        let Some((time_s, key)) = times.get(index) else { return };
        let whole = Area::whole(picture);
        let now = is_flash(picture, whole);
        if now && !before {
            flashes.push(index);
        }
        before = now;
        let tick = (time_s * FPS).round() as i64;
        frames.push(Frame { tick, key: *key, number: read_frame_number(picture, whole) });
    });
    if frames.len() != times.len() {
        gaps.push(format!("{} of {} pictures can be decoded", frames.len(), times.len()));
    }
    // One that ends among B-frames has the picture that they waited for.
    if is_reordered && matches!(frames[..], [.., before, last] if last.tick > before.tick + 1) {
        frames.pop();
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
    let in_time =
        flashes.into_iter().filter(|index| frames.get(..=*index).is_some_and(came_in_time));
    let flashes_s: Vec<f64> = in_time.map(|index| times[index].0).collect();
    let mut farthest = None::<f64>;
    for (flash_s, offset_ms) in beep_offsets(recording, &flashes_s) {
        match offset_ms {
            Some(ms) if farthest.is_none_or(|far| far.abs() < ms.abs()) => farthest = Some(ms),
            Some(_) => {}
            None => gaps.push(format!("the flash at {flash_s:.3} s has no beep")),
        }
    }
    Proof { frames, gaps, av_offset_ms: farthest }
}

/// Reads recordings, as many at once as there are cores; in their order.
pub(crate) fn read_all(
    recordings: Vec<(String, PathBuf)>,
    read: impl Fn(&Path) -> Proof + Sync,
) -> Vec<(String, Proof)> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let next = AtomicUsize::new(0);
    let take = || {
        let mut taken = Vec::new();
        while let Some((name, file)) = recordings.get(next.fetch_add(1, Ordering::Relaxed)) {
            taken.push((name.clone(), file, read(file)));
        }
        taken
    };
    let mut read = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..cores).map(|_| scope.spawn(take)).collect();
        let taken = readers.into_iter().flat_map(|reader| reader.join().unwrap());
        taken.collect::<Vec<_>>()
    });
    read.sort_by_key(|(_, file, _)| recordings.iter().position(|(_, of)| of == *file));
    read.into_iter().map(|(name, _, proof)| (name, proof)).collect()
}

/// Whether the last of these pictures is the first one of a flash and follows the one before it. Where pictures are left out, by a
/// device that is lost or a machine that is too slow, a flash comes late or not at all, and its sound is there nevertheless.
fn came_in_time(frames: &[Frame]) -> bool {
    let [.., Frame { number: Some(before), .. }, Frame { number: Some(number), .. }] = frames
    else {
        return false;
    };
    *number == before + 1 && number.is_multiple_of(FPS as u64)
}

/// Presentation time of each packet of a stream, s, and whether it is a keyframe; in the order of the file.
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

/// Each of these flashes that is neither at the beginning of the sound nor at its end, and its beep's onset minus itself, ms.
fn beep_offsets(recording: &Path, flashes_s: &[f64]) -> Vec<(f64, Option<f64>)> {
    const QUIET_SAMPLES: usize = 4800;
    let (samples, start_s) = samples(recording);
    let loud: Vec<_> = samples.iter().map(|s| s.abs() > 0.05).collect();
    let quiet_before = |at: usize| loud[at - QUIET_SAMPLES..at].iter().all(|loud| !loud);
    let time_s = |at: usize| start_s + at as f64 / 48_000.0;
    let onsets: Vec<f64> = (QUIET_SAMPLES..loud.len())
        .filter(|&at| loud[at] && !loud[at - 1] && quiet_before(at))
        .map(time_s)
        .collect();
    let within_s = time_s(2 * QUIET_SAMPLES)..time_s(loud.len().saturating_sub(QUIET_SAMPLES));
    let nearest = |flash_s: &f64| {
        let distances = onsets.iter().map(|onset| (onset - flash_s) * 1000.0);
        distances.min_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|ms| ms.abs() < 500.0)
    };
    let flashes = flashes_s.iter().filter(|flash_s| within_s.contains(flash_s));
    flashes.map(|flash_s| (*flash_s, nearest(flash_s))).collect()
}

/// Panics unless all of them show the same frames at the same ticks, with the same keyframes, wherever they overlap, which
/// is for `at_least` frames, and each is whole. A rendition that was late may have held a picture, and one that was shed too, as
/// often as the server `counted` pictures that it left out.
pub(crate) fn check_same(proofs: &[(String, Proof)], at_least: usize, counted: f64) {
    let (first_name, first) = &proofs[0];
    let mut common: Vec<i64> = first.frames.iter().map(|frame| frame.tick).collect();
    for (name, proof) in proofs {
        proof.check(name);
        let later = proof.later(name, (first_name, first));
        let held = proof.check_beside((name, later), (first_name, first));
        assert!(held.len() as f64 <= counted, "{name} held at {held:?}, {counted} were counted");
        let shown = proof.shown(later);
        common.retain(|tick| shown.contains_key(tick));
    }
    assert!(common.len() >= at_least, "only {} frames are common", common.len());
}
