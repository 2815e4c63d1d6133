//! The section `cooling`: what was said of it, with its places, and what a product makes of it.
//!
//! Whether a product allows it can only be told where the product is known: [`Cooling::of`]. Not here: what is done with it (`control`).

use super::{Place, Problem};
use crate::{Celsius, CoolingMode, Limits};

/// How hashboards are cooled, as a person wants it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cooling {
    /// Who turns the fans.
    pub mode: CoolingMode,
    /// Chip temperature that the fans hold, and where it was said.
    pub target: Option<(Celsius, Place)>,
    /// Chip temperature that throttles, and where it was said.
    pub hot: Option<(Celsius, Place)>,
    /// Chip temperature that cuts the power, and where it was said.
    pub danger: Option<(Celsius, Place)>,
    /// Where the section was said.
    pub place: Place,
}

impl Cooling {
    /// What it means for a product with these limits.
    ///
    /// # Errors
    /// It goes beyond them, with its place.
    pub fn of(&self, product: &str, limits: &Limits) -> Result<crate::Cooling, Problem> {
        let celsius = |said: Option<(Celsius, Place)>| said.map(|(c, _)| c);
        let cooling = crate::Cooling {
            mode: self.mode,
            target: celsius(self.target),
            hot: celsius(self.hot),
            danger: celsius(self.danger),
        };
        cooling.check(limits).map_err(|e| {
            let key = [("target", self.target), ("hot", self.hot), ("danger", self.danger)];
            let said = key.into_iter().find(|(k, _)| *k == e.key()).and_then(|(_, said)| said);
            // A key that was left out is wrong by one that was not: then the section is the place.
            said.map_or(self.place, |(_, place)| place).problem(format!("'cooling.{}' of {product}: {e}", e.key()))
        })?;
        Ok(cooling)
    }
}
