//! The chip's two clocks that registers decide: the hash clock of its PLL and the rate of its line.
//!
//! Each model stores its dividers in its own way. Not here: when a lock comes, and who is told.

use super::register as r;
use model::Baud;

/// The crystal of every board of the family, MHz.
pub(crate) const CRYSTAL: u64 = 25;

/// How a PLL word stores its dividers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dividers {
    /// Feedback 23-16, reference 11-8, post dividers 7-4 and 3-0, as they are; no bit that switches it on.
    Bm1387,
    /// Feedback 27-16, reference 13-8, post dividers 6-4 and 2-0, as they are.
    Plain,
    /// The same with the post dividers less one.
    LessOne,
}

/// A chip's PLL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PllRule {
    pub(crate) register: u8,
    pub(crate) dividers: Dividers,
    pub(crate) feedback: (u64, u64),
    /// MHz, where the oscillator locks.
    pub(crate) vco: (u64, u64),
    /// MHz, of what comes out.
    pub(crate) clock: (u64, u64),
}

/// A whole ratio of the crystal: multiplied by `feedback`, divided by `divider`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pll {
    pub(crate) feedback: u64,
    pub(crate) divider: u64,
}

impl Pll {
    pub(crate) fn mhz(self) -> f64 {
        (CRYSTAL * self.feedback) as f64 / self.divider as f64
    }
}

impl PllRule {
    /// What a word asks for, where the chip can lock to it.
    pub(crate) fn decode(&self, word: u32) -> Option<Pll> {
        let field = |shift: u32, bits: u32| u64::from(word >> shift) & ((1 << bits) - 1);
        let (on, feedback, reference, post) = match self.dividers {
            Dividers::Bm1387 => (true, field(16, 8), field(8, 4), field(4, 4) * field(0, 4)),
            Dividers::Plain => (field(30, 1) == 1, field(16, 12), field(8, 6), field(4, 3) * field(0, 3)),
            Dividers::LessOne => (field(30, 1) == 1, field(16, 12), field(8, 6), (field(4, 3) + 1) * (field(0, 3) + 1)),
        };
        let pll = Pll { feedback, divider: reference * post };
        let within = |(low, high): (u64, u64), top: u64, bottom: u64| (low * bottom..=high * bottom).contains(&top);
        let good = on
            && pll.divider > 0
            && within(self.feedback, feedback, 1)
            && within(self.vco, CRYSTAL * feedback, reference)
            && within(self.clock, CRYSTAL * feedback, pll.divider);
        good.then_some(pll)
    }
}

/// How a chip's line rate is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BaudRule {
    /// MISC at 1C, bits 12-8; bit 30 leaves the rate as it was.
    Bm1387,
    /// MISC at 18, bits 12-8 and above them 27-24; bit 16 takes PLL3 as the base.
    Bm1397,
    /// 28, bits 15-8.
    Fast,
}

impl BaudRule {
    /// The rate that the registers ask for; `None` where they leave it as it was.
    pub(crate) fn rate(self, register: impl Fn(u8) -> u32) -> Option<Baud> {
        let rate = |base: u64, n: u32| u32::try_from(base / (8 * (u64::from(n) + 1))).ok().filter(|b| *b > 0).map(Baud);
        let crystal = CRYSTAL * 1_000_000;
        match self {
            BaudRule::Bm1387 => {
                let word = register(r::MISC_1387);
                if word >> 30 & 1 == 1 { None } else { rate(crystal, word >> 8 & 0x1f) }
            }
            BaudRule::Bm1397 => {
                let word = register(r::MISC);
                let n = word >> 8 & 0x1f | (word >> 24 & 0xf) << 5;
                if word >> 16 & 1 == 0 {
                    return rate(crystal, n);
                }
                let rule = PllRule {
                    register: r::PLL3,
                    dividers: Dividers::Plain,
                    feedback: (1, 4095),
                    vco: (0, 10_000),
                    clock: (1, 10_000),
                };
                let pll = rule.decode(register(r::PLL3))?;
                let divider = pll.divider * (u64::from(register(r::FAST_UART) >> 24 & 0xf) + 1);
                rate(crystal * pll.feedback / divider, n)
            }
            BaudRule::Fast => rate(crystal, register(r::FAST_UART) >> 8 & 0xff),
        }
    }

