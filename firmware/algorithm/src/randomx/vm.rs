//! A virtual machine: it hashes, verifies shares and searches. Each thread has its own.
//!
//! A search begins the next hash while it ends the last one, as the library's own benchmark does. What it finds is the library's
//! word: there is no second implementation to ask, so the self-test comes first, and [`Vm::agrees`] compares a machine on a new
//! dataset to one on the cache. Not here: which nonces are whose, and threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use model::{Hash, Target};

use super::SCRATCHPAD_BYTES;
use super::blob::{Blob, Refusal};
use super::cache::{BuildError, Cache};
use super::dataset::Dataset;
use super::library::{Machine, Memory};
use super::needs::Mode;
use super::way::{Pages, Way};

/// One past the last nonce.
const NONCES: u64 = 1 << 32;

/// A virtual machine, which keeps what it reads alive.
#[derive(Debug)]
pub struct Vm {
    machine: Machine,
    mode: Mode,
    way: Way,
    pages: Pages,
}

impl Vm {
    /// One that reads a cache, its scratchpad in the best pages from `pages` on; transparent ones it cannot have.
    ///
    /// # Errors
    /// Too little memory.
    pub fn light(cache: &Cache, pages: Pages) -> Result<Vm, BuildError> {
        Vm::new(Mode::Light, cache.way(), pages, &Memory::Cache(cache.memory().clone()))
    }

    /// One that reads a dataset, its scratchpad in the best pages from `pages` on; transparent ones it cannot have.
    ///
    /// # Errors
    /// Too little memory.
    pub fn fast(dataset: &Dataset, pages: Pages) -> Result<Vm, BuildError> {
        Vm::new(Mode::Fast, dataset.way(), pages, &Memory::Dataset(dataset.memory().clone()))
    }

    fn new(mode: Mode, way: Way, pages: Pages, memory: &Memory) -> Result<Vm, BuildError> {
        let flags = way.require()?.flags();
        let (machine, pages) = pages
            .best_of(|large, _| Machine::new(flags | large, memory.clone()).map(|machine| (machine, false)))
            .ok_or(BuildError::Memory { what: "machine", bytes: SCRATCHPAD_BYTES })?;
        Ok(Vm { machine, mode, way, pages })
    }

    /// Whether it reads a cache or a dataset.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How it runs programs.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// The pages that its scratchpad got.
    #[must_use]
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// The hash of any input.
    pub fn hash(&mut self, input: &[u8]) -> Hash {
        Hash(self.machine.hash(input))
    }

    /// The hash of a blob with this nonce, which was claimed and meets the target.
    ///
    /// # Errors
    /// [`Refusal`] says whether the claimed hash misses the target, which costs nothing to see, or is not the blob's.
    pub fn verify(&mut self, blob: &Blob, nonce: u32, claimed: &Hash, target: &Target) -> Result<Hash, Refusal> {
        if !target.is_met_by(claimed) {
            return Err(Refusal::AboveTarget { hash: *claimed, target: *target });
        }
        let hash = self.hash(blob.with_nonce(nonce).bytes());
        if hash == *claimed { Ok(hash) } else { Err(Refusal::Hash { hash, claimed: *claimed }) }
    }

    /// Tries every nonce of the range in order and calls `found` once with each that meets the target. Returns how many were
    /// tried: all of them, or fewer once `abort` is set, which is looked at after every hash. Nonces end at 2^32: a range past
    /// that is cut there, and what was cut is not counted.
    pub fn search(
        &mut self,
        blob: &Blob,
        nonces: Range<u64>,
        target: &Target,
        abort: &AtomicBool,
        found: &mut dyn FnMut(u32, Hash),
    ) -> u64 {
        let (mut at, end) = (nonces.start, nonces.end.min(NONCES));
        if at >= end || abort.load(Ordering::Relaxed) {
            return 0;
        }
        let mut blob = blob.with_nonce(at as u32);
        let mut batch = self.machine.begin(blob.bytes());
        loop {
            let nonce = at as u32;
            at += 1;
            if at == end {
                offer(nonce, Hash(batch.end()), target, found);
                break;
            }
            blob.set_nonce(at as u32);
            offer(nonce, Hash(batch.next(blob.bytes())), target, found);
            if abort.load(Ordering::Relaxed) {
                break;
            }
        }
        at - nonces.start
    }

    /// Whether both hash `input` alike: a machine on a dataset that was just filled and one on its cache must.
    pub fn agrees(&mut self, other: &mut Vm, input: &[u8]) -> bool {
        self.hash(input) == other.hash(input)
    }
}

fn offer(nonce: u32, hash: Hash, target: &Target, found: &mut dyn FnMut(u32, Hash)) {
    if target.is_met_by(&hash) {
        found(nonce, hash);
    }
}
