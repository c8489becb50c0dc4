//! An encode session: what it was given, and in which state that is.
//!
//! Must not know handles of others. Invariant: a call that the header forbids at this point is refused, and answered with what
//! was wrong with it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::CString;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS::{self, *};

use crate::faults::Loss;
use crate::groups::{Coded, Groups};
use crate::software::{Kind, Software, Wish};
use crate::world::world;

/// Why a call is refused: its answer, and what was wrong where the caller is to blame.
pub type Refusal = (NVENCSTATUS, Option<&'static str>);

/// A refusal that is the caller's fault.
pub fn wrong(status: NVENCSTATUS, what: &'static str) -> Refusal {
    (status, Some(what))
}

/// What a session was initialized with.
pub struct Setup {
    pub wish: Wish,
    pub gop_pictures: u32,
    pub repeats_sets: bool,
    /// Pictures that are only looked at yet.
    pub ahead: u64,
    /// What cannot be changed in a session.
    pub fixed: Fixed,
}

/// What the header says that reconfiguration does not support: a change of the GOP structure, of the mode, of the largest size; and
/// of what it says nothing about: the codec, and what `NvEncInitializeEncoder` alone is told.
#[derive(PartialEq)]
pub struct Fixed {
    pub codec: nv::GUID,
    pub gop_length: u32,
    pub interval_p: i32,
    pub idr_period: u32,
    pub look_ahead: (u32, u32),
    pub mode: (u32, u32),
    pub largest: (u32, u32),
}

/// A buffer for pictures.
pub struct Input {
    pub pitch: usize,
    pub data: Vec<u8>,
    pub is_locked: bool,
    /// The picture in it, until that is read.
    pub used_by: Vec<u64>,
}

/// Memory that is not the session's own.
pub struct Resource {
    pub address: u64,
    pub pitch: usize,
    pub size: (u32, u32),
    /// What it is mapped as, while it is.
    pub mapped: Option<usize>,
    /// As [`Input::used_by`]; it is only read, and may be several pictures (FFmpeg counts how often it has handed one in).
    pub used_by: Vec<u64>,
    /// What was seen of the picture there, which may not change while it is used.
    pub seen: u64,
}

/// Something of a picture, by which another one is told from it.
fn glance(nv12: &[u8]) -> u64 {
    nv12.iter().step_by(61).fold(0, |sum: u64, sample| sum.wrapping_mul(31) + u64::from(*sample))
}

impl Resource {
    /// What lies there.
    fn data(&self) -> Result<&[u8], Refusal> {
        if !world().is_readable(self.address, self.bytes()) {
            return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "memory that is gone"));
        }
        // SAFETY: it is mapped, and stays so for as long as it is registered here.
        Ok(unsafe { std::slice::from_raw_parts(self.address as *const u8, self.bytes()) })
    }

    /// Bytes of NV12 there.
    pub fn bytes(&self) -> usize {
        self.pitch * self.size.1 as usize * 3 / 2
    }
}

/// What a bitstream buffer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    #[default]
    Nothing,
    /// One that the encoder has not given out.
    Back,
    Ready,
    Locked,
}

/// A buffer for a picture that is encoded.
#[derive(Default)]
pub struct Output {
    pub held: Held,
    pub bytes: Vec<u8>,
    /// Of the picture that came out there, as what it was handed in.
    pub picture: u64,
    pub time: u64,
    pub is_idr: bool,
}

/// A picture that is encoded.
struct Waiting {
    picture: u64,
    time: u64,
    is_idr: bool,
    /// What it is decoded by goes before it.
    has_sets: bool,
}

/// A picture as it is handed in.
pub struct Handed {
    pub input: usize,
    pub output: usize,
    pub pitch: usize,
    pub size: (u32, u32),
    pub time: u64,
    pub flags: u32,
}

/// Refuses a level that the pictures do not fit into, and one that the encoder here does not write.
fn check_level(software: &Software, wish: &Wish) -> Result<(), Refusal> {
    let (Some(asked), Some(lowest)) = (wish.level, software.level()) else { return Ok(()) };
    match asked.cmp(&lowest) {
        Ordering::Less => Err(wrong(NV_ENC_ERR_INVALID_PARAM, "a level that is too low")),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err((NV_ENC_ERR_UNIMPLEMENTED, None)),
    }
}

