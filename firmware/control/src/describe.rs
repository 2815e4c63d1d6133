//! What the brain knows, in the words of `Status`.
//!
//! Not here: what only others know (URLs, versions); their fields are left as they are.

use crate::{
    Brain,
    bringup::{Chain, Stage},
    tally::Tally,
    thermal::{Permit, Thermal},
    tuning::{self, Tuner},
};
use model::{
    ChainState, ChainStatus, CpuStatus, Difficulty, FanStatus, FaultStatus, SensorPlace, SensorStatus, ShareCounts, Status, Time,
};
use std::collections::BTreeSet;

/// What lasts until a person says otherwise: to be remembered over a new start of program and machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Chains that were too hot too often.
    pub latched: BTreeSet<u8>,
    /// A person stopped the machine.
    pub stopped: bool,
    /// A person asked for a pause.
    pub paused: bool,
}

impl Brain {
    /// What only a person ends.
    #[must_use]
    pub fn held(&self) -> Held {
        let latched = self.thermal.iter().flat_map(Thermal::latched).filter_map(|i| u8::try_from(i).ok()).collect();
        Held { latched, stopped: !self.mining, paused: self.tuner.as_ref().is_some_and(Tuner::is_asked_to_pause) }
    }

    /// Fills in mining, chains with their sensors, fans, faults, shares, rates and the upstreams' states.
    pub fn describe(&self, now: Time, status: &mut Status) {
        status.mining = self.mining;
        status.paused_by = self.tuner.as_ref().and_then(|t| t.paused_by(now));
        status.paused = status.paused_by.is_some();
        status.product = self.plan.product.map_or_else(String::new, |p| p.name.to_owned());
        status.chains = self.chains.iter().enumerate().map(|(i, c)| self.chain_status(now, i, c)).collect();
        status.hashes_per_second = self.tallies.values().fold(0.0, |sum, t| sum + t.hashes_per_second(now));
        status.cpus = (0..self.plan.cpus).map(|i| self.cpu_status(now, i)).collect();
        let chains = status.chains.iter().map(|c| c.expected_hashes_per_second);
        let cpus = status.cpus.iter().map(|c| c.expected_hashes_per_second);
        // From 0: the sum of no number at all is -0.
        status.expected_hashes_per_second = chains.chain(cpus).fold(0.0, |sum, rate| sum + rate);
        status.best_difficulty = self.best.as_ref().map_or_else(|| "0".to_owned(), Difficulty::to_decimal);
        let duty = self.thermal.as_ref().map_or(0.0, |t| t.duty().0);
        let speeds = self.thermal.as_ref().map_or_else(Vec::new, |t| t.fans(now));
        let fan = |(id, rpm): (u8, Option<model::Rpm>)| FanStatus { id, duty_percent: duty, rpm: rpm.map(|r| r.0) };
        status.fans = (0u8..).zip(speeds).map(fan).collect();
        status.faults = self.faults.iter().map(|f| FaultStatus::from(&f)).collect();
        self.describe_upstreams(status);
    }

    fn describe_upstreams(&self, status: &mut Status) {
        status.upstreams.resize(usize::from(self.plan.upstreams), model::UpstreamStatus::default());
        let active = self.failover.active().map(|u| usize::from(u.0));
        status.upstream = None;
        status.shares = ShareCounts::default();
        for (i, u) in status.upstreams.iter_mut().enumerate() {
            u.active = active == Some(i);
            u.state = self.failover.words(i);
            u.shares = self.failover.shares(i);
            status.shares.accepted += u.shares.accepted;
            status.shares.rejected += u.shares.rejected;
            status.shares.stale += u.shares.stale;
            if u.active {
                status.upstream = Some(u.url.clone());
                if let Some(job) = self.schedule.current() {
                    u.difficulty = Difficulty::from_target_bdiff(job.target).to_decimal();
                }
            }
        }
    }

