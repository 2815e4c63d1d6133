//! The dataset of 2,080 MiB, which several threads fill and all machines then read.
//!
//! A [`Blank`] one gives away its [`Part`]s, a thread fills each ([`fill`]), and when nothing is left to fill it becomes a
//! [`Dataset`]: a machine on one that is not whole would find wrong hashes and nobody would know why. What was filled before an
//! abort is kept and not filled again. Not here: threads.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cache::{BuildError, Cache};
use super::way::{Pages, Way};
use super::{DATASET_BYTES, ITEM_BYTES, library};

/// Items between two looks at the abort flag: some milliseconds compiled, some hundred interpreted.
const STRETCH: u64 = 1 << 11;

/// A dataset that is not filled yet.
#[derive(Debug)]
pub struct Blank {
    cache: Cache,
    memory: library::Dataset,
    pages: Pages,
    /// Which stretches are filled.
    filled: Vec<bool>,
}

impl Blank {
    /// Allocates the dataset of a cache, in the best pages from `pages` on. Nothing is filled.
    ///
    /// # Errors
    /// Too little memory.
    pub fn new(cache: &Cache, pages: Pages) -> Result<Blank, BuildError> {
        let (memory, pages) =
            pages.best_of(library::Dataset::allocate).ok_or(BuildError::Memory { what: "dataset", bytes: DATASET_BYTES })?;
        let filled = vec![false; library::item_count().div_ceil(STRETCH) as usize];
        Ok(Blank { cache: cache.clone(), memory, pages, filled })
    }

    /// All of it in `count` parts of nearly the same size, one for each thread. Fewer where it is too small for that.
    pub fn parts(&mut self, count: usize) -> impl Iterator<Item = Part<'_>> {
        let each = self.filled.len().div_ceil(count.max(1));
        let (cache, mut memory) = (&self.cache, Some(self.memory.whole()));
        self.filled.chunks_mut(each).zip(1u64..).map_while(move |(filled, number)| {
            let (part, rest) = memory.take()?.split_at(number * each as u64 * STRETCH);
            memory = Some(rest);
            Some(Part { cache, memory: part, filled })
        })
    }

    /// The part that holds these items. It may hold some more on both sides.
    pub fn part(&mut self, items: Range<u64>) -> Part<'_> {
        let last = self.filled.len() as u64;
        let first = (items.start / STRETCH).min(last);
        let end = items.end.div_ceil(STRETCH).clamp(first, last);
        let (memory, _) = self.memory.whole().split_at(end * STRETCH);
        let (_, memory) = memory.split_at(first * STRETCH);
        Part { cache: &self.cache, memory, filled: &mut self.filled[first as usize..end as usize] }
    }

    /// An item, if it is filled.
    #[must_use]
    pub fn item(&self, index: u64) -> Option<[u8; ITEM_BYTES as usize]> {
        let filled = *self.filled.get(usize::try_from(index / STRETCH).ok()?)?;
        (filled && index < library::item_count()).then(|| self.memory.item(index))
    }

    /// The dataset, which keeps no hold of the cache.
    ///
    /// # Errors
    /// The first item that is not filled; all that was filled is lost then.
    pub fn finish(self) -> Result<Dataset, BuildError> {
        match self.filled.iter().position(|filled| !filled) {
            Some(stretch) => Err(BuildError::Unfilled { item: stretch as u64 * STRETCH }),
            None => Ok(Dataset { way: self.cache.way(), pages: self.pages, memory: Arc::new(self.memory) }),
        }
    }

    /// The pages it got.
    #[must_use]
    pub fn pages(&self) -> Pages {
        self.pages
    }
}

/// A part of a blank dataset, for one thread.
#[derive(Debug)]
pub struct Part<'d> {
    cache: &'d Cache,
    memory: library::Part<'d>,
    filled: &'d mut [bool],
}

impl Part<'_> {
    /// Its items.
    #[must_use]
    pub fn items(&self) -> Range<u64> {
        self.memory.items()
    }
}

/// Computes the items of a part that are not filled yet. `progress` is told the items done and the items in all every few
/// milliseconds, after which `abort` is looked at.
///
/// # Errors
/// Abort.
pub fn fill(mut part: Part<'_>, abort: &AtomicBool, progress: &mut dyn FnMut(u64, u64)) -> Result<(), BuildError> {
    let items = part.items();
    let all = items.end - items.start;
    for filled in part.filled {
        if *filled {
            part.memory.skip(STRETCH);
        } else {
            part.memory.fill(part.cache.memory(), STRETCH);
            *filled = true;
        }
        progress(part.memory.items().start - items.start, all);
        if abort.load(Ordering::Relaxed) {
            return Err(BuildError::Aborted);
        }
    }
    Ok(())
}

/// A filled dataset. Cheap to clone: all clones are one memory, which goes when the last of them and of its machines does.
#[derive(Clone, Debug)]
pub struct Dataset {
    memory: Arc<library::Dataset>,
    way: Way,
    pages: Pages,
}

impl Dataset {
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

    pub(super) fn memory(&self) -> &Arc<library::Dataset> {
        &self.memory
    }
}
