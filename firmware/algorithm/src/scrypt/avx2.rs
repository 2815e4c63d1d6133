//! Scrypt's mixing of six hashes at once by AVX2: three streams of two.
//!
//! As in `avx512`, with two hashes in a vector and rotations of two shifts. In thousand cycles a hash on Zen 4, without the key's
//! part: one stream 299, two 178, three 145, four 160 (the sixteen registers run out). Unsafe code is here because a function
//! that uses these instructions may only be called where the CPU has them, and for their loads and stores.
#![expect(unsafe_code, reason = "functions that need CPU features, and loads and stores of vectors")]

use std::arch::x86_64::{
    __m128i, __m256i, _mm_cvtsi128_si32, _mm256_add_epi32, _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_load_si256,
    _mm256_loadu_si256, _mm256_permute2x128_si256, _mm256_setzero_si256, _mm256_shuffle_epi32, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_store_si256, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::{DIAGONAL, Lane, ROWS, Words};
use crate::Line;
use crate::Path;

/// Hashes in a vector.
const WIDTH: usize = 2;
/// Vectors side by side.
const STREAMS: usize = 3;
/// Hashes side by side.
pub(super) const LANES: usize = WIDTH * STREAMS;

/// Mixes [`LANES`] blocks, each in memory of its own.
pub(super) fn romix(words: &mut [Words], memory: &mut [Line]) {
    assert!(Path::Avx2.is_available(), "a path is checked before it is used");
    let words = words.first_chunk_mut().expect("the caller has a block for each lane");
    let (lanes, _) = memory.as_chunks_mut();
    let (streams, _) = lanes.as_chunks_mut();
    let streams = streams.first_chunk_mut().expect("the caller's memory holds every lane");
    // SAFETY: the CPU has the features, as asserted above.
    unsafe { romix_all(words, streams) };
}

/// A stream's two Salsa20 blocks, four rows each along their diagonals, each row of two hashes.
type Stream = [__m256i; 8];

#[target_feature(enable = "avx2")]
fn romix_all(words: &mut [Words; LANES], memory: &mut [[Lane; WIDTH]; STREAMS]) {
    let mut all = [[_mm256_setzero_si256(); 8]; STREAMS];
    gather(words, &mut all);
    // A copy whose every place is a constant: the compiler keeps it in registers, which it does not where a loop counts places.
    let mut x = all;
    for i in 0..ROWS {
        for (x, memory) in x.iter().zip(memory.iter_mut()) {
            store(x, memory, i);
        }
        salsa::<0, 4, 0>(&mut x);
        salsa::<4, 0, 0>(&mut x);
    }
    for _ in 0..ROWS {
        for (x, memory) in x.iter_mut().zip(memory.iter()) {
            add_row(x, memory);
        }
        salsa::<0, 4, 1>(&mut x);
        salsa::<4, 0, 1>(&mut x);
    }
    all = x;
    scatter(&all, words);
}

/// Each stream's rows of the blocks, a hash a lane.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn gather(words: &[Words; LANES], x: &mut [Stream; STREAMS]) {
    for (words, x) in words.chunks_exact(WIDTH).zip(x) {
        for (place, x) in x.iter_mut().enumerate() {
            let row: [u32; 4 * WIDTH] = std::array::from_fn(|i| words[i / 4][at(place, i)]);
            // SAFETY: the array is as long as a vector.
            *x = unsafe { _mm256_loadu_si256(row.as_ptr().cast()) };
        }
    }
}

/// The inverse of [`gather`].
#[inline(never)]
#[target_feature(enable = "avx2")]
fn scatter(x: &[Stream; STREAMS], words: &mut [Words; LANES]) {
    for (words, x) in words.chunks_exact_mut(WIDTH).zip(x) {
        for (place, x) in x.iter().enumerate() {
            let mut row = [0; 4 * WIDTH];
            // SAFETY: the array is as long as a vector.
            unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), *x) };
            for (i, word) in row.into_iter().enumerate() {
                words[i / 4][at(place, i)] = word;
            }
        }
    }
}

/// Where in a block the word stands that is `i` in row `place` of the eight.
fn at(place: usize, i: usize) -> usize {
    16 * (place / 4) + DIAGONAL[4 * (place % 4) + i % 4]
}

