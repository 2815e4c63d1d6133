//! The PIC16F1704 that regulates the rail of Antminer S9 hashboards, at 0x55 to 0x57 for the slots J6 to J8 (braiins `power.rs`,
//! bmminer `driver-btm-c5.h`). `55 AA command data`, one byte a transfer in both directions: of a longer read only the first byte
//! is true. It cuts the rail about ten seconds behind the last heartbeat. Not here: which voltage is safe.
//!
//! Never sent: what erases or writes its flash (01 to 05, 09), resets it (07) or starts its program from the boot loader (06).

use super::exchange::{Ask, Exchange, Heard, Pace, PowerError, Protocol, Request, Wire, power_by_exchange};
use super::{Event, Measured, Order};
use model::Volt;
use std::time::Duration;

/// How often a heartbeat is wanted; braiins sends it so often.
const FEED_PERIOD: Duration = Duration::from_secs(1);
/// The program that is known.
const VERSION_KNOWN: u8 = 0x03;
/// What its boot loader answers to anything \[1\].
const BOOT_LOADER: u8 = 0xcc;
/// Zeros that bring its parser back to its start, wherever a broken-off command left it.
const FLUSH: [u8; 16] = [0; 16];

const SET_VOLTAGE: u8 = 0x10;
const ENABLE: u8 = 0x15;
const HEARTBEAT: u8 = 0x16;
const VERSION: u8 = 0x17;
const GET_VOLTAGE: u8 = 0x18;

/// Its step for 0 V, and its steps a volt.
const STEPS_AT_ZERO: f64 = 1608.420446;
const STEPS_A_VOLT: f64 = 170.423497;

/// One controller.
#[derive(Debug)]
pub struct Pic16(Exchange<Dialect>);

impl Pic16 {
    /// The controller at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Pic16 {
        Pic16(Exchange::new(address, Dialect))
    }
}

power_by_exchange!(Pic16);

/// The step of its regulator for a voltage: 6 is 9.4 V, 228 is 8.1 V. `None` where it has none.
#[must_use]
pub fn voltage_step(v: Volt) -> Option<u8> {
    let step = (STEPS_AT_ZERO - STEPS_A_VOLT * v.0).round();
    (0.0..=255.0).contains(&step).then_some(step as u8)
}

/// What a step gives.
#[must_use]
pub fn step_voltage(step: u8) -> Volt {
    Volt((STEPS_AT_ZERO - f64::from(step)) / STEPS_A_VOLT)
}

#[derive(Debug)]
struct Dialect;

fn request(bytes: Vec<u8>, answer: usize, wait_millis: u64) -> Ask {
    Ask::Send(Request { wire: Wire::Single, bytes, gap: Duration::ZERO, answer, wait: Duration::from_millis(wait_millis) })
}

fn command(command: u8, data: &[u8], answer: usize, wait_millis: u64) -> Ask {
    request([&[0x55, 0xaa, command], data].concat(), answer, wait_millis)
}

impl Protocol for Dialect {
    fn pace(&self) -> Pace {
        Pace { rest: Duration::from_millis(1), retry: Duration::from_millis(100), tries: 15 }
    }

    fn may_turn(&self) -> bool {
        true
    }

    fn knows(&self, _order: Order) -> bool {
        true
    }

    fn ask(&mut self, order: Order, step: u8) -> Ask {
        match (order, step) {
            (Order::Identify, 0) => request(FLUSH.to_vec(), 0, 0),
            (Order::Identify, _) => command(VERSION, &[], 1, 0),
            (Order::SetVoltage(v), 0) => match voltage_step(v) {
                Some(step) => command(SET_VOLTAGE, &[step], 0, 100),
                None => {
                    let error = PowerError::Range { asked: v, lowest: step_voltage(255), highest: step_voltage(0) };
                    Ask::End(Event::Failed { order, error })
                }
            },
            (Order::SetVoltage(_) | Order::Measure, _) => command(GET_VOLTAGE, &[], 1, 0),
            (Order::Enable, _) => command(ENABLE, &[1], 0, 100),
            (Order::Disable, _) => command(ENABLE, &[0], 0, 100),
            // A heartbeat is not answered: a controller that fell into its boot loader is found by asking first.
            (Order::Feed, 0) => command(VERSION, &[], 1, 0),
            (Order::Feed, _) => command(HEARTBEAT, &[], 0, 0),
        }
    }

