//! One hashboard's rail as the board's hand sees it: its regulator, the lines that are active while it is on, and what was ordered.
//!
//! ```text
//!  Off ──order──▶ Identify, SetVoltage ──done──▶ enables on, Enable ──done──▶ On ──order──▶ SetVoltage ──done──▶ On
//!   ▲                                                                          │
//!   └───────────────── Disable, enables off at once, whatever it says ◀────────┘
//! ```
//! The voltage is set before anything is switched on: a converter gives whatever it was left at. Not here: which voltage is safe, and what a failure means (`control`).

use control::{BoardPart, Fact};
use hwdrivers::bus::{Gpio, I2c};
use hwdrivers::power::{Event, Measured, Order, Power, PowerError};
use model::{ChainId, GpioLine, Time, Volt};
use std::time::Duration;

/// One rail.
pub(crate) struct Rail {
    regulator: Box<dyn Power>,
    enables: &'static [GpioLine],
    /// What was ordered; it is fed while it is some.
    ordered: Option<Volt>,
    feed_at: Time,
    measure_at: Time,
    measure_every: Duration,
    /// Whether the regulator said that it is on.
    started: bool,
    /// Why an enable line could not be driven when it was switched off last.
    held_on: Option<String>,
}

impl Rail {
    /// A rail that is off. It is measured this often.
    pub(crate) fn new(regulator: Box<dyn Power>, enables: &'static [GpioLine], measure_every: Duration) -> Rail {
        let (feed_at, measure_at) = (Time::NEVER, Time::ZERO);
        Rail { regulator, enables, ordered: None, feed_at, measure_at, measure_every, started: false, held_on: None }
    }

    /// What was ordered.
    pub(crate) fn ordered(&self) -> Option<Volt> {
        self.ordered
    }

    /// Asks the regulator what it is, while it is off.
    pub(crate) fn identify(&mut self) {
        if self.ordered.is_none() {
            self.regulator.order(Order::Identify);
        }
    }

    /// Takes an order; `None` is off, each time it is said. What came of it is told later.
    pub(crate) fn order(&mut self, now: Time, volt: Option<Volt>, gpio: &mut dyn Gpio) {
        let was = std::mem::replace(&mut self.ordered, volt);
        self.feed_at = fed_behind(now, volt.and(self.regulator.feed_period()));
        match (was, volt) {
            (_, None) => {
                self.regulator.order(Order::Disable);
                // What it gives from here on, it was not started for.
                self.started = false;
                // In the reverse order, and all of them even where one fails.
                let driven = self.enables.iter().rev().map(|l| drive(gpio, *l, false));
                self.held_on = driven.fold(Ok(()), Result::and).err();
            }
            (Some(_), Some(v)) => self.regulator.order(Order::SetVoltage(v)),
            (None, Some(v)) => {
                // A part that is not what it should be is told nothing more.
                self.regulator.order(Order::Identify);
                self.regulator.order(Order::SetVoltage(v));
            }
        }
    }

    /// Does what is due.
    pub(crate) fn turn(&mut self, now: Time, i2c: &mut dyn I2c, gpio: &mut dyn Gpio) {
        if self.feed_at <= now {
            self.feed_at = fed_behind(now, self.regulator.feed_period());
            self.regulator.order(Order::Feed);
        }
        if self.measure_at <= now {
            self.measure_at = now + self.measure_every;
            self.regulator.order(Order::Measure);
        }
        self.regulator.turn(now, i2c, gpio);
    }

    /// What the regulator said: a fact about the rail, or a measurement. `None` where nothing is left.
    pub(crate) fn next_said(&mut self, chain: ChainId, gpio: &mut dyn Gpio) -> Option<Said> {
        while let Some(event) = self.regulator.next_event() {
            let value = match event {
                Event::Done(Order::SetVoltage(v)) if self.started => Ok(Some(v)),
                // It was switched off meanwhile.
                Event::Done(Order::SetVoltage(_)) if self.ordered.is_none() => continue,
                Event::Done(Order::SetVoltage(_)) => match self.enables.iter().try_for_each(|l| drive(gpio, *l, true)) {
                    Ok(()) => {
                        self.regulator.order(Order::Enable);
                        continue;
                    }
                    Err(why) => Err(why),
                },
                Event::Done(Order::Enable) => {
                    self.started = true;
                    Ok(self.ordered)
                }
                // Off is both: what the regulator says, and its lines.
                Event::Done(Order::Disable) if self.ordered.is_some() => continue,
                Event::Done(Order::Disable) => self.held_on.clone().map_or(Ok(None), Err),
                Event::Measured(m) => return Some(Said::Measured(m)),
                Event::Failed { order: Order::Measure, error } => return Some(Said::Unmeasured(error.to_string())),
                Event::Identified(what) => return Some(Said::Fact(identity(chain, Ok(what)))),
                Event::Done(_) => continue,
                // It answered, and it is not what belongs here.
                Event::Failed {
                    order: Order::Identify,
                    error:
                        error @ (PowerError::Answer(_) | PowerError::Foreign(_) | PowerError::Unfit(_) | PowerError::BootLoader(_)),
                } => {
                    return Some(Said::Fact(identity(chain, Err(error.to_string()))));
                }
                // That was said by what it is, which switches its chain off: no more can be done about its rail.
                Event::Failed { order: Order::SetVoltage(_) | Order::Enable | Order::Feed, error: PowerError::BootLoader(_) } => {
                    continue;
                }
                Event::Failed { order, error } => {
                    Err(format!("order {order:?} from the regulator of chain {}: {error}", chain.0))
                }
            };
            return Some(Said::Fact(Fact::Rail { chain, value }));
        }
        None
    }

    /// When something is due next.
    pub(crate) fn wake_at(&self) -> Time {
        self.regulator.wake_at().min(self.feed_at).min(self.measure_at)
    }
}

fn identity(chain: ChainId, value: Result<String, String>) -> Fact {
    Fact::Identity { chain, part: BoardPart::Regulator, value }
}

/// What a regulator says.
pub(crate) enum Said {
    /// Something about the rail.
    Fact(Fact),
    /// What it measures.
    Measured(Measured),
    /// Why it did not measure.
    Unmeasured(String),
}

/// When a part that was fed just now wants to be fed again.
pub(crate) fn fed_behind(now: Time, period: Option<Duration>) -> Time {
    period.map_or(Time::NEVER, |p| now + p)
}

/// Drives a line.
pub(crate) fn drive(gpio: &mut dyn Gpio, line: GpioLine, active: bool) -> Result<(), String> {
    let (number, high) = (line.number, line.is_high(active));
    gpio.set(number, high).map_err(|e| format!("drive line {number} {}: {e}", if high { "high" } else { "low" }))
}
