//! Commands to the chips and replies from them, as bytes on the line. A reply stream is cut into frames by its preamble and
//! checksum; after damage it finds its step again. Not here: what a register means, jobs (`job`).

use super::crc::{crc5, crc5_reply};
use std::collections::VecDeque;

/// First bytes of all that a host sends.
pub const COMMAND_PREAMBLE: [u8; 2] = [0x55, 0xaa];
/// First bytes of all that a chip sends.
pub const REPLY_PREAMBLE: [u8; 2] = [0xaa, 0x55];
/// Bytes that may wait for the rest of their frame. A full chain's answer to one broadcast is 128 replies of 11 bytes; what is
/// beyond twice that is not chips talking.
pub const BUFFER_LIMIT: usize = 4096;

/// One command. Values are 32-bit registers, most significant byte first on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Gives the first chip without an address this one.
    SetAddress(u8),
    /// Writes a register of one chip.
    Write {
        /// Its address.
        chip: u8,
        /// Which register.
        register: u8,
        /// What to write.
        value: u32,
    },
    /// Writes a register of every chip.
    WriteAll {
        /// Which register.
        register: u8,
        /// What to write.
        value: u32,
    },
    /// Reads a register of one chip.
    Read {
        /// Its address.
        chip: u8,
        /// Which register.
        register: u8,
    },
    /// Reads a register of every chip: each answers, nearest first.
    ReadAll {
        /// Which register.
        register: u8,
    },
    /// Makes every chip forget its address and wait for one.
    Inactive,
}

impl Command {
    /// The frame on the wire.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut f = COMMAND_PREAMBLE.to_vec();
        match self {
            Command::SetAddress(chip) => f.extend([0x40, 5, chip, 0]),
            Command::Write { chip, register, value } => {
                f.extend([0x41, 9, chip, register]);
                f.extend(value.to_be_bytes());
            }
            Command::WriteAll { register, value } => {
                f.extend([0x51, 9, 0, register]);
                f.extend(value.to_be_bytes());
            }
            Command::Read { chip, register } => f.extend([0x42, 5, chip, register]),
            Command::ReadAll { register } => f.extend([0x52, 5, 0, register]),
            Command::Inactive => f.extend([0x53, 5, 0, 0]),
        }
        f.push(crc5(&f[2..]));
        f
    }
}

/// What a chip says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A register, as asked.
    Register {
        /// What it holds.
        value: u32,
        /// Who answers.
        chip: u8,
        /// Which register.
        register: u8,
    },
    /// A nonce below the ticket.
    Nonce {
        /// The header's nonce: the four bytes on the wire are the header's four bytes.
        nonce: u32,
        /// How far below the ticket, or which midstate: differs by chip and is not believed.
        excess: u8,
        /// Job id and small core, packed as the chip packs them.
        id: u8,
        /// The rolled version bits, before they are shifted into place; 0 in a short reply.
        version: u16,
    },
}

/// How long replies are, preamble included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplySize {
    /// 9 bytes: midstate chips, and later ones before version rolling is switched on.
    Short,
    /// 11 bytes.
    Long,
}

impl ReplySize {
    /// Bytes on the wire.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            ReplySize::Short => 9,
            ReplySize::Long => 11,
        }
    }
}

const KIND_REGISTER: u8 = 0;
const KIND_NONCE: u8 = 4;

impl Reply {
    /// The frame on the wire, as a chip would send it.
    #[must_use]
    pub fn to_bytes(self, size: ReplySize) -> Vec<u8> {
        let (mut f, kind, version) = match self {
            Reply::Register { value, chip, register } => {
                let v = value.to_be_bytes();
                (vec![0xaa, 0x55, v[0], v[1], v[2], v[3], chip, register], KIND_REGISTER, 0)
            }
            Reply::Nonce { nonce, excess, id, version } => {
                let n = nonce.to_le_bytes();
                (vec![0xaa, 0x55, n[0], n[1], n[2], n[3], excess, id], KIND_NONCE, version)
            }
        };
        if size == ReplySize::Long {
            f.extend(version.to_be_bytes());
        }
        f.push(kind << 5 | crc5_reply(&f[2..], kind));
        f
    }

    /// Reads what is behind the preamble; `None` where checksum or kind is wrong.
    fn from_body(b: &[u8]) -> Option<Reply> {
        let (last, payload) = b.split_last()?;
        if crc5(b) != 0 || payload.len() < 6 {
            return None;
        }
        let four = [b[0], b[1], b[2], b[3]];
        match last >> 5 {
            KIND_REGISTER => Some(Reply::Register { value: u32::from_be_bytes(four), chip: b[4], register: b[5] }),
            KIND_NONCE => {
                let version = payload.get(6..8).map_or(0, |v| u16::from_be_bytes([v[0], v[1]]));
                Some(Reply::Nonce { nonce: u32::from_le_bytes(four), excess: b[4], id: b[5], version })
            }
            _ => None,
        }
    }
}

/// Cuts a byte stream into replies.
#[derive(Debug)]
pub struct Decoder {
    size: ReplySize,
    buffer: VecDeque<u8>,
    in_step: bool,
    errors: u64,
}

impl Decoder {
    /// A decoder of an empty stream.
    #[must_use]
    pub fn new(size: ReplySize) -> Decoder {
        Decoder { size, buffer: VecDeque::new(), in_step: true, errors: 0 }
    }

