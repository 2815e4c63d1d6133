//! The wire of a chain from the chips' side: CRCs, frames in, frames out, with and without preamble.
//!
//! Written from the description of the protocol and not from the driver's encoder, so that an error in one is seen by the
//! other. Not here: what a frame does.

use super::facts::{Framing, JobKind};

/// Frame bytes of a command, behind the preamble, CRC included.
const READ_SIZE: usize = 5;
const WRITE_SIZE: usize = 9;
/// Frame bytes of a full-header job behind the preamble: hdr, len, 82 data bytes, CRC16. Hosts write 0x36 or 0x56 as its len:
/// chips size the frame by their own kind.
const HEADER_JOB_SIZE: usize = 86;
const HEADER_JOB_LENGTHS: [u8; 2] = [0x36, 0x56];
/// A midstate job's len is its size: one, two or four midstates.
const MIDSTATE_JOB_LENGTHS: [u8; 3] = [0x36, 0x56, 0x96];
/// Where its midstates begin, and their size.
const MIDSTATES_AT: usize = 18;
const MIDSTATE_SIZE: usize = 32;
/// Bytes that a parser keeps at most: the longest job and its preamble.
const PENDING_LIMIT: usize = 0x96 + 2;

/// CRC5: x⁵+x²+1, start 0x1F, most significant bit first, over `bits` bits.
pub(crate) fn crc5(bytes: &[u8], bits: usize) -> u8 {
    let (whole, rest) = (bits / 8, bits % 8);
    let crc = bytes[..whole].iter().fold(0x1f, |crc: u8, byte| STEPS[usize::from(crc << 3 ^ byte)]);
    (0..rest).fold(crc, |crc, i| step(crc, bytes[whole] >> (7 - i)))
}

/// One bit goes in.
const fn step(crc: u8, bit: u8) -> u8 {
    (crc << 1 & 0x1f) ^ if (bit ^ crc >> 4) & 1 == 1 { 0x05 } else { 0 }
}

/// What a byte makes of the five bits that it meets: its upper five lie on them, its lower three come behind. Bit by bit it would take
/// a tenth of a simulation.
const STEPS: [u8; 256] = {
    let (mut table, mut at) = ([0; 256], 0);
    while at < 256 {
        let (mut crc, mut i) = ((at >> 3) as u8, 0);
        while i < 8 {
            crc = step(crc, if i < 5 { 0 } else { (at >> (7 - i)) as u8 });
            i += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

/// CRC16 CCITT-FALSE.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc: u16, b| {
        (0..8).fold(crc ^ u16::from(*b) << 8, |c, _| if c & 0x8000 != 0 { c << 1 ^ 0x1021 } else { c << 1 })
    })
}

/// Whom a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    All,
    One(u8),
}

/// A frame whose CRC is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    SetAddress(u8),
    Write { to: To, register: u8, value: u32 },
    Read { to: To, register: u8 },
    Inactive,
    Job(JobFrame),
}

/// A job: its id and what is to be hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobFrame {
    pub(crate) id: u8,
    pub(crate) task: Task,
}

/// What a job leaves to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// The first 76 bytes of the header, as they are hashed.
    Header([u8; 76]),
    /// States of the hash behind the header's first 64 bytes, and the 12 bytes that follow.
    Midstates { states: Vec<[u32; 8]>, tail: [u8; 12] },
}

/// Finds frames in a stream of bytes; whatever is no frame is skipped silently, as chips do.
#[derive(Debug)]
pub(crate) struct Parser {
    framing: Framing,
    job: JobKind,
    pending: Vec<u8>,
}

impl Parser {
    pub(crate) fn new(framing: Framing, job: JobKind) -> Parser {
        Parser { framing, job, pending: Vec::new() }
    }

