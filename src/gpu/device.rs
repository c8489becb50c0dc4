//! Adapter, device and queue; what the driver complains of.
//!
//! Owns the one device of the process and what is made once on it. Must not know canvases or frames. Invariant: an
//! error of the driver never panics; it is kept and given to the next one who asks ([`Gpu::check`]).

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::GpuError;
use super::adapter::{AdapterChoice, GpuInfo, enumerate, info_of, pick};
use super::block::Held;
use super::cache::Cache;
use super::interop::{self, Interop};
use super::lent::Traffic;
use super::loans::Loans;
use super::overlays::Gallery;
use super::pass_times::PassTimes;
use super::shaders::{IMMEDIATE_BYTES, Shaders};
use super::text::TextPainter;
use crate::device_memory::{DeviceUuid, Moment};
use crate::limits::GPU_WAIT;

/// What a device holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Buffers, views of textures, bind groups, pipelines and query sets.
    pub objects: isize,
    /// Memory of buffers and textures.
    pub bytes: isize,
}

/// The graphics device; one per process, shared by all compositors.
#[derive(Debug)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) shaders: Shaders,
    info: GpuInfo,
    painter: Mutex<TextPainter>,
    pub(super) gallery: Gallery,
    faults: Arc<Faults>,
    cache: Option<Mutex<Cache>>,
    pub(super) pass_times: Arc<PassTimes>,
    /// Memory that wgpu does not count.
    pub(super) held: Held,
    /// None where other drivers cannot open its memory.
    pub(super) interop: Option<Interop>,
    pub(super) loans: Loans,
    pub(super) traffic: Arc<Traffic>,
}

/// What outlives a device.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Where compiled pipelines are kept, if anywhere; made when needed.
    pub cache_dir: Option<PathBuf>,
    /// Where times of passes are summed up.
    pub pass_times: Arc<PassTimes>,
    /// Where it is counted what goes to them and comes from them.
    pub traffic: Arc<Traffic>,
}

#[derive(Debug, Default)]
struct Faults {
    lost: Mutex<Option<String>>,
    error: Mutex<Option<String>>,
}

impl Gpu {
    /// Opens the device and makes what is made once: programs, fonts.
    ///
    /// # Errors
    /// No adapter, none of that name, or one that lacks what is needed.
    pub fn open(choice: &AdapterChoice) -> Result<Arc<Gpu>, GpuError> {
        Gpu::open_with(choice, &Kept::default())
    }

