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
    /// The state of the noise that it answers with, where it does.
    noise: Option<u64>,
}

/// Bytes that mean something to one part or another, so that noise gets anywhere.
const WORDS: [u8; 20] =
    [0x55, 0xaa, 0x02, 0x03, 0x04, 0x06, 0x71, 0x79, 0x89, 0x86, 0xf5, 0x00, 0x15, 0x16, 0x17, 0x01, 0x80, 0x54, 0x97, 0xff];

impl Line {
    pub(crate) fn answering(answers: &[&[u8]]) -> Line {
        Line { answers: answers.iter().map(|a| a.to_vec()).collect(), ..Line::default() }
    }
    /// Answers anything, and sometimes nothing.
    pub(crate) fn babbling(seed: u64) -> Line {
        Line { noise: Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)), ..Line::default() }
    }
    fn babble(&mut self) -> Option<u8> {
        let state = self.noise.as_mut()?;
        // xorshift64
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let random = *state >> 32;
        Some(if random & 0x100 == 0 { random as u8 } else { WORDS[random as usize % WORDS.len()] })
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
                Message::Read(buffer) if self.noise.is_some() => {
                    if self.babble() == Some(0x0f) {
                        return Err(BusError::Nack(address));
                    }
                    buffer.iter_mut().for_each(|b| *b = self.babble().unwrap_or_default());
                }
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