    /// Forgets a half frame.
    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    /// Takes one byte; gives a frame where it completes one.
    pub(crate) fn tell(&mut self, byte: u8) -> Option<Frame> {
        self.pending.push(byte);
        loop {
            let preamble: &[u8] = if self.framing == Framing::Bare { &[] } else { &[0x55, 0xaa] };
            let met = self.pending.len().min(preamble.len());
            let alike = self.pending.iter().zip(preamble).all(|(is, should)| is == should);
            let whole = match &self.pending[met..] {
                _ if !alike => None,
                [] | [_] => return None,
                [header, length, ..] => self.size_of(*header, *length),
            };
            match whole {
                Some(size) if self.pending.len() < size + preamble.len() => {
                    assert!(self.pending.len() < PENDING_LIMIT, "a frame never waits for more than its size");
                    return None;
                }
                Some(size) => {
                    let end = size + preamble.len();
                    if let Some(frame) = decode(&self.pending[preamble.len()..end], self.framing, self.job) {
                        self.pending.drain(..end);
                        return Some(frame);
                    }
                    self.pending.remove(0);
                }
                None => {
                    self.pending.remove(0);
                }
            }
            if self.pending.is_empty() {
                return None;
            }
        }
    }

    fn size_of(&self, header: u8, length: u8) -> Option<usize> {
        let (reads, writes): (&[u8], &[u8]) = match self.framing {
            Framing::Preamble => (&[0x40, 0x42, 0x52, 0x53], &[0x41, 0x51]),
            Framing::Bare => (&[0x41, 0x44, 0x54, 0x55], &[0x48, 0x58]),
        };
        match usize::from(length) {
            READ_SIZE if reads.contains(&header) => Some(READ_SIZE),
            WRITE_SIZE if writes.contains(&header) => Some(WRITE_SIZE),
            size if header == 0x21 => match self.job {
                JobKind::Header => HEADER_JOB_LENGTHS.contains(&length).then_some(HEADER_JOB_SIZE),
                JobKind::Midstates => MIDSTATE_JOB_LENGTHS.contains(&length).then_some(size),
            },
            _ => None,
        }
    }
}

fn decode(f: &[u8], framing: Framing, kind: JobKind) -> Option<Frame> {
    if f[0] == 0x21 {
        let (body, sum) = f.split_at(f.len() - 2);
        return (crc16(body).to_be_bytes() == *sum).then(|| job(&body[2..], kind)).flatten().map(Frame::Job);
    }
    let (body, sum) = f.split_at(f.len() - 1);
    if crc5(body, body.len() * 8) != sum[0] {
        return None;
    }
    let to = if f[0] & 0x10 != 0 { To::All } else { To::One(f[2]) };
    let write = || Frame::Write { to, register: f[3], value: u32::from_be_bytes([f[4], f[5], f[6], f[7]]) };
    Some(match (framing, f[0] & 0x0f) {
        (Framing::Preamble, 0) | (Framing::Bare, 1) => Frame::SetAddress(f[2]),
        (Framing::Preamble, 1) | (Framing::Bare, 8) => write(),
        (Framing::Preamble, 2) | (Framing::Bare, 4) => Frame::Read { to, register: f[3] },
        _ => Frame::Inactive,
    })
}

/// The data bytes of a job: id, count, start nonce, nbits, ntime, and then for a whole header the merkle root and the previous
/// hash with their words reversed and the version, for midstates the root's last four bytes and the states, last word first.
fn job(d: &[u8], kind: JobKind) -> Option<JobFrame> {
    if kind == JobKind::Header {
        let mut header = [0; 76];
        header[..4].copy_from_slice(&d[78..82]);
        for word in 0..8 {
            header[4 + 4 * word..8 + 4 * word].copy_from_slice(&d[46 + 4 * (7 - word)..50 + 4 * (7 - word)]);
            header[36 + 4 * word..40 + 4 * word].copy_from_slice(&d[14 + 4 * (7 - word)..18 + 4 * (7 - word)]);
        }
        header[68..72].copy_from_slice(&d[10..14]);
        header[72..76].copy_from_slice(&d[6..10]);
        return Some(JobFrame { id: d[0], task: Task::Header(header) });
    }
    let states: Vec<[u32; 8]> = d[MIDSTATES_AT..].chunks_exact(MIDSTATE_SIZE).map(state).collect();
    let mut tail = [0; 12];
    tail[..4].copy_from_slice(&d[14..18]);
    tail[4..8].copy_from_slice(&d[10..14]);
    tail[8..].copy_from_slice(&d[6..10]);
    (usize::from(d[1]) == states.len()).then_some(JobFrame { id: d[0], task: Task::Midstates { states, tail } })
}

