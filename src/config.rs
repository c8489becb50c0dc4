//! Configuration: flags, `ONAIR_…` variables and a TOML file, in that order of precedence.
//!
//! Owns every look at the environment. Must not know what the settings do. Invariant: every flag of
//! `onair serve` is also a variable and a TOML key of the same name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Deserialize;

use crate::limits;
use crate::shot::ScaleQuality;

mod choices;

pub use choices::{
    HlsSegments, IngestAuth, Magnify, PlaybackAuth, Preset, RecordTiming, SecondPublisher,
};

mod encoders;
mod ladder;

pub use encoders::{
    DecoderChoice, EncoderChoice, Nvenc, NvencPreset, NvencRate, NvencTuning, VideoCodec,
};

pub use ladder::{LadderSettings, Profile, Rung};

mod storage;

pub use storage::{BucketStyle, KeepLocal, Storage, StorageSettings};

mod tls;

pub use tls::TlsFiles;

/// Port that `rtmp://` means when it names none, and that the RTMP server listens on unless it is told otherwise.
pub const RTMP_PORT: u16 = 1935;

/// A self-hosted, GPU-accelerated live production studio.
#[derive(Debug, Parser)]
#[command(name = "onair", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of the binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the studio until SIGTERM or Ctrl-C.
    Serve(Box<Settings>),
    /// Run a demo caster on real input (a pushed stream and a looped file) and say where to watch.
    Demo(DemoArgs),
    /// Run a scripted show offline, exactly, into an MP4.
    Render(RenderArgs),
    /// Say what this machine can do, and what is missing.
    Doctor(DoctorArgs),
    /// Print the address to push a stream to, with the key it needs.
    PushUrl(PushUrlArgs),
    /// Show what a running server does: casters, sources, timing, outputs; Ctrl-C ends it.
    Top(TopArgs),
    /// Make, list and revoke access keys; a running server follows within a second.
    #[command(subcommand)]
    Key(KeyCommand),
}

/// The commands of `onair key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print its id and secret, this once.
    Make {
        /// What its bearer may: admin everything; operator scenes, audio, channels, standby, rundown; viewer Describe….
        #[arg(long, default_value = "admin", value_parser = ["admin", "operator", "viewer"])]
        role: String,
        /// Its id, 1 to 128 visible ASCII characters [default: a random one].
        #[arg(long)]
        id: Option<String>,
        /// Whose key it is.
        #[command(flatten)]
        place: Place,
    },
    /// List the keys: id, role, state. Secrets are not shown.
    List {
        /// Whose keys.
        #[command(flatten)]
        place: Place,
    },
    /// Print the key that callbacks are signed with, for the receiver who verifies them.
    Callback {
        /// Whose key.
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a key, for good.
    Revoke {
        /// Its id.
        id: String,
        /// Whose key it is.
        #[command(flatten)]
        place: Place,
    },
}

/// Which server's data a command is about.
#[derive(Debug, Args)]
pub struct Place {
    /// Configuration of the server, which may name its data directory.
    #[arg(long, env = "ONAIR_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data directory of the server [default: ./data].
    #[arg(long, env = "ONAIR_DATA")]
    pub data: Option<PathBuf>,
}

impl Place {
    /// The data directory.
    ///
    /// # Errors
    /// One line that names the configuration and what is wrong with it.
    pub fn data_dir(self) -> Result<PathBuf, String> {
        let Place { config, data } = self;
        Ok(Settings { config, data, ..Settings::default() }.resolve()?.data)
    }
}

/// Arguments of `onair push-url`.
#[derive(Debug, Args)]
pub struct PushUrlArgs {
    /// The stream: app/name.
    pub stream: String,
    /// Days that the key is good for.
    #[arg(long, default_value_t = 365)]
    pub days: u32,
    /// Settings of the server that it is for (its data directory holds the key).
    #[command(flatten)]
    pub settings: Box<Settings>,
}

/// Arguments of `onair top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one screen, without control characters, and end.
    #[arg(long)]
    pub once: bool,
    /// Seconds between two screens.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub every: u32,
    /// Settings of the server: its gRPC address and access key. Without a key, one of its data directory is taken.
    #[command(flatten)]
    pub settings: Box<Settings>,
}

