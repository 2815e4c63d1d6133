//! `KawPow`: `ProgPoW` 0.9.4 with Ravencoin's parameters, on a dataset built like Ethash's with twice the parents.
//!
//! Every three blocks have a [`Program`] of their own, made once and handed in with each attempt. Pages have 256 bytes, and the
//! first 16 KiB of the dataset are a small cache that the program loads from. [`Light`] computes pages from the cache, [`Full`]
//! reads them; both hash, verify a claim and search as Ethash's do. Nothing allocates but their making (the 16 KiB). Not here:
//! code for a GPU, which is generated from the same program, and which period a block is in beyond its height.

mod kiss;
mod mix;
mod program;
mod work;

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::Target;

pub use program::{
    CACHE_LOADS, COMPUTATIONS, DATASET_LOADS, Instruction, Load, Merge, Operation, PERIOD_BLOCKS, Program, REGISTERS, Register,
};
pub use work::Job;

use crate::ethash::{
    Attempt, Cache, Claim, Computed, Dataset, Epoch, Modulus, Pages, Proof, Rules, Stored, Vectors, Work, best_path, checked,
    checked_in_lanes, expect, in_lanes, page_count, required, run, searched, small,
};
pub use crate::ethash::{PATHS, SelfTestError};
use crate::{Line, Path, Refusal};
use mix::{CACHE_WORDS, PAGE};

/// Attempts hashed side by side where pages are computed: sixteen chains of reads.
const LIGHT_LANES: usize = 4;
/// The same where they are read.
const FULL_LANES: usize = 4;

/// Why a cache or a dataset is none of `KawPow`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// The dataset ends within the first 16 KiB, from which the program loads.
    #[error("hash kawpow with a dataset of {bytes} bytes: it needs 16384 at least")]
    Dataset {
        /// Its size.
        bytes: u64,
    },
}

/// Hashes by the cache alone.
#[derive(Clone, Debug)]
pub struct Light<M> {
    cache: Cache<M>,
    first: First,
    pages: Modulus,
    path: Path,
}

/// Hashes by the dataset.
#[derive(Clone, Debug)]
pub struct Full<M> {
    dataset: Dataset<M>,
    first: First,
    pages: Modulus,
    path: Path,
}

/// The first 16 KiB of the dataset.
type First = Box<[u32; CACHE_WORDS]>;

/// The digest that an attempt has if the claimed mix is its mix. It depends on no program and no epoch.
#[must_use]
pub fn digest(claim: &Claim) -> [u8; 32] {
    mix::digest(&claim.attempt, &claim.mix)
}

impl<M: AsRef<[Line]>> Light<M> {
    /// Hashes by the CPU's best path.
    ///
    /// # Errors
    /// A dataset smaller than 16 KiB.
    pub fn new(cache: Cache<M>) -> Result<Light<M>, SizeError> {
        Light::at(cache, best_path())
    }

    /// Hashes by one path, or by the portable one where the CPU lacks it.
    ///
    /// # Errors
    /// A dataset smaller than 16 KiB.
    pub fn at(cache: Cache<M>, path: Path) -> Result<Light<M>, SizeError> {
        let pages = pages_of(cache.epoch().dataset_bytes, || page_count(cache.epoch(), PAGE))?;
        let dataset = Computed { cache: cache.view(), pages };
        let first = first(|indices, pages| run(path, Fetch { dataset, indices, pages }));
        Ok(Light { cache, first, pages, path })
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache<M> {
        &self.cache
    }

    /// Hashes one attempt.
    #[must_use]
    pub fn hash(&self, program: &Program, attempt: &Attempt) -> Proof {
        self.run(program, [*attempt])[0]
    }

    /// Hashes many attempts, faster than one by one, and calls `each` with their places and proofs in order.
    pub fn hash_all(&self, program: &Program, attempts: &[Attempt], each: &mut dyn FnMut(usize, Proof)) {
        in_lanes::<LIGHT_LANES>(attempts, &|one| self.run(program, one), &|many| self.run(program, many), each);
    }

    /// The digest of a claim that meets the target, which costs a thousandth of a hash to refuse where it does not.
    ///
    /// # Errors
    /// [`Refusal`] says whether it is the target that is missed or the mix that is wrong.
    pub fn verify(&self, program: &Program, claim: &Claim, target: &Target) -> Result<[u8; 32], Refusal> {
        checked(claim, target, &digest, || self.hash(program, &claim.attempt))
    }

    /// Verifies many claims of one period, faster than one by one: `each` is called once with the place of each claim and what
    /// [`verify`](Self::verify) would have said, the refusals by target early.
    pub fn verify_all(
        &self,
        program: &Program,
        claims: &[(Claim, Target)],
        each: &mut dyn FnMut(usize, Result<[u8; 32], Refusal>),
    ) {
        checked_in_lanes::<LIGHT_LANES>(claims, &digest, &|one| self.run(program, one), &|many| self.run(program, many), each);
    }

    /// Tries every nonce of the range in order, `u64::MAX` excepted, and calls `found` with each that meets the target. Returns
    /// how many were tried: all of them, or fewer once `abort` is set, which is looked at every few hashes.
    pub fn search(
        &self,
        program: &Program,
        header: &[u8; 32],
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u64, Proof),
    ) -> u64 {
        searched::<LIGHT_LANES>(header, nonces, target, abort, &|many| self.run(program, many), found)
    }

    #[inline]
    fn run<const N: usize>(&self, program: &Program, attempts: [Attempt; N]) -> [Proof; N] {
        let dataset = Computed { cache: self.cache.view(), pages: self.pages };
        run(self.path, Hashes { dataset, first: &self.first, program, attempts })
    }
}