    /// The same, with what was kept of others.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open_with(choice: &AdapterChoice, kept: &Kept) -> Result<Arc<Gpu>, GpuError> {
        let adapter = pick(enumerate(), choice)?;
        let info = info_of(&adapter);
        let (device, queue) = request_device(&adapter, &info)?;
        let faults = watch(&device);
        let dir = kept.cache_dir.as_deref();
        let cache = dir.and_then(|dir| Cache::open(&device, &adapter.get_info(), dir));
        let shaders = Shaders::new(&device, cache.as_ref().map(|cache| &cache.pipelines));
        let (painter, gallery) = (Mutex::new(TextPainter::new()), Gallery::default());
        let (cache, pass_times) = (cache.map(Mutex::new), Arc::clone(&kept.pass_times));
        let held = Held::default();
        let interop = info.uuid.and_then(|uuid| Interop::of(&device, uuid, &held));
        let gpu = Gpu {
            device,
            queue,
            shaders,
            info,
            painter,
            gallery,
            faults,
            cache,
            pass_times,
            held,
            interop,
            loans: Loans::default(),
            traffic: Arc::clone(&kept.traffic),
        };
        gpu.check()?;
        tracing::info!(adapter = gpu.info.name, driver = gpu.info.driver, "graphics device opened");
        Ok(Arc::new(gpu))
    }

    /// Makes the pipelines that a show mostly needs, so that no tick waits for a compiler. Whoever renders offline has each
    /// made when it is first needed.
    ///
    /// # Errors
    /// What the driver says.
    pub fn warm_up(&self) -> Result<(), GpuError> {
        self.shaders.make(&self.info);
        self.check()?;
        self.keep_pipelines();
        Ok(())
    }

    /// The adapter in use.
    pub fn info(&self) -> GpuInfo {
        self.info.clone()
    }

    /// All adapters, the indices of [`AdapterChoice`].
    pub fn adapters() -> Vec<GpuInfo> {
        enumerate().iter().map(info_of).collect()
    }

    /// Whether the adapter is the CPU.
    pub fn is_software(&self) -> bool {
        self.info.software
    }

    /// What other drivers know the device by, if they may open its memory.
    pub fn exports_as(&self) -> Option<DeviceUuid> {
        self.interop.as_ref().map(Interop::uuid)
    }

    /// What there is on the device now.
    pub fn census(&self) -> Census {
        let counters = self.device.get_internal_counters().hal;
        // wgpu 30 counts the textures that go, but not those that come; each of ours has one view.
        let objects = [
            counters.buffers.read(),
            counters.texture_views.read(),
            counters.bind_groups.read(),
            counters.compute_pipelines.read(),
            counters.query_sets.read(),
        ];
        let wgpu_bytes = counters.buffer_memory.read() + counters.texture_memory.read();
        let bytes = wgpu_bytes + self.held.load(Ordering::Relaxed);
        Census { objects: objects.iter().sum(), bytes }
    }

    /// Keeps on disk what was compiled since the last time.
    fn keep_pipelines(&self) {
        if let Some(cache) = &self.cache {
            cache.lock().unwrap_or_else(PoisonError::into_inner).keep();
        }
    }

    /// Whether the device is gone for good.
    pub fn is_lost(&self) -> bool {
        self.faults.lost.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Ends the device under all who use it, as a driver that breaks down does. For tests.
    #[doc(hidden)]
    pub fn destroy(&self) {
        self.device.destroy();
        // What came of it is told by `check`, as ever.
        let _ = self.poll(wgpu::PollType::Poll);
    }

    /// Waits until the device has let go of what was dropped. For those who count.
    ///
    /// # Errors
    /// What the driver says.
    #[doc(hidden)]
    pub fn settle(&self) -> Result<(), GpuError> {
        self.wait()
    }

    pub(super) fn painter(&self) -> MutexGuard<'_, TextPainter> {
        self.painter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Largest side of a texture, in pixels.
    pub(super) fn max_side_px(&self) -> u32 {
        self.device.limits().max_texture_dimension_2d
    }

    /// What the driver complained of since the last call.
    pub(super) fn check(&self) -> Result<(), GpuError> {
        if let Some(reason) = &*self.faults.lost.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(GpuError::Lost(reason.clone()));
        }
        match self.faults.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(GpuError::Device(error)),
            None => Ok(()),
        }
    }

    /// Has these bytes be on a part of a texture before anything that is submitted from now on.
    pub(super) fn write_texture(
        &self,
        texture: &wgpu::Texture,
        (bytes, layout): (&[u8], wgpu::TexelCopyBufferLayout),
        part: wgpu::Extent3d,
    ) {
        self.queue.write_texture(texture.as_image_copy(), bytes, layout, part);
        let texel_bytes = texture.format().block_copy_size(None).unwrap_or(1);
        self.traffic
            .upload(u64::from(part.width) * u64::from(part.height) * u64::from(texel_bytes));
    }

    /// Submits work.
    pub(super) fn submit(&self, work: Option<wgpu::CommandBuffer>) -> wgpu::SubmissionIndex {
        let _turn = self.interop.as_ref().map(Interop::turn);
        self.queue.submit(work)
    }

    /// Submits work; tells when other drivers may look at what it leaves, where they can be told.
    pub(super) fn submit_raising(
        &self,
        work: wgpu::CommandBuffer,
    ) -> (wgpu::SubmissionIndex, Option<Moment>) {
        let mut turn = self.interop.as_ref().map(Interop::turn);
        let moment = turn.as_mut().and_then(|turn| turn.raise(&self.queue));
        (self.queue.submit([work]), moment)
    }

    /// Waits until everything submitted so far is done.
    pub(super) fn wait(&self) -> Result<(), GpuError> {
        self.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(GPU_WAIT) })
    }

    /// Waits until this work is done.
    pub(super) fn wait_for(&self, work: wgpu::SubmissionIndex) -> Result<(), GpuError> {
        self.poll(wgpu::PollType::Wait { submission_index: Some(work), timeout: Some(GPU_WAIT) })
    }

    /// Becomes true in a poll after all that was submitted until now is done.
    pub(super) fn when_done(&self) -> Arc<AtomicBool> {
        let done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&done);
        self.queue.on_submitted_work_done(move || told.store(true, Ordering::Release));
        done
    }

    /// Whether work is done, as [`Gpu::when_done`] tells it; does not wait. Not by a poll for that work: wgpu panics
    /// (`Device::maintain`) when another thread finds it done after this one has looked.
    pub(super) fn is_done(&self, done: &AtomicBool) -> Result<bool, GpuError> {
        self.poll(wgpu::PollType::Poll)?;
        Ok(done.load(Ordering::Acquire))
    }

    fn poll(&self, how: wgpu::PollType) -> Result<(), GpuError> {
        let polled = self.device.poll(how);
        self.check()?;
        polled.map(drop).map_err(|e| GpuError::Device(e.to_string()))
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        self.keep_pipelines();
    }
}

