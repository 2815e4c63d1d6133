//! Marsaglia's KISS of 1999, the random numbers of `ProgPoW`.
//!
//! Four small generators in one, seeded by a chain of FNV-1a. Good enough to choose a program; not for secrets.

use crate::ethash::fnv1a;

/// Where a chain of FNV-1a begins.
pub(crate) const FNV_OFFSET: u32 = 0x811c_9dc5;

/// The generator.
pub(crate) struct Kiss {
    z: u32,
    w: u32,
    jsr: u32,
    jcong: u32,
}

impl Kiss {
    /// Seeded by four words in a chain.
    #[inline(always)]
    pub(crate) fn seeded(first: u32, second: u32, third: u32, fourth: u32) -> Kiss {
        let z = fnv1a(FNV_OFFSET, first);
        let w = fnv1a(z, second);
        let jsr = fnv1a(w, third);
        Kiss { z, w, jsr, jcong: fnv1a(jsr, fourth) }
    }

    /// The next number.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> u32 {
        self.z = (self.z & 0xffff).wrapping_mul(36_969).wrapping_add(self.z >> 16);
        self.w = (self.w & 0xffff).wrapping_mul(18_000).wrapping_add(self.w >> 16);
        self.jcong = self.jcong.wrapping_mul(69_069).wrapping_add(1_234_567);
        self.jsr ^= self.jsr << 17;
        self.jsr ^= self.jsr >> 13;
        self.jsr ^= self.jsr << 5;
        ((self.z << 16).wrapping_add(self.w) ^ self.jcong).wrapping_add(self.jsr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EIP-1057's vectors.
    #[test]
    fn numbers_are_the_published_ones() {
        assert_eq!(fnv1a(0x811c_9dc5, 0xddd0_a47b), 0xd37e_e61a);
        assert_eq!(fnv1a(0xd37e_e61a, 0xee30_4846), 0xdedc_7ad4);
        assert_eq!(fnv1a(0xdedc_7ad4, 0), 0xa915_5bbc);
        let mut kiss = Kiss { z: 362_436_069, w: 521_288_629, jsr: 123_456_789, jcong: 380_116_160 };
        let numbers: Vec<u32> = (0..100_000).map(|_| kiss.next()).collect();
        assert_eq!(numbers[..4], [769_445_856, 742_012_328, 2_121_196_314, 2_805_620_942]);
        assert_eq!(numbers[99_999], 941_074_834);
    }
}