/// Arguments of `onair demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// End after this many seconds with a summary; without it, run until Ctrl-C.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Output size: lp_ld (640×360), lp_sd (854×480), lp_hd (1280×720), lp_ud (1920×1080), each also with _v.
    #[arg(long, default_value = "lp_hd")]
    pub template: String,
    /// Where the summary's picture and recording of PGM go.
    #[arg(long, default_value = "demo-out")]
    pub out: PathBuf,
    /// Settings of the server behind it.
    #[command(flatten)]
    pub settings: Box<Settings>,
}

/// Arguments of `onair render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The script (TOML): sources, layouts, components and timed commands.
    pub script: PathBuf,
    /// The MP4 to write.
    #[arg(short, long)]
    pub output: PathBuf,
    /// Which GPU: index, PCI address, UUID (GPU-…) or part of its name, as onair doctor lists them.
    #[arg(long, env = "ONAIR_ADAPTER")]
    pub adapter: Option<String>,
}

/// Arguments of `onair doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Which GPU: index, PCI address, UUID (GPU-…) or part of its name, as onair doctor lists them.
    #[arg(long, env = "ONAIR_ADAPTER")]
    pub adapter: Option<String>,
    /// Directory of libcuda.so.1, libnvcuvid.so.1 and libnvidia-encode.so.1 [default: where the system finds libraries].
    #[arg(long, env = "ONAIR_NVIDIA_LIBRARIES")]
    pub nvidia_libraries: Option<PathBuf>,
}