/// See the module.
#[derive(Default)]
pub struct Session {
    pub setup: Option<Setup>,
    software: Option<Software>,
    groups: Option<Groups>,
    pub inputs: BTreeMap<usize, Input>,
    pub outputs: BTreeMap<usize, Output>,
    pub resources: BTreeMap<usize, Resource>,
    /// Bitstream buffers that nothing was given out in, in order.
    held: Vec<usize>,
    /// Pictures that have not come out of the encoder.
    waiting: Vec<Waiting>,
    /// Those that have and were not given out, in order of decoding: each goes to the buffer of its place in `held`.
    coded: Vec<Output>,
    /// Pictures that were given out.
    given: u64,
    pub pictures: u64,
    since_idr: u32,
    /// Reconfiguration asked for a keyframe.
    is_idr_due: bool,
    /// The encoder is lost: every call fails.
    pub is_lost: bool,
    is_flushed: bool,
    /// What `nvEncGetLastErrorString` answers.
    pub words: CString,
}

impl Session {
    pub fn initialize(&mut self, setup: Setup) -> Result<(), Refusal> {
        if self.setup.is_some() {
            return Err(wrong(NV_ENC_ERR_INVALID_CALL, "initialized twice"));
        }
        let opened = Software::open(&setup.wish).ok_or((NV_ENC_ERR_INVALID_PARAM, None))?;
        check_level(&opened, &setup.wish)?;
        self.software = Some(opened);
        if setup.wish.b_frames > 0 {
            let groups = Groups::new(&setup.wish);
            self.groups = Some(groups.ok_or((NV_ENC_ERR_INVALID_PARAM, None))?);
        }
        self.setup = Some(setup);
        Ok(())
    }

    /// Goes on as another setup says; `is_idr`: with a keyframe.
    pub fn reconfigure(&mut self, setup: Setup, is_idr: bool) -> Result<(), Refusal> {
        let before = self.setup()?;
        if before.fixed != setup.fixed {
            return Err(wrong(NV_ENC_ERR_UNSUPPORTED_PARAM, "reconfigured what cannot be"));
        }
        let Wish { bitrate_bps, vbv_bits, level, .. } = setup.wish;
        if (Wish { bitrate_bps, vbv_bits, level, ..before.wish.clone() }) != setup.wish {
            // A card could: another size or frame rate.
            return Err((NV_ENC_ERR_UNIMPLEMENTED, None));
        }
        if let (Some(software), None) = (&mut self.software, &self.groups) {
            check_level(software, &setup.wish)?;
            software.set_rate(&setup.wish).ok_or((NV_ENC_ERR_INVALID_PARAM, None))?;
        }
        self.is_idr_due |= is_idr;
        self.setup = Some(setup);
        Ok(())
    }

    pub fn setup(&self) -> Result<&Setup, Refusal> {
        let missing = wrong(NV_ENC_ERR_ENCODER_NOT_INITIALIZED, "not initialized");
        self.setup.as_ref().ok_or(missing)
    }

    /// SPS and PPS; of AV1 the sequence header.
    pub fn sets(&self) -> Result<Vec<u8>, Refusal> {
        self.setup()?;
        Ok(self.software.as_ref().map_or_else(Vec::new, Software::sets))
    }

