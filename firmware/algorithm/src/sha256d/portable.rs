//! SHA-256 in plain integer arithmetic, for CPUs without SHA instructions, and the yardstick for those with.
//!
//! Deliberately scalar: such a CPU finds no block, it only has to be right and not wasteful. What does not depend on the nonce is
//! computed once per stretch, and of the second hash only the word that decides.

use super::word::{DIGEST_BITS, HEADER_BITS, INITIAL, K, PADDING, Stretch, Template, round, small_0, small_1};

/// Calls `survivor` with each nonce of the stretch whose hash has a top word of at most `stretch.top`, in order.
pub(crate) fn scan(template: &Template, stretch: Stretch, survivor: &mut dyn FnMut(u32)) {
    let [w0, w1, w2] = template.tail;
    for step in 0..stretch.count {
        let nonce = stretch.first.wrapping_add(step);
        let [a, b, c, _, e, f, g, _] = template.head;
        let word = nonce.swap_bytes();
        let after_3 = [template.a.wrapping_add(word), a, b, c, template.e.wrapping_add(word), e, f, g];
        let last = rounds::<4, 64>(after_3, second_block([w0, w1, w2, word]));
        let block = digest_block(added(template.midstate, last));
        // H7 is IV7 plus h after round 63, which is e after round 60: three rounds and three words are never computed.
        let e = rounds::<0, 61>(INITIAL, block)[4];
        if INITIAL[7].wrapping_add(e).swap_bytes() <= stretch.top {
            survivor(nonce);
        }
    }
}

/// The state after one block.
pub(crate) fn compress(state: &[u32; 8], block: &[u32; 16]) -> [u32; 8] {
    added(*state, rounds::<0, 64>(*state, *block))
}

/// The digest of the header whose second block is the `tail`, hashed again.
pub(crate) fn double(midstate: &[u32; 8], tail: &[u32; 4]) -> [u32; 8] {
    compress(&INITIAL, &digest_block(compress(midstate, &second_block(*tail))))
}

/// Bytes 64 to 79 of a header with their padding.
fn second_block([a, b, c, d]: [u32; 4]) -> [u32; 16] {
    [a, b, c, d, PADDING, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, HEADER_BITS]
}

/// A digest with its padding.
fn digest_block([a, b, c, d, e, f, g, h]: [u32; 8]) -> [u32; 16] {
    [a, b, c, d, e, f, g, h, PADDING, 0, 0, 0, 0, 0, 0, DIGEST_BITS]
}

fn added(a: [u32; 8], b: [u32; 8]) -> [u32; 8] {
    std::array::from_fn(|i| a[i].wrapping_add(b[i]))
}

/// Rounds `FROM` up to `TO`, without the final addition; `FROM` is below 16 and `TO` above 48.
#[inline(always)]
fn rounds<const FROM: usize, const TO: usize>(mut s: [u32; 8], mut w: [u32; 16]) -> [u32; 8] {
    // Literals rather than a loop: the compiler does not unroll this much, and then the words would have no place in registers.
    macro_rules! given {
        ($($i:literal)*) => { $(
            if FROM <= $i {
                s = round(s, K[$i].wrapping_add(w[$i]));
            }
        )* };
    }
    macro_rules! scheduled {
        ($($i:literal)*) => { $(
            if $i < TO {
                let sum = w[($i + 9) % 16].wrapping_add(small_1(w[($i + 14) % 16]));
                w[$i % 16] = w[$i % 16].wrapping_add(small_0(w[($i + 1) % 16])).wrapping_add(sum);
                s = round(s, K[$i].wrapping_add(w[$i % 16]));
            }
        )* };
    }
    given!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    scheduled!(16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53);
    scheduled!(54 55 56 57 58 59 60 61 62 63);
    s
}
