//! `KawPow` as a [`ProofOfWork`]: a reference to what hashes, for threads only read it.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::Target;

use super::{Full, Light, Program};
use crate::Line;
use crate::ethash::{Attempt, Claim, Proof};
use crate::proof::{ProofOfWork, Refusal};

/// A header of a period.
#[derive(Clone, Debug)]
pub struct Job {
    /// The header's hash.
    pub header: [u8; 32],
    /// The period's program.
    pub program: Program,
}

impl<M: AsRef<[Line]>> ProofOfWork for &Light<M> {
    type Job = Job;
    type Nonce = u64;
    /// The mix.
    type Shown = [u8; 32];
    type Proof = Proof;

    fn hash(&mut self, job: &Job, nonce: u64) -> Proof {
        Light::hash(self, &job.program, &Attempt { header: job.header, nonce })
    }

    fn verify(&mut self, job: &Job, nonce: u64, mix: &[u8; 32], target: &Target) -> Result<Proof, Refusal> {
        let claim = Claim { attempt: Attempt { header: job.header, nonce }, mix: *mix };
        Light::verify(self, &job.program, &claim, target).map(|digest| Proof { mix: *mix, digest })
    }

    fn search(
        &mut self,
        job: &Job,
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u64, Proof),
    ) -> u64 {
        Light::search(self, &job.program, &job.header, nonces, target, abort, found)
    }
}

impl<M: AsRef<[Line]>> ProofOfWork for &Full<M> {
    type Job = Job;
    type Nonce = u64;
    /// The mix.
    type Shown = [u8; 32];
    type Proof = Proof;

    fn hash(&mut self, job: &Job, nonce: u64) -> Proof {
        Full::hash(self, &job.program, &Attempt { header: job.header, nonce })
    }

    fn verify(&mut self, job: &Job, nonce: u64, mix: &[u8; 32], target: &Target) -> Result<Proof, Refusal> {
        let claim = Claim { attempt: Attempt { header: job.header, nonce }, mix: *mix };
        Full::verify(self, &job.program, &claim, target).map(|digest| Proof { mix: *mix, digest })
    }

    fn search(
        &mut self,
        job: &Job,
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u64, Proof),
    ) -> u64 {
        Full::search(self, &job.program, &job.header, nonces, target, abort, found)
    }
}
