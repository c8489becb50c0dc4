//! What every caster of the process shares: the GPU, the hub, the settings, and how a source of the catalog becomes
//! one that an input can open.
//!
//! Must not know scenes. Invariant: a file named by the API lies in the media directory or is the library's; every other
//! address passes the guard when it is connected to.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Component as PathPart, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::admission::Admission;
use super::decoders::Decoders;
use super::recordings::Recordings;
use crate::catalog::{
    Caster, EpisodeGroup, ErrorCode, GroupItem, GroupProgress, MediaFacts, Place, Play, Refused,
    Rendition, Source,
};
use crate::config::{self, Config, RTMP_PORT};
use crate::gpu::Supply;
use crate::ids::{InputKey, MaterialId};
use crate::input::{
    AllowList, Excerpt, ImageSource, Input, InputOptions, Pacing, Playlist, Plays, SourceSpec,
    fetch_image,
};
use crate::library::{Kind, Library};
use crate::limits;
use crate::media::hls;
use crate::media::hub::Hub;
use crate::media::pushed::byte_source;
use crate::output::{HlsSegments, Sink};
use crate::time::Clock;
use crate::worker::StopToken;

/// Shared by all casters.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) admission: Admission,
    pub(super) gpu: Arc<Supply>,
    pub(super) decoders: Decoders,
    pub(super) hub: Hub,
    pub(super) library: Arc<Library>,
    pub(super) recordings: Arc<Recordings>,
    pub(super) clock: Clock,
    pub(super) allow: Arc<AllowList>,
    /// Where the RTMP server really listens.
    pub(super) rtmp: SocketAddr,
    pub(super) next_input: AtomicU32,
}

/// Where an input begins; only files care.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct From {
    /// Milliseconds after the file's first picture; none = where it is configured to.
    pub(super) seek_ms: Option<u64>,
    /// It stands on its first picture until it is told to run.
    pub(super) held: bool,
    /// Plays that are over.
    pub(super) passes: u32,
}

/// How often something is still repeated after so many plays; −1 is for ever.
fn repeats_left(repeat_num: i32, passes: u32) -> i32 {
    match repeat_num {
        -1 => -1,
        further => (further - i32::try_from(passes).unwrap_or(further)).max(0),
    }
}

fn refused(message: String) -> Refused {
    Refused::new(ErrorCode::ParameterMalformed, message)
}

impl World {
    /// Starts the input of a source, called `name` in the log.
    ///
    /// # Errors
    /// When its address cannot be a source or no thread can be had.
    pub(super) fn start_input(
        &self,
        caster: &Caster,
        (name, source): (&str, &Source),
        from: From,
    ) -> Result<Input, Refused> {
        let input = self.start(self.source_spec(caster, source, from)?, name)?;
        Ok(if from.held { input.held() } else { input })
    }

    fn start(&self, spec: SourceSpec, name: &str) -> Result<Input, Refused> {
        let key = InputKey(self.next_input.fetch_add(1, Ordering::Relaxed));
        let options = InputOptions {
            key,
            name: name.to_owned(),
            retry: true,
            prescale: self.gpu.is_software().then_some(self.config.scale_quality),
            decoder: self.decoders.decoder(),
            lossless: false,
            buffer: self.config.input_buffer,
            clock: self.clock.clone(),
            allow: self.allow.clone(),
        };
        crate::input::start(spec, options).map_err(|error| {
            Refused::new(ErrorCode::Internal, format!("The input cannot start: {error}"))
        })
    }

