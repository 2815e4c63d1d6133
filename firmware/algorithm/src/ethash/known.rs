//! The test that a path computes what it should.
//!
//! A CPU that computes wrongly must be noticed before it mines, and a path that fails is not used. The epoch is core-geth's
//! smallest, of 1 KiB and 32 KiB, so that this takes a few milliseconds. Not here: tests of everything else.

use std::sync::atomic::AtomicBool;

use super::{Attempt, Cache, Dataset, Epoch, Full, Light, Line, Proof, Rules, fill};
use crate::{Path, PathError};

/// Attempts that a self-test hashes: a whole group of lanes, and one that goes alone.
const ATTEMPTS: u64 = 9;
/// Core-geth's header. Its hash with nonce 0 is published, and tested in `tests`.
const HEADER: [u8; 32] = [
    0xc9, 0x14, 0x9c, 0xc0, 0x38, 0x6e, 0x68, 0x9d, 0x78, 0x9a, 0x1c, 0x2f, 0x3d, 0x5d, 0x16, 0x9a, 0x61, 0xa6, 0x21, 0x8e, 0xd3,
    0x0e, 0x74, 0x41, 0x4d, 0xc7, 0x36, 0xe4, 0x42, 0xef, 0x3d, 0x1f,
];
/// The first eight bytes of each digest of its nonces, added up.
const SUM: u64 = 0xe8f7_3ecf_f2a5_a4a6;

/// Why a path must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfTestError {
    /// The CPU lacks it.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It computes other hashes than it should.
    #[error("test {algorithm} by {path}: it computes wrong hashes; use another path, and distrust this CPU")]
    WrongHash {
        /// The algorithm.
        algorithm: &'static str,
        /// The path under test.
        path: Path,
    },
}

/// Hashes what is known, light and full, by one of [`PATHS`](super::PATHS).
///
/// # Errors
/// [`SelfTestError`] where the CPU or the algorithm lacks the path, or a hash is wrong.
pub fn self_test(path: Path) -> Result<(), SelfTestError> {
    let epoch = Rules::ETHASH.epoch_at(0).expect("epoch 0");
    let error = required("ethash", path)?;
    let epoch = Epoch { cache_bytes: 1024, dataset_bytes: 32 * 1024, ..epoch };
    let (cache, dataset) = small(epoch, path).ok_or_else(|| error.clone())?;
    let (light, full) = (Light::at(cache, path), Full::at(dataset, path));
    expect(&error, SUM, |attempts, each| light.hash_all(attempts, each))?;
    expect(&error, SUM, |attempts, each| full.hash_all(attempts, each))
}

/// What a wrong hash by this path would be, where the path can be tested at all.
pub(crate) fn required(algorithm: &'static str, path: Path) -> Result<SelfTestError, PathError> {
    if !super::PATHS.contains(&path) {
        return Err(PathError::Absent(path, algorithm));
    }
    path.require().map(|path| SelfTestError::WrongHash { algorithm, path })
}

/// A cache and its dataset.
type Built = (Cache<Vec<Line>>, Dataset<Vec<Line>>);

/// A small epoch's cache and dataset. None where the dataset is not what the portable path makes of the cache.
pub(crate) fn small(epoch: Epoch, path: Path) -> Option<Built> {
    let lines = |bytes: u64| vec![Line::default(); (bytes / Line::BYTES) as usize];
    let go = AtomicBool::new(false);
    let cache = Cache::build(epoch, lines(epoch.cache_bytes), &go, &mut |_, _| {}).ok()?;
    let mut dataset = lines(epoch.dataset_bytes);
    fill(&cache, 0, &mut dataset, path, &go, &mut |_, _| {}).ok()?;
    let dataset = Dataset::new(&cache, dataset).ok()?;
    Some((cache, dataset))
}

/// Whether the digests of the known attempts add up to `sum`.
pub(crate) fn expect(
    error: &SelfTestError,
    sum: u64,
    hash_all: impl Fn(&[Attempt], &mut dyn FnMut(usize, Proof)),
) -> Result<(), SelfTestError> {
    let attempts: [Attempt; ATTEMPTS as usize] = std::array::from_fn(|nonce| Attempt { header: HEADER, nonce: nonce as u64 });
    let mut found = 0u64;
    hash_all(&attempts, &mut |_, proof| {
        let (words, _) = proof.digest.as_chunks();
        found = found.wrapping_add(u64::from_be_bytes(words[0]));
    });
    if found == sum { Ok(()) } else { Err(error.clone()) }
}

#[cfg(test)]
mod tests {
    use super::super::PATHS;
    use super::*;

    #[test]
    fn every_path_passes_and_a_wrong_one_would_not() {
        for path in Path::ALL {
            for (tested, algorithm) in [(self_test(path), "ethash"), (crate::kawpow::self_test(path), "kawpow")] {
                let want = match path.require() {
                    _ if !PATHS.contains(&path) => Err(PathError::Absent(path, algorithm).into()),
                    Err(error) => Err(error.into()),
                    Ok(_) => Ok(()),
                };
                assert_eq!(tested, want);
            }
        }
        let error = SelfTestError::WrongHash { algorithm: "ethash", path: Path::Portable };
        let nothing = |attempts: &[Attempt], each: &mut dyn FnMut(usize, Proof)| {
            (0..attempts.len()).for_each(|at| each(at, Proof::default()));
        };
        assert_eq!(expect(&error, SUM, nothing), Err(error.clone()));
        assert!(error.to_string().starts_with("test ethash by portable: "));
    }
}
