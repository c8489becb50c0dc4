//! NVDEC into the compositor, on a real card: the second half of `./dev gpu-check`.
//!
//! `pictures` compares samples, `pace` is one caster.
//!
//! Each codec is decoded by the card and in software, and every sample compared; what the compositor makes of a picture that
//! stayed on the card is compared with what it makes of the same samples from the host; copies to the host are counted; a
//! hundred decoders that come and go leave nothing; then casters (decode one 1080p30, compose one, read it back) are added
//! until they are late. Links FFmpeg. Prints a line each; exit status 1 when something differs. Arguments: an adapter;
//! `--quick` to leave the casters out; `--software` to try the check itself where there is no card, by software in the place
//! of NVDEC.
#![expect(clippy::disallowed_methods, reason = "a clock of its own")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onair::config::RenderArgs;
use onair::device_memory::Lender;
use onair::frame::{Picture, Size, VideoFrame};
use onair::gpu::{AdapterChoice, Compositor, Supply};
use onair::ids::InputKey;
use onair::input::{
    self, AllowList, Delivery, Excerpt, Input, InputOptions, Plays, SourceSpec, Take, Want,
};
use onair::media::nvdec::{Decoder, NoNvdec, Nvdec, NvdecReport};
use onair::picture::{DrawList, DrawOp, Rect};
use onair::time::Clock;

mod pace;
mod pictures;

use pace::{Run, caster};
use pictures::{largest_difference, on_host, samples};

/// A clip of `benches/clips`, and whether NVDEC must keep its pictures on the card.
struct Clip {
    name: &'static str,
    bytes: &'static [u8],
    stays: Stays,
}

#[derive(Clone, Copy, PartialEq)]
enum Stays {
    /// If the card decodes it at all.
    OnCard,
    /// It is filtered on the host.
    Filtered,
    /// No card decodes it here.
    Software,
}

macro_rules! clip {
    ($name:literal, $stays:ident) => {
        Clip {
            name: $name,
            bytes: include_bytes!(concat!("../clips/", $name, ".mkv")),
            stays: Stays::$stays,
        }
    };
}

const CLIPS: [Clip; 9] = [
    clip!("h264", OnCard),
    clip!("h264_interlaced", Filtered),
    clip!("h264_422", Software),
    clip!("hevc", OnCard),
    clip!("hevc_10", OnCard),
    clip!("vp9", OnCard),
    clip!("vp9_10", OnCard),
    clip!("av1", OnCard),
    clip!("av1_10", OnCard),
];

const KEY: InputKey = InputKey(1);
const CANVAS: Size = Size::new(640, 360);
const HD: Size = Size::new(1920, 1080);
/// How long so many casters run.
const PACED: Duration = Duration::from_secs(3);
/// How long the most that are not late do.
const HELD: Duration = Duration::from_secs(10);
/// How often a decoder is opened and closed.
const CYCLES: u32 = 100;
const WAIT: Duration = Duration::from_secs(10);

