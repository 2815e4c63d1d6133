//! From the point that was given to the one that is wanted, a step at a time. Not here: which one is wanted.

use super::{ChainTuner, Circumstance, RAIL_STEP, STEP};
use crate::Order;
use model::{Megahertz, Time, Volt};
use std::time::Duration;

/// Between two steps of the rail: regulators answer within 3 s.
const RAIL_PACE: Duration = Duration::from_secs(3);
/// Between two steps of chips' clocks: a lock takes below a millisecond, and the line carries 126 frames in it.
const CHIP_PACE: Duration = Duration::from_millis(200);

impl ChainTuner {
    /// A chip's clock while the chain has this one.
    fn target(&self, chip: usize, c: &Circumstance) -> Megahertz {
        if self.want.ceilings[chip] < c.clock { self.want.ceilings[chip].max(self.limits.clock_min) } else { c.clock }
    }

    /// One move towards what is wanted: clocks are never higher at a rail than they are to be there. Whether it is there.
    pub(super) fn step(&mut self, now: Time, c: &Circumstance, orders: &mut Vec<Order>) -> bool {
        // A chain that is just off or starts has no clock yet: nothing moves.
        if c.clock < self.limits.clock_min {
            return false;
        }
        let waits = !c.held && !reached(c.clock, self.level);
        if !waits {
            self.hold_down(c, orders);
        }
        if now < self.move_at {
            return false;
        }
        if self.want.level < self.level {
            self.level = self.want.level;
        } else if waits {
            // The chain's own ramp is on its way.
        } else if self.rail.0 + 1e-6 < self.want.rail.0 {
            self.turn_rail(now, RAIL_STEP.min(self.want.rail - self.rail), orders);
        } else if self.level < self.want.level {
            self.level = self.want.level;
        } else if self.turn_chips(now, c, orders) {
        } else if self.rail.0 > self.want.rail.0 + 1e-6 {
            self.turn_rail(now, RAIL_STEP.min(self.rail - self.want.rail) * -1.0, orders);
        } else {
            return true;
        }
        false
    }

    fn turn_rail(&mut self, now: Time, by: Volt, orders: &mut Vec<Order>) {
        self.rail = to_10_mv(self.rail + by);
        self.move_at = now + RAIL_PACE;
        orders.push(Order::Rail { chain: self.id, volt: Some(self.rail) });
    }

    /// Chips that the chain's common ramp set above what they bear come down at once.
    fn hold_down(&mut self, c: &Circumstance, orders: &mut Vec<Order>) {
        for chip in 0..self.alive {
            let to = self.target(chip, c);
            if to < self.chips[chip] {
                self.turn_chip(chip, to, orders);
            }
        }
    }

    /// One step up of all chips that are slower than they are to be. Whether there was any.
    fn turn_chips(&mut self, now: Time, c: &Circumstance, orders: &mut Vec<Order>) -> bool {
        let mut moved = false;
        for chip in 0..self.alive {
            let (is, to) = (self.chips[chip], self.target(chip, c));
            if is < to {
                self.turn_chip(chip, to.min(is + STEP), orders);
                moved = true;
            }
        }
        if moved {
            self.move_at = now + CHIP_PACE;
        }
        moved
    }

    fn turn_chip(&mut self, chip: usize, clock: Megahertz, orders: &mut Vec<Order>) {
        self.chips[chip] = clock;
        let chip = u8::try_from(chip).expect("a chain has at most 255 chips");
        orders.push(Order::ChipClock { chain: self.id, chip, clock });
    }
}

/// A rail as regulators are told it.
pub(super) fn to_10_mv(rail: Volt) -> Volt {
    Volt((rail.0 * 100.0).round() / 100.0)
}

/// Whether a chain has the clock that it was told. A driver without a setting for it stops a step below.
fn reached(is: Megahertz, told: Megahertz) -> bool {
    (is.0 - told.0).abs() <= STEP.0
}
