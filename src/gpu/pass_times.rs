//! How long the GPU takes for each pass, where it can tell: timestamps written around passes and read back with the
//! picture.
//!
//! Must not know what a pass draws. Invariant: only what ran is read; on adapters without timestamps nothing is made, and
//! nothing is told.

use std::sync::atomic::{AtomicU64, Ordering};

use super::canvas::buffer;
use super::device::Gpu;

/// The passes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The picture, or the first of two.
    First,
    /// The picture that comes in.
    Second,
    /// Two pictures become one, or a veil lies over one.
    Blend,
    /// All renditions.
    Scale,
    /// How bright the canvas and new sources are.
    Measure,
}

impl Pass {
    const ALL: [Pass; 5] = [Pass::First, Pass::Second, Pass::Blend, Pass::Scale, Pass::Measure];

    fn name(self) -> &'static str {
        match self {
            Pass::First => "first",
            Pass::Second => "second",
            Pass::Blend => "blend",
            Pass::Scale => "scale",
            Pass::Measure => "measure",
        }
    }
}

/// Time that the GPU has spent in each pass.
#[derive(Debug, Default)]
pub struct PassTimes([(AtomicU64, AtomicU64); Pass::ALL.len()]);

/// Time spent in one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassTime {
    /// Its name.
    pub pass: &'static str,
    /// How often it ran.
    pub count: u64,
    /// How long that took in all, s.
    pub seconds: f64,
}

impl PassTimes {
    /// What has run so far.
    pub fn all(&self) -> Vec<PassTime> {
        let time = |pass: Pass| {
            let (count, ns) = &self.0[pass as usize];
            let [count, ns] = [count, ns].map(|value| value.load(Ordering::Relaxed));
            PassTime { pass: pass.name(), count, seconds: ns as f64 / 1e9 }
        };
        Pass::ALL.into_iter().map(time).filter(|time| time.count > 0).collect()
    }

    fn record(&self, pass: Pass, ns: u64) {
        let (count, total_ns) = &self.0[pass as usize];
        count.fetch_add(1, Ordering::Relaxed);
        total_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

/// Bytes of what is read back: each pass' two timestamps stand where the GPU may write them.
pub(super) const STAMP_BYTES: u64 = Pass::ALL.len() as u64 * wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT;

/// The timestamps of a compositor.
#[derive(Debug)]
pub(super) struct Stamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

impl Stamps {
    /// None where the adapter has none.
    pub(super) fn new(gpu: &Gpu) -> Option<Stamps> {
        gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY).then(|| {
            use wgpu::BufferUsages as U;
            let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("passes"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * Pass::ALL.len() as u32,
            });
            Stamps { queries, resolved: buffer(gpu, STAMP_BYTES, U::QUERY_RESOLVE | U::COPY_SRC) }
        })
    }

    /// What a pass writes at its begin and end.
    pub(super) fn around(&self, pass: Pass) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * pass as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Has the timestamps of the passes that ran copied to a buffer.
    pub(super) fn copy(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        ran: &[Pass],
        (buffer, start): (&wgpu::Buffer, u64),
    ) {
        for pass in ran {
            let first = 2 * *pass as u32;
            encoder.resolve_query_set(&self.queries, first..first + 2, &self.resolved, at(*pass));
        }
        encoder.copy_buffer_to_buffer(&self.resolved, 0, buffer, start, STAMP_BYTES);
    }
}

fn at(pass: Pass) -> u64 {
    pass as u64 * wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT
}

/// Counts what was read back of the passes that ran.
pub(super) fn count(gpu: &Gpu, ran: &[Pass], bytes: &[u8]) {
    let period_ns = f64::from(gpu.queue.get_timestamp_period());
    for pass in ran {
        let begin = at(*pass) as usize;
        if let Some(stamps) = bytes.get(begin..begin + 16) {
            let (stamps, _) = stamps.as_chunks::<8>();
            let [start, end] = [0, 1].map(|i: usize| u64::from_le_bytes(stamps[i]));
            let ns = end.saturating_sub(start) as f64 * period_ns;
            gpu.pass_times.record(*pass, ns as u64);
        }
    }
}
