//! Bitmain's APW12 supply, packet protocol: every byte goes through register 0x11, low byte of words and sums first. Other
//! dialects exist; [`Order::Detect`] tells this one. Not here: the line that switches it on, and which voltage is safe.
//! Never sent: commands 04 and 05, which on some of its programs write calibration.

use super::exchange::{Exchange, Pace, PowerError, Request, Wire};
use crate::bus::I2c;
use model::{Time, Volt};
use std::collections::VecDeque;
use std::time::Duration;

const REGISTER: u8 = 0x11;
const PROBE: u8 = 0xf5;
const TYPE: u8 = 0x02;
const WATCHDOG: u8 = 0x81;
const SET_VOLTAGE: u8 = 0x83;
const WAIT: Duration = Duration::from_millis(400);
const PACE: Pace = Pace { rest: Duration::from_millis(100), retry: Duration::from_millis(500) };
/// Bytes of the longest answer: preamble, length, command, two of data, sum.
const ANSWER: usize = 8;

/// What it can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Asks whether it speaks this protocol.
    Detect,
    /// Reads what kind it is.
    Type,
    /// Sets the output.
    SetVoltage(Volt),
    /// Arms or disarms its own watchdog: armed, it switches off a minute behind the last time it was armed.
    Watchdog(bool),
}

/// What came of it.
#[derive(Debug)]
pub enum Event {
    /// It obeyed.
    Done(Order),
    /// Its kind: 0x71 is an APW121215a.
    Type(u8),
    /// It did not, three times.
    Failed {
        /// What was ordered.
        order: Order,
        /// Why not, the last time.
        error: PowerError,
    },
}

/// One supply.
#[derive(Debug)]
pub struct Apw12 {
    exchange: Exchange<Order>,
    events: VecDeque<Event>,
}

impl Apw12 {
    /// The supply at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Apw12 {
        Apw12 { exchange: Exchange::new(address, Wire::Register(REGISTER), PACE), events: VecDeque::new() }
    }

    /// Takes an order; those before it are carried out first.
    pub fn order(&mut self, order: Order) {
        let (bytes, answer) = match order {
            Order::Detect => (vec![PROBE], 1),
            Order::Type => (frame(TYPE, &[]), ANSWER),
            Order::SetVoltage(v) => (frame(SET_VOLTAGE, &u16::from(voltage_step(v)).to_le_bytes()), ANSWER),
            Order::Watchdog(armed) => (frame(WATCHDOG, &u16::from(armed).to_le_bytes()), ANSWER),
        };
        self.exchange.push(Request { order, bytes, answer, wait: WAIT });
    }

    /// Does what is due on the bus.
    pub fn turn(&mut self, now: Time, bus: &mut dyn I2c) {
        self.events.extend(self.exchange.turn(now, bus, read).map(|(order, outcome)| match outcome {
            Ok(event) => event,
            Err(error) => Event::Failed { order, error },
        }));
    }

    /// When the next turn is due.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        self.exchange.wake_at()
    }

    /// What happened, oldest first.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// The step of its regulator for a voltage: 246 is 12.0 V, 9 is 15.0 V. A voltage that is no number gives the lowest.
#[must_use]
pub fn voltage_step(v: Volt) -> u8 {
    let step = (1_190_935_338.0 - v.0 * 1000.0 * 78_743.0) / 1e6;
    if step.is_nan() { 246 } else { step.round().clamp(9.0, 246.0) as u8 }
}

fn frame(command: u8, data: &[u8]) -> Vec<u8> {
    let len = 4 + data.len() as u8;
    [&[0x55, 0xaa, len, command][..], data, &sum(len, command, data).to_le_bytes()].concat()
}

fn sum(len: u8, command: u8, data: &[u8]) -> u16 {
    data.iter().fold(u16::from(len) + u16::from(command), |sum, b| sum + u16::from(*b))
}

/// The data of an answer to this command, where frame and sum are right.
fn data(command: u8, b: &[u8]) -> Option<&[u8]> {
    let (head, rest) = b.split_at_checked(4)?;
    let count = usize::from(head[2]).checked_sub(4)?;
    let data = rest.get(..count)?;
    let given = rest.get(count..count + 2)?;
    (head[..2] == [0x55, 0xaa] && head[3] == command && sum(head[2], command, data).to_le_bytes() == *given).then_some(data)
}

