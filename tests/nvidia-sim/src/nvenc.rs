//! `libnvidia-encode.so.1`, as far as it is called.
//!
//! Must not encode. Invariant: each call checks its struct's version and its session before anything else, as the header wants.

use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex, PoisonError};

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS::{self, *};

use crate::cuda;
use crate::session::{Handed, Held, Input, Output, Refusal, Session, wrong};
use crate::world::{CONTEXT, say, world};

mod registered;
mod setup;

/// The codecs of a card of the Ada generation, or of an older one.
fn encoded() -> &'static [nv::GUID] {
    const ALL: [nv::GUID; 3] =
        [nv::NV_ENC_CODEC_H264_GUID, nv::NV_ENC_CODEC_HEVC_GUID, nv::NV_ENC_CODEC_AV1_GUID];
    let refusals = world().faults.refusals;
    match (refusals.no_hevc, refusals.no_av1) {
        (true, _) => &ALL[..1],
        (false, true) => &ALL[..2],
        (false, false) => &ALL,
    }
}

/// Rows of a picture begin at multiples of this, bytes.
const PITCH: u32 = 256;

fn answer(done: Result<(), Refusal>) -> NVENCSTATUS {
    match done {
        Ok(()) => NV_ENC_SUCCESS,
        Err((status, what)) => {
            if let Some(what) = what {
                world().violated(what);
            }
            status
        }
    }
}

fn session(encoder: *mut c_void) -> Result<Arc<Mutex<Session>>, Refusal> {
    let found = world().sessions.get(&(encoder as usize)).cloned();
    let found = found.ok_or(wrong(NV_ENC_ERR_INVALID_ENCODERDEVICE, "no such session"))?;
    if !cuda::is_current() {
        return Err(wrong(NV_ENC_ERR_INVALID_DEVICE, "the context is not current"));
    }
    Ok(found)
}

/// Does something with a session that is not lost.
fn with(
    encoder: *mut c_void,
    act: impl FnOnce(&mut Session) -> Result<(), Refusal>,
) -> NVENCSTATUS {
    let act = || {
        let session = session(encoder)?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        match session.is_lost {
            true => Err((NV_ENC_ERR_DEVICE_NOT_EXIST, None)),
            false => act(&mut session),
        }
    };
    answer(act())
}