    /// Takes a picture; true when it and all that was held back can be read, but for what is only looked at yet.
    pub fn encode(&mut self, picture: &Handed, hold: u64) -> Result<bool, Refusal> {
        let setup = self.setup()?;
        let (repeats_sets, ahead) = (setup.repeats_sets, setup.ahead);
        let gop_pictures = setup.gop_pictures;
        if picture.size != (setup.wish.width as u32, setup.wish.height as u32) {
            return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "a picture of another size"));
        }
        let is_forced = picture.flags & nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32 != 0;
        let is_forced = is_forced || std::mem::take(&mut self.is_idr_due);
        let is_idr = is_forced || self.pictures == 0 || self.since_idr >= gop_pictures;
        let nv12 = self.pixels(picture)?;
        let asks_sets =
            picture.flags & nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_OUTPUT_SPSPPS as u32 != 0;
        self.waiting.push(Waiting {
            picture: self.pictures,
            time: picture.time,
            is_idr,
            has_sets: is_idr && (repeats_sets || self.pictures == 0) || asks_sets,
        });
        self.held.push(picture.output);
        self.encoded(nv12, is_idr)?;
        self.pictures += 1;
        self.since_idr = if is_idr { 1 } else { self.since_idr + 1 };
        self.is_flushed = false;
        let ready = self.whole((self.held.len() as u64).saturating_sub(ahead) as usize);
        let is_ready = ready as u64 > hold;
        if is_ready {
            self.give_out(ready);
        }
        Ok(is_ready)
    }

    /// How many of the first `most` that are to be given out are there with all that is shown before them.
    fn whole(&self, most: usize) -> usize {
        let (mut latest, mut whole) = (0, 0);
        for (count, coded) in (1..=most).zip(&self.coded) {
            latest = latest.max(coded.picture);
            if latest < self.given + count as u64 {
                whole = count;
            }
        }
        whole
    }

    /// What a picture that is handed in shows, without gaps between its rows.
    fn pixels(&mut self, picture: &Handed) -> Result<Vec<u8>, Refusal> {
        let missing = wrong(NV_ENC_ERR_INVALID_PARAM, "a buffer that this session does not have");
        let output = self.outputs.get_mut(&picture.output).ok_or(missing)?;
        if output.held != Held::Nothing {
            return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "a bitstream buffer that is in use"));
        }
        let is_it = |resource: &&mut Resource| resource.mapped == Some(picture.input);
        let is_own = self.inputs.contains_key(&picture.input);
        let (pitch, used_by, data) = match self.inputs.get_mut(&picture.input) {
            Some(input) if input.is_locked => {
                return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "an input buffer that is locked"));
            }
            Some(input) => (input.pitch, &mut input.used_by, &input.data[..]),
            None => {
                let resource = self.resources.values_mut().find(is_it).ok_or(missing)?;
                resource.seen = glance(resource.data()?);
                // SAFETY: as in [`Resource::data`].
                let data = unsafe {
                    std::slice::from_raw_parts(resource.address as *const u8, resource.bytes())
                };
                (resource.pitch, &mut resource.used_by, data)
            }
        };
        if pitch != picture.pitch || is_own && !used_by.is_empty() {
            return Err(wrong(
                NV_ENC_ERR_INVALID_PARAM,
                "an input that is in use, or another pitch",
            ));
        }
        used_by.push(self.pictures);
        output.held = Held::Back;
        let (width, rows) = (picture.size.0 as usize, picture.size.1 as usize * 3 / 2);
        let rows: Vec<&[u8]> = data.chunks(pitch).take(rows).map(|row| &row[..width]).collect();
        Ok(rows.concat())
    }

    /// Encodes the next picture, and keeps what comes out.
    fn encoded(&mut self, nv12: Vec<u8>, is_idr: bool) -> Result<(), Refusal> {
        let software = self.software.as_mut().expect("initialized");
        let coded = match &mut self.groups {
            Some(groups) => groups.push(nv12, is_idr),
            None => {
                let width = self.setup.as_ref().expect("initialized").wish.width as usize;
                let kind = if is_idr { Kind::Idr } else { Kind::Any };
                let out = software.push(&nv12, width, (self.pictures as i64, kind));
                let coded = |(pts, bytes)| Coded { picture: pts as u64, bytes };
                out.map(|out: Vec<(i64, Vec<u8>)>| out.into_iter().map(coded).collect())
            }
        };
        self.keep(coded.ok_or((NV_ENC_ERR_GENERIC, None))?)
    }

    fn keep(&mut self, coded: Vec<Coded>) -> Result<(), Refusal> {
        for Coded { picture, bytes } in coded {
            let index = self.waiting.iter().position(|waiting| waiting.picture == picture);
            let waiting = self.waiting.remove(index.ok_or((NV_ENC_ERR_GENERIC, None))?);
            let Waiting { time, is_idr, has_sets, .. } = waiting;
            let mut stream = self.setup()?.wish.codec.delimiter().to_vec();
            if has_sets {
                stream.extend(self.sets()?);
            }
            stream.extend(bytes);
            self.coded.push(Output { held: Held::Ready, bytes: stream, picture, time, is_idr });
        }
        Ok(())
    }

    /// Whether a picture is handed in out of memory that is not the session's own.
    pub fn is_direct(&self, picture: &Handed) -> bool {
        !self.inputs.contains_key(&picture.input)
    }

    /// Gives out a handle of registered memory to encode from.
    pub fn map(&mut self, resource: usize, handle: usize) -> Result<(), Refusal> {
        let missing = wrong(NV_ENC_ERR_RESOURCE_NOT_REGISTERED, "not registered here");
        let resource = self.resources.get_mut(&resource).ok_or(missing)?;
        if resource.mapped.is_some() {
            return Err(wrong(NV_ENC_ERR_MAP_FAILED, "mapped twice"));
        }
        resource.mapped = Some(handle);
        Ok(())
    }

    pub fn unmap(&mut self, handle: usize) -> Result<(), Refusal> {
        let is_it = |resource: &&mut Resource| resource.mapped == Some(handle);
        let missing = wrong(NV_ENC_ERR_RESOURCE_NOT_MAPPED, "not mapped");
        let resource = self.resources.values_mut().find(is_it).ok_or(missing)?;
        if !resource.used_by.is_empty() && !self.is_lost {
            return Err(wrong(NV_ENC_ERR_INVALID_CALL, "unmapped while it is encoded"));
        }
        resource.mapped = None;
        Ok(())
    }

    /// Gives out the first `count` that came out.
    fn give_out(&mut self, count: usize) {
        for (handle, coded) in self.held.drain(..count).zip(self.coded.drain(..count)) {
            let uses_it = |resource: &&Resource| resource.used_by.contains(&coded.picture);
            let resource = self.resources.values().find(uses_it);
            if resource.is_some_and(|of| of.data().is_ok_and(|data| glance(data) != of.seen)) {
                world().violated("a picture is overwritten while it is held");
            }
            if let Some(output) = self.outputs.get_mut(&handle) {
                *output = coded;
            }
        }
        self.given += count as u64;
    }

    /// No more pictures come.
    pub fn flush(&mut self) -> Result<(), Refusal> {
        self.setup()?;
        if let Some(groups) = &mut self.groups {
            let coded = groups.flush().ok_or((NV_ENC_ERR_GENERIC, None))?;
            self.keep(coded)?;
        }
        self.give_out(self.held.len().min(self.coded.len()));
        self.is_flushed = true;
        Ok(())
    }

    /// Where the bytes of a picture are, until [`Session::unlock_output`].
    pub fn lock_output(&mut self, handle: usize) -> Result<&mut Output, Refusal> {
        let missing = wrong(NV_ENC_ERR_INVALID_PARAM, "no such bitstream buffer");
        let output = self.outputs.get_mut(&handle).ok_or(missing)?;
        if output.held != Held::Ready {
            return Err(wrong(
                NV_ENC_ERR_INVALID_PARAM,
                "a bitstream buffer is locked before its time",
            ));
        }
        output.held = Held::Locked;
        Ok(output)
    }

    pub fn unlock_output(&mut self, handle: usize) -> Result<(), Refusal> {
        let output = self.outputs.get_mut(&handle).filter(|output| output.held == Held::Locked);
        let wrong =
            wrong(NV_ENC_ERR_INVALID_PARAM, "a bitstream buffer is unlocked that is not locked");
        let output = output.ok_or(wrong)?;
        output.held = Held::Nothing;
        // What it was encoded from is let go of, wherever that came from.
        let gone = output.picture;
        for input in self.inputs.values_mut() {
            input.used_by.retain(|picture| *picture != gone);
        }
        for resource in self.resources.values_mut() {
            resource.used_by.retain(|picture| *picture != gone);
        }
        Ok(())
    }

    pub fn lock_input(&mut self, handle: usize) -> Result<&mut Input, Refusal> {
        let missing = wrong(NV_ENC_ERR_INVALID_PARAM, "no such input buffer");
        let input = self.inputs.get_mut(&handle).ok_or(missing)?;
        if input.is_locked || !input.used_by.is_empty() {
            return Err(wrong(NV_ENC_ERR_LOCK_BUSY, "an input buffer is locked while in use"));
        }
        input.is_locked = true;
        Ok(input)
    }

    pub fn unlock_input(&mut self, handle: usize) -> Result<(), Refusal> {
        let input = self.inputs.get_mut(&handle).filter(|input| input.is_locked);
        let wrong =
            wrong(NV_ENC_ERR_INVALID_PARAM, "an input buffer is unlocked that is not locked");
        input.ok_or(wrong)?.is_locked = false;
        Ok(())
    }

    /// What is wrong with destroying it now.
    pub fn left(&self) -> Option<&'static str> {
        if !self.inputs.is_empty() || !self.outputs.is_empty() || !self.resources.is_empty() {
            return Some("a session is destroyed before its buffers");
        }
        (self.pictures > 0 && !self.is_flushed && !self.is_lost)
            .then_some("a session is destroyed without a flush")
    }

    /// The encoder is lost.
    pub fn lose(&mut self, loss: &Loss) -> Refusal {
        self.is_lost = true;
        let words = format!("lost at picture {}", loss.picture);
        self.words = CString::new(words).unwrap_or_default();
        (NV_ENC_ERR_DEVICE_NOT_EXIST, None)
    }
}
