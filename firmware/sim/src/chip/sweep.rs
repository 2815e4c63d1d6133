//! How a chain of BM1362 walks through a job, and the hashing of what it meets.
//!
//! Hardware tests one candidate a clock in every small core of every chip. Here every 2^s-th of them is tested, in the order of
//! time, each at its true place: chip, core, small core, counter and version. After an epoch the walk begins again, so repeats
//! come as on hardware. Not here: registers and bytes.

use sha2::block_api::compress256;

/// Small cores that work in a BM1362: 64 whole cores of 8, and 2 of the last one.
pub const SMALL_CORES: u64 = 514;
/// Small cores of one core; the version counter advances by as many in each batch.
const SMALL_PER_CORE: u64 = 8;
/// A core's counter advances two a clock, yet hash rates show one tested candidate a clock.
const COUNTS_PER_TEST: u64 = 2;
/// The counter's bits in a nonce, below core and address.
const COUNTER_BITS: u32 = 18;

const START: [u32; 8] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// What decides the walk beside the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Chips that work.
    pub(crate) chips: u64,
    /// Tests of one small core in one batch: sweep deadline × clock.
    pub(crate) batch: u64,
    /// Batches until the version counter is through.
    pub(crate) batches: u64,
    /// Every 2^scale-th candidate is tested.
    pub(crate) scale: u32,
    /// Which of the 2^scale it is.
    pub(crate) seed: u64,
}

/// One candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Position on the chain.
    pub(crate) chip: usize,
    pub(crate) core: u32,
    pub(crate) small: u32,
    pub(crate) counter: u32,
    pub(crate) versions: u64,
}

impl Walk {
    /// How many candidates one epoch holds, at least 1.
    pub(crate) fn epoch(&self) -> u64 {
        let all = u128::from(self.chips * SMALL_CORES) * u128::from(self.batch) * u128::from(self.batches);
        u64::try_from((all >> self.scale).max(1)).unwrap_or(u64::MAX)
    }

    /// The `index`-th candidate since the job came.
    pub(crate) fn candidate(&self, index: u64) -> Candidate {
        let index = index % self.epoch();
        let skipped = mix(self.seed ^ index) & ((1u64 << self.scale) - 1);
        let at = (u128::from(index) << self.scale) + u128::from(skipped);
        let lanes = u128::from(self.chips * SMALL_CORES);
        let (lane, test) = ((at % lanes) as u64, (at / lanes) as u64);
        let (chip, small) = (lane / SMALL_CORES, lane % SMALL_CORES);
        Candidate {
            chip: chip as usize,
            core: (small / SMALL_PER_CORE) as u32,
            small: (small % SMALL_PER_CORE) as u32,
            counter: (COUNTS_PER_TEST * (test % self.batch)) as u32 & ((1 << COUNTER_BITS) - 1),
            versions: test / self.batch % self.batches,
        }
    }
}

impl Candidate {
    /// The nonce as the chip sends it, most significant byte first: core, address bits 7-1, counter.
    pub(crate) fn nonce(&self, address: u8) -> u32 {
        self.core << 25 | u32::from(address >> 1) << COUNTER_BITS | self.counter
    }

    /// The version counter: batches count up, its low bits are the small core; 0 where no version is rolled.
    pub(crate) fn version_counter(&self, mask: Option<u16>) -> u16 {
        let Some(mask) = mask else { return 0 };
        let mut counter = self.versions * SMALL_PER_CORE + u64::from(self.small);
        // What pools allow nearly always; the loop below takes a twentieth of a simulation.
        if mask == u16::MAX {
            return counter as u16;
        }
        let mut out = 0;
        for bit in 0..16 {
            if mask >> bit & 1 == 1 {
                out |= ((counter & 1) as u16) << bit;
                counter >>= 1;
            }
        }
        out
    }
}

/// Batches that a version mask gives: without rolling there is one.
pub(crate) fn batches(mask: Option<u16>) -> u64 {
    mask.map_or(1, |m| ((1u64 << m.count_ones()) / SMALL_PER_CORE).max(1))
}

