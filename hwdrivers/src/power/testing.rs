//! A bus and lines for the tests of this folder, and one way to run a part to its end in virtual time.

use super::{Event, Order, Power};
use crate::bus::{BusError, Gpio, I2c, Message};
use model::Time;
use std::collections::VecDeque;

/// Writes down what it is told and answers from a list; behind its end nothing answers.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) written: Vec<Vec<u8>>,
    /// When each line was driven, and where to.
    pub(crate) edges: Vec<(Time, u32, bool)>,
    pub(crate) now: Time,
    answers: VecDeque<Vec<u8>>,
    absent: bool,
}

impl Line {
    pub(crate) fn answering(answers: &[&[u8]]) -> Line {
        Line { answers: answers.iter().map(|a| a.to_vec()).collect(), ..Line::default() }
    }
    pub(crate) fn absent() -> Line {
        Line { absent: true, ..Line::default() }
    }
}

impl I2c for Line {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        if self.absent {
            return Err(BusError::Nack(address));
        }
        for message in messages {
            match message {
                Message::Write(bytes) => self.written.push(bytes.to_vec()),
                Message::Read(buffer) => {
                    let answer = self.answers.pop_front().ok_or(BusError::Nack(address))?;
                    assert_eq!(answer.len(), buffer.len(), "the part sends another length than is read");
                    buffer.copy_from_slice(&answer);
                }
            }
        }
        Ok(())
    }
}

impl Gpio for Line {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        if self.absent {
            return Err(BusError::Gone);
        }
        self.edges.push((self.now, line, high));
        Ok(())
    }
    fn get(&mut self, _line: u32) -> Result<bool, BusError> {
        Err(BusError::Gone)
    }
}

/// Gives the orders and turns the part exactly when it wants to be, until nothing waits: what it said, and when it was through.
pub(crate) fn run(part: &mut dyn Power, line: &mut Line, orders: &[Order]) -> (Vec<Event>, Time) {
    orders.iter().for_each(|o| part.order(*o));
    let (mut now, mut events) = (Time::ZERO, vec![]);
    while part.wake_at() != Time::NEVER {
        now = now.max(part.wake_at());
        part.turn(now, line, &mut Line::default());
        events.extend(std::iter::from_fn(|| part.next_event()));
    }
    (events, now)
}

/// All orders there are, for tests that say what none of them leads to.
pub(crate) const ALL: [Order; 6] =
    [Order::Identify, Order::SetVoltage(model::Volt(13.0)), Order::Enable, Order::Feed, Order::Measure, Order::Disable];
