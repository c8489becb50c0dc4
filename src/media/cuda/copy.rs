//! Copies between places on a device, row by row, in the order of a stream.
//!
//! Must not know what is copied. Invariant: what was copied is there when [`Stream::finish`] returns.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::{CudaError, DevicePtr, Handle, Stream, done};

/// Rows of bytes on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Where the first one begins.
    pub(crate) address: DevicePtr,
    /// From one to the next, bytes.
    pub(crate) pitch: usize,
    /// Bytes of each.
    pub(crate) width: usize,
    /// How many.
    pub(crate) rows: usize,
}

/// One end of `CUDA_MEMCPY2D`.
#[repr(C)]
struct End {
    x_bytes: usize,
    y: usize,
    kind: c_int,
    host: *mut c_void,
    device: DevicePtr,
    array: Handle,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
pub(super) struct Copy {
    from: End,
    to: End,
    width_bytes: usize,
    rows: usize,
}

/// `CU_MEMORYTYPE_DEVICE`.
const DEVICE: c_int = 2;

impl End {
    fn of(rows: &Rows) -> End {
        let Rows { address: device, pitch, .. } = *rows;
        let (host, array) = (ptr::null_mut(), ptr::null_mut());
        End { x_bytes: 0, y: 0, kind: DEVICE, host, device, array, pitch }
    }
}

impl Stream<'_> {
    /// Begins to copy as many rows as `to` has, of its width.
    pub(crate) fn copy(&self, from: &Rows, to: &Rows) -> Result<(), CudaError> {
        const WHAT: &str = "a copy on the device";
        if to.width > from.pitch.min(to.pitch) {
            return Err(CudaError::Refused { what: WHAT, reason: "rows overlap".into() });
        }
        let copy =
            Copy { from: End::of(from), to: End::of(to), width_bytes: to.width, rows: to.rows };
        let _current = self.context.current()?;
        // SAFETY: the struct is as the header has it; both ends have so many rows, as whoever made them says, and the stream is
        // of the current context.
        let code = unsafe { (self.context.cuda.copy_rows)(&copy, self.stream) };
        done(WHAT, "cuMemcpy2DAsync", code)
    }

    /// Waits until all is done that was begun.
    pub(crate) fn finish(&self) -> Result<(), CudaError> {
        let _current = self.context.current()?;
        // SAFETY: the stream is open.
        let code = unsafe { (self.context.cuda.synchronize)(self.stream) };
        done("work on the device", "cuStreamSynchronize", code)
    }

    /// For those who work on it too, as long as it is open.
    pub(crate) fn as_ptr(&self) -> Handle {
        self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_struct_is_as_long_as_the_headers() {
        assert_eq!(size_of::<Copy>(), 128);
    }
}
