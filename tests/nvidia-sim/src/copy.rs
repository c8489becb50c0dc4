//! `libcuda.so.1`: copies of rows between two places on the device.
//!
//! Must not know what is copied. Invariant: rows go to memory that was brought in and is mapped. Where they come from, a decoder
//! would have put them; whoever tests has them in the process's own memory.

use std::ffi::{c_int, c_void};
use std::ptr;

use crate::cuda::{INVALID_CONTEXT, INVALID_VALUE, SUCCESS, is_current};
use crate::world::world;

/// `CU_MEMORYTYPE_DEVICE`.
const DEVICE: c_int = 2;

/// One end of `CUDA_MEMCPY2D`.
#[repr(C)]
struct End {
    x_bytes: usize,
    y: usize,
    kind: c_int,
    host: *const c_void,
    device: u64,
    array: *const c_void,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
struct Copy {
    from: End,
    to: End,
    width_bytes: usize,
    rows: usize,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpy2DAsync_v2(copy: *const c_void, stream: usize) -> c_int {
    // SAFETY: the interface wants a valid pointer.
    let Copy { from, to, width_bytes, rows } = unsafe { &*copy.cast::<Copy>() };
    let (width_bytes, rows) = (*width_bytes, *rows);
    let mut world = world();
    if !is_current() || !world.streams.contains(&stream) {
        world.violated("rows are copied without a context, or on a stream that is none");
        return INVALID_CONTEXT;
    }
    let is_plain = |end: &End| end.kind == DEVICE && (end.x_bytes, end.y) == (0, 0);
    let spans = to.pitch * rows.saturating_sub(1) + width_bytes;
    let is_short = width_bytes > from.pitch || width_bytes > to.pitch;
    if !is_plain(from) || !is_plain(to) || is_short || !world.is_readable(to.device, spans) {
        world.violated("rows are copied past the end, or to where nothing is");
        return INVALID_VALUE;
    }
    for row in 0..rows {
        let (from, to) =
            (from.device as usize + row * from.pitch, to.device as usize + row * to.pitch);
        // SAFETY: the rows to write are mapped, as was looked at; those to read are whoever's who tests.
        unsafe { ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, width_bytes) };
    }
    SUCCESS
}
