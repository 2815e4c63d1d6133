//! The clock: f = 25 MHz · FB ÷ (REF · PD1 · PD2). The search follows the vendor's own order (lowest PD2, then lowest PD1), so
//! that its published results come out bit by bit. Not here: the ramp.

use model::Megahertz;

/// The crystal on every board of the family.
pub const CRYSTAL: Megahertz = Megahertz(25.0);
/// From here on bit 28 selects the oscillator's upper band.
const UPPER_BAND_MHZ: f64 = 2400.0;
/// BM1397's divider behind its oscillator, and what hosts write to it.
const USER_DIVIDER: (u8, u32) = (0x70, 0x0f0f_0f00);
/// Post dividers have three bits and hold divider − 1, and the vendor's solver stays below the last.
const POST_DIVIDER_MAX: u32 = 7;

/// How a chip's register holds the dividers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PllForm {
    /// BM1362 and later: post dividers less one, and bit 28 for the oscillator's upper band.
    LessOne,
    /// BM1397: post dividers as they are.
    AsIs,
    /// BM1387: post dividers as they are, and nothing above them.
    Bare,
}

/// What a chip's oscillator can do, and how it is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PllLimits {
    /// How the register holds the dividers.
    pub form: PllForm,
    /// Which register.
    pub register: u8,
    /// Smallest feedback divider.
    pub feedback_min: u32,
    /// Largest feedback divider.
    pub feedback_max: u32,
    /// Slowest oscillator.
    pub vco_min: Megahertz,
    /// Fastest oscillator.
    pub vco_max: Megahertz,
}

/// One setting of the dividers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pll {
    /// FB.
    pub feedback: u32,
    /// REF.
    pub reference: u32,
    /// PD1, the divider itself.
    pub post1: u32,
    /// PD2, the divider itself.
    pub post2: u32,
}

impl PllLimits {
    /// The writes that set a chip's clock.
    pub fn writes(&self, pll: Pll) -> impl Iterator<Item = (u8, u32)> + use<> {
        let word = (self.register, pll.to_register(self.form));
        // BM1397: the divider behind the oscillator and then the oscillator, each twice, as published hosts do.
        let list = if self.form == PllForm::AsIs { vec![USER_DIVIDER, USER_DIVIDER, word, word] } else { vec![word] };
        list.into_iter()
    }
}

impl Pll {
    /// The setting nearest to `clock`, or `None` where nothing within the limits is within 1 % of it.
    #[must_use]
    pub fn solve(clock: Megahertz, limits: &PllLimits) -> Option<Pll> {
        let mut best: Option<(f64, Pll)> = None;
        // The vendor's reference divider is always 2: 68 of 68 lines of a factory log.
        let reference = 2;
        for post2 in 1..=POST_DIVIDER_MAX {
            for post1 in post2..=POST_DIVIDER_MAX {
                let feedback = (clock.0 * f64::from(reference * post1 * post2) / CRYSTAL.0).round();
                if !(f64::from(limits.feedback_min)..=f64::from(limits.feedback_max)).contains(&feedback) {
                    continue;
                }
                let pll = Pll { feedback: feedback as u32, reference, post1, post2 };
                let error = (pll.clock().0 - clock.0).abs();
                let fits = (limits.vco_min.0..=limits.vco_max.0).contains(&pll.vco().0);
                if fits && error <= clock.0 / 100.0 && best.is_none_or(|(least, _)| error < least - 1e-9) {
                    best = Some((error, pll));
                }
            }
        }
        best.map(|(_, pll)| pll)
    }

    /// The clock that comes out.
    #[must_use]
    pub fn clock(&self) -> Megahertz {
        Megahertz(self.vco().0 / f64::from(self.post1 * self.post2))
    }

    /// The oscillator behind it.
    #[must_use]
    pub fn vco(&self) -> Megahertz {
        Megahertz(CRYSTAL.0 * f64::from(self.feedback) / f64::from(self.reference))
    }

    /// The register's word.
    #[must_use]
    pub fn to_register(&self, form: PllForm) -> u32 {
        let (top, less) = match form {
            PllForm::LessOne if self.vco().0 >= UPPER_BAND_MHZ => (0x5000_0000, 1),
            PllForm::LessOne => (0x4000_0000, 1),
            PllForm::AsIs => (0x4000_0000, 0),
            PllForm::Bare => (0, 0),
        };
        top | self.feedback << 16 | self.reference << 8 | (self.post1 - less) << 4 | (self.post2 - less)
    }

