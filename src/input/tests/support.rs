//! What the tests of inputs share: clips of the test pattern, and playing an input to its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::frame::{Size, StereoSample, VideoFrame};
use crate::ids::InputKey;
use crate::input::{
    AllowList, Delivery, Excerpt, Input, InputOptions, PatternSpec, Plays, SourceSpec, Take, Want,
    start,
};
use crate::media::nvdec::Decoder;
use crate::media::pattern::{Area, Pattern, is_flash, read_frame_number};
use crate::source::{InputState, Part};
use crate::time::{Clock, FrameRate};

/// Frame rate of every clip.
pub(super) const FPS: u64 = 30;

/// A directory that goes with its owner.
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new(name: &str) -> TempDir {
        let path = std::env::temp_dir().join(format!("onair-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs ffmpeg with these arguments and panics with its words if it fails.
pub(super) fn ffmpeg<S: AsRef<std::ffi::OsStr>>(args: &[S]) {
    let out = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the tests need the ffmpeg command line");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Raw picture and sound of `frames` frames of the pattern, and ffmpeg's arguments that read them.
pub(super) fn raw_pattern(dir: &TempDir, size: Size, frames: u64) -> Vec<String> {
    let pattern = Pattern::new(PatternSpec { size, rate: FrameRate::FPS_30 });
    let (mut video, mut audio) = (vec![], vec![]);
    for n in 0..frames {
        let (frame, block) = pattern.frame(n);
        for plane in frame.picture.planes() {
            video.extend_from_slice(&plane.data);
        }
        audio.extend(block.samples.iter().flatten().flat_map(|s| s.to_le_bytes()));
    }
    let (w, h) = (size.width_px, size.height_px);
    let video_path = dir.file(&format!("{w}x{h}x{frames}.yuv"));
    let audio_path = dir.file(&format!("{w}x{h}x{frames}.pcm"));
    fs::write(&video_path, video).unwrap();
    fs::write(&audio_path, audio).unwrap();
    let text = format!(
        "-f rawvideo -pix_fmt yuv420p -s {w}x{h} -r {FPS} -i {} -f f32le -ar 48000 -ac 2 -i {}",
        video_path.display(),
        audio_path.display()
    );
    text.split(' ').map(str::to_owned).collect()
}

/// A clip of the pattern, encoded as `args` say.
pub(super) fn clip(dir: &TempDir, name: &str, frames: u64, args: &str) -> PathBuf {
    let path = dir.file(name);
    let mut all = raw_pattern(dir, Size::new(320, 180), frames);
    all.extend(args.split_whitespace().map(str::to_owned));
    all.push(path.display().to_string());
    ffmpeg(&all);
    path
}

/// H.264 with B-frames and a key frame every half second.
pub(super) const X264: &str = "-c:v libx264 -preset ultrafast -bf 2 -g 15";

pub(super) fn options(name: &str) -> InputOptions {
    InputOptions {
        key: InputKey(7),
        name: name.to_owned(),
        retry: true,
        prescale: None,
        decoder: Decoder::default(),
        lossless: false,
        buffer: Duration::from_millis(200),
        allow: Arc::new(AllowList::parse("127.0.0.0/8,::1/128").unwrap()),
        clock: Clock::real(),
    }
}

/// The whole of a file, once.
pub(super) const WHOLE: Excerpt =
    Excerpt { plays: Plays::Times(1), seek_ms: None, begin_ms: 0, end_ms: None };

pub(super) fn play_file(path: &Path, excerpt: Excerpt) -> Played {
    let location = path.display().to_string();
    let mut input = start(SourceSpec::File { location, excerpt }, options("clip")).unwrap();
    Played::until(&mut input, |played| played.eof || played.has(InputState::Failed))
}

/// All that an input has delivered.
#[derive(Default)]
pub(super) struct Played {
    /// Of each picture: time, ns; frame number, if it can be read; flash.
    pub(super) pictures: Vec<(i64, Option<u64>, bool)>,
    pub(super) sizes: Vec<Size>,
    /// Time of each block and its samples.
    pub(super) blocks: Vec<(i64, Vec<StereoSample>)>,
    pub(super) states: Vec<InputState>,
    pub(super) parts: Vec<Part>,
    pub(super) notices: Vec<String>,
    pub(super) eof: bool,
}

impl Played {
    /// Takes what comes until `done`, at most for 20 s.
    pub(super) fn until(input: &mut Input, done: impl Fn(&Played) -> bool) -> Played {
        let mut played = Played::default();
        played.go_on(input, done);
        played
    }

    pub(super) fn go_on(&mut self, input: &mut Input, done: impl Fn(&Played) -> bool) {
        let clock = Clock::real();
        while !done(self) {
            let late = clock.now_ns() > 20_000_000_000;
            assert!(!late, "{:?} {:?}", input.status(), self.notices);
            // One frame at a time, like a frame loop: the queue stays full.
            let take = Take { video: 1, audio: 8 };
            input.wait_ready(Want { video: true, audio: false }, Duration::from_millis(20));
            input.poll(take, &mut |delivery| self.take(delivery));
        }
    }

    fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Video(VideoFrame { pts_ns, picture, .. }) => {
                let area = Area::whole(&picture);
                self.sizes.push(picture.size());
                let number = read_frame_number(&picture, area);
                self.pictures.push((pts_ns, number, is_flash(&picture, area)));
            }
            Delivery::Audio(block) => self.blocks.push((block.pts_ns, block.samples.to_vec())),
            Delivery::State(state) => self.states.push(state),
            Delivery::Part(part) => self.parts.push(part),
            Delivery::Notice(text) => self.notices.push(text),
            Delivery::Eof => self.eof = true,
        }
    }

    pub(super) fn has(&self, state: InputState) -> bool {
        self.states.contains(&state)
    }

    pub(super) fn numbers(&self) -> Vec<Option<u64>> {
        self.pictures.iter().map(|p| p.1).collect()
    }

    /// Times at which flashes begin, ns.
    pub(super) fn flashes(&self) -> Vec<i64> {
        let lit = |i: usize| self.pictures.get(i).is_some_and(|p| p.2);
        let begins = (0..self.pictures.len()).filter(|&i| lit(i) && (i == 0 || !lit(i - 1)));
        begins.map(|i| self.pictures[i].0).collect()
    }

    /// Times at which beeps begin, ns, by the blocks' own times.
    pub(super) fn beeps(&self) -> Vec<i64> {
        let mut begins: Vec<i64> = vec![];
        for (pts_ns, samples) in &self.blocks {
            for (i, sample) in (0_i64..).zip(samples) {
                let at = pts_ns + i * 1_000_000_000 / 48_000;
                if sample[0].abs() > 0.05 && begins.last().is_none_or(|b| at - b > 500_000_000) {
                    begins.push(at);
                }
            }
        }
        begins
    }

    /// Largest gap or overlap between consecutive blocks, ns.
    pub(super) fn worst_seam_ns(&self) -> i64 {
        let seam = |pair: &[(i64, Vec<StereoSample>)]| {
            let end = pair[0].0 + pair[0].1.len() as i64 * 1_000_000_000 / 48_000;
            (pair[1].0 - end).abs()
        };
        self.blocks.windows(2).map(seam).max().unwrap_or(0)
    }
}
