//! The light cache: what every line of the dataset is computed from.
//!
//! It is built in memory that the caller hands in, so that the caller decides about huge pages and NUMA nodes; nothing here
//! allocates. Building is one long chain of hashes and cannot be shared among threads, but it tells how far it is and can be
//! stopped. Not here: the dataset's lines (`item`).

use std::sync::atomic::{AtomicBool, Ordering};

use super::epoch::Epoch;
use super::modulus::Modulus;
use crate::Line;
use crate::keccak::{halves, keccak512, keccak512_line, words_of};

/// How often the raw cache is mixed.
const ROUNDS: u32 = 3;
/// Lines between two looks at the abort flag: some milliseconds.
const STRETCH: usize = 1 << 13;
/// The largest cache and dataset: lines are counted in 32 bits.
const MAX_LINES: u64 = 1 << 32;
/// Bytes of a page of Ethash's dataset; `KawPow`'s are two of them.
const PAGE_BYTES: u64 = 128;

/// Why a cache or a dataset was not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The epoch's sizes are none.
    #[error("build {epoch:?}: cache and dataset must be whole lines of 64 and pages of 128 bytes, at most 2^32 lines each")]
    Sizes {
        /// The epoch.
        epoch: Epoch,
    },
    /// Less memory than the epoch needs.
    #[error("build {what} of {epoch:?}: {needed} bytes are needed and {given} were given")]
    Memory {
        /// Cache or dataset.
        what: &'static str,
        /// The epoch.
        epoch: Epoch,
        /// Bytes needed.
        needed: u64,
        /// Bytes there were.
        given: u64,
    },
    /// Lines past the end of the dataset were asked for.
    #[error("build lines {first} to {end} of the dataset of {epoch:?}: it has {lines}")]
    Range {
        /// The epoch.
        epoch: Epoch,
        /// The first line.
        first: u64,
        /// The end of them.
        end: u64,
        /// How many there are.
        lines: u64,
    },
    /// A dataset that was not built from this cache, or not wholly.
    #[error("take a dataset of {epoch:?} as built: its line {line} is not what the cache makes of it; build it again")]
    Line {
        /// The epoch.
        epoch: Epoch,
        /// The line.
        line: u64,
    },
    /// The abort flag was set.
    #[error("build {what} of {epoch:?}: stopped on request")]
    Aborted {
        /// Cache or dataset.
        what: &'static str,
        /// The epoch.
        epoch: Epoch,
    },
}

/// A built light cache in the caller's memory.
#[derive(Clone, Debug)]
pub struct Cache<M> {
    epoch: Epoch,
    memory: M,
    lines: Modulus,
}

impl<M: AsRef<[Line]> + AsMut<[Line]>> Cache<M> {
    /// Builds the cache of `epoch` in the first lines of `memory`, whatever they hold. `progress` is told the lines done and the
    /// lines in all every few milliseconds, after which `abort` is looked at.
    ///
    /// # Errors
    /// Sizes that are none, too little memory, or abort.
    pub fn build(
        epoch: Epoch,
        mut memory: M,
        abort: &AtomicBool,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Cache<M>, BuildError> {
        let lines = sizes(epoch)?;
        let given = memory.as_ref().len() as u64 * Line::BYTES;
        let Some(cache) = usize::try_from(lines.get()).ok().and_then(|lines| memory.as_mut().get_mut(..lines)) else {
            return Err(BuildError::Memory { what: "the cache", epoch, needed: epoch.cache_bytes, given });
        };

        let total = u64::from(lines.get()) * (1 + u64::from(ROUNDS));
        let mut done = 0;
        let mut stretch_ends = |lines: usize| {
            done += lines as u64;
            progress(done, total);
            if abort.load(Ordering::Relaxed) { Err(BuildError::Aborted { what: "the cache", epoch }) } else { Ok(()) }
        };

        let mut last = {
            let words = keccak512(&words_of(&epoch.seed)).map(halves);
            Line(std::array::from_fn(|i| words[i / 2][i % 2]))
        };
        for stretch in cache.chunks_mut(STRETCH) {
            for line in &mut *stretch {
                *line = last;
                keccak512_line(&mut last.0);
            }
            stretch_ends(stretch.len())?;
        }
        for _ in 0..ROUNDS {
            last = *cache.last().expect("sizes: at least one line");
            for first in (0..cache.len()).step_by(STRETCH) {
                let end = cache.len().min(first + STRETCH);
                for at in first..end {
                    let other = &cache[lines.of(cache[at].0[0])].0;
                    last.0.iter_mut().zip(other).for_each(|(word, other)| *word ^= other);
                    keccak512_line(&mut last.0);
                    cache[at] = last;
                }
                stretch_ends(end - first)?;
            }
        }
        Ok(Cache { epoch, memory, lines })
    }
}

impl<M: AsRef<[Line]>> Cache<M> {
    /// What it is the cache of.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Its lines and how to pick one.
    #[inline(always)]
    pub(crate) fn view(&self) -> View<'_> {
        View { lines: &self.memory.as_ref()[..self.lines.get() as usize], count: self.lines, parents: self.epoch.parents }
    }
}

/// A cache as the kernels see it.
#[derive(Clone, Copy)]
pub(crate) struct View<'c> {
    pub(crate) lines: &'c [Line],
    pub(crate) count: Modulus,
    pub(crate) parents: u32,
}

/// The number of lines of the cache, where both sizes make sense.
fn sizes(epoch: Epoch) -> Result<Modulus, BuildError> {
    let whole = |bytes: u64, unit| bytes.is_multiple_of(unit) && bytes / Line::BYTES < MAX_LINES;
    if whole(epoch.cache_bytes, Line::BYTES)
        && whole(epoch.dataset_bytes, PAGE_BYTES)
        && epoch.dataset_bytes > 0
        && let Some(lines) = u32::try_from(epoch.cache_bytes / Line::BYTES).ok().and_then(Modulus::new)
    {
        return Ok(lines);
    }
    Err(BuildError::Sizes { epoch })
}
