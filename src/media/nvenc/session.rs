//! One encode session and the buffers in it.
//!
//! Must not know ticks or what becomes of the bytes. Invariants: a session holds a place in the driver's count and a context;
//! it is destroyed before it gives them back. Every call is made with the context current.

#![expect(unsafe_code, reason = "the driver's C interface")]

use std::ffi::{CStr, c_void};
use std::ptr;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use super::NoNvenc;
use super::driver::{Driver, OnBuffer, OnStruct, Place, status_name};
use super::setup::{codec_guid, configure, keep_level, parameters, preset_guid, tuning_info};
use crate::frame::{Picture, Size};
use crate::limits::MAX_LOOKAHEAD_PICTURES;
use crate::media::cuda::Context;
use crate::media::encode::{Idr, VideoSettings};
use crate::media::packet::VideoCodec;
use crate::time::FrameRate;

/// What sessions are tried with.
const PROBE_SIZE: Size = Size::new(640, 360);

const SUCCESS: u32 = nv::NVENCSTATUS::NV_ENC_SUCCESS as u32;
const NO_DEVICE: u32 = nv::NVENCSTATUS::NV_ENC_ERR_NO_ENCODE_DEVICE as u32;
const UNSUPPORTED: u32 = nv::NVENCSTATUS::NV_ENC_ERR_UNSUPPORTED_DEVICE as u32;
const NO_MEMORY: u32 = nv::NVENCSTATUS::NV_ENC_ERR_OUT_OF_MEMORY as u32;
const NO_KEY: u32 = nv::NVENCSTATUS::NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY as u32;
const MORE_INPUT: u32 = nv::NVENCSTATUS::NV_ENC_ERR_NEED_MORE_INPUT as u32;

/// An input buffer of a session, for NV12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Input(*mut c_void);

/// Memory that is not the session's own, registered with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registered(*mut c_void);

/// A bitstream buffer of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Output(*mut c_void);

// SAFETY: a buffer belongs to its session, which NVENC ties to no thread.
unsafe impl Send for Input {}
// SAFETY: as above.
unsafe impl Send for Output {}

/// Whether there is something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// All pictures that were handed in.
    All,
    /// Nothing until more are.
    Later,
}

/// A picture as it came out.
#[derive(Debug)]
pub(super) struct Unit {
    /// What it was handed in with.
    pub(super) time: u64,
    pub(super) is_idr: bool,
    /// Annex B; of AV1 OBUs.
    pub(super) bytes: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session<'a> {
    driver: &'a Driver,
    handle: *mut c_void,
    // Given back in this order, after the session is destroyed.
    context: Context<'a>,
    _place: Place<'a>,
}

// SAFETY: NVENC ties a session to no thread; it is used by one at a time.
unsafe impl Send for Session<'_> {}

impl<'a> Session<'a> {
    /// Opens a session, if fewer than `most` are open; 0 is no limit.
    pub(super) fn open(driver: &'a Driver, most: u32) -> Result<Session<'a>, NoNvenc> {
        let place = driver.place(most)?;
        let context = driver.cuda.retain(driver.device().id)?;
        let mut params = nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
            version: nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
            deviceType: nv::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA,
            device: context.as_ptr(),
            apiVersion: nv::NVENCAPI_VERSION,
            ..Default::default()
        };
        let mut handle = ptr::null_mut();
        let status = {
            let _current = context.current()?;
            // SAFETY: the struct bears its version, the context is retained, and both pointers are valid.
            unsafe { (driver.api.open)(&mut params, &mut handle) }
        };
        // Also one that failed is destroyed, as the header wants it, if there is any.
        let session = Session { driver, handle, context, _place: place };
        match status {
            SUCCESS => {
                driver.count_opened();
                Ok(session)
            }
            NO_DEVICE | UNSUPPORTED => Err(NoNvenc::NoEncoder(driver.device().name.clone())),
            // Both also say that as many sessions are open as the driver gives.
            NO_MEMORY | NO_KEY => {
                driver.count_refused();
                Err(NoNvenc::NoSession(status_name(status).into()))
            }
            _ => Err(session.refusal("a session", status)),
        }
    }

