//! The loop of `KawPow`: sixteen lanes of 32 registers that run the period's program 64 times.
//!
//! A register is stored for all lanes together, so that an instruction is one loop over sixteen neighbours, which a compiler
//! turns into one or two vectors. Several attempts share the waits for the dataset. Not here: choosing the program.

use super::kiss::{FNV_OFFSET, Kiss};
use super::program::{DATASET_LOADS, Instruction, Merge, Operation, Program, REGISTERS, Register};
use crate::Line;
use crate::ethash::{Attempt, Pages, Proof, Vectors, fnv1a};
use crate::keccak::{f800, halves};

/// Lines of a page.
pub(crate) const PAGE: usize = 4;
/// Lanes of a hash.
pub(crate) const LANES: usize = 16;
/// Words of the cache that the program loads from: the first 16 KiB of the dataset.
pub(crate) const CACHE_WORDS: usize = 4096;
/// Pages to a hash.
const LOOPS: usize = 64;
/// What fills the rest of the state. The first letter is a small one: so it is in the code that the network runs.
const PADDING: &[u8; 15] = b"rAVENCOINKAWPOW";

type Lanes = [u32; LANES];

/// Hashes `N` attempts.
#[inline(always)]
pub(crate) fn hash<const N: usize>(
    vectors: impl Vectors,
    dataset: impl Pages<PAGE>,
    cache: &[u32; CACHE_WORDS],
    program: &Program,
    attempts: &[Attempt; N],
) -> [Proof; N] {
    let count = dataset.count();
    let seeds: [[u32; 8]; N] = std::array::from_fn(|n| seed(&attempts[n]));
    let mut mixes: [[Lanes; REGISTERS]; N] = std::array::from_fn(|n| filled(seeds[n][0], seeds[n][1]));
    let mut pages = [[Line::default(); PAGE]; N];
    for turn in 0..LOOPS {
        let indices = std::array::from_fn(|n| count.of(mixes[n][0][turn % LANES]) as u32);
        dataset.fetch(vectors, &indices, &mut pages);
        for n in 0..N {
            run(program, cache, &pages[n], turn, &mut mixes[n]);
        }
    }
    std::array::from_fn(|n| {
        let mix = folded(&mixes[n]);
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(mix).for_each(|(four, word)| *four = word.to_le_bytes());
        Proof { mix: bytes, digest: finish(&seeds[n], &mix) }
    })
}

/// The digest that an attempt has if `mix` is its mix.
pub(crate) fn digest(attempt: &Attempt, mix: &[u8; 32]) -> [u8; 32] {
    finish(&seed(attempt), &words(mix))
}

fn words(bytes: &[u8; 32]) -> [u32; 8] {
    let (words, _) = bytes.as_chunks();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]))
}

fn seed(attempt: &Attempt) -> [u32; 8] {
    let mut state = [0; 25];
    state[..8].copy_from_slice(&words(&attempt.header));
    state[8..10].copy_from_slice(&halves(attempt.nonce));
    state[10..].iter_mut().zip(PADDING).for_each(|(word, letter)| *word = u32::from(*letter));
    f800(&mut state);
    std::array::from_fn(|i| state[i])
}

fn finish(seed: &[u32; 8], mix: &[u32; 8]) -> [u8; 32] {
    let mut state = [0; 25];
    state[..8].copy_from_slice(seed);
    state[8..16].copy_from_slice(mix);
    state[16..].iter_mut().zip(PADDING).for_each(|(word, letter)| *word = u32::from(*letter));
    f800(&mut state);
    let mut bytes = [0; 32];
    bytes.as_chunks_mut().0.iter_mut().zip(state).for_each(|(four, word)| *four = word.to_le_bytes());
    bytes
}

/// The registers as the seed fills them: each lane from a generator of its own.
#[inline(always)]
fn filled(low: u32, high: u32) -> [Lanes; REGISTERS] {
    let mut mix = [[0; LANES]; REGISTERS];
    for lane in 0..LANES {
        let mut kiss = Kiss::seeded(low, high, lane as u32, lane as u32);
        for register in &mut mix {
            register[lane] = kiss.next();
        }
    }
    mix
}

/// One loop of the program.
#[inline(always)]
fn run(program: &Program, cache: &[u32; CACHE_WORDS], page: &[Line; PAGE], turn: usize, mix: &mut [Lanes; REGISTERS]) {
    for instruction in program.instructions() {
        match *instruction {
            Instruction::Cache { index, into, merge } => {
                let words = mix[at(index)].map(|index| cache[index as usize % CACHE_WORDS]);
                merged(&mut mix[at(into)], &words, merge);
            }
            Instruction::Compute { operation, a, b, into, merge } => {
                let words = computed(operation, &mix[at(a)], &mix[at(b)]);
                merged(&mut mix[at(into)], &words, merge);
            }
        }
    }
    for (i, load) in program.loads().iter().enumerate() {
        let words = std::array::from_fn(|lane| {
            let word = (lane ^ turn) % LANES * DATASET_LOADS + i;
            page[word / 16].0[word % 16]
        });
        merged(&mut mix[at(load.into)], &words, load.merge);
    }
}

/// A register's place. They are all below 32, which the remainder lets the compiler know.
#[inline(always)]
fn at(register: Register) -> usize {
    usize::from(register) % REGISTERS
}