/// SHA-256 twice of a header, given as its first 76 bytes and the nonce's four as they stand.
pub(crate) fn hash(header: &[u8; 76], nonce: u32) -> [u32; 8] {
    let mut first = [0; 64];
    first.copy_from_slice(&header[..64]);
    let mut second = [0; 64];
    second[..12].copy_from_slice(&header[64..]);
    second[12..16].copy_from_slice(&nonce.to_be_bytes());
    second[16] = 0x80;
    second[62..].copy_from_slice(&640u16.to_be_bytes());
    let mut inner = START;
    compress256(&mut inner, &[first, second]);
    let mut third = [0; 64];
    for (bytes, word) in third.chunks_exact_mut(4).zip(inner) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    third[32] = 0x80;
    third[62..].copy_from_slice(&256u16.to_be_bytes());
    let mut outer = START;
    compress256(&mut outer, &[third]);
    outer
}

/// Whether a hash passes `zero_bits` (at most 32) and the ticket mask behind them; if so its leading zero bits.
pub(crate) fn passes(hash: &[u32; 8], zero_bits: u32, ticket: u32) -> Option<u32> {
    // The most significant byte of the number is the last one computed.
    let top = u64::from(hash[7].swap_bytes()) << 32 | u64::from(hash[6].swap_bytes());
    let behind = ((top << zero_bits) >> 32) as u32;
    if top.leading_zeros() < zero_bits || behind & ticket.swap_bytes() != 0 {
        return None;
    }
    let zeros = hash.iter().rev().map(|w| w.swap_bytes().leading_zeros());
    let mut count = 0;
    for z in zeros {
        count += z;
        if z < 32 {
            break;
        }
    }
    Some(count)
}

/// SplitMix64's finaliser: even, and the same everywhere.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const S19: Walk = Walk { chips: 126, batch: 104_853, batches: 8192, scale: 36, seed: 7 };

    #[test]
    fn an_epoch_has_the_documented_length_and_then_repeats() {
        // 8192 batches of 4993 ticks at 25 MHz are 1.636 s of 126 × 514 small cores at 525 MHz.
        let seconds = (S19.epoch() << 36) as f64 / (126.0 * 514.0 * 525e6);
        assert!((1.62..1.65).contains(&seconds), "{seconds}");
        assert_eq!(S19.candidate(3), S19.candidate(3 + S19.epoch()));
        assert_ne!(S19.candidate(3), S19.candidate(4));
    }

    #[test]
    fn every_candidate_of_a_small_epoch_is_a_place_of_its_own() {
        let walk = Walk { chips: 3, batch: 5, batches: 2, scale: 0, seed: 1 };
        let all: std::collections::BTreeSet<_> = (0..walk.epoch())
            .map(|i| walk.candidate(i))
            .map(|c| (c.nonce(c.chip as u8 * 2), c.version_counter(Some(0xffff))))
            .collect();
        assert_eq!(all.len() as u64, 3 * 514 * 5 * 2);
    }

    #[test]
    fn a_version_counter_fills_the_masks_bits_from_the_lowest() {
        let candidate = Candidate { chip: 0, core: 0, small: 5, counter: 0, versions: 0x1234 };
        for (mask, expected) in
            [(None, 0), (Some(0xffff), 0x91a5), (Some(0x7fff), 0x11a5), (Some(0xfffe), 0x234a), (Some(0x00f0), 0x50)]
        {
            assert_eq!(candidate.version_counter(mask), expected, "{mask:04x?}");
        }
    }

    #[test]
    fn hashes_are_those_of_the_header() {
        let header = model::Header { version: 0x2000_0000, time: 7, bits: 0x1d00_ffff, nonce: 0x0403_0201, ..Default::default() };
        let mut first = [0; 76];
        first.copy_from_slice(&header.to_bytes()[..76]);
        let words = hash(&first, 0x0102_0304);
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(bytes, header.hash().0);
    }

    #[test]
    fn ticket_masks_count_bits_inside_each_byte_from_the_top() {
        let top = |t: u32| [0, 0, 0, 0, 0, 0, 0, t.swap_bytes()];
        assert_eq!(passes(&top(0x00ff_ffff), 0, 0x0000_00ff), Some(8));
        assert_eq!(passes(&top(0x01ff_ffff), 0, 0x0000_00ff), None);
        assert_eq!(passes(&top(0x00ff_ffff), 0, 0x0000_80ff), None);
        assert_eq!(passes(&top(0x007f_ffff), 0, 0x0000_80ff), Some(9));
        assert_eq!(passes(&top(0x03ff_ffff), 0, 0x0000_00fc), Some(6));
        assert_eq!(passes(&top(1), 32, 0), None);
        assert_eq!(passes(&[0, 0, 0, 0, 0, 0, 0xffff_ffff, 0], 32, 0), Some(32));
    }
}
