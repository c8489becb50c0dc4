//! One pass over a source: reads packets and decodes whichever stream there is room for.
//!
//! Owns the schedule between container and decoders. Must not know queues, retries or loops. Invariant: it
//! never needs room in one stream to deliver the other, however badly the container interleaves them (within
//! `limits::INPUT_PACKETS` and `INPUT_PACKET_BYTES`; beyond, packets are dropped and counted).

use ffmpeg_next::Packet;
use ffmpeg_next::ffi::{AVCodecParameters, AVMediaType};

use super::decode::{AudioTrack, Counters, Supply, VideoTrack};
use super::nvdec::DecodedBy;
use super::open::{Demuxer, MediaError, OpenRequest, ReadOutcome, StreamInfo};
use crate::frame::{AudioBlock, Size, VideoFrame};
use crate::worker::StopToken;

/// Broken packets one after the other after which a source is given up.
const MAX_DAMAGED_IN_A_ROW: u32 = 1000;

/// Where the consumer has room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// For a video frame.
    pub(crate) video: bool,
    /// For an audio block.
    pub(crate) audio: bool,
}

/// What comes next.
pub(crate) enum Next {
    /// A picture and its nominal length, ns.
    Video(VideoFrame, i64),
    /// Samples.
    Audio(AudioBlock),
    /// Nothing, as long as there is no room for the stream that could go on.
    Wait,
    /// Nothing yet: what was read comes before the first key frame.
    BeforeKey,
    /// All has been delivered.
    End,
}

/// What a source consists of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Container format, FFmpeg's short name.
    pub container: String,
    /// Video codec, FFmpeg's short name; none: no video.
    pub video_codec: Option<String>,
    /// Size in pixels as declared; the frames say the truth.
    pub size: Option<Size>,
    /// Frames per second as declared.
    pub frames_per_second: Option<f64>,
    /// Audio codec, FFmpeg's short name; none: no audio.
    pub audio_codec: Option<String>,
    /// Audio sample rate, Hz.
    pub sample_rate_hz: Option<u32>,
    /// Audio channels.
    pub channels: Option<u32>,
}

/// A source being read and decoded.
pub(crate) struct Reader {
    demuxer: Demuxer,
    video: Option<VideoTrack>,
    audio: Option<AudioTrack>,
    supply: Supply,
    damaged: u64,
    damaged_in_a_row: u32,
    description: Description,
    start_ns: i64,
    duration_ns: Option<i64>,
}

impl Reader {
    /// Opens the source and the decoders of its best video and audio stream; those of `spare`, which has nothing to
    /// decode after that, if they fit.
    pub(crate) fn open(
        request: OpenRequest,
        stop: &StopToken,
        spare: Option<&mut Reader>,
    ) -> Result<Reader, MediaError> {
        let decoder = request.decoder.clone();
        let mut demuxer = Demuxer::open(request, stop)?;
        let video_stream = demuxer.best(AVMediaType::AVMEDIA_TYPE_VIDEO);
        let audio_stream = demuxer.best(AVMediaType::AVMEDIA_TYPE_AUDIO);
        let (spare_video, spare_audio) =
            spare.map(|reader| (reader.video.take(), reader.audio.take())).unwrap_or_default();
        let video = match video_stream.as_ref().map(|s| VideoTrack::open(s, &decoder, spare_video))
        {
            Some(Err(error @ MediaError::TooLarge(_))) => return Err(error),
            track => track.and_then(Result::ok),
        };
        let audio = audio_stream.as_ref().and_then(|s| AudioTrack::open(s, spare_audio).ok());
        if video.is_none() && audio.is_none() {
            return Err(MediaError::NoMedia);
        }
        let kept: Vec<usize> =
            video.iter().map(|t| t.stream).chain(audio.iter().map(|t| t.stream)).collect();
        demuxer.keep_only(&kept);
        let video_stream = video_stream.filter(|_| video.is_some());
        let audio_stream = audio_stream.filter(|_| audio.is_some());
        let leading = video_stream.or(audio_stream);
        Ok(Reader {
            description: describe(&demuxer, video_stream, audio_stream),
            start_ns: leading.and_then(|s| s.start_ns).unwrap_or(0),
            duration_ns: leading.and_then(|s| s.duration_ns).or(demuxer.duration_ns()),
            demuxer,
            video,
            audio,
            supply: Supply::More,
            damaged: 0,
            damaged_in_a_row: 0,
        })
    }

    /// What the source consists of.
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    /// Time of the first picture (or sample, if there is no video).
    pub(crate) fn start_ns(&self) -> i64 {
        self.start_ns
    }