#[inline(always)]
fn each(a: &Lanes, b: &Lanes, operation: impl Fn(u32, u32) -> u32) -> Lanes {
    std::array::from_fn(|lane| operation(a[lane], b[lane]))
}

#[inline(always)]
fn computed(operation: Operation, a: &Lanes, b: &Lanes) -> Lanes {
    match operation {
        Operation::Add => each(a, b, u32::wrapping_add),
        Operation::MultiplyLow => each(a, b, u32::wrapping_mul),
        Operation::MultiplyHigh => each(a, b, |a, b| halves(u64::from(a) * u64::from(b))[1]),
        Operation::Minimum => each(a, b, u32::min),
        Operation::RotateLeft => each(a, b, |a, b| a.rotate_left(b % 32)),
        Operation::RotateRight => each(a, b, |a, b| a.rotate_right(b % 32)),
        Operation::And => each(a, b, |a, b| a & b),
        Operation::Or => each(a, b, |a, b| a | b),
        Operation::Xor => each(a, b, |a, b| a ^ b),
        Operation::LeadingZeros => each(a, b, |a, b| a.leading_zeros() + b.leading_zeros()),
        Operation::Ones => each(a, b, |a, b| a.count_ones() + b.count_ones()),
    }
}

#[inline(always)]
fn merged(register: &mut Lanes, words: &Lanes, merge: Merge) {
    *register = match merge {
        Merge::MultiplyAdd => each(register, words, |a, b| a.wrapping_mul(33).wrapping_add(b)),
        Merge::XorMultiply => each(register, words, |a, b| (a ^ b).wrapping_mul(33)),
        Merge::RotateLeftXor(by) => each(register, words, |a, b| a.rotate_left(u32::from(by)) ^ b),
        Merge::RotateRightXor(by) => each(register, words, |a, b| a.rotate_right(u32::from(by)) ^ b),
    };
}

/// All registers in 256 bits.
#[inline(always)]
fn folded(mix: &[Lanes; REGISTERS]) -> [u32; 8] {
    let mut lanes = [FNV_OFFSET; LANES];
    for register in mix {
        lanes = each(&lanes, register, fnv1a);
    }
    std::array::from_fn(|i| fnv1a(fnv1a(FNV_OFFSET, lanes[i]), lanes[i + 8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EIP-1057's vectors for hash seed `ee304846ddd0a47b`.
    #[test]
    fn registers_are_filled_as_published() {
        let mix = filled(0xddd0_a47b, 0xee30_4846);
        let lane = |lane: usize| [mix[0][lane], mix[1][lane], mix[15][lane], mix[16][lane], mix[31][lane]];
        assert_eq!(lane(0), [0x10c0_2f0d, 0x9989_1c9e, 0xda39_e821, 0x79fc_6a48, 0x6d17_5b7e]);
        assert_eq!(lane(13), [0x4e46_d05d, 0x2e77_e734, 0x86a8_687b, 0xea7a_10e7, 0x3837_dda3]);
    }

    /// EIP-1057's vectors for the operations and the merges; the turns of the latter are those that its selectors come to.
    #[test]
    fn operations_and_merges_are_the_published_ones() {
        for (operation, a, b, want) in [
            (Operation::Add, 0x8626_bb1f, 0xbbdf_bc4e, 0x4206_776d),
            (Operation::MultiplyLow, 0x3f4b_dfac, 0xd79e_414f, 0x4c5c_b214),
            (Operation::MultiplyHigh, 0x6d17_5b7e, 0xc4e8_9d4c, 0x53e9_023f),
            (Operation::Minimum, 0x2edd_d94c, 0x7e70_cb54, 0x2edd_d94c),
            (Operation::Minimum, 0x61ae_0e62, 0xe059_6b32, 0x61ae_0e62),
            (Operation::RotateLeft, 0x8a81_e396, 0x3f4b_dfac, 0x1e39_68a8),
            (Operation::RotateRight, 0x8a81_e396, 0x7e70_cb54, 0x1e39_68a8),
            (Operation::And, 0xa735_2f36, 0xa0eb_7045, 0xa021_2004),
            (Operation::Or, 0xc898_05af, 0x6429_1e2f, 0xecb9_1faf),
            (Operation::Xor, 0x7607_26d3, 0x79fc_6a48, 0x0ffb_4c9b),
            (Operation::LeadingZeros, 0x7555_1d43, 0x3383_ba34, 3),
            (Operation::LeadingZeros, 0, 1, 63),
            (Operation::Ones, 0xea26_0841, 0xe92c_44b7, 0x1b),
        ] {
            assert_eq!(computed(operation, &[a; LANES], &[b; LANES]), [want; LANES], "{operation:?} {a:x} {b:x}");
        }
        for (merge, a, b, want) in [
            (Merge::MultiplyAdd, 0x3b0b_b37d, 0xa021_2004, 0x3ca3_4321),
            (Merge::XorMultiply, 0x10c0_2f0d, 0x870f_a227, 0x91c1_326a),
            (Merge::RotateLeftXor(27), 0x24d2_bae4, 0x0ffb_4c9b, 0x2edd_d94c),
            (Merge::RotateRightXor(12), 0xda39_e821, 0x089c_4008, 0x8a81_e396),
        ] {
            let mut register = [a; LANES];
            merged(&mut register, &[b; LANES], merge);
            assert_eq!(register, [want; LANES], "{merge:?}");
        }
    }
}