    /// Where it works.
    pub(super) fn context(&self) -> &Context<'a> {
        &self.context
    }

    /// Opens a session of a codec, and closes it.
    pub(super) fn probe(driver: &Driver, codec: VideoCodec) -> Result<(), NoNvenc> {
        let session = Session::open(driver, 0)?;
        let video = VideoSettings::for_size(PROBE_SIZE, FrameRate::FPS_30);
        session.initialize(&VideoSettings { codec, ..video })
    }

    fn refusal(&self, what: &'static str, status: u32) -> NoNvenc {
        let words = match self.handle.is_null() {
            true => String::new(),
            // SAFETY: the session is open; the answer is null or a string that lives until the session's next call.
            false => unsafe {
                let words = (self.driver.api.last_error)(self.handle);
                let none = words.is_null();
                if none { String::new() } else { CStr::from_ptr(words).to_string_lossy().into() }
            },
        };
        let name = status_name(status);
        let reason = if words.is_empty() { name.into() } else { format!("{name}: {words}") };
        NoNvenc::Refused { what, reason }
    }

    /// Calls a function on a struct; the answer must be success.
    fn call<T>(
        &self,
        what: &'static str,
        function: OnStruct<T>,
        params: &mut T,
    ) -> Result<(), NoNvenc> {
        match self.status(function, params)? {
            SUCCESS => Ok(()),
            status => Err(self.refusal(what, status)),
        }
    }

    /// Calls a function on a struct, which bears its version where it has one.
    fn status<T>(&self, function: OnStruct<T>, params: &mut T) -> Result<u32, NoNvenc> {
        let _current = self.context.current()?;
        // SAFETY: the session is open, the struct is the function's own and what it points to outlives the call.
        Ok(unsafe { function(self.handle, params) })
    }

    /// Calls a function on a buffer.
    fn on_buffer(
        &self,
        what: &'static str,
        function: OnBuffer,
        buffer: *mut c_void,
    ) -> Result<(), NoNvenc> {
        let _current = self.context.current()?;
        // SAFETY: the session is open and the buffer is one of its own.
        match unsafe { function(self.handle, buffer) } {
            SUCCESS => Ok(()),
            status => Err(self.refusal(what, status)),
        }
    }

    /// What the card encodes.
    fn codecs(&self) -> Result<Vec<nv::GUID>, NoNvenc> {
        let api = &self.driver.api;
        let (mut count, mut filled) = (0, 0);
        self.call("codecs", api.codec_count, &mut count)?;
        let mut guids = vec![nv::GUID::default(); count as usize];
        let _current = self.context.current()?;
        // SAFETY: there is room for `count`.
        let status = unsafe { (api.codecs)(self.handle, guids.as_mut_ptr(), count, &mut filled) };
        if status != SUCCESS {
            return Err(self.refusal("codecs", status));
        }
        guids.truncate(filled as usize);
        Ok(guids)
    }

    /// A preset's configuration, changed to what is asked for.
    fn preset(&self, video: &VideoSettings) -> Result<Box<nv::NV_ENC_PRESET_CONFIG>, NoNvenc> {
        let mut preset = Box::new(nv::NV_ENC_PRESET_CONFIG {
            version: nv::NV_ENC_PRESET_CONFIG_VER,
            ..Default::default()
        });
        preset.presetCfg.version = nv::NV_ENC_CONFIG_VER;
        let status = {
            let _current = self.context.current()?;
            let tuning = tuning_info(video);
            let (codec, wanted) = (codec_guid(video.codec), preset_guid(video.nvenc.preset));
            // SAFETY: the session is open and the struct bears its version.
            unsafe { (self.driver.api.preset)(self.handle, codec, wanted, tuning, &mut *preset) }
        };
        if status != SUCCESS {
            return Err(self.refusal("a preset", status));
        }
        configure(&mut preset.presetCfg, video);
        Ok(preset)
    }

    /// What the card can where it encodes this codec.
    fn capability(&self, codec: VideoCodec, what: nv::NV_ENC_CAPS) -> Result<i32, NoNvenc> {
        let mut params = nv::NV_ENC_CAPS_PARAM {
            version: nv::NV_ENC_CAPS_PARAM_VER,
            capsToQuery: what,
            ..Default::default()
        };
        let mut value = 0;
        let _current = self.context.current()?;
        let codec = codec_guid(codec);
        // SAFETY: the session is open, the struct bears its version, and the other pointer is valid.
        match unsafe { (self.driver.api.caps)(self.handle, codec, &mut params, &mut value) } {
            SUCCESS => Ok(value),
            status => Err(self.refusal("capabilities", status)),
        }
    }

    /// The settings with as many B-frames as the card makes, and a look-ahead that NVENC has beside them.
    pub(super) fn fitted(&self, video: &VideoSettings) -> Result<VideoSettings, NoNvenc> {
        let mut video = video.clone();
        if video.b_frames > 0 {
            let what = nv::NV_ENC_CAPS::NV_ENC_CAPS_NUM_MAX_BFRAMES;
            let most = self.capability(video.codec, what)?;
            video.b_frames = video.b_frames.min(u32::try_from(most).unwrap_or(0));
        }
        let most = MAX_LOOKAHEAD_PICTURES.saturating_sub(video.b_frames);
        video.lookahead_pictures = video.lookahead_pictures.min(most);
        Ok(video)
    }

    /// Says what is to be encoded.
    pub(super) fn initialize(&self, video: &VideoSettings) -> Result<(), NoNvenc> {
        let guids = self.codecs()?;
        self.driver.encodes(|codec| guids.contains(&codec_guid(codec)));
        if !guids.contains(&codec_guid(video.codec)) {
            return Err(NoNvenc::NoCodec(video.codec.name()));
        }
        let look_ahead = nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_LOOKAHEAD;
        if video.lookahead_pictures > 0 && self.capability(video.codec, look_ahead)? == 0 {
            let reason = "this card has none".to_owned();
            return Err(NoNvenc::Refused { what: "look-ahead", reason });
        }
        let mut preset = self.preset(video)?;
        let mut params = parameters(&mut preset.presetCfg, video);
        match self.status(self.driver.api.initialize, &mut params)? {
            SUCCESS => Ok(()),
            // Some drivers give out sessions first and count them here.
            status @ (NO_MEMORY | NO_KEY) => {
                self.driver.count_refused();
                Err(NoNvenc::NoSession(status_name(status).into()))
            }
            status => Err(self.refusal("settings", status)),
        }
    }

    /// Goes on with another bit rate, with the next picture. The level of the stream is named where it is known, so that the driver
    /// has no reason to write another SPS or sequence header; neither is the rate control reset nor a keyframe made.
    pub(super) fn reconfigure(
        &self,
        video: &VideoSettings,
        level: Option<u8>,
    ) -> Result<(), NoNvenc> {
        let mut preset = self.preset(video)?;
        if let Some(level) = level {
            keep_level(&mut preset.presetCfg, video.codec, level);
        }
        let mut params = nv::NV_ENC_RECONFIGURE_PARAMS {
            version: nv::NV_ENC_RECONFIGURE_PARAMS_VER,
            reInitEncodeParams: parameters(&mut preset.presetCfg, video),
            ..Default::default()
        };
        self.call("another bit rate", self.driver.api.reconfigure, &mut params)
    }

    /// SPS and PPS, of HEVC also VPS, Annex B; of AV1 the sequence header, an OBU.
    pub(super) fn parameter_sets(&self) -> Result<Vec<u8>, NoNvenc> {
        let mut sets = vec![0; nv::NV_MAX_SEQ_HDR_LEN as usize];
        let mut len = 0;
        let mut params = nv::NV_ENC_SEQUENCE_PARAM_PAYLOAD {
            version: nv::NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER,
            inBufferSize: nv::NV_MAX_SEQ_HDR_LEN,
            spsppsBuffer: sets.as_mut_ptr().cast(),
            outSPSPPSPayloadSize: &mut len,
            ..Default::default()
        };
        self.call("parameter sets", self.driver.api.sequence, &mut params)?;
        sets.truncate(len as usize);
        Ok(sets)
    }

    pub(super) fn create_input(&self, size: Size) -> Result<Input, NoNvenc> {
        let mut params = nv::NV_ENC_CREATE_INPUT_BUFFER {
            version: nv::NV_ENC_CREATE_INPUT_BUFFER_VER,
            width: size.width_px,
            height: size.height_px,
            bufferFmt: nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12,
            ..Default::default()
        };
        self.call("an input buffer", self.driver.api.create_input, &mut params)?;
        Ok(Input(params.inputBuffer))
    }

    pub(super) fn create_output(&self) -> Result<Output, NoNvenc> {
        let mut params = nv::NV_ENC_CREATE_BITSTREAM_BUFFER {
            version: nv::NV_ENC_CREATE_BITSTREAM_BUFFER_VER,
            ..Default::default()
        };
        self.call("a bitstream buffer", self.driver.api.create_output, &mut params)?;
        Ok(Output(params.bitstreamBuffer))
    }

    pub(super) fn destroy_input(&self, input: Input) -> Result<(), NoNvenc> {
        self.on_buffer("to destroy an input buffer", self.driver.api.destroy_input, input.0)
    }

    pub(super) fn destroy_output(&self, output: Output) -> Result<(), NoNvenc> {
        self.on_buffer("to destroy a bitstream buffer", self.driver.api.destroy_output, output.0)
    }

    /// Registers NV12 pictures at an address of the device.
    pub(super) fn register(
        &self,
        address: u64,
        pitch_bytes: u32,
        size: Size,
    ) -> Result<Registered, NoNvenc> {
        let mut params = nv::NV_ENC_REGISTER_RESOURCE {
            version: nv::NV_ENC_REGISTER_RESOURCE_VER,
            resourceType: nv::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR,
            width: size.width_px,
            height: size.height_px,
            pitch: pitch_bytes,
            resourceToRegister: address as *mut c_void,
            bufferFormat: nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12,
            bufferUsage: nv::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE,
            ..Default::default()
        };
        self.call("to register memory", self.driver.api.register, &mut params)?;
        Ok(Registered(params.registeredResource))
    }

    pub(super) fn unregister(&self, Registered(resource): Registered) -> Result<(), NoNvenc> {
        self.on_buffer("to unregister memory", self.driver.api.unregister, resource)
    }

    /// What is registered as an input, until it is unmapped.
    pub(super) fn map(&self, Registered(resource): Registered) -> Result<Input, NoNvenc> {
        let mut params = nv::NV_ENC_MAP_INPUT_RESOURCE {
            version: nv::NV_ENC_MAP_INPUT_RESOURCE_VER,
            registeredResource: resource,
            ..Default::default()
        };
        self.call("to map memory", self.driver.api.map, &mut params)?;
        Ok(Input(params.mappedResource))
    }

    pub(super) fn unmap(&self, input: Input) -> Result<(), NoNvenc> {
        self.on_buffer("to unmap memory", self.driver.api.unmap, input.0)
    }

    /// Copies an NV12 picture of the buffer's size into it; gives the bytes from row to row there.
    pub(super) fn upload(&self, input: Input, picture: &Picture) -> Result<u32, NoNvenc> {
        let api = &self.driver.api;
        let mut params = nv::NV_ENC_LOCK_INPUT_BUFFER {
            version: nv::NV_ENC_LOCK_INPUT_BUFFER_VER,
            inputBuffer: input.0,
            ..Default::default()
        };
        self.call("to lock an input buffer", api.lock_input, &mut params)?;
        let pitch = params.pitch as usize;
        let mut to = params.bufferDataPtr.cast::<u8>();
        let shapes = picture.format().plane_shapes(picture.size());
        for ((row_bytes, rows), plane) in shapes.into_iter().zip(picture.planes()) {
            for row in plane.data.chunks(plane.stride_bytes).take(rows) {
                // SAFETY: NVENC's buffer has `pitch` bytes for each row of luma, then of chroma, of the size that it was
                // made for; it is locked, so nobody else looks at it. A plane's rows have at least `row_bytes` bytes.
                unsafe {
                    ptr::copy_nonoverlapping(row.as_ptr(), to, row_bytes);
                    to = to.add(pitch);
                }
            }
        }
        self.driver.count_host_copy();
        self.on_buffer("to unlock an input buffer", api.unlock_input, input.0)?;
        Ok(params.pitch)
    }

    /// Hands in a picture with the `time` that it shall come out with.
    pub(super) fn encode(
        &self,
        (input, pitch, size): (Input, u32, Size),
        output: Output,
        (time, idr): (u64, Idr),
    ) -> Result<Given, NoNvenc> {
        let mut params = nv::NV_ENC_PIC_PARAMS {
            version: nv::NV_ENC_PIC_PARAMS_VER,
            inputWidth: size.width_px,
            inputHeight: size.height_px,
            inputPitch: pitch,
            inputBuffer: input.0,
            outputBitstream: output.0,
            inputTimeStamp: time,
            bufferFmt: nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12,
            pictureStruct: nv::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME,
            encodePicFlags: match idr {
                Idr::Auto => 0,
                Idr::Force => nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32,
            },
            ..Default::default()
        };
        match self.status(self.driver.api.encode, &mut params)? {
            SUCCESS => Ok(Given::All),
            MORE_INPUT => Ok(Given::Later),
            status => Err(self.refusal("a picture", status)),
        }
    }

    /// Tells that no more pictures come: those that were held back can be read.
    pub(super) fn flush(&self) -> Result<(), NoNvenc> {
        let mut params = nv::NV_ENC_PIC_PARAMS {
            version: nv::NV_ENC_PIC_PARAMS_VER,
            encodePicFlags: nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32,
            ..Default::default()
        };
        self.call("the end", self.driver.api.encode, &mut params)
    }

    /// Waits for a picture and copies it.
    pub(super) fn read(&self, output: Output) -> Result<Unit, NoNvenc> {
        let api = &self.driver.api;
        let mut params = nv::NV_ENC_LOCK_BITSTREAM {
            version: nv::NV_ENC_LOCK_BITSTREAM_VER,
            outputBitstream: output.0,
            ..Default::default()
        };
        self.call("to read a picture", api.lock_output, &mut params)?;
        let (data, len) = (params.bitstreamBufferPtr.cast::<u8>(), params.bitstreamSizeInBytes);
        let bytes = match len {
            0 => Vec::new(),
            // SAFETY: NVENC gave `len` bytes there, which stay until the buffer is unlocked.
            len => unsafe { std::slice::from_raw_parts(data, len as usize) }.to_vec(),
        };
        self.on_buffer("to unlock a picture", api.unlock_output, output.0)?;
        let is_idr = params.pictureType == nv::NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_IDR;
        Ok(Unit { time: params.outputTimeStamp, is_idr, bytes })
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.handle.is_null() {
            return;
        }
        let destroyed = self.context.current().map(|_current| {
            // SAFETY: the session is destroyed once, and its buffers were before.
            unsafe { (self.driver.api.destroy)(self.handle) }
        });
        match destroyed {
            Ok(SUCCESS) => {}
            Ok(status) => tracing::warn!("a session of NVENC: {}", status_name(status)),
            Err(error) => tracing::warn!(%error, "a session of NVENC is not destroyed"),
        }
    }
}
