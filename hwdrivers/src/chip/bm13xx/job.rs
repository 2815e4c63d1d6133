//! Jobs as frames: the full-header job, a whole block header less its nonce in the chip's own order of words, and the midstate job
//! of BM1397 and before, up to four hashes of a header's first 64 bytes and the twelve bytes that follow them. Not here: which
//! versions are rolled.

use super::crc::crc16;
use super::frame::{COMMAND_PREAMBLE, Framing};
use model::{Hash, Header};

/// Bytes of a full-header job on the wire.
pub const JOB_BYTES: usize = 88;

/// The frame of a job. `id` is the raw id byte; `length` the length byte, which chips do not check: stock firmware sends 0x36,
/// others 0x56.
#[must_use]
pub fn job_frame(id: u8, length: u8, header: &Header) -> [u8; JOB_BYTES] {
    let mut f = [0; JOB_BYTES];
    f[..6].copy_from_slice(&[0x55, 0xaa, 0x21, length, id, 1]);
    // Bytes 6 to 9 are the start nonce: 0, the chips share the range among themselves.
    f[10..14].copy_from_slice(&header.bits.to_le_bytes());
    f[14..18].copy_from_slice(&header.time.to_le_bytes());
    f[18..50].copy_from_slice(&words_reversed(&header.merkle_root.0));
    f[50..82].copy_from_slice(&words_reversed(&header.previous.0));
    f[82..86].copy_from_slice(&header.version.to_le_bytes());
    let crc = crc16(&f[2..86]);
    f[86..].copy_from_slice(&crc.to_be_bytes());
    f
}

/// The twelve bytes between a midstate and the nonce: end of the merkle root, time and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Compact target.
    pub bits: u32,
    /// Time.
    pub time: u32,
    /// The merkle root's last four bytes.
    pub root: [u8; 4],
}

impl Tail {
    /// A header's.
    #[must_use]
    pub fn of(header: &Header) -> Tail {
        let r = &header.merkle_root.0;
        Tail { bits: header.bits, time: header.time, root: [r[28], r[29], r[30], r[31]] }
    }
}

/// The frame of a midstate job with one, two or four midstates. The length byte is the frame's without its preamble.
#[must_use]
pub fn midstate_frame(framing: Framing, id: u8, tail: Tail, states: &[[u32; 8]]) -> Vec<u8> {
    let mut f = vec![0x21, 22 + 32 * states.len() as u8, id, states.len() as u8, 0, 0, 0, 0];
    f.extend(tail.bits.to_le_bytes());
    f.extend(tail.time.to_le_bytes());
    f.extend(tail.root);
    for state in states {
        f.extend(state.iter().rev().flat_map(|word| word.to_be_bytes()));
    }
    f.extend(crc16(&f).to_be_bytes());
    match framing {
        Framing::Preamble => [&COMMAND_PREAMBLE[..], &f].concat(),
        Framing::Bare => f,
    }
}

/// The bits of `counter` in the places of `mask`, the lowest first: the version that is so many steps behind the first.
#[must_use]
pub fn deposit(mut counter: u32, mask: u32) -> u32 {
    let (mut left, mut out) = (mask, 0);
    while left != 0 && counter != 0 {
        let bit = left & left.wrapping_neg();
        if counter & 1 == 1 {
            out |= bit;
        }
        counter >>= 1;
        left ^= bit;
    }
    out
}

/// Reads a job frame back: its raw id byte and header. `None` where it is none or its checksum is wrong.
#[must_use]
pub fn read_job_frame(f: &[u8; JOB_BYTES]) -> Option<(u8, Header)> {
    if f[..3] != [0x55, 0xaa, 0x21] || crc16(&f[2..86]) != u16::from_be_bytes([f[86], f[87]]) {
        return None;
    }
    let word = |at: usize| u32::from_le_bytes([f[at], f[at + 1], f[at + 2], f[at + 3]]);
    let hash = |at: usize| {
        let mut h = [0; 32];
        h.copy_from_slice(&f[at..at + 32]);
        Hash(words_reversed(&h))
    };
    let header =
        Header { version: word(82), previous: hash(50), merkle_root: hash(18), time: word(14), bits: word(10), nonce: word(6) };
    Some((f[4], header))
}

/// The version that a chip hashed: the job's, with the bits of the mask replaced by those of the reply.
#[must_use]
pub fn rolled_version(version: u32, mask: u32, rolled: u16) -> u32 {
    version & !mask | u32::from(rolled) << VERSION_SHIFT & mask
}

/// Where the 16 rolled bits sit in a header's version (BIP 320: bits 28 to 13).
pub const VERSION_SHIFT: u32 = 13;

