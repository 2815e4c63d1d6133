//! The one power supply that all chains hang on.
//!
//! It is on while a chain wants it and nothing forbids it. A rail that cannot be shown to be off is cut here, for all chains: that
//! is the last switch there is. Not here: the chains' own regulators (`bringup`).

use crate::{Order, faults::Faults};
use model::{FaultCode, Time, Volt};
use std::time::Duration;

/// The packet protocol takes 0.5 s a try and the soft start of an APW12 5 s.
const SWITCH_LIMIT: Duration = Duration::from_secs(15);
/// Capacitors discharge, and a regulator without its heartbeat lets go after 10 s: beyond this, off is off.
const REST: Duration = Duration::from_secs(30);
/// Wait after a first failure, doubled by each further one.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// Longest wait between tries.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A refused switch-off is tried again this often.
const OFF_AGAIN: Duration = Duration::from_secs(5);

const PLACE: &str = "supply";

/// ```text
///  Begin ──told off──▶ Off, like Falling
///  Off ──wanted──▶ Rising ──told on──▶ On ──not wanted, cut──▶ Falling ──told off──▶ Resting (cut: 30 s, else 0) ──▶ Off
///                    └──failed, 15 s──▶ Falling                  └── refused: ordered again every 5 s
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// What a former life of the program left is not known.
    Begin,
    Off,
    Rising {
        by: Time,
    },
    On,
    Falling {
        again: Time,
    },
    Resting {
        until: Time,
    },
}

/// The supply's controller.
#[derive(Debug)]
pub struct Supply {
    state: State,
    volt: Volt,
    failures: u32,
    rest: Duration,
}

impl Supply {
    /// A supply that will give `volt`; it is told to be off first.
    #[must_use]
    pub fn new(volt: Volt) -> Supply {
        Supply { state: State::Begin, volt, failures: 0, rest: Duration::ZERO }
    }