/// Settings of `onair serve`; what is not given falls back to the file, then to the default.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// TOML file with the same keys as these flags.
    #[arg(long, env = "ONAIR_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Directory of everything that must survive [default: ./data].
    #[arg(long, env = "ONAIR_DATA")]
    pub data: Option<PathBuf>,
    /// Address of the HTTP server: the cloud API, playback, uploads, events, metrics, health [default: 127.0.0.1:8080].
    #[arg(long, env = "ONAIR_HTTP")]
    pub http: Option<SocketAddr>,
    /// Address of the gRPC API [default: 127.0.0.1:50051].
    #[arg(long, env = "ONAIR_GRPC")]
    pub grpc: Option<SocketAddr>,
    /// Address of the RTMP server, push and play [default: 127.0.0.1:1935].
    #[arg(long, env = "ONAIR_RTMP")]
    pub rtmp: Option<SocketAddr>,
    /// Which GPU: index, PCI address, UUID (GPU-…) or part of its name, as onair doctor lists them [default: the best one].
    #[arg(long, env = "ONAIR_ADAPTER")]
    pub adapter: Option<String>,
    /// Directory whose files sources and images may name as file:NAME [default: DATA/media].
    #[arg(long, env = "ONAIR_MEDIA_DIR")]
    pub media_dir: Option<PathBuf>,
    /// Directory that PGM is recorded in [default: DATA/record].
    #[arg(long, env = "ONAIR_RECORD_DIR")]
    pub record_dir: Option<PathBuf>,
    /// Days that a recording is kept [default: for ever].
    #[arg(long, env = "ONAIR_RECORD_KEEP_DAYS")]
    pub record_keep_days: Option<u32>,
    /// Bytes of all finished recordings; past it the oldest go [default: no limit].
    #[arg(long, env = "ONAIR_RECORD_KEEP_BYTES")]
    pub record_keep_bytes: Option<u64>,
    /// Bytes that recordings leave free on their disk; past it they stop until there is room [default: 268435456, that is 256 MiB].
    #[arg(long, env = "ONAIR_RECORD_RESERVE_BYTES")]
    pub record_reserve_bytes: Option<u64>,
    /// Whether the stream delay is for recordings too [default: prompt].
    #[arg(long, env = "ONAIR_RECORD_TIMING")]
    pub record_timing: Option<RecordTiming>,
    /// Bytes of the largest video that the media library takes [default: 21474836480, that is 20 GiB].
    #[arg(long, env = "ONAIR_MAX_UPLOAD_BYTES")]
    pub max_upload_bytes: Option<u64>,
    /// Address ranges that sources, images, relays and callbacks may reach although they are not public: CIDR,…
    #[arg(long, env = "ONAIR_ALLOW_ADDRESSES")]
    pub allow_addresses: Option<String>,
    /// Whether a push needs the auth_key of its stream [default: key].
    #[arg(long, env = "ONAIR_INGEST_AUTH")]
    pub ingest_auth: Option<IngestAuth>,
    /// Whether playing PGM needs the auth_key of its address [default: signed].
    #[arg(long, env = "ONAIR_PLAYBACK_AUTH")]
    pub playback_auth: Option<PlaybackAuth>,
    /// What happens when a stream is pushed that is on air already [default: refuse].
    #[arg(long, env = "ONAIR_SECOND_PUBLISHER")]
    pub second_publisher: Option<SecondPublisher>,
    /// Certificate chain (PEM) of this server: gRPC and HTTP then speak TLS only. Needs --tls-key.
    #[arg(long, env = "ONAIR_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(long, env = "ONAIR_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Certificate authorities (PEM) that gRPC and HTTP clients must have a certificate of (mTLS).
    #[arg(long, env = "ONAIR_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// Certificate authorities (PEM) that vouch for rtmps relays, in the place of the system's.
    #[arg(long, env = "ONAIR_RELAY_CA")]
    pub relay_ca: Option<PathBuf>,
    /// Access key id of the API, an admin's, beside those of onair key; one is made at first start when there is none.
    #[arg(long, env = "ONAIR_ACCESS_KEY_ID")]
    pub access_key_id: Option<String>,
    /// Access key secret of the API; better given by variable or file than by flag.
    #[arg(long, env = "ONAIR_ACCESS_KEY_SECRET", hide_env_values = true)]
    pub access_key_secret: Option<String>,
    /// Calls per second of the cloud API, per key and operation: this many times what its documentation grants, 0 = no limit [default: 0].
    #[arg(long, env = "ONAIR_API_RATE")]
    pub api_rate: Option<u32>,
    /// How pictures are magnified; what is made smaller is averaged [default: bicubic].
    #[arg(long, env = "ONAIR_SCALE_QUALITY")]
    pub scale_quality: Option<Magnify>,
    /// Preset of x264, x265 or libaom, for casters that ask for none [default: veryfast].
    #[arg(long, env = "ONAIR_PRESET")]
    pub preset: Option<Preset>,
    /// Seconds between keyframes of the outputs, 1–10 [default: 2].
    #[arg(long, env = "ONAIR_GOP_SECONDS")]
    pub gop_seconds: Option<u32>,
    /// Processor load, percent of all cores, beyond which no show is started and no rendition added; 0 = no limit
    /// [default: 100].
    #[arg(long, env = "ONAIR_MAX_LOAD_PERCENT")]
    pub max_load_percent: Option<u32>,
    /// Video encoders (PGM and its renditions, one each) that may run at once; 0 = no limit [default: 0].
    #[arg(long, env = "ONAIR_MAX_ENCODERS")]
    pub max_encoders: Option<u32>,
    /// How the video of all outputs is coded; relays and players of HEVC and AV1 must have Enhanced RTMP or HLS [default: h264].
    #[arg(long, env = "ONAIR_VIDEO_CODEC")]
    pub video_codec: Option<VideoCodec>,
    /// What encodes video: NVENC where there is a session of it and else software, NVENC or nothing, or software, which is also
    /// called x264 here [default: auto].
    #[arg(long, env = "ONAIR_ENCODER")]
    pub encoder: Option<EncoderChoice>,
    /// What decodes the video of sources: NVDEC where the adapter has it and else software, the same with an error in the log
    /// where it has not, or software [default: auto].
    #[arg(long, env = "ONAIR_DECODER")]
    pub decoder: Option<DecoderChoice>,
    /// Pictures that an encoder of PGM looks ahead, 0–31: better pictures at the same bit rate, by so many later; x265 needs three
    /// of them for itself and does not look ahead by fewer than four; libaom looks at none [default: 0].
    #[arg(long, env = "ONAIR_LOOKAHEAD_FRAMES")]
    pub lookahead_frames: Option<u32>,
    /// B-frames of an encoder of PGM in a row, 0–4: better pictures at the same bit rate, by up to twice as many later; PVW and
    /// AV1 have none [default: 0].
    #[arg(long, env = "ONAIR_B_FRAMES")]
    pub b_frames: Option<u32>,
    /// Speed of NVENC, p1 the fastest, p7 the best [default: p4].
    #[arg(long, env = "ONAIR_NVENC_PRESET")]
    pub nvenc_preset: Option<NvencPreset>,
    /// What NVENC is tuned for [default: low-latency, high-quality with look-ahead or B-frames].
    #[arg(long, env = "ONAIR_NVENC_TUNING")]
    pub nvenc_tuning: Option<NvencTuning>,
    /// How NVENC keeps the bit rate, within a buffer of 1 s [default: cbr].
    #[arg(long, env = "ONAIR_NVENC_RATE")]
    pub nvenc_rate: Option<NvencRate>,
    /// Sessions of NVENC that this server opens at once; 0 = as many as the driver gives [default: 0].
    #[arg(long, env = "ONAIR_NVENC_SESSIONS")]
    pub nvenc_sessions: Option<u32>,
    /// Directory of libcuda.so.1, libnvcuvid.so.1 and libnvidia-encode.so.1 [default: where the system finds libraries].
    #[arg(long, env = "ONAIR_NVIDIA_LIBRARIES")]
    pub nvidia_libraries: Option<PathBuf>,
    /// Segments of HLS: MPEG-TS or fragmented MP4 [default: auto, that is ts for H.264 and fmp4 for HEVC and AV1].
    #[arg(long, env = "ONAIR_HLS_SEGMENTS")]
    pub hls_segments: Option<HlsSegments>,
    /// How renditions are made; in the file only.
    #[arg(skip)]
    pub ladder: Option<LadderSettings>,
    /// Where finished recordings are sent: `storage-endpoint` is `endpoint` in the file's table `[storage]`, and so on.
    #[command(flatten)]
    pub storage: StorageSettings,
    /// Depth of a live source's jitter buffer in ms, 40–4000 [default: 300].
    #[arg(long, env = "ONAIR_INPUT_BUFFER_MS")]
    pub input_buffer_ms: Option<u32>,
}

