//! The dsPIC33EP16GS202 that regulates the rail of S17 and S19 hashboards, in the framing of the maker's own programs: length and
//! 16-bit sum, high byte first, one byte an I²C write. Three framings are reported for such boards; this is the best proven one.
//! It cuts the rail some ten seconds behind the last heartbeat. Not here: who sends heartbeats, and which voltage is safe.
//! Never sent: jump, reset, and whatever writes its flash.

use super::exchange::{Exchange, Pace, Request, Wire};
use super::{Event, Order, Power};
use crate::bus::{Gpio, I2c};
use model::{Time, Volt};
use std::collections::VecDeque;
use std::time::Duration;

/// How often the owner orders a heartbeat: three fit before the rail is cut, with tries to spare.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_secs(2);

const SET_VOLTAGE: u8 = 0x10;
const ENABLE: u8 = 0x15;
const HEARTBEAT: u8 = 0x16;
const VERSION: u8 = 0x17;
const PACE: Pace = Pace { rest: Duration::from_millis(10), retry: Duration::from_secs(1) };

/// One controller.
#[derive(Debug)]
pub struct Dspic {
    exchange: Exchange<Order>,
    events: VecDeque<Event>,
}

impl Dspic {
    /// The controller at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> Dspic {
        Dspic { exchange: Exchange::new(address, Wire::Stream, PACE), events: VecDeque::new() }
    }
}

impl Power for Dspic {
    fn order(&mut self, order: Order) {
        let (command, data, answer, wait) = match order {
            Order::Identify => (VERSION, vec![], 5, 100),
            Order::SetVoltage(v) => (SET_VOLTAGE, millivolts(v).to_be_bytes().to_vec(), 2, 500),
            Order::Enable => (ENABLE, vec![1], 2, 500),
            Order::Disable => (ENABLE, vec![0], 2, 500),
            Order::Feed => (HEARTBEAT, vec![], 6, 500),
            Order::Measure => {
                self.events.push_back(Event::Done(order));
                return;
            }
        };
        let request = Request { order, bytes: frame(command, &data), answer, wait: Duration::from_millis(wait) };
        if order == Order::Disable { self.exchange.push_urgent(request) } else { self.exchange.push(request) }
    }

    fn turn(&mut self, now: Time, i2c: &mut dyn I2c, _gpio: &mut dyn Gpio) {
        self.events.extend(self.exchange.turn(now, i2c, read).map(|(order, outcome)| match outcome {
            Ok(event) => event,
            Err(error) => Event::Failed { order, error },
        }));
    }

