//! Trying many nonces of one header by scrypt.
//!
//! As many hashes as the path has lanes are one batch; between batches the abort flag is looked at. What a kernel says meets the
//! target is hashed again by portable code, so a hit is never a kernel's word alone. Not here: which nonces are whose, and
//! threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Hash, Header, Target};

use super::key::{Head, Key};
use super::{LINES, MOST_LANES, PATHS, lanes, romix, verify};
use crate::{Line, Path, PathError, sha256d};

/// One past the last nonce.
const NONCES: u64 = 1 << 32;

/// A header made ready for trying its nonces. Cheap to copy: threads each take one, memory, and a part of the nonces.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    header: Header,
    head: Head,
    path: Path,
    /// The path that hashes single blocks for the keys.
    single: Path,
}

impl Search {
    /// Makes `header` ready; its own nonce does not matter.
    ///
    /// # Errors
    /// Where this CPU or scrypt lacks the path.
    pub fn new(header: &Header, path: Path) -> Result<Search, PathError> {
        if !PATHS.contains(&path) {
            return Err(PathError::Absent(path, "scrypt"));
        }
        let path = path.require()?;
        let single = sha256d::single(Path::best());
        Ok(Search { header: *header, head: Head::new(single, header), path, single })
    }

    /// The path that does the work.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// How much memory the search works in.
    #[must_use]
    pub fn lines(&self) -> usize {
        lanes(self.path) * LINES
    }

    /// Tries every nonce of the range in order and calls `found` once with each that meets the target. Returns how many were
    /// tried: all of them, or fewer once `abort` is set, which is looked at every [`lanes`]. Nonces end at 2^32: a range past
    /// that is cut there, and what was cut is not counted.
    ///
    /// # Panics
    /// Where `memory` is shorter than [`Search::lines`].
    pub fn search(
        &self,
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        memory: &mut [Line],
        found: &mut dyn FnMut(u32, Hash),
    ) -> u64 {
        assert!(memory.len() >= self.lines(), "a search works in {} lines, not in {}", self.lines(), memory.len());
        let (end, lanes) = (nonces.end.min(NONCES), lanes(self.path));
        let mut at = nonces.start;
        while at < end && !abort.load(Ordering::Relaxed) {
            let count = (end - at).min(lanes as u64);
            // A batch is always whole; what a range's last one has too much is not looked at.
            let mut keys = [None; MOST_LANES];
            let mut words = [[0; 32]; MOST_LANES];
            for (nonce, (key, words)) in (at..at + count).zip(keys.iter_mut().zip(&mut words)) {
                let made = Key::new(self.single, &self.head, nonce as u32);
                *words = made.words();
                *key = Some(made);
            }
            romix(self.path, &mut words[..lanes], memory);
            for (nonce, (key, words)) in (at..).zip(keys.iter().zip(&words)) {
                if key.is_some_and(|key| target.is_met_by(&key.digest(words))) {
                    let nonce = nonce as u32;
                    if let Some(hash) = verify(&Header { nonce, ..self.header }, target, memory) {
                        found(nonce, hash);
                    }
                }
            }
            at += count;
        }
        at.saturating_sub(nonces.start)
    }
}
