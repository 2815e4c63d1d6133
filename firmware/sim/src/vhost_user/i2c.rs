//! The simulated I²C bus as a virtio adapter: a guest's `/dev/i2c-N`.
//!
//! ```text
//! request   address u16 (shifted up by one), padding u16, flags u32 (1 fail next, 2 read), then what is written
//! answer    what was read, then the status: 0 done, 1 failed
//! ```
//!
//! Linux sends each message of a transfer as a request of its own, flagged `fail next` but for the last. They are put together
//! again: parts see a whole transfer, and none of another client's comes between. Not here: what sits on the bus.

use super::queue::{Answer, Device, REQUEST_LIMIT, Request};
use hwdrivers::bus::socket::MESSAGES_LIMIT;
use hwdrivers::bus::{I2c, Message};

/// Bytes before what is written.
const HEADER: usize = 8;
/// The longest message.
const MESSAGE_LIMIT: usize = REQUEST_LIMIT - HEADER;
/// The request behind this one fails where this one does.
const FAIL_NEXT: u32 = 1;
const READ: u32 = 2;
const FAILED: u8 = 1;

/// The adapter.
pub(super) struct I2cAdapter {
    bus: Box<dyn I2c>,
    /// The last request failed and said that the next one then does too.
    failing: bool,
}

/// A request that has the right form.
struct Asked<'a> {
    address: u8,
    piece: Piece<'a>,
    more: bool,
}

enum Piece<'a> {
    Write(&'a [u8]),
    Read(Vec<u8>),
}

impl I2cAdapter {
    pub(super) fn new(bus: Box<dyn I2c>) -> I2cAdapter {
        I2cAdapter { bus, failing: false }
    }

    /// Runs one transfer.
    fn transfer(&mut self, mut transfer: Vec<Asked<'_>>, answers: &mut Vec<Answer>) {
        let Some((address, more)) = transfer.first().zip(transfer.last()).map(|(first, last)| (first.address, last.more)) else {
            return;
        };
        let message = |a| match a {
            &mut Asked { piece: Piece::Write(bytes), .. } => Message::Write(bytes),
            Asked { piece: Piece::Read(buffer), .. } => Message::Read(buffer),
        };
        let mut messages: Vec<Message<'_>> = transfer.iter_mut().map(message).collect();
        let done = !self.failing && self.bus.transfer(address, &mut messages).is_ok();
        self.failing = !done && more;
        answers.extend(transfer.into_iter().map(|a| match a.piece {
            Piece::Write(_) => Answer { skip: 0, bytes: vec![u8::from(!done) * FAILED] },
            Piece::Read(read) if done => Answer { skip: 0, bytes: [&read[..], &[0]].concat() },
            Piece::Read(read) => Answer { skip: read.len(), bytes: vec![FAILED] },
        }));
    }
}

impl Device for I2cAdapter {
    const QUEUES: usize = 1;
    /// Requests without bytes, by which Linux looks whether a part is there. It drives no adapter without them.
    const FEATURES: u64 = 1;

    fn configuration(&self) -> Vec<u8> {
        Vec::new()
    }

    fn answer(&mut self, burst: &[Request]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(burst.len());
        while let Some(next) = burst.get(answers.len()) {
            let transfer = transfer(&burst[answers.len()..]);
            if transfer.is_empty() {
                answers.push(Answer { skip: next.room.saturating_sub(1), bytes: vec![FAILED; next.room.min(1)] });
                self.failing = flags(&next.asked).is_some_and(|f| f & FAIL_NEXT != 0);
            } else {
                // A transfer whose end has not come yet is run as far as it goes: its guest may wait for an answer first.
                self.transfer(transfer, &mut answers);
            }
        }
        answers
    }

    fn reset(&mut self) {
        self.failing = false;
    }
}

/// The requests of one transfer: up to the first that asks for no more, goes elsewhere or is malformed.
fn transfer(burst: &[Request]) -> Vec<Asked<'_>> {
    let mut found: Vec<Asked<'_>> = Vec::new();
    for asked in burst.iter().map_while(asked).take(MESSAGES_LIMIT) {
        if found.last().is_some_and(|last| !last.more || last.address != asked.address) {
            break;
        }
        found.push(asked);
    }
    found
}

fn flags(asked: &[u8]) -> Option<u32> {
    asked.get(4..HEADER).and_then(|f| f.try_into().ok()).map(u32::from_le_bytes)
}

fn asked(request: &Request) -> Option<Asked<'_>> {
    let (header, bytes) = request.asked.split_at_checked(HEADER)?;
    let flags = flags(header)?;
    let &[low, high, ..] = header else { return None };
    let address = u16::from_le_bytes([low, high]);
    // Ten-bit addresses have bits above the eighth, and no part of ours.
    let address = (address & 1 == 0).then_some(address >> 1).and_then(|a| u8::try_from(a).ok()).filter(|a| *a < 0x80)?;
    let room = request.room.checked_sub(1)?;
    let piece = match flags & READ != 0 {
        true if bytes.is_empty() && room <= MESSAGE_LIMIT => Piece::Read(vec![0; room]),
        false if room == 0 && bytes.len() <= MESSAGE_LIMIT => Piece::Write(bytes),
        _ => return None,
    };
    Some(Asked { address, piece, more: flags & FAIL_NEXT != 0 })
}
