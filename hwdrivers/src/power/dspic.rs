//! The dsPIC33EP16GS202 that regulates the rail of S17 and S19 hashboards, in the framing of the maker's own programs: length and
//! 16-bit sum, high byte first, one byte an I²C write. Three framings are reported for such boards; this is the best proven one.
//! It cuts the rail some ten seconds behind the last heartbeat. Not here: who sends heartbeats, and which voltage is safe.
//! Never sent: jump, reset, and whatever writes its flash.

use super::exchange::{Exchange, Pace, PowerError, Request, Wire};
use crate::bus::I2c;
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

/// What it can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Reads the version of its program.
    Version,
    /// Sets the rail's voltage, which does not switch it on.
    SetVoltage(Volt),
    /// Switches the rail on.
    Enable,
    /// Switches the rail off, before all else.
    Disable,
    /// Keeps the rail on.
    Heartbeat,
}

/// What came of it.
#[derive(Debug)]
pub enum Event {
    /// It obeyed.
    Done(Order),
    /// Its program's version: 0x86 is the boot loader, 0x88 to 0x8A are rail programs.
    Version(u8),
    /// It did not, three times.
    Failed {
        /// What was ordered.
        order: Order,
        /// Why not, the last time.
        error: PowerError,
    },
}

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

    /// Takes an order; those before it are carried out first, but for [`Order::Disable`], which drops them.
    pub fn order(&mut self, order: Order) {
        let (command, data, answer, wait) = match order {
            Order::Version => (VERSION, vec![], 5, 100),
            Order::SetVoltage(v) => (SET_VOLTAGE, millivolts(v).to_be_bytes().to_vec(), 2, 500),
            Order::Enable => (ENABLE, vec![1], 2, 500),
            Order::Disable => (ENABLE, vec![0], 2, 500),
            Order::Heartbeat => (HEARTBEAT, vec![], 6, 500),
        };
        let request = Request { order, bytes: frame(command, &data), answer, wait: Duration::from_millis(wait) };
        if order == Order::Disable { self.exchange.push_urgent(request) } else { self.exchange.push(request) }
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
        Order::Version => {
            // Length, command and version, with the sum of all three.
            let sum = u16::from_be_bytes([b[3], b[4]]);
            return (b[..2] == [5, VERSION] && sum == u16::from(b[2]) + 0x1c).then_some(Event::Version(b[2]));
        }
        Order::SetVoltage(_) => b == [SET_VOLTAGE, 1],
        Order::Enable | Order::Disable => b == [ENABLE, 1],
        Order::Heartbeat => b[1..3] == [HEARTBEAT, 1],
    };
    right.then_some(Event::Done(*order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    fn run(answers: &[&[u8]], orders: &[Order]) -> (Vec<u8>, Vec<Event>, Time) {
        let (mut bus, mut part) = (Recorder::answering(answers), Dspic::new(0x20));
        orders.iter().for_each(|o| part.order(*o));
        let (mut now, mut events) = (Time::ZERO, vec![]);
        while part.wake_at() != Time::NEVER {
            now = now.max(part.wake_at());
            part.turn(now, &mut bus);
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
            (Order::Heartbeat, &[6, 0x16, 1, 0, 0, 0x1d], &[0x55, 0xaa, 4, 0x16, 0, 0x1a]),
            (Order::SetVoltage(Volt(13.8)), &[0x10, 1], &[0x55, 0xaa, 6, 0x10, 0x35, 0xe8, 0x01, 0x33]),
        ] {
            let (written, events, _) = run(&[answer], &[order]);
            assert_eq!(written, wire, "{order:?}");
            assert!(matches!(events[..], [Event::Done(done)] if done == order), "{events:?}");
        }
    }

    #[test]
    fn the_version_is_read_with_its_sum() {
        let (written, events, _) = run(&[&[5, 0x17, 0x89, 0, 0xa5]], &[Order::Version]);
        assert_eq!(written, [0x55, 0xaa, 4, 0x17, 0, 0x1b]);
        assert!(matches!(events[..], [Event::Version(0x89)]), "{events:?}");
    }

    #[test]
    fn a_wrong_answer_is_tried_three_times_a_second_apart() {
        let bad: &[u8] = &[5, 0x17, 0x89, 0, 0];
        let (written, events, at) = run(&[bad, bad, bad], &[Order::Version]);
        assert_eq!(written.len(), 18);
        assert!(matches!(events[..], [Event::Failed { order: Order::Version, error: PowerError::Answer(_) }]), "{events:?}");
        assert_eq!(at, Time::from_millis(2300));
        let (_, events, _) = run(&[bad, &[5, 0x17, 0x88, 0, 0xa4]], &[Order::Version]);
        assert!(matches!(events[..], [Event::Version(0x88)]), "{events:?}");
    }

    #[test]
    fn off_does_not_wait_for_anything() {
        let (mut bus, mut part) = (Recorder::answering(&[&[0x15, 1]]), Dspic::new(0x20));
        part.order(Order::Heartbeat);
        part.turn(Time::ZERO, &mut bus);
        part.order(Order::SetVoltage(Volt(13.0)));
        part.order(Order::Disable);
        part.turn(Time::from_millis(1), &mut bus);
        assert_eq!(bus.written.concat_bytes()[6..], [0x55, 0xaa, 5, 0x15, 0, 0, 0x1a]);
        part.turn(Time::from_secs(1), &mut bus);
        assert!(matches!(part.next_event(), Some(Event::Done(Order::Disable))));
        assert_eq!(part.wake_at(), Time::NEVER);
    }

    #[test]
    fn repeated_orders_do_not_pile_up() {
        let mut part = Dspic::new(0x20);
        for _ in 0..1000 {
            part.order(Order::Heartbeat);
        }
        let mut bus = Recorder::absent();
        let mut now = Time::ZERO;
        let mut failed = 0;
        while part.wake_at() != Time::NEVER {
            now = now.max(part.wake_at());
            part.turn(now, &mut bus);
            failed += usize::from(matches!(part.next_event(), Some(Event::Failed { error: PowerError::Bus(_), .. })));
        }
        assert_eq!(failed, 1);
    }
}
