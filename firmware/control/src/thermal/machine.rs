//! The life of a board as heat sees it, and of the machine: the worst of its boards.
//!
//! Every board is in one of seven states, and each says what it costs: clock, air, or power. Not here: what leads from one to
//! the next (`reading`, `heat`, `fans` judge that), and the start of a chain step by step (`bringup`).

use model::Time;
use std::time::Duration;

/// From power to the first work; rail, count, set-up and ramp have limits of their own, which add up to less.
const INIT_LIMIT: Duration = Duration::from_secs(180);
/// Heat comes up in this time (asic.md C, Braiins: fans at 60 % and more for the first 90 s).
const WARMUP: Duration = Duration::from_secs(90);

/// ```text
///        power          hashing            90 s            hot, unknown, fans short
///  Off ────────▶ Init ───────────▶ Warmup ──────▶ Run ─────────────────────────────▶ Throttle
///   ▲             ▲ │ 180 s: power is cut           ▲ ◀─────────────────────────────────┘
///   │             │ └──▶ Off                        │            calm
///   │ no power    └── not hashing ── Warmup, Run, Throttle
///   │
///   ├── < resume, ≥ 60 s ── Cooldown ◀── danger ── any
///   └── a person ────────── Fault ◀── third danger in 1 h ── any
/// ```
///
/// In the order of how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No power.
    Off,
    /// At work, warm.
    Run,
    /// At work, warming up: fans at 60 % and more.
    Warmup {
        /// Since when.
        since: Time,
    },
    /// It has power and does not hash yet. What is unknown meanwhile sets fans full.
    Init {
        /// Since when.
        since: Time,
    },
    /// At work with less clock and full fans.
    Throttle,
    /// Off because of heat, until it is cool.
    Cooldown,
    /// Off until a person starts it.
    Fault,
}

/// What is seen of a board.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// It has, or may have, a rail.
    pub powered: bool,
    /// It hashes.
    pub hashing: bool,
    /// It is hot, or something that it needs is unknown or missing.
    pub strained: bool,
    /// It was in danger and is not yet cool.
    pub danger: bool,
    /// Only a person may start it.
    pub latched: bool,
}

impl State {
    /// The next state.
    #[must_use]
    pub fn follow(self, now: Time, seen: Seen) -> State {
        match self {
            _ if seen.latched => State::Fault,
            _ if seen.danger => State::Cooldown,
            _ if !seen.powered => State::Off,
            State::Init { .. } if seen.hashing => State::Warmup { since: now },
            State::Init { since } => State::Init { since },
            _ if !seen.hashing => State::Init { since: now },
            // It hashed before anybody looked.
            State::Off | State::Cooldown | State::Fault => State::Warmup { since: now },
            State::Warmup { .. } | State::Run if seen.strained => State::Throttle,
            State::Warmup { since } if now.since(since) >= WARMUP => State::Run,
            State::Throttle if !seen.strained => State::Run,
            same => same,
        }
    }

    /// Whether its start takes longer than any start may.
    #[must_use]
    pub fn is_overdue(self, now: Time) -> bool {
        matches!(self, State::Init { since } if now.since(since) >= INIT_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Seen = Seen { powered: false, hashing: false, strained: false, danger: false, latched: false };
    const POWER: Seen = Seen { powered: true, ..NOTHING };
    const WORK: Seen = Seen { hashing: true, ..POWER };
    const STRAIN: Seen = Seen { strained: true, ..WORK };
    const DANGER: Seen = Seen { danger: true, ..NOTHING };
    const LATCH: Seen = Seen { latched: true, ..DANGER };

    #[test]
    fn a_board_lives_through_its_states() {
        let t = Time::from_secs;
        // Second, what is seen, the state then.
        let rows = [
            (0, NOTHING, State::Off),
            (1, POWER, State::Init { since: t(1) }),
            (30, POWER, State::Init { since: t(1) }),
            (31, WORK, State::Warmup { since: t(31) }),
            (120, WORK, State::Warmup { since: t(31) }),
            (121, WORK, State::Run),
            (122, STRAIN, State::Throttle),
            (123, WORK, State::Run),
            (124, POWER, State::Init { since: t(124) }),
            (125, STRAIN, State::Warmup { since: t(125) }),
            (126, STRAIN, State::Throttle),
            (127, DANGER, State::Cooldown),
            (128, POWER, State::Init { since: t(128) }),
            (129, NOTHING, State::Off),
            (130, LATCH, State::Fault),
            (131, NOTHING, State::Off),
        ];
        let mut state = State::Off;
        for (second, seen, expected) in rows {
            state = state.follow(t(second), seen);
            assert_eq!(state, expected, "at {second} s");
        }
    }

    #[test]
    fn a_start_has_180_s() {
        let state = State::Init { since: Time::from_secs(10) };
        assert!(!state.is_overdue(Time::from_secs(189)));
        assert!(state.is_overdue(Time::from_secs(190)));
        assert!(!State::Run.is_overdue(Time::from_secs(1000)));
    }

    #[test]
    fn the_machine_is_the_worst_of_its_boards() {
        let worst = [State::Run, State::Throttle, State::Off].into_iter().max();
        assert_eq!(worst, Some(State::Throttle));
        assert!(
            State::Fault > State::Cooldown && State::Cooldown > State::Throttle && State::Init { since: Time::ZERO } > State::Run
        );
    }
}
