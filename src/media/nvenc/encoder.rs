//! Pictures of ticks to packets, by a session of NVENC.
//!
//! Must not know other encoders. Invariants: packet times are tick times; a keyframe where it is forced and where the
//! group of pictures is over, nowhere else. Pictures on NVENC's own device are encoded from where they are, and kept until that is
//! done; others come from the host's memory and are copied into NVENC's.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::direct::Direct;
use super::session::{Given, Input, Output, Session};
use super::{NoNvenc, driver};
use crate::frame::Picture;
use crate::limits::NVENC_BUFFERS;
use crate::media::encode::{
    EncodeError, Encoded, Idr, Intake, Timing, VideoSettings, check_picture, sets,
};
use crate::media::packet::Packet;

/// As many buffers for pictures that go in as for those that come out.
#[derive(Clone, Copy, Debug)]
struct Buffers {
    input: Input,
    output: Output,
}

/// A picture that was handed in and has not come out.
#[derive(Debug)]
struct Pending {
    tick: u64,
    /// The buffer that it is in, or would be.
    input: Input,
    /// It lies on the device, mapped like this.
    mapped: Option<Mapped>,
}

/// A picture that must stay until it is unmapped.
#[derive(Debug)]
struct Mapped {
    input: Input,
    picture: Arc<Picture>,
}

/// An open NVENC.
#[derive(Debug)]
pub struct NvencEncoder {
    /// All of them.
    buffers: Vec<Buffers>,
    free_inputs: VecDeque<Input>,
    free_outputs: VecDeque<Output>,
    /// Handed in, not yet read, in order.
    pending: VecDeque<Pending>,
    /// What they are to be read from, in order of decoding.
    outputs: VecDeque<Output>,
    direct: Direct,
    intake: Intake,
    video: VideoSettings,
    timing: Timing,
    gop_pictures: u64,
    /// Pictures since the last keyframe, itself included; 0 before the first.
    since_idr: u64,
    parameter_sets: Bytes,
    session: Session<'static>,
}

impl NvencEncoder {
    /// Opens a session and its buffers.
    ///
    /// # Errors
    /// Why there is none.
    pub(in crate::media) fn open(video: &VideoSettings) -> Result<NvencEncoder, NoNvenc> {
        let driver = driver(&video.nvenc)?;
        let session = Session::open(driver, video.nvenc.most_sessions)?;
        let video = &session.fitted(video)?;
        session.initialize(video)?;
        let parameter_sets = session.parameter_sets()?.into();
        let mut encoder = NvencEncoder {
            buffers: Vec::new(),
            free_inputs: VecDeque::new(),
            free_outputs: VecDeque::new(),
            pending: VecDeque::new(),
            outputs: VecDeque::new(),
            direct: Direct::new(),
            intake: Intake::of(driver.device().uuid),
            video: video.clone(),
            timing: Timing::of(video),
            gop_pictures: u64::from((video.gop_ticks / video.picture_ticks.max(1)).max(1)),
            since_idr: 0,
            parameter_sets,
            session,
        };
        for _ in 0..NVENC_BUFFERS + video.pictures_held() as usize {
            encoder.add_buffers()?;
        }
        encoder.free_inputs.extend(encoder.buffers.iter().map(|buffers| buffers.input));
        encoder.free_outputs.extend(encoder.buffers.iter().map(|buffers| buffers.output));
        Ok(encoder)
    }

