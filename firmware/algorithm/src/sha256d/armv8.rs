//! SHA-256 by the SHA-256 instructions of 64-bit ARM.
//!
//! As in `sha_ni`: the instructions that do four rounds wait for each other, so a search interleaves [`WAYS`] nonces. They keep
//! the state in order, `abcd` and `efgh`, and do four rounds a pair. Its tests pass under QEMU's emulation of such a CPU; it has
//! not run on a real one yet, and its speed is unknown: the self-test and the calibration at start decide there.
//! Unsafe code is here because a function that uses these instructions may only be called where the CPU has them.
#![expect(unsafe_code, reason = "functions that need CPU features are unsafe to call from ones that do not")]

use std::arch::aarch64::{
    uint32x4_t, vaddq_u32, vdupq_n_u32, vgetq_lane_u32, vsetq_lane_u32, vsha256h2q_u32, vsha256hq_u32, vsha256su0q_u32,
    vsha256su1q_u32,
};

use super::word::{DIGEST_BITS, HEADER_BITS, INITIAL, K, PADDING, Stretch, Template};
use crate::Path;

/// Nonces interleaved by a search. Three states and schedules are 18 of the 32 registers.
const WAYS: usize = 3;

/// As [`super::portable::scan`].
pub(crate) fn scan(template: &Template, stretch: Stretch, survivor: &mut dyn FnMut(u32)) {
    assert!(Path::Armv8.is_available(), "a path is checked before it is used");
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
    let [a, b, c, d] = *tail;
    let digest = compress(midstate, &[a, b, c, d, PADDING, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, HEADER_BITS]);
    let [a, b, c, d, e, f, g, h] = digest;
    compress(&INITIAL, &[a, b, c, d, e, f, g, h, PADDING, 0, 0, 0, 0, 0, 0, DIGEST_BITS])
}

/// As [`super::portable::compress`].
pub(crate) fn compress(state: &[u32; 8], block: &[u32; 16]) -> [u32; 8] {
    assert!(Path::Armv8.is_available(), "a path is checked before it is used");
    // SAFETY: the CPU has the features, as asserted above.
    unsafe { compress_one(state, block) }
}

/// One hash under way.
#[derive(Clone, Copy)]
struct Lane {
    abcd: uint32x4_t,
    efgh: uint32x4_t,
    /// A ring of the last 16 words of the schedule, four a register.
    w: [uint32x4_t; 4],
}

/// `count` is a multiple of `P`.
#[target_feature(enable = "neon,sha2")]
fn scan_ways<const P: usize>(template: &Template, stretch: Stretch, survivor: &mut dyn FnMut(u32)) {
    let [mid_abcd, mid_efgh] = halves(&template.midstate);
    let [initial_abcd, initial_efgh] = halves(&INITIAL);
    let zero = vdupq_n_u32(0);
    let [w0, w1, w2] = template.tail;
    let tail = four([w0, w1, w2, 0]);
    let padding = four([PADDING, 0, 0, 0]);
    let header_end = four([0, 0, 0, HEADER_BITS]);
    let digest_end = four([0, 0, 0, DIGEST_BITS]);
    let mut at = 0;
    while at < stretch.count {
        let first = stretch.first.wrapping_add(at);
        let mut lanes = [Lane { abcd: mid_abcd, efgh: mid_efgh, w: [tail, padding, zero, header_end] }; P];
        for (p, lane) in lanes.iter_mut().enumerate() {
            lane.w[0] = vsetq_lane_u32::<3>(first.wrapping_add(p as u32).swap_bytes(), tail);
        }
        block(&mut lanes);
        for lane in &mut lanes {
            let w = [vaddq_u32(lane.abcd, mid_abcd), vaddq_u32(lane.efgh, mid_efgh), padding, digest_end];
            *lane = Lane { abcd: initial_abcd, efgh: initial_efgh, w };
        }
        block(&mut lanes);
        for (p, lane) in lanes.iter().enumerate() {
            let word = vgetq_lane_u32::<3>(lane.efgh);
            if INITIAL[7].wrapping_add(word).swap_bytes() <= stretch.top {
                survivor(first.wrapping_add(p as u32));
            }
        }
        at += P as u32;
    }
}

#[target_feature(enable = "neon,sha2")]
fn compress_one(state: &[u32; 8], words: &[u32; 16]) -> [u32; 8] {
    let [abcd, efgh] = halves(state);
    let mut w = [vdupq_n_u32(0); 4];
    for (i, w) in w.iter_mut().enumerate() {
        *w = four([words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]]);
    }
    let mut lane = [Lane { abcd, efgh, w }];
    block(&mut lane);
    let (abcd, efgh) = (vaddq_u32(lane[0].abcd, abcd), vaddq_u32(lane[0].efgh, efgh));
    [
        vgetq_lane_u32::<0>(abcd),
        vgetq_lane_u32::<1>(abcd),
        vgetq_lane_u32::<2>(abcd),
        vgetq_lane_u32::<3>(abcd),
        vgetq_lane_u32::<0>(efgh),
        vgetq_lane_u32::<1>(efgh),
        vgetq_lane_u32::<2>(efgh),
        vgetq_lane_u32::<3>(efgh),
    ]
}

/// All rounds of one block of every lane, without the final addition.
#[inline]
#[target_feature(enable = "neon,sha2")]
fn block<const P: usize>(lanes: &mut [Lane; P]) {
    for group in 0..16 {
        let k = four([K[4 * group], K[4 * group + 1], K[4 * group + 2], K[4 * group + 3]]);
        for lane in lanes.iter_mut() {
            let [a, b, c, d] = [lane.w[group % 4], lane.w[(group + 1) % 4], lane.w[(group + 2) % 4], lane.w[(group + 3) % 4]];
            let kw = vaddq_u32(a, k);
            (lane.abcd, lane.efgh) = (vsha256hq_u32(lane.abcd, lane.efgh, kw), vsha256h2q_u32(lane.efgh, lane.abcd, kw));
            if group < 12 {
                lane.w[group % 4] = vsha256su1q_u32(vsha256su0q_u32(a, b), c, d);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn halves(&[a, b, c, d, e, f, g, h]: &[u32; 8]) -> [uint32x4_t; 2] {
    [four([a, b, c, d]), four([e, f, g, h])]
}

/// Four words, the first in the lowest lane.
#[inline]
#[target_feature(enable = "neon")]
fn four([a, b, c, d]: [u32; 4]) -> uint32x4_t {
    let low = vsetq_lane_u32::<1>(b, vdupq_n_u32(a));
    vsetq_lane_u32::<3>(d, vsetq_lane_u32::<2>(c, low))
}
