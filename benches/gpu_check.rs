//! Whether pictures go from the compositor to CUDA on this machine, without the host and bit for bit: `./dev gpu-check`.
//!
//! Prints a line for each thing that was tried; the first difference is an error. `ONAIR_NVIDIA_LIBRARIES` names the directory
//! of another `libcuda.so.1`. Must not know NVENC, which some cards do not have.

#![expect(unsafe_code, reason = "memory that CUDA has left, which nothing but this asks for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::cuda::{
    Context, Cuda, Device, ImportedMemory, ImportedTimeline, Stream, function, open_library,
};
use crate::device_memory::{OnDevice, Place};
use crate::frame::{Picture, Size};
use crate::gpu::{AdapterChoice, Composed, Compositor, Delivery, Gpu, GpuError, Kept};
use crate::{CASES, Case, measure};

type Checked<T> = Result<T, Box<dyn Error>>;

/// Pictures of each case that are compared.
const TICKS: u64 = 60;
/// How often all of it is opened and closed.
const CYCLES: usize = 1000;

/// What has to be so, and what is said when it is not.
macro_rules! ensure {
    ($holds:expr, $($otherwise:tt)+) => {
        if !$holds {
            return Err(format!($($otherwise)+).into());
        }
    };
}

/// Does all of it.
pub(crate) fn run(adapter: Option<String>) -> Checked<()> {
    let libraries = std::env::var_os("ONAIR_NVIDIA_LIBRARIES").map(PathBuf::from);
    let (choice, kept) = (AdapterChoice(adapter), Kept::default());
    let gpu = Gpu::open_with(&choice, &kept)?;
    gpu.warm_up()?;
    println!("adapter   {}", gpu.info());
    let mut compositor = Compositor::new(Arc::clone(&gpu), Size::new(64, 64))?;
    compositor.set_delivery(Delivery::Device);
    ensure!(compositor.delivery() == Delivery::Device, "its memory is not exported");
    let picture = first(&mut compositor)?;
    let place = keeper(&picture)?.place().clone();
    let uuid = place.memory.device();
    let timeline = match &place.ready {
        Some(_) => "with a timeline, which CUDA waits for",
        None => {
            "without a timeline: pictures are handed out when the fence says that they are done"
        }
    };
    println!("memory    exported ({:?}), {timeline}", place.memory.kind());
    let cuda = Cuda::open(libraries.as_deref())?;
    let devices = cuda.devices();
    let device = devices.iter().find(|device| device.uuid == uuid);
    let device = device.ok_or_else(|| format!("none of {devices:?} has the UUID {uuid:02x?}"))?;
    println!("CUDA      {}, device {}, of the same UUID", device.name, device.id);
    let context = cuda.retain(device.id)?;
    // A software adapter has no speed worth telling, and takes seconds for the largest.
    let (cases, ticks) = if gpu.is_software() { (&CASES[..3], 4) } else { (&CASES[..], TICKS) };
    for case in cases {
        pictures((&gpu, &kept), &context, (case, ticks))?;
    }
    for case in cases.iter().filter(|_| !gpu.is_software()) {
        speed(&gpu, &kept, case)?;
    }
    drop((picture, compositor, place));
    cycles(&gpu, &cuda, device)?;
    println!("all is as it should be");
    Ok(())
}

fn keeper(picture: &Picture) -> Checked<&Arc<dyn OnDevice>> {
    picture.keeper().ok_or_else(|| "a picture is not on the device".into())
}

/// Draws one picture.
fn first(compositor: &mut Compositor) -> Checked<Arc<Picture>> {
    let case = Case { name: "", side: 1, source: SMALL, canvas: SMALL, renditions: &[] };
    compositor.draw(0, &case.list(), &case.frames()[0])?;
    let composed = compositor.finish()?.pop().ok_or("no picture")?;
    Ok(composed.picture)
}

const SMALL: Size = Size::new(64, 64);

/// What CUDA has of the compositor's.
struct Imports<'a> {
    context: &'a Context<'a>,
    stream: Stream<'a>,
    memories: BTreeMap<u64, ImportedMemory<'a>>,
    timelines: BTreeMap<u64, ImportedTimeline<'a>>,
    bytes: Vec<u8>,
    waits: usize,
}

