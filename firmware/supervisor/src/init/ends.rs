//! How long each part of the end may take. All together they are shorter than the hardware watchdog's patience: it was fed when the end
//! began, and must not reset the board while chips are being switched off. Not here: what the parts do.

use std::time::Duration;

/// The longest that each part is given: `serve` waits 5 s for chains and supply to say that they are off, and a regulator may take
/// 3 s. With the time for other programs they fill 13.3 s, below the 15 s of the most impatient common watchdogs.
const MOST: Ends = Ends { stop: Duration::from_secs(7), kill: Duration::from_secs(2), secure: Duration::from_secs(4) };
/// The part of a shorter patience that an end may fill.
const PART: f64 = 0.85;

/// The limits of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// For the child to end cleanly.
    pub stop: Duration,
    /// For it to be gone once it was killed.
    pub kill: Duration,
    /// For hardware to be made safe.
    pub secure: Duration,
}

impl Ends {
    /// The limits under a watchdog with this patience.
    pub fn within(patience: Duration) -> Ends {
        let part = (patience.as_secs_f64() * PART / MOST.sum().as_secs_f64()).min(1.0);
        Ends { stop: MOST.stop.mul_f64(part), kill: MOST.kill.mul_f64(part), secure: MOST.secure.mul_f64(part) }
    }

    fn sum(self) -> Duration {
        self.stop + self.kill + self.secure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_over_before_any_watchdog_bites() {
        for patience in [1, 3, 10, 15, 60, 3600].map(Duration::from_secs) {
            let ends = Ends::within(patience);
            let all = ends.sum() + super::super::OTHERS_LIMIT.min(patience / 10);
            assert!(all < patience, "{all:?} of {patience:?}");
            assert!(ends.stop >= patience.min(Duration::from_secs(15)) / 3, "{ends:?}");
        }
        assert_eq!(Ends::within(Duration::from_secs(60)), MOST);
    }
}
