//! Memory and timelines of a graphics device, brought into CUDA by their descriptors.
//!
//! Must not know what lies there. Invariants: only what the context's device exported is brought in; it is given back before
//! the context is.

use std::ffi::{c_int, c_uint, c_void};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr;

use super::{Context, CudaError, DevicePtr, Handle, done};
use crate::device_memory::{Allocation, Exported, Timeline};

/// `CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD`.
const OPAQUE_FD: c_uint = 1;
/// `CUDA_EXTERNAL_MEMORY_DEDICATED`.
const DEDICATED: c_uint = 1;
/// `CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD`.
const TIMELINE_FD: c_uint = 9;
/// `CU_STREAM_NON_BLOCKING`: it does not wait for the default stream.
const NON_BLOCKING: c_uint = 1;

/// The union of handles, of which descriptors are one.
#[repr(C)]
pub(super) union Source {
    descriptor: c_int,
    size: [*const c_void; 2],
}

/// `CUDA_EXTERNAL_MEMORY_HANDLE_DESC`.
#[repr(C)]
pub(super) struct MemoryOf {
    kind: c_uint,
    source: Source,
    bytes: u64,
    flags: c_uint,
    reserved: [c_uint; 16],
}

/// `CUDA_EXTERNAL_MEMORY_BUFFER_DESC`.
#[repr(C)]
pub(super) struct Range {
    offset: u64,
    bytes: u64,
    flags: c_uint,
    reserved: [c_uint; 16],
}

/// `CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC`.
#[repr(C)]
pub(super) struct TimelineOf {
    kind: c_uint,
    source: Source,
    flags: c_uint,
    reserved: [c_uint; 16],
}

/// `CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS`.
#[repr(C)]
pub(super) struct WaitParams {
    value: u64,
    others: [u64; 3],
    reserved: [c_uint; 10],
    flags: c_uint,
    more: [c_uint; 16],
}

/// Memory of a graphics device as CUDA sees it.
#[derive(Debug)]
pub(crate) struct ImportedMemory<'a> {
    // Given back after the memory.
    context: Context<'a>,
    external: Handle,
    /// Null until it is mapped.
    address: DevicePtr,
    bytes: u64,
}

// SAFETY: CUDA ties memory to no thread; it is used with its context current.
unsafe impl Send for ImportedMemory<'_> {}
// SAFETY: as above; nothing of it changes.
unsafe impl Sync for ImportedMemory<'_> {}

impl<'a> ImportedMemory<'a> {
    /// Brings it in whole. Whoever calls makes sure that it is of the context's device.
    pub(crate) fn of(
        memory: &Exported,
        context: &Context<'a>,
    ) -> Result<ImportedMemory<'a>, CudaError> {
        const WHAT: &str = "memory of the graphics device";
        let (context, cuda) = (context.again()?, context.cuda);
        let refused =
            |error: std::io::Error| CudaError::Refused { what: WHAT, reason: error.to_string() };
        let descriptor = memory.descriptor().map_err(refused)?;
        let import = MemoryOf {
            kind: OPAQUE_FD,
            source: Source { descriptor: descriptor.as_raw_fd() },
            bytes: memory.bytes(),
            flags: match memory.kind() {
                Allocation::Plain => 0,
                Allocation::Dedicated => DEDICATED,
            },
            reserved: [0; 16],
        };
        let mut external = ptr::null_mut();
        let _current = context.current()?;
        // SAFETY: the struct is as the header has it and names an open descriptor of an allocation of this length.
        let code = unsafe { (cuda.import_memory)(&mut external, &import) };
        done(WHAT, "cuImportExternalMemory", code)?;
        // CUDA has taken it.
        let _ = descriptor.into_raw_fd();
        let mut imported = ImportedMemory { context, external, address: 0, bytes: memory.bytes() };
        let whole = Range { offset: 0, bytes: memory.bytes(), flags: 0, reserved: [0; 16] };
        // SAFETY: the memory was imported and is as long as is said.
        let code = unsafe { (cuda.map_memory)(&mut imported.address, external, &whole) };
        done(WHAT, "cuExternalMemoryGetMappedBuffer", code)?;
        Ok(imported)
    }

    /// Where it begins on the device.
    pub(crate) fn address(&self) -> DevicePtr {
        self.address
    }

    /// Copies bytes from `offset` on to the host and waits for them.
    pub(crate) fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), CudaError> {
        const WHAT: &str = "a copy to the host";
        if offset.checked_add(to.len() as u64).is_none_or(|end| end > self.bytes) {
            return Err(CudaError::Refused { what: WHAT, reason: "past the end".into() });
        }
        let _current = self.context.current()?;
        let from = self.address + offset;
        // SAFETY: both ends have as many bytes, as was looked at.
        let code = unsafe { (self.context.cuda.to_host)(to.as_mut_ptr().cast(), from, to.len()) };
        done(WHAT, "cuMemcpyDtoH", code)
    }
}

