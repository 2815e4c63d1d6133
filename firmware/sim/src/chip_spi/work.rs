//! Chips of a ring at work: jobs as they came, and the hashing of what each chip meets on its way through them.
//!
//! One of every 2^scale candidates is tested, at its true place, so that a job which is given twice finds the same again. Not
//! here: how jobs come and results leave (`wire`).

use super::wire::{self, zeros_of};
use super::{Kind, SpiRing};
use crate::strain::FLAT_LOSS;
use model::{Target, Time};
use sha2::block_api::compress256;
use std::collections::{BTreeMap, VecDeque};

/// Results that a chip holds for a host that does not ask.
const RESULTS_LIMIT: usize = 16;
/// Jobs that are remembered, to know one that comes again: some dozen works of all chips.
const WALKED_LIMIT: usize = 1 << 12;

/// SHA-256's state before the first block.
const START: [u32; 8] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SplitMix64's finaliser: which of the candidates that a tested one stands for it is.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A job as a chip holds it.
#[derive(Clone, Debug)]
pub(super) struct Job {
    id: u8,
    midstates: Vec<[u32; 8]>,
    tail: [u8; 12],
    first: u32,
    last: u32,
    /// Leading zero bits that a result needs.
    zeros: u32,
    /// The same for the same job only.
    print: u64,
}

impl Job {
    /// From its whole frame.
    pub(super) fn read(kind: &Kind, id: u8, frame: &[u8]) -> Job {
        let state = |bytes: &[u8]| {
            let word = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
            core::array::from_fn(|i| word(28 - 4 * i))
        };
        // The last midstate of a frame is number 0.
        let midstates = (0..kind.midstates).rev().map(|i| state(&frame[2 + 32 * i..34 + 32 * i])).collect();
        let rest = &frame[2 + 32 * kind.midstates..];
        let word = |i: usize| u32::from_le_bytes([rest[i], rest[i + 1], rest[i + 2], rest[i + 3]]);
        let mut tail = [0; 12];
        tail.copy_from_slice(&rest[..12]);
        // A target that is none lets nothing pass.
        let zeros = if Target::from_compact(word(16)).is_some() { zeros_of(word(16)) } else { 256 };
        // Without its header and its sum, which name one chip: two chips with the same job do the same.
        let body = &frame[2..kind.job.1 - if kind.checked { 4 } else { 0 }];
        let print = body.chunks(8).fold(0, |print, bytes| {
            let number = bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
            mix(print ^ number)
        });
        Job { id, midstates, tail, first: word(12), last: word(20), zeros: zeros.max(32), print }
    }

    /// Its candidates.
    fn length(&self) -> u128 {
        (u128::from(self.last.wrapping_sub(self.first)) + 1) * self.midstates.len() as u128
    }
}

/// How far the last jobs were walked through, by whichever chip.
#[derive(Debug, Default)]
pub(super) struct Walked {
    order: VecDeque<u64>,
    to: BTreeMap<u64, u128>,
}

impl Walked {
    /// Whether this place of a job is new.
    fn note(&mut self, print: u64, place: u128) -> bool {
        if let Some(to) = self.to.get_mut(&print) {
            let fresh = place > *to;
            *to = place.max(*to);
            return fresh;
        }
        self.to.insert(print, place);
        self.order.push_back(print);
        if self.order.len() > WALKED_LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.to.remove(&oldest);
        }
        true
    }
}

impl SpiRing {
    /// Lets time pass: what is tested until `now` is hashed.
    pub fn advance(&mut self, now: Time) {
        let micros = now.since(self.now).as_micros();
        self.now = self.now.max(now);
        if micros == 0 || !self.listens() {
            return;
        }
        for n in 0..self.reach {
            let chip = &mut self.chips[n];
            if chip.silent || chip.jobs.is_empty() {
                continue;
            }
            let cores = f64::from(chip.cores) * self.kind.hashes_per_core as f64;
            let hashes = u128::from((micros as f64 * chip.clock.0 * cores) as u64);
            if chip.done + hashes < chip.until {
                chip.done += hashes;
            } else {
                self.walk(n, hashes);
            }
        }
    }