fn version(got: u32, wanted: u32) -> Result<(), Refusal> {
    match got == wanted {
        true => Ok(()),
        false => Err(wrong(NV_ENC_ERR_INVALID_VERSION, "a struct of another version")),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> NVENCSTATUS {
    let (major, minor) = match world().faults.refusals.old_driver {
        true => (11, 1),
        false => (nv::NVENCAPI_MAJOR_VERSION, nv::NVENCAPI_MINOR_VERSION),
    };
    // SAFETY: the interface wants a valid pointer.
    unsafe { *version = major << 4 | minor };
    NV_ENC_SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn NvEncodeAPICreateInstance(
    list: *mut nv::NV_ENCODE_API_FUNCTION_LIST,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let list = unsafe { &mut *list };
    if let Err(refusal) = version(list.version, nv::NV_ENCODE_API_FUNCTION_LIST_VER) {
        return answer(Err(refusal));
    }
    list.nvEncOpenEncodeSessionEx = Some(open);
    list.nvEncGetEncodeCaps = Some(setup::caps);
    list.nvEncGetEncodeGUIDCount = Some(codec_count);
    list.nvEncGetEncodeGUIDs = Some(codecs);
    list.nvEncGetEncodePresetConfigEx = Some(setup::preset);
    list.nvEncInitializeEncoder = Some(setup::initialize);
    list.nvEncReconfigureEncoder = Some(setup::reconfigure);
    list.nvEncGetSequenceParams = Some(sequence);
    list.nvEncCreateInputBuffer = Some(create_input);
    list.nvEncDestroyInputBuffer = Some(destroy_input);
    list.nvEncCreateBitstreamBuffer = Some(create_output);
    list.nvEncDestroyBitstreamBuffer = Some(destroy_output);
    list.nvEncLockInputBuffer = Some(lock_input);
    list.nvEncUnlockInputBuffer = Some(unlock_input);
    list.nvEncRegisterResource = Some(registered::register);
    list.nvEncUnregisterResource = Some(registered::unregister);
    list.nvEncMapInputResource = Some(registered::map);
    list.nvEncUnmapInputResource = Some(registered::unmap);
    list.nvEncEncodePicture = Some(encode);
    list.nvEncLockBitstream = Some(lock_output);
    list.nvEncUnlockBitstream = Some(unlock_output);
    list.nvEncDestroyEncoder = Some(destroy);
    list.nvEncGetLastErrorString = Some(last_error);
    NV_ENC_SUCCESS
}

unsafe extern "C" fn open(
    params: *mut nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS,
    encoder: *mut *mut c_void,
) -> NVENCSTATUS {
    // SAFETY: the interface wants valid pointers.
    let (params, encoder) = unsafe { (&*params, &mut *encoder) };
    let mut open = || {
        version(params.version, nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER)?;
        version(params.apiVersion, nv::NVENCAPI_VERSION)?;
        let mut world = world();
        let is_cuda = params.deviceType == nv::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA;
        if !is_cuda || params.device as usize != CONTEXT || world.retained == 0 {
            return Err(wrong(NV_ENC_ERR_INVALID_DEVICE, "a session without a context"));
        }
        let refusals = world.faults.refusals;
        // A program that is newer than the driver is refused here too.
        if refusals.old_driver {
            return Err((NV_ENC_ERR_INVALID_VERSION, None));
        }
        if refusals.unsupported {
            return Err((NV_ENC_ERR_UNSUPPORTED_DEVICE, None));
        }
        if refusals.sessions.is_some_and(|most| world.sessions.len() >= most) {
            say("no free session");
            return Err((NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY, None));
        }
        *encoder = world.open(Session::default()) as *mut c_void;
        Ok(())
    };
    answer(open())
}

unsafe extern "C" fn codec_count(encoder: *mut c_void, count: *mut u32) -> NVENCSTATUS {
    with(encoder, |_| {
        // SAFETY: the interface wants a valid pointer.
        unsafe { *count = encoded().len() as u32 };
        Ok(())
    })
}

unsafe extern "C" fn codecs(
    encoder: *mut c_void,
    guids: *mut nv::GUID,
    room: u32,
    count: *mut u32,
) -> NVENCSTATUS {
    with(encoder, |_| {
        let encoded = encoded();
        let fitting = encoded.len().min(room as usize);
        // SAFETY: there is room for `room`, and the other pointer is valid.
        unsafe {
            std::ptr::copy_nonoverlapping(encoded.as_ptr(), guids, fitting);
            *count = fitting as u32;
        }
        Ok(())
    })
}

unsafe extern "C" fn sequence(
    encoder: *mut c_void,
    payload: *mut nv::NV_ENC_SEQUENCE_PARAM_PAYLOAD,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let payload = unsafe { &*payload };
    with(encoder, |session| {
        version(payload.version, nv::NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER)?;
        let sets = session.sets()?;
        if sets.len() > payload.inBufferSize as usize {
            return Err((NV_ENC_ERR_NOT_ENOUGH_BUFFER, None));
        }
        // SAFETY: there is room for `inBufferSize` bytes, and the other pointer is valid.
        unsafe {
            std::ptr::copy_nonoverlapping(sets.as_ptr(), payload.spsppsBuffer.cast(), sets.len());
            *payload.outSPSPPSPayloadSize = sets.len() as u32;
        }
        Ok(())
    })
}

unsafe extern "C" fn create_input(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_CREATE_INPUT_BUFFER,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &mut *params };
    with(encoder, |session| {
        version(params.version, nv::NV_ENC_CREATE_INPUT_BUFFER_VER)?;
        session.setup()?;
        if params.bufferFmt != nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12 {
            return Err((NV_ENC_ERR_UNSUPPORTED_PARAM, None));
        }
        let (no_memory, handle) = {
            let mut world = world();
            (world.faults.refusals.no_memory, world.handle())
        };
        if no_memory {
            say("no memory");
            return Err((NV_ENC_ERR_OUT_OF_MEMORY, None));
        }
        let pitch = params.width.next_multiple_of(PITCH) as usize;
        let data = vec![0xee; pitch * params.height as usize * 3 / 2];
        let input = Input { pitch, data, is_locked: false, used_by: Vec::new() };
        session.inputs.insert(handle, input);
        params.inputBuffer = handle as *mut c_void;
        Ok(())
    })
}

unsafe extern "C" fn create_output(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_CREATE_BITSTREAM_BUFFER,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &mut *params };
    with(encoder, |session| {
        version(params.version, nv::NV_ENC_CREATE_BITSTREAM_BUFFER_VER)?;
        session.setup()?;
        let handle = world().handle();
        session.outputs.insert(handle, Output::default());
        params.bitstreamBuffer = handle as *mut c_void;
        Ok(())
    })
}

/// Takes something out of a session, lost or not.
fn take(encoder: *mut c_void, act: impl FnOnce(&mut Session) -> bool) -> NVENCSTATUS {
    let taken = session(encoder).and_then(|session| {
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong =
            wrong(NV_ENC_ERR_INVALID_PARAM, "a buffer is destroyed that is not there, or in use");
        act(&mut session).then_some(()).ok_or(wrong)
    });
    answer(taken)
}

unsafe extern "C" fn destroy_input(encoder: *mut c_void, input: *mut c_void) -> NVENCSTATUS {
    take(encoder, |session| {
        session.inputs.remove(&(input as usize)).is_some_and(|input| !input.is_locked)
    })
}

unsafe extern "C" fn destroy_output(encoder: *mut c_void, output: *mut c_void) -> NVENCSTATUS {
    take(encoder, |session| {
        let removed = session.outputs.remove(&(output as usize));
        removed.is_some_and(|output| output.held != Held::Locked)
    })
}

unsafe extern "C" fn lock_input(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_LOCK_INPUT_BUFFER,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &mut *params };
    with(encoder, |session| {
        version(params.version, nv::NV_ENC_LOCK_INPUT_BUFFER_VER)?;
        let input = session.lock_input(params.inputBuffer as usize)?;
        params.bufferDataPtr = input.data.as_mut_ptr().cast();
        params.pitch = input.pitch as u32;
        Ok(())
    })
}

