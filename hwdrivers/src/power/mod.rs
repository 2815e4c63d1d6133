//! What feeds the chips: rail regulators and supplies, one file a part, all behind [`Power`]. They are told orders and answer
//! with events, late: most of them talk in requests that take half a second, which [`exchange`] times. Not here: who feeds them
//! and when, which voltage is safe, and the line that switches a supply on.

pub mod apw;
pub mod ds4432u;
pub mod dspic;
pub mod exchange;
pub mod fixed;
#[cfg(test)]
mod noise_tests;
pub mod pic16;
#[cfg(test)]
pub(crate) mod testing;
pub mod tps546;
pub mod vid;

pub use exchange::PowerError;
pub use model::Measured;

use crate::bus::{Gpio, I2c};
use model::{Limits, RegulatorPart, SupplyPart, Time, Volt};
use std::time::Duration;

/// What a regulator or a supply can be told. What has no meaning for a part is done at once, without a word on the bus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Reads what the part is. Nothing is written that changes it.
    Identify,
    /// Sets its output, which does not switch it on.
    SetVoltage(Volt),
    /// Switches it on.
    Enable,
    /// Switches it off, before all else: orders that wait are dropped.
    Disable,
    /// Keeps it on: a heartbeat, or a watchdog armed anew.
    Feed,
    /// Reads what it measures.
    Measure,
}

/// What came of it.
#[derive(Debug)]
pub enum Event {
    /// It obeyed.
    Done(Order),
    /// What it is, in words: the end of [`Order::Identify`] where the part is one that may be told more.
    Identified(String),
    /// What it measures.
    Measured(Measured),
    /// It did not, three times, or it is not what it should be.
    Failed {
        /// What was ordered.
        order: Order,
        /// Why not, the last time.
        error: PowerError,
    },
}

/// A regulator or a supply. It never sleeps: it says when its next turn is due.
pub trait Power: Send {
    /// Takes an order; those before it are carried out first, but for [`Order::Disable`], which drops them.
    fn order(&mut self, order: Order);
    /// Does what is due on the bus and the lines.
    fn turn(&mut self, now: Time, i2c: &mut dyn I2c, gpio: &mut dyn Gpio);
    /// When the next turn is due; [`Time::NEVER`] where nothing waits.
    fn wake_at(&self) -> Time;
    /// What happened, oldest first.
    fn next_event(&mut self) -> Option<Event>;
    /// How often it wants [`Order::Feed`] while it is on; `None` where it stays on by itself.
    fn feed_period(&self) -> Option<Duration>;
}

/// The voltages that a rail may ever be given: the ends of its board's limits. A part with ends of its own is told these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The least.
    pub lowest: Volt,
    /// And the most.
    pub highest: Volt,
}

impl Span {
    /// Of a board with these limits.
    #[must_use]
    pub const fn of(limits: &Limits) -> Span {
        Span { lowest: limits.rail_min, highest: limits.rail_max }
    }

    /// What becomes of an order for a voltage outside; no number is outside too.
    fn refuses(self, asked: Volt) -> Option<Event> {
        let Span { lowest, highest } = self;
        let error = PowerError::Range { asked, lowest, highest };
        (!(lowest..=highest).contains(&asked)).then_some(Event::Failed { order: Order::SetVoltage(asked), error })
    }
}

/// The driver of a rail's regulator, on a board with these limits.
#[must_use]
pub fn regulator(part: RegulatorPart, limits: &Limits) -> Box<dyn Power> {
    let span = Span::of(limits);
    match part {
        RegulatorPart::Dspic { address, framing } => Box::new(dspic::Dspic::new(address, framing, span)),
        RegulatorPart::Pic16 { address } => Box::new(pic16::Pic16::new(address)),
        RegulatorPart::Ds4432u { address } => Box::new(ds4432u::Ds4432u::new(address)),
        RegulatorPart::Tps546 { address } => Box::new(tps546::Tps546::new(address, tps546::on_5_volts(span))),
        RegulatorPart::VidPulses { line } => Box::new(vid::Vid::new(line)),
        RegulatorPart::Fixed | RegulatorPart::Supply => Box::new(fixed::Fixed::default()),
    }
}

/// The driver of a supply.
#[must_use]
pub fn supply(part: SupplyPart) -> Box<dyn Power> {
    match part {
        SupplyPart::Apw { address, curve, kinds } => Box::new(apw::Apw::new(address, curve, kinds)),
        SupplyPart::Fixed { .. } => Box::new(fixed::Fixed::default()),
    }
}
