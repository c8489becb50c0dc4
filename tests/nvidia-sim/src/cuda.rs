//! `libcuda.so.1`, as far as it is called: one device with one primary context.
//!
//! Must not know encoding. Invariant: a context that is not retained cannot be made current.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

use crate::world::{CONTEXT, world};

pub const SUCCESS: c_int = 0;
pub const INVALID_VALUE: c_int = 1;
const NO_DEVICE: c_int = 100;
const INVALID_DEVICE: c_int = 101;
pub const INVALID_CONTEXT: c_int = 201;

const NAME: &[u8] = b"NVIDIA Simulator\0";

thread_local! {
    /// How often the context was made current on this thread.
    static CURRENT: Cell<u32> = const { Cell::new(0) };
}

/// Whether the context is current on the calling thread.
pub fn is_current() -> bool {
    CURRENT.get() > 0
}

#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: u32) -> c_int {
    match (flags, world().faults.refusals.no_device) {
        (0, false) => SUCCESS,
        (0, true) => NO_DEVICE,
        _ => INVALID_VALUE,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_int {
    // SAFETY: the interface wants a valid pointer.
    unsafe { *version = 12_020 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_int {
    // SAFETY: the interface wants a valid pointer.
    unsafe { *count = 1 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> c_int {
    if ordinal != 0 {
        return INVALID_DEVICE;
    }
    // SAFETY: the interface wants a valid pointer.
    unsafe { *device = 0 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, len: c_int, device: c_int) -> c_int {
    if device != 0 || (len as usize) < NAME.len() {
        return INVALID_DEVICE;
    }
    // SAFETY: there is room for `len` bytes, which is enough.
    unsafe { std::ptr::copy_nonoverlapping(NAME.as_ptr().cast(), name, NAME.len()) };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: c_int) -> c_int {
    if device != 0 {
        return INVALID_DEVICE;
    }
    // SAFETY: the interface wants a valid pointer.
    unsafe { *uuid = world().faults.uuid };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, device: c_int) -> c_int {
    if device != 0 {
        return INVALID_DEVICE;
    }
    let mut world = world();
    if world.faults.refusals.no_device {
        return NO_DEVICE;
    }
    world.retained += 1;
    // SAFETY: the interface wants a valid pointer.
    unsafe { *context = CONTEXT as *mut c_void };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> c_int {
    let mut world = world();
    if device != 0 {
        return INVALID_DEVICE;
    }
    if world.retained == 0 {
        world.violated("the primary context is released more often than retained");
        return INVALID_CONTEXT;
    }
    world.retained -= 1;
    let is_used = !world.sessions.is_empty()
        || !world.memories.is_empty()
        || !world.timelines.is_empty()
        || !world.streams.is_empty();
    if world.retained == 0 && is_used {
        world.violated("the primary context is gone while it is used");
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxPushCurrent_v2(context: *mut c_void) -> c_int {
    let mut world = world();
    if context as usize != CONTEXT || world.retained == 0 {
        world.violated("a context is made current that is not there");
        return INVALID_CONTEXT;
    }
    CURRENT.set(CURRENT.get() + 1);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut *mut c_void) -> c_int {
    let depth = CURRENT.get();
    if depth == 0 {
        world().violated("no context is current");
        return INVALID_CONTEXT;
    }
    CURRENT.set(depth - 1);
    if !context.is_null() {
        // SAFETY: it is not null, and the interface wants a valid pointer.
        unsafe { *context = CONTEXT as *mut c_void };
    }
    SUCCESS
}