/// Half a second of what an HD source is, as a show of its own makes it.
const HD_CLIP: &str = r#"
template = "lp_ud"
seconds = 4
[encode]
preset = "superfast"
[[source]]
location = "RV01"
pattern = "pattern:1920x1080@30"
[[layout]]
name = "full"
[[layout.layer]]
source = "RV01"
place = { width = 1.0, height = 1.0, fill = "fit" }
[[command]]
at = 0.0
layout = "full"
"#;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match check(&args) {
        Ok(()) => {
            println!("nvdec: all good");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("nvdec: FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

struct Bench {
    supply: Arc<Supply>,
    /// None where software is to take its place.
    nvdec: Option<Arc<Nvdec>>,
    dir: PathBuf,
}

fn check(args: &[String]) -> Result<(), String> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let adapter = args.iter().find(|arg| !arg.starts_with("--")).cloned();
    let choice = AdapterChoice(adapter.clone());
    let supply = Arc::new(Supply::open(choice, None).map_err(|error| error.to_string())?);
    let info = supply.gpu().map_err(|error| error.to_string())?.info();
    println!("adapter: {info}");
    let lender: Arc<dyn Lender> = Arc::<Supply>::clone(&supply);
    let uuid = supply.exports_as().ok_or("the adapter exports no memory")?;
    let nvdec = match has("--software") {
        true => None,
        false => Some(Nvdec::open(None, uuid, lender).map_err(|why| why.to_string())?),
    };
    // What FFmpeg has to say of the card is told here.
    ffmpeg_next::util::log::set_level(ffmpeg_next::util::log::Level::Warning);
    for decodes in nvdec.iter().flat_map(|nvdec| nvdec.decodes()) {
        println!("decodes: {decodes}");
    }
    let dir = std::env::temp_dir().join(format!("onair-nvdec-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let bench = Bench { supply, nvdec, dir };
    let mut wrong = Vec::new();
    for clip in &CLIPS {
        match bench.compare(clip) {
            Ok(line) => println!("{:<16} {line}", clip.name),
            Err(why) => {
                println!("{:<16} WRONG: {why}", clip.name);
                wrong.push(clip.name);
            }
        }
    }
    match bench.cycles() {
        Ok(line) => println!("{line}"),
        Err(why) => {
            println!("WRONG: {why}");
            wrong.push("cycles");
        }
    }
    let measured = if has("--quick") { Ok(()) } else { bench.casters(adapter) };
    for pass in bench.supply.pass_times() {
        let ms = pass.seconds * 1e3 / pass.count.max(1) as f64;
        println!("gpu pass {:<8} {:>7} times, {ms:.4} ms each", pass.pass, pass.count);
    }
    let report = bench.report();
    println!(
        "nvdec: {} pictures, {} host copies, {} streams refused, {} still open",
        report.pictures, report.host_copies, report.refused, report.streams
    );
    let _ = fs::remove_dir_all(&bench.dir);
    measured?;
    if report.streams > 0 {
        return Err("streams stay open".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join(", ")) }
}

impl Bench {
    fn decoder(&self) -> Decoder {
        self.nvdec.clone().map_or(Decoder::Software, Decoder::Nvdec)
    }

    fn report(&self) -> NvdecReport {
        let none = || NvdecReport::none(NoNvdec::SoftwareAdapter);
        self.nvdec.as_ref().map_or_else(none, |nvdec| nvdec.report())
    }

    fn start(&self, path: &Path, decoder: Decoder, plays: Plays) -> Result<Input, String> {
        let excerpt = Excerpt { plays, seek_ms: None, begin_ms: 0, end_ms: None };
        let location = path.display().to_string();
        let options = InputOptions {
            key: KEY,
            name: location.clone(),
            retry: false,
            prescale: None,
            decoder,
            lossless: true,
            buffer: Duration::ZERO,
            allow: Arc::new(AllowList::default()),
            clock: Clock::real(),
        };
        input::start(SourceSpec::File { location, excerpt }, options).map_err(|e| e.to_string())
    }

    /// Every picture of a clip, and what decoded it.
    fn decode(&self, path: &Path, decoder: Decoder) -> Result<(Vec<VideoFrame>, String), String> {
        let input = self.start(path, decoder, Plays::Times(1))?;
        let (mut frames, mut ended, mut notices) = (Vec::new(), false, String::new());
        while !ended {
            if !input.wait_ready(Want { video: true, audio: false }, WAIT) {
                return Err("nothing comes".into());
            }
            input.poll(Take::ALL, &mut |delivery| match delivery {
                Delivery::Video(frame) => frames.push(frame),
                Delivery::Eof => ended = true,
                Delivery::State(state) => ended |= state == onair::source::InputState::Failed,
                Delivery::Notice(text) => notices = text,
                Delivery::Audio(_) | Delivery::Part(_) => {}
            });
        }
        let by = input.status().decoded_by;
        let why = by.refused.map_or_else(String::new, |why| format!(" ({why})"));
        match frames.is_empty() {
            true => Err(format!("no picture: {notices}")),
            false => Ok((frames, format!("{}{why}", by.name))),
        }
    }

    /// Decodes a clip both ways and compares samples, then what is composed of them.
    fn compare(&self, clip: &Clip) -> Result<String, String> {
        let path = self.dir.join(format!("{}.mkv", clip.name));
        fs::write(&path, clip.bytes).map_err(|error| error.to_string())?;
        let copies = || self.report().host_copies;
        let (soft, _) = self.decode(&path, Decoder::Software)?;
        let before = copies();
        let (hard, by) = self.decode(&path, self.decoder())?;
        let decoded = copies() - before;
        let on_card = hard.iter().filter(|frame| frame.picture.keeper().is_some()).count();
        if soft.len() != hard.len() {
            return Err(format!("{} pictures by {by}, {} in software", hard.len(), soft.len()));
        }
        let canvases = self.compose(&hard)?;
        let composed = copies() - before - decoded;
        for (index, (hard, soft)) in hard.iter().zip(&soft).enumerate() {
            if hard.pts_ns != soft.pts_ns {
                return Err(format!(
                    "picture {index} is at {} ns, not {}",
                    hard.pts_ns, soft.pts_ns
                ));
            }
            hard.picture.fetch().map_err(str::to_owned)?;
            let differs = largest_difference(&samples(&hard.picture), &samples(&soft.picture));
            if differs > 0 {
                return Err(format!("picture {index} by {by} differs by {differs}"));
            }
        }
        // The same samples, laid out the same, from the host: then by the other decoder's layout.
        let from_host: Result<Vec<_>, String> = hard.iter().map(on_host).collect();
        let (host, other) = (self.compose(&from_host?)?, self.compose(&soft)?);
        let [same, near] = [&host, &other].map(|those| {
            let pairs = canvases.iter().zip(those.iter());
            pairs.map(|(a, b)| largest_difference(&samples(a), &samples(b))).max().unwrap_or(0)
        });
        if same > 0 || near > 1 {
            return Err(format!(
                "composed, it differs by {same} from the host's, {near} from software's"
            ));
        }
        let is_kept = on_card == hard.len() && decoded == 0 && composed == 0;
        let is_on_nvdec = by.starts_with("nvdec");
        let is_right = match clip.stays {
            Stays::OnCard => !is_on_nvdec || is_kept,
            Stays::Filtered => !is_on_nvdec || (on_card == 0 && decoded == hard.len() as u64),
            Stays::Software => !is_on_nvdec,
        };
        let line = format!(
            "{} pictures by {by}: bit-exact; {on_card} stay on the card; host copies: {decoded} to decode, {composed} to \
             compose; composed: {same} from upload, {near} from software",
            hard.len()
        );
        if is_right { Ok(line) } else { Err(line) }
    }

    /// The canvas of each picture: scaled, off centre.
    fn compose(&self, frames: &[VideoFrame]) -> Result<Vec<Arc<Picture>>, String> {
        let gpu = self.supply.gpu().map_err(|error| error.to_string())?;
        let mut compositor = Compositor::new(gpu, CANVAS).map_err(|error| error.to_string())?;
        let rect = Rect { x_px: 34, y_px: 10, width_px: 480, height_px: 270 };
        let list = DrawList::of(CANVAS, vec![DrawOp::layer(KEY, rect)]);
        let mut pictures = Vec::new();
        for (tick, frame) in (0..).zip(frames) {
            let frames = [(KEY, frame.clone())];
            compositor.draw(tick, &list, &frames).map_err(|error| error.to_string())?;
            let finished = compositor.finish().map_err(|error| error.to_string())?;
            // Its canvas goes back to the ring; the compositor has few.
            for composed in finished {
                let host = on_host(&VideoFrame {
                    pts_ns: 0,
                    picture: Arc::clone(&composed.picture),
                    scaled: Vec::new(),
                });
                pictures.push(host?.picture);
            }
        }
        Ok(pictures)
    }

    /// Opens and closes decoders again and again; nothing may be left of them.
    fn cycles(&self) -> Result<String, String> {
        let path = self.dir.join("h264.mkv");
        let used = || self.supply.card_load().and_then(|load| load.memory_used_bytes).unwrap_or(0);
        let mut before = None;
        for cycle in 0..=CYCLES {
            let (frames, _) = self.decode(&path, self.decoder())?;
            self.compose(&frames)?;
            drop(frames);
            // The first ones make what stays.
            if cycle == CYCLES / 4 {
                before = Some((onair::metrics::open_descriptors(), used()));
            }
        }
        let (descriptors, bytes) = before.unwrap_or_default();
        let more = onair::metrics::open_descriptors().saturating_sub(descriptors);
        let grown_mib = used().saturating_sub(bytes) >> 20;
        let line = format!(
            "{CYCLES} decoders opened and closed: {more} more descriptors, {grown_mib} MiB more of the card's memory"
        );
        if more == 0 && grown_mib <= 8 { Ok(line) } else { Err(line) }
    }

    /// Adds casters until they are late.
    fn casters(&self, adapter: Option<String>) -> Result<(), String> {
        let (script, output) = (self.dir.join("hd.toml"), self.dir.join("hd.mp4"));
        fs::write(&script, HD_CLIP).map_err(|error| error.to_string())?;
        onair::app::render(&RenderArgs { script, output: output.clone(), adapter })?;
        let before = self.report();
        let mut most = 0;
        for count in [1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 256] {
            let run = self.run(&output, count, PACED)?;
            println!("casters {count:>3}: {run}");
            if run.is_late() {
                break;
            }
            most = count;
        }
        // What was decoded ahead does not last so long.
        let long = self.run(&output, most.max(1), HELD)?;
        println!("casters {most:>3}: {long}, over {} s", HELD.as_secs());
        if long.is_late() {
            println!("casters: {most} are too many in the long run");
        }
        let after = self.report();
        println!(
            "casters in real time until encode: {most} (1080p30 decoded, composed, read back); {} pictures decoded, {} host copies",
            after.pictures - before.pictures,
            after.host_copies - before.host_copies
        );
        match after.host_copies == before.host_copies {
            true => Ok(()),
            false => Err("pictures of the casters went through the host".into()),
        }
    }

    /// Runs casters at their pace.
    fn run(&self, clip: &Path, count: usize, time: Duration) -> Result<Run, String> {
        let gpu = self.supply.gpu().map_err(|error| error.to_string())?;
        let all: Result<Vec<_>, String> = (0..count)
            .map(|_| {
                let decoder = self.decoder();
                let compositor =
                    Compositor::new(Arc::clone(&gpu), HD).map_err(|e| e.to_string())?;
                Ok((self.start(clip, decoder, Plays::Forever)?, compositor))
            })
            .collect();
        let all = all?;
        for (input, _) in &all {
            if !input.wait_ready(Want { video: true, audio: false }, WAIT) {
                return Err("nothing comes".into());
            }
        }
        let (cpu, begin) = (onair::metrics::cpu_seconds(), Instant::now());
        let mut sum = Run::default();
        let runs: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = all
                .into_iter()
                .map(|(input, compositor)| {
                    scope.spawn(move || caster(&input, compositor, (begin, time)))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        sum.cores = (onair::metrics::cpu_seconds() - cpu) / begin.elapsed().as_secs_f64();
        for run in runs {
            let run = run.map_err(|_panic| "a caster panicked".to_owned())??;
            sum.ticks += run.ticks;
            sum.late += run.late;
            sum.missed += run.missed;
        }
        Ok(sum)
    }
}
