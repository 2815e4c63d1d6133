//! Ethash and Etchash: 64 random pages of a dataset that is too large for a cheap chip.
//!
//! [`Rules`] give the [`Epoch`] of a block, a [`Cache`] is built for it, and from that either single pages ([`Light`], a pool's
//! way: megabytes and some hundred microseconds a hash) or the whole [`Dataset`] ([`Full`], a miner's: gigabytes and some
//! microseconds). Both hash, verify a [`Claim`] and search. Several attempts are hashed side by side where there are several,
//! which is several times faster than one after the other: what a hash does most is wait for memory. Nothing allocates; memory
//! is the caller's. Not here: threads, huge pages, and `KawPow`'s loop over the same kind of dataset.

mod cache;
mod dataset;
mod epoch;
mod hash;
mod item;
mod known;
mod lanes;
mod modulus;
mod proof;
mod wide;
mod work;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::Target;

use crate::{Line, Path, Refusal};
pub use cache::{BuildError, Cache};
pub(crate) use dataset::{Computed, Stored};
pub use dataset::{Dataset, fill};
pub use epoch::{Epoch, EpochError, MAX_EPOCH, Rules};
pub(crate) use hash::Pages;
pub(crate) use item::fnv1a;
pub use known::{SelfTestError, self_test};
pub(crate) use known::{expect, required, small};
pub(crate) use lanes::{checked, checked_in_lanes, in_lanes, searched};
pub(crate) use modulus::Modulus;
pub use proof::{Attempt, Claim, Proof};
pub use wide::PATHS;
pub(crate) use wide::{Vectors, Work, best_path, run};

/// Attempts hashed side by side where pages are computed: sixteen chains of reads. Eight chains take 1.4 times as long a hash.
const LIGHT_LANES: usize = 8;
/// The same where they are read.
const FULL_LANES: usize = 16;

/// Hashes by the cache alone.
#[derive(Clone, Debug)]
pub struct Light<M> {
    cache: Cache<M>,
    pages: Modulus,
    path: Path,
}

/// Hashes by the dataset.
#[derive(Clone, Debug)]
pub struct Full<M> {
    dataset: Dataset<M>,
    pages: Modulus,
    path: Path,
}

/// The digest that an attempt has if the claimed mix is its mix.
#[must_use]
pub fn digest(claim: &Claim) -> [u8; 32] {
    hash::digest(&claim.attempt, &claim.mix)
}

impl<M: AsRef<[Line]>> Light<M> {
    /// Hashes by the CPU's best path.
    #[must_use]
    pub fn new(cache: Cache<M>) -> Light<M> {
        Light::at(cache, best_path())
    }

    /// Hashes by one path, or by the portable one where the CPU lacks it.
    #[must_use]
    pub fn at(cache: Cache<M>, path: Path) -> Light<M> {
        let pages = page_count(cache.epoch(), hash::PAGE);
        Light { cache, pages, path }
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache<M> {
        &self.cache
    }

    /// Hashes one attempt.
    #[must_use]
    pub fn hash(&self, attempt: &Attempt) -> Proof {
        self.run([*attempt])[0]
    }

    /// Hashes many attempts, several times faster than one by one, and calls `each` with their places and proofs in order.
    pub fn hash_all(&self, attempts: &[Attempt], each: &mut dyn FnMut(usize, Proof)) {
        in_lanes::<LIGHT_LANES>(attempts, &|one| self.run(one), &|many| self.run(many), each);
    }

    /// The digest of a claim that meets the target, which costs a thousandth of a hash to refuse where it does not.
    ///
    /// # Errors
    /// [`Refusal`] says whether it is the target that is missed or the mix that is wrong.
    pub fn verify(&self, claim: &Claim, target: &Target) -> Result<[u8; 32], Refusal> {
        checked(claim, target, &digest, || self.hash(&claim.attempt))
    }

    /// Verifies many claims, several times faster than one by one: `each` is called once with the place of each claim and what
    /// [`verify`](Self::verify) would have said, the refusals by target early.
    pub fn verify_all(&self, claims: &[(Claim, Target)], each: &mut dyn FnMut(usize, Result<[u8; 32], Refusal>)) {
        checked_in_lanes::<LIGHT_LANES>(claims, &digest, &|one| self.run(one), &|many| self.run(many), each);
    }

    /// Tries every nonce of the range in order, `u64::MAX` excepted, and calls `found` with each that meets the target. Returns
    /// how many were tried: all of them, or fewer once `abort` is set, which is looked at every few hashes.
    pub fn search(
        &self,
        header: &[u8; 32],
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u64, Proof),
    ) -> u64 {
        searched::<LIGHT_LANES>(header, nonces, target, abort, &|many| self.run(many), found)
    }