    fn hear(&mut self, order: Order, step: u8, b: &[u8]) -> Result<Heard, PowerError> {
        match (order, b) {
            (Order::Identify | Order::SetVoltage(_), []) if step == 0 => Ok(Heard::Step(1)),
            (Order::Identify, [VERSION_KNOWN]) => {
                Ok(Heard::End(Event::Identified(format!("PIC16F1704, version 0x{VERSION_KNOWN:02x}"))))
            }
            (Order::Feed, [VERSION_KNOWN]) => Ok(Heard::Step(1)),
            (Order::Identify | Order::Feed, [BOOT_LOADER]) => {
                Err(PowerError::BootLoader(format!("it answers 0x{BOOT_LOADER:02x}")))
            }
            (Order::Feed, [_]) => Err(PowerError::Answer(b.to_vec())),
            // A bus that nothing drives reads as ones.
            (Order::Identify, [0xff]) => Err(PowerError::Answer(b.to_vec())),
            (Order::Identify, [version]) => {
                Err(PowerError::Unfit(format!("its program has version 0x{version:02x} where 0x{VERSION_KNOWN:02x} is known")))
            }
            (Order::SetVoltage(v), [set]) if voltage_step(v) != Some(*set) => Err(PowerError::Answer(b.to_vec())),
            (Order::Measure, [set]) => {
                Ok(Heard::End(Event::Measured(Measured { volt: Some(step_voltage(*set)), ..Measured::default() })))
            }
            _ => Ok(Heard::End(Event::Done(order))),
        }
    }

    fn feed_period(&self) -> Option<Duration> {
        Some(FEED_PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::testing::{ALL, Line, run};

    #[test]
    fn voltages_match_the_seven_vendor_pairs() {
        for (volt, step) in [(9.4, 6), (9.1, 58), (8.9, 92), (8.7, 126), (8.5, 160), (8.3, 194), (8.1, 228)] {
            assert_eq!(voltage_step(Volt(volt)), Some(step), "{volt}");
            assert!((step_voltage(step).0 - volt).abs() < 0.01, "{volt}");
        }
        for out in [10.0, 7.9, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(voltage_step(Volt(out)), None, "{out}");
        }
    }

    #[test]
    fn orders_are_single_bytes_behind_a_flush_and_a_version() {
        let mut line = Line::answering(&[&[0x03], &[126], &[0x03], &[126]]);
        let orders = [Order::SetVoltage(Volt(8.7)), Order::Enable, Order::Feed, Order::Measure, Order::Identify];
        let (events, _) = run(&mut Pic16::new(0x55), &mut line, &orders[..4]);
        assert!(line.written.iter().all(|b| b.len() == 1), "one byte a write");
        let rest = [&[0x55, 0xaa, 0x17][..], &[0x55, 0xaa, 0x10, 126], &[0x55, 0xaa, 0x18], &[0x55, 0xaa, 0x15, 1]].concat();
        let rest = [&rest[..], &[0x55, 0xaa, 0x17], &[0x55, 0xaa, 0x16], &[0x55, 0xaa, 0x18]].concat();
        assert_eq!(line.written.concat(), [&FLUSH[..], &rest].concat());
        assert!(
            matches!(&events[..], [Event::Identified(_), Event::Done(_), Event::Done(Order::Enable), Event::Done(Order::Feed),
                Event::Measured(m)] if m.volt == Some(step_voltage(126))),
            "{events:?}"
        );
    }

    #[test]
    fn no_order_writes_flash_resets_or_starts_a_program() {
        for answer in [0x03, 0x02, 0xcc, 0xff, 126] {
            let answers = [[answer]; 40];
            let answers: Vec<&[u8]> = answers.iter().map(|a| &a[..]).collect();
            for order in ALL.into_iter().chain([Order::SetVoltage(Volt(8.7))]) {
                let mut line = Line::answering(&answers);
                run(&mut Pic16::new(0x55), &mut line, &[order]);
                let bytes = line.written.concat();
                let commands: Vec<u8> = bytes.windows(3).filter(|w| w[..2] == [0x55, 0xaa]).map(|w| w[2]).collect();
                assert!(!commands.is_empty());
                assert!(commands.iter().all(|c| [0x10, 0x15, 0x16, 0x17, 0x18].contains(c)), "{order:?}: {commands:02x?}");
            }
        }
    }

    #[test]
    fn a_boot_loader_and_other_programs_are_told_nothing() {
        for answer in [0xcc, 0x02, 0x60] {
            let mut line = Line::answering(&[&[answer]]);
            let (events, _) = run(&mut Pic16::new(0x55), &mut line, &[Order::SetVoltage(Volt(8.7)), Order::Enable]);
            assert_eq!(line.written.len(), 16 + 3, "{answer:02x}");
            let refused = |e: &Event| matches!(e, Event::Failed { error: PowerError::Unfit(_) | PowerError::BootLoader(_), .. });
            assert!(events.iter().all(refused), "{events:?}");
        }
    }

    #[test]
    fn a_voltage_that_is_not_kept_fails_behind_its_tries() {
        // It says what it is before each try.
        let answers = [[&[0x03u8][..], &[6]]; 15].concat();
        let mut line = Line::answering(&answers);
        let (events, _) = run(&mut Pic16::new(0x55), &mut line, &[Order::SetVoltage(Volt(8.7))]);
        assert!(matches!(events.last(), Some(Event::Failed { error: PowerError::Answer(_), .. })), "{events:?}");
    }
}
