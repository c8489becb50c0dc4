//! A recorded file as it is told of: what it is, where it is, what is still to be done with it.
//!
//! Must not know how files are written or where they are kept. Invariant: a name is relative to the directory of all
//! recordings and stays below it.

use crate::ids::{CasterId, RecordingId};

/// What a recording is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// FLV files.
    Flv,
    /// MP4 files: in fragments while they are written, whole with their index in front afterwards.
    Mp4,
    /// Playlists with MPEG-TS segments.
    Hls,
}

impl RecordFormat {
    /// Every format.
    pub const ALL: [RecordFormat; 3] = [RecordFormat::Flv, RecordFormat::Mp4, RecordFormat::Hls];

    /// Extension of its files, which is also the API's word for it.
    pub fn extension(self) -> &'static str {
        match self {
            RecordFormat::Flv => "flv",
            RecordFormat::Mp4 => "mp4",
            RecordFormat::Hls => "m3u8",
        }
    }

    /// MIME type of its files, of a playlist that of the playlist.
    pub fn mime(self) -> &'static str {
        match self {
            RecordFormat::Flv => "video/x-flv",
            RecordFormat::Mp4 => "video/mp4",
            RecordFormat::Hls => "application/vnd.apple.mpegurl",
        }
    }

    /// The format with this extension.
    pub fn parse(text: &str) -> Option<RecordFormat> {
        RecordFormat::ALL.into_iter().find(|format| format.extension() == text)
    }
}

/// How far a recorded file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingState {
    /// It is written, or was when the process ended.
    Recording,
    /// All of it is there; it gets its final form.
    Finishing,
    /// It will not change any more, and stays on the disk.
    Finished,
    /// It will not change any more, and is on its way to object storage.
    Uploading,
    /// All of it is in object storage.
    Stored,
}

impl RecordingState {
    /// Every state.
    pub const ALL: [RecordingState; 5] = [
        RecordingState::Recording,
        RecordingState::Finishing,
        RecordingState::Finished,
        RecordingState::Uploading,
        RecordingState::Stored,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            RecordingState::Recording => "recording",
            RecordingState::Finishing => "finishing",
            RecordingState::Finished => "finished",
            RecordingState::Uploading => "uploading",
            RecordingState::Stored => "stored",
        }
    }

    /// Whether the file will not change any more.
    pub fn is_final(self) -> bool {
        match self {
            RecordingState::Recording | RecordingState::Finishing => false,
            RecordingState::Finished | RecordingState::Uploading | RecordingState::Stored => true,
        }
    }

    /// The state of this word.
    pub fn parse(text: &str) -> Option<RecordingState> {
        RecordingState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A recorded file: one of FLV or MP4, or a playlist with its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Which.
    pub id: RecordingId,
    /// Whose programme it is.
    pub caster: CasterId,
    /// Name of the stream that was recorded.
    pub stream: String,
    /// What it is.
    pub format: RecordFormat,
    /// How far it is.
    pub state: RecordingState,
    /// Its name below the directory of all recordings. While it is written it may hold `{EndTime}`.
    pub name: String,
    /// The name that it was written under, without `.part`, as long as that may still be there, or as it has not got its final
    /// form.
    pub part: Option<String>,
    /// Where it is in object storage, or will be: `s3://BUCKET/KEY`, whose end is its name. `None`: it stays on the disk.
    pub uri: Option<String>,
    /// When it began, ms since 1970.
    pub start_unix_ms: u64,
    /// How long it plays, ms; 0 while it is written.
    pub duration_ms: u64,
    /// Its size, segments included; 0 while it is written.
    pub bytes: u64,
}

impl Recording {
    /// When it ended, ms since 1970.
    pub fn end_unix_ms(&self) -> u64 {
        self.start_unix_ms + self.duration_ms
    }
}

/// Which recordings are asked for; what is none does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingFilter {
    /// Those of this caster.
    pub caster: Option<CasterId>,
    /// Those in this format.
    pub format: Option<RecordFormat>,
    /// Those in this state.
    pub state: Option<RecordingState>,
    /// Those that began at or after this time, ms since 1970.
    pub from_unix_ms: Option<u64>,
    /// Those that began at or before this time.
    pub until_unix_ms: Option<u64>,
}
