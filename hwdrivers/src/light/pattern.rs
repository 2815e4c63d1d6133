//! What lights show: patterns as data and time, without a line or a clock. The signals are those of Braiins OS, which people know
//! from their machines (asic.md C, its front-panel table [1]). Not here: which line lights what, and when a signal is shown.

use model::Time;
use std::time::Duration;

/// A light over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Dark.
    Off,
    /// Lit.
    On,
    /// Lit and dark in turn.
    Blink {
        /// Lit for so long.
        on: Duration,
        /// Dark for so long.
        off: Duration,
    },
}

/// Lit and dark for a second each.
pub const SECONDS: Pattern = Pattern::Blink { on: Duration::from_secs(1), off: Duration::from_secs(1) };
/// Slow and fast flashes: the source names no times, these are ours [?].
pub const SLOW: Pattern = Pattern::Blink { on: Duration::from_millis(500), off: Duration::from_millis(1500) };
/// See [`SLOW`].
pub const FAST: Pattern = Pattern::Blink { on: Duration::from_millis(100), off: Duration::from_millis(100) };
/// A short glint each second.
pub const GLINT: Pattern = Pattern::Blink { on: Duration::from_millis(50), off: Duration::from_millis(950) };

impl Pattern {
    /// Whether it is lit at `now`. Blinking counts from the start of time, so that all lights with one pattern blink together.
    #[must_use]
    pub fn is_on(self, now: Time) -> bool {
        match self {
            Pattern::Off => false,
            Pattern::On => true,
            Pattern::Blink { on, off } => since_lit(now, on + off) < micros(on),
        }
    }

    /// When it changes next; [`Time::NEVER`] where it does not.
    #[must_use]
    pub fn changes_at(self, now: Time) -> Time {
        match self {
            Pattern::Off | Pattern::On => Time::NEVER,
            Pattern::Blink { on, off } => {
                let (at, on, whole) = (since_lit(now, on + off), micros(on), micros(on + off));
                now + Duration::from_micros(if at < on { on - at } else { whole - at })
            }
        }
    }
}

/// How far into its round a blinking light is.
fn since_lit(now: Time, round: Duration) -> u64 {
    now.micros() % micros(round).max(1)
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

/// What a machine with a green and a red light tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The miner's program does not run.
    NotRunning,
    /// It hashes less than 80 % of what is expected, or all pools are dead.
    Trouble,
    /// All is well.
    Good,
    /// Somebody asked which machine this is.
    FindMe,
    /// It is in recovery.
    Recovery,
    /// It is in recovery and writes its memory: do not cut the power.
    RecoveryWriting,
}

impl Signal {
    /// What the green light shows, and the red one.
    #[must_use]
    pub const fn lights(self) -> (Pattern, Pattern) {
        match self {
            Signal::NotRunning => (Pattern::Off, Pattern::On),
            Signal::Trouble => (Pattern::Off, SLOW),
            Signal::Good => (SECONDS, Pattern::Off),
            Signal::FindMe => (Pattern::Off, FAST),
            Signal::Recovery => (GLINT, Pattern::Off),
            Signal::RecoveryWriting => (GLINT, Pattern::On),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_change_when_they_say_so() {
        for (pattern, at_millis, lit, next) in [
            (SECONDS, 0, true, Some(1000)),
            (SECONDS, 999, true, Some(1000)),
            (SECONDS, 1000, false, Some(2000)),
            (GLINT, 3049, true, Some(3050)),
            (GLINT, 3050, false, Some(4000)),
            (FAST, 150, false, Some(200)),
            (Pattern::On, 7, true, None),
            (Pattern::Off, 7, false, None),
            // Not a blink at all: it must neither divide by zero nor wake for ever.
            (Pattern::Blink { on: Duration::ZERO, off: Duration::from_secs(1) }, 500, false, Some(1000)),
        ] {
            let now = Time::from_millis(at_millis);
            assert_eq!(pattern.is_on(now), lit, "{pattern:?} at {at_millis}");
            assert_eq!(pattern.changes_at(now), next.map_or(Time::NEVER, Time::from_millis), "{pattern:?} at {at_millis}");
        }
        assert!(!Pattern::Blink { on: Duration::ZERO, off: Duration::ZERO }.is_on(Time::from_secs(1)));
    }

    #[test]
    fn every_signal_is_told_from_the_others() {
        use Signal::{FindMe, Good, NotRunning, Recovery, RecoveryWriting, Trouble};
        let all = [NotRunning, Trouble, Good, FindMe, Recovery, RecoveryWriting].map(Signal::lights);
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b), "{a:?} twice");
        }
        assert_eq!(Good.lights(), (SECONDS, Pattern::Off));
        assert_eq!(NotRunning.lights(), (Pattern::Off, Pattern::On));
    }
}
