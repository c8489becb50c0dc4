//! A loaded driver: NVENC's functions, the device that encodes, and the count of its sessions.
//!
//! Must not know pictures. Invariants: a driver that is there has encoded for us: a session was really opened; as many sessions
//! are open as are counted.

#![expect(unsafe_code, reason = "the driver's C interface, found at run time")]

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use super::session::Session;
use super::{NoNvenc, NvencReport};
use crate::device_memory::DeviceUuid;
use crate::media::cuda::{Cuda, Device, function, open_library};
use crate::media::packet::VideoCodec;

/// A function on a session and a struct. The answer is an `NVENCSTATUS`, as the number that it is: a later driver may know more
/// of them than the enum of the bindings.
pub(super) type OnStruct<T> = unsafe extern "C" fn(*mut c_void, *mut T) -> u32;
/// A function on a session and a buffer of it.
pub(super) type OnBuffer = unsafe extern "C" fn(*mut c_void, *mut c_void) -> u32;

/// NVENC's functions.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) open: unsafe extern "C" fn(
        *mut nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
        *mut *mut c_void,
    ) -> u32,
    pub(super) caps:
        unsafe extern "C" fn(*mut c_void, nv::GUID, *mut nv::NV_ENC_CAPS_PARAM, *mut i32) -> u32,
    pub(super) codec_count: OnStruct<u32>,
    pub(super) codecs: unsafe extern "C" fn(*mut c_void, *mut nv::GUID, u32, *mut u32) -> u32,
    pub(super) preset: unsafe extern "C" fn(
        *mut c_void,
        nv::GUID,
        nv::GUID,
        nv::NV_ENC_TUNING_INFO,
        *mut nv::NV_ENC_PRESET_CONFIG,
    ) -> u32,
    pub(super) initialize: OnStruct<nv::NV_ENC_INITIALIZE_PARAMS>,
    pub(super) reconfigure: OnStruct<nv::NV_ENC_RECONFIGURE_PARAMS>,
    pub(super) sequence: OnStruct<nv::NV_ENC_SEQUENCE_PARAM_PAYLOAD>,
    pub(super) create_input: OnStruct<nv::NV_ENC_CREATE_INPUT_BUFFER>,
    pub(super) destroy_input: OnBuffer,
    pub(super) create_output: OnStruct<nv::NV_ENC_CREATE_BITSTREAM_BUFFER>,
    pub(super) destroy_output: OnBuffer,
    pub(super) lock_input: OnStruct<nv::NV_ENC_LOCK_INPUT_BUFFER>,
    pub(super) unlock_input: OnBuffer,
    pub(super) register: OnStruct<nv::NV_ENC_REGISTER_RESOURCE>,
    pub(super) unregister: OnBuffer,
    pub(super) map: OnStruct<nv::NV_ENC_MAP_INPUT_RESOURCE>,
    pub(super) unmap: OnBuffer,
    pub(super) encode: OnStruct<nv::NV_ENC_PIC_PARAMS>,
    pub(super) lock_output: OnStruct<nv::NV_ENC_LOCK_BITSTREAM>,
    pub(super) unlock_output: OnBuffer,
    pub(super) destroy: unsafe extern "C" fn(*mut c_void) -> u32,
    pub(super) last_error: unsafe extern "C" fn(*mut c_void) -> *const c_char,
}

/// The function of a list, as one that answers a number.
macro_rules! numbered {
    ($list:ident.$name:ident) => {
        match $list.$name {
            // SAFETY: the same function; its answer is an enum of 32 bits, read as those.
            Some(function) => unsafe { std::mem::transmute(function) },
            None => return Err(NoNvenc::BrokenDriver(stringify!($name).into())),
        }
    };
}