    fn add_buffers(&mut self) -> Result<(), NoNvenc> {
        let input = self.session.create_input(self.video.size)?;
        match self.session.create_output() {
            Ok(output) => self.buffers.push(Buffers { input, output }),
            Err(refusal) => {
                self.session.destroy_input(input)?;
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// SPS and PPS, of HEVC also VPS, Annex B; of AV1 the sequence header, an OBU.
    pub(in crate::media) fn parameter_sets(&self) -> &[u8] {
        &self.parameter_sets
    }

    /// Where it takes pictures from.
    pub(in crate::media) fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Keeps another bit rate from the next picture on.
    pub(in crate::media) fn set_bitrate(&mut self, bps: u32) -> Result<(), NoNvenc> {
        if bps == self.video.bitrate_bps {
            return Ok(());
        }
        let video = VideoSettings { bitrate_bps: bps, ..self.video.clone() };
        let level = sets::level(self.video.codec, &self.parameter_sets);
        self.session.reconfigure(&video, level)?;
        if self.session.parameter_sets()? != self.parameter_sets {
            let reason = "it changes the parameter sets".to_owned();
            return Err(NoNvenc::Refused { what: "another bit rate", reason });
        }
        self.video = video;
        Ok(())
    }

    /// Encodes the picture of `tick`; gives what is ready.
    pub(in crate::media) fn encode(
        &mut self,
        tick: u64,
        picture: &Arc<Picture>,
        idr: Idr,
    ) -> Result<Vec<Packet>, EncodeError> {
        check_picture(picture, self.video.size)?;
        let is_due = self.since_idr == 0 || self.since_idr >= self.gop_pictures;
        let idr = if is_due { Idr::Force } else { idr };
        let held_back = || NoNvenc::Refused {
            what: "a picture",
            reason: format!("{} pictures are held back", self.buffers.len()),
        };
        let own = self.free_inputs.pop_front().ok_or_else(held_back)?;
        let output = self.free_outputs.pop_front().ok_or_else(held_back)?;
        let (mapped, pitch) = match self.map(picture) {
            Some((mapped, pitch)) => (Some(mapped), pitch),
            None => (None, self.session.upload(own, picture)?),
        };
        let input = mapped.as_ref().map_or(own, |mapped| mapped.input);
        // Whatever comes of it, it is given back.
        self.pending.push_back(Pending { tick, input: own, mapped });
        self.outputs.push_back(output);
        let source = (input, pitch, self.video.size);
        let given = self.session.encode(source, output, (tick, idr))?;
        self.since_idr = if idr == Idr::Force { 1 } else { self.since_idr + 1 };
        match given {
            Given::All => self.read(self.unread()),
            Given::Later => Ok(Vec::new()),
        }
    }

    /// Pictures at the end that are only looked at yet, and B-frames before them that may wait for one of those.
    fn unread(&self) -> usize {
        let VideoSettings { lookahead_pictures, b_frames, .. } = self.video;
        if lookahead_pictures == 0 { 0 } else { (lookahead_pictures + b_frames) as usize }
    }

    /// Maps a picture that lies on the encoder's device, with its pitch. If that fails once, pictures are copied from then on.
    fn map(&mut self, picture: &Arc<Picture>) -> Option<(Mapped, u32)> {
        let place = picture.keeper()?.place();
        if self.intake.device() != Some(place.memory.device()) {
            return None;
        }
        let is_it = |mapped: &&Mapped| {
            mapped.picture.keeper().is_some_and(|keeper| {
                let other = keeper.place();
                Arc::ptr_eq(&other.memory, &place.memory)
                    && other.offset_bytes == place.offset_bytes
            })
        };
        // One that is shown again while it is held is mapped already; FFmpeg too counts how often it has handed one in.
        let mapped = self.pending.iter().filter_map(|pending| pending.mapped.as_ref()).find(is_it);
        let input = match mapped {
            Some(mapped) => Ok(mapped.input),
            None => self.direct.map(&self.session, place, self.video.size),
        };
        match input {
            Ok(input) => Some((Mapped { input, picture: Arc::clone(picture) }, place.pitch_bytes)),
            Err(error) => {
                tracing::warn!(%error, "pictures are copied by way of the host from now on");
                self.intake.refuse(error.to_string());
                None
            }
        }
    }

    /// Whether a picture that was handed in and not read lies there.
    fn is_mapped(&self, input: Input) -> bool {
        self.pending
            .iter()
            .any(|pending| pending.mapped.as_ref().is_some_and(|of| of.input == input))
    }

    /// Gives what was held back.
    pub(in crate::media) fn finish(mut self) -> Result<Vec<Packet>, EncodeError> {
        self.session.flush()?;
        self.since_idr = 0;
        self.read(0)
    }

    /// Reads as much as was handed in, but for `unread` pictures.
    fn read(&mut self, unread: usize) -> Result<Vec<Packet>, EncodeError> {
        let mut packets = Vec::new();
        while let Some(output) = self.outputs.front().filter(|_| self.outputs.len() > unread) {
            let unit = self.session.read(*output)?;
            self.free_outputs.extend(self.outputs.pop_front());
            self.let_go(unit.time)?;
            let tick = i64::try_from(unit.time).unwrap_or(i64::MAX);
            packets.push(self.timing.packet(&Encoded {
                pts: tick,
                dts: tick,
                duration: 0,
                key: unit.is_idr,
                data: unit.bytes.into(),
            }));
        }
        Ok(packets)
    }

    /// Lets go of what a picture that came out lies in, which is not always the one that was handed in first.
    fn let_go(&mut self, tick: u64) -> Result<(), NoNvenc> {
        let index = self.pending.iter().position(|pending| pending.tick == tick);
        let Some(Pending { input, mapped, .. }) = index.and_then(|at| self.pending.remove(at))
        else {
            let reason = format!("{tick} was not handed in, or came out before");
            return Err(NoNvenc::Refused { what: "the time of a picture", reason });
        };
        if let Some(mapped) = mapped.filter(|mapped| !self.is_mapped(mapped.input)) {
            self.session.unmap(mapped.input)?;
        }
        self.free_inputs.push_back(input);
        Ok(())
    }
}

impl Drop for NvencEncoder {
    fn drop(&mut self) {
        // A session is flushed, and what it held read, before its buffers go. One that is lost refuses that, and says so only
        // once more.
        let flushed = match self.since_idr {
            0 => Ok(()),
            _ => self.session.flush(),
        };
        let ended = flushed.map_err(EncodeError::from).and_then(|()| self.read(0));
        if let Err(error) = ended {
            tracing::debug!(%error, "a session of NVENC ends without a flush");
        }
        while let Some(pending) = self.pending.pop_front() {
            let mapped = pending.mapped.filter(|mapped| !self.is_mapped(mapped.input));
            let Some(mapped) = mapped else { continue };
            if let Err(error) = self.session.unmap(mapped.input) {
                tracing::debug!(%error, "a picture is not unmapped");
            }
        }
        self.direct.close(&self.session);
        for buffers in std::mem::take(&mut self.buffers) {
            let destroyed = self.session.destroy_input(buffers.input);
            if let Err(error) = destroyed.and(self.session.destroy_output(buffers.output)) {
                tracing::warn!(%error, "a buffer of NVENC is not destroyed");
            }
        }
    }
}
