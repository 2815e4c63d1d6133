//! The wire of a BM136x chain from the chips' side: CRCs, frames in, frames out.
//!
//! Written from the description of the protocol and not from the driver's encoder, so that an error in one is seen by the
//! other. Not here: what a frame does.

/// Frame bytes of a command, behind the preamble, CRC included.
const READ_SIZE: usize = 5;
const WRITE_SIZE: usize = 9;
/// Frame bytes of a full-header job behind the preamble: hdr, len, 82 data bytes, CRC16. Hosts write 0x36 or 0x56 as its len:
/// chips size the frame by their own kind.
const JOB_SIZE: usize = 86;
const JOB_LENGTHS: [u8; 2] = [0x36, 0x56];
/// Bytes that a parser keeps at most: a whole job and its preamble.
const PENDING_LIMIT: usize = JOB_SIZE + 2;

/// CRC5: x⁵+x²+1, start 0x1F, most significant bit first, over `bits` bits.
pub(crate) fn crc5(bytes: &[u8], bits: usize) -> u8 {
    (0..bits).fold(0x1f, |crc: u8, i| {
        let bit = bytes[i / 8] >> (7 - i % 8) & 1;
        let top = crc >> 4 & 1;
        (crc << 1 & 0x1f) ^ if bit ^ top == 1 { 0x05 } else { 0 }
    })
}

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

/// A job: its id and the first 76 bytes of the header, as they are hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobFrame {
    pub(crate) id: u8,
    pub(crate) header: [u8; 76],
}

/// Finds frames in a stream of bytes; whatever is no frame is skipped silently, as chips do.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    pending: Vec<u8>,
}

impl Parser {
    /// Forgets a half frame.
    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    /// Takes one byte; gives a frame where it completes one.
    pub(crate) fn tell(&mut self, byte: u8) -> Option<Frame> {
        self.pending.push(byte);
        loop {
            let whole = match self.pending.as_slice() {
                [] | [0x55] | [0x55, 0xaa] | [0x55, 0xaa, _] => return None,
                [0x55, 0xaa, header, length, ..] => size_of(*header, *length),
                _ => None,
            };
            match whole {
                Some(size) if self.pending.len() < size + 2 => {
                    assert!(self.pending.len() < PENDING_LIMIT, "a frame never waits for more than its size");
                    return None;
                }
                Some(size) => {
                    if let Some(frame) = decode(&self.pending[2..size + 2]) {
                        self.pending.drain(..size + 2);
                        return Some(frame);
                    }
                    self.pending.remove(0);
                }
                None => {
                    self.pending.remove(0);
                }
            }
        }
    }
}

fn size_of(header: u8, length: u8) -> Option<usize> {
    match header {
        0x40 | 0x42 | 0x52 | 0x53 if usize::from(length) == READ_SIZE => Some(READ_SIZE),
        0x41 | 0x51 if usize::from(length) == WRITE_SIZE => Some(WRITE_SIZE),
        0x21 if JOB_LENGTHS.contains(&length) => Some(JOB_SIZE),
        _ => None,
    }
}

fn decode(f: &[u8]) -> Option<Frame> {
    if f[0] == 0x21 {
        let (body, sum) = f.split_at(JOB_SIZE - 2);
        return (crc16(body).to_be_bytes() == *sum).then(|| Frame::Job(job(&body[2..])));
    }
    let (body, sum) = f.split_at(f.len() - 1);
    if crc5(body, body.len() * 8) != sum[0] {
        return None;
    }
    let to = if f[0] & 0x10 != 0 { To::All } else { To::One(f[2]) };
    Some(match f[0] & 0x0f {
        0 => Frame::SetAddress(f[2]),
        1 => Frame::Write { to, register: f[3], value: u32::from_be_bytes([f[4], f[5], f[6], f[7]]) },
        2 => Frame::Read { to, register: f[3] },
        _ => Frame::Inactive,
    })
}

/// The 82 data bytes: id, 01, start nonce, nbits, ntime, merkle root and previous hash with their words reversed, version.
fn job(d: &[u8]) -> JobFrame {
    let mut header = [0; 76];
    header[..4].copy_from_slice(&d[78..82]);
    for word in 0..8 {
        header[4 + 4 * word..8 + 4 * word].copy_from_slice(&d[46 + 4 * (7 - word)..50 + 4 * (7 - word)]);
        header[36 + 4 * word..40 + 4 * word].copy_from_slice(&d[14 + 4 * (7 - word)..18 + 4 * (7 - word)]);
    }
    header[68..72].copy_from_slice(&d[10..14]);
    header[72..76].copy_from_slice(&d[6..10]);
    JobFrame { id: d[0], header }
}

/// A register's value as a chip sends it; `long` adds the two bytes that version rolling brings.
pub(crate) fn register_reply(value: u32, address: u8, register: u8, long: bool) -> Vec<u8> {
    let v = value.to_be_bytes();
    let mut f = vec![0xaa, 0x55, v[0], v[1], v[2], v[3], address, register];
    if long {
        f.extend([0, 0]);
    }
    close(f, 0)
}