macro_rules! first_given {
    ($given:ident, $file:ident: $($field:ident),+ $(,)?) => {
        Settings { config: $given.config, $($field: $given.$field.or($file.$field)),+ }
    };
}

/// Settings with every default filled in.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "documented at the fields of Settings")]
pub struct Config {
    pub data: PathBuf,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub rtmp: SocketAddr,
    pub adapter: Option<String>,
    pub media_dir: PathBuf,
    pub record_dir: PathBuf,
    pub record_keep: Option<Duration>,
    pub record_keep_bytes: Option<u64>,
    pub record_reserve_bytes: u64,
    pub record_timing: RecordTiming,
    pub max_upload_bytes: u64,
    pub allow_addresses: String,
    pub ingest_auth: IngestAuth,
    pub playback_auth: PlaybackAuth,
    pub second_publisher: SecondPublisher,
    pub tls: Option<TlsFiles>,
    pub relay_ca: Option<PathBuf>,
    pub access_key: Option<(String, String)>,
    pub api_rate: u32,
    pub scale_quality: ScaleQuality,
    pub preset: Preset,
    pub gop: Duration,
    pub max_load_percent: u32,
    pub max_encoders: u32,
    pub video_codec: VideoCodec,
    pub encoder: EncoderChoice,
    pub decoder: DecoderChoice,
    pub lookahead: u32,
    pub b_frames: u32,
    pub nvenc: Nvenc,
    pub hls_segments: HlsSegments,
    pub ladder: LadderSettings,
    pub storage: Option<Storage>,
    pub input_buffer: Duration,
}