fn words_reversed(bytes: &[u8; 32]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.chunks_mut(4).zip(bytes.chunks(4).rev()) {
        to.copy_from_slice(from);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::decoder::Decoder;
    use super::super::frame::{Reply, ReplySize};
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).expect("ascii"), 16).expect("hex")).collect()
    }

    /// Captured on a Bitaxe Gamma (BM1370).
    const GAMMA_JOB: &str = "55AA 21 56 68 01 00000000 043A0217 D7685468
        5519A7CB044F88726355919E61A98BCF71A0C28795EA54DB8C36414B06DDF5F0
        000000000000000096520100 1D3996BCA3F4670DFCD4F201C162B96DFD55646B 00000020 721C";

    #[test]
    fn a_gamma_capture_goes_all_the_way_round_to_its_hash() {
        let frame: [u8; JOB_BYTES] = hex(GAMMA_JOB).try_into().expect("88 bytes");
        let (id, header) = read_job_frame(&frame).expect("its checksum is right");
        assert_eq!(id, 0x68);
        assert_eq!(job_frame(id, 0x56, &header), frame);
        let mut decoder = Decoder::new(ReplySize::Long);
        decoder.push(&hex("AA55 4C035275 0C D2 05A2 9C"));
        let Some(Reply::Nonce { nonce, id, version, .. }) = decoder.next_reply() else { panic!("a nonce") };
        assert_eq!((id & 0xf0) >> 1, 0x68);
        assert_eq!(nonce.swap_bytes() >> 25, 38);
        let version = rolled_version(header.version, 0x1fff_e000, version);
        assert_eq!(version, 0x20b4_4000);
        let hash = Header { nonce, version, ..header }.hash();
        assert_eq!(hash.to_explorer_hex(), "0000000000023704cface997bcf7388694ea43dae96c51d80658687a7d8827fe");
    }

    #[test]
    fn the_first_block_of_bitcoin_as_a_job() {
        let merkle: [u8; 32] =
            hex("3BA3EDFD7A7B12B27AC72C3E67768F617FC81BC3888A51323A9FB8AA4B1E5E4A").try_into().expect("32 bytes");
        let header =
            Header { version: 1, merkle_root: Hash(merkle), time: 1_231_006_505, bits: 0x1d00_ffff, ..Header::default() };
        for (length, crc) in [(0x36, [0xdf, 0x06]), (0x56, [0xfb, 0x42])] {
            let frame = job_frame(0x18, length, &header);
            assert_eq!(frame[86..], crc);
            let data = hex("18 01 00000000 FFFF001D 29AB5F49 4B1E5E4A3A9FB8AA888A51327FC81BC367768F617AC72C3E7A7B12B23BA3EDFD");
            assert_eq!(frame[4..50], data);
            assert_eq!(frame[82..86], [1, 0, 0, 0]);
        }
        let mut decoder = Decoder::new(ReplySize::Long);
        decoder.push(&hex("AA55 1DAC2B7C 00 30 0000 8F"));
        let Some(Reply::Nonce { nonce, .. }) = decoder.next_reply() else { panic!("a nonce") };
        let hash = Header { nonce, ..header }.hash();
        assert_eq!(hash.to_explorer_hex(), "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        assert_eq!(nonce.swap_bytes() >> 25, 14);
    }

    #[test]
    fn a_damaged_job_is_refused() {
        let mut frame: [u8; JOB_BYTES] = hex(GAMMA_JOB).try_into().expect("88 bytes");
        frame[40] ^= 1;
        assert_eq!(read_job_frame(&frame), None);
    }

    #[test]
    fn a_midstate_job_has_its_words_last_to_first() {
        let header = Header { version: 0x2000_0000, time: 0x0102_0304, bits: 0x1703_4219, ..Header::default() };
        let states: Vec<[u32; 8]> = (0..4).map(|n| Header { version: header.version | n << 13, ..header }.midstate()).collect();
        for (count, length) in [(1, 0x36), (2, 0x56), (4, 0x96)] {
            let frame = midstate_frame(Framing::Preamble, 0x24, Tail::of(&header), &states[..count]);
            assert_eq!(frame[..6], [0x55, 0xaa, 0x21, length, 0x24, count as u8]);
            assert_eq!(frame.len(), usize::from(length) + 2);
            assert_eq!(frame[10..22], [0x19, 0x42, 0x03, 0x17, 0x04, 0x03, 0x02, 0x01, 0, 0, 0, 0]);
            assert_eq!(frame[22..26], states[0][7].to_be_bytes());
            assert_eq!(frame[50..54], states[0][0].to_be_bytes());
            assert_eq!(crc16(&frame[2..]), 0, "a checksum behind what it covers makes 0");
            assert_eq!(midstate_frame(Framing::Bare, 0x24, Tail::of(&header), &states[..count]), frame[2..]);
        }
    }

    #[test]
    fn counters_fill_the_masks_bits_from_the_lowest() {
        for (counter, mask, bits) in
            [(0, 0xffff, 0), (5, 0x1fff_e000, 0xa000), (5, 0x0000_6000, 0x2000), (6, 0x0101_0100, 0x0101_0000), (1, 0, 0)]
        {
            assert_eq!(deposit(counter, mask), bits, "{counter} in {mask:08x}");
        }
    }

    #[test]
    fn only_bits_of_the_mask_are_rolled() {
        assert_eq!(rolled_version(0x2000_0000, 0x1fff_e000, 0xffff), 0x3fff_e000);
        assert_eq!(rolled_version(0x2000_2000, 0, 0xffff), 0x2000_2000);
        assert_eq!(rolled_version(0x2000_6000, 0x0000_6000, 0x0001), 0x2000_2000);
    }
}