impl Api {
    #[expect(clippy::missing_transmute_annotations, reason = "the fields have the types")]
    fn of(list: &nv::NV_ENCODE_API_FUNCTION_LIST) -> Result<Api, NoNvenc> {
        Ok(Api {
            open: numbered!(list.nvEncOpenEncodeSessionEx),
            caps: numbered!(list.nvEncGetEncodeCaps),
            codec_count: numbered!(list.nvEncGetEncodeGUIDCount),
            codecs: numbered!(list.nvEncGetEncodeGUIDs),
            preset: numbered!(list.nvEncGetEncodePresetConfigEx),
            initialize: numbered!(list.nvEncInitializeEncoder),
            reconfigure: numbered!(list.nvEncReconfigureEncoder),
            sequence: numbered!(list.nvEncGetSequenceParams),
            create_input: numbered!(list.nvEncCreateInputBuffer),
            destroy_input: numbered!(list.nvEncDestroyInputBuffer),
            create_output: numbered!(list.nvEncCreateBitstreamBuffer),
            destroy_output: numbered!(list.nvEncDestroyBitstreamBuffer),
            lock_input: numbered!(list.nvEncLockInputBuffer),
            unlock_input: numbered!(list.nvEncUnlockInputBuffer),
            register: numbered!(list.nvEncRegisterResource),
            unregister: numbered!(list.nvEncUnregisterResource),
            map: numbered!(list.nvEncMapInputResource),
            unmap: numbered!(list.nvEncUnmapInputResource),
            encode: numbered!(list.nvEncEncodePicture),
            lock_output: numbered!(list.nvEncLockBitstream),
            unlock_output: numbered!(list.nvEncUnlockBitstream),
            destroy: numbered!(list.nvEncDestroyEncoder),
            last_error: match list.nvEncGetLastErrorString {
                Some(function) => function,
                None => return Err(NoNvenc::BrokenDriver("nvEncGetLastErrorString".into())),
            },
        })
    }

    /// Opens `libnvidia-encode.so.1`.
    fn open(directory: Option<&Path>) -> Result<Api, NoNvenc> {
        type Newest = unsafe extern "C" fn(*mut u32) -> u32;
        type Create = unsafe extern "C" fn(*mut nv::NV_ENCODE_API_FUNCTION_LIST) -> u32;
        // Containers get it only where they ask for it.
        let library = &open_library(directory, "libnvidia-encode.so.1").map_err(|error| {
            let hint = "in a container, NVIDIA_DRIVER_CAPABILITIES must name video";
            NoNvenc::BrokenDriver(format!("{error} ({hint})"))
        })?;
        let newest: Newest = function(library, c"NvEncodeAPIGetMaxSupportedVersion")?;
        let create: Create = function(library, c"NvEncodeAPICreateInstance")?;
        let (wants, mut has) = (nv::NVENCAPI_MAJOR_VERSION << 4 | nv::NVENCAPI_MINOR_VERSION, 0);
        // SAFETY: the pointer is valid.
        let status = unsafe { newest(&mut has) };
        if status != nv::NVENCSTATUS::NV_ENC_SUCCESS as u32 || has < wants {
            let written = |version: u32| format!("{}.{}", version >> 4, version & 0xf);
            return Err(NoNvenc::OldDriver { has: written(has), wants: written(wants) });
        }
        let mut list = nv::NV_ENCODE_API_FUNCTION_LIST {
            version: nv::NV_ENCODE_API_FUNCTION_LIST_VER,
            ..Default::default()
        };
        // SAFETY: the list bears its version and is otherwise zero, as the header wants it.
        match unsafe { create(&mut list) } {
            0 => Api::of(&list),
            status => Err(NoNvenc::Refused {
                what: "an instance",
                reason: status_name(status).to_owned(),
            }),
        }
    }
}

