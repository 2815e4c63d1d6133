//! Hashimoto: the loop over the dataset, for several attempts side by side.
//!
//! Where the pages come from, computed from the cache or read from the dataset, is a [`Pages`]; the loop is the same. Not here:
//! `KawPow`, whose loop is another one over the same dataset.

use super::item::fnv1;
use super::modulus::Modulus;
use super::proof::{Attempt, Proof};
use super::wide::Vectors;
use crate::Line;
use crate::keccak::{bytes_of, halves, keccak256, keccak512, words_of};

/// Lines of a page.
pub(crate) const PAGE: usize = 2;
/// Pages to a hash.
const ACCESSES: u32 = 64;

/// A dataset in pages of `P` lines.
pub(crate) trait Pages<const P: usize>: Copy {
    /// How many.
    fn count(self) -> Modulus;
    /// Fills `pages` with those of the `indices`, which are below the count.
    fn fetch<const N: usize>(self, vectors: impl Vectors, indices: &[u32; N], pages: &mut [[Line; P]; N]);
}

/// Hashes `N` attempts.
#[inline(always)]
pub(crate) fn hash<const N: usize>(vectors: impl Vectors, dataset: impl Pages<PAGE>, attempts: &[Attempt; N]) -> [Proof; N] {
    let count = dataset.count();
    let mut seeds = [[0; 8]; N];
    let mut mixes = [[Line::default(); PAGE]; N];
    for n in 0..N {
        seeds[n] = seed(&attempts[n]);
        for (i, word) in seeds[n].into_iter().enumerate() {
            let [low, high] = halves(word);
            for line in &mut mixes[n] {
                (line.0[2 * i], line.0[2 * i + 1]) = (low, high);
            }
        }
    }
    let firsts: [u32; N] = std::array::from_fn(|n| mixes[n][0].0[0]);
    let mut pages = [[Line::default(); PAGE]; N];
    for access in 0..ACCESSES {
        let word = access as usize % (16 * PAGE);
        let indices = std::array::from_fn(|n| count.of(fnv1(access ^ firsts[n], mixes[n][word / 16].0[word % 16])) as u32);
        dataset.fetch(vectors, &indices, &mut pages);
        for n in 0..N {
            for p in 0..PAGE {
                vectors.merge(&mut mixes[n][p], &pages[n][p]);
            }
        }
    }
    std::array::from_fn(|n| {
        let folded: [u32; 8] = std::array::from_fn(|i| {
            let four = &mixes[n][i / 4].0[i % 4 * 4..][..4];
            fnv1(fnv1(fnv1(four[0], four[1]), four[2]), four[3])
        });
        let mix = std::array::from_fn(|i| u64::from(folded[2 * i]) | u64::from(folded[2 * i + 1]) << 32);
        Proof { mix: bytes_of(&mix), digest: finish(&seeds[n], &mix) }
    })
}

/// The digest that an attempt has if `mix` is its mix.
pub(crate) fn digest(attempt: &Attempt, mix: &[u8; 32]) -> [u8; 32] {
    finish(&seed(attempt), &words_of(mix))
}

fn seed(attempt: &Attempt) -> [u64; 8] {
    let [a, b, c, d] = words_of(&attempt.header);
    keccak512(&[a, b, c, d, attempt.nonce])
}

fn finish(seed: &[u64; 8], mix: &[u64; 4]) -> [u8; 32] {
    let mut message = [0; 12];
    message[..8].copy_from_slice(seed);
    message[8..].copy_from_slice(mix);
    bytes_of(&keccak256(&message))
}