/// A nonce as a chip sends it.
pub(crate) fn nonce_reply(nonce: u32, excess: u8, id: u8, version: Option<u16>) -> Vec<u8> {
    let n = nonce.to_be_bytes();
    let mut f = vec![0xaa, 0x55, n[0], n[1], n[2], n[3], excess, id];
    if let Some(v) = version {
        f.extend(v.to_be_bytes());
    }
    close(f, 4)
}

/// The last byte: three bits of type, five of CRC over the payload and those three.
fn close(mut f: Vec<u8>, kind: u8) -> Vec<u8> {
    f.push(kind << 5);
    let bits = (f.len() - 3) * 8 + 3;
    let crc = crc5(&f[2..], bits);
    if let Some(last) = f.last_mut() {
        *last |= crc;
    }
    f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Vec<Frame> {
        let mut p = Parser::default();
        bytes.iter().filter_map(|b| p.tell(*b)).collect()
    }

    #[test]
    fn published_commands_are_read() {
        let read = Frame::Read { to: To::All, register: 0 };
        assert_eq!(frames(&[0x55, 0xaa, 0x52, 5, 0, 0, 0x0a]), [read]);
        assert_eq!(frames(&[0x55, 0xaa, 0x53, 5, 0, 0, 0x03]), [Frame::Inactive]);
        assert_eq!(frames(&[0x55, 0xaa, 0x40, 5, 4, 0, 0x03]), [Frame::SetAddress(4)]);
        let write = Frame::Write { to: To::All, register: 0xa4, value: 0x9000_ffff };
        assert_eq!(frames(&[0x55, 0xaa, 0x51, 9, 0, 0xa4, 0x90, 0, 0xff, 0xff, 0x1c]), [write]);
        let one = Frame::Write { to: To::One(0), register: 0x2c, value: 0x007c_0003 };
        assert_eq!(frames(&[0x55, 0xaa, 0x41, 9, 0, 0x2c, 0, 0x7c, 0, 3, 3]), [one]);
    }

    #[test]
    fn a_wrong_crc_is_silence_and_the_next_frame_is_found() {
        assert_eq!(frames(&[0x55, 0xaa, 0x52, 5, 0, 0, 0x0b]), []);
        let noisy = [0xff, 0x55, 0x55, 0xaa, 0x52, 5, 0, 0, 0x0b, 0x55, 0xaa, 0x53, 5, 0, 0, 3];
        assert_eq!(frames(&noisy), [Frame::Inactive]);
        assert_eq!(frames(&[0x55, 0xaa, 0x51, 0x55, 0xaa, 0x53, 5, 0, 0, 3]), [Frame::Inactive]);
    }

    #[test]
    fn published_replies_are_written() {
        assert_eq!(register_reply(0x1362_0300, 0, 0, false), [0xaa, 0x55, 0x13, 0x62, 3, 0, 0, 0, 0x0d]);
        assert_eq!(register_reply(0x1362_0300, 0, 0, true), [0xaa, 0x55, 0x13, 0x62, 3, 0, 0, 0, 0, 0, 0x1e]);
        assert_eq!(register_reply(0x0000_c100, 0, 0x18, false), [0xaa, 0x55, 0, 0, 0xc1, 0, 0, 0x18, 2]);
        let gamma = nonce_reply(0x4c03_5275, 0x0c, 0xd2, Some(0x05a2));
        assert_eq!(gamma, [0xaa, 0x55, 0x4c, 0x03, 0x52, 0x75, 0x0c, 0xd2, 0x05, 0xa2, 0x9c]);
    }

    /// The job that was computed from Bitcoin's first block, with both lengths that hosts write.
    #[test]
    fn the_first_blocks_job_is_its_header() {
        let data = "1801 00000000 FFFF001D 29AB5F49 4B1E5E4A3A9FB8AA888A51327FC81BC367768F617AC72C3E7A7B12B23BA3EDFD \
            0000000000000000000000000000000000000000000000000000000000000000 01000000";
        for (length, crc) in [("36", "DF06"), ("56", "FB42")] {
            let text: String = format!("55AA21{length}{data}{crc}").split_whitespace().collect();
            let bytes: Vec<u8> =
                (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect();
            let got = frames(&bytes);
            let [Frame::Job(job)] = got.as_slice() else { panic!("{got:?}") };
            assert_eq!(job.id, 0x18);
            let mut whole = [0; 80];
            whole[..76].copy_from_slice(&job.header);
            whole[76..].copy_from_slice(&[0x1d, 0xac, 0x2b, 0x7c]);
            let hash = model::Header::from_bytes(&whole).hash().to_explorer_hex();
            assert_eq!(hash, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        }
    }
}
