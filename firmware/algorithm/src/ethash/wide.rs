//! The two things that need vectors: merging a line and hashing several lines at once.
//!
//! The kernels of the Ethash family are written once and compiled for each path: [`run`] calls work within a function that may
//! use the path's instructions, and hands it [`Vectors`] to use them by. A compiler left alone takes lines apart into words,
//! which halves the speed. Not here: which lines are merged.
//!
//! Rejected: hashing a line that comes alone, as those of the cache do, in one of the eight lanes. On a Zen 5 core it takes as
//! long as plain integers do.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "functions that need CPU features, and a prefetch, are unsafe to call from ones that do not")
)]

use super::item::fnv1;
use crate::keccak::keccak512_line;
use crate::{Line, Path};

/// The paths that Ethash and `KawPow` have, the fastest first.
pub const PATHS: [Path; 3] = [Path::Avx512, Path::Avx2, Path::Portable];

/// The fastest of them that this CPU can run.
pub(crate) fn best_path() -> Path {
    PATHS.into_iter().find(|path| path.is_available()).unwrap_or(Path::Portable)
}

/// Something to compute. Its `run` must be `#[inline(always)]`, else it is compiled for the portable path.
pub(crate) trait Work {
    type Result;
    fn run(self, vectors: impl Vectors) -> Self::Result;
}

/// What is done by vectors. Whoever holds one runs on a CPU that has them.
pub(crate) trait Vectors: Copy {
    /// `fnv1(line, from)`, word by word.
    fn merge(self, line: &mut Line, from: &Line);
    /// Keccak-512 of each line.
    fn keccak512(self, lines: &mut [Line]);
}

/// Plain integers.
#[derive(Clone, Copy)]
struct Portable;

impl Vectors for Portable {
    #[inline(always)]
    fn merge(self, line: &mut Line, from: &Line) {
        line.0.iter_mut().zip(from.0).for_each(|(word, from)| *word = fnv1(*word, from));
    }

    #[inline(always)]
    fn keccak512(self, lines: &mut [Line]) {
        lines.iter_mut().for_each(|line| keccak512_line(&mut line.0));
    }
}