    /// Takes a chip so many hashes further, from job to job: every 2^scale-th candidate on the way is tested.
    fn walk(&mut self, n: usize, mut hashes: u128) {
        let bits = u32::from(self.scale.scale_bits);
        while hashes > 0 {
            let chip = &mut self.chips[n];
            let (from, mut stratum) = (chip.done, chip.stratum);
            let Some(job) = chip.jobs.pop_front() else { return };
            let length = job.length() << self.scale.stretch_bits;
            let to = (from + hashes).min(length);
            hashes -= to - from;
            let next = loop {
                let dice = mix(self.seed ^ job.print ^ stratum as u64) & ((1u64 << bits) - 1);
                let place = (stratum << bits) + u128::from(dice);
                // The last stratum of a job may be cut off before its candidate.
                if place >= to {
                    break place;
                }
                stratum += 1;
                self.test(n, &job, place);
            };
            let chip = &mut self.chips[n];
            chip.until = if to == length { 0 } else { next.min(length) };
            (chip.done, chip.stratum) = if to == length { (0, 0) } else { (to, stratum) };
            if to < length {
                chip.jobs.push_front(job);
            }
        }
    }

    /// Hashes one candidate.
    fn test(&mut self, n: usize, job: &Job, place: u128) {
        let (m, candidate) = (job.midstates.len() as u128, place >> self.scale.stretch_bits);
        let (k, nonce) = ((candidate % m) as usize, job.first.wrapping_add((candidate / m) as u32));
        self.hashes_tested += 1;
        let fresh = self.walked.note(job.print, place);
        self.hashes_repeated += u64::from(!fresh);
        if leading_zeros(&job.midstates[k], &job.tail, nonce) < u32::from(self.scale.zero_bits) + job.zeros - 32 {
            return;
        }
        let quality = self.quality * self.chips[n].quality;
        let loss = self.kind.bears.loss(self.chips[n].clock, self.chip_volts(), self.chips[n].heat, quality);
        let dice = mix(self.seed ^ self.hashes_tested) as f64 / u64::MAX as f64;
        if dice < FLAT_LOSS {
            return;
        }
        let nonce = if dice < loss + f64::from(self.wrong) / 1000.0 { nonce ^ 1 } else { nonce };
        let mut result = vec![job.id << 4 | 0x08, n as u8 + 1];
        if self.kind.midstates > 1 {
            result.extend([0, if k == 0 { 0 } else { 1 << k }]);
        }
        result.extend(nonce.to_le_bytes());
        let results = &mut self.chips[n].results;
        if results.len() < RESULTS_LIMIT {
            results.push_back(result);
        }
    }

    /// Sends an answer, with its sum and its damage.
    pub(super) fn answer(&mut self, reach: usize, mut bytes: Vec<u8>) {
        if self.kind.checked {
            let sum = wire::sum(&bytes);
            bytes.extend(sum.to_be_bytes());
        }
        self.answers += 1;
        if self.noise > 0 && self.answers.is_multiple_of(self.noise) {
            let last = bytes.len() - 1;
            bytes[last] ^= 0x10;
        }
        self.wire.answer_at(reach, &bytes);
    }
}

/// Leading zero bits of the hash of a header by its midstate.
fn leading_zeros(midstate: &[u32; 8], tail: &[u8; 12], nonce: u32) -> u32 {
    let mut second = [0; 64];
    second[..12].copy_from_slice(tail);
    second[12..16].copy_from_slice(&nonce.to_le_bytes());
    second[16] = 0x80;
    second[62..].copy_from_slice(&640u16.to_be_bytes());
    let mut inner = *midstate;
    compress256(&mut inner, &[second]);
    let mut third = [0; 64];
    for (bytes, word) in third.chunks_exact_mut(4).zip(inner) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    third[32] = 0x80;
    third[62..].copy_from_slice(&256u16.to_be_bytes());
    let mut outer = START;
    compress256(&mut outer, &[third]);
    let mut count = 0;
    for word in outer.iter().rev() {
        let zeros = word.swap_bytes().leading_zeros();
        count += zeros;
        if zeros < 32 {
            break;
        }
    }
    count
}
