//! Bitcoin's 80-byte block header.

use crate::{Hash, hash::sha256d};

/// A block header. Hash fields hold the bytes as they stand in the serialised header (computed order).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    /// Block version, with rolled bits in place.
    pub version: u32,
    /// Hash of the previous block.
    pub previous: Hash,
    /// Root of the transaction tree.
    pub merkle_root: Hash,
    /// Unix time in seconds.
    pub time: u32,
    /// The block target in compact form (nBits).
    pub bits: u32,
    /// The nonce, as the little-endian number of the serialised header.
    pub nonce: u32,
}

impl Header {
    /// The 80 bytes that are hashed.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 80] {
        let mut b = [0; 80];
        b[..4].copy_from_slice(&self.version.to_le_bytes());
        b[4..36].copy_from_slice(&self.previous.0);
        b[36..68].copy_from_slice(&self.merkle_root.0);
        b[68..72].copy_from_slice(&self.time.to_le_bytes());
        b[72..76].copy_from_slice(&self.bits.to_le_bytes());
        b[76..].copy_from_slice(&self.nonce.to_le_bytes());
        b
    }

    /// Reads the 80 bytes back.
    #[must_use]
    pub fn from_bytes(b: &[u8; 80]) -> Header {
        let word = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let hash = |at: usize| {
            let mut h = [0; 32];
            h.copy_from_slice(&b[at..at + 32]);
            Hash(h)
        };
        Header { version: word(0), previous: hash(4), merkle_root: hash(36), time: word(68), bits: word(72), nonce: word(76) }
    }

    /// SHA-256's inner state behind the header's first 64 bytes: all of them that a chip needs which is handed midstates.
    #[must_use]
    pub fn midstate(&self) -> [u32; 8] {
        let mut block = [0; 64];
        block.copy_from_slice(&self.to_bytes()[..64]);
        let mut state = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
        sha2::block_api::compress256(&mut state, &[block]);
        state
    }

    /// The block hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256d(&self.to_bytes())
    }
}
