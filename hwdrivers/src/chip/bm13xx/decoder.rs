//! Cuts a byte stream into replies by preamble and checksum; after damage it finds its step again. It also sees replies of
//! another size than expected, which is what a chip sends that missed a setting. Not here: what a reply means.

use super::frame::{REPLY_PREAMBLE, Reply, ReplySize};
use std::collections::VecDeque;

/// Bytes that may wait for the rest of their frame. A full chain's answer to one broadcast is 128 replies of 11 bytes; what is
/// beyond twice that is not chips talking.
pub const BUFFER_LIMIT: usize = 4096;

/// Cuts a byte stream into replies.
#[derive(Debug)]
pub struct Decoder {
    size: ReplySize,
    buffer: VecDeque<u8>,
    in_step: bool,
    errors: u64,
    /// Whole replies of the other size since the last one of the right size.
    misfits: u32,
}

impl Decoder {
    /// A decoder of an empty stream.
    #[must_use]
    pub fn new(size: ReplySize) -> Decoder {
        Decoder { size, buffer: VecDeque::new(), in_step: true, errors: 0, misfits: 0 }
    }

    /// From now on replies are this long. Bytes that wait are thrown away.
    pub fn restart(&mut self, size: ReplySize) {
        (self.size, self.in_step, self.misfits) = (size, true, 0);
        self.buffer.clear();
    }

    /// Takes what arrived. What does not fit is thrown away and counted as one error.
    pub fn push(&mut self, bytes: &[u8]) {
        let room = BUFFER_LIMIT - self.buffer.len();
        if bytes.len() > room {
            self.lost();
        }
        self.buffer.extend(&bytes[..bytes.len().min(room)]);
    }

    /// The next whole reply.
    pub fn next_reply(&mut self) -> Option<Reply> {
        if self.size == ReplySize::Bare { self.next_bare() } else { self.next_framed() }
    }

    /// How many whole replies came in the other size since one came in the right size. The line is taken as silent now: what is
    /// shorter than expected will not become longer.
    pub fn misfits(&mut self) -> u32 {
        if self.size == ReplySize::Long && self.buffer.len() == ReplySize::Short.bytes() && self.whole(ReplySize::Short).is_some()
        {
            self.buffer.clear();
            self.misfits += 1;
        }
        self.misfits
    }

    /// The size that is expected.
    #[must_use]
    pub fn size(&self) -> ReplySize {
        self.size
    }

