//! `libcuda.so.1`: memory and timelines of a graphics device that are brought in by their descriptors.
//!
//! Must not encode. What is brought in is that of Mesa's software Vulkan, whose descriptors are files in memory: a page of its
//! own at the begin, then the data; they are really mapped, at addresses that the process may read. A timeline is a file whose
//! first eight bytes are its value, since that Vulkan exports none. Invariants: what is brought in is counted until it is given
//! back; whoever gives it back too early, or twice, is told so.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::time::Duration;

use crate::cuda::{INVALID_CONTEXT, INVALID_VALUE, SUCCESS, is_current};
use crate::world::{World, say, world};

const OUT_OF_MEMORY: c_int = 2;
const INVALID_HANDLE: c_int = 400;
const NOT_READY: c_int = 600;

const OPAQUE_FD: c_uint = 1;
const TIMELINE_FD: c_uint = 9;
/// Where a descriptor of Mesa's says at which of its bytes the data begins.
const OFFSET_AT: usize = 8;
/// Waits for a timeline before it counts as one that nobody raises, of 1 ms each.
const WAITS: u32 = 5000;

/// `CUDA_EXTERNAL_MEMORY_HANDLE_DESC` and `CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC` begin alike.
#[repr(C)]
struct Source {
    kind: c_uint,
    _gap: c_uint,
    descriptor: c_int,
    _rest: [c_uint; 3],
    /// Of memory only.
    bytes: u64,
}

/// The begin of `CUDA_EXTERNAL_MEMORY_BUFFER_DESC`.
#[repr(C)]
struct Range {
    offset: u64,
    bytes: u64,
    flags: c_uint,
}

/// A descriptor in the process's memory.
pub struct Mapping {
    begin: usize,
    len: usize,
    /// Where the data begins.
    data: usize,
    bytes: usize,
    /// Somebody has an address in it.
    is_mapped: bool,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody has an address in it any more, or was told that it is gone.
        unsafe { libc::munmap(self.begin as *mut c_void, self.len) };
    }
}

impl Mapping {
    /// Maps a whole file.
    fn of(descriptor: c_int) -> Option<Mapping> {
        // SAFETY: plain numbers, which zero is one of.
        let mut file: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is valid; a descriptor that is none is refused.
        if unsafe { libc::fstat(descriptor, &mut file) } != 0 || file.st_size < 16 {
            return None;
        }
        let len = file.st_size as usize;
        let (access, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping, of as many bytes as the file has.
        let begin = unsafe { libc::mmap(ptr::null_mut(), len, access, how, descriptor, 0) };
        if begin == libc::MAP_FAILED {
            return None;
        }
        Some(Mapping { begin: begin as usize, len, data: 0, bytes: 0, is_mapped: false })
    }

    /// Takes a descriptor that was brought in.
    fn take(descriptor: c_int) {
        // SAFETY: whoever hands a descriptor in gives it away when he is told of success.
        unsafe { libc::close(descriptor) };
    }

    fn word(&self, at: usize) -> u64 {
        // SAFETY: the file has at least 16 bytes; the other side may be writing.
        unsafe { ptr::read_volatile((self.begin + at) as *const u64) }
    }
}

impl World {
    /// Whether these bytes may be read.
    pub fn is_readable(&self, address: u64, bytes: usize) -> bool {
        let end = address as usize + bytes;
        let holds = |memory: &Mapping| {
            memory.is_mapped && memory.data <= address as usize && end <= memory.data + memory.bytes
        };
        self.memories.values().any(holds)
    }

