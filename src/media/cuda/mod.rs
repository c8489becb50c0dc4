//! CUDA's driver, as far as it is needed: devices, a context, memory and timelines of graphics devices brought in.
//!
//! Must not know encoding or decoding. Invariants: what was opened is given back once, in the opposite order, with its context
//! current; a [`Current`] that was pushed is popped on the same thread.

#![expect(unsafe_code, reason = "the driver's C interface, found at run time")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use libloading::Library;

use crate::device_memory::DeviceUuid;

mod copy;
mod import;

pub(crate) use copy::Rows;
pub(crate) use import::{ImportedMemory, ImportedTimeline, Stream};
use import::{MemoryOf, WaitParams};

const SUCCESS: c_int = 0;
/// `CUDA_ERROR_NO_DEVICE`
const NO_DEVICE: c_int = 100;
/// `CU_CTX_SCHED_BLOCKING_SYNC`: who waits for the device sleeps, which there are many threads to do.
const BLOCKING_WAITS: c_uint = 4;

/// Why CUDA cannot be had, or what it refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CudaError {
    /// There is no `libcuda.so.1`.
    #[error("there is no NVIDIA driver")]
    NoDriver,
    /// A library is there, and not as it should be.
    #[error("NVIDIA's driver: {0}")]
    Broken(String),
    /// CUDA finds no device.
    #[error("CUDA finds no device ({0})")]
    NoDevice(String),
    /// The driver refused something else.
    #[error("CUDA: {what}: {reason}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// The driver's function and its answer.
        reason: String,
    },
}

/// A handle of the driver's.
type Handle = *mut c_void;
/// An address on a device.
type DevicePtr = u64;

/// The functions, as the library has them; the library is never closed.
#[derive(Debug)]
pub(crate) struct Cuda {
    device_count: unsafe extern "C" fn(*mut c_int) -> c_int,
    device_get: unsafe extern "C" fn(*mut c_int, c_int) -> c_int,
    device_name: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
    device_uuid: unsafe extern "C" fn(*mut DeviceUuid, c_int) -> c_int,
    /// Not in every driver, and nothing depends on it.
    set_flags: Option<unsafe extern "C" fn(c_int, c_uint) -> c_int>,
    retain: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    release: unsafe extern "C" fn(c_int) -> c_int,
    push: unsafe extern "C" fn(Handle) -> c_int,
    pop: unsafe extern "C" fn(*mut Handle) -> c_int,
    import_memory: unsafe extern "C" fn(*mut Handle, *const MemoryOf) -> c_int,
    map_memory: unsafe extern "C" fn(*mut DevicePtr, Handle, *const import::Range) -> c_int,
    free: unsafe extern "C" fn(DevicePtr) -> c_int,
    forget_memory: unsafe extern "C" fn(Handle) -> c_int,
    import_timeline: unsafe extern "C" fn(*mut Handle, *const import::TimelineOf) -> c_int,
    wait: unsafe extern "C" fn(*const Handle, *const WaitParams, c_uint, Handle) -> c_int,
    forget_timeline: unsafe extern "C" fn(Handle) -> c_int,
    open_stream: unsafe extern "C" fn(*mut Handle, c_uint) -> c_int,
    synchronize: unsafe extern "C" fn(Handle) -> c_int,
    close_stream: unsafe extern "C" fn(Handle) -> c_int,
    copy_rows: unsafe extern "C" fn(*const copy::Copy, Handle) -> c_int,
    to_host: unsafe extern "C" fn(*mut c_void, DevicePtr, usize) -> c_int,
}

/// A library of the driver, from a directory or from where the system finds it; it stays in the process.
pub(crate) fn open_library(
    directory: Option<&Path>,
    name: &str,
) -> Result<ManuallyDrop<Library>, libloading::Error> {
    let path = directory.map_or_else(|| name.into(), |directory| directory.join(name));
    // SAFETY: loading runs the initializers of a library that the system, or who runs this process, vouches for.
    unsafe { Library::new(path) }.map(ManuallyDrop::new)
}

/// A function of a library.
pub(crate) fn function<T: Copy>(
    library: &ManuallyDrop<Library>,
    name: &CStr,
) -> Result<T, CudaError> {
    // SAFETY: whoever calls names the function's own type, as the header has it; the library stays loaded.
    let found = unsafe { library.get::<T>(name.to_bytes_with_nul()) };
    found.map(|symbol| *symbol).map_err(|error| CudaError::Broken(error.to_string()))
}

