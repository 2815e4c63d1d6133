//! What every SHA-256 kernel shares: the constants of FIPS 180-4, and words taken from bytes.
//!
//! Words are big-endian in SHA-256, while a header's nonce is little-endian: the nonce enters a kernel byte-swapped, and the word
//! that a target is compared with first leaves it byte-swapped.

/// The state before the first block.
pub(crate) const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The round constants.
#[rustfmt::skip]
pub(crate) const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// The first bit of the padding, as the word after the message.
pub(crate) const PADDING: u32 = 0x8000_0000;
/// A header's length in bits, the last word of its second block.
pub(crate) const HEADER_BITS: u32 = 640;
/// A digest's length in bits, the last word of the second hash's only block.
pub(crate) const DIGEST_BITS: u32 = 256;

/// One header as a search sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    /// The state after the first 64 bytes.
    pub(crate) midstate: [u32; 8],
    /// Words 16 to 18 of the header; word 19 is the nonce.
    pub(crate) tail: [u32; 3],
}

/// A stretch of nonces and the word that their hashes must not exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// The first nonce.
    pub(crate) first: u32,
    /// How many, in sequence; never past the last nonce.
    pub(crate) count: u32,
    /// The top word of the target. A hash whose own top word is larger cannot meet it.
    pub(crate) top: u32,
}

/// Reads `N` big-endian words. The lengths are constants of the callers.
pub(crate) fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    assert_eq!(bytes.len(), 4 * N, "whole words");
    let mut words = [0; N];
    for (word, b) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    }
    words
}
