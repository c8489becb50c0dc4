//! Times as the wire writes them: `yyyy-MM-ddTHH:mm:ssZ`, UTC.
//!
//! Must not read a clock. Invariant: what is formatted parses to the same second.

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// A date and a time of day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

/// Seconds since 1970 of a `yyyy-MM-ddTHH:mm:ssZ`; none when it is not one, or before 1970.
pub(super) fn parse(text: &str) -> Option<u64> {
    let shape = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(byte, &shape): (u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    };
    if text.len() != shape.len() || !text.bytes().zip(shape).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let civil = Civil {
        year: number(0, 4)?,
        month: number(5, 7)?,
        day: number(8, 10)?,
        hour: number(11, 13)?,
        minute: number(14, 16)?,
        second: number(17, 19)?,
    };
    if civil.year < 1970 || civil.month > 12 || civil.hour > 23 || civil.second > 59 {
        return None;
    }
    let unix_s = civil.unix_s();
    // A day or month that does not exist comes back as another.
    (Civil::of(unix_s) == civil).then_some(unix_s)
}

/// `yyyy-MM-ddTHH:mm:ssZ`
pub(in crate::api) fn instant(unix_s: u64) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::of(unix_s);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `yyyy-MM-dd HH:mm:ss.0`, the other form that answers use.
pub(super) fn plain(unix_s: u64) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::of(unix_s);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.0")
}

/// `h:mm:ss`
pub(super) fn duration(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

impl Civil {
    // Both ways count in years that begin in March, so that the leap day is the last of its year, and in eras of
    // 400 years = 146 097 days (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    fn of(unix_s: u64) -> Civil {
        let days = unix_s / DAY_S + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let of_day = unix_s % DAY_S;
        Civil {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: of_year - (153 * march_month + 2) / 5 + 1,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    fn unix_s(self) -> u64 {
        let year = self.year - u64::from(self.month <= 2);
        let march_month = (self.month + 9) % 12;
        let of_year = (153 * march_month + 2) / 5 + self.day.saturating_sub(1);
        let year_of_era = year % 400;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        let days = (year / 400 * 146_097 + of_era).saturating_sub(719_468);
        days * DAY_S + self.hour * 3600 + self.minute * 60 + self.second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, unix_s) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:34:56Z", Some(951_827_696)),
            ("2017-06-14T09:51:14Z", Some(1_497_433_874)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("2026-12-31T23:59:59Z", Some(1_798_761_599)),
            ("2100-02-29T00:00:00Z", None),
            ("2026-00-10T00:00:00Z", None),
            ("2026-13-10T00:00:00Z", None),
            ("2026-04-31T00:00:00Z", None),
            ("2026-04-00T00:00:00Z", None),
            ("2026-04-01T24:00:00Z", None),
            ("2026-04-01T00:60:00Z", None),
            ("2026-04-01T00:00:60Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-04-01 00:00:00Z", None),
            ("2026-04-01T00:00:00+", None),
            ("2026-04-01T00:00:00.0Z", None),
            ("２026-04-01T00:00:00", None),
            ("", None),
        ] {
            assert_eq!(parse(text), unix_s, "{text}");
            if let Some(unix_s) = unix_s {
                assert_eq!(instant(unix_s), text);
            }
        }
        for day in (0..200_000).step_by(7) {
            let unix_s = day * DAY_S + day % DAY_S;
            assert_eq!(parse(&instant(unix_s)), Some(unix_s));
        }
        assert_eq!(plain(1_497_433_874), "2017-06-14 09:51:14.0");
        assert_eq!(duration(3753), "1:02:33");
    }
}