/// Writes row `i` of two lanes of memory.
#[inline]
#[target_feature(enable = "avx2")]
fn store(x: &Stream, memory: &mut [Lane; WIDTH], i: usize) {
    for quarter in 0..4 {
        let parts = transposed([x[2 * quarter], x[2 * quarter + 1]]);
        for (lane, part) in memory.iter_mut().zip(parts) {
            let place: *mut Line = &mut lane[2 * (i % ROWS) + quarter / 2];
            // SAFETY: a line is as long as two vectors and as aligned.
            unsafe { _mm256_store_si256(place.cast::<__m256i>().add(quarter % 2), part) };
        }
    }
}

/// Exclusive-ors each hash with the row of its memory that its word 16 names.
#[inline]
#[target_feature(enable = "avx2")]
fn add_row(x: &mut Stream, memory: &[Lane; WIDTH]) {
    let rows = [index(_mm256_castsi256_si128(x[4])), index(_mm256_extracti128_si256::<1>(x[4]))];
    for quarter in 0..4 {
        let mut parts = [_mm256_setzero_si256(); WIDTH];
        for ((part, lane), row) in parts.iter_mut().zip(memory).zip(rows) {
            let place: *const Line = &lane[2 * row + quarter / 2];
            // SAFETY: a line is as long as two vectors and as aligned.
            *part = unsafe { _mm256_load_si256(place.cast::<__m256i>().add(quarter % 2)) };
        }
        for (i, stored) in transposed(parts).into_iter().enumerate() {
            x[2 * quarter + i] = _mm256_xor_si256(x[2 * quarter + i], stored);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn index(lane: __m128i) -> usize {
    _mm_cvtsi128_si32(lane) as usize % ROWS
}

/// Two rows of two hashes are half a line of each hash, and the other way round.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed([a, b]: [__m256i; 2]) -> [__m256i; 2] {
    [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
}

/// Makes the rows from `AT` on Salsa20/8 of themselves ^ those from `OTHER` on; two of these are scryptBlockMix for r = 1. Each
/// step is taken for all streams before the next one: that is what hides its latency. `PASS` tells calls apart: a function that
/// is called in one place is inlined.
#[inline]
#[target_feature(enable = "avx2")]
fn salsa<const AT: usize, const OTHER: usize, const PASS: u8>(x: &mut [Stream; STREAMS]) {
    let mut y = [[_mm256_setzero_si256(); 4]; STREAMS];
    for (x, y) in x.iter_mut().zip(&mut y) {
        for (i, y) in y.iter_mut().enumerate() {
            x[AT + i] = _mm256_xor_si256(x[AT + i], x[OTHER + i]);
            *y = x[AT + i];
        }
    }
    for _ in 0..4 {
        quarter::<1, 0, 3, 7, 25>(&mut y);
        quarter::<2, 1, 0, 9, 23>(&mut y);
        quarter::<3, 2, 1, 13, 19>(&mut y);
        quarter::<0, 3, 2, 18, 14>(&mut y);
        turn::<1, 0x93>(&mut y);
        turn::<2, 0x4e>(&mut y);
        turn::<3, 0x39>(&mut y);
        quarter::<3, 0, 1, 7, 25>(&mut y);
        quarter::<2, 3, 0, 9, 23>(&mut y);
        quarter::<1, 2, 3, 13, 19>(&mut y);
        quarter::<0, 1, 2, 18, 14>(&mut y);
        turn::<1, 0x39>(&mut y);
        turn::<2, 0x4e>(&mut y);
        turn::<3, 0x93>(&mut y);
    }
    for (x, y) in x.iter_mut().zip(&y) {
        for (i, y) in y.iter().enumerate() {
            x[AT + i] = _mm256_add_epi32(x[AT + i], *y);
        }
    }
}

/// Row `X` becomes itself ^ (row `A` + row `B`) rotated left by `L`; `R` is 32 - `L`.
#[inline]
#[target_feature(enable = "avx2")]
fn quarter<const X: usize, const A: usize, const B: usize, const L: i32, const R: i32>(y: &mut [[__m256i; 4]; STREAMS]) {
    const { assert!(L + R == 32) };
    for y in y {
        let sum = _mm256_add_epi32(y[A], y[B]);
        y[X] = _mm256_xor_si256(y[X], _mm256_slli_epi32::<L>(sum));
        y[X] = _mm256_xor_si256(y[X], _mm256_srli_epi32::<R>(sum));
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn turn<const X: usize, const ORDER: i32>(y: &mut [[__m256i; 4]; STREAMS]) {
    for y in y {
        y[X] = _mm256_shuffle_epi32::<ORDER>(y[X]);
    }
}
