//! Whether hashboards are worth their power: without a job they earn nothing.
//!
//! A pool that is lost for a moment must not cool boards down, and a machine that finds no pool at all must not heat for nothing.
//! CPU threads are not asked here: they stop and start at no cost. Not here: which pool is mined for (`failover`).

use crate::faults::Faults;
use model::{FaultCode, Time};
use std::time::Duration;

/// Boards that hash stay warm for so long without a job. The next pool's first job comes within 90 s at worst: 60 s to connect
/// and 30 s to offer one.
pub const GAP_LIMIT: Duration = Duration::from_secs(120);

const PLACE: &str = "upstreams";

/// ```text
///  Hungry (off) ──job──▶ Fed ◀──job── Gap
///    ▲    not wanted      └──no job────▲ │ 120 s
///    └───────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Hungry { since: Time },
    Fed,
    Gap { since: Time },
}

/// The controller.
#[derive(Debug)]
pub struct Hunger(State);

impl Hunger {
    /// No job was seen yet.
    #[must_use]
    pub fn new(now: Time) -> Hunger {
        Hunger(State::Hungry { since: now })
    }

    /// Whether boards may have power.
    #[must_use]
    pub fn feeds(&self) -> bool {
        !matches!(self.0, State::Hungry { .. })
    }

    /// Follows whether mining is `wanted` and whether there is a `job`.
    pub fn tick(&mut self, now: Time, wanted: bool, job: bool, faults: &mut Faults) {
        self.0 = match self.0 {
            _ if !wanted => State::Hungry { since: now },
            _ if job => State::Fed,
            State::Fed => State::Gap { since: now },
            State::Gap { since } if now.since(since) >= GAP_LIMIT => State::Hungry { since },
            same => same,
        };
        let starved = matches!(self.0, State::Hungry { since } if wanted && now.since(since) >= GAP_LIMIT);
        faults.judge(starved, FaultCode::NoWork, || (PLACE.to_owned(), format!("no job for {} s", GAP_LIMIT.as_secs())));
    }

    /// When time alone changes something.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        match self.0 {
            State::Fed => Time::NEVER,
            State::Gap { since } | State::Hungry { since } => since + GAP_LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_wait_for_the_first_job_bear_a_gap_and_end_a_long_one() {
        // Second, wanted, a job; then whether boards are fed, and whether the fault is there.
        let rows = [
            (0, true, false, false, false),
            (119, true, false, false, false),
            (120, true, false, false, true),
            (130, true, true, true, false),
            (140, true, false, true, false),
            (259, true, false, true, false),
            (259, true, true, true, false),
            (300, true, false, true, false),
            (419, true, false, true, false),
            (420, true, false, false, true),
            (1000, true, false, false, true),
            (1001, false, false, false, false),
            (1050, true, false, false, false),
            (1121, true, false, false, true),
            (1122, true, true, true, false),
            (1123, false, true, false, false),
            (1124, true, true, true, false),
        ];
        let (mut hunger, mut faults) = (Hunger::new(Time::ZERO), Faults::default());
        for (second, wanted, job, feeds, fault) in rows {
            hunger.tick(Time::from_secs(second), wanted, job, &mut faults);
            assert_eq!((hunger.feeds(), faults.has(FaultCode::NoWork, PLACE)), (feeds, fault), "second {second}");
        }
    }
}
