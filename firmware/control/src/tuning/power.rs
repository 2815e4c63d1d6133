//! What a chain takes and gives at its clocks and rail, as far as can be told, and the clocks that meet an aim.
//!
//! P = board + c·f·V² a chip, with the c that gives the product's power at its nominal clock and rail, corrected by what is measured where a part measures it. Not here: which
//! clocks chips bear (`judge`, `chain`).

use super::STEP;
use model::{Aim, Hashrate, Limits, Megahertz, Product, Volt, Watt};

/// What a board's regulators and level shifters take: 50 W a chain (asic.md A15) [1]. A board of few chips, as a Bitaxe is,
/// has its regulator's loss in the chip's own number.
const BOARD: Watt = Watt(50.0);
const FEW_CHIPS: u32 = 16;
/// A measurement counts against the estimate within this factor; beyond it the part that measures is taken to be wrong.
const CORRECTION: std::ops::RangeInclusive<f64> = 0.6..=1.6;

/// The model of one chain.
#[derive(Clone, Copy, Debug)]
pub struct PowerModel {
    /// Watts for each MHz and V² of the rail, one chip.
    switching: f64,
    board: Watt,
    correction: f64,
    /// Hashes that one chip makes a clock.
    cores: f64,
}

/// What clocks make of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yield {
    /// What it takes.
    pub watt: Watt,
    /// What it gives.
    pub rate: Hashrate,
}

/// Clocks that were looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filled {
    /// The clock of chips that no ceiling holds back.
    pub level: Megahertz,
    /// Whether they meet the aim.
    pub meets: bool,
    /// What they make.
    pub gives: Yield,
}

impl PowerModel {
    /// The model of one of a product's chains, whose chips make so many hashes a clock.
    #[must_use]
    pub fn new(product: &Product, cores: u32) -> PowerModel {
        let (chips, boards, l) = (product.chips(), product.hashboards.len(), product.limits);
        let many = chips >= FEW_CHIPS * boards as u32;
        let board = if many { BOARD } else { Watt(0.0) };
        let all = f64::from(chips.max(1)) * l.clock_nominal.0 * l.rail_nominal.0 * l.rail_nominal.0;
        let switching = (product.power.0 - board.0 * boards as f64).max(0.0) / all;
        PowerModel { switching, board, correction: 1.0, cores: f64::from(cores) }
    }

    /// What chips of these clocks take and give; `well` is the part of their nonces that is right.
    #[must_use]
    pub fn of(&self, rail: Volt, clocks: impl Iterator<Item = Megahertz>, well: f64) -> Yield {
        let sum = clocks.fold(0.0, |sum, c| sum + c.0);
        let watt = (self.switching * sum * rail.0 * rail.0 + self.board.0) * self.correction;
        Yield { watt: Watt(watt), rate: Hashrate(sum * 1e6 * self.cores * well) }
    }

    /// A part measured what the model takes to be `estimated`.
    pub fn measured(&mut self, estimated: Watt, measured: Watt) {
        let raw = estimated.0 / self.correction;
        if raw > 0.0 && CORRECTION.contains(&(measured.0 / raw)) {
            self.correction = measured.0 / raw;
        }
    }

    /// The level that meets `aim` at this rail, below these ceilings and within `most`. Without an aim it is the nominal clock.
    #[must_use]
    pub fn fill(
        &self,
        aim: Option<Aim>,
        most: Option<Watt>,
        limits: &Limits,
        rail: Volt,
        ceilings: &[Megahertz],
        well: f64,
    ) -> Filled {
        let at = |level: Megahertz| self.of(rail, ceilings.iter().map(|c| level.min(*c)), well);
        let clocks: Vec<Megahertz> = grid(limits).collect();
        let fits = |level: &Megahertz| most.is_none_or(|m| at(*level).watt <= m);
        let found = match aim {
            None => Some(limits.clock_nominal),
            Some(Aim::Power(watt)) => clocks.iter().rev().copied().find(|c| at(*c).watt <= watt),
            Some(Aim::Rate(rate)) => clocks.iter().copied().find(|c| at(*c).rate >= rate),
            Some(Aim::Efficiency(e)) => clocks.iter().rev().copied().find(|c| at(*c).watt.per(at(*c).rate) <= e),
        };
        // What no clock meets is come as near to as can be.
        let best = found.unwrap_or_else(|| match aim {
            None | Some(Aim::Power(_)) => limits.clock_min,
            Some(Aim::Rate(_) | Aim::Efficiency(_)) => clocks.last().copied().unwrap_or(limits.clock_nominal),
        });
        let level =
            if fits(&best) { best } else { clocks.iter().rev().copied().find(fits).unwrap_or(limits.clock_min).min(best) };
        Filled { level, meets: found == Some(level), gives: at(level) }
    }
}