    #[inline]
    fn run<const N: usize>(&self, attempts: [Attempt; N]) -> [Proof; N] {
        wide::run(self.path, Hashes { dataset: Computed { cache: self.cache.view(), pages: self.pages }, attempts })
    }
}

impl<M: AsRef<[Line]>> Full<M> {
    /// Hashes by the CPU's best path.
    #[must_use]
    pub fn new(dataset: Dataset<M>) -> Full<M> {
        Full::at(dataset, best_path())
    }

    /// Hashes by one path, or by the portable one where the CPU lacks it.
    #[must_use]
    pub fn at(dataset: Dataset<M>, path: Path) -> Full<M> {
        let pages = page_count(dataset.epoch(), hash::PAGE);
        Full { dataset, pages, path }
    }

    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> &Dataset<M> {
        &self.dataset
    }

    /// Hashes one attempt.
    #[must_use]
    pub fn hash(&self, attempt: &Attempt) -> Proof {
        self.run([*attempt])[0]
    }

    /// Hashes many attempts, several times faster than one by one, and calls `each` with their places and proofs in order.
    pub fn hash_all(&self, attempts: &[Attempt], each: &mut dyn FnMut(usize, Proof)) {
        in_lanes::<FULL_LANES>(attempts, &|one| self.run(one), &|many| self.run(many), each);
    }

    /// The digest of a claim that meets the target.
    ///
    /// # Errors
    /// [`Refusal`] says whether it is the target that is missed or the mix that is wrong.
    pub fn verify(&self, claim: &Claim, target: &Target) -> Result<[u8; 32], Refusal> {
        checked(claim, target, &digest, || self.hash(&claim.attempt))
    }

    /// Tries every nonce of the range in order, `u64::MAX` excepted, and calls `found` with each that meets the target. Returns
    /// how many were tried: all of them, or fewer once `abort` is set, which is looked at every few hashes.
    pub fn search(
        &self,
        header: &[u8; 32],
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u64, Proof),
    ) -> u64 {
        searched::<FULL_LANES>(header, nonces, target, abort, &|many| self.run(many), found)
    }

    #[inline]
    fn run<const N: usize>(&self, attempts: [Attempt; N]) -> [Proof; N] {
        wide::run(self.path, Hashes { dataset: Stored { lines: self.dataset.lines(), pages: self.pages }, attempts })
    }
}

struct Hashes<D, const N: usize> {
    dataset: D,
    attempts: [Attempt; N],
}

impl<D: Pages<{ hash::PAGE }>, const N: usize> Work for Hashes<D, N> {
    type Result = [Proof; N];
    #[inline(always)]
    fn run(self, vectors: impl Vectors) -> [Proof; N] {
        hash::hash(vectors, self.dataset, &self.attempts)
    }
}

/// How many pages of so many lines a dataset has.
pub(crate) fn page_count(epoch: &Epoch, lines: usize) -> Modulus {
    let pages = epoch.dataset_bytes / (Line::BYTES * lines as u64);
    u32::try_from(pages).ok().and_then(Modulus::new).expect("the cache's builder checked the sizes")
}

#[cfg(test)]
mod tests;
