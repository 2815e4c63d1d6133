//! The two ends of scrypt: PBKDF2-HMAC-SHA256 with one iteration (RFC 8018), from a header and back to a digest.
//!
//! Password and salt are both the header. What its first 64 bytes make of SHA-256 is the same for all nonces and kept in
//! [`Head`]; a nonce then costs sixteen blocks. They go by the fastest path for single blocks: by SHA instructions they are two
//! hundredths of a hash, by portable code a tenth of the fastest kernel's.

use model::{Hash, Header};

use super::Words;
use crate::Path;
use crate::sha256d::compress;
use crate::sha256d::word::{INITIAL, PADDING, words};

/// Bits of the messages hashed: a header, an inner message of header and number, one of 128 bytes and number, an outer one.
const HEADER_BITS: u32 = 80 * 8;
const INNER_HEADER_BITS: u32 = (64 + 80 + 4) * 8;
const INNER_WORDS_BITS: u32 = (64 + 128 + 4) * 8;
const OUTER_BITS: u32 = (64 + 32) * 8;

/// What all nonces of a header share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// The first 64 bytes.
    block: [u32; 16],
    /// Their state.
    state: [u32; 8],
    /// Words 16 to 18.
    tail: [u32; 3],
}

impl Head {
    pub(super) fn new(path: Path, header: &Header) -> Head {
        let bytes = header.to_bytes();
        let block = words(&bytes[..64]);
        let [a, b, c, _] = words(&bytes[64..]);
        Head { block, state: compress(path, &INITIAL, &block), tail: [a, b, c] }
    }
}

/// One nonce's key for HMAC, and its message as far as it is the same for all four numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    path: Path,
    inner: [u32; 8],
    outer: [u32; 8],
    message: [u32; 8],
    tail: [u32; 4],
}

impl Key {
    pub(super) fn new(path: Path, head: &Head, nonce: u32) -> Key {
        let [a, b, c] = head.tail;
        let tail = [a, b, c, nonce.swap_bytes()];
        // A password longer than a block is hashed first.
        let password = compress(path, &head.state, &ended(&tail, HEADER_BITS));
        let padded = |byte| {
            let mut block = [u32::from_ne_bytes([byte; 4]); 16];
            for (word, password) in block.iter_mut().zip(password) {
                *word ^= password;
            }
            compress(path, &INITIAL, &block)
        };
        let (inner, outer) = (padded(0x36), padded(0x5c));
        Key { path, inner, outer, message: compress(path, &inner, &head.block), tail }
    }

    /// The 128 bytes to mix.
    pub(super) fn words(&self) -> Words {
        let [a, b, c, d] = self.tail;
        let mut words = [0; 32];
        for (number, place) in (1..).zip(words.chunks_exact_mut(8)) {
            let inner = compress(self.path, &self.message, &ended(&[a, b, c, d, number], INNER_HEADER_BITS));
            let output = compress(self.path, &self.outer, &ended(&inner, OUTER_BITS));
            place.copy_from_slice(&output.map(u32::swap_bytes));
        }
        words
    }

    /// The digest of the mixed 128 bytes.
    pub(super) fn digest(&self, words: &Words) -> Hash {
        let mut inner = self.inner;
        for half in words.as_chunks::<16>().0 {
            inner = compress(self.path, &inner, &half.map(u32::swap_bytes));
        }
        inner = compress(self.path, &inner, &ended(&[1], INNER_WORDS_BITS));
        let output = compress(self.path, &self.outer, &ended(&inner, OUTER_BITS));
        let mut bytes = [0; 32];
        for (place, word) in bytes.chunks_exact_mut(4).zip(output) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        Hash(bytes)
    }
}

/// The last block of a message: its last words, the padding, and the length.
fn ended<const N: usize>(words: &[u32; N], bits: u32) -> [u32; 16] {
    const { assert!(N < 15, "the padding and the length fit the block") };
    let mut block = [0; 16];
    block[..N].copy_from_slice(words);
    (block[N], block[15]) = (PADDING, bits);
    block
}