/// Does the work by a path, or by the portable one where the CPU or this file lacks it.
#[inline]
pub(crate) fn run<W: Work>(path: Path, work: W) -> W::Result {
    match path {
        // SAFETY: the CPU has what the path's name says. A safe call would need it at compile time.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 if path.is_available() => unsafe { x86::avx512(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 if path.is_available() => unsafe { x86::avx2(work) },
        _ => work.run(Portable),
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_load_si256, _mm256_mullo_epi32, _mm256_set1_epi32, _mm256_store_si256, _mm256_xor_si256,
        _mm512_load_si512, _mm512_mullo_epi32, _mm512_rolv_epi64, _mm512_set_epi64, _mm512_set1_epi32, _mm512_set1_epi64,
        _mm512_setzero_si512, _mm512_store_si512, _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_xor_si512,
    };

    use super::{Line, Portable, Vectors, Work};
    use crate::keccak::{ROTATIONS, ROUND_CONSTANTS, halves, keccak512_line};

    const FNV_PRIME: i32 = 0x0100_0193;

    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn avx512<W: Work>(work: W) -> W::Result {
        work.run(Avx512(()))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2<W: Work>(work: W) -> W::Result {
        work.run(Avx2(()))
    }

    /// Made by [`avx512`] alone.
    #[derive(Clone, Copy)]
    struct Avx512(());

    /// Made by [`avx2`] alone.
    #[derive(Clone, Copy)]
    struct Avx2(());

    impl Vectors for Avx2 {
        #[inline(always)]
        fn merge(self, line: &mut Line, from: &Line) {
            let (halves, from): (*mut __m256i, *const __m256i) = (line.0.as_mut_ptr().cast(), from.0.as_ptr().cast());
            for half in 0..2 {
                // SAFETY: a line is two vectors long and aligned to both together; the CPU has AVX2, else there were no `self`.
                unsafe {
                    let word = _mm256_mullo_epi32(_mm256_load_si256(halves.add(half)), _mm256_set1_epi32(FNV_PRIME));
                    _mm256_store_si256(halves.add(half), _mm256_xor_si256(word, _mm256_load_si256(from.add(half))));
                }
            }
        }

        #[inline(always)]
        fn keccak512(self, lines: &mut [Line]) {
            Portable.keccak512(lines);
        }
    }

    impl Vectors for Avx512 {
        #[inline(always)]
        fn merge(self, line: &mut Line, from: &Line) {
            let (line, from): (*mut __m512i, *const __m512i) = (line.0.as_mut_ptr().cast(), from.0.as_ptr().cast());
            // SAFETY: a line is one vector long and aligned to it; the CPU has AVX-512, else there were no `self`.
            unsafe {
                let words = _mm512_mullo_epi32(_mm512_load_si512(line), _mm512_set1_epi32(FNV_PRIME));
                _mm512_store_si512(line, _mm512_xor_si512(words, _mm512_load_si512(from)));
            }
        }

        #[inline(always)]
        fn keccak512(self, lines: &mut [Line]) {
            for lines in lines.chunks_mut(8) {
                match lines {
                    [line] => keccak512_line(&mut line.0),
                    // SAFETY: the CPU has AVX-512, else there were no `self`.
                    lines => unsafe { keccak512_of_eight(lines) },
                }
            }
        }
    }

    /// Keccak-512 of up to eight lines, one in each 64-bit part of the vectors.
    #[target_feature(enable = "avx512f")]
    fn keccak512_of_eight(lines: &mut [Line]) {
        let word = |line: usize, word: usize| {
            lines.get(line).map_or(0, |line| (u64::from(line.0[2 * word + 1]) << 32 | u64::from(line.0[2 * word])).cast_signed())
        };
        let mut state = [_mm512_setzero_si512(); 25];
        for (i, lanes) in state.iter_mut().take(8).enumerate() {
            *lanes =
                _mm512_set_epi64(word(7, i), word(6, i), word(5, i), word(4, i), word(3, i), word(2, i), word(1, i), word(0, i));
        }
        // The padding of a message of 8 words in a block of 9.
        state[8] = _mm512_set1_epi64((1 << 63 | 1u64).cast_signed());
        for constant in ROUND_CONSTANTS {
            state = keccak_round(&state);
            state[0] = _mm512_xor_si512(state[0], _mm512_set1_epi64(constant.cast_signed()));
        }
        for (i, lanes) in state.iter().take(8).enumerate() {
            let mut words = [0u64; 8];
            // SAFETY: eight words are one vector long; this store needs no alignment.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), *lanes) };
            for (line, word) in lines.iter_mut().zip(words) {
                line.0[2 * i..][..2].copy_from_slice(&halves(word));
            }
        }
    }

    /// A round without its constant, each step on all of the state: theta, then rho and pi, then chi.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn keccak_round(state: &[__m512i; 25]) -> [__m512i; 25] {
        let xor = |a, b, c| _mm512_ternarylogic_epi64::<0x96>(a, b, c);
        let mut columns = [_mm512_setzero_si512(); 5];
        for (x, column) in columns.iter_mut().enumerate() {
            *column = xor(xor(state[x], state[x + 5], state[x + 10]), state[x + 15], state[x + 20]);
        }
        let mut moved = [_mm512_setzero_si512(); 25];
        for x in 0..5 {
            let right = _mm512_rolv_epi64(columns[(x + 1) % 5], _mm512_set1_epi64(1));
            for y in 0..5 {
                let mixed = xor(state[x + 5 * y], columns[(x + 4) % 5], right);
                let turn = _mm512_set1_epi64(i64::from(ROTATIONS[x + 5 * y]));
                moved[y + 5 * ((2 * x + 3 * y) % 5)] = _mm512_rolv_epi64(mixed, turn);
            }
        }
        let mut next = [_mm512_setzero_si512(); 25];
        for y in 0..5 {
            for x in 0..5 {
                let row = |x: usize| moved[5 * y + x % 5];
                // a ^ (!b & c)
                next[5 * y + x] = _mm512_ternarylogic_epi64::<0xd2>(row(x), row(x + 1), row(x + 2));
            }
        }
        next
    }
}

/// Asks the memory for the cache line of `value`, which will be read soon. Nothing where the architecture has no stable way to.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and never faults; there is no safe form of it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_that_the_cpu_lacks_is_done_portably() {
        struct Sum([u32; 64]);
        impl Work for Sum {
            type Result = u32;
            #[inline(always)]
            fn run(self, _: impl Vectors) -> u32 {
                self.0.iter().sum()
            }
        }
        for path in Path::ALL {
            assert_eq!(run(path, Sum([3; 64])), 192, "{path}, available or not");
        }
        assert!(PATHS.contains(&best_path()) && best_path().is_available());
    }

    proptest! {
        #[test]
        fn every_path_merges_and_hashes_alike(words in vec(any::<[u32; 16]>(), 0..20), from: [u32; 16]) {
            struct Both(Vec<Line>, Line);
            impl Work for Both {
                type Result = Vec<Line>;
                #[inline(always)]
                fn run(mut self, vectors: impl Vectors) -> Vec<Line> {
                    self.0.iter_mut().for_each(|line| vectors.merge(line, &self.1));
                    vectors.keccak512(&mut self.0);
                    self.0
                }
            }
            let lines: Vec<Line> = words.into_iter().map(Line).collect();
            let want = run(Path::Portable, Both(lines.clone(), Line(from)));
            for path in PATHS {
                prop_assert_eq!(&run(path, Both(lines.clone(), Line(from))), &want);
            }
        }
    }
}
