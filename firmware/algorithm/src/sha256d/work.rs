//! SHA256d as a [`ProofOfWork`]: one path, and no memory.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::{Hash, Header, Target};

use super::Search;
use crate::proof::{ProofOfWork, Refusal, meeting};
use crate::{Path, PathError};

/// Searches headers by one path.
#[derive(Clone, Copy, Debug)]
pub struct Sha256d {
    path: Path,
}

impl Sha256d {
    /// By `path`.
    ///
    /// # Errors
    /// [`PathError`] where this CPU lacks it.
    pub fn by(path: Path) -> Result<Sha256d, PathError> {
        Ok(Sha256d { path: path.require()? })
    }
}

impl ProofOfWork for Sha256d {
    /// Its own nonce does not matter.
    type Job = Header;
    type Nonce = u32;
    type Shown = ();
    type Proof = Hash;

    fn hash(&mut self, job: &Header, nonce: u32) -> Hash {
        Header { nonce, ..*job }.hash()
    }

    fn verify(&mut self, job: &Header, nonce: u32, (): &(), target: &Target) -> Result<Hash, Refusal> {
        meeting(self.hash(job, nonce), target)
    }

    fn search(
        &mut self,
        job: &Header,
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u32, Hash),
    ) -> u64 {
        Search::new(job, self.path).search(nonces, target, abort, found)
    }
}
