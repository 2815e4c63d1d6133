//! The lowest power for what a machine is aimed at: rail and clock of each chip, found by measuring and never beyond the board's limits.
//!
//! Here the machine's aim becomes each chain's part of it, by the hour and by what heat and supply leave; [`chain`] searches. Pausing is here
//! too: a paused chain keeps its rail, at its lowest clock and without work, and so is back in seconds. Not here: the precedence of
//! heat and start (`brain`), and the file that profiles are kept in (the supervisor).

pub mod chain;
pub mod judge;
pub mod power;
pub mod scaling;

use crate::{ChipCount, Order, faults::Faults};
use chain::{ChainTuner, Circumstance, Phase};
use model::{Aim, ChainId, FaultCode, Hashrate, Megahertz, PausedBy, PowerPlan, Product, Profile, Task, Time, Watt};
use power::Yield;
use scaling::Scaling;
use std::time::Duration;

/// One step of a clock: the grid that all chips of the tables have in common.
pub const STEP: Megahertz = Megahertz(6.25);
/// A chain that has not hashed for so long gives its part of the aim to the others. A restart is over in less.
const GONE: Duration = Duration::from_secs(600);
/// Where faults of the machine's power as a whole are.
const PLACE: &str = "power";

/// What a user asked for beside the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// What the plan says.
    Plan,
    /// To pause.
    Pause,
    /// To go on although the plan pauses, until it does not any more.
    Resume,
}

/// The tuner of one machine.
#[derive(Debug)]
pub struct Tuner {
    product: &'static Product,
    plan: PowerPlan,
    asked: Asked,
    /// Unix time, and when it was that.
    clock: Option<(u64, Time)>,
    chains: Vec<ChainTuner>,
    /// Since when each chain has not hashed.
    gone: Vec<Option<Time>>,
    /// What each chip of each chain was counted to have said.
    heard: Vec<Vec<ChipCount>>,
    scaling: Scaling,
    kept: Option<Profile>,
}

impl Tuner {
    /// A machine that nothing was aimed at; its chips make so many hashes a clock.
    #[must_use]
    pub fn new(now: Time, product: &'static Product, cores: u32) -> Tuner {
        let boards = product.hashboards;
        Tuner {
            product,
            plan: PowerPlan::default(),
            asked: Asked::Plan,
            clock: None,
            chains: (0u8..).zip(boards).map(|(i, _)| ChainTuner::new(ChainId(i), product, cores)).collect(),
            gone: vec![None; boards.len()],
            heard: boards.iter().map(|b| vec![ChipCount::default(); usize::from(b.chain.chips)]).collect(),
            scaling: Scaling::new(now),
            kept: None,
        }
    }

    /// What is aimed at, and when.
    pub fn set(&mut self, plan: PowerPlan) {
        self.plan = plan;
    }

    /// The time on the wall. It may jump: only the newest counts.
    pub fn wall_clock(&mut self, now: Time, unix: u64) {
        self.clock = Some((unix, now));
    }

    /// A user asks for a pause, or for its end.
    pub fn pause(&mut self, paused: bool) {
        self.asked = if paused { Asked::Pause } else { Asked::Resume };
    }

    /// Whether a user asked for a pause, and for nothing else since.
    #[must_use]
    pub fn is_asked_to_pause(&self) -> bool {
        self.asked == Asked::Pause
    }

    /// Whether chains are to keep their rail and do nothing.
    #[must_use]
    pub fn is_paused(&self, now: Time) -> bool {
        self.paused_by(now).is_some()
    }

    /// Who wants that.
    #[must_use]
    pub fn paused_by(&self, now: Time) -> Option<PausedBy> {
        match self.asked {
            Asked::Pause => Some(PausedBy::Person),
            Asked::Resume => None,
            Asked::Plan => (self.task(now) == Task::Pause).then_some(PausedBy::Hours),
        }
    }

    /// A profile was kept. One that cannot be read or is not this machine's is refused.
    pub fn restore(&mut self, kept: Result<Profile, String>, faults: &mut Faults) {
        match kept.and_then(|p| p.check(self.product).map(|()| p).map_err(|e| e.to_string())) {
            Ok(profile) => self.kept = Some(profile),
            Err(why) => faults.raise(FaultCode::ProfileRefused, PLACE, &why),
        }
    }

    /// Each chip of a chain was counted, from the chain's start on.
    pub fn count(&mut self, chain: ChainId, counts: &[ChipCount]) {
        let i = usize::from(chain.0);
        let (Some(tuner), Some(heard)) = (self.chains.get_mut(i), self.heard.get_mut(i)) else { return };
        for (chip, (now, before)) in counts.iter().zip(heard).enumerate() {
            // A smaller count began anew.
            let base = if now.right < before.right || now.wrong < before.wrong { ChipCount::default() } else { *before };
            tuner.count(chip, now.right - base.right, now.wrong - base.wrong);
            *before = *now;
        }
    }

