//! Faults that tests cause in the built binary: `ONAIR_FAULTS=PLACE:KIND@STEP` (more after a comma; `@FIRST-LAST` for several
//! steps) makes a step at a place panic, hang, take longer or fail; `@/PATH` does so when there is such a file, and removes it.
//!
//! Must not know what stands at a place. Invariant: exists in debug builds only; elsewhere a place is nothing at all.

/// How much longer a slow step takes.
#[cfg(debug_assertions)]
const SLOW: std::time::Duration = std::time::Duration::from_millis(60);

/// What is done at a step.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The thread panics.
    Panic,
    /// The thread stands still for good.
    Hang,
    /// The step takes [`SLOW`] longer.
    Slow,
    /// The place is told to fail.
    Fail,
}

/// A step at a place; true when it is to fail. Panics or never returns when that was asked for.
#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn strikes(_place: &str) -> bool {
    false
}

#[cfg(debug_assertions)]
pub(crate) use armed::strikes;

#[cfg(debug_assertions)]
mod armed {
    use std::ops::RangeInclusive;
    use std::path::PathBuf;
    use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

    use super::{Kind, SLOW};
    use crate::worker::StopToken;

    enum When {
        Steps(RangeInclusive<u64>),
        /// Once for each time that it is put there.
        File(PathBuf),
    }

    struct Fault {
        place: String,
        kind: Kind,
        when: When,
        step: u64,
    }

    impl Fault {
        fn parse(text: &str) -> Option<Fault> {
            let (place, rest) = text.split_once(':')?;
            let (kind, when) = rest.split_once('@')?;
            let kind = match kind {
                "panic" => Kind::Panic,
                "hang" => Kind::Hang,
                "slow" => Kind::Slow,
                "fail" => Kind::Fail,
                _ => return None,
            };
            let when = match when.split_once('-').unwrap_or((when, when)) {
                _ if when.starts_with('/') => When::File(when.into()),
                (first, last) => When::Steps(first.parse().ok()?..=last.parse().ok()?),
            };
            Some(Fault { place: place.to_owned(), kind, when, step: 0 })
        }

        fn is_due(&self) -> bool {
            match &self.when {
                When::Steps(steps) => steps.contains(&self.step),
                When::File(path) => std::fs::remove_file(path).is_ok(),
            }
        }
    }

    fn faults() -> MutexGuard<'static, Vec<Fault>> {
        static FAULTS: OnceLock<Mutex<Vec<Fault>>> = OnceLock::new();
        let asked = || {
            #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not a setting")]
            let text = std::env::var("ONAIR_FAULTS").unwrap_or_default();
            let parse = |text: &str| Fault::parse(text).expect("PLACE:KIND@STEP");
            Mutex::new(text.split(',').filter(|text| !text.is_empty()).map(parse).collect())
        };
        FAULTS.get_or_init(asked).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a fault as the variable does.
    #[cfg(test)]
    pub(crate) fn arm(text: &str) {
        faults().push(Fault::parse(text).unwrap());
    }

    /// What is due at this step of a place.
    fn due(place: &str) -> Option<Kind> {
        let mut faults = faults();
        let mut due = None;
        for fault in faults.iter_mut().filter(|fault| fault.place == place) {
            due = due.or_else(|| fault.is_due().then_some(fault.kind));
            fault.step += 1;
        }
        due
    }

    pub(crate) fn strikes(place: &str) -> bool {
        match due(place) {
            None => false,
            Some(Kind::Fail) => true,
            Some(Kind::Slow) => StopToken::new().wait(SLOW),
            Some(Kind::Panic) => panic!("a test asked for it"),
            Some(Kind::Hang) => loop {
                std::thread::park();
            },
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn faults_strike_at_their_steps() {
            arm("here:fail@1-2");
            assert_eq!([(); 4].map(|()| strikes("here")), [false, true, true, false]);
            assert!(!strikes("there"));
            assert!(Fault::parse("here:explode@1").is_none());
        }

        #[test]
        fn a_fault_strikes_each_time_that_its_file_is_there() {
            let file = std::env::temp_dir().join(format!("onair-fault-{}", std::process::id()));
            arm(&format!("file:fail@{}", file.display()));
            let mut struck = Vec::new();
            for is_there in [false, true, false, true] {
                if is_there {
                    std::fs::write(&file, "").unwrap();
                }
                struck.push(strikes("file"));
            }
            assert_eq!(struck, [false, true, false, true]);
        }
    }
}

#[cfg(all(test, debug_assertions))]
pub(crate) use armed::arm;
