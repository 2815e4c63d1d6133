//! Scrypt's mixing of sixteen hashes at once by AVX-512: four streams of four.
//!
//! A vector holds the same row of four hashes, one in each 128-bit lane. Salsa20 is a chain of dependent operations, so streams
//! go side by side; a hash's 128 bytes lie together in memory, since what is read next is another row for each hash. In cycles a
//! hash on Zen 4, without the key's part: one stream 170,000, two 101,000, three 91,000, four 90,000. Rejected: rows of four
//! hashes as they stand in the vectors (four times the cache lines to read: 115,000 with three streams); two groups of streams in
//! turn, whose next rows are fetched ahead (98,000). Unsafe code is here because a function that uses these instructions may only
//! be called where the CPU has them, and for their loads and stores.
#![expect(unsafe_code, reason = "functions that need CPU features, and loads and stores of vectors")]

use std::arch::x86_64::{
    __m128i, __m512i, _mm_cvtsi128_si32, _mm512_add_epi32, _mm512_castsi512_si128, _mm512_extracti32x4_epi32, _mm512_load_si512,
    _mm512_loadu_si512, _mm512_rol_epi32, _mm512_setzero_si512, _mm512_shuffle_epi32, _mm512_shuffle_i32x4, _mm512_store_si512,
    _mm512_storeu_si512, _mm512_xor_si512,
};

use super::{DIAGONAL, Lane, Line, ROWS, Words};
use crate::Path;

/// Hashes in a vector.
const WIDTH: usize = 4;
/// Vectors side by side.
const STREAMS: usize = 4;
/// Hashes side by side.
pub(super) const LANES: usize = WIDTH * STREAMS;

/// Mixes [`LANES`] blocks, each in memory of its own.
pub(super) fn romix(words: &mut [Words], memory: &mut [Line]) {
    assert!(Path::Avx512.is_available(), "a path is checked before it is used");
    let words = words.first_chunk_mut().expect("the caller has a block for each lane");
    let (lanes, _) = memory.as_chunks_mut();
    let lanes = lanes.first_chunk_mut().expect("the caller's memory holds every lane");
    // SAFETY: the CPU has the features, as asserted above.
    unsafe { romix_all(words, lanes) };
}

/// A stream's two Salsa20 blocks, four rows each along their diagonals, each row of four hashes.
type Stream = [__m512i; 8];

#[target_feature(enable = "avx512f")]
fn romix_all(words: &mut [Words; LANES], memory: &mut [Lane; LANES]) {
    let mut x = [[_mm512_setzero_si512(); 8]; STREAMS];
    for (s, x) in x.iter_mut().enumerate() {
        for (place, row) in x.iter_mut().enumerate() {
            *row = gathered(&words[WIDTH * s..], place);
        }
    }
    for i in 0..ROWS {
        for (s, x) in x.iter().enumerate() {
            store(x, &mut memory[WIDTH * s..], i);
        }
        mix(&mut x);
    }
    for _ in 0..ROWS {
        for (s, x) in x.iter_mut().enumerate() {
            add_row(x, &memory[WIDTH * s..]);
        }
        mix(&mut x);
    }
    for (s, x) in x.iter().enumerate() {
        for (place, row) in x.iter().enumerate() {
            scatter(*row, &mut words[WIDTH * s..], place);
        }
    }
}

/// Row `place` of the first four blocks, a hash a lane.
#[inline]
#[target_feature(enable = "avx512f")]
fn gathered(words: &[Words], place: usize) -> __m512i {
    let mut row = [0; 16];
    for (i, word) in row.iter_mut().enumerate() {
        *word = words[i / 4][16 * (place / 4) + DIAGONAL[4 * (place % 4) + i % 4]];
    }
    // SAFETY: the array is as long as a vector.
    unsafe { _mm512_loadu_si512(row.as_ptr().cast()) }
}