unsafe extern "C" fn unlock_input(encoder: *mut c_void, input: *mut c_void) -> NVENCSTATUS {
    with(encoder, |session| session.unlock_input(input as usize))
}

unsafe extern "C" fn encode(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_PIC_PARAMS,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &*params };
    let mut is_ready = true;
    let done = with(encoder, |session| {
        version(params.version, nv::NV_ENC_PIC_PARAMS_VER)?;
        if params.encodePicFlags & nv::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32 != 0 {
            return session.flush();
        }
        let is_frame = params.pictureStruct == nv::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME;
        let is_nv12 = params.bufferFmt == nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12;
        if !is_frame || !is_nv12 {
            return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "a picture of another kind"));
        }
        let (hold, loss) = {
            let mut world = world();
            let height_px = params.inputHeight;
            let loss = world.faults.strikes(height_px, session.pictures);
            if let Some(loss) = loss.filter(|loss| loss.for_good) {
                world.gone.push(loss.height_px);
            }
            (world.faults.hold.at(session.pictures), loss)
        };
        if let Some(loss) = loss {
            say(&format!("a session of height {} is lost", params.inputHeight));
            return Err(session.lose(&loss));
        }
        let picture = Handed {
            input: params.inputBuffer as usize,
            output: params.outputBitstream as usize,
            pitch: params.inputPitch as usize,
            size: (params.inputWidth, params.inputHeight),
            time: params.inputTimeStamp,
            flags: params.encodePicFlags,
        };
        is_ready = session.encode(&picture, hold)?;
        world().encoded(session.is_direct(&picture).into());
        Ok(())
    });
    match is_ready {
        true => done,
        false => NV_ENC_ERR_NEED_MORE_INPUT,
    }
}

unsafe extern "C" fn lock_output(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_LOCK_BITSTREAM,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &mut *params };
    with(encoder, |session| {
        version(params.version, nv::NV_ENC_LOCK_BITSTREAM_VER)?;
        let output = session.lock_output(params.outputBitstream as usize)?;
        params.bitstreamBufferPtr = output.bytes.as_mut_ptr().cast();
        params.bitstreamSizeInBytes = output.bytes.len() as u32;
        params.outputTimeStamp = output.time;
        params.pictureType = match output.is_idr {
            true => nv::NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_IDR,
            false => nv::NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_P,
        };
        Ok(())
    })
}

unsafe extern "C" fn unlock_output(encoder: *mut c_void, output: *mut c_void) -> NVENCSTATUS {
    with(encoder, |session| session.unlock_output(output as usize))
}

unsafe extern "C" fn destroy(encoder: *mut c_void) -> NVENCSTATUS {
    let destroyed = session(encoder).and_then(|session| {
        world().sessions.remove(&(encoder as usize));
        let session = session.lock().unwrap_or_else(PoisonError::into_inner);
        session.left().map_or(Ok(()), |left| Err(wrong(NV_ENC_ERR_INVALID_CALL, left)))
    });
    answer(destroyed)
}

unsafe extern "C" fn last_error(encoder: *mut c_void) -> *const c_char {
    let found = world().sessions.get(&(encoder as usize)).cloned();
    found.map_or(c"".as_ptr(), |session| {
        session.lock().unwrap_or_else(PoisonError::into_inner).words.as_ptr()
    })
}
