//! Commands to the chips and replies from them, as bytes on the line. Not here: how a stream is cut into replies (`decoder`),
//! what a register means, jobs (`job`).

use super::crc::{crc5, crc5_reply};

/// First bytes of all that a host sends.
pub const COMMAND_PREAMBLE: [u8; 2] = [0x55, 0xaa];
/// First bytes of all that a chip sends.
pub const REPLY_PREAMBLE: [u8; 2] = [0xaa, 0x55];

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

/// How a chip's frames look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// BM1397 and later: a preamble both ways.
    Preamble,
    /// BM1387: none, and other codes for the same commands.
    Bare,
}

impl Command {
    /// The frame on the wire, with a preamble.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.framed(Framing::Preamble)
    }

    /// The frame on the wire.
    #[must_use]
    pub fn framed(self, framing: Framing) -> Vec<u8> {
        match framing {
            Framing::Preamble => self.with_preamble(),
            Framing::Bare => self.bare(),
        }
    }

    fn bare(self) -> Vec<u8> {
        let mut f = match self {
            Command::SetAddress(chip) => vec![0x41, 5, chip, 0],
            Command::Write { chip, register, .. } => vec![0x48, 9, chip, register],
            Command::WriteAll { register, .. } => vec![0x58, 9, 0, register],
            Command::Read { chip, register } => vec![0x44, 5, chip, register],
            Command::ReadAll { register } => vec![0x54, 5, 0, register],
            Command::Inactive => vec![0x55, 5, 0, 0],
        };
        if let Command::Write { value, .. } | Command::WriteAll { value, .. } = self {
            f.extend(value.to_be_bytes());
        }
        f.push(crc5(&f));
        f
    }

    fn with_preamble(self) -> Vec<u8> {
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

/// How long replies are, the preamble included where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplySize {
    /// 7 bytes without a preamble: BM1387. A register's reply names neither chip nor register.
    Bare,
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
            ReplySize::Bare => 7,
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
            Reply::Register { value, .. } if size == ReplySize::Bare => {
                let v = value.to_be_bytes();
                (vec![v[0], v[1], v[2], v[3], 0, 0], KIND_REGISTER, 0)
            }
            Reply::Nonce { nonce, id, .. } if size == ReplySize::Bare => {
                let n = nonce.to_le_bytes();
                (vec![n[0], n[1], n[2], n[3], 0, id], KIND_NONCE, 0)
            }
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
        let payload = if size == ReplySize::Bare { &f[..] } else { &f[2..] };
        f.push(kind << 5 | crc5_reply(payload, kind));
        f
    }

    /// Reads what is behind the preamble; `None` where checksum or kind is wrong.
    pub(super) fn from_body(b: &[u8]) -> Option<Reply> {
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

#[cfg(test)]
mod tests {
    use super::super::decoder::Decoder;
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
    fn commands_of_a_bm1387_have_codes_of_their_own() {
        for (text, command) in [
            ("41 05 FC 00 0B", Command::SetAddress(0xfc)),
            ("54 05 00 00 19", Command::ReadAll { register: 0 }),
            ("55 05 00 00 10", Command::Inactive),
            ("48 09 00 0C 00 68 02 21 02", Command::Write { chip: 0, register: 0x0c, value: 0x0068_0221 }),
        ] {
            assert_eq!(command.framed(Framing::Bare), hex(text), "{text}");
        }
        let all = Command::WriteAll { register: 0x0c, value: 0x0068_0221 }.framed(Framing::Bare);
        assert_eq!((all[0], crc5(&all[..8])), (0x58, all[8]));
        assert_eq!(Command::Read { chip: 0xf4, register: 0x20 }.framed(Framing::Bare)[..4], [0x44, 5, 0xf4, 0x20]);
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
            ("13 87 90 F4 00 00 1C", ReplySize::Bare, register(0x1387_90f4)),
            ("72 03 EA 83 00 03 98", ReplySize::Bare, Reply::Nonce { nonce: 0x83ea_0372, excess: 0, id: 3, version: 0 }),
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
}
