//! SHA-256 of thirty-two nonces at once by AVX-512: two streams of sixteen.
//!
//! A vector holds the same word of sixteen hashes. One round is 17 instructions and one word of the schedule 11, which a core
//! with four 512-bit units could start in 7 cycles; but each round waits for the one before it, about 8 cycles on Zen 5 (rotate,
//! xor, add, add, 2 cycles each). So two streams go side by side, and the rounds of one are woven with the schedule of the other.
//!
//! The rounds are inline assembly. Rejected: intrinsics. LLVM orders the additions of a round anew, so that its last three form a
//! chain behind the rotations, and two streams written that way spill a thousand registers (measured, in cycles a hash: one
//! stream 80 on Zen 5 and 109 on Zen 4, two streams 92 and 101, one stream with additions pinned by empty assembly 70 and 115).
//! Here the compiler only assigns registers: 16 hold both states, at most 9 are a round's own, and the words of the schedules
//! live in a ring in memory. 102 cycles a hash on Zen 4, whose units are 256 bits wide and rotate half as often as they add
//! (bound 89: 179 instructions a hash, each two of four units for a cycle). On Zen 5 (bound 45) it has not been measured yet.
//!
//! Unsafe code is here for the assembly, and because a function that uses these instructions may only be called where the CPU
//! has them. The pointers are those of a table and a ring in this file, with constant offsets inside them.
#![expect(unsafe_code, reason = "inline assembly, and functions that need CPU features")]

use std::arch::asm;
use std::arch::x86_64::{
    __m512i, _mm_setr_epi8, _mm512_add_epi32, _mm512_broadcast_i32x4, _mm512_cmple_epu32_mask, _mm512_ror_epi32,
    _mm512_set1_epi32, _mm512_setr_epi32, _mm512_shuffle_epi8, _mm512_srli_epi32, _mm512_ternarylogic_epi32,
};

use super::word::{self, DIGEST_BITS, HEADER_BITS, INITIAL, K, PADDING, Stretch, Template};
use crate::Path;

/// Hashes in a vector.
const LANES: u32 = 16;
/// Independent hashes side by side.
const STREAMS: usize = 2;
/// The function of three bits that `vpternlogd` computes for a sigma: parity.
const XOR3: i32 = 0x96;

/// As [`super::portable::scan`].
pub(crate) fn scan(template: &Template, stretch: Stretch, survivor: &mut dyn FnMut(u32)) {
    assert!(Path::Avx512.is_available(), "a path is checked before it is used");
    let fixed = Fixed::new(template);
    // SAFETY: all zeros are a vector's worth of numbers.
    let mut rings = [unsafe { std::mem::zeroed::<Ring>() }; STREAMS];
    let mut at = 0;
    while at < stretch.count {
        // SAFETY: the CPU has the features, as asserted above.
        let mut met = unsafe { met(template, &fixed, &mut rings, stretch.first.wrapping_add(at), stretch.top) };
        while met != 0 {
            // The last vectors may reach past the stretch, and even past the last nonce.
            let offset = at + met.trailing_zeros();
            if offset < stretch.count {
                survivor(stretch.first.wrapping_add(offset));
            }
            met &= met - 1;
        }
        at += LANES * STREAMS as u32;
    }
}

/// The round constants with the words added that no nonce changes: 4 to 17 of a header's second block, 8 to 15 of a digest's.
struct Fixed {
    header: [u32; 64],
    digest: [u32; 64],
}

impl Fixed {
    fn new(template: &Template) -> Fixed {
        let [w16, w17, ..] = template.w16;
        let with = |words: &[(usize, u32)]| {
            let mut table = K;
            for (i, word) in words {
                table[*i] = table[*i].wrapping_add(*word);
            }
            table
        };
        Fixed {
            header: with(&[(4, PADDING), (15, HEADER_BITS), (16, w16), (17, w17)]),
            digest: with(&[(8, PADDING), (15, DIGEST_BITS)]),
        }
    }
}

/// The last sixteen words of a schedule.
#[derive(Clone, Copy)]
struct Ring([__m512i; 16]);

