//! Timings as they are measured: a histogram that costs a few nanoseconds to write and answers quantiles.
//!
//! Must not know who measures or who asks. Invariant: a quantile is never below the true one and at most 25 % above it.

use std::path::Path;

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

/// Memory that this process could still take: what the machine could give without swapping, as the kernel estimates it, and
/// what the limits of its control groups leave, whichever is less; none where the kernel does not say.
pub fn available_bytes() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let machine = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limited = available_in_groups(Path::new("/sys/fs/cgroup"), &groups);
    machine.map(|kib| kib * 1024).into_iter().chain(limited).min()
}

/// What the memory limits below `root` leave to a member of these groups (`/proc/self/cgroup`): version 2, version 1, or both.
fn available_in_groups(root: &Path, groups: &str) -> Option<u64> {
    let of_group = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (root, names) = match controllers {
            "" => (root.to_owned(), ["memory.max", "memory.current", "inactive_file"]),
            some if some.split(',').any(|name| name == "memory") => (
                root.join("memory"),
                ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
            ),
            _ => return None,
        };
        // Those above it limit it too. In a container without a name space of its own only the root is there.
        let group = root.join(path.trim_start_matches('/'));
        let all = group.ancestors().take_while(|group| group.starts_with(&root));
        all.filter_map(|group| available_in_group(group, names)).min()
    };
    groups.lines().filter_map(of_group).min()
}

/// None when there is no limit.
fn available_in_group(group: &Path, [limit, usage, cache]: [&str; 3]) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    // Pages of files that nobody used lately are given back before memory is refused.
    let stat = read("memory.stat").unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse().ok());
    Some(number(limit)?.saturating_sub(number(usage)?.saturating_sub(cached.unwrap_or(0))))
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
    fn limits_of_control_groups_count() {
        const MIB: u64 = 1 << 20;
        let root = std::env::temp_dir().join(format!("onair-groups-{}", std::process::id()));
        let put = |name: &str, text: String| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("a/memory.max", (900 * MIB).to_string());
        put("a/memory.current", (100 * MIB).to_string());
        put("a/b/memory.max", "max\n".into());
        put("a/b/memory.current", (90 * MIB).to_string());
        put("a/c/memory.max", format!("{}\n", 256 * MIB));
        put("a/c/memory.current", format!("{}\n", 200 * MIB));
        put("a/c/memory.stat", format!("file 1\ninactive_file {}\n", 50 * MIB));
        put("memory/memory.limit_in_bytes", (512 * MIB).to_string());
        put("memory/memory.usage_in_bytes", (12 * MIB).to_string());
        put("memory/full/memory.limit_in_bytes", (64 * MIB).to_string());
        put("memory/full/memory.usage_in_bytes", (70 * MIB).to_string());
        for (groups, mib) in [
            ("0::/\n", None),
            ("0::/a\n", Some(800)),
            ("0::/a/b\n", Some(800)),
            ("0::/a/c\n", Some(106)),
            ("5:cpu,cpuacct:/a\n", None),
            ("7:memory:/docker/of/the/host\n0::/\n", Some(500)),
            ("9:hugetlb,memory:/full\n0::/a\n", Some(0)),
            ("", None),
            ("nonsense", None),
        ] {
            let got = available_in_groups(&root, groups);
            assert_eq!(got, mib.map(|mib: u64| mib * MIB), "{groups}");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

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