    /// Starts the input that plays the files of an episode group, from the one that it is at, and from `seek_ms` of that.
    ///
    /// # Errors
    /// When a file cannot be one of this server's, or no thread can be had.
    pub(super) fn start_group(
        &self,
        group: &EpisodeGroup,
        seek_ms: Option<u64>,
    ) -> Result<Input, Refused> {
        let location = |item: &GroupItem| self.location(&Place::Url(item.url.clone()));
        let (first_item, passes) = match group.progress {
            GroupProgress::Playing { item, pass } => (item, pass),
            GroupProgress::Waiting | GroupProgress::Ended => (0, 0),
        };
        let playlist = Playlist {
            locations: group.items.iter().map(location).collect::<Result<_, _>>()?,
            plays: Plays::from_repeat(repeats_left(group.repeat_num, passes)),
            first_item: first_item as usize,
            seek_ms,
        };
        self.start(SourceSpec::Playlist(playlist), "episode group")
    }

    fn source_spec(
        &self,
        caster: &Caster,
        source: &Source,
        from: From,
    ) -> Result<SourceSpec, Refused> {
        match source {
            Source::Live { url } => match self.pushed_name(caster, url) {
                Some(name) => Ok(pushed(self.hub.clone(), name)),
                None => Ok(SourceSpec::Live { url: url.clone() }),
            },
            Source::Vod { place: Place::Url(url), .. } if url.starts_with("pattern:") => {
                let spec = url.parse().map_err(refused)?;
                Ok(SourceSpec::Pattern { spec, pacing: Pacing::OnDemand })
            }
            Source::Vod { place, play } => Ok(SourceSpec::File {
                location: self.location(place)?,
                excerpt: excerpt(*play, from),
            }),
            Source::Image { place } => {
                let location = self.location(place)?;
                Ok(SourceSpec::Image(match place {
                    Place::Url(url) if !url.starts_with("file:") => ImageSource::Url(location),
                    _ => ImageSource::Path(location.into()),
                }))
            }
        }
    }

    /// The hub's name of a stream that is pushed to this very server, if `url` names one.
    fn pushed_name(&self, caster: &Caster, url: &str) -> Option<String> {
        let url = url::Url::parse(url).ok().filter(|url| url.scheme() == "rtmp")?;
        let host = url.host_str()?.trim_matches(['[', ']']);
        let port = url.port().unwrap_or(RTMP_PORT);
        let own_name = caster.config.domain.as_deref() == Some(host) || host == "localhost";
        let own_address = host.parse().is_ok_and(|ip: std::net::IpAddr| {
            ip == self.rtmp.ip() || (ip.is_loopback() && self.rtmp.ip().is_unspecified())
        });
        let name = url.path().trim_matches('/');
        (port == self.rtmp.port() && (own_name || own_address) && !name.is_empty())
            .then(|| name.to_owned())
    }

    /// What the rules may know of an item of the media library.
    pub(super) fn media_facts(&self, id: &MaterialId) -> Option<MediaFacts> {
        let item = self.library.find(id.as_str())?;
        Some(match item.kind {
            Kind::Video => MediaFacts::Video { duration_ms: item.duration_ms },
            Kind::Image => MediaFacts::Image,
        })
    }

    /// Directory of a stream's HLS files.
    pub(super) fn hls_dir(&self, stream_name: &str) -> PathBuf {
        self.config.data.join("hls").join(stream_name)
    }

    /// HLS of a stream, as this server makes it.
    pub(super) fn hls(&self, stream_name: &str) -> Sink {
        let segments = match self.config.hls_segments {
            config::HlsSegments::Auto => HlsSegments::Auto,
            config::HlsSegments::Ts => HlsSegments::Ts,
            config::HlsSegments::Fmp4 => HlsSegments::Fmp4,
        };
        Sink::Hls { dir: self.hls_dir(stream_name), segments }
    }

