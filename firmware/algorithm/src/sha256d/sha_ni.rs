//! SHA-256 by the SHA instructions of x86-64.
//!
//! `sha256rnds2` has a latency of four cycles and starts every second one (every one on Zen 4), so one hash alone leaves the unit
//! idle most of the time: a search interleaves [`WAYS`] nonces. In cycles a hash on a Zen 4 core (Zen 5, measured on an earlier
//! trial, in brackets): one 203 (230), two 140 (160), three 137 (143), four 118 (140), six 115, eight 112. What padding makes
//! constant in a schedule is folded into constants, so groups 4 to 7 have forms of their own. Bounds: 124 on Zen 5 by
//! `sha256rnds2` alone; about 90 on Zen 4, where `sha256msg1` and `sha256msg2` take their share of the units too.
//!
//! Unsafe code is here because a function that uses these instructions may only be called where the CPU has them; within such a
//! function the intrinsics are safe, and no pointer is touched.
//!
//! The instructions keep the eight words of the state in two registers, named here from the highest lane down: `abef`, `cdgh`.
#![expect(unsafe_code, reason = "functions that need CPU features are unsafe to call from ones that do not")]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_cvtsi128_si32, _mm_extract_epi32, _mm_insert_epi32, _mm_set_epi32,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32, _mm_unpackhi_epi64,
    _mm_unpacklo_epi64,
};

use super::word::{DIGEST_BITS, HEADER_BITS, INITIAL, K, PADDING, Stretch, Template, small_0, small_1};
use crate::Path;

/// Nonces interleaved by a search: the fewest that keep the unit busy.
const WAYS: usize = 4;

/// As [`super::portable::scan`].
pub(crate) fn scan(template: &Template, stretch: Stretch, survivor: &mut dyn FnMut(u32)) {
    assert!(Path::ShaNi.is_available(), "a path is checked before it is used");
    let whole = stretch.count - stretch.count % WAYS as u32;
    // SAFETY: the CPU has the features, as asserted above.
    unsafe {
        scan_ways::<WAYS>(template, Stretch { count: whole, ..stretch }, survivor);
        let rest = Stretch { first: stretch.first.wrapping_add(whole), count: stretch.count - whole, top: stretch.top };
        scan_ways::<1>(template, rest, survivor);
    }
}

/// As [`super::portable::double`].
pub(crate) fn double(midstate: &[u32; 8], tail: &[u32; 4]) -> [u32; 8] {
    assert!(Path::ShaNi.is_available(), "a path is checked before it is used");
    // SAFETY: the CPU has the features, as asserted above.
    unsafe { double_one(midstate, tail) }
}

/// As [`super::portable::compress`].
pub(crate) fn compress(state: &[u32; 8], block: &[u32; 16]) -> [u32; 8] {
    assert!(Path::ShaNi.is_available(), "a path is checked before it is used");
    // SAFETY: the CPU has the features, as asserted above.
    unsafe { compress_one(state, block) }
}

/// One hash under way.
#[derive(Clone, Copy)]
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
    /// A ring of the last 16 words of the schedule, four a register.
    w: [__m128i; 4],
}