    fn stranger(&mut self, what: &str) -> c_int {
        self.violated(what);
        INVALID_HANDLE
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuImportExternalMemory(to: *mut usize, from: *const c_void) -> c_int {
    // SAFETY: the interface wants valid pointers.
    let (to, from) = unsafe { (&mut *to, &*from.cast::<Source>()) };
    let mut world = world();
    if !is_current() {
        world.violated("memory is brought in without a context");
        return INVALID_CONTEXT;
    }
    if world.faults.refusals.no_import {
        say("no memory is brought in");
        return OUT_OF_MEMORY;
    }
    let mapping = (from.kind == OPAQUE_FD).then(|| Mapping::of(from.descriptor)).flatten();
    let Some(mut mapping) = mapping else {
        return world.stranger("memory of another kind, or a descriptor that is none");
    };
    mapping.data = mapping.begin + mapping.word(OFFSET_AT) as usize;
    mapping.bytes = from.bytes as usize;
    if mapping.data + mapping.bytes > mapping.begin + mapping.len {
        return world.stranger("memory is shorter than is said");
    }
    Mapping::take(from.descriptor);
    *to = world.handle();
    world.memories.insert(*to, mapping);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuExternalMemoryGetMappedBuffer(
    to: *mut u64,
    memory: usize,
    range: *const c_void,
) -> c_int {
    // SAFETY: the interface wants valid pointers.
    let (to, range) = unsafe { (&mut *to, &*range.cast::<Range>()) };
    let mut world = world();
    let Some(mapping) = world.memories.get_mut(&memory) else {
        return world.stranger("memory is mapped that was not brought in");
    };
    let is_whole = range.offset == 0 && range.bytes as usize == mapping.bytes && range.flags == 0;
    if !is_whole || mapping.is_mapped {
        world.violated("memory is mapped twice, or in part");
        return INVALID_VALUE;
    }
    mapping.is_mapped = true;
    *to = mapping.data as u64;
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> c_int {
    let mut world = world();
    let is_there = |mapping: &&mut Mapping| mapping.is_mapped && mapping.data as u64 == address;
    let Some(mapping) = world.memories.values_mut().find(is_there) else {
        return world.stranger("an address is freed that is none");
    };
    mapping.is_mapped = false;
    let range = address..address + mapping.bytes as u64;
    if world.registered.values().any(|registered| range.contains(registered)) {
        world.violated("memory is freed while a session has it registered");
    }
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuDestroyExternalMemory(memory: usize) -> c_int {
    let mut world = world();
    match world.memories.remove(&memory) {
        Some(mapping) if mapping.is_mapped => world.stranger("memory is given back while mapped"),
        Some(_) => SUCCESS,
        None => world.stranger("memory is given back that was not brought in"),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> c_int {
    const ALL: usize = 16 << 30;
    let world = world();
    let used: usize = world.memories.values().map(|memory| memory.bytes).sum();
    // SAFETY: the interface wants valid pointers.
    unsafe { (*free, *total) = (ALL - used, ALL) };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> c_int {
    let mut world = world();
    if !is_current() || !world.is_readable(from, bytes) {
        world.violated("bytes are copied that are not there");
        return INVALID_VALUE;
    }
    // SAFETY: the bytes are mapped, and the interface wants room for them.
    unsafe { ptr::copy_nonoverlapping(from as *const u8, to.cast(), bytes) };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuImportExternalSemaphore(to: *mut usize, from: *const c_void) -> c_int {
    // SAFETY: the interface wants valid pointers.
    let (to, from) = unsafe { (&mut *to, &*from.cast::<Source>()) };
    let mut world = world();
    let mapping = (from.kind == TIMELINE_FD).then(|| Mapping::of(from.descriptor)).flatten();
    let Some(mapping) = mapping.filter(|_| is_current()) else {
        return world.stranger("a timeline of another kind, or without a context");
    };
    Mapping::take(from.descriptor);
    *to = world.handle();
    world.timelines.insert(*to, mapping);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuWaitExternalSemaphoresAsync(
    timelines: *const usize,
    values: *const u64,
    count: c_uint,
    stream: usize,
) -> c_int {
    // SAFETY: the interface wants one of each at least; parameters begin with the value.
    let (timeline, value) = unsafe { (*timelines, *values) };
    for _ in 0..WAITS {
        {
            let mut world = world();
            if count != 1 || !world.streams.contains(&stream) || !is_current() {
                return world.stranger("a stream that is none, or several timelines at once");
            }
            match world.timelines.get(&timeline) {
                Some(timeline) if timeline.word(0) >= value => return SUCCESS,
                Some(_) => {}
                None => return world.stranger("a timeline is waited for that is none"),
            }
        }
        pause();
    }
    NOT_READY
}

#[unsafe(no_mangle)]
extern "C" fn cuDestroyExternalSemaphore(timeline: usize) -> c_int {
    let mut world = world();
    match world.timelines.remove(&timeline) {
        Some(_) => SUCCESS,
        None => world.stranger("a timeline is given back that was not brought in"),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(to: *mut usize, flags: c_uint) -> c_int {
    let mut world = world();
    if flags > 1 || !is_current() {
        world.violated("a stream without a context");
        return INVALID_VALUE;
    }
    let handle = world.handle();
    world.streams.insert(handle);
    // SAFETY: the interface wants a valid pointer.
    unsafe { *to = handle };
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: usize) -> c_int {
    let mut world = world();
    match world.streams.contains(&stream) {
        true => SUCCESS,
        false => world.stranger("a stream that is none"),
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: usize) -> c_int {
    let mut world = world();
    match world.streams.remove(&stream) {
        true => SUCCESS,
        false => world.stranger("a stream is closed that is none"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "nobody wakes it: another process may raise the timeline"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}
