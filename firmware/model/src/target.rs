//! `Target` is compared, `Difficulty` is shown and spoken to pools.
//!
//! Two difficulty scales exist. **bdiff** (what Bitcoin nodes and Stratum pools mean) divides 0xFFFF·2^208 by the target; **pdiff**
//! divides 2^224 − 1, as some old pools did. All arithmetic here is on integers; a difficulty is a fraction of two of them, so that
//! practice pools may speak of difficulties far below 1 and nothing is rounded on the way.

use crate::Hash;

/// A 256-bit threshold, big-endian. A hash meets it when, read as a little-endian number, it is not larger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target([u8; 32]);

impl Target {
    /// Met by every hash.
    pub const MAX: Target = Target([0xff; 32]);

    /// From 32 big-endian bytes.
    #[must_use]
    pub const fn from_be_bytes(b: [u8; 32]) -> Target {
        Target(b)
    }
    /// The 32 big-endian bytes.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 32] {
        self.0
    }
    /// Whether `hash` is not above this target.
    #[must_use]
    pub fn is_met_by(&self, hash: &Hash) -> bool {
        hash.0.iter().rev().cmp(self.0.iter()) != std::cmp::Ordering::Greater
    }

    /// Expands the compact form (nBits). `None` for a negative, zero or overflowing one, which no valid block carries.
    #[must_use]
    pub fn from_compact(bits: u32) -> Option<Target> {
        let (size, word) = ((bits >> 24) as usize, bits & 0x007f_ffff);
        if bits & 0x0080_0000 != 0 || word == 0 {
            return None;
        }
        let mut b = [0u8; 32];
        for (i, byte) in word.to_be_bytes()[1..].iter().enumerate() {
            // byte i of the mantissa has weight 256^(size-1-i)
            match (size + 31).checked_sub(i + 1) {
                Some(weight) if weight >= 31 => {
                    let place = weight - 31;
                    if place > 31 {
                        if *byte != 0 {
                            return None;
                        }
                    } else {
                        b[31 - place] = *byte;
                    }
                }
                _ => {} // shifted out below one: Bitcoin drops these bits too
            }
        }
        (b != [0; 32]).then_some(Target(b))
    }

    /// The compact form, rounded towards zero as Bitcoin does.
    #[must_use]
    pub fn to_compact(self) -> u32 {
        let first = self.0.iter().position(|b| *b != 0).unwrap_or(31);
        let mut size = 32 - first;
        let byte = |i: usize| if i < 32 { u32::from(self.0[i]) } else { 0 };
        let mut word = byte(first) << 16 | byte(first + 1) << 8 | byte(first + 2);
        if word & 0x0080_0000 != 0 {
            word >>= 8;
            size += 1;
        }
        (size as u32) << 24 | word
    }

    /// The easiest target that needs `2^n` hashes on average: `n` leading zero bits, the rest ones.
    #[must_use]
    pub fn from_zero_bits(n: u32) -> Target {
        let mut b = [0xff; 32];
        for i in 0..n.min(256) as usize {
            b[i / 8] &= !(0x80 >> (i % 8));
        }
        Target(b)
    }

    fn limbs(self) -> [u64; 5] {
        let mut l = [0; 5];
        for (i, limb) in l.iter_mut().take(4).enumerate() {
            let mut w = [0; 8];
            w.copy_from_slice(&self.0[24 - 8 * i..32 - 8 * i]);
            *limb = u64::from_be_bytes(w);
        }
        l
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A difficulty as an exact fraction of two integers, both above zero.
///
/// `1/262144` is a practice difficulty of 2^-18. Text such as `0.000003814697265625` is read exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Difficulty {
    numerator: u64,
    denominator: u64,
}

/// Why a difficulty was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DifficultyError {
    /// Zero or below: every hash would be a share.
    #[error("a difficulty must be above zero")]
    Zero,
    /// Not a decimal number, or one with more digits than can be held exactly.
    #[error("'{0}' is not a decimal difficulty of at most 19 digits")]
    Text(String),
}

impl Difficulty {
    /// Difficulty 1.
    pub const ONE: Difficulty = Difficulty { numerator: 1, denominator: 1 };

