//! SHA-256 in plain integer arithmetic, for CPUs without SHA instructions, and the yardstick for those with.
//!
//! Deliberately scalar: such a CPU finds no block, it only has to be right and not wasteful. What does not depend on the nonce is
//! computed once per stretch, and of the second hash only the word that decides.

use crate::word::{DIGEST_BITS, HEADER_BITS, INITIAL, K, PADDING, Stretch, Template};

/// Calls `survivor` with each nonce of the stretch whose hash has a top word of at most `stretch.top`, in order.
pub(crate) fn scan(template: &Template, stretch: Stretch, survivor: &mut dyn FnMut(u32)) {
    // Rounds 0 to 2 see no nonce.
    let head = {
        let mut s = template.midstate;
        for (k, word) in K.iter().zip(template.tail) {
            s = round(s, k.wrapping_add(word));
        }
        s
    };
    let [w0, w1, w2] = template.tail;
    for step in 0..stretch.count {
        let nonce = stretch.first.wrapping_add(step);
        let block = second_block([w0, w1, w2, nonce.swap_bytes()]);
        let last = rounds::<3, 64>(head, block);
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

/// Rounds `FROM` up to `TO`, without the final addition; `FROM` is below 16 and `TO` above.
#[inline(always)]
fn rounds<const FROM: usize, const TO: usize>(mut s: [u32; 8], mut w: [u32; 16]) -> [u32; 8] {
    for i in FROM..16 {
        s = round(s, K[i].wrapping_add(w[i]));
    }
    // The schedule lives in a ring of 16 words; sixteen rounds in a row have constant places in it.
    for base in (16..TO).step_by(16) {
        for i in 0..16.min(TO - base) {
            w[i] =
                w[i].wrapping_add(small_0(w[(i + 1) & 15])).wrapping_add(w[(i + 9) & 15]).wrapping_add(small_1(w[(i + 14) & 15]));
            s = round(s, K[base + i].wrapping_add(w[i]));
        }
    }
    s
}

#[inline(always)]
fn round([a, b, c, d, e, f, g, h]: [u32; 8], kw: u32) -> [u32; 8] {
    let big_1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
    let choice = g ^ (e & (f ^ g));
    let t1 = h.wrapping_add(kw).wrapping_add(big_1).wrapping_add(choice);
    let big_0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
    let majority = (a & b) | (c & (a | b));
    [t1.wrapping_add(big_0).wrapping_add(majority), a, b, c, d.wrapping_add(t1), e, f, g]
}

#[inline(always)]
fn small_0(x: u32) -> u32 {
    x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3)
}

#[inline(always)]
fn small_1(x: u32) -> u32 {
    x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10)
}
