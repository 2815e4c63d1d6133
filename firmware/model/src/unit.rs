//! Units as types, so that a voltage cannot be handed where a frequency is wanted. Only physical arithmetic exists.

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $suffix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl $name {
            /// The larger of two; a value that is no number loses.
            #[must_use]
            pub fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }
            /// The smaller of two; a value that is no number loses.
            #[must_use]
            pub fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }
        }
        impl std::ops::Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl std::ops::Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl std::ops::Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match f.precision() {
                    Some(p) => write!(f, "{:.p$}{}", self.0, $suffix),
                    None => write!(f, "{}{}", self.0, $suffix),
                }
            }
        }
    };
}

unit!(
    /// A temperature in degrees Celsius.
    Celsius, " °C"
);
unit!(
    /// An electric potential in volts.
    Volt, " V"
);
unit!(
    /// An electric current in amperes.
    Ampere, " A"
);
unit!(
    /// A power in watts.
    Watt, " W"
);
unit!(
    /// A clock in megahertz.
    Megahertz, " MHz"
);
unit!(
    /// A rotation speed in turns a minute.
    Rpm, " rpm"
);
unit!(
    /// A share of the whole, 0 to 100.
    Percent, " %"
);
unit!(
    /// Hashes a second.
    Hashrate, " H/s"
);
unit!(
    /// Energy for 10^12 hashes, in joules.
    JoulePerTerahash, " J/TH"
);

impl std::ops::Mul<Ampere> for Volt {
    type Output = Watt;
    fn mul(self, current: Ampere) -> Watt {
        Watt(self.0 * current.0)
    }
}

/// A line rate in bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Baud(pub u32);

impl Watt {
    /// What each 10^12 hashes cost at this power; nothing gives a value without end.
    #[must_use]
    pub fn per(self, rate: Hashrate) -> JoulePerTerahash {
        JoulePerTerahash(self.0 / (rate.0 / 1e12))
    }
}
