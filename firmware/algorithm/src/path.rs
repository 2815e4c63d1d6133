//! Which instructions do the hashing.
//!
//! One program runs on every CPU of its architecture, so the choice is made when it runs. Not here: which path is faster on a
//! given CPU; of the two, `sha-ni` is several times faster wherever it exists.

use std::fmt;
use std::str::FromStr;

/// A way to compute SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// The SHA instructions of x86-64 (Intel Goldmont and Ice Lake, AMD Zen, and later ones).
    ShaNi,
    /// Plain integer arithmetic; runs everywhere.
    Portable,
}

/// Why a path cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not the name of a path.
    #[error("choose a hashing path: '{0}' is neither sha-ni nor portable")]
    Unknown(String),
    /// The CPU lacks the instructions.
    #[error("choose the hashing path {0}: this CPU does not have its instructions")]
    Unavailable(Path),
}

/// How much of an unknown name is repeated in the error: enough to recognise a typing mistake.
const NAME_SHOWN: usize = 24;

impl Path {
    /// Every path, the fastest first.
    pub const ALL: [Path; 2] = [Path::ShaNi, Path::Portable];

    /// The paths that this CPU can run, the fastest first. Never empty.
    pub fn available() -> impl Iterator<Item = Path> {
        Path::ALL.into_iter().filter(|path| path.is_available())
    }

    /// The fastest path that this CPU can run.
    #[must_use]
    pub fn best() -> Path {
        Path::available().next().unwrap_or(Path::Portable)
    }

    /// Whether this CPU can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Path::ShaNi => crate::sha_ni::available(),
            #[cfg(not(target_arch = "x86_64"))]
            Path::ShaNi => false,
            Path::Portable => true,
        }
    }

    /// The path itself where this CPU can run it: to check a user's choice before it is used.
    ///
    /// # Errors
    /// [`PathError::Unavailable`] where it cannot.
    pub fn require(self) -> Result<Path, PathError> {
        if self.is_available() { Ok(self) } else { Err(PathError::Unavailable(self)) }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Path::ShaNi => "sha-ni",
            Path::Portable => "portable",
        })
    }
}

impl FromStr for Path {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Path, PathError> {
        match text {
            "sha-ni" => Ok(Path::ShaNi),
            "portable" => Ok(Path::Portable),
            _ => Err(PathError::Unknown(text.chars().take(NAME_SHOWN).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_refused() {
        for path in Path::ALL {
            assert_eq!(path.to_string().parse(), Ok(path));
        }
        for text in ["", "SHA-NI", "sha_ni", " portable", "avx512"] {
            assert_eq!(text.parse::<Path>(), Err(PathError::Unknown(text.to_owned())));
        }
        assert_eq!("ä".repeat(1000).parse::<Path>(), Err(PathError::Unknown("ä".repeat(NAME_SHOWN))));
    }

    #[test]
    fn the_best_path_is_the_first_available_one() {
        assert_eq!(Path::available().next(), Some(Path::best()));
        assert!(Path::available().any(|path| path == Path::Portable));
        assert_eq!(Path::Portable.require(), Ok(Path::Portable));
        assert_eq!(Path::ShaNi.require().is_ok(), Path::available().any(|path| path == Path::ShaNi));
    }
}