/// `count` is a multiple of `P`.
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn scan_ways<const P: usize>(template: &Template, stretch: Stretch, survivor: &mut dyn FnMut(u32)) {
    let (mid_abef, mid_cdgh) = pack(&template.midstate);
    let (initial_abef, initial_cdgh) = pack(&INITIAL);
    let zero = _mm_setzero_si128();
    let [w0, w1, w2] = template.tail;
    let [w16, w17, ..] = template.w16;
    let tail = four([w0, w1, w2, 0]);
    let padding = four([PADDING, 0, 0, 0]);
    let digest_end = four([0, 0, 0, DIGEST_BITS]);
    // Words 4 to 15 of a header's second block and 8 to 15 of a digest's, with their round constants.
    let header_kw = [_mm_add_epi32(k::<1>(), padding), k::<2>(), _mm_add_epi32(k::<3>(), four([0, 0, 0, HEADER_BITS]))];
    let digest_kw = [_mm_add_epi32(k::<2>(), padding), _mm_add_epi32(k::<3>(), digest_end)];
    // What remains of groups 4, 5 and 7 of the header's schedule where all but the nonce and what came of it is constant.
    let rest_4 = four([0, small_1(HEADER_BITS), small_1(w16), small_1(w17)]);
    let rest_5 = four([PADDING, 0, HEADER_BITS, w16]);
    let rest_7 = four([0, 0, small_0(HEADER_BITS), HEADER_BITS.wrapping_add(small_0(w16))]);
    // Rounds 0 and 1 see no nonce.
    let head = _mm_sha256rnds2_epu32(mid_cdgh, mid_abef, _mm_add_epi32(tail, k::<0>()));

    let mut at = 0;
    while at < stretch.count {
        let first = stretch.first.wrapping_add(at);
        let mut lanes = [Lane { abef: head, cdgh: mid_abef, w: [zero; 4] }; P];
        for (p, lane) in lanes.iter_mut().enumerate() {
            let nonce = first.wrapping_add(p as u32).swap_bytes();
            lane.w[0] = _mm_insert_epi32::<3>(tail, nonce.cast_signed());
            let kw = _mm_shuffle_epi32::<0x0e>(_mm_add_epi32(lane.w[0], k::<0>()));
            (lane.abef, lane.cdgh) = (_mm_sha256rnds2_epu32(lane.cdgh, lane.abef, kw), lane.abef);
        }
        for kw in header_kw {
            for lane in &mut lanes {
                rounds(lane, kw);
            }
        }
        made::<4, P>(&mut lanes, |w| _mm_add_epi32(_mm_sha256msg1_epu32(w[0], padding), rest_4));
        made::<5, P>(&mut lanes, |w| _mm_sha256msg2_epu32(rest_5, w[0]));
        made::<6, P>(&mut lanes, |w| _mm_sha256msg2_epu32(_mm_alignr_epi8::<4>(w[1], w[0]), w[1]));
        made::<7, P>(&mut lanes, |w| _mm_sha256msg2_epu32(_mm_add_epi32(_mm_alignr_epi8::<4>(w[2], w[1]), rest_7), w[2]));
        scheduled_8_to_14(&mut lanes);
        scheduled::<15, P>(&mut lanes);

        for lane in &mut lanes {
            let digest = unpack(_mm_add_epi32(lane.abef, mid_abef), _mm_add_epi32(lane.cdgh, mid_cdgh));
            *lane = Lane { abef: initial_abef, cdgh: initial_cdgh, w: [digest[0], digest[1], padding, digest_end] };
        }
        given::<0, P>(&mut lanes);
        given::<1, P>(&mut lanes);
        for kw in digest_kw {
            for lane in &mut lanes {
                rounds(lane, kw);
            }
        }
        made::<4, P>(&mut lanes, |w| _mm_sha256msg2_epu32(_mm_sha256msg1_epu32(w[0], w[1]), digest_end));
        scheduled::<5, P>(&mut lanes);
        made::<6, P>(&mut lanes, |w| _mm_sha256msg2_epu32(_mm_add_epi32(_mm_alignr_epi8::<4>(w[1], w[0]), padding), w[1]));
        scheduled::<7, P>(&mut lanes);
        scheduled_8_to_14(&mut lanes);
        // H7 is IV7 plus h after round 63, which is f after round 61: the last two rounds are never computed.
        for (p, lane) in lanes.iter().enumerate() {
            let kw = _mm_add_epi32(next(&lane.w, 15), k::<15>());
            let f = _mm_cvtsi128_si32(_mm_sha256rnds2_epu32(lane.cdgh, lane.abef, kw)).cast_unsigned();
            if INITIAL[7].wrapping_add(f).swap_bytes() <= stretch.top {
                survivor(first.wrapping_add(p as u32));
            }
        }
        at += P as u32;
    }
}

/// Four rounds of every lane on words that `make` gets from the ring.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn made<const G: usize, const P: usize>(lanes: &mut [Lane; P], make: impl Fn(&[__m128i; 4]) -> __m128i) {
    for lane in lanes {
        lane.w[G % 4] = make(&lane.w);
        rounds(lane, _mm_add_epi32(lane.w[G % 4], k::<G>()));
    }
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn double_one(midstate: &[u32; 8], tail: &[u32; 4]) -> [u32; 8] {
    let zero = _mm_setzero_si128();
    let padding = four([PADDING, 0, 0, 0]);
    let (abef, cdgh) = block(pack(midstate), [four(*tail), padding, zero, four([0, 0, 0, HEADER_BITS])]);
    let [low, high] = unpack(abef, cdgh);
    let (abef, cdgh) = block(pack(&INITIAL), [low, high, padding, four([0, 0, 0, DIGEST_BITS])]);
    store(unpack(abef, cdgh))
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress_one(state: &[u32; 8], words: &[u32; 16]) -> [u32; 8] {
    let w = std::array::from_fn(|i| four([words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]]));
    let (abef, cdgh) = block(pack(state), w);
    store(unpack(abef, cdgh))
}

