//! The full dataset: every line computed once, so that a nonce costs 64 reads.
//!
//! Several threads build it, each its own part of the caller's memory ([`fill`]); afterwards it is taken as a [`Dataset`], which
//! checks some lines against the cache, because a part that nobody built would cost every share. Not here: threads.

use std::sync::atomic::{AtomicBool, Ordering};

use super::cache::{BuildError, Cache, View};
use super::epoch::Epoch;
use super::hash::Pages;
use super::item;
use super::modulus::Modulus;
use super::wide::{self, Vectors, Work, prefetch};
use crate::{Line, Path};

/// Lines computed side by side, each a chain of reads.
const LANES: usize = 16;
/// Lines between two looks at the abort flag: some milliseconds.
const STRETCH: usize = 1 << 10;
/// How many lines a dataset is checked at before it is used, beside the last one.
const CHECKED: u64 = 64;

/// Computes the lines of the dataset from `first` on into `lines`. `progress` is told the lines done and the lines in all every
/// few milliseconds, after which `abort` is looked at.
///
/// # Errors
/// Lines past the dataset's end, or abort.
pub fn fill<M: AsRef<[Line]>>(
    cache: &Cache<M>,
    first: u64,
    lines: &mut [Line],
    path: Path,
    abort: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), BuildError> {
    let epoch = *cache.epoch();
    let (given, count) = (lines.len() as u64, epoch.dataset_bytes / Line::BYTES);
    let end = first.saturating_add(given);
    let (Ok(mut at), true) = (u32::try_from(first), end <= count) else {
        return Err(BuildError::Range { epoch, first, end, lines: count });
    };
    let mut done = 0;
    for stretch in lines.chunks_mut(STRETCH) {
        wide::run(path, Stretch { cache: cache.view(), first: at, lines: &mut *stretch });
        // The last line's number fits 32 bits; one past it wraps and is not used.
        at = at.wrapping_add(stretch.len() as u32);
        done += stretch.len() as u64;
        progress(done, given);
        if abort.load(Ordering::Relaxed) {
            return Err(BuildError::Aborted { what: "the dataset", epoch });
        }
    }
    Ok(())
}

struct Stretch<'a> {
    cache: View<'a>,
    first: u32,
    lines: &'a mut [Line],
}

impl Work for Stretch<'_> {
    type Result = ();
    #[inline(always)]
    fn run(self, vectors: impl Vectors) {
        let (groups, rest) = self.lines.as_chunks_mut::<LANES>();
        let mut at = self.first;
        let mut pages = [[Line::default(); 1]; LANES];
        for group in groups {
            item::pages(vectors, self.cache, &std::array::from_fn(|lane| at.wrapping_add(lane as u32)), &mut pages);
            *group = pages.map(|[line]| line);
            at = at.wrapping_add(LANES as u32);
        }
        if !rest.is_empty() {
            item::pages(vectors, self.cache, &std::array::from_fn(|lane| at.wrapping_add(lane as u32)), &mut pages);
            rest.iter_mut().zip(pages).for_each(|(line, [page])| *line = page);
        }
    }
}

/// A built dataset in the caller's memory.
#[derive(Clone, Debug)]
pub struct Dataset<M> {
    epoch: Epoch,
    memory: M,
}

impl<M: AsRef<[Line]>> Dataset<M> {
    /// Takes `memory` as the dataset of the cache's epoch: its first lines must have been [`fill`]ed.
    ///
    /// # Errors
    /// Too little memory, or a line that is not what the cache makes of it; 65 lines are looked at.
    pub fn new<C: AsRef<[Line]>>(cache: &Cache<C>, memory: M) -> Result<Dataset<M>, BuildError> {
        let epoch = *cache.epoch();
        let lines = memory.as_ref();
        let (given, count) = (lines.len() as u64, epoch.dataset_bytes / Line::BYTES);
        if given < count {
            let what = "the dataset";
            return Err(BuildError::Memory { what, epoch, needed: epoch.dataset_bytes, given: given * Line::BYTES });
        }
        for check in (0..CHECKED).map(|part| part * count / CHECKED).chain([count - 1]) {
            let mut line = [Line::default(); 1];
            wide::run(Path::Portable, Stretch { cache: cache.view(), first: check as u32, lines: &mut line });
            if lines[check as usize] != line[0] {
                return Err(BuildError::Line { epoch, line: check });
            }
        }
        Ok(Dataset { epoch, memory })
    }

    /// What it is the dataset of.
    #[must_use]
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Its lines alone.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.memory.as_ref()[..(self.epoch.dataset_bytes / Line::BYTES) as usize]
    }
}

/// Pages computed from the cache.
#[derive(Clone, Copy)]
pub(crate) struct Computed<'c> {
    pub(crate) cache: View<'c>,
    pub(crate) pages: Modulus,
}

impl<const P: usize> Pages<P> for Computed<'_> {
    #[inline(always)]
    fn count(self) -> Modulus {
        self.pages
    }

    #[inline(always)]
    fn fetch<const N: usize>(self, vectors: impl Vectors, indices: &[u32; N], pages: &mut [[Line; P]; N]) {
        item::pages(vectors, self.cache, indices, pages);
    }
}

/// Pages read from the dataset.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'d> {
    pub(crate) lines: &'d [Line],
    pub(crate) pages: Modulus,
}

impl<const P: usize> Pages<P> for Stored<'_> {
    #[inline(always)]
    fn count(self) -> Modulus {
        self.pages
    }

    #[inline(always)]
    fn fetch<const N: usize>(self, _: impl Vectors, indices: &[u32; N], pages: &mut [[Line; P]; N]) {
        let page = |index: u32| &self.lines[index as usize * P..][..P];
        for index in indices {
            page(*index).iter().for_each(prefetch);
        }
        for (index, into) in indices.iter().zip(pages) {
            into.copy_from_slice(page(*index));
        }
    }
}
