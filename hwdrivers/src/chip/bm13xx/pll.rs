//! The clock: f = 25 MHz · FB ÷ (REF · PD1 · PD2). The search follows the vendor's own order (lowest PD2, then lowest PD1), so
//! that its published results come out bit by bit. Not here: the ramp.

use model::Megahertz;

/// The crystal on every board of the family.
pub const CRYSTAL: Megahertz = Megahertz(25.0);
/// From here on bit 28 selects the oscillator's upper band.
const UPPER_BAND_MHZ: f64 = 2400.0;
/// Post dividers have three bits and hold divider − 1, and the vendor's solver stays below the last.
const POST_DIVIDER_MAX: u32 = 7;

/// What a chip's oscillator can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PllLimits {
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

    /// The register of BM1362 and later, which hold divider − 1.
    #[must_use]
    pub fn to_register(&self) -> u32 {
        let top = if self.vco().0 >= UPPER_BAND_MHZ { 0x5000_0000 } else { 0x4000_0000 };
        top | self.feedback << 16 | self.reference << 8 | (self.post1 - 1) << 4 | (self.post2 - 1)
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
            assert_eq!(pll.to_register(), register, "{register:08x}");
        }
        assert_eq!(Pll::from_register(0), None);
    }

    #[test]
    fn the_search_finds_what_the_factory_found() {
        let bm1368 = PllLimits { feedback_min: 144, feedback_max: 235, vco_min: Megahertz(2000.0), vco_max: Megahertz(2950.0) };
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
    fn every_step_of_the_ramp_is_exact_and_within_the_chip() {
        for step in 8..=104 {
            let clock = Megahertz(f64::from(step) * 6.25);
            let pll = Pll::solve(clock, &BM1362.pll).expect("solvable");
            assert!((pll.clock().0 - clock.0).abs() < 1e-6, "{clock}: {pll:?}");
            assert!((2000.0..=3200.0).contains(&pll.vco().0), "{clock}: {pll:?}");
        }
    }

    #[test]
    fn clocks_that_cannot_be_are_refused() {
        for clock in [0.0, -5.0, 1.0, 1e9, f64::NAN, f64::INFINITY] {
            assert_eq!(Pll::solve(Megahertz(clock), &BM1362.pll), None, "{clock}");
        }
    }
}