    /// A part measured what all boards, or one of them, take.
    pub fn measured(&mut self, chain: Option<ChainId>, watt: Watt) {
        let all = self.chains.iter().fold(0.0, |sum, c| sum + c.gives().watt.0);
        for (i, c) in self.chains.iter_mut().enumerate() {
            match chain {
                Some(id) if usize::from(id.0) == i => c.measured(watt),
                Some(_) => {}
                None => {
                    let part = c.gives().watt.0 / all.max(1.0);
                    c.measured(watt * part);
                }
            }
        }
    }

    /// The clock that a chain as a whole is to have, as far as heat allows.
    #[must_use]
    pub fn level(&self, chain: usize) -> Option<Megahertz> {
        self.chains.get(chain).map(ChainTuner::level)
    }

    /// What a chain is taken to take and give now.
    #[must_use]
    pub fn gives(&self, chain: usize) -> Option<Yield> {
        self.chains.get(chain).filter(|c| c.phase() != Phase::Cold).map(ChainTuner::gives)
    }

    /// Where a chain's search is; `None` where nothing is aimed at.
    #[must_use]
    pub fn phase(&self, now: Time, chain: usize) -> Option<Phase> {
        let aimed = matches!(self.task(now), Task::Aim(Some(_)));
        self.chains.get(chain).map(ChainTuner::phase).filter(|_| aimed)
    }

    /// Follows each chain, and the time. The aim and the ceiling of each circumstance are filled in here. `trouble` says that
    /// the machine is hot or that its supply sags.
    pub fn tick(&mut self, now: Time, chains: &mut [Circumstance], trouble: bool, faults: &mut Faults, orders: &mut Vec<Order>) {
        if self.asked == Asked::Resume && self.task(now) != Task::Pause {
            self.asked = Asked::Plan;
        }
        let takes = self.chains.iter().map(|c| if c.phase() == Phase::Cold { Watt(0.0) } else { c.gives().watt });
        self.scaling.tick(now, trouble, takes);
        let percent = self.scaling.percent();
        faults.judge(percent > 0, FaultCode::PowerLowered, || (PLACE.to_owned(), format!("by {percent} %")));
        let aim = match self.task(now) {
            Task::Aim(aim) => aim,
            // Nothing is tuned meanwhile; what was found before is gone on with.
            Task::Pause => self.plan.aim,
        };
        for (gone, c) in self.gone.iter_mut().zip(chains.iter()) {
            *gone = if c.hashing { None } else { Some(gone.unwrap_or(now)) };
        }
        let shares = self.shares(now);
        let mut news = false;
        for (i, (tuner, c)) in self.chains.iter_mut().zip(chains).enumerate() {
            c.aim = aim.map(|a| part(a, shares[i]));
            c.most = self.scaling.most(i);
            if tuner.phase() == Phase::Cold
                && let (Some(aim), Some(kept)) = (aim, &self.kept)
                && kept.aim == aim.to_string()
                && let Some(chain) = &kept.chains[i]
                && !tuner.is_known()
            {
                tuner.restore(c.aim, chain);
            }
            tuner.tick(now, c, orders);
            news |= tuner.take_news();
        }
        if let Some(aim) = aim.filter(|_| news) {
            // A chain that is being measured again keeps what it had.
            let kept = self.kept.take().filter(|k| k.aim == aim.to_string());
            let kept = |i: usize| kept.as_ref().and_then(|k| k.chains.get(i).cloned().flatten());
            let chains = self.chains.iter().enumerate().map(|(i, c)| c.profile().or_else(|| kept(i))).collect();
            let profile = Profile { product: self.product.name.to_owned(), aim: aim.to_string(), chains };
            faults.clear(FaultCode::ProfileRefused, PLACE);
            self.kept = Some(profile.clone());
            orders.push(Order::Keep(profile));
        }
    }

    fn task(&self, now: Time) -> Task {
        self.plan.task(self.clock.map(|(unix, at)| unix.saturating_add(now.since(at).as_secs())))
    }

    /// Each chain's part of the whole, by its chips; one that is long gone has none.
    fn shares(&self, now: Time) -> Vec<f64> {
        let boards = self.product.hashboards.iter().zip(&self.gone);
        let chips =
            boards.map(|(b, gone)| if gone.is_some_and(|t| now.since(t) >= GONE) { 0.0 } else { f64::from(b.chain.chips) });
        let chips: Vec<f64> = chips.collect();
        let sum: f64 = chips.iter().sum();
        // Where all are gone, each starts again with what it had.
        let all = f64::from(self.product.chips().max(1));
        let boards = self.product.hashboards.iter().zip(&chips);
        boards.map(|(b, c)| if *c > 0.0 { c / sum } else { f64::from(b.chain.chips) / all }).collect()
    }
}

fn part(aim: Aim, share: f64) -> Aim {
    match aim {
        Aim::Power(w) => Aim::Power(w * share),
        Aim::Rate(r) => Aim::Rate(Hashrate(r.0 * share)),
        Aim::Efficiency(e) => Aim::Efficiency(e),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