    /// `numerator / denominator`, reduced.
    ///
    /// # Errors
    /// [`DifficultyError::Zero`] where either is zero.
    pub fn new(numerator: u64, denominator: u64) -> Result<Difficulty, DifficultyError> {
        if numerator == 0 || denominator == 0 {
            return Err(DifficultyError::Zero);
        }
        let (mut a, mut b) = (numerator, denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Ok(Difficulty { numerator: numerator / a, denominator: denominator / a })
    }

    /// 2 to the `exponent`-th, -63 to 63.
    #[must_use]
    pub fn power_of_two(exponent: i32) -> Difficulty {
        let bit = 1u64 << exponent.unsigned_abs().min(63);
        if exponent < 0 { Difficulty { numerator: 1, denominator: bit } } else { Difficulty { numerator: bit, denominator: 1 } }
    }

    /// Reads a JSON number's text exactly: `1024`, `0.001`, `3.8e-6`.
    ///
    /// # Errors
    /// Zero, negative, not a number, or outside 10^-19 to 2^64.
    pub fn from_decimal(text: &str) -> Result<Difficulty, DifficultyError> {
        let bad = || DifficultyError::Text(text.chars().take(40).collect());
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((m, e)) => (m, e.parse::<i32>().map_err(|_| bad())?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Err(DifficultyError::Zero);
        }
        let mut value: u128 = if significant.len() > 38 { return Err(bad()) } else { significant.parse().map_err(|_| bad())? };
        let mut exponent = exponent.checked_sub(i32::try_from(fraction.len()).map_err(|_| bad())?).ok_or_else(bad)?;
        while exponent < 0 && value.is_multiple_of(10) {
            value /= 10;
            exponent += 1;
        }
        // Factors 2 and 5 are taken out one by one, so that 2^-18 with its 18 decimals still fits.
        let (mut denominator_twos, mut denominator_fives) = (exponent.min(0).unsigned_abs(), exponent.min(0).unsigned_abs());
        if exponent > 0 {
            for _ in 0..exponent {
                value = value.checked_mul(10).filter(|v| *v <= u128::from(u64::MAX)).ok_or_else(bad)?;
            }
        }
        while denominator_twos > 0 && value.is_multiple_of(2) {
            value /= 2;
            denominator_twos -= 1;
        }
        while denominator_fives > 0 && value.is_multiple_of(5) {
            value /= 5;
            denominator_fives -= 1;
        }
        let five = 5u64.checked_pow(denominator_fives).ok_or_else(bad)?;
        let denominator = five
            .checked_mul(1u64.checked_shl(denominator_twos).filter(|_| denominator_twos < 64).ok_or_else(bad)?)
            .ok_or_else(bad)?;
        Difficulty::new(u64::try_from(value).map_err(|_| bad())?, denominator)
    }

    /// The exact decimal text where there is one (a denominator of twos and fives only), else the nearest f64's.
    #[must_use]
    pub fn to_decimal(&self) -> String {
        let (mut d, mut places) = (self.denominator, 0u32);
        let (mut twos, mut fives) = (0u32, 0u32);
        while d % 2 == 0 {
            d /= 2;
            twos += 1;
        }
        while d % 5 == 0 {
            d /= 5;
            fives += 1;
        }
        places = places.max(twos).max(fives);
        let scaled = (d == 1).then(|| 10u128.checked_pow(places)?.checked_mul(u128::from(self.numerator))).flatten();
        match scaled {
            Some(n) if places > 0 => {
                let text = format!("{:0>width$}", n / u128::from(self.denominator), width = places as usize + 1);
                let (whole, fraction) = text.split_at(text.len() - places as usize);
                format!("{whole}.{}", fraction.trim_end_matches('0')).trim_end_matches('.').to_owned()
            }
            Some(n) => n.to_string(),
            None => self.to_f64().to_string(),
        }
    }

    /// For display and charts only.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    /// The target of this difficulty on Bitcoin's scale (bdiff): floor(0xFFFF·2^208 ÷ difficulty), at most 2^256 − 1.
    #[must_use]
    pub fn to_target_bdiff(&self) -> Target {
        self.divide([0, 0, 0, 0xffff_0000, 0])
    }

    /// The target on the pool scale (pdiff): floor((2^224 − 1) ÷ difficulty), at most 2^256 − 1.
    #[must_use]
    pub fn to_target_pdiff(&self) -> Target {
        self.divide([u64::MAX, u64::MAX, u64::MAX, 0xffff_ffff, 0])
    }

    /// The bdiff difficulty of a target, as the exact fraction where it fits 64 bits a side, else rounded to 64 bits.
    #[must_use]
    pub fn from_target_bdiff(target: Target) -> Difficulty {
        // Both sides are shifted down together until they fit; a target from `to_target_bdiff` comes back to within 2^-63.
        let (mut n, mut d) = ([0, 0, 0, 0xffff_0000u64, 0], target.limbs());
        if d == [0; 5] {
            d[0] = 1;
        }
        let high = |l: &[u64; 5]| {
            l.iter().enumerate().rev().find(|(_, w)| **w != 0).map_or(0, |(i, w)| 64 * i + 64 - w.leading_zeros() as usize)
        };
        let shift = high(&n).max(high(&d)).saturating_sub(64);
        shift_right(&mut n, shift);
        shift_right(&mut d, shift);
        Difficulty::new(n[0].max(1), d[0].max(1)).unwrap_or(Difficulty::ONE)
    }

    /// Average hashes that one share of this difficulty costs: difficulty · 2^32 (bdiff, to one part in 65,535).
    #[must_use]
    pub fn hashes(&self) -> f64 {
        self.to_f64() * 4_294_967_296.0
    }

    fn divide(&self, mut limbs: [u64; 5]) -> Target {
        let mut carry: u128 = 0;
        for l in &mut limbs {
            carry += u128::from(*l) * u128::from(self.denominator);
            *l = carry as u64;
            carry >>= 64;
        }
        let mut rest: u128 = 0;
        for l in limbs.iter_mut().rev() {
            rest = rest << 64 | u128::from(*l);
            *l = (rest / u128::from(self.numerator)) as u64;
            rest %= u128::from(self.numerator);
        }
        if limbs[4] != 0 {
            return Target::MAX;
        }
        let mut b = [0; 32];
        for i in 0..4 {
            b[24 - 8 * i..32 - 8 * i].copy_from_slice(&limbs[i].to_be_bytes());
        }
        Target(b)
    }
}

fn shift_right(l: &mut [u64; 5], bits: usize) {
    let (words, bits) = (bits / 64, bits % 64);
    for i in 0..5 {
        let at = |j: usize| if j < 5 { u128::from(l[j]) } else { 0 };
        l[i] = ((at(i + words) | at(i + words + 1) << 64) >> bits) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difficulty_one_is_bitcoins_first_target_on_both_scales() {
        assert_eq!(Difficulty::ONE.to_target_bdiff(), Target::from_compact(0x1d00_ffff).expect("valid"));
        assert_eq!(Difficulty::ONE.to_target_pdiff(), Target::from_zero_bits(32));
    }

    #[test]
    fn practice_difficulties_below_one_are_exact() {
        let d = Difficulty::power_of_two(-18);
        assert_eq!(d.to_decimal(), "0.000003814697265625");
        assert_eq!(Difficulty::from_decimal("0.000003814697265625"), Ok(d));
        assert_eq!(Difficulty::from_decimal("3.814697265625e-6"), Ok(d));
        assert_eq!(Difficulty::from_target_bdiff(d.to_target_bdiff()), d);
    }

    #[test]
    fn zero_and_nonsense_are_refused() {
        for text in ["0", "0.0", "-1", "", ".", "1e400", "nan", "1e-99999999999"] {
            assert!(Difficulty::from_decimal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn compact_targets_round_trip_and_bad_ones_are_refused() {
        for bits in [0x1d00_ffff, 0x207f_ffff, 0x1b04_04cb, 0x0212_3400u32] {
            assert_eq!(Target::from_compact(bits).expect("valid").to_compact(), bits, "{bits:08x}");
        }
        for bits in [0, 0x0180_0000, 0x2100_ffff + 0x0200_0000, 0x1d80_ffff] {
            assert_eq!(Target::from_compact(bits), None, "{bits:08x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn decimals_round_trip(n in 1u64..1_000_000_000, twos in 0i32..20) {
            let d = Difficulty::new(n, 1 << twos).expect("above zero");
            proptest::prop_assert_eq!(Difficulty::from_decimal(&d.to_decimal()), Ok(d));
        }
        #[test]
        fn compact_never_exceeds_what_it_came_from(b in proptest::array::uniform32(0u8..)) {
            let t = Target::from_be_bytes(b);
            if let Some(back) = Target::from_compact(t.to_compact()) {
                proptest::prop_assert!(back <= t);
                proptest::prop_assert_eq!(back.to_compact(), t.to_compact());
            }
        }
    }
}
