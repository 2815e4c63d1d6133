//! What a product needs beyond the limits of its chips: bounds of other places, how fast it warms, how it likes to start.
//!
//! Data of a board with a usual value for each field, so that a board names only what is its own. Not here: what is done about it
//! (`control`).

use crate::{Ampere, Celsius, Limits, Megahertz, Volt, Watt};
use std::time::Duration;

/// The temperatures of one place that is no chip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Throttles and sets fans full.
    pub hot: Celsius,
    /// Cuts the power within a second.
    pub danger: Celsius,
    /// Below it hashing may start again.
    pub resume: Celsius,
}

/// A start at a low clock, for chips that hash badly while they are cold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preheat {
    /// The clock meanwhile.
    pub clock: Megahertz,
    /// Its end by temperature of the chips.
    pub until: Celsius,
    /// Its end by time, whatever the temperature.
    pub limit: Duration,
}

/// What a product needs beyond the limits of its chips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Care {
    /// How far a board warms in a second at most, were its fans to stop: a reading that is not renewed is taken to be worse by it.
    pub slope: Celsius,
    /// Bounds of the rail's regulator.
    pub regulator: Bounds,
    /// Bounds of the control board.
    pub control_board: Bounds,
    /// Bounds of the supply.
    pub supply: Bounds,
    /// Lowest voltage at the supply's (or the regulator's) input; below it the load is taken away before the part latches.
    pub input_min: Option<Volt>,
    /// A start at a low clock.
    pub preheat: Option<Preheat>,
}

impl Care {
    /// Where a board says nothing else. Chips rise by half a degree a second after their start (S21 factory log). Regulators are
    /// stopped at 105 °C and start again below 95 (ESP-Miner). A control board takes what thermal guides give for boards: 75, 85
    /// and 20 below. Supplies publish no figures: ours are those of a control board [?].
    pub const USUAL: Care = Care {
        slope: Celsius(0.5),
        regulator: Bounds { hot: Celsius(98.0), danger: Celsius(105.0), resume: Celsius(95.0) },
        control_board: Bounds { hot: Celsius(75.0), danger: Celsius(85.0), resume: Celsius(65.0) },
        supply: Bounds { hot: Celsius(75.0), danger: Celsius(85.0), resume: Celsius(65.0) },
        input_min: None,
        preheat: None,
    };
}

/// What a regulator or a supply measured; `None` for what it has no means to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// At its output.
    pub volt: Option<Volt>,
    /// Out of it.
    pub ampere: Option<Ampere>,
    /// Out of it.
    pub watt: Option<Watt>,
    /// Of itself.
    pub celsius: Option<Celsius>,
    /// At its input.
    pub input: Option<Volt>,
}

/// How a person wants a machine cooled. It can only tighten what the board says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cooling {
    /// Who turns the fans.
    pub mode: CoolingMode,
    /// Chip temperature that the fans hold.
    pub target: Option<Celsius>,
    /// Chip temperature that throttles.
    pub hot: Option<Celsius>,
    /// Chip temperature that cuts the power.
    pub danger: Option<Celsius>,
}

/// Who turns the fans.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum CoolingMode {
    /// The controller holds the target.
    #[default]
    Auto,
    /// They turn at this duty (percent) as long as nothing is hot; every limit holds.
    Manual(u8),
    /// There is no air: fans need not turn. Every temperature's limit holds.
    Immersion,
}

/// A wish that goes beyond what a board allows.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CoolingError {
    /// Settings only tighten.
    #[error("{said} is above the {key} limit of this product, {limit}; a setting can only lower it")]
    Loosens {
        /// Which key.
        key: &'static str,
        /// What it says.
        said: Celsius,
        /// What the board says.
        limit: Celsius,
    },
    /// Target, hot and danger come in this order, with room between.
    #[error("{said} leaves less than {APART} below '{above}', which is {limit}")]
    Order {
        /// Which key.
        key: &'static str,
        /// What it says.
        said: Celsius,
        /// The key above it.
        above: &'static str,
        /// What that is.
        limit: Celsius,
    },
}

impl CoolingError {
    /// Which key is wrong.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            CoolingError::Loosens { key, .. } | CoolingError::Order { key, .. } => key,
        }
    }
}