fn state(bytes: &[u8]) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, b) in words.iter_mut().rev().zip(bytes.chunks_exact(4)) {
        *word = u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    }
    words
}

/// How replies look: who frames them, and whether version rolling has made them longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) framing: Framing,
    pub(crate) long: bool,
}

/// A register's value as a chip sends it. Without a preamble it names neither chip nor register.
pub(crate) fn register_reply(value: u32, address: u8, register: u8, shape: Shape) -> Vec<u8> {
    let named = if shape.framing == Framing::Bare { [0, 0] } else { [address, register] };
    close(value, named, [0, 0], shape, 0)
}

/// A nonce as a chip sends it; `excess` and `version` are sent where the shape has room for them.
pub(crate) fn nonce_reply(nonce: u32, excess: u8, id: u8, version: u16, shape: Shape) -> Vec<u8> {
    close(nonce, [excess, id], version.to_be_bytes(), shape, 4)
}

/// The last byte has three bits of type and five of CRC over the payload and those three.
fn close(value: u32, pair: [u8; 2], rest: [u8; 2], shape: Shape, kind: u8) -> Vec<u8> {
    let mut f = if shape.framing == Framing::Bare { vec![] } else { vec![0xaa, 0x55] };
    let start = f.len();
    f.extend(value.to_be_bytes());
    f.extend(pair);
    if shape.long {
        f.extend(rest);
    }
    f.push(kind << 5);
    let bits = (f.len() - start - 1) * 8 + 3;
    let crc = crc5(&f[start..], bits);
    if let Some(last) = f.last_mut() {
        *last |= crc;
    }
    f
}

#[cfg(test)]
mod tests {
    use super::*;

    const NINE: Shape = Shape { framing: Framing::Preamble, long: false };
    const ELEVEN: Shape = Shape { framing: Framing::Preamble, long: true };
    const SEVEN: Shape = Shape { framing: Framing::Bare, long: false };

    fn unhex(text: &str) -> Vec<u8> {
        let t: String = text.split_whitespace().collect();
        (0..t.len() / 2).map(|i| u8::from_str_radix(&t[2 * i..2 * i + 2], 16).expect("hex")).collect()
    }

    fn frames_of(framing: Framing, job: JobKind, bytes: &[u8]) -> Vec<Frame> {
        let mut p = Parser::new(framing, job);
        bytes.iter().filter_map(|b| p.tell(*b)).collect()
    }

    fn frames(bytes: &[u8]) -> Vec<Frame> {
        frames_of(Framing::Preamble, JobKind::Header, bytes)
    }

