//! Lines of the dataset, computed from the cache.
//!
//! A line mixes hundreds of lines of the cache, each picked by a word of the mix so far: a chain of waits for memory. Chains of
//! different lines have nothing to do with each other, so as many as the CPU can keep in flight run side by side: the 2 or 4
//! lines of a page, times the pages of several nonces. The picking word is computed apart from the other fifteen, straight from
//! the line that just came, so that the next wait begins as early as it can. Not here: which pages a nonce needs.
//!
//! Nothing is prefetched: to load the next line is the first thing that a chain does with its index. What counts is how many
//! chains there are (Zen 5, 16 MiB of cache, a busy machine: 2 chains 2.4 ms a hash, 8 chains 0.7, 16 chains 0.5).

use super::cache::View;
use super::wide::Vectors;
use crate::Line;

/// The 32-bit FNV prime.
const FNV_PRIME: u32 = 0x0100_0193;

/// FNV-1 on whole words, as Ethash has it.
#[inline(always)]
pub(crate) const fn fnv1(a: u32, b: u32) -> u32 {
    a.wrapping_mul(FNV_PRIME) ^ b
}

/// FNV-1a on whole words, as `ProgPoW` has it.
#[inline(always)]
pub(crate) const fn fnv1a(a: u32, b: u32) -> u32 {
    (a ^ b).wrapping_mul(FNV_PRIME)
}

/// Computes `N` pages of `P` lines; page `i` of a dataset begins at line `P * i`.
#[inline(always)]
pub(crate) fn pages<const P: usize, const N: usize>(
    vectors: impl Vectors,
    cache: View<'_>,
    indices: &[u32; N],
    pages: &mut [[Line; P]; N],
) {
    let seed = |n: usize, p: usize| indices[n].wrapping_mul(P as u32).wrapping_add(p as u32);
    for (n, page) in pages.iter_mut().enumerate() {
        for (p, line) in page.iter_mut().enumerate() {
            *line = cache.lines[cache.count.of(seed(n, p))];
            line.0[0] ^= seed(n, p);
        }
    }
    vectors.keccak512(pages.as_flattened_mut());
    let mut picks: [[u32; P]; N] = std::array::from_fn(|n| std::array::from_fn(|p| pages[n][p].0[0]));
    for parent in 0..cache.parents {
        let next = (parent as usize + 1) % 16;
        for n in 0..N {
            for p in 0..P {
                let from = &cache.lines[cache.count.of(fnv1(seed(n, p) ^ parent, picks[n][p]))];
                let line = &mut pages[n][p];
                picks[n][p] = fnv1(line.0[next], from.0[next]);
                vectors.merge(line, from);
            }
        }
    }
    vectors.keccak512(pages.as_flattened_mut());
}