    /// Goes so far ahead of `ns` that the picture at `ns` can be decoded; only before the first `next`. False if
    /// that failed and the reader is of no more use: some containers cannot seek, others (MPEG-TS) find the time
    /// but not the key frame before it.
    pub(crate) fn seek_before(&mut self, ns: i64, margin_ns: i64) -> Result<bool, MediaError> {
        match self.demuxer.seek_before(ns.saturating_sub(margin_ns)) {
            Err(MediaError::Stopped) => return Err(MediaError::Stopped),
            Err(_) => return Ok(false),
            Ok(()) => {}
        }
        while self.supply == Supply::More {
            match self.video.as_ref().map(VideoTrack::first_key_ns) {
                Some(None) => self.read().map(|_| ())?,
                Some(Some(key_ns)) => return Ok(key_ns <= ns),
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Where the leading stream really ends, by its last packet; nothing can be delivered after that. The
    /// container's own length is that of its longest stream, or an estimate.
    pub(crate) fn into_end_ns(mut self) -> Result<Option<i64>, MediaError> {
        const TAIL_NS: i64 = 5_000_000_000;
        let Some(duration_ns) = self.duration_ns else { return Ok(None) };
        let leading =
            self.video.as_ref().map(|v| v.stream).or(self.audio.as_ref().map(|a| a.stream));
        if duration_ns > TAIL_NS {
            self.demuxer.seek_before(self.start_ns + duration_ns - TAIL_NS)?;
        }
        let mut end_ns = None;
        let mut packet = Packet::empty();
        while let ReadOutcome::Packet = self.demuxer.read(&mut packet)? {
            let end = packet.pts().map(|pts| pts + packet.duration());
            if Some(packet.stream()) == leading && end > end_ns {
                end_ns = end;
            }
            packet = Packet::empty();
        }
        Ok(end_ns)
    }

    /// Video that is still to come.
    pub(crate) fn has_video(&self) -> bool {
        self.video.as_ref().is_some_and(|v| !v.is_drained())
    }

    /// Wants no more video.
    pub(crate) fn finish_video(&mut self) {
        if let Some(video) = &mut self.video {
            video.finish();
        }
    }

    /// Wants no more audio.
    pub(crate) fn finish_audio(&mut self) {
        if let Some(audio) = &mut self.audio {
            audio.finish();
        }
    }

    /// Audio packets read ahead while looking for video.
    pub(crate) fn audio_backlog(&self) -> usize {
        self.audio.as_ref().map_or(0, AudioTrack::backlog)
    }

    /// What decodes its video, as of the last picture.
    pub(crate) fn decoded_by(&self) -> DecodedBy {
        self.video.as_ref().map(|video| video.decoded_by().clone()).unwrap_or_default()
    }

    /// Counters of both streams together.
    pub(crate) fn counters(&self) -> Counters {
        let video = self.video.as_ref().map(VideoTrack::counters).unwrap_or_default();
        let audio = self.audio.as_ref().map(AudioTrack::counters).unwrap_or_default();
        Counters {
            decoded: video.decoded + audio.decoded,
            decode_errors: video.decode_errors + audio.decode_errors + self.damaged,
            packets_dropped: video.packets_dropped + audio.packets_dropped,
        }
    }

    /// Delivers something there is room for. Blocks in reading, at most `limits::INPUT_READ_TIMEOUT`: if only
    /// one stream has room and the source falls silent, the other waits for as long.
    pub(crate) fn next(&mut self, room: Room) -> Result<Next, MediaError> {
        loop {
            if room.video
                && let Some(video) = &mut self.video
                && let Some((frame, duration_ns)) = video.pull(self.supply)?
            {
                return Ok(Next::Video(frame, duration_ns));
            }
            if room.audio
                && let Some(audio) = &mut self.audio
                && let Some(block) = audio.pull(self.supply)
            {
                return Ok(Next::Audio(block));
            }
            let video_done = self.video.as_ref().is_none_or(VideoTrack::is_drained);
            let audio_done = self.audio.as_ref().is_none_or(AudioTrack::is_drained);
            if video_done && audio_done {
                return Ok(Next::End);
            }
            let starving = (room.video && !video_done) || (room.audio && !audio_done);
            if !starving || self.supply == Supply::Ended {
                return Ok(Next::Wait);
            }
            if !self.read()? {
                return Ok(Next::BeforeKey);
            }
        }
    }

    /// Reads a packet; false if it is of no use before a key frame.
    fn read(&mut self) -> Result<bool, MediaError> {
        let mut packet = Packet::empty();
        match self.demuxer.read(&mut packet)? {
            ReadOutcome::Damaged => {
                self.damaged += 1;
                self.damaged_in_a_row += 1;
                if self.damaged_in_a_row > MAX_DAMAGED_IN_A_ROW {
                    return Err(MediaError::Read("it is damaged".into()));
                }
            }
            ReadOutcome::End => self.supply = Supply::Ended,
            ReadOutcome::Packet => {
                self.damaged_in_a_row = 0;
                let stream = packet.stream();
                if let Some(video) = self.video.as_mut().filter(|v| v.stream == stream) {
                    return Ok(video.is_drained() || video.push(packet));
                } else if let Some(audio) = self.audio.as_mut().filter(|a| a.stream == stream)
                    && !audio.is_drained()
                {
                    audio.push(packet);
                }
            }
        }
        Ok(true)
    }
}

#[expect(unsafe_code, reason = "reads plain numbers of FFmpeg's parameters")]
fn describe(
    demuxer: &Demuxer,
    video: Option<StreamInfo>,
    audio: Option<StreamInfo>,
) -> Description {
    let read = |stream: Option<StreamInfo>| -> Option<AVCodecParameters> {
        // SAFETY: the container is open; the copy is only read for its numbers.
        stream.map(|s| unsafe { *s.parameters })
    };
    let name = |parameters: AVCodecParameters| {
        ffmpeg_next::codec::Id::from(parameters.codec_id).name().to_owned()
    };
    let (v, a) = (read(video), read(audio));
    let positive = |value: i32| u32::try_from(value).ok().filter(|&v| v > 0);
    Description {
        container: demuxer.format_name(),
        video_codec: v.map(name),
        size: v.and_then(|v| Some(Size::new(positive(v.width)?, positive(v.height)?))),
        frames_per_second: video
            .filter(|s| s.frame_rate.num > 0 && s.frame_rate.den > 0)
            .map(|s| f64::from(s.frame_rate.num) / f64::from(s.frame_rate.den)),
        audio_codec: a.map(name),
        sample_rate_hz: a.and_then(|a| positive(a.sample_rate)),
        channels: a.and_then(|a| positive(a.ch_layout.nb_channels)),
    }
}
