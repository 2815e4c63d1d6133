//! How a chip walks through a job, and the hashing of what it meets.
//!
//! Hardware tests one candidate a clock in every small core of every chip. Here one of every 2^s is tested, in the order of
//! time, at its true place: core, small core, counter, and version or midstate. After an epoch the walk begins again at the same
//! candidates, so repeats come as on hardware. Not here: registers and bytes.

use super::clocking::{CRYSTAL, Pll};
use super::facts::{Facts, JobKind};
use super::frame::Task;
use sha2::block_api::compress256;

const START: [u32; 8] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// One chip's way through the job it has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Walk {
    pub(crate) pll: Pll,
    /// Small cores at work.
    pub(crate) lanes: u64,
    /// Where its part of the nonces begins.
    pub(crate) start: u32,
    /// How many of the counter's values are its own; what is beyond belongs to a neighbour.
    pub(crate) slice: u64,
    /// Tests of one small core until the version counter moves on.
    pub(crate) batch: u64,
    /// Batches until the version counter is through.
    pub(crate) batches: u64,
    /// The counter's steps for each test of a batch.
    pub(crate) counts_per_test: u64,
    /// Midstates, all of which are tried for each counter; 1 where versions are rolled.
    pub(crate) midstates: u64,
    /// Bits of the version that are rolled, where they are.
    pub(crate) mask: Option<u16>,
    pub(crate) ticket: u32,
    /// A job lasts 2^this as long as on hardware.
    pub(crate) stretch: u32,
    /// Every 2^scale-th candidate is tested.
    pub(crate) scale: u32,
    /// Which of the 2^scale it is: chips that search the same place test the same candidates.
    pub(crate) salt: u64,
}

/// One candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) core: u32,
    pub(crate) small: u32,
    /// From the chip's own start.
    pub(crate) counter: u64,
    pub(crate) batch: u64,
    pub(crate) midstate: u8,
}

/// Where a walk stands: which epoch, and which of its strata of 2^scale candidates is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) epoch: u64,
    pub(crate) stratum: u64,
}

impl Walk {
    /// How many candidates one epoch holds.
    pub(crate) fn epoch(&self) -> u128 {
        (u128::from(self.lanes * self.batch) * u128::from(self.batches)) << self.stretch
    }

    /// How long one epoch lasts, ns; at least 1.
    pub(crate) fn epoch_ns(&self) -> u64 {
        self.nanos(self.epoch()).max(1)
    }

