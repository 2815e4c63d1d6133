//! Time is an argument: nobody below the supervisor reads a clock.

use std::time::Duration;

/// A moment, counted in microseconds from a start that only the owner of the clock knows (boot, or the start of a simulation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The start of the count.
    pub const ZERO: Time = Time(0);
    /// A moment that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// The moment `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Time {
        Time(micros)
    }
    /// The moment `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis * 1000)
    }
    /// The moment `secs` seconds after the start.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Time {
        Time(secs * 1_000_000)
    }
    /// Microseconds since the start.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }
    /// Seconds since the start.
    #[must_use]
    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
    /// How long ago `earlier` was; zero where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A value and the moment it was read. A value that was never read is an `Option::None`, never a sentinel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<T> {
    /// What was read.
    pub value: T,
    /// When.
    pub at: Time,
}

impl Reading<crate::Celsius> {
    /// What it may be by now at worst, where it can rise by `slope` a second and is read again every `period`: what is on time counts
    /// as it is.
    #[must_use]
    pub fn worst_case(&self, now: Time, period: Duration, slope: crate::Celsius) -> crate::Celsius {
        self.value + slope * now.since(self.at).saturating_sub(period).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Celsius;

    #[test]
    fn a_reading_grows_worse_once_it_is_late() {
        let r = Reading { value: Celsius(60.0), at: Time::from_secs(10) };
        for (second, worst) in [(5, 60.0), (10, 60.0), (12, 60.0), (13, 60.5), (22, 65.0)] {
            let got = r.worst_case(Time::from_secs(second), Duration::from_secs(2), Celsius(0.5));
            assert_eq!(got, Celsius(worst), "at {second} s");
        }
    }
}
