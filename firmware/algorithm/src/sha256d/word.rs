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

/// One header as a search sees it: everything that no nonce changes, computed once.
///
/// Words 16 to 18 of the header are words 0 to 2 of its second block, word 3 is the nonce, 4 to 15 are padding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    /// The state after the first 64 bytes.
    pub(crate) midstate: [u32; 8],
    /// Words 0 to 2 of the second block.
    pub(crate) tail: [u32; 3],
    /// The state after rounds 0 to 2.
    pub(crate) head: [u32; 8],
    /// `a` after round 3, less the nonce.
    pub(crate) a: u32,
    /// `e` after round 3, less the nonce.
    pub(crate) e: u32,
    /// Words 16 to 19 of the schedule: the first two whole, the third without its small sigma of the nonce, the fourth without
    /// the nonce.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only the kernels of x86-64 fold them"))]
    pub(crate) w16: [u32; 4],
}

impl Template {
    pub(crate) fn new(midstate: [u32; 8], tail: [u32; 3]) -> Template {
        let mut head = midstate;
        for (k, word) in K.iter().zip(tail) {
            head = round(head, k.wrapping_add(word));
        }
        let [a, _, _, _, e, ..] = round(head, K[3]);
        let [w0, w1, w2] = tail;
        let w16 = w0.wrapping_add(small_0(w1));
        let w17 = w1.wrapping_add(small_0(w2)).wrapping_add(small_1(HEADER_BITS));
        let w18 = w2.wrapping_add(small_1(w16));
        let w19 = small_0(PADDING).wrapping_add(small_1(w17));
        Template { midstate, tail, head, a, e, w16: [w16, w17, w18, w19] }
    }
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

/// One round; `kw` is the round's constant plus its word.
#[inline(always)]
pub(crate) const fn round([a, b, c, d, e, f, g, h]: [u32; 8], kw: u32) -> [u32; 8] {
    let big_1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = g ^ (e & (f ^ g));
    let t1 = h.wrapping_add(kw).wrapping_add(big_1).wrapping_add(choice);
    let big_0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) | (c & (a | b));
    [t1.wrapping_add(big_0).wrapping_add(majority), a, b, c, d.wrapping_add(t1), e, f, g]
}

#[inline(always)]
pub(crate) const fn small_0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

#[inline(always)]
pub(crate) const fn small_1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}
