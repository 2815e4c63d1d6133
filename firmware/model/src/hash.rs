//! A 256-bit digest in the order in which it is computed.

use sha2::{Digest, Sha256};

/// A 32-byte digest, bytes in computed order. As a number it is little-endian: a block explorer shows it reversed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Lower-case hex in computed order.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
    /// Lower-case hex as a block explorer shows it (reversed).
    #[must_use]
    pub fn to_explorer_hex(&self) -> String {
        self.0.iter().rev().map(|b| format!("{b:02x}")).collect()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_explorer_hex())
    }
}

/// SHA-256 twice: Bitcoin's transaction, merkle and block hash. The search kernels live in `algorithm`.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(Sha256::digest(bytes)).into())
}