/// The clocks that chips are tuned to: steps from the nominal one, and the lowest there is.
fn grid(limits: &Limits) -> impl Iterator<Item = Megahertz> {
    let (low, nominal, high) = (limits.clock_min.0, limits.clock_nominal.0, limits.clock_max.0);
    let below = ((nominal - low) / STEP.0).floor().max(0.0) as i32;
    let above = ((high - nominal) / STEP.0).floor().max(0.0) as i32;
    let steps = (-below..=above).map(move |n| Megahertz(nominal + f64::from(n) * STEP.0));
    std::iter::once(limits.clock_min).chain(steps.filter(move |c| c.0 > low && c.0 <= high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LIMITS, PRODUCT};
    use model::{ChainLayout, Hashboard, JoulePerTerahash};

    fn model() -> PowerModel {
        PowerModel { switching: 8e-5, board: Watt(50.0), correction: 1.0, cores: 500.0 }
    }

    const FREE: [Megahertz; 100] = [LIMITS.clock_max; 100];
    const RAIL: Volt = Volt(13.0);

    #[test]
    fn the_sum_is_the_documented_one() {
        let y = model().of(RAIL, [Megahertz(500.0); 100].into_iter(), 0.5);
        assert!((y.watt.0 - (8e-5 * 500.0 * 169.0 * 100.0 + 50.0)).abs() < 1e-9, "{y:?}");
        assert!((y.rate.0 - 12.5e12).abs() < 1.0, "{y:?}");
        let nominal = |p: &Product| {
            let clocks = std::iter::repeat_n(LIMITS.clock_nominal, p.chips() as usize / p.hashboards.len());
            PowerModel::new(p, 1).of(LIMITS.rail_nominal, clocks, 1.0).watt * p.hashboards.len() as f64
        };
        assert!((nominal(&PRODUCT).0 - PRODUCT.power.0).abs() < 1e-6, "few chips");
        const MANY: Hashboard =
            Hashboard { chain: ChainLayout { chips: 100, ..PRODUCT.hashboards[0].chain }, ..PRODUCT.hashboards[0] };
        let many = Product { hashboards: &[MANY, MANY], ..PRODUCT };
        assert!((nominal(&many).0 - many.power.0).abs() < 1e-6, "many");
    }

    #[test]
    fn each_aim_is_met_and_no_more() {
        let fill = |aim, most, rail| model().fill(aim, most, &LIMITS, rail, &FREE, 1.0);
        assert_eq!(fill(None, None, RAIL).level, LIMITS.clock_nominal);
        let watt = fill(Some(Aim::Power(Watt(600.0))), None, RAIL);
        assert!(watt.meets && watt.gives.watt <= Watt(600.0) && watt.gives.watt > Watt(590.0), "{watt:?}");
        let rate = fill(Some(Aim::Rate(Hashrate(20e12))), None, RAIL);
        assert!(rate.meets && rate.gives.rate >= Hashrate(20e12) && rate.gives.rate < Hashrate(20.4e12), "{rate:?}");
        let e = JoulePerTerahash(24.0);
        assert!(!fill(Some(Aim::Efficiency(e)), None, RAIL).meets);
        let frugal = fill(Some(Aim::Efficiency(e)), None, Volt(11.5));
        assert!(frugal.meets && frugal.gives.watt.per(frugal.gives.rate) <= e && frugal.level > Megahertz(590.0), "{frugal:?}");
    }

    #[test]
    fn what_cannot_be_met_stays_within_the_limits_and_says_so() {
        let fill = |aim| model().fill(Some(aim), None, &LIMITS, RAIL, &FREE, 1.0);
        let much = fill(Aim::Rate(Hashrate(1e15)));
        assert!(!much.meets && much.level <= LIMITS.clock_max && much.level > Megahertz(593.0), "{much:?}");
        let little = fill(Aim::Power(Watt(1.0)));
        assert_eq!((little.meets, little.level), (false, LIMITS.clock_min));
        let capped = model().fill(Some(Aim::Rate(Hashrate(25e12))), Some(Watt(500.0)), &LIMITS, RAIL, &FREE, 1.0);
        assert!(!capped.meets && capped.gives.watt <= Watt(500.0), "{capped:?}");
    }

    #[test]
    fn ceilings_of_weak_chips_are_made_up_by_the_others() {
        let mut ceilings = FREE;
        ceilings[..20].fill(Megahertz(400.0));
        let aim = Some(Aim::Rate(Hashrate(25e12)));
        let f = model().fill(aim, None, &LIMITS, RAIL, &ceilings, 1.0);
        assert!(f.meets && f.level > LIMITS.clock_nominal, "{f:?}");
    }

    #[test]
    fn a_measurement_corrects_and_nonsense_does_not() {
        let mut m = model();
        let at = |m: &PowerModel| m.of(RAIL, [Megahertz(500.0); 100].into_iter(), 1.0).watt;
        let estimated = at(&m);
        m.measured(estimated, estimated * 1.1);
        assert!((at(&m).0 / estimated.0 - 1.1).abs() < 1e-9);
        let again = at(&m);
        m.measured(again, again);
        assert!((at(&m).0 - again.0).abs() < 1e-9, "a right model stays");
        m.measured(again, Watt(0.0));
        m.measured(again, Watt(f64::NAN));
        assert!((at(&m).0 - again.0).abs() < 1e-9);
    }
}