    /// Whether chains may take power.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.state == State::On
    }

    /// What it gives, while it is on.
    #[must_use]
    pub fn ordered(&self) -> Option<Volt> {
        self.is_on().then_some(self.volt)
    }

    /// Whether it was told to be off, said so, and has rested: no rail can be on.
    #[must_use]
    pub fn is_surely_off(&self) -> bool {
        matches!(self.state, State::Off)
    }

    /// Whether it said that it is off.
    #[must_use]
    pub fn said_off(&self) -> bool {
        matches!(self.state, State::Off | State::Resting { .. })
    }

    /// What it reported after an order.
    pub fn told(&mut self, now: Time, value: Result<Option<Volt>, String>, faults: &mut Faults, orders: &mut Vec<Order>) {
        match (self.state, value) {
            (State::Rising { .. }, Ok(Some(_))) => {
                self.failures = 0;
                faults.clear(FaultCode::SupplyFailed, PLACE);
                self.state = State::On;
            }
            (State::Rising { .. } | State::Falling { .. }, Err(why)) | (State::On, Err(why)) => {
                self.fail(now, &why, faults, orders);
            }
            (State::On, Ok(None)) => self.fail(now, "it switched itself off", faults, orders),
            (State::Falling { .. }, Ok(None)) => self.state = State::Resting { until: now + self.rest },
            _ => {}
        }
    }

    /// Follows `wanted`; `cut` says that a rail cannot be shown to be off.
    pub fn tick(&mut self, now: Time, wanted: bool, cut: bool, faults: &mut Faults, orders: &mut Vec<Order>) {
        if let State::Resting { until } = self.state
            && now >= until
        {
            self.state = State::Off;
        }
        match self.state {
            State::Begin => self.fall(now, orders),
            State::Off if wanted && !cut => {
                self.rest = Duration::ZERO;
                self.state = State::Rising { by: now + SWITCH_LIMIT };
                orders.push(Order::Supply(Some(self.volt)));
            }
            State::Rising { .. } | State::On if cut => {
                self.rest = REST;
                self.fall(now, orders);
            }
            State::Rising { .. } | State::On if !wanted => self.fall(now, orders),
            State::Rising { by } if now >= by => self.fail(now, "it did not say that it is on within 15 s", faults, orders),
            State::Falling { again } if now >= again => {
                faults.raise(FaultCode::SupplyFailed, PLACE, "it was told to switch off and did not say that it is off");
                self.rest = REST;
                self.fall(now, orders);
            }
            _ => {}
        }
        if cut {
            self.rest = REST;
        }
    }

    /// When time alone changes something.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        match self.state {
            State::Rising { by } => by,
            State::Falling { again } => again,
            State::Resting { until } => until,
            State::Begin => Time::ZERO,
            State::Off | State::On => Time::NEVER,
        }
    }

    fn fail(&mut self, now: Time, why: &str, faults: &mut Faults, orders: &mut Vec<Order>) {
        faults.raise(FaultCode::SupplyFailed, PLACE, why);
        // All that one try has to say is one failure.
        if !matches!(self.state, State::Falling { .. }) {
            self.failures += 1;
        }
        self.rest = RETRY_FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(6)).min(RETRY_MAX);
        if !matches!(self.state, State::Falling { .. }) {
            self.fall(now, orders);
        }
    }

    fn fall(&mut self, now: Time, orders: &mut Vec<Order>) {
        self.state = State::Falling { again: now + OFF_AGAIN };
        orders.push(Order::Supply(None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench(Supply, Faults);

    impl Bench {
        fn new() -> Bench {
            let mut b = Bench(Supply::new(Volt(14.0)), Faults::default());
            assert!(!b.0.said_off(), "nobody knows yet");
            assert_eq!(b.tick(0, true, false), [Order::Supply(None)]);
            b.told(0, Ok(None));
            assert!(b.0.said_off());
            b
        }
        fn tick(&mut self, s: u64, wanted: bool, cut: bool) -> Vec<Order> {
            let mut orders = vec![];
            self.0.tick(Time::from_secs(s), wanted, cut, &mut self.1, &mut orders);
            orders
        }
        fn told(&mut self, s: u64, value: Result<Option<Volt>, String>) -> Vec<Order> {
            let mut orders = vec![];
            self.0.told(Time::from_secs(s), value, &mut self.1, &mut orders);
            orders
        }
        fn on() -> Bench {
            let mut b = Bench::new();
            assert_eq!(b.tick(0, true, false), [Order::Supply(Some(Volt(14.0)))]);
            assert!(!b.0.is_on());
            assert_eq!(b.told(1, Ok(Some(Volt(14.0)))), []);
            assert!(b.0.is_on());
            b
        }
    }

    #[test]
    fn it_follows_what_is_wanted() {
        let mut b = Bench::on();
        assert_eq!(b.tick(2, false, false), [Order::Supply(None)]);
        assert!(!b.0.is_surely_off() && !b.0.said_off());
        b.told(3, Ok(None));
        assert!(b.0.said_off());
        assert_eq!(b.tick(3, true, false), [Order::Supply(Some(Volt(14.0)))], "no rest after a plain stop");
    }

    #[test]
    fn a_cut_beats_every_wish_and_is_followed_by_a_rest() {
        let mut b = Bench::on();
        assert_eq!(b.tick(2, true, true), [Order::Supply(None)]);
        b.told(3, Ok(None));
        assert_eq!(b.tick(32, true, false), []);
        assert_eq!(b.tick(33, true, true), []);
        assert_eq!(b.tick(34, true, false), [Order::Supply(Some(Volt(14.0)))]);
    }

    #[test]
    fn a_supply_that_does_not_obey_is_named_and_tried_again() {
        let mut b = Bench::new();
        b.tick(0, true, false);
        assert_eq!(b.tick(15, true, false), [Order::Supply(None)]);
        assert!(b.1.has(FaultCode::SupplyFailed, PLACE));
        assert_eq!(b.tick(20, true, false), [Order::Supply(None)], "off is asked for again");
        assert_eq!(b.told(21, Ok(None)), []);
        assert_eq!(b.tick(51, true, false).len(), 1);
        b.told(52, Ok(Some(Volt(14.0))));
        assert!(!b.1.has(FaultCode::SupplyFailed, PLACE));
        assert_eq!(b.told(60, Ok(None)), [Order::Supply(None)], "it switched itself off");
        assert!(b.1.has(FaultCode::SupplyFailed, PLACE));
    }
}
