//! Scrypt as a [`ProofOfWork`]: one path, and the memory that it hashes in.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use model::{Hash, Header, Target};

use super::{LINES, PATHS, Search, hash, lanes};
use crate::proof::{ProofOfWork, Refusal, meeting};
use crate::{Line, Path, PathError};

/// Searches headers by one path.
#[derive(Debug)]
pub struct Scrypt<M> {
    path: Path,
    memory: M,
}

impl<M: AsRef<[Line]> + AsMut<[Line]>> Scrypt<M> {
    /// By `path` in `memory`, whatever it holds.
    ///
    /// # Errors
    /// [`PathError`] where this CPU or scrypt lacks the path.
    ///
    /// # Panics
    /// Where `memory` is shorter than [`LINES`] for each of the path's [`lanes`].
    pub fn by(path: Path, memory: M) -> Result<Scrypt<M>, PathError> {
        if !PATHS.contains(&path) {
            return Err(PathError::Absent(path, "scrypt"));
        }
        let (path, lines) = (path.require()?, memory.as_ref().len());
        assert!(lines >= lanes(path) * LINES, "scrypt by {path} works in {} lines, not in {lines}", lanes(path) * LINES);
        Ok(Scrypt { path, memory })
    }
}

impl<M: AsMut<[Line]>> ProofOfWork for Scrypt<M> {
    /// Its own nonce does not matter.
    type Job = Header;
    type Nonce = u32;
    type Shown = ();
    type Proof = Hash;

    fn hash(&mut self, job: &Header, nonce: u32) -> Hash {
        hash(&Header { nonce, ..*job }, self.memory.as_mut())
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
        let search = Search::new(job, self.path).expect("the path was checked when this was made");
        search.search(nonces, target, abort, self.memory.as_mut(), found)
    }
}
