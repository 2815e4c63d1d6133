//! A supply under its load: what it gives while more is drawn than it can, and when it gives nothing any more.
//!
//! Up to its power it holds what it is set to. Beyond it the output sags, and well beyond it the supply protects itself: it switches off,
//! and stays so until it is told to be off, or, where nobody can tell it anything, until it has rested and tries again. That Bitmain's
//! supplies stay off until then is known of repair shops [1]; the figures are inferred, for their makers publish none. Not here: what a
//! supply is set to (`parts`), and mains that sag.

use crate::heat::STEP;
use model::{Volt, Watt};
use std::time::Duration;

/// The output falls by this part of the part by which too much is drawn.
const SAG: f64 = 0.25;
/// Capacitors hold the output up: it follows its load e-fold in so many seconds.
const LAG_S: f64 = 0.5;
/// So much too much, for so long, is none that it bears.
const TRIP_PART: f64 = 0.35;
const TRIP_AFTER: Duration = Duration::from_millis(500);
/// One that nobody can tell anything tries again after this.
const REST: Duration = Duration::from_secs(10);

/// How a supply bears its load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overload {
    most: Watt,
    /// By which part too much is drawn, as its output follows it.
    over: f64,
    over_for: Duration,
    /// Since when it has switched itself off.
    tripped_for: Option<Duration>,
}

impl Overload {
    /// A supply that gives this much.
    pub(crate) fn new(most: Watt) -> Overload {
        Overload { most, over: 0.0, over_for: Duration::ZERO, tripped_for: None }
    }

    /// What it gives at most from now on.
    pub(crate) fn give(&mut self, most: Watt) {
        self.most = most;
    }

    /// Follows its load for one [`STEP`]. `told_off`: it is switched off; `None` where nothing switches it.
    pub(crate) fn step(&mut self, drawn: Watt, told_off: Option<bool>) {
        let over = (drawn.0 / self.most.0 - 1.0).max(0.0);
        self.over += (over - self.over) * (STEP.as_secs_f64() / LAG_S).min(1.0);
        self.over_for = if over > TRIP_PART { self.over_for + STEP } else { Duration::ZERO };
        self.tripped_for = match (self.tripped_for, told_off) {
            (_, Some(true)) => None,
            (Some(time), None) if time >= REST => None,
            (Some(time), _) => Some(time + STEP),
            (None, _) if self.over_for >= TRIP_AFTER => Some(Duration::ZERO),
            (None, _) => None,
        };
    }

    /// What comes of what it is set to.
    pub(crate) fn output(&self, set: Volt) -> Volt {
        if self.tripped_for.is_some() { Volt(0.0) } else { set * (1.0 - SAG * self.over) }
    }

    /// Whether it gives less than it is set to, by more than a hair.
    pub(crate) fn sags(&self) -> bool {
        self.tripped_for.is_some() || self.over > 0.01
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(o: &mut Overload, seconds: f64, watt: f64, told_off: Option<bool>) -> f64 {
        (0..(seconds * 10.0) as u32).for_each(|_| o.step(Watt(watt), told_off));
        o.output(Volt(12.0)).0
    }

    #[test]
    fn it_holds_its_output_up_to_its_power_and_sags_beyond() {
        let mut o = Overload::new(Watt(1000.0));
        assert!((run(&mut o, 60.0, 1000.0, None) - 12.0).abs() < 1e-9 && !o.sags());
        let sagged = run(&mut o, 60.0, 1200.0, None);
        assert!((sagged - 12.0 * 0.95).abs() < 0.01 && o.sags(), "{sagged}");
        assert!((run(&mut o, 10.0, 900.0, None) - 12.0).abs() < 0.01 && !o.sags());
        o.give(Watt(800.0));
        assert!(run(&mut o, 10.0, 900.0, None) < 11.7);
    }

    #[test]
    fn far_too_much_switches_it_off_until_it_is_told_to_be_off() {
        let mut o = Overload::new(Watt(1000.0));
        assert!(run(&mut o, 0.3, 1500.0, Some(false)) > 10.0, "a moment");
        assert!(run(&mut o, 0.3, 900.0, Some(false)) > 10.0);
        assert!((run(&mut o, 1.0, 1500.0, Some(false))).abs() < 1e-9);
        assert!((run(&mut o, 3600.0, 0.0, Some(false))).abs() < 1e-9, "it stays off");
        assert!((run(&mut o, 0.2, 0.0, Some(true)) - 12.0).abs() < 0.01);
    }

    #[test]
    fn one_that_nobody_switches_tries_again() {
        let mut o = Overload::new(Watt(1000.0));
        assert!((run(&mut o, 1.0, 1500.0, None)).abs() < 1e-9);
        assert!((run(&mut o, 9.0, 0.0, None)).abs() < 1e-9);
        assert!((run(&mut o, 2.0, 0.0, None) - 12.0).abs() < 0.01);
        assert!((run(&mut o, 2.0, 1500.0, None)).abs() < 1e-9, "and again");
    }
}
