//! What is tried, what it gives, and what somebody claims it gives.
//!
//! Ethash and `KawPow` alike: a header's hash and a nonce give a mix, which costs the work, and from the mix a digest, which
//! costs next to nothing. So a claim that names its mix can be turned down at once where its digest is above the target, and a
//! pool that is flooded with nonsense loses little.

use std::fmt;

use model::Target;

use crate::proof::hex;

/// A header's hash and a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The header's hash in the order in which it is hashed again.
    pub header: [u8; 32],
    /// The nonce.
    pub nonce: u64,
}

/// What an attempt gives.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Proof {
    /// What the work gives.
    pub mix: [u8; 32],
    /// The proof of it, as a number big-endian.
    pub digest: [u8; 32],
}

impl Proof {
    /// Whether the digest is not above the target.
    #[must_use]
    pub fn meets(&self, target: &Target) -> bool {
        meets(&self.digest, target)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "digest {} of mix {}", hex(&self.digest), hex(&self.mix))
    }
}

/// An attempt and the mix that it is said to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The attempt.
    pub attempt: Attempt,
    /// The mix.
    pub mix: [u8; 32],
}

/// Whether a digest, as a big-endian number, is not above the target.
pub(crate) fn meets(digest: &[u8; 32], target: &Target) -> bool {
    *digest <= target.to_be_bytes()
}
