//! What tests say to the simulator beside the driver's own interface.
//!
//! Must not know sessions. Invariant: counts are in the order of [`nvidia_sim_counts`]'s documentation.

use std::ffi::{CStr, c_char};

use crate::faults::Faults;
use crate::world::{say, world};

/// Puts these faults in the place of those that were asked for.
///
/// # Safety
/// `text` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvidia_sim_faults(text: *const c_char) {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    world().faults = Faults::parse(&text);
    say(&format!("faults: {text}"));
}

/// Contexts held, sessions, input buffers, bitstream buffers; memories brought in, timelines, streams, memory registered with
/// sessions; then since the beginning: sessions opened, pictures encoded, those of them out of memory that was brought in,
/// violations of the interface.
///
/// # Safety
/// There is room for twelve numbers at `counts`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvidia_sim_counts(counts: *mut u64) {
    let now = world().counts();
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(now.as_ptr(), counts, now.len()) };
}
