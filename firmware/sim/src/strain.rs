//! What chips bear: how much of their work is lost at a clock, a voltage and a heat, and the heat that ends them.
//!
//! The shape is that of a factory's sweep of a real S21 board: a loss of 5 in 10,000 whatever the clock, doubling every 20 MHz
//! above a knee. That the knee rises with the voltage and falls with heat is known, how much is inferred. Not here: who counts.

use model::{Celsius, Megahertz, Volt};

/// Chips that were this hot once never answer again.
pub const BURNT: Celsius = Celsius(150.0);
/// What is lost at any clock: nonces that never come.
pub const FLAT_LOSS: f64 = 5e-4;
/// So much more clock doubles the loss.
const DOUBLES: Megahertz = Megahertz(20.0);
/// Chips of the sweep had about this heat; what of the knee is lost with each degree above.
const HEAT: Celsius = Celsius(65.0);
const LOST_A_DEGREE: f64 = 0.001;

/// Up to where a chip loses no more than always.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bears {
    /// MHz.
    pub knee: f64,
    /// Volts across one chip, at which the knee is there.
    pub volt: f64,
    /// Below this the chip is off.
    pub least_volt: f64,
}

impl Bears {
    /// The part of its work that a chip loses, 0 to 1; `quality` is its own part of the usual knee. What is above
    /// [`FLAT_LOSS`] comes as wrong nonces.
    #[must_use]
    pub fn loss(&self, clock: Megahertz, chip: Volt, heat: Celsius, quality: f64) -> f64 {
        let cooler = (1.0 - LOST_A_DEGREE * (heat.0 - HEAT.0).max(0.0)).max(0.1);
        let knee = quality * self.knee * chip.0 / self.volt * cooler;
        let above = (clock.0 - knee).max(0.0);
        (FLAT_LOSS * (above / DOUBLES.0).exp2()).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S21: Bears = Bears { knee: 455.0, volt: 13.6 / 12.0, least_volt: 0.9 };

    #[test]
    fn the_loss_is_that_of_the_factorys_sweep() {
        for (clock, good) in [
            (400.0, 0.99951),
            (425.0, 0.99952),
            (450.0, 0.99946),
            (456.0, 0.99944),
            (463.0, 0.9994),
            (469.0, 0.99928),
            (475.0, 0.99911),
        ] {
            let loss = S21.loss(Megahertz(clock), Volt(S21.volt), Celsius(63.0), 1.0);
            assert!((loss - (1.0 - good)).abs() < 1.5e-4, "{clock} MHz: {loss}");
        }
    }

    #[test]
    fn less_voltage_more_heat_and_worse_chips_lose_more() {
        let loss = |clock, part: f64, heat, quality| S21.loss(Megahertz(clock), Volt(S21.volt * part), Celsius(heat), quality);
        let usual = loss(475.0, 1.0, 60.0, 1.0);
        assert!(loss(475.0, 0.95, 60.0, 1.0) > 2.0 * usual);
        assert!(loss(475.0, 1.0, 90.0, 1.0) > 1.3 * usual);
        assert!(loss(475.0, 1.0, 60.0, 0.95) > 2.0 * usual);
        assert!(loss(475.0, 1.1, 60.0, 1.0) <= FLAT_LOSS);
        assert!((loss(900.0, 1.0, 60.0, 1.0) - 1.0).abs() < 1e-12);
    }
}
