//! An epoch's cache and dataset, built at once for a command that waits for them and told about on stderr meanwhile.
//!
//! Not here: building the next epoch's beside the one that is mined, and the memory (`memory`).

use algorithm::ethash::{Cache, Dataset, Epoch, fill};
use algorithm::{Line, Path};
use anyhow::Context;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two lines of progress.
const SAID: Duration = Duration::from_secs(1);
/// A command is stopped by ending the program, not by this.
static NEVER: AtomicBool = AtomicBool::new(false);

/// The memory that an epoch takes.
#[derive(Clone, Copy)]
pub enum Part {
    Cache,
    Dataset,
}

/// A part of an epoch as it is named to a person.
pub struct Named(pub Part, pub Epoch);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, bytes) = match self.0 {
            Part::Cache => ("cache", self.1.cache_bytes),
            Part::Dataset => ("dataset", self.1.dataset_bytes),
        };
        write!(f, "the {part} of epoch {} ({:.0} MiB)", self.1.number, bytes as f64 / f64::from(1 << 20))
    }
}

/// Builds the epoch's cache in `memory`.
///
/// # Errors
/// Sizes and memory that do not go together.
pub fn cache(epoch: Epoch, memory: Vec<Line>) -> anyhow::Result<Cache<Vec<Line>>> {
    let mut progress = Progress::begun(Named(Part::Cache, epoch));
    let cache = Cache::build(epoch, memory, &NEVER, &mut |done, of| progress.tell(done, of))?;
    progress.ended();
    Ok(cache)
}

/// Builds the cache's dataset in `memory`, each of `threads` a part of it.
///
/// # Errors
/// Memory that is no whole dataset, or a line that came out wrong.
pub fn dataset(
    cache: &Cache<Vec<Line>>,
    mut memory: Vec<Line>,
    threads: usize,
    path: Path,
) -> anyhow::Result<Dataset<Vec<Line>>> {
    let (all, done) = (memory.len() as u64, AtomicU64::new(0));
    let progress = Mutex::new(Progress::begun(Named(Part::Dataset, *cache.epoch())));
    let part = memory.len().div_ceil(threads.max(1)).max(1);
    let fill_part = |first: usize, lines: &mut [Line]| {
        let mut before = 0;
        fill(cache, first as u64, lines, path, &NEVER, &mut |now, _| {
            let done = done.fetch_add(now - before, Ordering::Relaxed) + now - before;
            before = now;
            // Who finds it taken has nothing to add to what is being said.
            if let Ok(mut progress) = progress.try_lock() {
                progress.tell(done, all);
            }
        })
    };
    let fill_part = &fill_part;
    let built = std::thread::scope(|scope| {
        let parts = (0..).step_by(part).zip(memory.chunks_mut(part));
        let workers: Vec<_> = parts.map(|(first, lines)| scope.spawn(move || fill_part(first, lines))).collect();
        workers.into_iter().try_for_each(|worker| anyhow::Ok(worker.join().ok().context("a building thread ended early")??))
    });
    built?;
    let dataset = Dataset::new(cache, memory)?;
    progress.into_inner().ok().context("a building thread ended early")?.ended();
    Ok(dataset)
}

/// What a person is told who waits.
struct Progress {
    what: Named,
    begun: Instant,
    said: Instant,
}

impl Progress {
    fn begun(what: Named) -> Progress {
        eprintln!("building {what}");
        let now = Instant::now();
        Progress { what, begun: now, said: now }
    }

    fn tell(&mut self, done: u64, of: u64) {
        if self.said.elapsed() >= SAID {
            self.said = Instant::now();
            eprintln!("building {}: {} %", self.what, u128::from(done) * 100 / u128::from(of.max(1)));
        }
    }

    fn ended(&self) {
        eprintln!("built {} in {:.1} s", self.what, self.begun.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use algorithm::ethash::Rules;

    #[test]
    fn a_dataset_is_the_same_by_any_number_of_threads() {
        let epoch = Rules::ETHASH.with_test_sizes().epoch_at(0).expect("epoch 0");
        assert_eq!(Named(Part::Cache, epoch).to_string(), "the cache of epoch 0 (1 MiB)");
        let lines = |bytes: u64| vec![Line::ZERO; usize::try_from(bytes / Line::BYTES).expect("small")];
        let cache = cache(epoch, lines(epoch.cache_bytes)).expect("a cache");
        for threads in [0, 1, 3] {
            // Taking it compares some lines with the cache.
            let dataset = dataset(&cache, lines(epoch.dataset_bytes), threads, Path::best()).expect("a dataset");
            assert_eq!(dataset.epoch(), &epoch);
        }
        assert!(dataset(&cache, lines(epoch.dataset_bytes / 2), 2, Path::Portable).is_err(), "half the memory");
    }
}
