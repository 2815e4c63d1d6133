//! What hash power costs: what a person aims at, and what a tuned machine was found to do.
//!
//! Not here: how the aim is met (`control::tuning`), and the file that a [`Profile`] is kept in (the supervisor).

use crate::{Hashrate, JoulePerTerahash, Limits, Megahertz, Product, Volt, Watt};
use serde::{Deserialize, Serialize};

/// What a machine is tuned for, as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// As many hashes as this power gives.
    Power(Watt),
    /// These hashes with as little power as they need.
    Rate(Hashrate),
    /// As many hashes as can be had at no more than this for each.
    Efficiency(JoulePerTerahash),
}

impl std::fmt::Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Aim::Power(w) => write!(f, "{w}"),
            Aim::Rate(r) => write!(f, "{} TH/s", r.0 / 1e12),
            Aim::Efficiency(e) => write!(f, "{e}"),
        }
    }
}

/// What a machine was found to do, so that it need not be found again after each start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The product that it was found on.
    pub product: String,
    /// What it was tuned for, in words; another aim is tuned anew.
    pub aim: String,
    /// One a chain, chain 0 first; `None` where that chain was not tuned.
    pub chains: Vec<Option<ChainProfile>>,
}

/// One chain of a [`Profile`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainProfile {
    /// Its rail.
    pub rail: Volt,
    /// The clock of the chips that no weakness holds back.
    pub level: Megahertz,
    /// What each chip bears at that rail, nearest the controller first; the level or more where nothing was found against it.
    pub ceilings: Vec<Megahertz>,
    /// What it takes.
    pub watt: Watt,
    /// What it gives.
    pub rate: Hashrate,
}

/// Why a profile is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// It was found on another product.
    #[error("it is of a {0:?}, not of this machine")]
    Foreign(String),
    /// It has another number of chains.
    #[error("it has {found} chains where this machine has {has}")]
    Chains {
        /// What it says.
        found: usize,
        /// What is there.
        has: usize,
    },
    /// A chain has another number of chips.
    #[error("its chain {chain} has {found} chips where this machine's has {has}")]
    Chips {
        /// Which chain.
        chain: usize,
        /// What it says.
        found: usize,
        /// What is there.
        has: usize,
    },
    /// A number that the board's limits forbid.
    #[error("its chain {chain} has {what}, which the board's limits forbid")]
    Limits {
        /// Which chain.
        chain: usize,
        /// Of what.
        what: String,
    },
}

impl Profile {
    /// Whether it may be used on this machine.
    ///
    /// # Errors
    /// What forbids it.
    pub fn check(&self, product: &Product) -> Result<(), ProfileError> {
        if self.product != product.name {
            return Err(ProfileError::Foreign(self.product.chars().take(64).collect()));
        }
        let (found, has) = (self.chains.len(), product.hashboards.len());
        if found != has {
            return Err(ProfileError::Chains { found, has });
        }
        for (chain, (kept, board)) in self.chains.iter().zip(product.hashboards).enumerate() {
            let Some(kept) = kept else { continue };
            let (found, has) = (kept.ceilings.len(), usize::from(board.chain.chips));
            if found != has {
                return Err(ProfileError::Chips { chain, found, has });
            }
            kept.check(&product.limits).map_err(|what| ProfileError::Limits { chain, what })?;
        }
        Ok(())
    }
}

impl ChainProfile {
    fn check(&self, limits: &Limits) -> Result<(), String> {
        let rail = limits.rail_min.0..=limits.rail_nominal.0;
        let clock = limits.clock_min.0..=limits.clock_max.0;
        if !rail.contains(&self.rail.0) {
            return Err(format!("a rail of {}", self.rail));
        }
        match std::iter::once(&self.level).chain(&self.ceilings).find(|c| !clock.contains(&c.0)) {
            Some(wrong) => Err(format!("a clock of {wrong}")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn chain() -> ChainProfile {
        let ceilings = vec![Megahertz(600.0), Megahertz(450.0)];
        ChainProfile { rail: Volt(12.0), level: Megahertz(500.0), ceilings, watt: Watt(900.0), rate: Hashrate(33e12) }
    }

    fn profile(chain: ChainProfile) -> Profile {
        Profile { product: "test".into(), aim: "3000 W".into(), chains: vec![Some(chain), None] }
    }

    #[test]
    fn a_profile_survives_its_text_and_other_keys_do_not() {
        let text = serde_json::to_string(&profile(chain())).expect("numbers and words");
        assert_eq!(serde_json::from_str::<Profile>(&text).expect("its own text"), profile(chain()));
        assert!(serde_json::from_str::<Profile>(&text.replace("aim", "ami")).is_err());
        assert!(serde_json::from_str::<Profile>(&text[..text.len() / 2]).is_err());
    }
}
