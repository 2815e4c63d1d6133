//! Bitmain's APW12 supply, packet protocol: every byte goes through register 0x11, low byte of words and sums first. Other
//! dialects exist; [`Order::Identify`] tells this one. Not here: the line that switches it on, and which voltage is safe.
//! Never sent: commands 04 and 05, which on some of its programs write calibration.

use super::exchange::{Exchange, Pace, Request, Wire};
use super::{Event, Order, Power};
use crate::bus::{Gpio, I2c};
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

/// How often its watchdog is fed: it trips about a minute behind the last time.
const FEED_PERIOD: Duration = Duration::from_secs(20);

/// What is asked of it on the bus; an order may be two of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    /// Whether it speaks this protocol.
    Probe,
    /// What kind it is.
    Type,
    SetVoltage(Volt),
    Watchdog,
}

/// What came of one.
enum Heard {
    Nothing,
    Event(Event),
}

/// One supply.
#[derive(Debug)]
pub struct Apw12 {
    exchange: Exchange<Ask>,
    events: VecDeque<Event>,
}

impl Apw12 {
    /// The supply at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Apw12 {
        Apw12 { exchange: Exchange::new(address, Wire::Register(REGISTER), PACE), events: VecDeque::new() }
    }

    fn ask(&mut self, order: Ask, bytes: Vec<u8>, answer: usize) {
        self.exchange.push(Request { order, bytes, answer, wait: WAIT });
    }
}

impl Power for Apw12 {
    fn order(&mut self, order: Order) {
        match order {
            Order::Identify => {
                self.ask(Ask::Probe, vec![PROBE], 1);
                self.ask(Ask::Type, frame(TYPE, &[]), ANSWER);
            }
            Order::SetVoltage(v) => {
                let data = u16::from(voltage_step(v)).to_le_bytes();
                self.ask(Ask::SetVoltage(v), frame(SET_VOLTAGE, &data), ANSWER);
            }
            Order::Feed => self.ask(Ask::Watchdog, frame(WATCHDOG, &1u16.to_le_bytes()), ANSWER),
            Order::Disable => {
                self.exchange.clear();
                self.events.push_back(Event::Done(order));
            }
            Order::Enable | Order::Measure => self.events.push_back(Event::Done(order)),
        }
    }

    fn turn(&mut self, now: Time, i2c: &mut dyn I2c, _gpio: &mut dyn Gpio) {
        match self.exchange.turn(now, i2c, read) {
            Some((_, Ok(Heard::Event(event)))) => self.events.push_back(event),
            Some((ask, Err(error))) => {
                let order = match ask {
                    Ask::Probe | Ask::Type => Order::Identify,
                    Ask::SetVoltage(v) => Order::SetVoltage(v),
                    Ask::Watchdog => Order::Feed,
                };
                self.events.push_back(Event::Failed { order, error });
            }
            Some((_, Ok(Heard::Nothing))) | None => {}
        }
    }

    fn wake_at(&self) -> Time {
        if self.events.is_empty() { self.exchange.wake_at() } else { Time::ZERO }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn feed_period(&self) -> Option<Duration> {
        Some(FEED_PERIOD)
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

fn read(ask: &Ask, b: &[u8]) -> Option<Heard> {
    let event = match ask {
        Ask::Probe => return (b == [PROBE]).then_some(Heard::Nothing),
        Ask::Type => Event::Identified(format!("APW12, type 0x{:02x}", data(TYPE, b)?.first()?)),
        Ask::SetVoltage(v) => data(SET_VOLTAGE, b).map(|_| Event::Done(Order::SetVoltage(*v)))?,
        Ask::Watchdog => data(WATCHDOG, b).map(|_| Event::Done(Order::Feed))?,
    };
    Some(Heard::Event(event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::{NoLines, Recorder};
    use crate::power::PowerError;

    fn run(answer: &[u8], order: Order) -> (Vec<u8>, Vec<Event>, Time) {
        let bytes: Vec<[u8; 1]> = answer.iter().map(|b| [*b]).collect();
        let answers: Vec<&[u8]> = bytes.iter().map(|b| &b[..]).collect();
        let (mut bus, mut part) = (Recorder::answering(&answers), Apw12::new(0x10));
        part.order(order);
        let (mut now, mut events) = (Time::ZERO, vec![]);
        while part.wake_at() != Time::NEVER {
            now = now.max(part.wake_at());
            part.turn(now, &mut bus, &mut NoLines);
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
        let (written, events, at) = run(&[0xf5, 0x55, 0xaa, 6, 2, 0x71, 0, 0x79, 0], Order::Identify);
        assert_eq!(written, [0xf5, 0x55, 0xaa, 4, 2, 6, 0]);
        assert!(matches!(&events[..], [Event::Identified(what)] if what == "APW12, type 0x71"), "{events:?}");
        assert_eq!(at, Time::from_millis(900));
        let set = [0x55, 0xaa, 6, 0x83, 0x0d, 0, 0x96, 0];
        let (written, events, _) = run(&set, Order::SetVoltage(Volt(14.96)));
        assert_eq!(written, set);
        assert!(matches!(events[..], [Event::Done(Order::SetVoltage(_))]), "{events:?}");
        let arm = [0x55, 0xaa, 6, 0x81, 1, 0, 0x88, 0];
        assert_eq!(run(&arm, Order::Feed).0, arm);
    }

    #[test]
    fn damaged_answers_fail_behind_three_tries() {
        for bad in [
            [0x55, 0xaa, 6, 0x81, 1, 0, 0x89, 0],
            [0x55, 0xaa, 0xff, 0x81, 0, 0, 0, 0],
            [0x55, 0xaa, 1, 2, 0, 0, 0, 0],
            [0xff; 8],
        ] {
            let (written, events, _) = run(&[bad, bad, bad].concat(), Order::Feed);
            assert_eq!(written.len(), 24);
            assert!(
                matches!(events[..], [Event::Failed { order: Order::Feed, error: PowerError::Answer(_) }]),
                "{bad:02x?}: {events:?}"
            );
        }
    }

    #[test]
    fn calibration_is_never_written() {
        for order in [Order::Identify, Order::SetVoltage(Volt(13.0)), Order::Feed, Order::Enable, Order::Disable, Order::Measure]
        {
            let (written, ..) = run(&[], order);
            assert!(written.get(3).is_none_or(|command| ![4, 5].contains(command)), "{order:?}");
        }
    }
}
