//! What RandomX asks of a machine, said before any of it is allocated; and which RandomX it is.

use std::fmt;
use std::str::FromStr;

use super::{CACHE_BYTES, DATASET_BYTES, SCRATCHPAD_BYTES};

/// Whether machines read a cache or a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The cache: little memory, some twenty times slower.
    Light,
    /// The dataset.
    Fast,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Mode::Light => "light",
            Mode::Fast => "fast",
        })
    }
}

/// Bytes that so many threads need at most: with a dataset also its cache, which can go when the dataset is filled. What keeps
/// the next key's ready beside needs as much again.
#[must_use]
pub fn memory_needed(mode: Mode, threads: usize) -> u64 {
    let shared = match mode {
        Mode::Light => CACHE_BYTES,
        Mode::Fast => CACHE_BYTES + DATASET_BYTES,
    };
    shared.saturating_add(SCRATCHPAD_BYTES.saturating_mul(threads as u64))
}

/// A machine with too little memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "mine RandomX ({mode}) with {threads} threads: {} MiB of memory are needed and {} are free; {}",
    needed.div_ceil(1 << 20), available >> 20, self.advice()
)]
pub struct MemoryError {
    /// The mode.
    pub mode: Mode,
    /// How many threads.
    pub threads: usize,
    /// Bytes that they need.
    pub needed: u64,
    /// Bytes that there are.
    pub available: u64,
}

impl MemoryError {
    fn advice(&self) -> &'static str {
        let enough = |mode, threads| memory_needed(mode, threads) <= self.available;
        match self.mode {
            mode if self.threads > 1 && enough(mode, 1) => "use fewer threads",
            Mode::Fast if enough(Mode::Light, 1) => "light mining would fit, though slowly",
            _ => "this machine is too small for RandomX; choose another algorithm",
        }
    }
}

/// Whether `available` bytes are enough, and how many of them it takes.
///
/// # Errors
/// [`MemoryError`] says what would help.
pub fn check_memory(mode: Mode, threads: usize, available: u64) -> Result<u64, MemoryError> {
    let needed = memory_needed(mode, threads);
    if needed <= available { Ok(needed) } else { Err(MemoryError { mode, threads, needed, available }) }
}

/// Which RandomX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// The first, Monero's since 2019.
    V1,
}

/// Why a version cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The second: the name is kept for it.
    #[error("choose randomx-v2: the RandomX library that this program carries has version 1 alone; choose 'randomx'")]
    Reserved,
    /// Not the name of one.
    #[error("choose a RandomX: '{0}' is not 'randomx'")]
    Unknown(String),
}

/// How much of an unknown name is repeated in the error: enough to recognise a typing mistake.
const NAME_SHOWN: usize = 24;

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version::V1 = self;
        f.pad("randomx")
    }
}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Version, VersionError> {
        match text {
            "randomx" => Ok(Version::V1),
            "randomx-v2" => Err(VersionError::Reserved),
            other => Err(VersionError::Unknown(other.chars().take(NAME_SHOWN).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_is_needed_counts_each_thread() {
        assert_eq!(memory_needed(Mode::Light, 1), 258 * MIB);
        assert_eq!(memory_needed(Mode::Light, 8), 272 * MIB);
        assert_eq!(memory_needed(Mode::Fast, 1), (256 + 2080 + 2) * MIB - 64);
        assert_eq!(memory_needed(Mode::Fast, usize::MAX), u64::MAX);
    }

    #[test]
    fn a_small_machine_is_told_what_would_help() {
        assert_eq!(check_memory(Mode::Light, 2, 260 * MIB), Ok(260 * MIB));
        for (mode, threads, available, said) in [
            (
                Mode::Light,
                2,
                260 * MIB - 1,
                "mine RandomX (light) with 2 threads: 260 MiB of memory are needed and 259 are free; use fewer",
            ),
            (
                Mode::Fast,
                4,
                2340 * MIB,
                "mine RandomX (fast) with 4 threads: 2344 MiB of memory are needed and 2340 are free; use fewer",
            ),
            (Mode::Fast, 1, 512 * MIB, "light mining would fit"),
            (Mode::Fast, 1, 200 * MIB, "too small for RandomX"),
            (Mode::Light, 1, 0, "too small for RandomX"),
        ] {
            let error = check_memory(mode, threads, available).expect_err("too little").to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_second_version_is_refused_by_name() {
        assert_eq!(Version::V1.to_string().parse(), Ok(Version::V1));
        assert_eq!("randomx-v2".parse::<Version>(), Err(VersionError::Reserved));
        assert!(VersionError::Reserved.to_string().contains("has version 1 alone; choose 'randomx'"));
        for text in ["", "RandomX", "randomx-v3", "rx/0"] {
            assert_eq!(text.parse::<Version>(), Err(VersionError::Unknown(text.to_owned())));
        }
    }
}