    fn chain_status(&self, now: Time, i: usize, chain: &Chain) -> ChainStatus {
        let tally = self.tallies.get(&chain.id);
        let permit = self.thermal.as_ref().map(|t| t.permit(now, i));
        let known = self.thermal.as_ref().map_or_else(Vec::new, |t| t.sensors(now, i));
        let spots = self.plan.product.map_or(&[][..], |p| p.hashboards[i].sensors);
        let sensor = |(spot, celsius): (&model::SensorSpot, Option<model::Celsius>)| SensorStatus {
            place: format!("chain {i} {}", word(spot.place)),
            celsius: celsius.map(|c| c.0),
        };
        let nominal = self.plan.product.map_or(0.0, |p| p.limits.clock_nominal.0);
        let state = match (chain.stage(), permit) {
            (_, Some(Permit::Heat)) => ChainState::Cooling,
            (_, Some(Permit::Latched)) | (Stage::Failed { .. }, _) => ChainState::Failed,
            // Before the first readings nothing has failed yet.
            (Stage::Off, Some(Permit::NoProof)) if self.mining => match &self.thermal {
                Some(t) if t.is_awaiting_proof(now) => ChainState::Starting,
                _ => ChainState::Failed,
            },
            (Stage::Off, _) => ChainState::Off,
            (Stage::Ramping { .. } | Stage::Lowering { .. }, _) => ChainState::Ramping,
            (Stage::Hashing { .. }, _) => ChainState::Hashing,
            _ => ChainState::Starting,
        };
        let promised = if state == ChainState::Hashing { chain.clock.0 } else { 0.0 };
        let tuned = self.tuner.as_ref().and_then(|t| t.gives(i)).filter(|_| state == ChainState::Hashing);
        let rate = promised.min(nominal) * 1e6 * f64::from(self.plan.small_cores) * f64::from(chain.chips);
        let aimed = self.tuner.as_ref().and_then(|t| t.phase(now, i));
        ChainStatus {
            id: chain.id.0,
            state,
            chips: chain.chips,
            chips_expected: chain.expected,
            clock_hertz: chain.clock.0 * 1e6,
            volts: chain.rail.map_or(0.0, |v| v.0),
            hashes_per_second: tally.map_or(0.0, |t: &Tally| t.hashes_per_second(now)),
            expected_hashes_per_second: tuned.filter(|_| aimed.is_some()).map_or(rate, |y| y.rate.0),
            watts: tuned.map_or(0.0, |y| y.watt.0),
            tuning: aimed.map_or("off", tuning::chain::Phase::word).to_owned(),
            chip_celsius: self.thermal.as_ref().and_then(|t: &Thermal| t.chip(now, i)).map(|c| c.0),
            sensors: spots.iter().zip(known).map(sensor).collect(),
            nonces: tally.map_or(0, |t| t.nonces),
            shares_accepted: tally.map_or(0, |t| t.accepted),
            hardware_errors: tally.map_or(0, |t| t.hardware_errors),
            frame_errors: tally.map_or(0, |t| t.frame_errors),
        }
    }
}

impl Brain {
    fn cpu_status(&self, now: Time, i: u8) -> CpuStatus {
        // As many chains and threads as ids: the supervisor sees to it.
        let id = model::ChainId((self.chains.len() as u8).saturating_add(i));
        let state = match (self.free_hands.contains_key(&id), self.schedule.work_since(id)) {
            (false, _) => ChainState::Starting,
            (true, None) => ChainState::Off,
            (true, Some(_)) => ChainState::Hashing,
        };
        let tally = self.tallies.get(&id);
        CpuStatus {
            id: i,
            state,
            hashes_per_second: tally.map_or(0.0, |t| t.hashes_per_second(now)),
            expected_hashes_per_second: if state == ChainState::Hashing { self.plan.cpu_hashes_per_second } else { 0.0 },
            nonces: tally.map_or(0, |t| t.nonces),
            shares_accepted: tally.map_or(0, |t| t.accepted),
            hardware_errors: tally.map_or(0, |t| t.hardware_errors),
        }
    }
}

fn word(place: SensorPlace) -> &'static str {
    match place {
        SensorPlace::BoardInlet => "inlet",
        SensorPlace::BoardOutlet => "outlet",
        SensorPlace::Chip => "chip",
        SensorPlace::Regulator => "regulator",
        SensorPlace::ControlBoard => "control board",
    }
}
