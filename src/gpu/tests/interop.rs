//! Memory and timelines as other drivers see them: CUDA's over the simulator.

#![expect(
    unsafe_code,
    reason = "a timeline of the test's own, which software Vulkan cannot export"
)]

use std::io::{Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use super::super::{AdapterChoice, Gpu};
use super::Shared;
use crate::device_memory::{Allocation, Exported, Timeline};
use crate::media::cuda::{ImportedMemory, ImportedTimeline, Stream};
use crate::media::nvenc::testing::Simulator;
use crate::metrics::open_descriptors;

const USAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_DST)
    .union(wgpu::BufferUsages::COPY_SRC);

fn exported(gpu: &Gpu, bytes: &[u8]) -> (wgpu::Buffer, Arc<Exported>) {
    let interop = gpu.interop.as_ref().expect("software Vulkan exports memory");
    let shared = interop.buffer(&gpu.device, bytes.len() as u64, USAGE).unwrap();
    let Shared { buffer, memory, .. } = shared;
    gpu.queue.write_buffer(&buffer, 0, bytes);
    gpu.submit(None);
    gpu.wait().unwrap();
    (buffer, memory)
}

#[test]
fn what_the_device_writes_is_what_cuda_reads() {
    let (gpu, simulator) = (Gpu::open(&AdapterChoice::default()).unwrap(), Simulator::new(""));
    let cuda = simulator.cuda();
    let context = cuda.retain(0).unwrap();
    for len in [4, 4096, 100_000, 3_110_400] {
        let bytes: Vec<u8> = (0..len).map(|i: u32| (i * 7 + i / 251) as u8).collect();
        let (buffer, memory) = exported(&gpu, &bytes);
        assert_eq!(memory.device(), gpu.interop.as_ref().unwrap().uuid());
        let imported = ImportedMemory::of(&memory, &context).unwrap();
        let mut read = vec![0; bytes.len()];
        imported.read(0, &mut read).unwrap();
        assert!(read == bytes, "{len}");
        imported.read(bytes.len() as u64 - 3, &mut read[..3]).unwrap();
        assert_eq!(read[..3], bytes[bytes.len() - 3..], "{len}");
        assert!(imported.read(memory.bytes() - 2, &mut read[..3]).is_err());
        // It stays for as long as anybody has it, whoever made it.
        drop((buffer, memory));
        gpu.wait().unwrap();
        imported.read(0, &mut read).unwrap();
        assert!(read == bytes, "{len}");
    }
    drop(context);
    simulator.check_empty();
}

#[test]
fn several_buffers_share_memory_and_nothing_else() {
    let (gpu, simulator) = (Gpu::open(&AdapterChoice::default()).unwrap(), Simulator::new(""));
    let cuda = simulator.cuda();
    let context = cuda.retain(0).unwrap();
    drop(exported(&gpu, &[1, 2, 3, 4]));
    gpu.wait().unwrap();
    let before = gpu.census();
    let interop = gpu.interop.as_ref().unwrap();
    let mut all = interop.several(&gpu.device, 5, (1004, USAGE)).unwrap();
    let bytes = |index: u8| vec![index + 1; 1004];
    for (index, shared) in (0..).zip(&all) {
        gpu.queue.write_buffer(&shared.buffer, 0, &bytes(index));
    }
    gpu.submit(None);
    gpu.wait().unwrap();
    let imported = ImportedMemory::of(&all[0].memory, &context).unwrap();
    for (index, shared) in (0..).zip(&all) {
        assert_eq!(shared.memory.id(), all[0].memory.id());
        let mut read = bytes(0);
        imported.read(shared.offset_bytes, &mut read).unwrap();
        assert!(read == bytes(index), "{index}");
    }
    let held = gpu.census().bytes - before.bytes;
    assert!(held >= 5 * 1004, "{held}");
    // It goes with the last of them.
    let last = all.pop();
    drop(all);
    gpu.wait().unwrap();
    assert_eq!(gpu.census().bytes - before.bytes, held);
    drop((last, imported, context));
    gpu.wait().unwrap();
    assert_eq!(gpu.census(), before);
    simulator.check_empty();
}

#[test]
fn a_thousand_buffers_leave_nothing() {
    let (gpu, simulator) = (Gpu::open(&AdapterChoice::default()).unwrap(), Simulator::new(""));
    let cuda = simulator.cuda();
    let context = cuda.retain(0).unwrap();
    let once = || {
        let (_buffer, memory) = exported(&gpu, &[1, 2, 3, 4]);
        let mut read = [0; 4];
        ImportedMemory::of(&memory, &context).unwrap().read(0, &mut read).unwrap();
        assert_eq!(read, [1, 2, 3, 4]);
    };
    once();
    gpu.wait().unwrap();
    let before = (gpu.census(), open_descriptors());
    (0..1000).for_each(|_| once());
    gpu.wait().unwrap();
    assert_eq!((gpu.census(), open_descriptors()), before);
    drop(context);
    simulator.check_empty();
}

#[test]
fn cuda_waits_for_a_moment_and_refuses_what_is_none() {
    let simulator = Simulator::new("");
    let cuda = simulator.cuda();
    let context = cuda.retain(0).unwrap();
    // SAFETY: the name is a string, and the descriptor that comes back is nobody else's.
    let file = unsafe {
        use std::os::fd::FromRawFd;
        std::fs::File::from_raw_fd(libc::memfd_create(c"timeline".as_ptr(), 0))
    };
    let raise = |value: u64| {
        let mut file = &file;
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&[value.to_le_bytes(), [0; 8]].concat()).unwrap();
    };
    raise(0);
    let timeline = Timeline::new([7; 16], OwnedFd::from(file.try_clone().unwrap()));
    let imported = ImportedTimeline::of(&timeline, &context).unwrap();
    let stream = Stream::new(&context).unwrap();
    stream.wait_for(&imported, 0).unwrap();
    let known = &imported;
    thread::scope(|scope| {
        let waiting = scope.spawn(move || stream.wait_for(known, 2).unwrap());
        raise(1);
        assert!(!waiting.is_finished());
        raise(2);
        waiting.join().unwrap();
    });
    drop(imported);
    let empty = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let files = open_descriptors();
    let memory = Exported::new([7; 16], (1 << 20, Allocation::Plain), empty);
    let error = ImportedMemory::of(&memory, &context).unwrap_err().to_string();
    assert!(error.contains("cuImportExternalMemory: 400"), "{error}");
    assert_eq!(open_descriptors(), files);
    drop(context);
    let held = simulator.held();
    assert_eq!((held.contexts, held.brought_in, held.violations), (0, [0; 4], 1));
}