    /// From now on replies are this long. Bytes that wait are thrown away.
    pub fn restart(&mut self, size: ReplySize) {
        (self.size, self.in_step) = (size, true);
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
        loop {
            while self.buffer.len() >= 2 && (self.buffer[0], self.buffer[1]) != (0xaa, 0x55) {
                self.buffer.pop_front();
                self.lost();
            }
            if self.buffer.len() < self.size.bytes() {
                return None;
            }
            let body: Vec<u8> = self.buffer.iter().skip(2).take(self.size.bytes() - 2).copied().collect();
            if let Some(reply) = Reply::from_body(&body) {
                self.buffer.drain(..self.size.bytes());
                self.in_step = true;
                return Some(reply);
            }
            // The preamble may have been data of a damaged frame: only it is skipped, so that a frame inside is still found.
            self.in_step = true;
            self.lost();
            self.buffer.drain(..2);
        }
    }

    /// Damaged or unreadable stretches so far. A run of noise counts once.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
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
    fn commands_match_captures() {
        for (text, command) in [
            ("52 05 00 00 0A", Command::ReadAll { register: 0 }),
            ("53 05 00 00 03", Command::Inactive),
            ("40 05 00 00 1C", Command::SetAddress(0)),
            ("40 05 02 00 01", Command::SetAddress(2)),
            ("40 05 04 00 03", Command::SetAddress(4)),
            ("40 05 06 00 1E", Command::SetAddress(6)),
            ("40 05 08 00 07", Command::SetAddress(8)),
            ("42 05 40 1C 0B", Command::Read { chip: 0x40, register: 0x1c }),
            ("41 09 00 2C 00 7C 00 03 03", Command::Write { chip: 0, register: 0x2c, value: 0x007c_0003 }),
        ] {
            assert_eq!(command.to_bytes(), [&COMMAND_PREAMBLE[..], &hex(text)].concat(), "{text}");
        }
        for text in [
            "A4 90 00 FF FF 1C",
            "A8 00 07 00 00 03",
            "18 FF 0F C1 00 00",
            "18 00 00 7A 31 15",
            "3C 80 00 85 40 0C",
            "3C 80 00 80 20 19",
            "3C 80 00 8B 00 12",
            "3C 80 00 80 74 10",
            "14 00 00 00 FF 08",
            "54 00 00 00 03 1D",
            "58 02 11 11 11 06",
            "28 11 30 02 00 03",
            "28 06 00 00 0F 18",
            "68 C0 70 01 11 00",
            "70 0F 0F 0F 00 19",
            "08 40 A0 02 41 14",
            "08 40 A0 02 25 16",
            "80 00 00 00 00 1C",
            "84 00 00 00 00 11",
            "20 00 00 00 01 02",
        ] {
            let b = hex(text);
            let command = Command::WriteAll { register: b[0], value: u32::from_be_bytes([b[1], b[2], b[3], b[4]]) };
            assert_eq!(command.to_bytes()[5..], b, "{text}");
        }
    }

    #[test]
    fn replies_match_captures_both_ways() {
        let register = |value| Reply::Register { value, chip: 0, register: 0 };
        for (text, size, reply) in [
            ("AA55 13971800 00 00 06", ReplySize::Short, register(0x1397_1800)),
            ("AA55 13620300 00 00 0D", ReplySize::Short, register(0x1362_0300)),
            ("AA55 13660000 00 00 0C", ReplySize::Short, register(0x1366_0000)),
            ("AA55 13680000 00 00 14", ReplySize::Short, register(0x1368_0000)),
            ("AA55 13700000 00 00 06", ReplySize::Short, register(0x1370_0000)),
            ("AA55 13620300 00 00 0000 1E", ReplySize::Long, register(0x1362_0300)),
            ("AA55 13660000 00 00 0000 05", ReplySize::Long, register(0x1366_0000)),
            ("AA55 13680000 00 00 0000 0F", ReplySize::Long, register(0x1368_0000)),
            ("AA55 13700000 00 00 0000 10", ReplySize::Long, register(0x1370_0000)),
            ("AA55 0000C100 00 18 02", ReplySize::Short, Reply::Register { value: 0xc100, chip: 0, register: 0x18 }),
            (
                "AA55 1800A640 02 99 22F9 91",
                ReplySize::Long,
                Reply::Nonce { nonce: 0x40a6_0018, excess: 2, id: 0x99, version: 0x22f9 },
            ),
            (
                "AA55 6DB88EE1 01 04 0354 94",
                ReplySize::Long,
                Reply::Nonce { nonce: 0xe18e_b86d, excess: 1, id: 4, version: 0x0354 },
            ),
        ] {
            assert_eq!(reply.to_bytes(size), hex(text), "{text}");
            let mut decoder = Decoder::new(size);
            decoder.push(&hex(text));
            assert_eq!(decoder.next_reply(), Some(reply), "{text}");
            assert_eq!((decoder.next_reply(), decoder.errors()), (None, 0));
        }
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
            let mut decoder = Decoder::new(ReplySize::Long);
            decoder.push(&noise);
            while decoder.next_reply().is_some() {}
            decoder.push(&[0; 11]);
            let reply = Reply::Nonce { nonce: 7, excess: 0, id: 8, version: 9 };
            decoder.push(&reply.to_bytes(ReplySize::Long));
            proptest::prop_assert_eq!(std::iter::from_fn(|| decoder.next_reply()).last(), Some(reply));
        }
    }
}