    /// Whether this register is one of those that decide.
    pub(crate) fn reads(self, register: u8) -> bool {
        match self {
            BaudRule::Bm1387 => register == r::MISC_1387,
            BaudRule::Bm1397 => [r::MISC, r::PLL3, r::FAST_UART].contains(&register),
            BaudRule::Fast => register == r::FAST_UART,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::facts;
    use super::*;
    use model::ChipModel;

    #[test]
    fn published_words_are_their_clocks() {
        use ChipModel::{Bm1362, Bm1366, Bm1368, Bm1370, Bm1387, Bm1397};
        for (chip, word, mhz) in [
            (Bm1387, 0x0068_0221_u32, 650.0),
            (Bm1397, 0xc060_0161, 400.0),
            (Bm1397, 0x40a0_0241, 500.0),
            (Bm1366, 0xc054_0165, 50.0),
            (Bm1370, 0xc054_0165, 50.0),
            (Bm1362, 0x40a0_0241, 200.0),
            (Bm1370, 0x50d2_0265, 62.5),
            (Bm1370, 0x50d2_0240, 525.0),
            (Bm1362, 0x40a2_0255, 56.25),
            (Bm1362, 0x50c0_0230, 600.0),
            (Bm1362, 0x40a8_0211, 525.0),
            (Bm1368, 0x40e1_0250, 468.75),
        ] {
            let pll = facts(chip).expect("a serial chip").pll.decode(word).unwrap_or_else(|| panic!("{chip:?} {word:08x}"));
            assert!((pll.mhz() - mhz).abs() < 1e-9, "{chip:?} {word:08x}: {}", pll.mhz());
        }
        for (chip, word) in [(Bm1362, 0x50da_0141), (Bm1387, 0x0010_0221), (Bm1387, 0x0068_0201), (Bm1370, 0x10d2_0240)] {
            assert_eq!(facts(chip).expect("a serial chip").pll.decode(word), None, "{chip:?} {word:08x}");
        }
    }

    #[test]
    fn published_words_are_their_rates() {
        let rate = |rule: BaudRule, words: &[(u8, u32)]| {
            rule.rate(|r| words.iter().find(|(n, _)| *n == r).map_or(0, |(_, w)| *w)).map(|b| b.0)
        };
        assert_eq!(rate(BaudRule::Fast, &[(0x28, 0x0130_1a00)]), Some(115_740));
        assert_eq!(rate(BaudRule::Fast, &[(0x28, 0x1130_0200)]), Some(1_041_666));
        assert_eq!(rate(BaudRule::Fast, &[(0x28, 0x1130_0000)]), Some(3_125_000));
        assert_eq!(rate(BaudRule::Bm1387, &[(0x1c, 0x0020_8180)]), Some(1_562_500));
        assert_eq!(rate(BaudRule::Bm1387, &[(0x1c, 0x4020_8180)]), None);
        assert_eq!(rate(BaudRule::Bm1397, &[(0x18, 0x7a31)]), Some(115_740));
        assert_eq!(rate(BaudRule::Bm1397, &[(0x18, 0x6131)]), Some(1_562_500));
        assert_eq!(rate(BaudRule::Bm1397, &[(0x18, 0x6031)]), Some(3_125_000));
        let fast = [(0x18, 0x0001_6331), (0x68, 0xc070_0111), (0x28, 0x0600_000f)];
        assert_eq!(rate(BaudRule::Bm1397, &fast), Some(12_500_000));
    }
}
