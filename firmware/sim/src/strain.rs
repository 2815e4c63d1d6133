//! What chips bear: how fast they can be clocked at a rail and a heat before their nonces are wrong, and the heat that ends them.
//!
//! The shape is known (speed rises with the rail and falls with heat), the numbers are no chip's own: a board's limits lie well
//! within them, so that a firmware which keeps to its board never meets them. Not here: who counts the errors.

use model::{Celsius, Limits, Megahertz, Volt};

/// Chips that were this hot once never answer again.
pub const BURNT: Celsius = Celsius(150.0);
/// The highest clock without an error, against the board's own limit, at the nominal rail and this heat.
const MARGIN: f64 = 1.1376;
const HEAT: Celsius = Celsius(80.0);
/// What of it is lost with each degree above.
const LOST_A_DEGREE: f64 = 0.001;
/// How far above it, as a part of it, every nonce is wrong.
const ALL_WRONG: f64 = 0.2;

/// How many of a thousand nonces are wrong, of chips that bear this part of what chips usually do.
#[must_use]
pub fn wrong_permille(limits: &Limits, clock: Megahertz, rail: Volt, chip: Celsius, quality: f64) -> u16 {
    if clock.0 <= 0.0 || rail.0 <= 0.0 {
        return 0;
    }
    let cooler = (1.0 - LOST_A_DEGREE * (chip.0 - HEAT.0).max(0.0)).max(0.1);
    let borne = quality * MARGIN * limits.clock_max.0 * rail.0 / limits.rail_nominal.0 * cooler;
    let beyond = clock.0 / borne - 1.0;
    (beyond / ALL_WRONG * 1000.0).clamp(0.0, 1000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boards_own_limits_are_borne_and_more_is_not() {
        for p in board::PRODUCTS {
            let l = p.limits;
            assert_eq!(wrong_permille(&l, l.clock_max, l.rail_nominal, l.danger, 1.0), 0, "{}", p.name);
            assert!(l.danger.0 + 20.0 < BURNT.0, "{}", p.name);
        }
        let l = board::antminer_s19jpro::PRODUCT.limits;
        let wrong = |clock, rail, chip| wrong_permille(&l, Megahertz(clock), Volt(rail), Celsius(chip), 1.0);
        assert_eq!(wrong(0.0, 13.2, 80.0), 0);
        assert_eq!((wrong(525.0, 12.0, 80.0), wrong(620.0, 13.2, 40.0)), (0, 0));
        assert!((490..=510).contains(&wrong(682.0, 13.2, 80.0)));
        assert!(wrong(620.0, 13.2, 100.0) > 0 && wrong(620.0, 12.0, 80.0) > 400);
        assert_eq!(wrong(900.0, 13.2, 80.0), 1000);
    }
}