    /// When so many candidates are done, ns.
    fn nanos(&self, tests: u128) -> u64 {
        let ns = tests * u128::from(self.pll.divider * 1000) / u128::from(CRYSTAL * self.pll.feedback * self.lanes);
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// Hashes a second.
    pub(crate) fn rate(&self) -> f64 {
        self.pll.mhz() * 1e6 * self.lanes as f64
    }

    /// The step that comes next at this time since the job came.
    pub(crate) fn step_at(&self, ns: u64) -> Step {
        let (epoch, within) = (ns / self.epoch_ns(), ns % self.epoch_ns());
        let done =
            u128::from(within) * u128::from(CRYSTAL * self.pll.feedback * self.lanes) / u128::from(self.pll.divider * 1000);
        let step = Step { epoch, stratum: (done >> self.scale) as u64 };
        if self.place(step.stratum) < done { self.after(step) } else { step }
    }

    pub(crate) fn after(&self, step: Step) -> Step {
        let next = step.stratum + 1;
        if u128::from(next) << self.scale < self.epoch() {
            Step { stratum: next, ..step }
        } else {
            Step { epoch: step.epoch + 1, stratum: 0 }
        }
    }

    /// When a step's candidate is tested, ns since the job came, and which it is. A step without one is passed over: the last
    /// stratum of an epoch may be cut off before its candidate. `None` where the whole epoch has none.
    pub(crate) fn due(&self, mut step: Step) -> Option<(u64, Step)> {
        if self.place(step.stratum) >= self.epoch() {
            step = self.after(step);
            if self.place(step.stratum) >= self.epoch() {
                return None;
            }
        }
        let within = self.nanos(self.place(step.stratum));
        Some((step.epoch.saturating_mul(self.epoch_ns()).saturating_add(within), step))
    }

    /// Which candidate of the epoch stands for a stratum.
    fn place(&self, stratum: u64) -> u128 {
        let skipped = mix(self.salt ^ stratum) & ((1u64 << self.scale) - 1);
        (u128::from(stratum) << self.scale) + u128::from(skipped)
    }

    pub(crate) fn candidate(&self, facts: &Facts, step: Step) -> Candidate {
        let at = self.place(step.stratum) >> self.stretch;
        let lanes = u128::from(self.lanes);
        let (lane, test) = ((at % lanes) as u64, (at / lanes) as u64);
        let (batch, within) = (test / self.batch, test % self.batch);
        Candidate {
            core: (lane / facts.small_per_core) as u32,
            small: (lane % facts.small_per_core) as u32,
            counter: self.counts_per_test * (within / self.midstates),
            batch,
            midstate: (within % self.midstates) as u8,
        }
    }
}

impl Candidate {
    /// The version counter: batches count up, its low bits are the small core; 0 where no version is rolled.
    pub(crate) fn version_counter(&self, small_per_core: u64, mask: Option<u16>) -> u16 {
        let Some(mask) = mask else { return 0 };
        let mut counter = self.batch * small_per_core + u64::from(self.small);
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
pub(crate) fn batches(facts: &Facts, mask: Option<u16>) -> u64 {
    match (facts.job, mask) {
        (JobKind::Header, Some(m)) => ((1u64 << m.count_ones()) / facts.small_per_core).max(1),
        _ => 1,
    }
}

/// SHA-256 twice of the header that a candidate of this task stands for; `nonce` is its four bytes as they stand.
pub(crate) fn hash(task: &Task, version: Option<u32>, midstate: u8, nonce: u32) -> [u32; 8] {
    let mut second = [0; 64];
    second[12..16].copy_from_slice(&nonce.to_be_bytes());
    second[16] = 0x80;
    second[62..].copy_from_slice(&640u16.to_be_bytes());
    let mut inner;
    match task {
        Task::Header(header) => {
            let mut first = [0; 64];
            first.copy_from_slice(&header[..64]);
            if let Some(v) = version {
                first[..4].copy_from_slice(&v.to_le_bytes());
            }
            second[..12].copy_from_slice(&header[64..]);
            inner = START;
            compress256(&mut inner, &[first, second]);
        }
        Task::Midstates { states, tail } => {
            second[..12].copy_from_slice(tail);
            inner = states.get(usize::from(midstate)).copied().unwrap_or(START);
            compress256(&mut inner, &[second]);
        }
    }
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
    use super::super::facts::facts;
    use super::*;
    use model::ChipModel;
    use std::collections::BTreeSet;

    /// One chip of an S19j Pro at 525 MHz and stock firmware's sweep of 0x1381 ticks.
    const S19J: Walk = Walk {
        pll: Pll { feedback: 168, divider: 8 },
        lanes: 514,
        start: 0,
        slice: 1 << 18,
        batch: 104_853,
        batches: 8192,
        counts_per_test: 2,
        midstates: 1,
        mask: None,
        ticket: 0,
        stretch: 0,
        scale: 36,
        salt: 7,
    };

    #[test]
    fn an_epoch_has_the_documented_length_and_then_repeats() {
        assert!((1_620_000_000..1_650_000_000).contains(&S19J.epoch_ns()), "{}", S19J.epoch_ns());
        let walk = Walk { scale: 30, ..S19J };
        let (first, step) = walk.due(Step::default()).expect("an epoch of many");
        let (again, same) = walk.due(Step { epoch: 1, stratum: 0 }).expect("an epoch of many");
        assert!(again - first == walk.epoch_ns() && same.stratum == step.stratum);
    }

    /// On average every 2^36-th candidate is tested, also where an epoch is 6.4 times as long as that.
    #[test]
    fn samples_are_as_many_as_they_should_be() {
        let mut count = 0;
        for salt in 0..2000 {
            let walk = Walk { salt: salt << 40, ..S19J };
            let mut step = walk.step_at(0);
            while let Some((_, at)) = walk.due(step).filter(|(_, at)| at.epoch == 0) {
                (count, step) = (count + 1, walk.after(at));
            }
        }
        let expected = 2000.0 * S19J.epoch() as f64 / 2f64.powi(36);
        assert!((f64::from(count) / expected - 1.0).abs() < 0.02, "{count} of {expected}");
    }

    #[test]
    fn a_walk_is_taken_up_where_time_has_left_it() {
        let walk = Walk { scale: 30, ..S19J };
        let mut step = Step::default();
        for _ in 0..1500 {
            let (due, at) = walk.due(step).expect("an epoch of many");
            step = walk.after(at);
            let (next, then) = walk.due(step).expect("an epoch of many");
            assert_eq!(walk.due(walk.step_at(due + 2)), Some((next, then)), "{at:?}");
        }
        assert!(step.epoch > 2);
    }

    #[test]
    fn every_candidate_of_a_small_epoch_is_a_place_of_its_own() {
        let f = facts(ChipModel::Bm1362).expect("a serial chip");
        let walk = Walk { batch: 5, batches: 2, scale: 0, ..S19J };
        let all: BTreeSet<_> = (0..walk.epoch() as u64)
            .map(|stratum| walk.candidate(f, Step { epoch: 0, stratum }))
            .map(|c| (f.nonce.nonce(c.core, c.small, c.counter as u32), c.version_counter(8, Some(0xffff))))
            .collect();
        assert_eq!(all.len(), 514 * 5 * 2);
        let f = facts(ChipModel::Bm1387).expect("a serial chip");
        let walk = Walk { lanes: 114, batch: 12, batches: 1, counts_per_test: 1, midstates: 4, scale: 0, ..S19J };
        let of = |stretch: u32, stratum| Walk { stretch, ..walk }.candidate(f, Step { epoch: 0, stratum });
        let all: BTreeSet<_> =
            (0..114 * 12).map(|i| of(0, i)).map(|c| (f.nonce.nonce(c.core, 0, c.counter as u32), c.midstate)).collect();
        assert_eq!(all.len(), 114 * 12);
        assert_eq!(of(3, 8 * 77 + 5), of(0, 77), "a stretched job dwells at each place");
    }

    #[test]
    fn a_version_counter_fills_the_masks_bits_from_the_lowest() {
        let candidate = Candidate { core: 0, small: 5, counter: 0, batch: 0x1234, midstate: 0 };
        for (mask, expected) in
            [(None, 0), (Some(0xffff), 0x91a5), (Some(0x7fff), 0x11a5), (Some(0xfffe), 0x234a), (Some(0x00f0), 0x50)]
        {
            assert_eq!(candidate.version_counter(8, mask), expected, "{mask:04x?}");
        }
    }

    #[test]
    fn hashes_are_those_of_the_header() {
        let header = model::Header { version: 0x2000_0000, time: 7, bits: 0x1d00_ffff, nonce: 0x0403_0201, ..Default::default() };
        let mut first = [0; 76];
        first.copy_from_slice(&header.to_bytes()[..76]);
        let bytes = |words: [u32; 8]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
        assert_eq!(bytes(hash(&Task::Header(first), Some(0x2000_0000), 0, 0x0102_0304)), header.hash().0);
        let mut block = [0; 64];
        block.copy_from_slice(&first[..64]);
        let mut state = START;
        compress256(&mut state, &[block]);
        let mut tail = [0; 12];
        tail.copy_from_slice(&first[64..]);
        let task = Task::Midstates { states: vec![START, state], tail };
        assert_eq!(bytes(hash(&task, None, 1, 0x0102_0304)), header.hash().0);
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