/// One round: adds the constant, then what the lines say. `$i` is its number, which says where in the array `$s` each of the
/// eight words stands: instead of their moving up a place each round, `a` begins one place lower. `x`, `p`, `q`, `r` are scratch.
macro_rules! round {
    (@ $s:expr, $table:expr, $i:expr, [$($line:literal),+ $(,)?], $($operands:tt)*) => {
        // SAFETY: changes no register but its operands; reads the table and reads and writes the ring, both within their bounds.
        unsafe {
            asm!(
                "vpaddd {h}, {h}, dword ptr [{k} + {ko}]{{1to16}}",
                $($line,)+
                k = in(reg) $table.as_ptr(),
                ko = const 4 * $i,
                a = in(zmm_reg) $s[(64 - $i) % 8],
                b = in(zmm_reg) $s[(65 - $i) % 8],
                c = in(zmm_reg) $s[(66 - $i) % 8],
                d = inout(zmm_reg) $s[(67 - $i) % 8],
                e = in(zmm_reg) $s[(68 - $i) % 8],
                f = in(zmm_reg) $s[(69 - $i) % 8],
                g = in(zmm_reg) $s[(70 - $i) % 8],
                h = inout(zmm_reg) $s[(71 - $i) % 8],
                x = out(zmm_reg) _,
                p = out(zmm_reg) _,
                q = out(zmm_reg) _,
                r = out(zmm_reg) _,
                $($operands)*
                options(nostack, preserves_flags)
            );
        }
    };
    // On a word that the table includes.
    (fixed $s:expr, $table:expr, $i:expr) => {
        round!(@ $s, $table, $i, [
            "vprord {p}, {e}, 6", "vprord {q}, {e}, 11", "vmovdqa64 {x}, {e}", "vprord {r}, {e}, 25",
            "vpternlogd {x}, {f}, {g}, 0xca", "vpternlogd {p}, {q}, {r}, 0x96", "vpaddd {h}, {h}, {x}",
            "vprord {q}, {a}, 2", "vmovdqa64 {x}, {a}", "vprord {r}, {a}, 13", "vpaddd {h}, {h}, {p}", "vprord {p}, {a}, 22",
            "vpternlogd {x}, {b}, {c}, 0xe8", "vpaddd {d}, {d}, {h}", "vpternlogd {q}, {r}, {p}, 0x96", "vpaddd {h}, {h}, {x}",
            "vpaddd {h}, {h}, {q}",
        ],)
    };
    // On the word `$w`.
    (on $s:expr, $w:expr, $i:expr) => {
        round!(@ $s, K, $i, [
            "vprord {p}, {e}, 6", "vpaddd {h}, {h}, {w}", "vprord {q}, {e}, 11", "vmovdqa64 {x}, {e}", "vprord {r}, {e}, 25",
            "vpternlogd {x}, {f}, {g}, 0xca", "vpternlogd {p}, {q}, {r}, 0x96", "vpaddd {h}, {h}, {x}",
            "vprord {q}, {a}, 2", "vmovdqa64 {x}, {a}", "vprord {r}, {a}, 13", "vpaddd {h}, {h}, {p}", "vprord {p}, {a}, 22",
            "vpternlogd {x}, {b}, {c}, 0xe8", "vpaddd {d}, {d}, {h}", "vpternlogd {q}, {r}, {p}, 0x96", "vpaddd {h}, {h}, {x}",
            "vpaddd {h}, {h}, {q}",
        ], w = in(zmm_reg) $w,)
    };
    // On the word `$w` where nobody will ask for `a`.
    (last $s:expr, $w:expr, $i:expr) => {
        round!(@ $s, K, $i, [
            "vprord {p}, {e}, 6", "vpaddd {h}, {h}, {w}", "vprord {q}, {e}, 11", "vmovdqa64 {x}, {e}", "vprord {r}, {e}, 25",
            "vpternlogd {x}, {f}, {g}, 0xca", "vpternlogd {p}, {q}, {r}, 0x96", "vpaddd {h}, {h}, {x}", "vpaddd {h}, {h}, {p}",
            "vpaddd {d}, {d}, {h}", "/* unused: {a} {b} {c} */",
        ], w = in(zmm_reg) $w,)
    };
    // On the word `$w`, woven with word `$n` of the other stream's ring, which it yields.
    (woven $s:expr, $w:expr, $i:expr, $ring:expr, $n:expr) => {{
        let made: __m512i;
        round!(@ $s, K, $i, [
            "vprord {p}, {e}, 6", "vmovdqa64 {y}, zmmword ptr [{ring} + {one}]", "vpaddd {h}, {h}, {w}",
            "vprord {q}, {e}, 11", "vmovdqa64 {x}, {e}", "vprord {r}, {e}, 25", "vpternlogd {x}, {f}, {g}, 0xca",
            "vprord {t}, {two}, 17", "vpternlogd {p}, {q}, {r}, 0x96", "vpaddd {h}, {h}, {x}",
            "vprord {u}, {two}, 19", "vpaddd {h}, {h}, {p}", "vpsrld {two}, {two}, 10", "vpaddd {d}, {d}, {h}",
            "vpternlogd {two}, {t}, {u}, 0x96", "vprord {q}, {a}, 2", "vmovdqa64 {x}, {a}", "vprord {r}, {a}, 13",
            "vpternlogd {x}, {b}, {c}, 0xe8", "vprord {t}, {y}, 7", "vpaddd {two}, {two}, zmmword ptr [{ring} + {zero}]",
            "vprord {p}, {a}, 22", "vpaddd {h}, {h}, {x}", "vprord {u}, {y}, 18", "vpternlogd {q}, {r}, {p}, 0x96",
            "vpsrld {y}, {y}, 3", "vpaddd {two}, {two}, zmmword ptr [{ring} + {nine}]", "vpternlogd {y}, {t}, {u}, 0x96",
            "vpaddd {h}, {h}, {q}", "vpaddd {y}, {y}, {two}", "vmovdqa64 zmmword ptr [{ring} + {zero}], {y}",
        ], w = in(zmm_reg) $w, two = inout(zmm_reg) $ring.0[($n + 14) % 16] => _, y = out(zmm_reg) made,
            ring = in(reg) $ring.0.as_mut_ptr(), t = out(zmm_reg) _, u = out(zmm_reg) _,
            zero = const 64 * ($n % 16), one = const 64 * (($n + 1) % 16), nine = const 64 * (($n + 9) % 16),);
        made
    }};
}