    /// Reads the register of BM1362 and later; `None` where a divider is 0.
    #[must_use]
    pub fn from_register(value: u32) -> Option<Pll> {
        let pll = Pll {
            feedback: value >> 16 & 0xfff,
            reference: value >> 8 & 0x3f,
            post1: (value >> 4 & 7) + 1,
            post2: (value & 7) + 1,
        };
        (pll.feedback != 0 && pll.reference != 0).then_some(pll)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bm1362::BM1362;
    use super::super::bm1366::BM1366;
    use super::super::bm1368::BM1368;
    use super::super::bm1370::BM1370;
    use super::super::bm1387::BM1387;
    use super::super::bm1397::BM1397;
    use super::*;

    #[test]
    fn known_registers_read_as_their_clock() {
        for (register, clock) in [
            (0x40a0_0241, 200.0),
            (0x40a0_0225, 111.111),
            (0x50d2_0265, 62.5),
            (0x50d2_0240, 525.0),
            (0x40a2_0255, 56.25),
            (0x50c0_0230, 600.0),
            (0x40a8_0230, 525.0),
            (0x40a8_0211, 525.0),
        ] {
            let pll = Pll::from_register(register).expect("valid");
            assert!((pll.clock().0 - clock).abs() < 0.01, "{register:08x}");
            assert_eq!(pll.to_register(PllForm::LessOne), register, "{register:08x}");
        }
        assert_eq!(Pll::from_register(0), None);
    }

    #[test]
    fn the_search_finds_what_the_factory_found() {
        let bm1368 = BM1368.pll;
        for (clock, feedback, post1, post2) in [
            (56.25, 162, 6, 6),
            (93.75, 180, 6, 4),
            (131.25, 189, 6, 3),
            (168.75, 162, 6, 2),
            (206.25, 165, 5, 2),
            (243.75, 195, 5, 2),
            (281.25, 180, 4, 2),
            (318.75, 204, 4, 2),
            (356.25, 171, 6, 1),
            (393.75, 189, 6, 1),
            (431.25, 207, 6, 1),
            (468.75, 225, 6, 1),
        ] {
            assert_eq!(Pll::solve(Megahertz(clock), &bm1368), Some(Pll { feedback, reference: 2, post1, post2 }), "{clock}");
        }
    }

    #[test]
    fn every_step_of_a_ramp_is_within_the_chip_and_exact_where_its_dividers_allow() {
        // Up to the most that any board of them allows. Where a feedback divider ends early, upper steps are only near.
        for (chip, exact_to) in
            [(&BM1387, 625.0), (&BM1397, 625.0), (&BM1362, 625.0), (&BM1366, 487.5), (&BM1368, 487.5), (&BM1370, 487.5)]
        {
            for clock in (0..=100).map(|step| chip.first_clock + super::super::RAMP_STEP * f64::from(step)) {
                if clock > Megahertz(625.0) {
                    break;
                }
                let pll = Pll::solve(clock, &chip.pll).unwrap_or_else(|| panic!("{}: {clock}", chip.name));
                let error = (pll.clock().0 - clock.0).abs();
                assert!(error < if clock.0 <= exact_to { 1e-6 } else { 2.0 }, "{}: {clock}: {pll:?}", chip.name);
                assert!((chip.pll.vco_min.0..=chip.pll.vco_max.0).contains(&pll.vco().0), "{}: {clock}: {pll:?}", chip.name);
            }
        }
    }

    #[test]
    fn the_ends_of_captured_ramps_come_out_bit_by_bit() {
        for (chip, clock, word) in [
            (&BM1362, 56.25, 0x40a2_0255),
            (&BM1362, 525.0, 0x40a8_0230),
            (&BM1370, 56.25, 0x40a2_0255),
            (&BM1370, 525.0, 0x40a8_0230),
            (&BM1370, 600.0, 0x50c0_0230),
            (&BM1387, 650.0, 0x0068_0221),
            (&BM1387, 250.0, 0x0050_0241),
            (&BM1397, 425.0, 0x4044_0221),
        ] {
            let pll = Pll::solve(Megahertz(clock), &chip.pll).expect("solvable");
            assert_eq!(pll.to_register(chip.pll.form), word, "{} {clock}", chip.name);
        }
    }

    #[test]
    fn clocks_that_cannot_be_are_refused() {
        for clock in [0.0, -5.0, 1.0, 1e9, f64::NAN, f64::INFINITY] {
            assert_eq!(Pll::solve(Megahertz(clock), &BM1362.pll), None, "{clock}");
        }
    }
}
