//! A key's cache of 256 MiB: what light machines read and a dataset is made from.
//!
//! Building one is a single chain of hashes (Argon2d, half a second) that cannot be shared among threads nor stopped: an epoch's
//! is built while the last one is still mined. Not here: where keys come from.

use std::ops::Range;
use std::sync::Arc;

use super::way::{Pages, Way, WayError};
use super::{CACHE_BYTES, library};

/// Longest key: of a longer one the library would use all bytes for the cache and fewer for the programs.
pub const MAX_KEY_BYTES: usize = 60;

/// Why a cache, a dataset or a machine was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Not the length of a key.
    #[error("build a RandomX cache: its key has {length} bytes, not 1 to {MAX_KEY_BYTES} (Monero's seed hash has 32)")]
    Key {
        /// How many bytes there are.
        length: usize,
    },
    /// Programs cannot be run this way.
    #[error(transparent)]
    Way(#[from] WayError),
    /// The library finds no memory.
    #[error("build a RandomX {what}: the system refuses {bytes} bytes; stop other programs or use fewer threads, or mine light")]
    Memory {
        /// Cache, dataset or machine.
        what: &'static str,
        /// Bytes needed.
        bytes: u64,
    },
    /// The abort flag was set.
    #[error("fill a RandomX dataset: stopped on request")]
    Aborted,
    /// Nobody filled this.
    #[error("take a RandomX dataset as filled: item {item} is not; fill all of it first")]
    Unfilled {
        /// The first such item.
        item: u64,
    },
}

/// A built cache. Cheap to clone: all clones are one memory, which goes when the last of them and of its machines does.
#[derive(Clone, Debug)]
pub struct Cache {
    memory: Arc<library::Cache>,
    way: Way,
    pages: Pages,
}

impl Cache {
    /// Builds the cache of `key` (Monero's seed hash), in the best pages from `pages` on. `way` is how a dataset is computed
    /// from it, and machines that read it run their programs.
    ///
    /// # Errors
    /// A key of a wrong length, a way that cannot be had, or too little memory.
    pub fn build(key: &[u8], way: Way, pages: Pages) -> Result<Cache, BuildError> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(BuildError::Key { length: key.len() });
        }
        let flags = way.require()?.flags();
        let (memory, pages) = pages
            .best_of(|large, transparent| library::Cache::build(flags | large, transparent, key))
            .ok_or(BuildError::Memory { what: "cache", bytes: CACHE_BYTES })?;
        Ok(Cache { memory: Arc::new(memory), way, pages })
    }

    /// How programs are run.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// The pages it got.
    #[must_use]
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// Its addresses: by them `/proc/self/smaps` tells how much of it is in transparent huge pages.
    #[must_use]
    pub fn place(&self) -> Range<usize> {
        self.memory.place()
    }

    pub(super) fn memory(&self) -> &Arc<library::Cache> {
        &self.memory
    }
}
