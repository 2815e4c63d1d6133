//! Remainders by a number that stays the same for an epoch.
//!
//! Each step of Ethash waits for a division; two multiplications by a prepared reciprocal take half as long (Lemire, Kaser, Kurz,
//! "Faster remainder by direct computation", 2019: exact for all 32-bit numbers).

/// A number above zero to take remainders by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Modulus {
    by: u32,
    /// 2^64 / `by`, rounded up; 2^64 itself is 0, which gives the right remainder by 1.
    reciprocal: u64,
}

impl Modulus {
    pub(crate) const fn new(by: u32) -> Option<Modulus> {
        if by == 0 {
            return None;
        }
        Some(Modulus { by, reciprocal: (u64::MAX / by as u64).wrapping_add(1) })
    }

    pub(crate) const fn get(self) -> u32 {
        self.by
    }

    /// `number` modulo this, as an index.
    #[inline(always)]
    pub(crate) const fn of(self, number: u32) -> usize {
        let fraction = self.reciprocal.wrapping_mul(number as u64);
        ((fraction as u128 * self.by as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(Modulus::new(0), None);
        for by in [1, 2, 3, 16_381, 262_139, u32::MAX - 1, u32::MAX] {
            let modulus = Modulus::new(by).expect("above zero");
            for number in [0, 1, by - 1, by, by.wrapping_add(1), u32::MAX - 1, u32::MAX] {
                assert_eq!(modulus.of(number), (number % by) as usize, "{number} % {by}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_the_remainder(by in 1u32.., number: u32) {
            prop_assert_eq!(Modulus::new(by).expect("above zero").of(number), (number % by) as usize);
        }
    }
}