impl<M: AsRef<[Line]>> Full<M> {
    /// Hashes by the CPU's best path.
    ///
    /// # Errors
    /// A dataset smaller than 16 KiB.
    pub fn new(dataset: Dataset<M>) -> Result<Full<M>, SizeError> {
        Full::at(dataset, best_path())
    }

    /// Hashes by one path, or by the portable one where the CPU lacks it.
    ///
    /// # Errors
    /// A dataset smaller than 16 KiB.
    pub fn at(dataset: Dataset<M>, path: Path) -> Result<Full<M>, SizeError> {
        let pages = pages_of(dataset.epoch().dataset_bytes, || page_count(dataset.epoch(), PAGE))?;
        let stored = Stored { lines: dataset.lines(), pages };
        let first = first(|indices, pages| run(path, Fetch { dataset: stored, indices, pages }));
        Ok(Full { dataset, first, pages, path })
    }

    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> &Dataset<M> {
        &self.dataset
    }

    /// Hashes one attempt.
    #[must_use]
    pub fn hash(&self, program: &Program, attempt: &Attempt) -> Proof {
        self.run(program, [*attempt])[0]
    }

    /// Hashes many attempts, faster than one by one, and calls `each` with their places and proofs in order.
    pub fn hash_all(&self, program: &Program, attempts: &[Attempt], each: &mut dyn FnMut(usize, Proof)) {
        in_lanes::<FULL_LANES>(attempts, &|one| self.run(program, one), &|many| self.run(program, many), each);
    }

    /// The digest of a claim that meets the target.
    ///
    /// # Errors
    /// [`Refusal`] says whether it is the target that is missed or the mix that is wrong.
    pub fn verify(&self, program: &Program, claim: &Claim, target: &Target) -> Result<[u8; 32], Refusal> {
        checked(claim, target, &digest, || self.hash(program, &claim.attempt))
    }

    /// Tries every nonce of the range in order, `u64::MAX` excepted, and calls `found` with each that meets the target. Returns
    /// how many were tried: all of them, or fewer once `abort` is set, which is looked at every few hashes.
    pub fn search(
        &self,
        program: &Program,
        header: &[u8; 32],
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u64, Proof),
    ) -> u64 {
        searched::<FULL_LANES>(header, nonces, target, abort, &|many| self.run(program, many), found)
    }

    #[inline]
    fn run<const N: usize>(&self, program: &Program, attempts: [Attempt; N]) -> [Proof; N] {
        let dataset = Stored { lines: self.dataset.lines(), pages: self.pages };
        run(self.path, Hashes { dataset, first: &self.first, program, attempts })
    }
}

/// The first eight bytes of each digest of the self-test's attempts, added up.
const SUM: u64 = 0x47e0_346c_72d7_ed6e;

/// Hashes what is known, light and full, by one of [`PATHS`].
///
/// # Errors
/// [`SelfTestError`] where the CPU or the algorithm lacks the path, or a hash is wrong.
pub fn self_test(path: Path) -> Result<(), SelfTestError> {
    let epoch = Rules::KAWPOW.epoch_at(0).expect("epoch 0");
    let error = required("kawpow", path)?;
    let epoch = Epoch { cache_bytes: 1024, dataset_bytes: 32 * 1024, ..epoch };
    let (cache, dataset) = small(epoch, path).ok_or_else(|| error.clone())?;
    let light = Light::at(cache, path).map_err(|_| error.clone())?;
    let full = Full::at(dataset, path).map_err(|_| error.clone())?;
    let program = Program::of(0);
    expect(&error, SUM, |attempts, each| light.hash_all(&program, attempts, each))?;
    expect(&error, SUM, |attempts, each| full.hash_all(&program, attempts, each))
}

struct Hashes<'a, D, const N: usize> {
    dataset: D,
    first: &'a [u32; CACHE_WORDS],
    program: &'a Program,
    attempts: [Attempt; N],
}

impl<D: Pages<PAGE>, const N: usize> Work for Hashes<'_, D, N> {
    type Result = [Proof; N];
    #[inline(always)]
    fn run(self, vectors: impl Vectors) -> [Proof; N] {
        mix::hash(vectors, self.dataset, self.first, self.program, &self.attempts)
    }
}

struct Fetch<'a, D> {
    dataset: D,
    indices: &'a [u32; 1],
    pages: &'a mut [[Line; PAGE]; 1],
}

impl<D: Pages<PAGE>> Work for Fetch<'_, D> {
    type Result = ();
    #[inline(always)]
    fn run(self, vectors: impl Vectors) {
        self.dataset.fetch(vectors, self.indices, self.pages);
    }
}

fn pages_of(bytes: u64, count: impl FnOnce() -> Modulus) -> Result<Modulus, SizeError> {
    if bytes < 4 * CACHE_WORDS as u64 { Err(SizeError::Dataset { bytes }) } else { Ok(count()) }
}

/// The first pages, as words.
fn first(fetch: impl Fn(&[u32; 1], &mut [[Line; PAGE]; 1])) -> First {
    let mut words = Box::new([0; CACHE_WORDS]);
    for (index, page) in (0..).zip(words.chunks_exact_mut(16 * PAGE)) {
        let mut lines = [[Line::default(); PAGE]];
        fetch(&[index], &mut lines);
        for (words, line) in page.chunks_exact_mut(16).zip(&lines[0]) {
            words.copy_from_slice(&line.0);
        }
    }
    words
}

#[cfg(test)]
mod tests;
