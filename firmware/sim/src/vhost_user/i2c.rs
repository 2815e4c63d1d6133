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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{World, buses, lock};
    use hwdrivers::bus::BusError;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    fn request(address: u16, flags: u32, bytes: &[u8], room: usize) -> Request {
        Request { asked: [&(address << 1).to_le_bytes()[..], &[0; 2], &flags.to_le_bytes(), bytes].concat(), room }
    }

    fn write(address: u16, bytes: &[u8], more: u32) -> Request {
        request(address, more, bytes, 1)
    }

    fn read(address: u16, size: usize, more: u32) -> Request {
        request(address, READ | more, &[], size + 1)
    }

    fn done(bytes: &[u8]) -> Answer {
        Answer { skip: 0, bytes: [bytes, &[0]].concat() }
    }

    fn failed(skip: usize) -> Answer {
        Answer { skip, bytes: vec![FAILED] }
    }

    fn machine() -> (Arc<Mutex<World>>, I2cAdapter) {
        let world = Arc::new(Mutex::new(World::new(&board::antminer_s19jpro::PRODUCT, 1, crate::real_time::SCALE)));
        let adapter = I2cAdapter::new(buses(&world).i2c);
        (world, adapter)
    }

    fn pass(world: &Mutex<World>, millis: u64) {
        let mut world = lock(world);
        let to = world.now() + Duration::from_millis(millis);
        world.advance(to);
    }

    /// A bus that notes the shape of each transfer: 0 for a write, the length of a read.
    struct Noting(Arc<Mutex<Vec<Transfer>>>);
    type Transfer = (u8, Vec<usize>);

    impl I2c for Noting {
        fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
            let shape = |m: &Message<'_>| if let Message::Read(b) = m { b.len() } else { 0 };
            self.0.lock().expect("whole").push((address, messages.iter().map(shape).collect()));
            Ok(())
        }
    }

    #[test]
    fn requests_that_belong_together_are_one_transfer() {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let mut a = I2cAdapter::new(Box::new(Noting(Arc::clone(&noted))));
        let more = FAIL_NEXT;
        a.answer(&[write(0x48, &[0], more), read(0x48, 2, 0), write(0x48, &[1], 0), read(0x49, 3, 0)]);
        // Another part's message between them, and an end that comes later.
        a.answer(&[write(0x48, &[0], more), read(0x49, 4, more), read(0x49, 5, more)]);
        a.answer(&[read(0x49, 6, 0)]);
        a.answer(&vec![write(0x20, &[0], more); MESSAGES_LIMIT + 1]);
        let transfers = std::mem::take(&mut *noted.lock().expect("whole"));
        let expected: [Transfer; 8] = [
            (0x48, vec![0, 2]),
            (0x48, vec![0]),
            (0x49, vec![3]),
            (0x48, vec![0]),
            (0x49, vec![4, 5]),
            (0x49, vec![6]),
            (0x20, vec![0; MESSAGES_LIMIT]),
            (0x20, vec![0]),
        ];
        assert_eq!(transfers, expected);
    }

    #[test]
    fn sensors_and_fan_controller_give_the_register_that_was_pointed_to() {
        let (_world, mut a) = machine();
        let more = FAIL_NEXT;
        assert_eq!(a.answer(&[write(0x49, &[0], more), read(0x49, 2, 0)]), [done(&[]), done(&[25, 0])]);
        assert_eq!(a.answer(&[write(0x49, &[2], more), read(0x49, 2, 0)]), [done(&[]), done(&[0x4b, 0])]);
        assert_eq!(a.answer(&[write(0x2d, &[0x40, 0x99], 0)]), [done(&[])]);
        assert_eq!(a.answer(&[write(0x2d, &[0x40], more), read(0x2d, 1, 0)]), [done(&[]), done(&[0x99])]);
        assert_eq!(a.answer(&[write(0x2d, &[0xfd], more), read(0x2d, 2, 0)]), [done(&[]), done(&[0x34, 0x5d])]);
        assert_eq!(a.answer(&[write(0x48, &[], 0), read(0x48, 0, 0)]), [done(&[]), done(&[])], "is it there?");
    }

    #[test]
    fn packets_of_regulator_and_supply_come_byte_by_byte() {
        let (world, mut a) = machine();
        let ok = |answers: Vec<Answer>| assert!(answers.iter().all(|a| *a == done(&[])), "{answers:?}");
        ok(a.answer(&[0x55, 0xaa, 5, 0x15, 1, 0, 0x1b].map(|b| write(0x20, &[b], 0))));
        pass(&world, 100);
        let bytes = [read(0x20, 1, 0), read(0x20, 1, 0)];
        assert_eq!(a.answer(&bytes), [done(&[0x15]), done(&[1])]);
        ok(a.answer(&[0x55, 0xaa, 4, 2, 6, 0].map(|b| write(0x10, &[0x11, b], 0))));
        pass(&world, 400);
        assert_eq!(a.answer(&[read(0x10, 8, 0)]), [done(&[0x55, 0xaa, 6, 2, 0x71, 0, 0x79, 0])]);
    }

    #[test]
    fn where_nothing_answers_all_of_the_transfer_fails_and_nothing_behind_it() {
        let (world, mut a) = machine();
        let more = FAIL_NEXT;
        let good = [write(0x48, &[0], more), read(0x48, 2, 0)];
        let bad = [write(0x33, &[0], more), read(0x33, 2, 0)];
        let answers = a.answer(&[&bad[..], &good].concat());
        assert_eq!(answers, [failed(0), failed(2), done(&[]), done(&[25, 0])]);
        // Its second half comes later, and fails with it.
        assert_eq!(a.answer(&[write(0x33, &[0], more)]), [failed(0)]);
        assert_eq!(a.answer(&good), [failed(0), failed(2)]);
        assert_eq!(a.answer(&good), [done(&[]), done(&[25, 0])]);
        assert_eq!(a.answer(&[write(0x33, &[0], more)]), [failed(0)]);
        a.reset();
        assert_eq!(a.answer(&good), [done(&[]), done(&[25, 0])]);
        lock(&world).plug_bus(false);
        assert_eq!(a.answer(&good), [failed(0), failed(2)]);
    }

    #[test]
    fn what_has_another_form_fails_within_its_room() {
        let (_world, mut a) = machine();
        let whole = read(0x48, 2, 0).asked;
        let rows = [
            Request::default(),
            Request { asked: whole.clone(), room: 0 },
            Request { asked: whole[..7].to_vec(), room: 3 },
            Request { asked: whole.clone(), room: MESSAGE_LIMIT + 2 },
            Request { asked: whole.clone(), room: usize::MAX },
            Request { asked: [&whole[..], &[0]].concat(), room: 3 },
            request(0x48, 0, &[0], 2),
            request(0x48, 0, &[0; MESSAGE_LIMIT + 1], 1),
            request(0x80, 0, &[0], 1),
            request(0x3cc8, 0, &[0], 1),
            Request { asked: vec![0x91, 0, 0, 0, 0, 0, 0, 0], room: 1 },
        ];
        for row in rows {
            let answers = a.answer(std::slice::from_ref(&row));
            let status = vec![FAILED; row.room.min(1)];
            assert_eq!(answers, [Answer { skip: row.room.saturating_sub(1), bytes: status }], "{row:?}");
        }
        assert_eq!(a.answer(&[read(0x48, MESSAGE_LIMIT, 0)])[0].bytes.len(), MESSAGE_LIMIT + 1);
    }

    #[test]
    fn any_bytes_are_answered_within_their_room() {
        let (_world, mut a) = machine();
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..2000 {
            let burst: Vec<Request> = (0..random(6))
                .map(|_| {
                    let size = random(24) as usize;
                    let mut asked: Vec<u8> = (0..size).map(|_| random(256) as u8).collect();
                    // Half of them come near the form.
                    if random(2) == 0 {
                        asked.splice(..size.min(8), [0x40 + random(0x70) as u8, 0, 0, 0, random(4) as u8, 0, 0, 0]);
                    }
                    Request { asked, room: random(5) as usize }
                })
                .collect();
            let answers = a.answer(&burst);
            assert_eq!(answers.len(), burst.len(), "{burst:?}");
            for (request, answer) in burst.iter().zip(&answers) {
                assert!(answer.skip + answer.bytes.len() <= request.room, "{request:?} {answer:?}");
            }
        }
    }
}