impl<'a> Imports<'a> {
    fn new(context: &'a Context<'a>) -> Checked<Imports<'a>> {
        Ok(Imports {
            context,
            stream: Stream::new(context)?,
            memories: BTreeMap::new(),
            timelines: BTreeMap::new(),
            bytes: Vec::new(),
            waits: 0,
        })
    }

    /// The bytes of an NV12 picture as CUDA sees them, when it may.
    fn read(&mut self, place: &Place, size: Size) -> Checked<&[u8]> {
        if let Some(moment) = &place.ready {
            let id = moment.timeline.id();
            if !self.timelines.contains_key(&id) {
                let timeline = ImportedTimeline::of(&moment.timeline, self.context)?;
                self.timelines.insert(id, timeline);
            }
            self.stream.wait_for(&self.timelines[&id], moment.value)?;
            self.waits += 1;
        }
        let id = place.memory.id();
        if !self.memories.contains_key(&id) {
            self.memories.insert(id, ImportedMemory::of(&place.memory, self.context)?);
        }
        let rows = size.height_px as usize * 3 / 2;
        self.bytes.resize(place.pitch_bytes as usize * rows, 0);
        self.memories[&id].read(place.offset_bytes, &mut self.bytes)?;
        Ok(&self.bytes)
    }
}

/// Rows of both planes, without padding.
fn rows(picture: &Picture) -> impl Iterator<Item = &[u8]> {
    let shapes = picture.format().plane_shapes(picture.size());
    picture.planes().iter().zip(shapes).flat_map(|(plane, (row_bytes, rows))| {
        plane.data.chunks(plane.stride_bytes).take(rows).map(move |row| &row[..row_bytes])
    })
}

fn is_same<'a>(a: impl Iterator<Item = &'a [u8]>, b: impl Iterator<Item = &'a [u8]>) -> bool {
    a.eq(b)
}

/// Draws on both ways and compares: CUDA's bytes with those read back from the same memory, and with the ordinary way's.
fn pictures(
    (gpu, kept): (&Arc<Gpu>, &Kept),
    context: &Context<'_>,
    (case, ticks): (&Case, u64),
) -> Checked<()> {
    let (frames, list) = (case.frames(), case.list());
    let mut ways = [Delivery::Device, Delivery::Host].map(|delivery| {
        let mut compositor = Compositor::new(Arc::clone(gpu), case.canvas)?;
        compositor.set_delivery(delivery);
        compositor.set_renditions(case.renditions)?;
        Ok::<_, GpuError>(compositor)
    });
    let [Ok(direct), Ok(ordinary)] = &mut ways else { return Err("no compositor".into()) };
    let mut imports = Imports::new(context)?;
    let (mut compared, before) = (0, kept.traffic.host_copies());
    for tick in 0..ticks {
        let one = |compositor: &mut Compositor| -> Result<Composed, GpuError> {
            compositor.draw(tick, &list, &frames[tick as usize % 2])?;
            compositor.finish()?.pop().ok_or(GpuError::NoCanvas)
        };
        let copies = kept.traffic.host_copies();
        let composed = one(direct)?;
        let all = || std::iter::once(&composed.picture).chain(&composed.renditions);
        ensure!(all().count() == 1 + case.renditions.len(), "a rendition is missing");
        let mut seen = Vec::new();
        for picture in all() {
            seen.push(imports.read(keeper(picture)?.place(), picture.size())?.to_vec());
        }
        ensure!(kept.traffic.host_copies() == copies, "pictures came to the host");
        for (picture, bytes) in all().zip(&seen) {
            let pitch = keeper(picture)?.place().pitch_bytes as usize;
            let width = picture.size().width_px as usize;
            let by_cuda = bytes.chunks(pitch).map(|row| &row[..width]);
            let (name, size) = (case.name, picture.size());
            ensure!(
                is_same(by_cuda, rows(picture)),
                "{name}: tick {tick}: CUDA sees something else at {size:?}"
            );
            compared += 1;
        }
        // A software adapter's ordinary way scales on the CPU, which is the same within the golden tolerance only.
        if !gpu.is_software() {
            let other = one(ordinary)?;
            let others = std::iter::once(&other.picture).chain(&other.renditions);
            for (a, b) in all().zip(others) {
                ensure!(is_same(rows(a), rows(b)), "{}: the ways differ", case.name);
            }
        }
    }
    println!(
        "pictures  {}: {compared} are the same for CUDA as read back, {} memories, {} waits for the timeline, {} copies to the \
         host, all for this comparison",
        case.name,
        imports.memories.len(),
        imports.waits,
        kept.traffic.host_copies() - before
    );
    Ok(())
}

