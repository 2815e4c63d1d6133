//! Which instructions do the hashing.
//!
//! One program runs on every CPU of its architecture, so the choice is made when it runs. The order here is the usual one; which
//! path is fastest on a given CPU is found by [`crate::calibrate`]: a Zen 4 core does not care much between `avx512` and
//! `sha-ni`, a Zen 5 core is twice as fast by the first. Not here: which algorithm has which path; each has its `PATHS`.

use std::fmt;
use std::str::FromStr;

/// A set of instructions that a kernel is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// AVX-512 F and BW: sixteen words at once (Intel Skylake-X, Ice Lake, AMD Zen 4, and later ones).
    Avx512,
    /// The SHA instructions of x86-64 (Intel Goldmont and Ice Lake, AMD Zen, and later ones).
    ShaNi,
    /// AVX2: eight words at once (Intel Haswell, AMD Excavator, and later ones).
    Avx2,
    /// The SHA-256 instructions of 64-bit ARM.
    Armv8,
    /// Plain integer arithmetic; runs everywhere.
    Portable,
}

/// Why a path cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not the name of a path.
    #[error("choose a hashing path: '{0}' is none of avx512, sha-ni, avx2, armv8, portable")]
    Unknown(String),
    /// The CPU lacks the instructions.
    #[error("choose the hashing path {0}: this CPU does not have its instructions")]
    Unavailable(Path),
    /// The algorithm has no kernel in these instructions.
    #[error("choose the hashing path {0}: {1} is not written in its instructions")]
    Absent(Path, &'static str),
}

/// How much of an unknown name is repeated in the error: enough to recognise a typing mistake.
const NAME_SHOWN: usize = 24;

impl Path {
    /// Every path, in the usual order of speed for SHA256d.
    pub const ALL: [Path; 5] = [Path::Avx512, Path::ShaNi, Path::Avx2, Path::Armv8, Path::Portable];

    /// The paths that this CPU can run, the usually fastest first. Never empty.
    pub fn available() -> impl Iterator<Item = Path> {
        Path::ALL.into_iter().filter(|path| path.is_available())
    }

    /// The usually fastest path that this CPU can run.
    #[must_use]
    pub fn best() -> Path {
        Path::available().next().unwrap_or(Path::Portable)
    }

    /// Whether this CPU can run it. The answer is cached by the standard library.
    #[inline]
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
            #[cfg(target_arch = "x86_64")]
            Path::ShaNi => {
                is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3")
            }
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "aarch64")]
            Path::Armv8 => std::arch::is_aarch64_feature_detected!("sha2"),
            Path::Portable => true,
            _ => false,
        }
    }

    /// The path itself where this CPU can run it: to check a user's choice before it is used.
    ///
    /// # Errors
    /// [`PathError::Unavailable`] where it cannot.
    pub fn require(self) -> Result<Path, PathError> {
        if self.is_available() { Ok(self) } else { Err(PathError::Unavailable(self)) }
    }

    fn name(self) -> &'static str {
        match self {
            Path::Avx512 => "avx512",
            Path::ShaNi => "sha-ni",
            Path::Avx2 => "avx2",
            Path::Armv8 => "armv8",
            Path::Portable => "portable",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Path {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Path, PathError> {
        let unknown = || PathError::Unknown(text.chars().take(NAME_SHOWN).collect());
        Path::ALL.into_iter().find(|path| path.name() == text).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_refused() {
        for path in Path::ALL {
            assert_eq!(path.to_string().parse(), Ok(path));
            let error = PathError::Unknown(String::new()).to_string();
            assert!(error.contains(path.name()), "{error} names {path}");
        }
        for text in ["", "SHA-NI", "sha_ni", " portable", "avx-512"] {
            assert_eq!(text.parse::<Path>(), Err(PathError::Unknown(text.to_owned())));
        }
        assert_eq!("ä".repeat(1000).parse::<Path>(), Err(PathError::Unknown("ä".repeat(NAME_SHOWN))));
    }

    #[test]
    fn the_best_path_is_the_first_available_one() {
        assert_eq!(Path::available().next(), Some(Path::best()));
        assert!(Path::available().any(|path| path == Path::Portable));
        for path in Path::ALL {
            assert_eq!(path.require().is_ok(), Path::available().any(|p| p == path));
        }
    }

    #[test]
    fn no_cpu_is_of_two_architectures() {
        let x86 = [Path::Avx512, Path::ShaNi, Path::Avx2].into_iter().any(Path::is_available);
        assert!(!(x86 && Path::Armv8.is_available()));
    }
}