    /// Says which renditions a stream has, for its master playlist. Where the disk does not take it, players do not see
    /// what changed; nothing else goes by it.
    pub(super) fn name_rungs<'a>(&self, stream_name: &str, rungs: impl Iterator<Item = &'a str>) {
        let lines: String = rungs.map(|name| format!("{name}\n")).collect();
        let dir = self.hls_dir(stream_name);
        let (path, new) = (dir.join(hls::RUNGS), dir.join("rungs.new"));
        let written = std::fs::create_dir_all(&dir)
            .and_then(|()| std::fs::write(&new, lines))
            .and_then(|()| std::fs::rename(&new, path));
        if let Err(error) = written {
            tracing::warn!(%error, "the master playlist of {stream_name} is not up to date");
        }
    }

    /// Removes the HLS files of a stream that will not come back, and those of its renditions.
    pub(super) fn remove_hls(&self, stream_name: &str) {
        let renditions =
            Rendition::ALL.iter().map(|name| format!("{stream_name}_{}", name.as_str()));
        for stream_name in std::iter::once(stream_name.to_owned()).chain(renditions) {
            let dir = self.hls_dir(&stream_name);
            if let Err(error) = std::fs::remove_dir_all(&dir)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "{} stays", dir.display());
            }
        }
    }

    /// `file:NAME` → the file in the media directory, an item of the media library → its file; everything else stays a URL.
    pub(super) fn location(&self, place: &Place) -> Result<String, Refused> {
        let url = match place {
            Place::Url(url) => url,
            Place::Material(id) => {
                let path = self.library.path(id.as_str());
                let path = path.map(|path| path.to_string_lossy().into_owned());
                return path.ok_or_else(|| refused(format!("{id} is not in the media library")));
            }
        };
        let Some(name) = url.strip_prefix("file:") else { return Ok(url.clone()) };
        let name = Path::new(name.trim_start_matches('/'));
        let plain = name.components().all(|part| matches!(part, PathPart::Normal(_)));
        let path = self.config.media_dir.join(name);
        // A link could lead out of the directory, so the real path counts.
        let inside = |path: &PathBuf| {
            let root = self.config.media_dir.canonicalize().ok();
            root.is_some_and(|root| path.starts_with(root))
        };
        match path.canonicalize().ok().filter(|_| plain).filter(inside) {
            Some(real) => Ok(real.to_string_lossy().into_owned()),
            None => Err(refused(format!("{url} is not a file in the media directory"))),
        }
    }
}

impl World {
    /// The bytes of an image, of this machine or fetched.
    ///
    /// # Errors
    /// When it cannot be had or is larger than an image may be.
    pub(super) fn read_image(&self, location: &str, stop: &StopToken) -> Result<Vec<u8>, String> {
        match location.split_once("://") {
            Some(("http" | "https", _)) => {
                fetch_image(location, &self.allow, stop).map_err(|error| error.to_string())
            }
            _ => self.read_small(location, limits::MAX_IMAGE_BYTES),
        }
    }

    /// All bytes of a small file.
    fn read_small(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        // Anything else (a pipe, a device) could keep whoever opens it waiting.
        if !Path::new(path).is_file() {
            return Err(format!("{path} is not a file"));
        }
        let file = std::fs::File::open(path).map_err(|error| format!("{path}: {error}"))?;
        let read = file.take(max_bytes + 1).read_to_end(&mut bytes);
        match read {
            Ok(len) if len as u64 <= max_bytes => Ok(bytes),
            Ok(_) => Err(format!("{path} is larger than {max_bytes} bytes")),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }
}

fn excerpt(play: Play, from: From) -> Excerpt {
    Excerpt {
        plays: Plays::from_repeat(repeats_left(play.repeat_num, from.passes)),
        seek_ms: from.seek_ms,
        begin_ms: u64::try_from(play.begin_offset_ms).unwrap_or(0),
        end_ms: (play.end_offset_ms != 0).then(|| play.end_offset_ms.into()),
    }
}

/// A stream of the hub as a source, whenever somebody publishes it.
fn pushed(hub: Hub, name: String) -> SourceSpec {
    let stream = name.clone();
    let open = move |stop: &StopToken| Some(byte_source(hub.subscribe(&stream)?, stop));
    SourceSpec::Pushed { name, open: Arc::new(open) }
}