fn speed(gpu: &Arc<Gpu>, kept: &Kept, case: &Case) -> Checked<()> {
    let mut told = Vec::new();
    for (name, delivery) in [("on the device", Delivery::Device), ("read back", Delivery::Host)] {
        let copies = kept.traffic.host_copies();
        let (frames_per_s, gpu_ms) = measure(gpu, kept, (case, delivery))?;
        let copies = kept.traffic.host_copies() - copies;
        ensure!(delivery == Delivery::Host || copies == 0, "{copies} host copies");
        let gpu_ms = gpu_ms.map_or("not told".into(), |ms| format!("{ms:.3} ms"));
        told.push(format!("{name} {frames_per_s:.0} frames/s, GPU {gpu_ms}, {copies} host copies"));
    }
    println!("speed     {}: {}", case.name, told.join("; "));
    Ok(())
}

/// What is held now: descriptors, the device's objects and bytes, bytes that CUDA has left.
type Held = (usize, crate::gpu::Census, usize);

fn held(gpu: &Gpu, context: &Context<'_>) -> Checked<Held> {
    let libraries = std::env::var_os("ONAIR_NVIDIA_LIBRARIES").map(PathBuf::from);
    let library = open_library(libraries.as_deref(), "libcuda.so.1")?;
    let info: unsafe extern "C" fn(*mut usize, *mut usize) -> c_int =
        function(&library, c"cuMemGetInfo_v2")?;
    let (mut free, mut total) = (0, 0);
    let _current = context.current()?;
    // SAFETY: both pointers are valid, and a context is current.
    let code = unsafe { info(&mut free, &mut total) };
    ensure!(code == 0, "cuMemGetInfo: {code}");
    Ok((std::fs::read_dir("/proc/self/fd")?.count(), gpu.census(), free))
}

/// Opens and closes a compositor, and brings its memory into CUDA and out again.
fn cycles(gpu: &Arc<Gpu>, cuda: &Cuda, device: &Device) -> Checked<()> {
    // Keeps the primary context, which is dear to make.
    let context = cuda.retain(device.id)?;
    let once = || -> Checked<()> {
        let mut compositor = Compositor::new(Arc::clone(gpu), SMALL)?;
        compositor.set_delivery(Delivery::Device);
        let picture = first(&mut compositor)?;
        let mut imports = Imports::new(&context)?;
        let bytes = imports.read(keeper(&picture)?.place(), SMALL)?;
        let luma = bytes[0];
        drop(compositor);
        ensure!(picture.planes()[0].data[0] == luma, "another picture");
        Ok(())
    };
    once()?;
    gpu.settle()?;
    let (before, start) = (held(gpu, &context)?, Instant::now());
    for _ in 0..CYCLES {
        once()?;
    }
    gpu.settle()?;
    let after = held(gpu, &context)?;
    println!(
        "cycles    {CYCLES} of compositor, picture and import in {:.1} s; descriptors {} → {}, objects {} → {}, bytes {} → {}, \
         free for CUDA {} → {} MiB",
        start.elapsed().as_secs_f64(),
        before.0,
        after.0,
        before.1.objects,
        after.1.objects,
        before.1.bytes,
        after.1.bytes,
        before.2 >> 20,
        after.2 >> 20
    );
    ensure!((before.0, before.1) == (after.0, after.1), "something is left behind");
    // The driver keeps some blocks; a ring of these cycles has six canvases of some KiB, so a leak would be 100 MiB and more.
    let gone = before.2.saturating_sub(after.2);
    ensure!(gone < 32 << 20, "{} MiB of the device's memory are gone", gone >> 20);
    Ok(())
}