impl Cuda {
    /// Opens `libcuda.so.1` and initializes it.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Cuda, CudaError> {
        let library = &open_library(directory, "libcuda.so.1").map_err(|error| {
            tracing::debug!(%error, "there is no NVIDIA driver");
            CudaError::NoDriver
        })?;
        let init: unsafe extern "C" fn(u32) -> c_int = function(library, c"cuInit")?;
        // SAFETY: the flags must be 0.
        match unsafe { init(0) } {
            SUCCESS => {}
            code => return Err(CudaError::NoDevice(format!("cuInit: {code}"))),
        }
        Ok(Cuda {
            device_count: function(library, c"cuDeviceGetCount")?,
            device_get: function(library, c"cuDeviceGet")?,
            device_name: function(library, c"cuDeviceGetName")?,
            device_uuid: function(library, c"cuDeviceGetUuid")?,
            set_flags: function(library, c"cuDevicePrimaryCtxSetFlags_v2").ok(),
            retain: function(library, c"cuDevicePrimaryCtxRetain")?,
            release: function(library, c"cuDevicePrimaryCtxRelease_v2")?,
            push: function(library, c"cuCtxPushCurrent_v2")?,
            pop: function(library, c"cuCtxPopCurrent_v2")?,
            import_memory: function(library, c"cuImportExternalMemory")?,
            map_memory: function(library, c"cuExternalMemoryGetMappedBuffer")?,
            free: function(library, c"cuMemFree_v2")?,
            forget_memory: function(library, c"cuDestroyExternalMemory")?,
            import_timeline: function(library, c"cuImportExternalSemaphore")?,
            wait: function(library, c"cuWaitExternalSemaphoresAsync")?,
            forget_timeline: function(library, c"cuDestroyExternalSemaphore")?,
            open_stream: function(library, c"cuStreamCreate")?,
            synchronize: function(library, c"cuStreamSynchronize")?,
            close_stream: function(library, c"cuStreamDestroy_v2")?,
            copy_rows: function(library, c"cuMemcpy2DAsync_v2")?,
            to_host: function(library, c"cuMemcpyDtoH_v2")?,
        })
    }

    /// The same, once for each directory, for as long as the process lives: the library stays loaded too.
    pub(crate) fn resident(directory: Option<&Path>) -> Result<&'static Cuda, CudaError> {
        static ALL: Mutex<BTreeMap<Option<PathBuf>, &'static Cuda>> = Mutex::new(BTreeMap::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let key = directory.map(Path::to_owned);
        if let Some(cuda) = all.get(&key) {
            return Ok(cuda);
        }
        let cuda = &*Box::leak(Box::new(Cuda::open(directory)?));
        all.insert(key, cuda);
        Ok(cuda)
    }

    /// The devices by number.
    pub(crate) fn devices(&self) -> Vec<Device> {
        let mut count = 0;
        // SAFETY: CUDA is initialized and the pointer valid.
        if unsafe { (self.device_count)(&mut count) } != SUCCESS {
            return Vec::new();
        }
        (0..count).filter_map(|ordinal| self.device(ordinal)).collect()
    }

    fn device(&self, ordinal: c_int) -> Option<Device> {
        let (mut id, mut name, mut uuid) = (0, [0; 256], [0; 16]);
        // SAFETY: CUDA is initialized; the pointers are valid, that of the name for as many bytes as are said, and a UUID has
        // 16.
        let found = unsafe {
            (self.device_get)(&mut id, ordinal) == SUCCESS
                && (self.device_name)(name.as_mut_ptr(), name.len() as c_int - 1, id) == SUCCESS
                && (self.device_uuid)(&mut uuid, id) == SUCCESS
        };
        // SAFETY: the last byte was not written to and is 0.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        found.then(|| Device { id, name: name.to_string_lossy().into_owned(), uuid })
    }

    /// The device's primary context, which lives as long as somebody retains it.
    pub(crate) fn retain(&self, device: c_int) -> Result<Context<'_>, CudaError> {
        let mut context = ptr::null_mut();
        if let Some(set_flags) = self.set_flags {
            // SAFETY: the device is one of CUDA's. A context that is there already may stay as it is.
            unsafe { set_flags(device, BLOCKING_WAITS) };
        }
        // SAFETY: the device is one of CUDA's and the pointer valid.
        let code = unsafe { (self.retain)(&mut context, device) };
        done("a context", "cuDevicePrimaryCtxRetain", code)?;
        Ok(Context { cuda: self, device, context })
    }
}

/// What came of a call.
fn done(what: &'static str, function: &str, code: c_int) -> Result<(), CudaError> {
    match code {
        SUCCESS => Ok(()),
        NO_DEVICE => Err(CudaError::NoDevice(format!("{function}: {code}"))),
        code => Err(CudaError::Refused { what, reason: format!("{function}: {code}") }),
    }
}

/// A device that CUDA knows.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: c_int,
    pub(crate) name: String,
    pub(crate) uuid: DeviceUuid,
}

/// A device's primary context, retained.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    cuda: &'a Cuda,
    device: c_int,
    context: Handle,
}

// SAFETY: a context belongs to no thread; it is made current where it is used.
unsafe impl Send for Context<'_> {}
// SAFETY: as above; the driver's functions may be called by several threads at once.
unsafe impl Sync for Context<'_> {}

impl<'a> Context<'a> {
    pub(crate) fn as_ptr(&self) -> Handle {
        self.context
    }

    /// Makes it the calling thread's, until what is returned is dropped.
    pub(crate) fn current(&self) -> Result<Current<'a>, CudaError> {
        // SAFETY: the context is retained.
        let code = unsafe { (self.cuda.push)(self.context) };
        done("the context", "cuCtxPushCurrent", code)?;
        Ok(Current { cuda: self.cuda, of: PhantomData })
    }

    /// Retained once more.
    pub(crate) fn again(&self) -> Result<Context<'a>, CudaError> {
        self.cuda.retain(self.device)
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: it was retained once by this value.
        let code = unsafe { (self.cuda.release)(self.device) };
        if code != SUCCESS {
            tracing::warn!(code, "a CUDA context is not given back");
        }
    }
}

/// A context that is the calling thread's. Neither sent nor shared.
#[derive(Debug)]
pub(crate) struct Current<'a> {
    cuda: &'a Cuda,
    /// It belongs to this thread.
    of: PhantomData<*mut ()>,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        // SAFETY: it was pushed by this thread; null says that nobody wants to know which it was.
        unsafe { (self.cuda.pop)(ptr::null_mut()) };
    }
}
