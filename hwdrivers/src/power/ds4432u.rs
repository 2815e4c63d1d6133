//! Maxim DS4432U: two current sources and sinks on I²C. The first one pulls at the feedback pin of a Bitaxe's buck converter and
//! so trims the chip's voltage (ESP-Miner `DS4432U.c`). It cannot switch the converter off: a line does. Not here: which voltage
//! is safe.

use super::exchange::{Ask, Exchange, Heard, Pace, PowerError, Protocol, Request, TRIES, Wire, power_by_exchange};
use super::{Event, Order};
use model::Volt;
use std::time::Duration;

/// The first output.
const OUT0: u8 = 0xf8;
/// Bit of a code that sources current, which lowers the voltage; without it, it sinks.
const SOURCE: u8 = 0x80;
/// Steps of a code: seven bits.
const STEPS: f64 = 127.0;
/// What a full code moves, in amperes: 0.997 V over 80 kΩ, times 127/16.
const FULL_SCALE: f64 = 0.000_098_921;
/// The converter's feedback, and the divider that sets what it holds without the DAC.
const FEEDBACK: f64 = 0.6;
const UPPER_OHM: f64 = 4750.0;
const LOWER_OHM: f64 = 3320.0;

/// One DAC.
#[derive(Debug)]
pub struct Ds4432u(Exchange<Dialect>);

impl Ds4432u {
    /// The DAC at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Ds4432u {
        Ds4432u(Exchange::new(address, Dialect))
    }
}

power_by_exchange!(Ds4432u);

/// The code for a voltage, as near below it as there is one; what is out of reach gives the end of the range (0.989 to 1.928 V: a
/// code has seven bits, fewer than the 0.046 to 2.39 V that are written about it). A voltage that is no number gives the lowest.
#[must_use]
pub fn code(v: Volt) -> u8 {
    let source = FEEDBACK / LOWER_OHM - (v.0 - FEEDBACK) / UPPER_OHM;
    let steps = source / FULL_SCALE * STEPS;
    if steps.is_nan() {
        SOURCE | 127
    } else if steps > 0.0 {
        SOURCE | steps.ceil().min(STEPS) as u8
    } else {
        (-steps).floor().min(STEPS) as u8
    }
}

/// What a code gives.
#[must_use]
pub fn voltage(code: u8) -> Volt {
    let steps = f64::from(code & !SOURCE) * if code & SOURCE == 0 { -1.0 } else { 1.0 };
    Volt(FEEDBACK + UPPER_OHM * (FEEDBACK / LOWER_OHM - steps / STEPS * FULL_SCALE))
}

#[derive(Debug)]
struct Dialect;

impl Protocol for Dialect {
    fn pace(&self) -> Pace {
        Pace { rest: Duration::ZERO, retry: Duration::from_millis(10), tries: TRIES }
    }

    fn knows(&self, order: Order) -> bool {
        matches!(order, Order::Identify | Order::SetVoltage(_))
    }

    fn ask(&mut self, order: Order, step: u8) -> Ask {
        let (bytes, answer) = match (order, step) {
            (Order::SetVoltage(v), 0) => (vec![OUT0, code(v)], 0),
            _ => (vec![OUT0], 1),
        };
        Ask::Send(Request { wire: Wire::Whole, bytes, gap: Duration::ZERO, answer, wait: Duration::ZERO })
    }

    fn hear(&mut self, order: Order, step: u8, b: &[u8]) -> Result<Heard, PowerError> {
        match (order, b) {
            (Order::Identify, [now]) => Ok(Heard::End(Event::Identified(format!("DS4432U, code 0x{now:02x}")))),
            (Order::SetVoltage(_), []) if step == 0 => Ok(Heard::Step(1)),
            (Order::SetVoltage(v), [kept]) if *kept == code(v) => Ok(Heard::End(Event::Done(order))),
            _ => Err(PowerError::Answer(b.to_vec())),
        }
    }

    fn feed_period(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::testing::{ALL, Line, run};

    #[test]
    fn codes_match_the_formula_and_never_give_more_than_asked() {
        // Worked out by hand from the resistors: below the nominal 1.458 V current is sourced, above it is sunk.
        for (volt, expected) in [(1.0, 0xfc), (1.2, 0xc6), (1.3, 0xab), (1.4, 0x90), (1.458, 0x81), (1.5, 0x0b), (1.9, 0x77)] {
            assert_eq!(code(Volt(volt)), expected, "{volt}");
            let given = voltage(expected).0;
            assert!(given <= volt + 1e-9 && given > volt - 0.0038, "{volt}: {given}");
        }
    }

    #[test]
    fn what_is_out_of_reach_is_clamped_and_never_wraps() {
        for (volt, expected) in [(0.5, 0xff), (0.0, 0xff), (f64::NAN, 0xff), (2.39, 0x7f), (99.0, 0x7f)] {
            assert_eq!(code(Volt(volt)), expected, "{volt}");
        }
        assert!((voltage(0xff).0 - 0.989).abs() < 0.001 && (voltage(0x7f).0 - 1.928).abs() < 0.001);
    }

    #[test]
    fn a_code_is_read_back() {
        let mut line = Line::answering(&[&[0], &[0xc6]]);
        let (events, _) = run(&mut Ds4432u::new(0x48), &mut line, &[Order::SetVoltage(Volt(1.2))]);
        assert_eq!(line.written, [vec![0xf8], vec![0xf8, 0xc6], vec![0xf8]]);
        assert!(matches!(&events[..], [Event::Identified(_), Event::Done(Order::SetVoltage(_))]), "{events:?}");
        let mut line = Line::answering(&[&[0], &[0], &[0], &[0]]);
        let (events, _) = run(&mut Ds4432u::new(0x48), &mut line, &[Order::SetVoltage(Volt(1.2))]);
        assert!(matches!(events.last(), Some(Event::Failed { error: PowerError::Answer(_), .. })), "{events:?}");
    }

    #[test]
    fn what_is_not_there_is_told_nothing() {
        let (events, _) = run(&mut Ds4432u::new(0x48), &mut Line::absent(), &ALL);
        assert!(matches!(events.last(), Some(Event::Done(Order::Disable))), "{events:?}");
        let (events, _) = run(&mut Ds4432u::new(0x48), &mut Line::absent(), &ALL[..2]);
        assert!(matches!(events[0], Event::Failed { order: Order::Identify, error: PowerError::Bus(_) }), "{events:?}");
    }
}
