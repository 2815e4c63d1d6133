//! What is hashed: a block's hashing blob, as Monero and its relatives make it, with the nonce inside.
//!
//! A pool sends the blob and wants back the nonce and the hash. Nothing about a claim can be checked cheaply but whether the
//! claimed hash meets the target; so that comes first, and a pool that is flooded with nonsense loses little. Not here: what the
//! rest of the blob means.

use std::fmt;

use model::{Hash, Target};

/// Where the nonce stands: four bytes, little-endian, behind versions, time and the previous block's hash.
pub const NONCE_AT: usize = 39;

/// A hashing blob, whatever nonce it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    bytes: [u8; Blob::MAX_BYTES],
    length: usize,
}

/// Why bytes are no hashing blob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "take a hashing blob of {length} bytes: it has at least {} and at most {}, the nonce at byte {NONCE_AT}; \
     the pool speaks of another algorithm",
    Blob::MIN_BYTES,
    Blob::MAX_BYTES
)]
pub struct BlobError {
    /// How many bytes there are.
    pub length: usize,
}

impl Blob {
    /// Shortest blob: one that ends with its nonce.
    pub const MIN_BYTES: usize = NONCE_AT + 4;
    /// Longest blob. Monero's has 76 or 77 bytes: the nonce, a root of 32 and a number of transactions; this is some times that.
    pub const MAX_BYTES: usize = 512;

    /// Takes a blob as a pool or a node gives it.
    ///
    /// # Errors
    /// Too few bytes to hold a nonce, or too many.
    pub fn new(bytes: &[u8]) -> Result<Blob, BlobError> {
        let length = bytes.len();
        if !(Blob::MIN_BYTES..=Blob::MAX_BYTES).contains(&length) {
            return Err(BlobError { length });
        }
        let mut blob = Blob { bytes: [0; Blob::MAX_BYTES], length };
        blob.bytes[..length].copy_from_slice(bytes);
        Ok(blob)
    }

    /// The bytes, as they are hashed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The nonce.
    #[must_use]
    pub fn nonce(&self) -> u32 {
        let mut nonce = [0; 4];
        nonce.copy_from_slice(&self.bytes[NONCE_AT..Blob::MIN_BYTES]);
        u32::from_le_bytes(nonce)
    }

    /// The same blob with another nonce.
    #[must_use]
    pub fn with_nonce(mut self, nonce: u32) -> Blob {
        self.set_nonce(nonce);
        self
    }

    pub(super) fn set_nonce(&mut self, nonce: u32) {
        self.bytes[NONCE_AT..Blob::MIN_BYTES].copy_from_slice(&nonce.to_le_bytes());
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a share was turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Even the claimed hash is above the target: nothing was hashed to find out.
    #[error("verify a share: its hash {} is above the target {target:?}", hash.to_hex())]
    AboveTarget {
        /// The claimed hash.
        hash: Hash,
        /// The target.
        target: Target,
    },
    /// The blob has another hash.
    #[error(
        "verify a share: its hash is {} and not {}; the miner computes wrongly, or by another key",
        hash.to_hex(), claimed.to_hex()
    )]
    Hash {
        /// The hash that it has.
        hash: Hash,
        /// The hash that was claimed.
        claimed: Hash,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_lengths_that_hold_a_nonce_are_taken() {
        for length in [0, 42, 513, 100_000] {
            let error = Blob::new(&vec![0; length]).expect_err("a wrong length");
            assert_eq!(error, BlobError { length });
            assert!(error.to_string().contains("at least 43 and at most 512, the nonce at byte 39"), "{error}");
        }
        for length in [43, 76, 77, 512] {
            assert_eq!(Blob::new(&vec![7; length]).map(|blob| blob.bytes().len()), Ok(length));
        }
    }

    proptest! {
        #[test]
        fn a_nonce_changes_its_four_bytes_alone(bytes in proptest::collection::vec(any::<u8>(), 43..=512), nonce: u32) {
            let blob = Blob::new(&bytes).expect("a right length");
            prop_assert_eq!(blob.bytes(), &bytes[..]);
            prop_assert_eq!(&blob.nonce().to_le_bytes()[..], &bytes[39..43]);
            let with = blob.with_nonce(nonce);
            prop_assert_eq!(with.nonce(), nonce);
            prop_assert_eq!(&with.bytes()[..39], &bytes[..39]);
            prop_assert_eq!(&with.bytes()[43..], &bytes[43..]);
            prop_assert_eq!(with.with_nonce(blob.nonce()), blob);
        }
    }
}
