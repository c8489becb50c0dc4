//! Timings as they are measured: a histogram that costs a few nanoseconds to write and answers quantiles.
//!
//! Must not know who measures or who asks. Invariant: a quantile is never below the true one and at most 25 % above it.

/// Resident memory of this process, as the kernel counts it; 0 where it does not say.
pub fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

/// Open file descriptors of this process; 0 where the kernel does not say.
pub fn open_descriptors() -> u64 {
    let listed = std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
    // The one that lists them.
    u64::try_from(listed).unwrap_or(0).saturating_sub(1)
}

/// Threads of this process; 0 where the kernel does not say.
pub fn threads() -> u64 {
    let listed = std::fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(0);
    u64::try_from(listed).unwrap_or(0)
}

/// Core seconds that this process has used, all threads, those that ended included; to a hundredth. 0 where the kernel does not
/// say.
pub fn cpu_seconds() -> f64 {
    // Linux tells it in hundredths, whatever the kernel's own tick is.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the process, in brackets, may have spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_A_SECOND
}

/// Core seconds that this thread has used; 0 where the kernel does not say.
pub fn thread_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = stat.split_whitespace().next().and_then(|field| field.parse::<f64>().ok());
    ns.unwrap_or(0.0) / 1e9
}

/// Memory that the machine could give without swapping, as the kernel estimates it; none where it does not say.
pub fn available_bytes() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

/// Buckets per doubling.
const SUB: u32 = 4;
/// Enough for 2^32 µs, over an hour.
const BUCKETS: usize = (32 * SUB) as usize;

/// A histogram of durations in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    total_us: u64,
    max_us: u64,
}

/// What a [`Timing`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Number of measurements.
    pub count: u64,
    /// Their sum, µs.
    pub total_us: u64,
    /// Median, µs.
    pub p50_us: u64,
    /// 99th percentile, µs.
    pub p99_us: u64,
    /// Largest, µs.
    pub max_us: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { counts: Box::new([0; BUCKETS]), count: 0, total_us: 0, max_us: 0 }
    }
}

impl Timing {
    /// Adds a duration.
    pub fn record_us(&mut self, us: u64) {
        self.counts[bucket(us)] += 1;
        self.count += 1;
        self.total_us += us;
        self.max_us = self.max_us.max(us);
    }

    /// Adds the time between two readings of the clock, in ns.
    pub fn record_between(&mut self, start_ns: u64, end_ns: u64) {
        self.record_us(end_ns.saturating_sub(start_ns) / 1000);
    }

    /// Median, 99th percentile and maximum so far.
    pub fn quantiles(&self) -> Quantiles {
        Quantiles {
            count: self.count,
            total_us: self.total_us,
            p50_us: self.quantile_us(50),
            p99_us: self.quantile_us(99),
            max_us: self.max_us,
        }
    }

    /// How many were at most so long, for each of these, which must grow; and how many were longer. A measurement counts with
    /// the upper edge of its bucket, at most 25 % too high.
    pub fn counts_up_to(&self, edges_us: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; edges_us.len() + 1];
        for (index, count) in self.counts.iter().enumerate() {
            let upper_us = upper_edge_us(index).min(self.max_us);
            counts[edges_us.partition_point(|edge_us| *edge_us < upper_us)] += count;
        }
        counts
    }

    fn quantile_us(&self, percent: u64) -> u64 {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return upper_edge_us(index).min(self.max_us);
            }
        }
        0
    }
}

fn bucket(us: u64) -> usize {
    if us < u64::from(SUB) {
        return us as usize;
    }
    let log = us.ilog2();
    let sub = (us >> (log - SUB.ilog2())) & u64::from(SUB - 1);
    (((log - SUB.ilog2() + 1) * SUB) as usize + sub as usize).min(BUCKETS - 1)
}

fn upper_edge_us(index: usize) -> u64 {
    let (index, sub_count) = (index as u64, u64::from(SUB));
    if index < sub_count {
        return index;
    }
    let shift = index / sub_count - 1;
    ((sub_count + index % sub_count + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close_from_above() {
        let mut timing = Timing::default();
        for us in 1..=10_000 {
            timing.record_us(us);
        }
        let q = timing.quantiles();
        assert_eq!((q.count, q.max_us), (10_000, 10_000));
        for (got, truth) in [(q.p50_us, 5000), (q.p99_us, 9900)] {
            assert!(got >= truth && got <= truth * 5 / 4, "{got} for {truth}");
        }
        for us in 0..100_000_u64 {
            let edge = upper_edge_us(bucket(us));
            assert!(edge >= us && edge <= us * 5 / 4, "{us} in a bucket up to {edge}");
        }
        assert_eq!(Timing::default().quantiles(), Quantiles::default());
        let counts = timing.counts_up_to(&[100, 20_000]);
        assert_eq!(counts[1..].iter().sum::<u64>() + counts[0], 10_000);
        assert!((75..=100).contains(&counts[0]) && counts[2] == 0, "{counts:?}");
    }
}
