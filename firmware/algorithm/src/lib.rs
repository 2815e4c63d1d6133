//! The proofs of work: hash, verify, and search on a CPU.
//!
//! SHA256d is the only one so far. A single header is hashed by the `sha2` crate ([`sha256d`], [`verify`]); the kernels here
//! exist for trying nonces, where the first 64 bytes stay the same and most results need only one word ([`Search`],
//! [`Midstate`]). Which instructions do the work is a [`Path`], chosen when the program runs. Not here: threads, clocks, rates,
//! and which nonces to try next; nothing allocates while it hashes.

pub mod ethash;
pub mod kawpow;
mod keccak;
mod known;
mod path;
mod portable;
mod search;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
mod word;

pub use known::{SelfTestError, self_test};
pub use model::sha256d;
pub use path::{Path, PathError};
pub use search::{Midstate, Search};

use model::{Hash, Header, Target};

/// The header's hash where it meets `target`. Independent of the kernels, so that it can judge what they found.
#[must_use]
pub fn verify(header: &Header, target: &Target) -> Option<Hash> {
    Some(header.hash()).filter(|hash| target.is_met_by(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::genesis;

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