/// Least room between target, hot and danger: what a fan loop swings.
const APART: Celsius = Celsius(2.0);

impl Cooling {
    /// Whether a board allows it.
    ///
    /// # Errors
    /// The first key that does not fit.
    pub fn check(&self, limits: &Limits) -> Result<(), CoolingError> {
        let said =
            [("target", self.target, limits.target), ("hot", self.hot, limits.hot), ("danger", self.danger, limits.danger)];
        for (key, said, limit) in said {
            if let Some(said) = said.filter(|s| *s > limit) {
                return Err(CoolingError::Loosens { key, said, limit });
            }
        }
        let t = self.tighten(*limits);
        let pairs = [("target", t.target, "hot", t.hot), ("hot", t.hot, "danger", t.danger)];
        for (key, said, above, limit) in pairs {
            if said + APART > limit {
                return Err(CoolingError::Order { key, said, above, limit });
            }
        }
        Ok(())
    }

    /// The limits of a board, tightened: whatever stands here, nothing gets looser. What follows a limit moves with it.
    #[must_use]
    pub fn tighten(&self, limits: Limits) -> Limits {
        let lower = |limit: Celsius, said: Option<Celsius>| said.map_or(limit, |s| limit.min(s));
        let danger = lower(limits.danger, self.danger);
        let hot = lower(limits.hot, self.hot);
        Limits {
            danger,
            hot,
            target: lower(limits.target, self.target),
            resume: limits.resume - (limits.danger - danger).max(limits.hot - hot),
            ..limits
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Percent, Rpm};

    const LIMITS: Limits = Limits {
        target: Celsius(70.0),
        hot: Celsius(90.0),
        danger: Celsius(105.0),
        resume: Celsius(80.0),
        chip_over_board: Celsius(15.0),
        clock_min: Megahertz(50.0),
        clock_nominal: Megahertz(500.0),
        clock_max: Megahertz(545.0),
        supply: Volt(15.0),
        rail_min: Volt(12.4),
        rail_start: Volt(15.0),
        rail_nominal: Volt(13.2),
        rail_max: Volt(15.0),
        duty_min: Percent(20.0),
        fan_full: Rpm(6000.0),
        fans_min: 3,
        power_max: Watt(3600.0),
        reading_age_max: Duration::from_secs(5),
        care: Care::USUAL,
    };

    #[test]
    fn settings_only_tighten_and_a_refusal_names_the_limit() {
        // target, hot, danger; then the key that is refused.
        for (target, hot, danger, refused) in [
            (None, None, None, None),
            (Some(60.0), Some(80.0), Some(95.0), None),
            (Some(70.0), Some(90.0), Some(105.0), None),
            (Some(70.1), None, None, Some("target")),
            (None, Some(91.0), None, Some("hot")),
            (None, None, Some(106.0), Some("danger")),
            (None, None, Some(91.0), Some("hot")),
            (None, Some(71.0), None, Some("target")),
        ] {
            let c = |v: Option<f64>| v.map(Celsius);
            let cooling = Cooling { mode: CoolingMode::Auto, target: c(target), hot: c(hot), danger: c(danger) };
            let got = cooling.check(&LIMITS);
            assert_eq!(got.err().map(|e| e.key()), refused, "{cooling:?}");
            let t = cooling.tighten(LIMITS);
            assert!(t.target <= LIMITS.target && t.hot <= LIMITS.hot && t.danger <= LIMITS.danger && t.resume <= LIMITS.resume);
        }
        let e = Cooling { danger: Some(Celsius(110.0)), ..Cooling::default() }.check(&LIMITS).expect_err("too high");
        assert_eq!(e.to_string(), "110 °C is above the danger limit of this product, 105 °C; a setting can only lower it");
        let lower = Cooling { danger: Some(Celsius(95.0)), ..Cooling::default() };
        assert_eq!(lower.tighten(LIMITS).resume, Celsius(70.0), "what follows a limit moves with it");
        let nonsense = Cooling { danger: Some(Celsius(f64::NAN)), ..Cooling::default() };
        assert_eq!(nonsense.tighten(LIMITS).danger, LIMITS.danger);
    }
}
