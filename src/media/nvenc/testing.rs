//! The simulator of NVIDIA's driver, for tests of this room and of those above: one of its own for each test.

#![expect(unsafe_code, reason = "the simulator's C interface")]

use std::ffi::{CString, c_char};
use std::mem::ManuallyDrop;

use libloading::Library;

use super::NvencSettings;
use crate::device_memory::DeviceUuid;
use crate::media::cuda::Cuda;
use crate::media::encode::testing::Dir;

/// A simulated driver in a directory of its own, so that its faults and counts are nobody else's.
pub(crate) struct Simulator {
    dir: Dir,
    /// Never closed, as a driver is not.
    library: ManuallyDrop<Library>,
}

/// What a simulated driver holds, and has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) contexts: u64,
    pub(crate) sessions: u64,
    pub(crate) inputs: u64,
    pub(crate) outputs: u64,
    /// Memories, timelines and streams of CUDA's, and memory registered with sessions.
    pub(crate) brought_in: [u64; 4],
    pub(crate) opened: u64,
    pub(crate) pictures: u64,
    /// Of them out of memory that was brought in.
    pub(crate) direct: u64,
    /// Calls that the SDK's header forbids.
    pub(crate) violations: u64,
}

impl Simulator {
    /// One with these faults, see `tests/nvidia-sim`.
    pub(crate) fn new(faults: &str) -> Simulator {
        let dir = Dir::new();
        let path = dir.0.join("libcuda.so.1");
        let built = std::env::current_exe().unwrap().with_file_name("libnvidia_sim.so");
        std::fs::copy(built, &path).unwrap();
        // Another name of the same file: the loader takes both for one library.
        std::fs::hard_link(&path, dir.0.join("libnvidia-encode.so.1")).unwrap();
        // SAFETY: the library is our own.
        let library = ManuallyDrop::new(unsafe { Library::new(&path) }.unwrap());
        let simulator = Simulator { dir, library };
        let text = CString::new(faults).unwrap();
        // SAFETY: the function has this type, and the text lives until it returns.
        unsafe {
            let ask = simulator
                .library
                .get::<unsafe extern "C" fn(*const c_char)>(b"nvidia_sim_faults\0");
            ask.unwrap()(text.as_ptr());
        }
        simulator
    }

    /// One with the UUID of a graphics device, and these faults.
    pub(crate) fn beside(device: DeviceUuid, faults: &str) -> Simulator {
        Simulator::new(&format!("uuid={:032x},{faults}", u128::from_be_bytes(device)))
    }

    /// Settings that lead to it.
    pub(crate) fn settings(&self) -> NvencSettings {
        NvencSettings { libraries: Some(self.dir.0.clone()), ..NvencSettings::default() }
    }

    pub(crate) fn held(&self) -> Held {
        let mut counts = [0_u64; 12];
        // SAFETY: the function has this type and writes twelve numbers.
        unsafe {
            let count = self.library.get::<unsafe extern "C" fn(*mut u64)>(b"nvidia_sim_counts\0");
            count.unwrap()(counts.as_mut_ptr());
        }
        let [contexts, sessions, inputs, outputs, a, b, c, d, opened, pictures, direct, violations] =
            counts;
        let brought_in = [a, b, c, d];
        Held {
            contexts,
            sessions,
            inputs,
            outputs,
            brought_in,
            opened,
            pictures,
            direct,
            violations,
        }
    }

    /// Checks that nothing is held any more and that no call was wrong.
    pub(crate) fn check_empty(&self) {
        let Held { contexts, sessions, inputs, outputs, brought_in, violations, .. } = self.held();
        assert_eq!([contexts, sessions, inputs, outputs, violations], [0; 5]);
        assert_eq!(brought_in, [0; 4]);
    }

    /// Its CUDA.
    pub(crate) fn cuda(&self) -> Cuda {
        Cuda::open(Some(&self.dir.0)).unwrap()
    }
}
