//! How fast each path is on this CPU, tried for a short time.
//!
//! A table of CPUs would be wrong about the next one, so each path is timed where it runs. This crate has no clock: the caller
//! hands one in, best a thread's CPU time, which does not count what others took. Not here: the choice, and what to do about a
//! path that fails its self-test (callers test first and leave it out).

use std::time::Duration;

use crate::Path;

/// What a path made in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The path.
    pub path: Path,
    /// Hashes it tried.
    pub hashes: u64,
    /// How long that took by the caller's clock.
    pub took: Duration,
}

impl Rate {
    /// Hashes a second; 0 where the clock did not move.
    #[must_use]
    pub fn hashes_per_second(&self) -> u64 {
        let rate = (u128::from(self.hashes) * 1_000_000_000).checked_div(self.took.as_nanos());
        rate.map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

/// Batches at most in one trial: it ends even with a clock that stands still.
const BATCHES: u32 = 1 << 16;

/// Tries every one of `paths` for about `time` and tells its rate, in the order given. `clock` is read between batches; `batch`
/// runs one by a path and returns how many hashes that were, best some milliseconds' worth. The first batch warms caches up and
/// is not counted.
pub fn calibrate(
    paths: impl IntoIterator<Item = Path>,
    time: Duration,
    mut clock: impl FnMut() -> Duration,
    mut batch: impl FnMut(Path) -> u64,
) -> impl Iterator<Item = Rate> {
    paths.into_iter().map(move |path| {
        batch(path);
        let start = clock();
        let mut rate = Rate { path, hashes: 0, took: Duration::ZERO };
        for _ in 0..BATCHES {
            rate.hashes += batch(path);
            rate.took = clock().saturating_sub(start);
            if rate.took >= time {
                break;
            }
        }
        rate
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn rates_are_what_the_clock_says() {
        let now = Cell::new(Duration::ZERO);
        let batch = |path| {
            // Portable takes four times as long for the same hashes.
            now.set(now.get() + Duration::from_millis(if path == Path::Portable { 4 } else { 1 }));
            1000
        };
        let rates: Vec<Rate> = calibrate([Path::Portable, Path::ShaNi], Duration::from_millis(20), || now.get(), batch).collect();
        assert_eq!(rates.iter().map(|r| r.path).collect::<Vec<_>>(), [Path::Portable, Path::ShaNi]);
        assert_eq!(rates.iter().map(|r| r.hashes).collect::<Vec<_>>(), [5000, 20_000], "the first batch is not counted");
        assert_eq!(rates.iter().map(Rate::hashes_per_second).collect::<Vec<_>>(), [250_000, 1_000_000]);
    }

    #[test]
    fn a_clock_that_stands_still_ends_the_trial_without_a_rate() {
        let rate = calibrate([Path::Portable], Duration::from_secs(1), || Duration::ZERO, |_| 1).next().expect("one path");
        assert_eq!((rate.hashes, rate.hashes_per_second()), (u64::from(BATCHES), 0));
    }
}
