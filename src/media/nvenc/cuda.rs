//! The few functions of CUDA's driver that NVENC needs: a device and a context on it.
//!
//! Must not know encoding. Invariant: a [`Context`] that was retained is released once, a [`Current`] that was pushed is
//! popped on the same thread.

#![expect(unsafe_code, reason = "the driver's C interface, found at run time")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr;

use libloading::Library;

use super::NoNvenc;

const SUCCESS: c_int = 0;

/// The functions, as the library has them; the library is never closed.
#[derive(Debug)]
pub(super) struct Cuda {
    device_count: unsafe extern "C" fn(*mut c_int) -> c_int,
    device_get: unsafe extern "C" fn(*mut c_int, c_int) -> c_int,
    device_name: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
    retain: unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int,
    release: unsafe extern "C" fn(c_int) -> c_int,
    push: unsafe extern "C" fn(*mut c_void) -> c_int,
    pop: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
}

/// A library of the driver, from a directory or from where the system finds it; it stays in the process.
pub(super) fn open_library(
    directory: Option<&Path>,
    name: &str,
) -> Result<ManuallyDrop<Library>, libloading::Error> {
    let path = directory.map_or_else(|| name.into(), |directory| directory.join(name));
    // SAFETY: loading runs the initializers of a library that the system, or who runs this process, vouches for.
    unsafe { Library::new(path) }.map(ManuallyDrop::new)
}

/// A function of a library.
pub(super) fn function<T: Copy>(
    library: &ManuallyDrop<Library>,
    name: &CStr,
) -> Result<T, NoNvenc> {
    // SAFETY: whoever calls names the function's own type, as the header has it; the library stays loaded.
    let found = unsafe { library.get::<T>(name.to_bytes_with_nul()) };
    found.map(|symbol| *symbol).map_err(|error| NoNvenc::BrokenDriver(error.to_string()))
}

impl Cuda {
    /// Opens `libcuda.so.1` and initializes it.
    pub(super) fn open(directory: Option<&Path>) -> Result<Cuda, NoNvenc> {
        let library = &open_library(directory, "libcuda.so.1").map_err(|error| {
            tracing::debug!(%error, "there is no NVIDIA driver");
            NoNvenc::NoDriver
        })?;
        let init: unsafe extern "C" fn(u32) -> c_int = function(library, c"cuInit")?;
        // SAFETY: the flags must be 0.
        match unsafe { init(0) } {
            SUCCESS => {}
            code => return Err(NoNvenc::NoDevice(format!("cuInit: {code}"))),
        }
        Ok(Cuda {
            device_count: function(library, c"cuDeviceGetCount")?,
            device_get: function(library, c"cuDeviceGet")?,
            device_name: function(library, c"cuDeviceGetName")?,
            retain: function(library, c"cuDevicePrimaryCtxRetain")?,
            release: function(library, c"cuDevicePrimaryCtxRelease_v2")?,
            push: function(library, c"cuCtxPushCurrent_v2")?,
            pop: function(library, c"cuCtxPopCurrent_v2")?,
        })
    }

    /// The devices by number, with their names.
    pub(super) fn devices(&self) -> Vec<Device> {
        let mut count = 0;
        // SAFETY: CUDA is initialized and the pointer valid.
        if unsafe { (self.device_count)(&mut count) } != SUCCESS {
            return Vec::new();
        }
        (0..count).filter_map(|ordinal| self.device(ordinal)).collect()
    }

    fn device(&self, ordinal: c_int) -> Option<Device> {
        let (mut id, mut name) = (0, [0; 256]);
        // SAFETY: CUDA is initialized; both pointers are valid, the second for as many bytes as are said.
        let found = unsafe {
            (self.device_get)(&mut id, ordinal) == SUCCESS
                && (self.device_name)(name.as_mut_ptr(), name.len() as c_int - 1, id) == SUCCESS
        };
        // SAFETY: the last byte was not written to and is 0.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) };
        found.then(|| Device { id, name: name.to_string_lossy().into_owned() })
    }

    /// The device's context, which lives as long as somebody retains it.
    pub(super) fn retain(&self, device: c_int) -> Result<Context<'_>, NoNvenc> {
        let mut context = ptr::null_mut();
        // SAFETY: the device is one of CUDA's and the pointer valid.
        match unsafe { (self.retain)(&mut context, device) } {
            SUCCESS => Ok(Context { cuda: self, device, context }),
            code => Err(NoNvenc::Refused {
                what: "a CUDA context",
                reason: format!("cuDevicePrimaryCtxRetain: {code}"),
            }),
        }
    }
}

/// A device that CUDA knows.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) id: c_int,
    pub(super) name: String,
}

/// A device's primary context, retained.
#[derive(Debug)]
pub(super) struct Context<'a> {
    cuda: &'a Cuda,
    device: c_int,
    context: *mut c_void,
}

// SAFETY: a context belongs to no thread; it is made current where it is used.
unsafe impl Send for Context<'_> {}

impl Context<'_> {
    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.context
    }

    /// Makes it the calling thread's, until what is returned is dropped.
    pub(super) fn current(&self) -> Result<Current<'_>, NoNvenc> {
        // SAFETY: the context is retained.
        match unsafe { (self.cuda.push)(self.context) } {
            SUCCESS => Ok(Current { cuda: self.cuda, of: PhantomData }),
            code => Err(NoNvenc::Refused {
                what: "the CUDA context",
                reason: format!("cuCtxPushCurrent: {code}"),
            }),
        }
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
pub(super) struct Current<'a> {
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