    fn wake_at(&self) -> Time {
        if self.events.is_empty() { self.exchange.wake_at() } else { Time::ZERO }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn feed_period(&self) -> Option<Duration> {
        Some(HEARTBEAT_PERIOD)
    }
}

fn millivolts(v: Volt) -> u16 {
    (v.0 * 1000.0).round() as u16
}

fn frame(command: u8, data: &[u8]) -> Vec<u8> {
    let len = 4 + data.len() as u8;
    let sum = data.iter().fold(u16::from(len) + u16::from(command), |sum, b| sum + u16::from(*b));
    [&[0x55, 0xaa, len, command][..], data, &sum.to_be_bytes()].concat()
}

fn read(order: &Order, b: &[u8]) -> Option<Event> {
    let right = match order {
        Order::Identify => {
            // Length, command and version, with the sum of all three.
            let sum = u16::from_be_bytes([b[3], b[4]]);
            let right = b[..2] == [5, VERSION] && sum == u16::from(b[2]) + 0x1c;
            return right.then(|| Event::Identified(format!("dsPIC33EP16GS202, version 0x{:02x}", b[2])));
        }
        Order::SetVoltage(_) => b == [SET_VOLTAGE, 1],
        Order::Enable | Order::Disable => b == [ENABLE, 1],
        Order::Feed => b[1..3] == [HEARTBEAT, 1],
        Order::Measure => false,
    };
    right.then_some(Event::Done(*order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::{NoLines, Recorder};
    use crate::power::PowerError;

    fn run(answers: &[&[u8]], orders: &[Order]) -> (Vec<u8>, Vec<Event>, Time) {
        let (mut bus, mut part) = (Recorder::answering(answers), Dspic::new(0x20));
        orders.iter().for_each(|o| part.order(*o));
        let (mut now, mut events) = (Time::ZERO, vec![]);
        while part.wake_at() != Time::NEVER {
            now = now.max(part.wake_at());
            part.turn(now, &mut bus, &mut NoLines);
            events.extend(part.next_event());
        }
        assert!(bus.written.iter().all(|(address, bytes)| *address == 0x20 && bytes.len() == 1), "one byte a write");
        (bus.written.concat_bytes(), events, now)
    }

    trait ConcatBytes {
        fn concat_bytes(&self) -> Vec<u8>;
    }
    impl ConcatBytes for Vec<(u8, Vec<u8>)> {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|(_, b)| b.clone()).collect()
        }
    }

    #[test]
    fn orders_are_the_frames_of_the_makers_programs() {
        for (order, answer, wire) in [
            (Order::Enable, &[0x15, 1][..], &[0x55, 0xaa, 5, 0x15, 1, 0, 0x1b][..]),
            (Order::Disable, &[0x15, 1], &[0x55, 0xaa, 5, 0x15, 0, 0, 0x1a]),
            (Order::Feed, &[6, 0x16, 1, 0, 0, 0x1d], &[0x55, 0xaa, 4, 0x16, 0, 0x1a]),
            (Order::SetVoltage(Volt(13.8)), &[0x10, 1], &[0x55, 0xaa, 6, 0x10, 0x35, 0xe8, 0x01, 0x33]),
        ] {
            let (written, events, _) = run(&[answer], &[order]);
            assert_eq!(written, wire, "{order:?}");
            assert!(matches!(events[..], [Event::Done(done)] if done == order), "{events:?}");
        }
    }

    #[test]
    fn the_version_is_read_with_its_sum() {
        let (written, events, _) = run(&[&[5, 0x17, 0x89, 0, 0xa5]], &[Order::Identify]);
        assert_eq!(written, [0x55, 0xaa, 4, 0x17, 0, 0x1b]);
        assert!(matches!(&events[..], [Event::Identified(what)] if what.ends_with("version 0x89")), "{events:?}");
    }

    #[test]
    fn a_wrong_answer_is_tried_three_times_a_second_apart() {
        let bad: &[u8] = &[5, 0x17, 0x89, 0, 0];
        let (written, events, at) = run(&[bad, bad, bad], &[Order::Identify]);
        assert_eq!(written.len(), 18);
        assert!(matches!(events[..], [Event::Failed { order: Order::Identify, error: PowerError::Answer(_) }]), "{events:?}");
        assert_eq!(at, Time::from_millis(2300));
        let (_, events, _) = run(&[bad, &[5, 0x17, 0x88, 0, 0xa4]], &[Order::Identify]);
        assert!(matches!(&events[..], [Event::Identified(what)] if what.ends_with("version 0x88")), "{events:?}");
    }

    #[test]
    fn off_does_not_wait_for_anything() {
        let (mut bus, mut part) = (Recorder::answering(&[&[0x15, 1]]), Dspic::new(0x20));
        part.order(Order::Feed);
        part.turn(Time::ZERO, &mut bus, &mut NoLines);
        part.order(Order::SetVoltage(Volt(13.0)));
        part.order(Order::Disable);
        part.turn(Time::from_millis(1), &mut bus, &mut NoLines);
        assert_eq!(bus.written.concat_bytes()[6..], [0x55, 0xaa, 5, 0x15, 0, 0, 0x1a]);
        part.turn(Time::from_secs(1), &mut bus, &mut NoLines);
        assert!(matches!(part.next_event(), Some(Event::Done(Order::Disable))));
        assert_eq!(part.wake_at(), Time::NEVER);
    }

    #[test]
    fn repeated_orders_do_not_pile_up() {
        let mut part = Dspic::new(0x20);
        for _ in 0..1000 {
            part.order(Order::Feed);
        }
        let mut bus = Recorder::absent();
        let mut now = Time::ZERO;
        let mut failed = 0;
        while part.wake_at() != Time::NEVER {
            now = now.max(part.wake_at());
            part.turn(now, &mut bus, &mut NoLines);
            failed += usize::from(matches!(part.next_event(), Some(Event::Failed { error: PowerError::Bus(_), .. })));
        }
        assert_eq!(failed, 1);
    }
}
