//! One request at a time to a slow part: send, wait, read, rest; three tries. It never sleeps: it says when its next turn is due.
//! Not here: what the bytes mean.

use crate::bus::{BusError, I2c, Message};
use model::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Times that a request is sent before it counts as failed.
pub const TRIES: u8 = 3;

/// Why a part did not obey.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The bus failed.
    #[error("the bus failed")]
    Bus(#[from] BusError),
    /// It said something else than expected.
    #[error("it answered {0:02x?}")]
    Answer(Vec<u8>),
}

/// How bytes travel to a part. All of them take one byte a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Each byte alone; the answer is read in one go.
    Stream,
    /// Each byte, there and back, by way of this register.
    Register(u8),
}

/// A part's pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Behind an answer, before the next request.
    pub(crate) rest: Duration,
    /// Behind a failure, before the next try.
    pub(crate) retry: Duration,
}

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) struct Request<O> {
    /// What it is for.
    pub(crate) order: O,
    /// What is sent.
    pub(crate) bytes: Vec<u8>,
    /// Bytes of the answer.
    pub(crate) answer: usize,
    /// From the last byte sent to the first one read.
    pub(crate) wait: Duration,
}

/// The line of requests to one part.
#[derive(Debug)]
pub(crate) struct Exchange<O> {
    address: u8,
    wire: Wire,
    pace: Pace,
    queue: VecDeque<Request<O>>,
    sent: bool,
    tries: u8,
    due: Time,
}

impl<O: Copy> Exchange<O> {
    pub(crate) const fn new(address: u8, wire: Wire, pace: Pace) -> Exchange<O> {
        Exchange { address, wire, pace, queue: VecDeque::new(), sent: false, tries: 0, due: Time::ZERO }
    }

    /// Puts a request at the end. A waiting one of the same kind gives way to it, so that there are never more requests than
    /// kinds.
    pub(crate) fn push(&mut self, request: Request<O>) {
        let kind = std::mem::discriminant::<O>(&request.order);
        let busy = usize::from(self.sent || self.tries > 0);
        let mut n = 0;
        self.queue.retain(|r| {
            n += 1;
            n <= busy || std::mem::discriminant::<O>(&r.order) != kind
        });
        self.queue.push_back(request);
    }

    /// Drops whatever is under way and does this now.
    pub(crate) fn push_urgent(&mut self, request: Request<O>) {
        self.clear();
        self.queue.push_back(request);
        self.due = Time::ZERO;
    }

    /// Drops whatever is under way.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        (self.sent, self.tries) = (false, 0);
    }

    pub(crate) fn wake_at(&self) -> Time {
        if self.queue.is_empty() { Time::NEVER } else { self.due }
    }

    /// Does what is due. `read` turns an answer into what it means, or `None` where it is not the right one.
    pub(crate) fn turn<T>(
        &mut self,
        now: Time,
        bus: &mut dyn I2c,
        read: impl Fn(&O, &[u8]) -> Option<T>,
    ) -> Option<(O, Result<T, PowerError>)> {
        if now < self.due {
            return None;
        }
        let request = self.queue.front()?;
        let order = request.order;
        let outcome = if self.sent {
            self.sent = false;
            let mut answer = vec![0; request.answer];
            self.get(bus, &mut answer)
                .map_err(PowerError::Bus)
                .and_then(|()| read(&order, &answer).ok_or(PowerError::Answer(answer)))
        } else {
            match self.put(bus, &request.bytes) {
                Ok(()) => {
                    self.sent = true;
                    self.due = now + request.wait;
                    return None;
                }
                Err(e) => Err(PowerError::Bus(e)),
            }
        };
        if outcome.is_err() {
            self.tries += 1;
            if self.tries < TRIES {
                self.due = now + self.pace.retry;
                return None;
            }
        }
        self.tries = 0;
        self.queue.pop_front();
        self.due = now + self.pace.rest;
        Some((order, outcome))
    }

    fn put(&self, bus: &mut dyn I2c, bytes: &[u8]) -> Result<(), BusError> {
        for byte in bytes {
            match self.wire {
                Wire::Stream => bus.transfer(self.address, &mut [Message::Write(&[*byte])])?,
                Wire::Register(r) => bus.transfer(self.address, &mut [Message::Write(&[r, *byte])])?,
            }
        }
        Ok(())
    }

    fn get(&self, bus: &mut dyn I2c, answer: &mut [u8]) -> Result<(), BusError> {
        match self.wire {
            Wire::Stream => bus.transfer(self.address, &mut [Message::Read(answer)]),
            Wire::Register(r) => answer
                .chunks_mut(1)
                .try_for_each(|byte| bus.transfer(self.address, &mut [Message::Write(&[r]), Message::Read(byte)])),
        }
    }
}