    /// Damaged or unreadable stretches so far. A run of noise counts once.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    fn next_framed(&mut self) -> Option<Reply> {
        loop {
            while self.buffer.len() >= 2 && [self.buffer[0], self.buffer[1]] != REPLY_PREAMBLE {
                self.buffer.pop_front();
                self.lost();
            }
            if self.buffer.len() < self.size.bytes() {
                return None;
            }
            if let Some(reply) = self.whole(self.size) {
                self.buffer.drain(..self.size.bytes());
                (self.in_step, self.misfits) = (true, 0);
                return Some(reply);
            }
            self.in_step = true;
            self.lost();
            let other = if self.size == ReplySize::Long { ReplySize::Short } else { ReplySize::Long };
            if self.whole(other).is_some() && self.ends_at(other.bytes()) {
                self.buffer.drain(..other.bytes());
                (self.in_step, self.misfits) = (true, self.misfits.saturating_add(1));
            } else {
                // The preamble may have been data of a damaged frame: only it is skipped, so that a frame inside is still found.
                self.buffer.drain(..2);
            }
        }
    }

    /// Without a preamble only the checksum and two bytes that are always 0 tell a frame from its neighbour's end.
    fn next_bare(&mut self) -> Option<Reply> {
        while self.buffer.len() >= ReplySize::Bare.bytes() {
            let reply = self.whole(ReplySize::Bare).filter(|reply| match reply {
                Reply::Register { chip, register, .. } => (*chip, *register) == (0, 0),
                Reply::Nonce { excess, .. } => *excess == 0,
            });
            if reply.is_some() {
                self.buffer.drain(..ReplySize::Bare.bytes());
                self.in_step = true;
                return reply;
            }
            self.buffer.pop_front();
            self.lost();
        }
        None
    }

    fn whole(&self, size: ReplySize) -> Option<Reply> {
        let skip = if size == ReplySize::Bare { 0 } else { REPLY_PREAMBLE.len() };
        if self.buffer.len() < size.bytes() {
            return None;
        }
        let mut body = [0; ReplySize::Long.bytes()];
        let body = &mut body[..size.bytes() - skip];
        body.iter_mut().zip(self.buffer.iter().skip(skip)).for_each(|(to, from)| *to = *from);
        Reply::from_body(body)
    }

    /// Whether a frame can end here: behind it stands nothing, or a preamble or its beginning.
    fn ends_at(&self, at: usize) -> bool {
        self.buffer.iter().skip(at).zip(REPLY_PREAMBLE).all(|(b, p)| *b == p)
    }

    fn lost(&mut self) {
        if self.in_step {
            self.errors += 1;
        }
        self.in_step = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).expect("ascii"), 16).expect("hex")).collect()
    }

    #[test]
    fn replies_of_the_other_size_are_seen_as_what_they_are() {
        let reply = Reply::Nonce { nonce: 7, excess: 0, id: 8, version: 9 };
        for (size, other) in [(ReplySize::Long, ReplySize::Short), (ReplySize::Short, ReplySize::Long)] {
            let mut decoder = Decoder::new(size);
            for _ in 0..4 {
                decoder.push(&reply.to_bytes(other));
            }
            assert_eq!(std::iter::from_fn(|| decoder.next_reply()).count(), 0);
            assert_eq!(decoder.misfits(), 4, "{size:?}");
            decoder.push(&reply.to_bytes(size));
            assert!(decoder.next_reply().is_some());
            assert_eq!(decoder.misfits(), 0, "one of the right size and all is well");
        }
    }

    #[test]
    fn a_stream_without_preambles_finds_its_step_again() {
        let nonce = Reply::Nonce { nonce: 0x83ea_0372, excess: 0, id: 3, version: 0 };
        let register = Reply::Register { value: 0x1387_90f4, chip: 0, register: 0 };
        let mut damaged = nonce.to_bytes(ReplySize::Bare);
        damaged[2] ^= 4;
        let mut decoder = Decoder::new(ReplySize::Bare);
        for frame in [&[0xff, 0x13][..], &register.to_bytes(ReplySize::Bare), &damaged, &nonce.to_bytes(ReplySize::Bare)] {
            decoder.push(frame);
        }
        assert_eq!(std::iter::from_fn(|| decoder.next_reply()).collect::<Vec<_>>(), [register, nonce]);
        assert_eq!(decoder.errors(), 2, "noise and a damaged frame");
    }

    #[test]
    fn a_stream_finds_its_step_again_after_damage() {
        let good = hex("AA55 6DB88EE1 01 04 0354 94");
        let mut damaged = good.clone();
        damaged[4] ^= 0x10;
        let cut = &good[..6];
        let mut decoder = Decoder::new(ReplySize::Long);
        for byte in [&[0, 0xff, 0xaa][..], &good, &damaged, &good, cut, &good].concat() {
            decoder.push(&[byte]);
        }
        let found = std::iter::from_fn(|| decoder.next_reply()).count();
        assert_eq!(found, 3);
        assert_eq!(decoder.errors(), 3, "noise, a damaged frame and a cut frame");
    }

    #[test]
    fn noise_without_end_stays_bounded() {
        let mut decoder = Decoder::new(ReplySize::Long);
        for _ in 0..100 {
            decoder.push(&[0xaa; 1000]);
        }
        assert!(decoder.buffer.len() <= BUFFER_LIMIT);
        assert_eq!(decoder.next_reply(), None);
        assert!(decoder.errors() >= 1);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived_and_a_frame_behind_silence_is_found(noise in proptest::collection::vec(0u8.., 0..300)) {
            for size in [ReplySize::Bare, ReplySize::Short, ReplySize::Long] {
                let mut decoder = Decoder::new(size);
                decoder.push(&noise);
                while decoder.next_reply().is_some() {}
                decoder.push(&[0; 11]);
                let version = if size == ReplySize::Long { 9 } else { 0 };
                let reply = Reply::Nonce { nonce: 7, excess: 0, id: 8, version };
                decoder.push(&reply.to_bytes(size));
                let last = std::iter::from_fn(|| decoder.next_reply()).last();
                // Without a preamble noise and a frame's beginning may pass for one; the owner hashes what it is told.
                if size != ReplySize::Bare {
                    proptest::prop_assert_eq!(last, Some(reply));
                }
                proptest::prop_assert!(decoder.buffer.len() < size.bytes());
            }
        }
    }
}