impl Drop for ImportedMemory<'_> {
    fn drop(&mut self) {
        let cuda = self.context.cuda;
        let given_back = self.context.current().and_then(|_current| {
            if self.address != 0 {
                // SAFETY: it was mapped once, and whoever used it has let go of it.
                done("mapped memory", "cuMemFree", unsafe { (cuda.free)(self.address) })?;
            }
            // SAFETY: it was imported once, and nothing of it is mapped any more.
            done("memory", "cuDestroyExternalMemory", unsafe {
                (cuda.forget_memory)(self.external)
            })
        });
        if let Err(error) = given_back {
            tracing::warn!(%error, "memory of the graphics device is not given back");
        }
    }
}

/// A timeline of a graphics device as CUDA sees it.
#[derive(Debug)]
pub(crate) struct ImportedTimeline<'a> {
    // Given back after the timeline.
    context: Context<'a>,
    external: Handle,
}

// SAFETY: CUDA ties a semaphore to no thread.
unsafe impl Send for ImportedTimeline<'_> {}
// SAFETY: as above; it is only waited for.
unsafe impl Sync for ImportedTimeline<'_> {}

impl<'a> ImportedTimeline<'a> {
    /// Brings it in. Whoever calls makes sure that it is of the context's device.
    pub(crate) fn of(
        timeline: &Timeline,
        context: &Context<'a>,
    ) -> Result<ImportedTimeline<'a>, CudaError> {
        const WHAT: &str = "a timeline of the graphics device";
        let (context, cuda) = (context.again()?, context.cuda);
        let refused =
            |error: std::io::Error| CudaError::Refused { what: WHAT, reason: error.to_string() };
        let descriptor = timeline.descriptor().map_err(refused)?;
        let import = TimelineOf {
            kind: TIMELINE_FD,
            source: Source { descriptor: descriptor.as_raw_fd() },
            flags: 0,
            reserved: [0; 16],
        };
        let mut external = ptr::null_mut();
        {
            let _current = context.current()?;
            // SAFETY: the struct is as the header has it and names an open descriptor of a timeline semaphore.
            let code = unsafe { (cuda.import_timeline)(&mut external, &import) };
            done(WHAT, "cuImportExternalSemaphore", code)?;
        }
        // CUDA has taken it.
        let _ = descriptor.into_raw_fd();
        Ok(ImportedTimeline { context, external })
    }
}

impl Drop for ImportedTimeline<'_> {
    fn drop(&mut self) {
        let cuda = self.context.cuda;
        let given_back = self.context.current().and_then(|_current| {
            // SAFETY: it was imported once; whoever waited for it has waited to the end.
            let code = unsafe { (cuda.forget_timeline)(self.external) };
            done("a timeline", "cuDestroyExternalSemaphore", code)
        });
        if let Err(error) = given_back {
            tracing::warn!(%error, "a timeline of the graphics device is not given back");
        }
    }
}

/// Work of CUDA's, in order.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    // Given back after the stream.
    pub(super) context: Context<'a>,
    pub(super) stream: Handle,
}

// SAFETY: CUDA ties a stream to no thread.
unsafe impl Send for Stream<'_> {}

impl<'a> Stream<'a> {
    pub(crate) fn new(context: &Context<'a>) -> Result<Stream<'a>, CudaError> {
        let (context, cuda) = (context.again()?, context.cuda);
        let mut stream = ptr::null_mut();
        {
            let _current = context.current()?;
            // SAFETY: the pointer is valid.
            let code = unsafe { (cuda.open_stream)(&mut stream, NON_BLOCKING) };
            done("a stream", "cuStreamCreate", code)?;
        }
        Ok(Stream { context, stream })
    }

    /// Waits until the timeline has reached a value.
    pub(crate) fn wait_for(
        &self,
        timeline: &ImportedTimeline<'a>,
        value: u64,
    ) -> Result<(), CudaError> {
        const WHAT: &str = "to wait for the graphics device";
        let cuda = self.context.cuda;
        let params =
            WaitParams { value, others: [0; 3], reserved: [0; 10], flags: 0, more: [0; 16] };
        let _current = self.context.current()?;
        // SAFETY: one semaphore, one set of parameters as the header has them, a stream of the same context.
        let code = unsafe { (cuda.wait)(&timeline.external, &params, 1, self.stream) };
        done(WHAT, "cuWaitExternalSemaphoresAsync", code)?;
        // SAFETY: the stream is open.
        done(WHAT, "cuStreamSynchronize", unsafe { (cuda.synchronize)(self.stream) })
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        let cuda = self.context.cuda;
        let closed = self.context.current().and_then(|_current| {
            // SAFETY: it was opened once.
            done("a stream", "cuStreamDestroy", unsafe { (cuda.close_stream)(self.stream) })
        });
        if let Err(error) = closed {
            tracing::warn!(%error, "a stream of CUDA is not closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_as_long_as_the_headers() {
        assert_eq!(size_of::<MemoryOf>(), 104);
        assert_eq!(size_of::<Range>(), 88);
        assert_eq!(size_of::<TimelineOf>(), 96);
        assert_eq!(size_of::<WaitParams>(), 144);
    }
}