    /// Commands of captures and published drivers.
    #[test]
    fn published_commands_are_read() {
        let all = |register, value| Frame::Write { to: To::All, register, value };
        let one = |chip, register, value| Frame::Write { to: To::One(chip), register, value };
        for (hex, frame) in [
            ("52 05 00 00 0A", Frame::Read { to: To::All, register: 0 }),
            ("53 05 00 00 03", Frame::Inactive),
            ("40 05 00 00 1C", Frame::SetAddress(0)),
            ("40 05 02 00 01", Frame::SetAddress(2)),
            ("40 05 04 00 03", Frame::SetAddress(4)),
            ("40 05 06 00 1E", Frame::SetAddress(6)),
            ("40 05 08 00 07", Frame::SetAddress(8)),
            ("42 05 40 1C 0B", Frame::Read { to: To::One(0x40), register: 0x1c }),
            ("51 09 00 A4 90 00 FF FF 1C", all(0xa4, 0x9000_ffff)),
            ("51 09 00 A8 00 07 00 00 03", all(0xa8, 0x0007_0000)),
            ("51 09 00 18 FF 0F C1 00 00", all(0x18, 0xff0f_c100)),
            ("51 09 00 18 00 00 7A 31 15", all(0x18, 0x7a31)),
            ("51 09 00 3C 80 00 85 40 0C", all(0x3c, 0x8000_8540)),
            ("51 09 00 3C 80 00 80 20 19", all(0x3c, 0x8000_8020)),
            ("51 09 00 3C 80 00 8B 00 12", all(0x3c, 0x8000_8b00)),
            ("51 09 00 3C 80 00 80 74 10", all(0x3c, 0x8000_8074)),
            ("51 09 00 14 00 00 00 FF 08", all(0x14, 0xff)),
            ("51 09 00 54 00 00 00 03 1D", all(0x54, 3)),
            ("51 09 00 58 02 11 11 11 06", all(0x58, 0x0211_1111)),
            ("41 09 00 2C 00 7C 00 03 03", one(0, 0x2c, 0x007c_0003)),
            ("51 09 00 28 11 30 02 00 03", all(0x28, 0x1130_0200)),
            ("51 09 00 28 06 00 00 0F 18", all(0x28, 0x0600_000f)),
            ("51 09 00 68 C0 70 01 11 00", all(0x68, 0xc070_0111)),
            ("51 09 00 70 0F 0F 0F 00 19", all(0x70, 0x0f0f_0f00)),
            ("51 09 00 08 40 A0 02 41 14", all(0x08, 0x40a0_0241)),
            ("51 09 00 08 40 A0 02 25 16", all(0x08, 0x40a0_0225)),
            ("51 09 00 80 00 00 00 00 1C", all(0x80, 0)),
            ("51 09 00 84 00 00 00 00 11", all(0x84, 0)),
            ("51 09 00 20 00 00 00 01 02", all(0x20, 1)),
        ] {
            assert_eq!(frames(&[vec![0x55, 0xaa], unhex(hex)].concat()), [frame], "{hex}");
        }
        for (hex, frame) in [
            ("41 05 FC 00 0B", Frame::SetAddress(0xfc)),
            ("48 09 00 0C 00 68 02 21 02", one(0, 0x0c, 0x0068_0221)),
            ("54 05 00 00 19", Frame::Read { to: To::All, register: 0 }),
            ("55 05 00 00 10", Frame::Inactive),
        ] {
            assert_eq!(frames_of(Framing::Bare, JobKind::Midstates, &unhex(hex)), [frame], "{hex}");
        }
    }

    #[test]
    fn a_wrong_crc_is_silence_and_the_next_frame_is_found() {
        assert_eq!(frames(&[0x55, 0xaa, 0x52, 5, 0, 0, 0x0b]), []);
        let noisy = [0xff, 0x55, 0x55, 0xaa, 0x52, 5, 0, 0, 0x0b, 0x55, 0xaa, 0x53, 5, 0, 0, 3];
        assert_eq!(frames(&noisy), [Frame::Inactive]);
        assert_eq!(frames(&[0x55, 0xaa, 0x51, 0x55, 0xaa, 0x53, 5, 0, 0, 3]), [Frame::Inactive]);
        let bare = unhex("FF 54 05 00 00 18 41 05 55 05 00 00 10");
        assert_eq!(frames_of(Framing::Bare, JobKind::Midstates, &bare), [Frame::Inactive]);
    }

