//! SHA256d: Bitcoin's proof of work, a header of 80 bytes hashed twice by SHA-256.
//!
//! A single header is hashed by the `sha2` crate ([`verify`]); the kernels exist for trying nonces ([`Search`], [`Midstate`]). A
//! kernel is a function `scan` in a file of its own, named after the instructions it uses; all of them take the same
//! [`word::Template`] and [`word::Stretch`] and report the same nonces. Nonce-independent work (the first block, rounds 0 to 2,
//! the constant words of the schedule) is done once a stretch, and of the second hash only the word that decides is computed.

#[cfg(target_arch = "aarch64")]
mod armv8;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod known;
pub(crate) mod portable;
mod search;
#[cfg(target_arch = "x86_64")]
pub(crate) mod sha_ni;
pub(crate) mod word;
mod work;

use model::{Hash, Header, Target};

use crate::Path;
pub use known::{SelfTestError, self_test};
pub use search::{Midstate, Search};
pub use work::Sha256d;

/// The paths that SHA256d has, in the order of their usual speed.
pub const PATHS: [Path; 5] = [Path::Avx512, Path::ShaNi, Path::Avx2, Path::Armv8, Path::Portable];

/// The header's hash where it meets `target`. Independent of the kernels, so that it can judge what they found.
#[must_use]
pub fn verify(header: &Header, target: &Target) -> Option<Hash> {
    Some(header.hash()).filter(|hash| target.is_met_by(hash))
}

/// The path that hashes single messages for `path`: a kernel of many lanes has nothing to fill them with.
pub(crate) fn single(path: Path) -> Path {
    match path {
        Path::Avx512 | Path::Avx2 if Path::ShaNi.is_available() => Path::ShaNi,
        Path::Avx512 | Path::Avx2 => Path::Portable,
        path => path,
    }
}

/// The state after one block. `path` is one that [`single`] gave.
#[inline]
pub(crate) fn compress(path: Path, state: &[u32; 8], block: &[u32; 16]) -> [u32; 8] {
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::ShaNi => sha_ni::compress(state, block),
        #[cfg(target_arch = "aarch64")]
        Path::Armv8 => armv8::compress(state, block),
        _ => portable::compress(state, block),
    }
}

/// The digest of the header whose second block begins with `tail`, hashed again. `path` is one that [`single`] gave.
#[inline]
fn double(path: Path, midstate: &[u32; 8], tail: &[u32; 4]) -> [u32; 8] {
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::ShaNi => sha_ni::double(midstate, tail),
        #[cfg(target_arch = "aarch64")]
        Path::Armv8 => armv8::double(midstate, tail),
        _ => portable::double(midstate, tail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use known::genesis;

    #[test]
    fn a_header_is_proof_for_its_own_target_and_no_harder_one() {
        let header = genesis();
        let target = Target::from_compact(header.bits).expect("a real block's target");
        let hash = verify(&header, &target).expect("the first block is proof of work");
        assert_eq!(hash.to_explorer_hex(), "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        assert_eq!(verify(&header, &Target::from_zero_bits(44)), None);
        assert_eq!(verify(&Header { nonce: header.nonce ^ 1, ..header }, &target), None);
    }
}