/// The inverse of [`gathered`].
#[inline]
#[target_feature(enable = "avx512f")]
fn scatter(row: __m512i, words: &mut [Words], place: usize) {
    let mut array = [0; 16];
    // SAFETY: the array is as long as a vector.
    unsafe { _mm512_storeu_si512(array.as_mut_ptr().cast(), row) };
    for (i, word) in array.into_iter().enumerate() {
        words[i / 4][16 * (place / 4) + DIAGONAL[4 * (place % 4) + i % 4]] = word;
    }
}

/// Writes row `i` of the first four lanes of memory.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(x: &Stream, memory: &mut [Lane], i: usize) {
    for half in 0..2 {
        let lines = transposed([x[4 * half], x[4 * half + 1], x[4 * half + 2], x[4 * half + 3]]);
        for (lane, line) in memory.iter_mut().zip(lines) {
            let place: *mut Line = &mut lane[2 * (i % ROWS) + half];
            // SAFETY: a line is as long as a vector and as aligned.
            unsafe { _mm512_store_si512(place.cast(), line) };
        }
    }
}

/// Exclusive-ors each hash with the row of its memory that its word 16 names.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_row(x: &mut Stream, memory: &[Lane]) {
    let rows = [
        index(_mm512_castsi512_si128(x[4])),
        index(_mm512_extracti32x4_epi32::<1>(x[4])),
        index(_mm512_extracti32x4_epi32::<2>(x[4])),
        index(_mm512_extracti32x4_epi32::<3>(x[4])),
    ];
    for half in 0..2 {
        let mut lines = [_mm512_setzero_si512(); WIDTH];
        for ((line, lane), row) in lines.iter_mut().zip(memory).zip(rows) {
            let place: *const Line = &lane[2 * row + half];
            // SAFETY: a line is as long as a vector and as aligned.
            *line = unsafe { _mm512_load_si512(place.cast()) };
        }
        for (x, row) in x[4 * half..].iter_mut().zip(transposed(lines)) {
            *x = _mm512_xor_si512(*x, row);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn index(lane: __m128i) -> usize {
    _mm_cvtsi128_si32(lane) as usize % ROWS
}

/// The four by four square of 128-bit lanes the other way round: four rows of four hashes are four lines of one hash each.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab_low, ab_high) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
    let (cd_low, cd_high) = (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xee>(c, d));
    [
        _mm512_shuffle_i32x4::<0x88>(ab_low, cd_low),
        _mm512_shuffle_i32x4::<0xdd>(ab_low, cd_low),
        _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high),
        _mm512_shuffle_i32x4::<0xdd>(ab_high, cd_high),
    ]
}

/// scryptBlockMix for r = 1, of all streams.
#[inline]
#[target_feature(enable = "avx512f")]
fn mix(x: &mut [Stream; STREAMS]) {
    salsa::<0, 4>(x);
    salsa::<4, 0>(x);
}

/// Makes the rows from `AT` on Salsa20/8 of themselves ^ those from `OTHER` on. Each step is taken for all streams before the
/// next one: that is what hides its latency.
#[inline]
#[target_feature(enable = "avx512f")]
fn salsa<const AT: usize, const OTHER: usize>(x: &mut [Stream; STREAMS]) {
    let mut y = [[_mm512_setzero_si512(); 4]; STREAMS];
    for (x, y) in x.iter_mut().zip(&mut y) {
        for (i, y) in y.iter_mut().enumerate() {
            x[AT + i] = _mm512_xor_si512(x[AT + i], x[OTHER + i]);
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
            x[AT + i] = _mm512_add_epi32(x[AT + i], *y);
        }
    }
}

/// Row `X` becomes itself ^ (row `A` + row `B`) rotated left by `L`; `R` is 32 - `L`.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarter<const X: usize, const A: usize, const B: usize, const L: i32, const R: i32>(y: &mut [[__m512i; 4]; STREAMS]) {
    const { assert!(L + R == 32) };
    for y in y {
        let sum = _mm512_add_epi32(y[A], y[B]);
        y[X] = _mm512_xor_si512(y[X], _mm512_rol_epi32::<L>(sum));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn turn<const X: usize, const ORDER: i32>(y: &mut [[__m512i; 4]; STREAMS]) {
    for y in y {
        y[X] = _mm512_shuffle_epi32::<ORDER>(y[X]);
    }
}