    #[test]
    fn published_replies_are_written() {
        for (value, chip, register, shape, hex) in [
            (0x1362_0300, 0, 0, NINE, "AA55 13620300 00 00 0D"),
            (0x1362_0300, 0, 0, ELEVEN, "AA55 13620300 00 00 0000 1E"),
            (0x1366_0000, 0, 0, NINE, "AA55 13660000 00 00 0C"),
            (0x1366_0000, 0, 0, ELEVEN, "AA55 13660000 00 00 0000 05"),
            (0x1368_0000, 0, 0, NINE, "AA55 13680000 00 00 14"),
            (0x1368_0000, 0, 0, ELEVEN, "AA55 13680000 00 00 0000 0F"),
            (0x1370_0000, 0, 0, NINE, "AA55 13700000 00 00 06"),
            (0x1370_0000, 0, 0, ELEVEN, "AA55 13700000 00 00 0000 10"),
            (0x1397_1800, 0, 0, NINE, "AA55 13971800 00 00 06"),
            (0x0000_c100, 0, 0x18, NINE, "AA55 0000C100 00 18 02"),
            (0x1387_90f4, 0xf4, 0, SEVEN, "138790F4 00 00 1C"),
        ] {
            assert_eq!(register_reply(value, chip, register, shape), unhex(hex), "{hex}");
        }
        for (nonce, excess, id, version, shape, hex) in [
            (0x4c03_5275, 0x0c, 0xd2, 0x05a2, ELEVEN, "AA55 4C035275 0C D2 05A2 9C"),
            (0x1800_a640, 2, 0x99, 0x22f9, ELEVEN, "AA55 1800A640 02 99 22F9 91"),
            (0x6db8_8ee1, 1, 4, 0x0354, ELEVEN, "AA55 6DB88EE1 01 04 0354 94"),
            (0x1dac_2b7c, 0, 0x30, 0, ELEVEN, "AA55 1DAC2B7C 00 30 0000 8F"),
            (0x0003_ea0f, 2, 0x20, 0, NINE, "AA55 0003EA0F 02 20 9C"),
            (0x7203_ea83, 0, 3, 0, SEVEN, "7203EA83 00 03 98"),
        ] {
            assert_eq!(nonce_reply(nonce, excess, id, version, shape), unhex(hex), "{hex}");
        }
    }

    /// The job that was computed from Bitcoin's first block, with both lengths that hosts write.
    #[test]
    fn the_first_blocks_job_is_its_header() {
        let data = "1801 00000000 FFFF001D 29AB5F49 4B1E5E4A3A9FB8AA888A51327FC81BC367768F617AC72C3E7A7B12B23BA3EDFD \
            0000000000000000000000000000000000000000000000000000000000000000 01000000";
        for (length, crc) in [("36", "DF06"), ("56", "FB42")] {
            let got = frames(&unhex(&format!("55AA21{length}{data}{crc}")));
            let [Frame::Job(JobFrame { id: 0x18, task: Task::Header(header) })] = got.as_slice() else { panic!("{got:?}") };
            let mut whole = [0; 80];
            whole[..76].copy_from_slice(header);
            whole[76..].copy_from_slice(&[0x1d, 0xac, 0x2b, 0x7c]);
            let hash = model::Header::from_bytes(&whole).hash().to_explorer_hex();
            assert_eq!(hash, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        }
    }

    /// A job that was seen on the line of a BM1397.
    #[test]
    fn a_captured_job_of_four_midstates_is_read() {
        let hex = "21 96 04 04 00000000 A3890617 2FA80A64 6F1CC5E8
            99CE15A2DEDF6149779069841C8A0CE0A030E40ACBA6A5FB3319305DE246EF18
            1D6363EBE7BAD98D4BCAFE9C4F45F645FA71A01E8CB82D68DC6CB84E25398C50
            FA7E2EC6C80861B9A589907 1C4755 6E47885352265 51EA68EBF896B0CA4077D4
            0CAF1BD4473785BB396A22C39C2356E7CEB6574C1FA3A99AD3C1A017791FBC38 8C24";
        let got = frames_of(Framing::Preamble, JobKind::Midstates, &[vec![0x55, 0xaa], unhex(hex)].concat());
        let [Frame::Job(JobFrame { id: 4, task: Task::Midstates { states, tail } })] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!((states.len(), states[0][7], states[3][0]), (4, 0x99ce_15a2, 0x791f_bc38));
        assert_eq!(tail.to_vec(), unhex("6F1CC5E8 2FA80A64 A3890617"));
        let bare = frames_of(Framing::Bare, JobKind::Midstates, &unhex(hex));
        assert_eq!(bare.len(), 1, "a BM1387 takes it without preamble");
    }
}
