//! Ethash as a [`ProofOfWork`]: a reference to what hashes, for threads only read it.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::Target;

use super::{Attempt, Claim, Full, Light, Proof};
use crate::Line;
use crate::proof::{ProofOfWork, Refusal};

impl<M: AsRef<[Line]>> ProofOfWork for &Light<M> {
    /// The header's hash.
    type Job = [u8; 32];
    type Nonce = u64;
    /// The mix.
    type Shown = [u8; 32];
    type Proof = Proof;

    fn hash(&mut self, job: &[u8; 32], nonce: u64) -> Proof {
        Light::hash(self, &Attempt { header: *job, nonce })
    }

    fn verify(&mut self, job: &[u8; 32], nonce: u64, mix: &[u8; 32], target: &Target) -> Result<Proof, Refusal> {
        let claim = Claim { attempt: Attempt { header: *job, nonce }, mix: *mix };
        Light::verify(self, &claim, target).map(|digest| Proof { mix: *mix, digest })
    }

    fn search(
        &mut self,
        job: &[u8; 32],
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u64, Proof),
    ) -> u64 {
        Light::search(self, job, nonces, target, abort, found)
    }
}

impl<M: AsRef<[Line]>> ProofOfWork for &Full<M> {
    /// The header's hash.
    type Job = [u8; 32];
    type Nonce = u64;
    /// The mix.
    type Shown = [u8; 32];
    type Proof = Proof;

    fn hash(&mut self, job: &[u8; 32], nonce: u64) -> Proof {
        Full::hash(self, &Attempt { header: *job, nonce })
    }

    fn verify(&mut self, job: &[u8; 32], nonce: u64, mix: &[u8; 32], target: &Target) -> Result<Proof, Refusal> {
        let claim = Claim { attempt: Attempt { header: *job, nonce }, mix: *mix };
        Full::verify(self, &claim, target).map(|digest| Proof { mix: *mix, digest })
    }

    fn search(
        &mut self,
        job: &[u8; 32],
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u64, Proof),
    ) -> u64 {
        Full::search(self, job, nonces, target, abort, found)
    }
}
