//! Time stamps that wrap (32-bit ms in FLV, 33-bit 90 kHz in MPEG-TS) become ones that do not.
//!
//! Must not know packets. Invariant: a step of less than half a period is passed through as it is, so a jump
//! stays a jump and only a wrap disappears.

/// `value` plus the multiple of `period` that brings it nearest to `reference`.
pub(super) fn nearest(value: i64, reference: i64, period: i64) -> i64 {
    value.saturating_add(turns(value, reference, period).saturating_mul(period))
}

fn turns(value: i64, reference: i64, period: i64) -> i64 {
    let distance = i128::from(reference) - i128::from(value);
    let period = i128::from(period);
    i64::try_from((distance + period / 2).div_euclid(period)).unwrap_or(0)
}

/// Follows one container through its wraps; all streams of it share one.
#[derive(Debug, Default)]
pub(super) struct Unwrapper {
    last_ns: Option<i64>,
}

impl Unwrapper {
    /// What to add to the next time stamp `raw_ns`, given the period after which it wraps, in nanoseconds.
    pub(super) fn shift(&mut self, raw_ns: i64, period_ns: Option<i64>) -> i64 {
        let value = match (self.last_ns, period_ns) {
            (Some(last), Some(period)) => nearest(raw_ns, last, period),
            _ => raw_ns,
        };
        self.last_ns = Some(value);
        value - raw_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn wraps_vanish_and_jumps_stay() {
        let flv = (1_i64 << 32) * MS;
        let ts = 95_443_717_688_889; // 2^33 ticks of 90 kHz
        let pcr32 = 47_721_858_844_444; // 2^32 ticks of 90 kHz
        // (period, time stamps in, time stamps out)
        let table: [(Option<i64>, Vec<i64>, Vec<i64>); 7] = [
            (None, vec![0, 10, 5], vec![0, 10, 5]),
            (Some(flv), vec![flv - 40 * MS, 0, 40 * MS], vec![flv - 40 * MS, flv, flv + 40 * MS]),
            (Some(flv), vec![(1 << 24) * MS, 0], vec![(1 << 24) * MS, 0]),
            (Some(ts), vec![ts - 1, 1, ts - 1, 1], vec![ts - 1, ts + 1, ts - 1, ts + 1]),
            (Some(ts), vec![ts / 4, ts / 2, ts / 4 * 3, 0], vec![ts / 4, ts / 2, ts / 4 * 3, ts]),
            (Some(pcr32), vec![pcr32 - 1, 0], vec![pcr32 - 1, pcr32]),
            (Some(ts), vec![3_600_000 * MS, 0], vec![3_600_000 * MS, 0]),
        ];
        for (index, (period, input, output)) in table.into_iter().enumerate() {
            let mut unwrapper = Unwrapper::default();
            let got: Vec<i64> =
                input.iter().map(|&raw| raw + unwrapper.shift(raw, period)).collect();
            assert_eq!(got, output, "case {index}");
        }
    }

    #[test]
    fn a_thousand_wraps_stay_monotone() {
        let period = (1_i64 << 32) * MS;
        let mut unwrapper = Unwrapper::default();
        let mut last = -1;
        for step in 0..4000 {
            let raw = (period / 4 * step) % period;
            let value = raw + unwrapper.shift(raw, Some(period));
            assert!(value > last);
            last = value;
        }
    }
}