/// One whole block.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn block((abef, cdgh): (__m128i, __m128i), w: [__m128i; 4]) -> (__m128i, __m128i) {
    let mut lane = [Lane { abef, cdgh, w }];
    given::<0, 1>(&mut lane);
    given::<1, 1>(&mut lane);
    given::<2, 1>(&mut lane);
    given::<3, 1>(&mut lane);
    scheduled::<4, 1>(&mut lane);
    scheduled::<5, 1>(&mut lane);
    scheduled::<6, 1>(&mut lane);
    scheduled::<7, 1>(&mut lane);
    scheduled_8_to_14(&mut lane);
    scheduled::<15, 1>(&mut lane);
    (_mm_add_epi32(lane[0].abef, abef), _mm_add_epi32(lane[0].cdgh, cdgh))
}

/// Four rounds of every lane on words of the block itself. `G` counts groups of four rounds, 0 to 15.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn given<const G: usize, const P: usize>(lanes: &mut [Lane; P]) {
    for lane in lanes {
        rounds(lane, _mm_add_epi32(lane.w[G % 4], k::<G>()));
    }
}

/// Four rounds of every lane on the next four words of its schedule.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn scheduled<const G: usize, const P: usize>(lanes: &mut [Lane; P]) {
    for lane in lanes {
        lane.w[G % 4] = next(&lane.w, G);
        rounds(lane, _mm_add_epi32(lane.w[G % 4], k::<G>()));
    }
}

/// Rounds 32 to 59, written out because each group's place in the ring has to be a constant.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn scheduled_8_to_14<const P: usize>(lanes: &mut [Lane; P]) {
    scheduled::<8, P>(lanes);
    scheduled::<9, P>(lanes);
    scheduled::<10, P>(lanes);
    scheduled::<11, P>(lanes);
    scheduled::<12, P>(lanes);
    scheduled::<13, P>(lanes);
    scheduled::<14, P>(lanes);
}

/// The four words of the schedule that follow the sixteen in the ring, whose oldest stand at `group % 4`.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn next(w: &[__m128i; 4], group: usize) -> __m128i {
    let [a, b, c, d] = [w[group % 4], w[(group + 1) % 4], w[(group + 2) % 4], w[(group + 3) % 4]];
    _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8::<4>(d, c)), d)
}

/// Four rounds: the instruction does two and yields the new `abef`, while the old one becomes `cdgh`.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn rounds(lane: &mut Lane, kw: __m128i) {
    lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, kw);
    lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32::<0x0e>(kw));
}

/// The round constants of group `G`.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn k<const G: usize>() -> __m128i {
    four([K[4 * G], K[4 * G + 1], K[4 * G + 2], K[4 * G + 3]])
}

/// Four words, the first in the lowest lane.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn four([a, b, c, d]: [u32; 4]) -> __m128i {
    _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn pack(&[a, b, c, d, e, f, g, h]: &[u32; 8]) -> (__m128i, __m128i) {
    (four([f, e, b, a]), four([h, g, d, c]))
}

/// The eight words in order, four a register.
#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn unpack(abef: __m128i, cdgh: __m128i) -> [__m128i; 2] {
    let (abef, cdgh) = (_mm_shuffle_epi32::<0x1b>(abef), _mm_shuffle_epi32::<0x1b>(cdgh));
    [_mm_unpacklo_epi64(abef, cdgh), _mm_unpackhi_epi64(abef, cdgh)]
}

#[inline]
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn store([low, high]: [__m128i; 2]) -> [u32; 8] {
    [
        _mm_extract_epi32::<0>(low),
        _mm_extract_epi32::<1>(low),
        _mm_extract_epi32::<2>(low),
        _mm_extract_epi32::<3>(low),
        _mm_extract_epi32::<0>(high),
        _mm_extract_epi32::<1>(high),
        _mm_extract_epi32::<2>(high),
        _mm_extract_epi32::<3>(high),
    ]
    .map(i32::cast_unsigned)
}
