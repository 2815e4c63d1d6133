//! A bus for tests: it writes down what it is told and answers from a list.

use super::{BusError, I2c, Message};
use std::collections::VecDeque;

/// What was written, by address, and what is read next.
pub(crate) struct Recorder {
    pub(crate) written: Vec<(u8, Vec<u8>)>,
    answers: VecDeque<Vec<u8>>,
    present: bool,
}

impl Recorder {
    pub(crate) fn answering(answers: &[&[u8]]) -> Recorder {
        Recorder { written: vec![], answers: answers.iter().map(|a| a.to_vec()).collect(), present: true }
    }
    pub(crate) fn absent() -> Recorder {
        Recorder { written: vec![], answers: VecDeque::new(), present: false }
    }
}

impl I2c for Recorder {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        if !self.present {
            return Err(BusError::Nack(address));
        }
        for message in messages {
            match message {
                Message::Write(bytes) => self.written.push((address, bytes.to_vec())),
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
