//! Scrypt's mixing in plain integer arithmetic: for CPUs without AVX2, for single hashes, and the yardstick for the others.
//!
//! Written on rows of four words, which compilers turn into the 128-bit vectors that every 64-bit CPU has.

use super::{DIAGONAL, Lane, ROWS, Words};
use crate::Line;

type Row = [u32; 4];
/// A Salsa20 block along its diagonals.
type Block = [Row; 4];

/// Mixes each of the blocks, one after another in the same memory.
pub(super) fn romix(words: &mut [Words], memory: &mut [Line]) {
    let (lanes, _) = memory.as_chunks_mut();
    let lane: &mut Lane = lanes.first_mut().expect("the caller's memory holds a lane");
    for words in words {
        let mut x = [0, 1].map(|half| diagonal(words, half));
        for i in 0..ROWS {
            (lane[2 * i].0, lane[2 * i + 1].0) = (flat(x[0]), flat(x[1]));
            mix(&mut x);
        }
        for _ in 0..ROWS {
            let j = x[1][0][0] as usize % ROWS;
            for (x, line) in x.iter_mut().zip([&lane[2 * j], &lane[2 * j + 1]]) {
                for (row, stored) in x.iter_mut().zip(line.0.as_chunks().0) {
                    *row = each(*row, *stored, |a, b| a ^ b);
                }
            }
            mix(&mut x);
        }
        for (half, x) in x.iter().enumerate() {
            for (word, place) in flat(*x).into_iter().zip(DIAGONAL) {
                words[16 * half + place] = word;
            }
        }
    }
}

fn diagonal(words: &Words, half: usize) -> Block {
    std::array::from_fn(|row| std::array::from_fn(|i| words[16 * half + DIAGONAL[4 * row + i]]))
}

fn flat([a, b, c, d]: Block) -> [u32; 16] {
    let mut words = [0; 16];
    for (place, row) in words.as_chunks_mut().0.iter_mut().zip([a, b, c, d]) {
        *place = row;
    }
    words
}

/// scryptBlockMix for r = 1.
#[inline(always)]
fn mix(x: &mut [Block; 2]) {
    x[0] = salsa(x[0], x[1]);
    x[1] = salsa(x[1], x[0]);
}

/// Salsa20/8 of `a` ^ `b`.
#[inline(always)]
fn salsa(a: Block, b: Block) -> Block {
    let mut from = a;
    for (row, other) in from.iter_mut().zip(b) {
        *row = each(*row, other, |a, b| a ^ b);
    }
    let [mut a, mut b, mut c, mut d] = from;
    for _ in 0..4 {
        b = quarter::<7>(b, a, d);
        c = quarter::<9>(c, b, a);
        d = quarter::<13>(d, c, b);
        a = quarter::<18>(a, d, c);
        (b, c, d) = (turned::<3>(b), turned::<2>(c), turned::<1>(d));
        d = quarter::<7>(d, a, b);
        c = quarter::<9>(c, d, a);
        b = quarter::<13>(b, c, d);
        a = quarter::<18>(a, b, c);
        (b, c, d) = (turned::<1>(b), turned::<2>(c), turned::<3>(d));
    }
    for (row, mixed) in from.iter_mut().zip([a, b, c, d]) {
        *row = each(*row, mixed, u32::wrapping_add);
    }
    from
}

/// `x` ^ (`a` + `b`) rotated left by `N`, in each place.
#[inline(always)]
fn quarter<const N: u32>(x: Row, a: Row, b: Row) -> Row {
    let sum = each(a, b, u32::wrapping_add);
    each(x, sum, |x, sum| x ^ sum.rotate_left(N))
}

/// The place `i` takes what was `N` further on.
#[inline(always)]
fn turned<const N: usize>(x: Row) -> Row {
    [x[N % 4], x[(N + 1) % 4], x[(N + 2) % 4], x[(N + 3) % 4]]
}

#[inline(always)]
fn each(a: Row, b: Row, f: impl Fn(u32, u32) -> u32) -> Row {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7914 section 9, scryptBlockMix with r = 1; its first half is the vector of section 8, Salsa20/8.
    #[test]
    fn a_block_is_mixed_as_the_rfc_has_it() {
        let words = |hex: &str| -> Words {
            let bytes: Vec<u8> = hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).expect("hex")).collect();
            let mut words = [0; 32];
            for (word, b) in words.iter_mut().zip(bytes.as_chunks().0) {
                *word = u32::from_le_bytes(*b);
            }
            words
        };
        let input = words(
            "f7 ce 0b 65 3d 2d 72 a4 10 8c f5 ab e9 12 ff dd 77 76 16 db bb 27 a7 0e 82 04 f3 ae 2d 0f 6f ad
             89 f6 8f 48 11 d1 e8 7b cc 3b d7 40 0a 9f fd 29 09 4f 01 84 63 95 74 f3 9a e5 a1 31 52 17 bc d7
             89 49 91 44 72 13 bb 22 6c 25 b5 4d a8 63 70 fb cd 98 43 80 37 46 66 bb 8f fc b5 bf 40 c2 54 b0
             67 d2 7c 51 ce 4a d5 fe d8 29 c9 0b 50 5a 57 1b 7f 4d 1c ad 6a 52 3c da 77 0e 67 bc ea af 7e 89",
        );
        let output = words(
            "a4 1f 85 9c 66 08 cc 99 3b 81 ca cb 02 0c ef 05 04 4b 21 81 a2 fd 33 7d fd 7b 1c 63 96 68 2f 29
             b4 39 31 68 e3 c9 e6 bc fe 6b c5 b7 a0 6d 96 ba e4 24 cc 10 2c 91 74 5c 24 ad 67 3d c7 61 8f 81
             20 ed c9 75 32 38 81 a8 05 40 f6 4c 16 2d cd 3c 21 07 7c fe 5f 8d 5f e2 b1 a4 16 8f 95 36 78 b7
             7d 3b 3d 80 3b 60 e4 ab 92 09 96 e5 9b 4d 53 b6 5d 2a 22 58 77 d5 ed f5 84 2c b9 f1 4e ef e4 25",
        );
        let mut x = [0, 1].map(|half| diagonal(&input, half));
        mix(&mut x);
        assert_eq!(x, [0, 1].map(|half| diagonal(&output, half)));
    }
}
