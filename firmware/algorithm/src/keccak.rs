//! Keccak as it was before it became SHA-3: the hash of the Ethash family.
//!
//! The permutations are the `keccak` crate's. Around them is the original padding, which ends a message with a 1 where SHA-3
//! adds two bits more. Every message that a proof of work hashes is whole words and shorter than one block, so that is all
//! there is here; longer messages are not.

use keccak::Keccak;

/// 64-bit words of a block of Keccak-256.
const RATE_256: usize = 17;
/// 64-bit words of a block of Keccak-512.
const RATE_512: usize = 9;

/// What each round of the permutation of 1600 bits adds, for the kernels that run several at once.
#[cfg(target_arch = "x86_64")]
pub(crate) const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// How far each word of that state is turned in a round.
#[cfg(target_arch = "x86_64")]
pub(crate) const ROTATIONS: [u8; 25] =
    [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];

/// Keccak-256 of at most 16 little-endian words.
pub(crate) fn keccak256(message: &[u64]) -> [u64; 4] {
    sponge::<RATE_256, 4>(message)
}

/// Keccak-512 of at most 8 little-endian words.
pub(crate) fn keccak512(message: &[u64]) -> [u64; 8] {
    sponge::<RATE_512, 8>(message)
}

/// Keccak-512 of a line of 64 bytes, as the caches and datasets hash them.
pub(crate) fn keccak512_line(line: &mut [u32; 16]) {
    let words: [u64; 8] = std::array::from_fn(|i| u64::from(line[2 * i]) | u64::from(line[2 * i + 1]) << 32);
    for (pair, word) in line.chunks_exact_mut(2).zip(keccak512(&words)) {
        pair.copy_from_slice(&halves(word));
    }
}

/// The permutation of 800 bits.
pub(crate) fn f800(state: &mut [u32; 25]) {
    Keccak::new().with_f800(|f800| f800(state));
}

/// Both 32-bit halves of a word, the low one first.
pub(crate) const fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// The little-endian words of a 256-bit value.
pub(crate) fn words_of(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, eight) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*eight);
    }
    words
}

/// The bytes of a 256-bit value.
pub(crate) fn bytes_of(words: &[u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (eight, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *eight = word.to_le_bytes();
    }
    bytes
}

/// Absorbs one block and gives the first words of the state.
fn sponge<const RATE: usize, const OUT: usize>(message: &[u64]) -> [u64; OUT] {
    assert!(message.len() < RATE, "a message of one block");
    let mut state = [0; 25];
    state[..message.len()].copy_from_slice(message);
    state[message.len()] ^= 1;
    state[RATE - 1] ^= 1 << 63;
    Keccak::new().with_f1600(|f1600| f1600(&mut state));
    std::array::from_fn(|i| state[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(words: &[u64]) -> String {
        words.iter().flat_map(|w| w.to_le_bytes()).map(|b| format!("{b:02x}")).collect()
    }

    /// Vectors of the original submission: the empty message, and chfast/ethash's text of 8, 16 and 32 bytes.
    #[test]
    fn both_hashes_answer_as_published() {
        assert_eq!(hex(&keccak256(&[])), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        assert_eq!(
            hex(&keccak512(&[])),
            "0eab42de4c3ceb9235fc91acffe746b29c29a8c366b7c60e4e67c466f36a4304\
             c00fa9caf9d87976ba469bcbe06713b435f091ef2769fb160cdab33d3670680e"
        );
        let text = words_of(b"As Estha stirred the thick jam h");
        assert_eq!(hex(&keccak256(&text[..1])), "3199aa06ffa932894093e0c91eb2217d7e8d8250b8cc427104bd0d1954cc1fc2");
        assert_eq!(hex(&keccak256(&text[..2])), "be165de8bc0b514e1fcad3ab171ab73d05b7a8db20c0572f86165efd5122c6ce");
        assert_eq!(hex(&keccak256(&text)), "ed6ebf3c52ce4ba6689a7ed19ad29d0d9e2e057d9509e5daa5a3c148ae14cdd4");
        assert_eq!(
            hex(&keccak512(&text)),
            "b1a5db864102d4a5999cd22a3a02dc68f555c9a77135df2174c35699f5f591ad\
             403bea0ef7394ee68c4a18c9af4eb1de0ac1eac9ecc9a51cb9f72b1a4f7e26a9"
        );
    }

    /// The first 256 bits of the permuted zero state, as the `ProgPoW` tests of chfast/ethash have them.
    #[test]
    fn the_permutation_of_800_bits_answers_as_published() {
        let mut state = [0; 25];
        f800(&mut state);
        let hex: String = state[..8].iter().flat_map(|w| w.to_le_bytes()).map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5dd431e5fbc604f499bfa0232f45f8f142d0ff5178f539e5a7800bf0643697af");
    }

    #[test]
    fn words_and_bytes_are_each_others_inverse() {
        let bytes = std::array::from_fn(|i| u8::try_from(7 * i).expect("below 256"));
        assert_eq!(bytes_of(&words_of(&bytes)), bytes);
        assert_eq!(halves(0x0123_4567_89ab_cdef), [0x89ab_cdef, 0x0123_4567]);
        let mut line = [0; 16];
        keccak512_line(&mut line);
        assert_eq!(
            line.as_chunks::<2>().0.iter().map(|[l, h]| u64::from(*l) | u64::from(*h) << 32).collect::<Vec<_>>(),
            keccak512(&[0; 8])
        );
    }
}
