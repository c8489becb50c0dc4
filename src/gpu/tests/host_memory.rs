//! Memory that the CPU and the GPU both see: several buffers in one allocation, which goes with the last of them.

use super::HostBuffer;
use crate::gpu::{AdapterChoice, Gpu};

#[test]
fn buffers_of_one_allocation_are_apart_and_it_goes_with_the_last() {
    const BYTES: u64 = 1004;
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let gpu = Gpu::open(&AdapterChoice::default()).unwrap();
    gpu.wait_for(gpu.submit(None)).unwrap();
    let before = gpu.census();
    let mut all = HostBuffer::several(&gpu, 4, (BYTES, usage)).unwrap();
    let held = gpu.census().bytes - before.bytes;
    assert!(held >= 4 * BYTES as isize, "{held}");
    for (value, buffer) in (1..).zip(&mut all) {
        assert_eq!(buffer.bytes(), [0; BYTES as usize]);
        buffer.bytes_mut().fill(value);
    }
    // What the CPU wrote to each goes to the one before it.
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    for pair in all.windows(2) {
        encoder.copy_buffer_to_buffer(pair[1].buffer(), 0, pair[0].buffer(), 0, Some(BYTES));
    }
    all.iter().for_each(|buffer| buffer.hand_to_cpu(&mut encoder));
    gpu.wait_for(gpu.submit(Some(encoder.finish()))).unwrap();
    for (value, buffer) in [2, 3, 4, 4].into_iter().zip(&all) {
        assert_eq!(buffer.bytes(), [value; BYTES as usize]);
    }
    let last = all.swap_remove(2);
    drop(all);
    gpu.wait().unwrap();
    assert_eq!(gpu.census().bytes - before.bytes, held);
    assert_eq!(last.bytes(), [4; BYTES as usize]);
    drop(last);
    gpu.wait().unwrap();
    assert_eq!(gpu.census(), before);
}