impl Settings {
    /// Merges the TOML file, if one is named, and fills in the defaults.
    ///
    /// # Errors
    /// One line that names the file or the setting and what to do.
    pub fn resolve(self) -> Result<Config, String> {
        let given = self;
        let file = match &given.config {
            Some(path) => read_file(path)?,
            None => Settings::default(),
        };
        let all = first_given!(given, file:
            data, http, grpc, rtmp, adapter, media_dir, record_dir, record_keep_days, record_keep_bytes,
            record_reserve_bytes, record_timing, max_upload_bytes, allow_addresses, ingest_auth,
            playback_auth,
            second_publisher, tls_cert, tls_key, tls_client_ca, relay_ca,
            access_key_id, access_key_secret, api_rate, scale_quality, preset, gop_seconds, hls_segments, ladder, max_load_percent,
            max_encoders, input_buffer_ms, video_codec, encoder, decoder, lookahead_frames, b_frames, nvenc_preset, nvenc_tuning, nvenc_rate, nvenc_sessions, nvidia_libraries,
            storage,
        );
        let nvenc = nvenc(&all)?;
        let video_codec = all.video_codec.unwrap_or_default();
        let access_key = access_key(all.access_key_id, all.access_key_secret)?;
        let tls = TlsFiles::of(all.tls_cert, all.tls_key, all.tls_client_ca)?;
        let data = all.data.unwrap_or_else(|| PathBuf::from("data"));
        let gop_seconds = in_range("gop-seconds", all.gop_seconds.unwrap_or(2), 1, 10)?;
        let ahead = limits::MAX_LOOKAHEAD_PICTURES;
        let max_load = all.max_load_percent.unwrap_or(100);
        let buffer_ms = in_range("input-buffer-ms", all.input_buffer_ms.unwrap_or(300), 40, 4000)?;
        Ok(Config {
            media_dir: all.media_dir.unwrap_or_else(|| data.join("media")),
            record_dir: all.record_dir.unwrap_or_else(|| data.join("record")),
            data,
            http: all.http.unwrap_or(loopback(8080)),
            grpc: all.grpc.unwrap_or(loopback(50051)),
            rtmp: all.rtmp.unwrap_or(loopback(RTMP_PORT)),
            adapter: all.adapter,
            record_keep: all
                .record_keep_days
                .map(|days| Duration::from_secs(u64::from(days) * 86_400)),
            record_keep_bytes: all.record_keep_bytes,
            record_reserve_bytes: all.record_reserve_bytes.unwrap_or(limits::DISK_RESERVE_BYTES),
            record_timing: all.record_timing.unwrap_or(RecordTiming::Prompt),
            max_upload_bytes: all.max_upload_bytes.unwrap_or(limits::MAX_UPLOAD_BYTES),
            allow_addresses: all.allow_addresses.unwrap_or_default(),
            ingest_auth: all.ingest_auth.unwrap_or(IngestAuth::Key),
            playback_auth: all.playback_auth.unwrap_or(PlaybackAuth::Signed),
            second_publisher: all.second_publisher.unwrap_or(SecondPublisher::Refuse),
            tls,
            relay_ca: all.relay_ca,
            access_key,
            api_rate: in_range("api-rate", all.api_rate.unwrap_or(0), 0, 1000)?,
            scale_quality: all.scale_quality.unwrap_or_default().into(),
            preset: all.preset.unwrap_or(Preset::Veryfast),
            gop: Duration::from_secs(gop_seconds.into()),
            max_load_percent: in_range("max-load-percent", max_load, 0, 1000)?,
            max_encoders: in_range("max-encoders", all.max_encoders.unwrap_or(0), 0, 1000)?,
            video_codec,
            encoder: all.encoder.unwrap_or_default(),
            decoder: all.decoder.unwrap_or_default(),
            lookahead: in_range("lookahead-frames", all.lookahead_frames.unwrap_or(0), 0, ahead)?,
            b_frames: video_codec.check_b_frames("b-frames", all.b_frames.unwrap_or(0))?,
            nvenc,
            hls_segments: video_codec.check_segments(all.hls_segments.unwrap_or_default())?,
            ladder: all.ladder.unwrap_or_default().checked(video_codec)?,
            storage: all.storage.checked()?,
            input_buffer: Duration::from_millis(buffer_ms.into()),
        })
    }
}

fn nvenc(all: &Settings) -> Result<Nvenc, String> {
    Ok(Nvenc {
        preset: all.nvenc_preset.unwrap_or_default(),
        tuning: all.nvenc_tuning,
        rate: all.nvenc_rate.unwrap_or_default(),
        most_sessions: in_range("nvenc-sessions", all.nvenc_sessions.unwrap_or(0), 0, 1000)?,
        libraries: all.nvidia_libraries.clone(),
    })
}

/// Both or neither.
fn access_key(
    id: Option<String>,
    secret: Option<String>,
) -> Result<Option<(String, String)>, String> {
    match (id, secret) {
        (Some(id), Some(secret)) if !id.is_empty() && secret.len() >= 8 => Ok(Some((id, secret))),
        (Some(_), Some(_)) => Err("access-key-id needs 1 character, access-key-secret 8".into()),
        (None, None) => Ok(None),
        _ => Err("give both access-key-id and access-key-secret, or neither".into()),
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn in_range(name: &str, value: u32, min: u32, max: u32) -> Result<u32, String> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{name} is {value}, it can be {min} to {max}"))
    }
}

fn read_file(path: &Path) -> Result<Settings, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the configuration {}: {error}", path.display()))?;
    toml::from_str(&text)
        .map_err(|error| format!("in the configuration {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