/// Rounds of both streams, by number, as a literal: places in registers have to be constants.
macro_rules! rounds {
    (fixed $s:ident, $table:expr; $($i:literal)*) => { $(
        round!(fixed $s[0], $table, $i);
        round!(fixed $s[1], $table, $i);
    )* };
    (given $s:ident, $rings:ident; $($i:literal)*) => { $(
        round!(on $s[0], $rings[0].0[$i % 16], $i);
        round!(on $s[1], $rings[1].0[$i % 16], $i);
    )* };
    // On words that the expression makes from the ring `$w`, and that are put into it.
    (made $s:ident, $rings:ident, $w:ident; $($i:literal: $word:expr,)*) => { $(
        for ring in $rings.iter_mut() {
            let $w = &ring.0;
            ring.0[$i % 16] = $word;
        }
        rounds!(given $s, $rings; $i);
    )* };
    // The first stream's word of the first round is `$word`; the one after the last round is put there.
    (woven $s:ident, $rings:ident, $word:ident; $($i:literal)*) => { $(
        let other = round!(woven $s[0], $word, $i, $rings[1], $i);
        $word = round!(woven $s[1], other, $i, $rings[0], $i + 1);
    )* };
}

/// One bit for each of the nonces from `first` on whose hash has a top word of at most `top`; the first stream's are the lower.
#[target_feature(enable = "avx512f,avx512bw")]
fn met(template: &Template, fixed: &Fixed, rings: &mut [Ring; STREAMS], first: u32, top: u32) -> u32 {
    let iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    // Written out here and below: a closure handed to the standard library's array functions would not be inlined into it.
    let nonces = [swapped(add(all(first), iota)), swapped(add(all(first.wrapping_add(LANES)), iota))];

    // The header's second block, after round 3.
    let mut s = [splat(&template.head); STREAMS];
    for (s, nonce) in s.iter_mut().zip(nonces) {
        let [a, b, c, _, e, f, g, _] = *s;
        *s = [add(all(template.e), nonce), e, f, g, add(all(template.a), nonce), a, b, c];
    }
    rounds!(fixed s, fixed.header; 4 5 6 7 8 9 10 11 12 13 14 15 16 17);
    let [w16, w17, w18, w19] = template.w16;
    for (ring, nonce) in rings.iter_mut().zip(nonces) {
        (ring.0[0], ring.0[1]) = (all(w16), all(w17));
        (ring.0[2], ring.0[3]) = (add(all(w18), small_0(nonce)), add(all(w19), nonce));
    }
    rounds!(given s, rings; 18 19);
    rounds!(made s, rings, w;
        20: add(all(PADDING), small_1(w[2])),
        21: small_1(w[3]),
        22: add(all(HEADER_BITS), small_1(w[4])),
        23: add(w[0], small_1(w[5])),
        24: add(w[1], small_1(w[6])),
        25: add(w[2], small_1(w[7])),
        26: add(w[3], small_1(w[8])),
        27: add(w[4], small_1(w[9])),
        28: add(w[5], small_1(w[10])),
        29: add(w[6], small_1(w[11])),
        30: add(add(all(word::small_0(HEADER_BITS)), w[7]), small_1(w[12])),
        31: add(add(all(HEADER_BITS.wrapping_add(word::small_0(w16))), w[8]), small_1(w[13])),
    );
    let mut word = scheduled(&mut rings[0], 32);
    rounds!(woven s, rings, word; 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62);
    let other = round!(woven s[0], word, 63, rings[1], 63);
    round!(on s[1], other, 63);

    // The digest's block, after round 0, which sees the initial state and one word.
    for (ring, s) in rings.iter_mut().zip(s.iter()) {
        for (place, (word, mid)) in ring.0.iter_mut().zip(s.iter().zip(template.midstate)) {
            *place = add(*word, all(mid));
        }
    }
    let [a, .., e, _, _, _] = const { word::round(INITIAL, K[0]) };
    s = [splat(&INITIAL); STREAMS];
    for (s, ring) in s.iter_mut().zip(rings.iter()) {
        (s[3], s[7]) = (add(ring.0[0], all(e)), add(ring.0[0], all(a)));
    }
    rounds!(given s, rings; 1 2 3 4 5 6 7);
    rounds!(fixed s, fixed.digest; 8 9 10 11 12 13 14 15);
    rounds!(made s, rings, w;
        16: add(w[0], small_0(w[1])),
        17: add(add(w[1], all(word::small_1(DIGEST_BITS))), small_0(w[2])),
        18: add(add(w[2], small_0(w[3])), small_1(w[0])),
        19: add(add(w[3], small_0(w[4])), small_1(w[1])),
        20: add(add(w[4], small_0(w[5])), small_1(w[2])),
        21: add(add(w[5], small_0(w[6])), small_1(w[3])),
        22: add(add(w[6], small_0(w[7])), add(all(DIGEST_BITS), small_1(w[4]))),
        23: add(add(w[7], all(word::small_0(PADDING))), add(w[0], small_1(w[5]))),
        24: add(add(w[1], all(PADDING)), small_1(w[6])),
        25: add(w[2], small_1(w[7])),
        26: add(w[3], small_1(w[8])),
        27: add(w[4], small_1(w[9])),
        28: add(w[5], small_1(w[10])),
        29: add(w[6], small_1(w[11])),
        30: add(add(all(word::small_0(DIGEST_BITS)), w[7]), small_1(w[12])),
        31: add(add(w[8], all(DIGEST_BITS)), add(small_0(w[0]), small_1(w[13]))),
    );
    let mut word = scheduled(&mut rings[0], 32);
    rounds!(woven s, rings, word; 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56);
    round!(last s[0], word, 57);
    round!(last s[1], scheduled(&mut rings[1], 57), 57);
    for (s, ring) in s.iter_mut().zip(rings.iter_mut()) {
        round!(last s, scheduled(ring, 58), 58);
        round!(last s, scheduled(ring, 59), 59);
        round!(last s, scheduled(ring, 60), 60);
    }
    // H7 is IV7 plus h after round 63, which is e after round 60, made in the place of d: what follows is never computed.
    let mut met = 0;
    for s in s.iter().rev() {
        let top_words = swapped(add(s[7], all(INITIAL[7])));
        met = met << LANES | u32::from(_mm512_cmple_epu32_mask(top_words, all(top)));
    }
    met
}

/// Word `i` of the schedule, put into the ring.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn scheduled(Ring(w): &mut Ring, i: usize) -> __m512i {
    let at = |n: usize| w[(i + n) % 16];
    let word = add(add(at(0), small_0(at(1))), add(at(9), small_1(at(14))));
    w[i % 16] = word;
    word
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn small_0(x: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<XOR3>(_mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x), _mm512_srli_epi32::<3>(x))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn small_1(x: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<XOR3>(_mm512_ror_epi32::<17>(x), _mm512_ror_epi32::<19>(x), _mm512_srli_epi32::<10>(x))
}

/// The bytes of each word the other way round.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn swapped(x: __m512i) -> __m512i {
    let order = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(order))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn all(x: u32) -> __m512i {
    _mm512_set1_epi32(x.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn splat(words: &[u32; 8]) -> [__m512i; 8] {
    let [a, b, c, d, e, f, g, h] = *words;
    [all(a), all(b), all(c), all(d), all(e), all(f), all(g), all(h)]
}