/// NVENC's names of its answers, by number.
const STATUS_NAMES: [&str; 27] = [
    "NV_ENC_SUCCESS",
    "NV_ENC_ERR_NO_ENCODE_DEVICE",
    "NV_ENC_ERR_UNSUPPORTED_DEVICE",
    "NV_ENC_ERR_INVALID_ENCODERDEVICE",
    "NV_ENC_ERR_INVALID_DEVICE",
    "NV_ENC_ERR_DEVICE_NOT_EXIST",
    "NV_ENC_ERR_INVALID_PTR",
    "NV_ENC_ERR_INVALID_EVENT",
    "NV_ENC_ERR_INVALID_PARAM",
    "NV_ENC_ERR_INVALID_CALL",
    "NV_ENC_ERR_OUT_OF_MEMORY",
    "NV_ENC_ERR_ENCODER_NOT_INITIALIZED",
    "NV_ENC_ERR_UNSUPPORTED_PARAM",
    "NV_ENC_ERR_LOCK_BUSY",
    "NV_ENC_ERR_NOT_ENOUGH_BUFFER",
    "NV_ENC_ERR_INVALID_VERSION",
    "NV_ENC_ERR_MAP_FAILED",
    "NV_ENC_ERR_NEED_MORE_INPUT",
    "NV_ENC_ERR_ENCODER_BUSY",
    "NV_ENC_ERR_EVENT_NOT_REGISTERD",
    "NV_ENC_ERR_GENERIC",
    "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY",
    "NV_ENC_ERR_UNIMPLEMENTED",
    "NV_ENC_ERR_RESOURCE_REGISTER_FAILED",
    "NV_ENC_ERR_RESOURCE_NOT_REGISTERED",
    "NV_ENC_ERR_RESOURCE_NOT_MAPPED",
    "NV_ENC_ERR_NEED_MORE_OUTPUT",
];

/// NVENC's name of an answer.
pub(super) fn status_name(status: u32) -> &'static str {
    STATUS_NAMES.get(status as usize).copied().unwrap_or("an answer of a later driver")
}

/// See the module.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) cuda: Cuda,
    pub(super) api: Api,
    device: Device,
    codecs: OnceLock<Vec<VideoCodec>>,
    sessions: AtomicU64,
    opened: AtomicU64,
    refused: AtomicU64,
    host_copies: AtomicU64,
}

impl Driver {
    /// Opens the libraries and finds a device that encodes H.264, by opening a session on it: the adapter's own or, where CUDA
    /// does not know that, the first.
    pub(super) fn open(
        directory: Option<&Path>,
        adapter: Option<DeviceUuid>,
    ) -> Result<Driver, NoNvenc> {
        let (cuda, api) = (Cuda::open(directory)?, Api::open(directory)?);
        let mut devices = cuda.devices();
        if devices.iter().any(|device| Some(device.uuid) == adapter) {
            devices.retain(|device| Some(device.uuid) == adapter);
        }
        let none = Device { id: 0, name: String::new(), uuid: [0; 16] };
        let count = AtomicU64::default;
        let mut driver = Driver {
            cuda,
            api,
            device: none,
            codecs: OnceLock::new(),
            sessions: count(),
            opened: count(),
            refused: count(),
            host_copies: count(),
        };
        let mut why = NoNvenc::NoDevice("there is none".into());
        for device in devices {
            (driver.device, driver.codecs) = (device, OnceLock::new());
            match Session::probe(&driver, VideoCodec::H264) {
                // All sessions may be in use just now.
                Ok(()) | Err(NoNvenc::NoSession(_)) => return Ok(driver),
                Err(refusal) => why = refusal,
            }
        }
        Err(why)
    }

    /// The device that encodes.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Notes what the device encodes, as a session of it told.
    pub(super) fn encodes(&self, is_it: impl Fn(VideoCodec) -> bool) {
        self.codecs
            .get_or_init(|| VideoCodec::ALL.into_iter().filter(|codec| is_it(*codec)).collect());
    }

    /// A place for a session, if fewer than `most` are open; 0 is no limit.
    pub(super) fn place(&self, most: u32) -> Result<Place<'_>, NoNvenc> {
        let taken = self.sessions.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            (most == 0 || open < u64::from(most)).then_some(open + 1)
        });
        match taken {
            Ok(_) => Ok(Place(self)),
            Err(open) => {
                self.count_refused();
                Err(NoNvenc::NoSession(format!("{open} are open (nvenc-sessions)")))
            }
        }
    }

    pub(super) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_host_copy(&self) {
        self.host_copies.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self) -> NvencReport {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        NvencReport {
            device: Ok(self.device.name.clone()),
            codecs: self.codecs.get().cloned().unwrap_or_default(),
            sessions: count(&self.sessions),
            opened: count(&self.opened),
            refused: count(&self.refused),
            host_copies: count(&self.host_copies),
        }
    }
}

/// A session's place in the count.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Driver);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::AcqRel);
    }
}
