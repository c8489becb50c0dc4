//! Memory that is not a session's own, to encode from.
//!
//! Must not encode. Invariant: what is registered is readable then, and whoever frees it meanwhile is told so.

use std::ffi::c_void;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS::{self, *};

use super::{take, version, with};
use crate::session::{Resource, wrong};
use crate::world::{say, world};

/// Rows begin at multiples of this, bytes, says the header of `NV_ENC_REGISTER_RESOURCE::pitch`.
const ROW: u32 = 4;

pub unsafe extern "C" fn register(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_REGISTER_RESOURCE,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &mut *params };
    with(encoder, |session| {
        version(params.version, nv::NV_ENC_REGISTER_RESOURCE_VER)?;
        session.setup()?;
        let cuda = nv::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        let nv12 = nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12;
        let input = nv::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE;
        let kinds = params.resourceType == cuda
            && params.bufferFormat == nv12
            && params.bufferUsage == input;
        if !kinds || params.pitch < params.width || params.pitch % ROW != 0 {
            return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "memory of another kind or pitch"));
        }
        let resource = Resource {
            address: params.resourceToRegister as u64,
            pitch: params.pitch as usize,
            size: (params.width, params.height),
            mapped: None,
            used_by: Vec::new(),
            seen: 0,
        };
        let mut world = world();
        if world.faults.refusals.no_register {
            say("nothing is registered");
            return Err((NV_ENC_ERR_RESOURCE_REGISTER_FAILED, None));
        }
        if !world.is_readable(resource.address, resource.bytes()) {
            return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "memory that is not there"));
        }
        let handle = world.handle();
        world.registered.insert(handle, resource.address);
        session.resources.insert(handle, resource);
        params.registeredResource = handle as *mut c_void;
        Ok(())
    })
}

pub unsafe extern "C" fn unregister(encoder: *mut c_void, resource: *mut c_void) -> NVENCSTATUS {
    take(encoder, |session| {
        let removed = session.resources.remove(&(resource as usize));
        world().registered.remove(&(resource as usize));
        removed.is_some_and(|resource| resource.mapped.is_none())
    })
}

pub unsafe extern "C" fn map(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_MAP_INPUT_RESOURCE,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &mut *params };
    with(encoder, |session| {
        version(params.version, nv::NV_ENC_MAP_INPUT_RESOURCE_VER)?;
        let height_px = session.setup()?.wish.height as u32;
        let (handle, fails) = {
            let mut world = world();
            (world.handle(), world.faults.cannot_map(height_px, session.pictures))
        };
        if fails {
            say(&format!("a picture of height {height_px} is not mapped"));
            return Err((NV_ENC_ERR_MAP_FAILED, None));
        }
        session.map(params.registeredResource as usize, handle)?;
        params.mappedResource = handle as *mut c_void;
        params.mappedBufferFmt = nv::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12;
        Ok(())
    })
}

pub unsafe extern "C" fn unmap(encoder: *mut c_void, mapped: *mut c_void) -> NVENCSTATUS {
    // One that is lost has to be unmapped all the same.
    let mut refused = None;
    let status = take(encoder, |session| {
        refused = session.unmap(mapped as usize).err();
        refused.is_none()
    });
    match refused {
        Some((refused, _)) => refused,
        None => status,
    }
}
