//! Scrypt's mixing of sixteen hashes at once by AVX-512: four streams of four.
//!
//! A vector holds the same row of four hashes, one in each 128-bit lane. Salsa20 is a chain of dependent operations, so streams
//! go side by side; a hash's 128 bytes lie together in memory, since what is read next is another row for each hash. In thousand
//! cycles a hash on Zen 4, without the key's part: two streams 116, three 98, four 95, five 100 (bound by its units: 70).
//! Rejected: rows of four hashes as they stand in the vectors, which are four times the cache lines to read (115 with three
//! streams); two groups of three streams in turn, whose next rows are fetched ahead (97, for half as much memory again).
//!
//! Unsafe code is here because a function that uses these instructions may only be called where the CPU has them, and for their
//! loads and stores.
#![expect(unsafe_code, reason = "functions that need CPU features, and loads and stores of vectors")]

use std::arch::x86_64::{
    __m128i, __m512i, _mm_cvtsi128_si32, _mm512_add_epi32, _mm512_castsi512_si128, _mm512_extracti32x4_epi32, _mm512_load_si512,
    _mm512_loadu_si512, _mm512_rol_epi32, _mm512_setzero_si512, _mm512_shuffle_epi32, _mm512_shuffle_i32x4, _mm512_store_si512,
    _mm512_storeu_si512, _mm512_xor_si512,
};

use super::{DIAGONAL, Lane, ROWS, Words};
use crate::Line;
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
    let (streams, _) = lanes.as_chunks_mut();
    let streams = streams.first_chunk_mut().expect("the caller's memory holds every lane");
    // SAFETY: the CPU has the features, as asserted above.
    unsafe { romix_all(words, streams) };
}

/// A stream's two Salsa20 blocks, four rows each along their diagonals, each row of four hashes.
type Stream = [__m512i; 8];

#[target_feature(enable = "avx512f")]
fn romix_all(words: &mut [Words; LANES], memory: &mut [[Lane; WIDTH]; STREAMS]) {
    let mut all = [[_mm512_setzero_si512(); 8]; STREAMS];
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
#[target_feature(enable = "avx512f")]
fn gather(words: &[Words; LANES], x: &mut [Stream; STREAMS]) {
    for (words, x) in words.chunks_exact(WIDTH).zip(x) {
        for (place, x) in x.iter_mut().enumerate() {
            let row: [u32; 4 * WIDTH] = std::array::from_fn(|i| words[i / 4][at(place, i)]);
            // SAFETY: the array is as long as a vector.
            *x = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
        }
    }
}

/// The inverse of [`gather`].
#[inline(never)]
#[target_feature(enable = "avx512f")]
fn scatter(x: &[Stream; STREAMS], words: &mut [Words; LANES]) {
    for (words, x) in words.chunks_exact_mut(WIDTH).zip(x) {
        for (place, x) in x.iter().enumerate() {
            let mut row = [0; 4 * WIDTH];
            // SAFETY: the array is as long as a vector.
            unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), *x) };
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

/// Writes row `i` of four lanes of memory.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(x: &Stream, memory: &mut [Lane; WIDTH], i: usize) {
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
fn add_row(x: &mut Stream, memory: &[Lane; WIDTH]) {
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
        for (i, stored) in transposed(lines).into_iter().enumerate() {
            x[4 * half + i] = _mm512_xor_si512(x[4 * half + i], stored);
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

/// Makes the rows from `AT` on Salsa20/8 of themselves ^ those from `OTHER` on; two of these are scryptBlockMix for r = 1. Each
/// step is taken for all streams before the next one: that is what hides its latency. `PASS` tells calls apart: a function that
/// is called in one place is inlined.
#[inline]
#[target_feature(enable = "avx512f")]
fn salsa<const AT: usize, const OTHER: usize, const PASS: u8>(x: &mut [Stream; STREAMS]) {
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
