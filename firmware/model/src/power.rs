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

/// What a machine is to do, at what time of the day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PowerPlan {
    /// What it is tuned for outside of all hours below; `None` leaves it as the factory meant it.
    pub aim: Option<Aim>,
    /// Times of the day that differ; the first that matches counts.
    pub hours: Vec<Hours>,
    /// What local clocks are ahead of UTC, in minutes.
    pub ahead_minutes: i16,
}

/// A time of each day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hours {
    /// Its first minute of the day.
    pub from: u16,
    /// The minute after its last; one that is not after `from` is of the next day.
    pub to: u16,
    /// What is done meanwhile.
    pub task: Task,
}

/// What a machine is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    /// Hash, as well as this asks for.
    Aim(Option<Aim>),
    /// Take as little power as can be had without a new start.
    Pause,
}

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;
/// A clock before 2024 was never set: boards without a battery start in 1970.
const CLOCK_SET: u64 = 1_704_067_200;

impl PowerPlan {
    /// What is to be done at this second of Unix time; without a clock that was ever set, no hours count.
    #[must_use]
    pub fn task(&self, unix: Option<u64>) -> Task {
        let minute = unix.filter(|u| *u >= CLOCK_SET).map(|u| self.minute(u));
        let hours = minute.and_then(|m| self.hours.iter().find(|s| s.holds(m)));
        hours.map_or(Task::Aim(self.aim), |s| s.task)
    }

    fn minute(&self, unix: u64) -> u16 {
        let local = (unix / 60).saturating_add_signed(i64::from(self.ahead_minutes));
        u16::try_from(local % u64::from(DAY_MINUTES)).expect("below the minutes of a day")
    }
}

impl Hours {
    fn holds(self, minute: u16) -> bool {
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
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
    #[test]
    fn the_time_of_day_picks_its_task_over_midnight_and_beyond_utc() {
        let night = Hours { from: 22 * 60, to: 6 * 60, task: Task::Pause };
        let noon = Hours { from: 12 * 60, to: 13 * 60, task: Task::Aim(Some(Aim::Power(Watt(2000.0)))) };
        let plan = PowerPlan { aim: None, hours: vec![night, noon], ahead_minutes: 120 };
        let day = 1_767_225_600; // 2026-01-01 00:00 UTC
        let usual = Task::Aim(None);
        for (utc_minute, task) in [
            (0, Task::Pause),
            (3 * 60 + 59, Task::Pause),
            (4 * 60, usual),
            (10 * 60 - 1, usual),
            (10 * 60, noon.task),
            (11 * 60, usual),
            (19 * 60 + 59, usual),
            (20 * 60, Task::Pause),
            (23 * 60 + 59, Task::Pause),
        ] {
            assert_eq!(plan.task(Some(day + utc_minute * 60)), task, "{utc_minute}");
        }
        assert_eq!(plan.task(Some(0)), usual, "a clock that was never set");
        assert_eq!(plan.task(None), usual);
        let west = PowerPlan { ahead_minutes: -11 * 60, ..plan };
        assert_eq!(west.task(Some(day + 9 * 3600)), Task::Pause, "22:00 of the day before");
        let whole = PowerPlan { hours: vec![Hours { from: 0, to: 0, task: Task::Pause }], ..west };
        assert_eq!(whole.task(Some(day)), Task::Pause);
    }

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
