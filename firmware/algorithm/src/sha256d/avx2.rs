//! SHA-256 of eight nonces at once by AVX2.
//!
//! Each vector holds the same word of eight hashes. AVX2 has no rotation and no three-operand logic, so a rotation is two shifts
//! and an or: 228 cycles a hash on a Zen 4 core. Rejected: two such streams interleaved, for which sixteen registers are too few
//! (275). For CPUs without SHA instructions; single hashes go by `portable`. Unsafe code is here because a function that uses
//! these instructions may only be called where the CPU has them; no pointer is touched.
#![expect(unsafe_code, reason = "functions that need CPU features are unsafe to call from ones that do not")]

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_min_epu32, _mm256_movemask_ps,
    _mm256_or_si256, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_xor_si256,
};

use super::word::{DIGEST_BITS, HEADER_BITS, INITIAL, K, PADDING, Stretch, Template};
use crate::Path;

/// Hashes in a vector.
const LANES: u32 = 8;

/// As [`super::portable::scan`].
pub(crate) fn scan(template: &Template, stretch: Stretch, survivor: &mut dyn FnMut(u32)) {
    assert!(Path::Avx2.is_available(), "a path is checked before it is used");
    let mut at = 0;
    while at < stretch.count {
        // SAFETY: the CPU has the features, as asserted above.
        let mut met = unsafe { met(template, stretch.first.wrapping_add(at), stretch.top) };
        while met != 0 {
            // The last vector may reach past the stretch, and even past the last nonce.
            let offset = at + met.trailing_zeros();
            if offset < stretch.count {
                survivor(stretch.first.wrapping_add(offset));
            }
            met &= met - 1;
        }
        at += LANES;
    }
}

/// One bit for each of the eight nonces from `first` on whose hash has a top word of at most `top`.
#[target_feature(enable = "avx2")]
fn met(template: &Template, first: u32, top: u32) -> u32 {
    let zero = _mm256_setzero_si256();
    let nonce = swapped(_mm256_add_epi32(all(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
    let [a, b, c, _, e, f, g, _] = splat(&template.head);
    let after_3 = [_mm256_add_epi32(all(template.a), nonce), a, b, c, _mm256_add_epi32(all(template.e), nonce), e, f, g];
    let [w0, w1, w2] = template.tail;
    let mut block = [zero; 16];
    (block[0], block[1], block[2], block[3]) = (all(w0), all(w1), all(w2), nonce);
    (block[4], block[15]) = (all(PADDING), all(HEADER_BITS));
    let last = rounds::<4, 64>(after_3, block);

    let mut block = [zero; 16];
    for i in 0..8 {
        block[i] = _mm256_add_epi32(last[i], all(template.midstate[i]));
    }
    (block[8], block[15]) = (all(PADDING), all(DIGEST_BITS));
    // H7 is IV7 plus h after round 63, which is e after round 60: three rounds and three words are never computed.
    let e = rounds::<0, 61>(splat(&INITIAL), block)[4];
    let word = swapped(_mm256_add_epi32(e, all(INITIAL[7])));
    // There is no unsigned comparison: the smaller of both is the word itself where it does not exceed the target's.
    let met = _mm256_cmpeq_epi32(_mm256_min_epu32(word, all(top)), word);
    _mm256_movemask_ps(_mm256_castsi256_ps(met)).cast_unsigned()
}

/// Rounds `FROM` up to `TO`, without the final addition; `FROM` is below 16 and `TO` above 48. As in `portable`; the compiler
/// drops what padding makes constant.
#[inline]
#[target_feature(enable = "avx2")]
fn rounds<const FROM: usize, const TO: usize>(mut s: [__m256i; 8], mut w: [__m256i; 16]) -> [__m256i; 8] {
    // Literals rather than a loop: the compiler does not unroll this much, and then the words would have no place in registers.
    macro_rules! given {
        ($($i:literal)*) => { $(
            if FROM <= $i {
                s = round(s, _mm256_add_epi32(w[$i], all(K[$i])));
            }
        )* };
    }
    macro_rules! scheduled {
        ($($i:literal)*) => { $(
            if $i < TO {
                let sum = _mm256_add_epi32(w[($i + 9) % 16], small_1(w[($i + 14) % 16]));
                w[$i % 16] = _mm256_add_epi32(_mm256_add_epi32(w[$i % 16], small_0(w[($i + 1) % 16])), sum);
                s = round(s, _mm256_add_epi32(w[$i % 16], all(K[$i])));
            }
        )* };
    }
    given!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    scheduled!(16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53);
    scheduled!(54 55 56 57 58 59 60 61 62 63);
    s
}

#[inline]
#[target_feature(enable = "avx2")]
fn round([a, b, c, d, e, f, g, h]: [__m256i; 8], kw: __m256i) -> [__m256i; 8] {
    let choice = _mm256_xor_si256(g, _mm256_and_si256(e, _mm256_xor_si256(f, g)));
    let big_1 = xor3(right::<6, 26>(e), right::<11, 21>(e), right::<25, 7>(e));
    let t1 = _mm256_add_epi32(_mm256_add_epi32(_mm256_add_epi32(h, kw), choice), big_1);
    let majority = _mm256_xor_si256(b, _mm256_and_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(b, c)));
    let big_0 = xor3(right::<2, 30>(a), right::<13, 19>(a), right::<22, 10>(a));
    [_mm256_add_epi32(_mm256_add_epi32(t1, majority), big_0), a, b, c, _mm256_add_epi32(d, t1), e, f, g]
}

#[inline]
#[target_feature(enable = "avx2")]
fn small_0(x: __m256i) -> __m256i {
    xor3(right::<7, 25>(x), right::<18, 14>(x), _mm256_srli_epi32::<3>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn small_1(x: __m256i) -> __m256i {
    xor3(right::<17, 15>(x), right::<19, 13>(x), _mm256_srli_epi32::<10>(x))
}

/// Rotated right by `R`; `L` is 32 - `R`.
#[inline]
#[target_feature(enable = "avx2")]
fn right<const R: i32, const L: i32>(x: __m256i) -> __m256i {
    const { assert!(R + L == 32) };
    _mm256_or_si256(_mm256_srli_epi32::<R>(x), _mm256_slli_epi32::<L>(x))
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(a, b), c)
}

/// The bytes of each word the other way round.
#[inline]
#[target_feature(enable = "avx2")]
fn swapped(x: __m256i) -> __m256i {
    #[rustfmt::skip]
    let order = _mm256_setr_epi8(
        3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
    );
    _mm256_shuffle_epi8(x, order)
}

#[inline]
#[target_feature(enable = "avx2")]
fn all(x: u32) -> __m256i {
    _mm256_set1_epi32(x.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(words: &[u32; 8]) -> [__m256i; 8] {
    let [a, b, c, d, e, f, g, h] = *words;
    [all(a), all(b), all(c), all(d), all(e), all(f), all(g), all(h)]
}