fn read(order: &Order, b: &[u8]) -> Option<Event> {
    match order {
        Order::Detect => (b == [PROBE]).then_some(Event::Done(*order)),
        Order::Type => data(TYPE, b)?.first().map(|kind| Event::Type(*kind)),
        Order::SetVoltage(_) => data(SET_VOLTAGE, b).map(|_| Event::Done(*order)),
        Order::Watchdog(_) => data(WATCHDOG, b).map(|_| Event::Done(*order)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    fn run(answer: &[u8], order: Order) -> (Vec<u8>, Vec<Event>, Time) {
        let bytes: Vec<[u8; 1]> = answer.iter().map(|b| [*b]).collect();
        let answers: Vec<&[u8]> = bytes.iter().map(|b| &b[..]).collect();
        let (mut bus, mut part) = (Recorder::answering(&answers), Apw12::new(0x10));
        part.order(order);
        let (mut now, mut events) = (Time::ZERO, vec![]);
        while part.wake_at() != Time::NEVER {
            now = now.max(part.wake_at());
            part.turn(now, &mut bus);
            events.extend(part.next_event());
        }
        assert!(bus.written.iter().all(|(address, b)| *address == 0x10 && b[0] == 0x11), "all by register 0x11");
        (bus.written.iter().filter(|(_, b)| b.len() == 2).map(|(_, b)| b[1]).collect(), events, now)
    }

    #[test]
    fn voltages_match_the_vendors_steps() {
        for (volt, step) in
            [(12.0, 246), (12.6, 199), (13.2, 152), (13.7, 112), (14.0, 89), (5.0, 246), (99.0, 9), (f64::NAN, 246)]
        {
            assert_eq!(voltage_step(Volt(volt)), step, "{volt}");
        }
        assert!([9, 10].contains(&voltage_step(Volt(15.0))));
    }

    #[test]
    fn orders_are_packets_and_answers_are_checked() {
        let (written, events, at) = run(&[0x55, 0xaa, 6, 2, 0x71, 0, 0x79, 0], Order::Type);
        assert_eq!(written, [0x55, 0xaa, 4, 2, 6, 0]);
        assert!(matches!(events[..], [Event::Type(0x71)]), "{events:?}");
        assert_eq!(at, Time::from_millis(400));
        let set = [0x55, 0xaa, 6, 0x83, 0x0d, 0, 0x96, 0];
        let (written, events, _) = run(&set, Order::SetVoltage(Volt(14.96)));
        assert_eq!(written, set);
        assert!(matches!(events[..], [Event::Done(Order::SetVoltage(_))]), "{events:?}");
        let (written, events, _) = run(&[0xf5], Order::Detect);
        assert_eq!(written, [0xf5]);
        assert!(matches!(events[..], [Event::Done(Order::Detect)]), "{events:?}");
        let arm = [0x55, 0xaa, 6, 0x81, 1, 0, 0x88, 0];
        assert_eq!(run(&arm, Order::Watchdog(true)).0, arm);
    }

    #[test]
    fn damaged_answers_fail_behind_three_tries() {
        for bad in
            [[0x55, 0xaa, 6, 2, 0x71, 0, 0x7a, 0], [0x55, 0xaa, 0xff, 2, 0, 0, 0, 0], [0x55, 0xaa, 1, 2, 0, 0, 0, 0], [0xff; 8]]
        {
            let (written, events, _) = run(&[bad, bad, bad].concat(), Order::Type);
            assert_eq!(written.len(), 18);
            assert!(
                matches!(events[..], [Event::Failed { order: Order::Type, error: PowerError::Answer(_) }]),
                "{bad:02x?}: {events:?}"
            );
        }
    }

    #[test]
    fn calibration_is_never_written() {
        for order in [Order::Detect, Order::Type, Order::SetVoltage(Volt(13.0)), Order::Watchdog(true), Order::Watchdog(false)] {
            let (written, ..) = run(&[], order);
            assert!(written.get(3).is_none_or(|command| ![4, 5].contains(command)), "{order:?}");
        }
    }
}