fn request_device(
    adapter: &wgpu::Adapter,
    info: &GpuInfo,
) -> Result<(wgpu::Device, wgpu::Queue), GpuError> {
    // Samples of more than 8 bits are textures of 16.
    let mut features = wgpu::Features::IMMEDIATES | wgpu::Features::TEXTURE_FORMAT_16BIT_NORM;
    let (there, limits) = (adapter.features(), adapter.limits());
    if !there.contains(features) || limits.max_immediate_size < IMMEDIATE_BYTES {
        return Err(GpuError::Unfit(format!("it lacks {:?}", features - there)));
    }
    features |= there
        & (wgpu::Features::PIPELINE_CACHE
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::VULKAN_EXTERNAL_MEMORY_FD);
    // On the CPU, device memory is the process's own, and blocks are not slow to get.
    let memory_hints = match info.software {
        true => wgpu::MemoryHints::MemoryUsage,
        false => wgpu::MemoryHints::Performance,
    };
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("onair"),
        memory_hints,
        required_features: features,
        required_limits: limits,
        ..wgpu::DeviceDescriptor::default()
    };
    interop::request_device(adapter, &descriptor)
        .or_else(|| ready(adapter.request_device(&descriptor)))
        .ok_or_else(|| GpuError::Unfit("it did not answer".into()))?
        .map_err(|e| GpuError::Unfit(e.to_string()))
}

/// Keeps what the driver complains of instead of panicking.
fn watch(device: &wgpu::Device) -> Arc<Faults> {
    let faults = Arc::new(Faults::default());
    let seen = Arc::clone(&faults);
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        tracing::error!(%error, "graphics device");
        let mut first = seen.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_string());
    }));
    let seen = Arc::clone(&faults);
    device.set_device_lost_callback(move |reason, message| {
        if reason != wgpu::DeviceLostReason::Destroyed {
            tracing::error!(?reason, message, "graphics device lost");
        }
        *seen.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    });
    faults
}

/// The value of a future that is ready at once, as all of wgpu's are on native backends.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_are_kept_and_a_broken_file_is_as_good_as_none() {
        let dir = std::env::temp_dir().join(format!("onair-pipelines-{}", std::process::id()));
        let kept = Kept { cache_dir: Some(dir.clone()), ..Kept::default() };
        let files = || -> Vec<PathBuf> {
            let entries = std::fs::read_dir(&dir).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let open = || {
            let gpu = Gpu::open_with(&AdapterChoice::default(), &kept).unwrap();
            gpu.warm_up().unwrap();
            gpu
        };
        let can = open().device.features().contains(wgpu::Features::PIPELINE_CACHE);
        let whole = files();
        assert_eq!(whole.len(), usize::from(can), "{whole:?}");
        for path in &whole {
            let bytes = std::fs::read(path).unwrap();
            for broken in [&bytes[..bytes.len() / 2], b"", b"onair"] {
                std::fs::write(path, broken).unwrap();
                drop(open());
                assert!(std::fs::read(path).unwrap().len() >= bytes.len(), "written anew");
            }
        }
        assert_eq!(files(), whole);
        let _ = std::fs::remove_dir_all(&dir);
    }

    #[test]
    fn an_unknown_adapter_is_refused_by_name() {
        let choice = AdapterChoice(Some("no such card".into()));
        let error = Gpu::open(&choice).unwrap_err();
        assert!(matches!(error, GpuError::NoSuchAdapter { .. } | GpuError::NoAdapter), "{error}");
    }
}
