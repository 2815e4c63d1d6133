//! What every proof of work can do, so that a hand, a pool and a measurement are each written once.
//!
//! The nouns: a *job* is hashed together with a *nonce* and gives a *proof*, whose digest is held against a target. A miner
//! *shows* something beside its nonce where that makes a false claim cheap to refuse. An implementor is one thread's: it owns the
//! memory that it writes, and shares by reference what all threads read, a cache or a dataset. Making one is the algorithm's own
//! business, since each needs something else. Calls are dispatched at compile time, and nothing allocates.
//!
//! Rejected: a trait of what is made ready once a job (`sha256d::Search`). What that saves is two blocks of SHA-256 a slice of
//! thousands of nonces, and every caller would have to keep both.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::{Hash, Target};

/// A proof of work, made ready for one thread.
pub trait ProofOfWork {
    /// What is hashed together with a nonce.
    type Job;
    /// As many bits as the nonce has.
    type Nonce: Copy + Into<u64>;
    /// What a miner shows beside its nonce: the mix where there is one, else nothing.
    type Shown;
    /// What hashing gives.
    type Proof: Copy;

    /// Hashes the job with one nonce.
    fn hash(&mut self, job: &Self::Job, nonce: Self::Nonce) -> Self::Proof;

    /// The proof where it meets the target and is the one that was shown; what is cheap to find out is found out first.
    ///
    /// # Errors
    /// [`Refusal`] says which of both is wrong.
    fn verify(
        &mut self,
        job: &Self::Job,
        nonce: Self::Nonce,
        shown: &Self::Shown,
        target: &Target,
    ) -> Result<Self::Proof, Refusal>;

    /// Tries every nonce of the range in order and calls `found` once with each that meets the target. Returns how many were
    /// tried: all of them, or fewer once `abort` is set, which is looked at every few milliseconds or hashes. A range past the
    /// last nonce is cut there, and what was cut is not counted.
    fn search(
        &mut self,
        job: &Self::Job,
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(Self::Nonce, Self::Proof),
    ) -> u64;
}

/// Why a claim was turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The digest is above the target. Where a mix was shown, no work was done to find out.
    #[error("verify a claim: its digest {} is above the target {target:?}", hex(digest))]
    AboveTarget {
        /// The digest as a number, big-endian.
        digest: [u8; 32],
        /// The target.
        target: Target,
    },
    /// The nonce gives another mix.
    #[error("verify a claim: its mix is {} and not {}; the miner computes wrongly, or for another epoch", hex(mix), hex(claimed))]
    Mix {
        /// The mix that it gives.
        mix: [u8; 32],
        /// The mix that was claimed.
        claimed: [u8; 32],
    },
}

/// A hash that has only to meet the target.
pub(crate) fn meeting(hash: Hash, target: &Target) -> Result<Hash, Refusal> {
    if target.is_met_by(&hash) {
        return Ok(hash);
    }
    let mut digest = hash.0;
    digest.reverse();
    Err(Refusal::AboveTarget { digest, target: *target })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
