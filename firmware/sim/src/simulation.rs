//! A product under its real firmware in virtual time: real drivers, real controllers, real Stratum, on parts that are not there.
//!
//! One thread, one seed, the same bytes out. At every step the invariants are looked at from outside, in the physics and on the
//! wire, never in what the firmware believes. Not here: how a part behaves (`parts`, `chip`, `heat`).

use crate::link::Link;
use crate::machine::{World, buses, lock};
use crate::practice::{Pace, PracticeNode};
use crate::scale;
use control::{Brain, Plan};
use hwdrivers::chip;
use hwdrivers::chip::bm13xx::{self, chain::Chain};
use model::{Celsius, ChainId, ChainState, Difficulty, Percent, Product, Time, UpstreamId};
use rig::{BoardHand, ChainHand, Hand, Net, NetOrder, Rig, Upstream};
use serde::Serialize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stratum::Url;
use stratum::v1::Client;

/// Share difficulty of the practice chain in process (design.md 2).
const SHARE_EXPONENT: i32 = -18;
/// Longest step, so that heat is looked at often enough.
const STEP_LIMIT: Duration = Duration::from_millis(100);
/// A chip may be above its danger limit for this long.
const DANGER_LIMIT: Duration = Duration::from_secs(1);
/// Temperatures of a board under power that are this old want full fans.
const UNREAD_FANS: Duration = Duration::from_secs(10);
/// The regulator has 5 s to say that it is off, then the supply is cut.
const CUT_LIMIT: Duration = Duration::from_secs(10);
/// What a duty of 100 % may lack: the controller has 255 steps.
const FULL_DUTY: Percent = Percent(99.5);
/// Violations that are kept; the first ones tell the story.
const VIOLATIONS_LIMIT: usize = 20;
/// Unix time at the start of every simulation.
const START_UNIX: u32 = 1_767_225_600;

/// What a simulation is made of.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Which product.
    pub product: &'static Product,
    /// Seed of everything that is random.
    pub seed: u64,
    /// How long.
    pub duration: Duration,
}

/// What came of it; its JSON form is the product's interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Which product.
    pub product: String,
    /// The seed.
    pub seed: u64,
    /// How long, in hours of virtual time.
    pub hours: f64,
    /// Shares that the pool accepted.
    pub shares: u64,
    /// Shares that it rejected.
    pub rejected: u64,
    /// Shares whose job was superseded.
    pub stale: u64,
    /// Shares that it saw before.
    pub duplicates: u64,
    /// What must never be and was.
    pub violations: Vec<String>,
    /// The hottest chip.
    pub hottest_celsius: f64,
    /// The product's danger limit for chips.
    pub danger_celsius: f64,
    /// Target clock times small cores of all chips, from the first second: bring-up counts against it.
    pub expected_hashes_per_second: f64,
    /// From verified nonces.
    pub hashes_per_second: f64,
    /// Share of the chains' hashing time that was spent on fresh work.
    pub fresh_work_fraction: f64,
    /// Injected faults. None can be injected yet: the list is empty.
    pub faults: Vec<String>,
}

struct Watch {
    limits: model::Limits,
    hot_since: Vec<Option<Time>>,
    powered_since: Vec<Option<Time>>,
    hottest: Celsius,
    violations: Vec<String>,
}

impl Watch {
    fn violate(&mut self, now: Time, what: &str) {
        if self.violations.len() < VIOLATIONS_LIMIT {
            self.violations.push(format!("{:.1} s: {what}", now.secs_f64()));
        }
    }

    fn look(&mut self, now: Time, world: &World) {
        self.look_at_heat(now, world);
        for chain in 0..self.hot_since.len() {
            let powered = world.rail(chain).is_some_and(|v| v.0 > 0.0);
            if world.rail(chain).is_some_and(|v| v > self.limits.rail_max) {
                self.violate(now, &format!("chain {chain} has a rail above {}", self.limits.rail_max));
            }
            if world.clock(chain).is_some_and(|c| c.0 > self.limits.clock_max.0 + 1e-6) {
                self.violate(now, &format!("chain {chain} has a clock above {}", self.limits.clock_max));
            }
            if !powered {
                self.powered_since[chain] = None;
                continue;
            }
            // A board that was just given power was not to be read before.
            let since = *self.powered_since[chain].get_or_insert(now);
            let unread = now.since(world.unread_since(chain).unwrap_or(now));
            if unread > UNREAD_FANS && now.since(since) > UNREAD_FANS && world.duty().is_some_and(|d| d < FULL_DUTY) {
                self.violate(now, &format!("chain {chain} has a temperature {unread:.0?} old and the fans are not full"));
            }
            if unread > self.limits.reading_age_max * 3 + CUT_LIMIT {
                self.violate(now, &format!("chain {chain} has a temperature {unread:.0?} old and power"));
            }
        }
    }

    fn look_at_heat(&mut self, now: Time, world: &World) {
        for chain in 0..self.hot_since.len() {
            let Some(chip) = world.chip_temperature(chain) else { continue };
            self.hottest = self.hottest.max(chip);
            if chip <= self.limits.danger {
                self.hot_since[chain] = None;
                continue;
            }
            let since = *self.hot_since[chain].get_or_insert(now);
            let on = world.rail(chain).is_some_and(|v| v.0 > 0.0);
            if on && now.since(since) > DANGER_LIMIT {
                self.violate(now, &format!("chain {chain} has power at {chip:.1}"));
            }
        }
    }
}

/// A running simulation.
pub struct Simulation {
    scenario: Scenario,
    world: Arc<Mutex<World>>,
    rig: Rig,
    links: Vec<Link>,
    unix: Arc<AtomicU32>,
    now: Time,
    watch: Watch,
}

impl Simulation {
    /// A machine that was just plugged in.
    ///
    /// # Errors
    /// The board data names a part that no driver fits.
    pub fn new(scenario: Scenario) -> Result<Simulation, rig::OpenError> {
        Simulation::with_pools(scenario, 1)
    }

    /// The same with a list of so many pools of the same coin, each with its own wire.
    ///
    /// # Errors
    /// As for [`Simulation::new`].
    pub fn with_pools(scenario: Scenario, pools: u8) -> Result<Simulation, rig::OpenError> {
        let product = scenario.product;
        let scale = scale::in_process(product);
        let world = Arc::new(Mutex::new(World::new(product, scenario.seed, scale)));
        let handles = buses(&world);
        let mut chains: Vec<Box<dyn Hand>> = Vec::new();
        for ((id, board), uart) in (0u8..).zip(product.hashboards).zip(handles.uarts) {
            let driver = Box::new(Chain::new(uart, &board.chain, scale));
            let sensor = rig::chain_sensor(product, ChainId(id));
            chains.push(Box::new(ChainHand::new(ChainId(id), driver, scale).with_sensor(sensor)));
        }
        let board = BoardHand::open(product, handles.i2c, handles.gpio)?;
        let small_cores = product.hashboards.first().map_or(0, |b| chip::small_cores(b.chain.chip));
        let plan = Plan {
            product: Some(product),
            upstreams: pools,
            autostart: true,
            small_cores,
            cpus: 0,
            cpu_hashes_per_second: 0.0,
            cooling: model::Cooling::default(),
        };
        let unix = Arc::new(AtomicU32::new(START_UNIX));
        let clock = Arc::clone(&unix);
        let node = PracticeNode::new(Pace::IN_PROCESS, Box::new(move || clock.load(Ordering::Relaxed)));
        let upstream = |id| {
            let shown = "stratum+tcp://practice:3333";
            let url = Url::parse(shown).expect("a plain address");
            Upstream { client: Client::new(UpstreamId(id), url, "simulated", "x"), shown: shown.to_owned() }
        };
        let link = |_| Link::new(node.clone(), Difficulty::power_of_two(SHARE_EXPONENT));
        Ok(Simulation {
            rig: Rig::new(Brain::new(Time::ZERO, plan), chains, Some(Box::new(board)), (0..pools).map(upstream).collect()),
            links: (0..pools).map(link).collect(),
            now: Time::ZERO,
            watch: Watch {
                limits: product.limits,
                hot_since: vec![None; product.hashboards.len()],
                powered_since: vec![None; product.hashboards.len()],
                hottest: Celsius(0.0),
                violations: Vec::new(),
            },
            unix,
            world,
            scenario,
        })
    }

    /// The simulated machine, to break it.
    #[must_use]
    pub fn world(&self) -> &Arc<Mutex<World>> {
        &self.world
    }

    /// The firmware that runs it.
    #[must_use]
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// Tells the firmware something from outside: a user's command, what it is aimed at.
    pub fn tell(&mut self, fact: control::Fact) {
        self.rig.tell(self.now, fact);
    }

    /// A pool's end of its wire, to break it. `None` beyond the list.
    pub fn pool(&mut self, pool: usize) -> Option<&mut Link> {
        self.links.get_mut(pool)
    }

    /// Cuts the wire to a pool, or mends it; a connection that stood ends.
    pub fn cut_pool(&mut self, pool: u8, cut: bool) {
        let Some(link) = self.links.get_mut(usize::from(pool)) else { return };
        let stood = link.is_connected();
        link.cut(cut);
        if stood && cut {
            self.rig.tell_net(self.now, UpstreamId(pool), Net::Closed("the wire was cut".to_owned()));
        }
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// What must never be and was.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.watch.violations
    }

    /// Runs until `end`.
    pub fn run_until(&mut self, end: Time) {
        while self.now < end {
            self.step(end);
        }
    }

    /// Runs the scenario to its end.
    #[must_use]
    pub fn run(mut self) -> Report {
        self.run_until(Time::ZERO + self.scenario.duration);
        self.report()
    }

    fn step(&mut self, end: Time) {
        let now = self.now;
        self.unix.store(START_UNIX + u32::try_from(now.micros() / 1_000_000).unwrap_or(u32::MAX - START_UNIX), Ordering::Relaxed);
        self.rig.turn(now);
        self.carry(now);
        {
            let world = lock(&self.world);
            self.watch.look(now, &world);
        }
        let pools = self.links.iter().map(Link::wake_at).fold(Time::NEVER, Time::min);
        let wake = self.rig.wake_at().min(pools).min(now + STEP_LIMIT).min(end);
        let next = wake.max(now + Duration::from_micros(1));
        self.now = next;
        lock(&self.world).advance(next);
    }

    /// Moves what is on its way between miner and pool.
    fn carry(&mut self, now: Time) {
        for link in &mut self.links {
            link.turn(now);
        }
        loop {
            let mut quiet = true;
            while let Some(order) = self.rig.next_net() {
                quiet = false;
                self.obey_net(now, order);
            }
            for (id, link) in (0u8..).map(UpstreamId).zip(&mut self.links) {
                while let Some(line) = link.receive(now) {
                    quiet = false;
                    self.rig.tell_net(now, id, Net::Line(line));
                }
                for what in link.take_violations() {
                    self.watch.violate(now, &what);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn obey_net(&mut self, now: Time, order: NetOrder) {
        let (NetOrder::Connect(id) | NetOrder::Disconnect(id) | NetOrder::Send(id, _)) = order;
        let Some(link) = self.links.get_mut(usize::from(id.0)) else { return };
        match order {
            NetOrder::Connect(_) if link.is_cut() => {
                self.rig.tell_net(now, id, Net::Closed("connection refused".to_owned()));
            }
            NetOrder::Connect(_) => {
                link.connect(now);
                self.rig.tell_net(now, id, Net::Connected);
            }
            NetOrder::Disconnect(_) => link.disconnect(),
            NetOrder::Send(_, line) => link.send(now, line),
        }
    }

    /// What one verified nonce stands for.
    #[must_use]
    pub fn hashes_a_nonce(&self) -> f64 {
        let scale = scale::in_process(self.scenario.product);
        (f64::from(scale.zero_bits) + f64::from(bm13xx::TICKET_BITS) + f64::from(scale.scale_bits)).exp2()
    }

    /// What came of it so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let status = self.rig.status(self.now);
        let answers: Vec<_> = self.links.iter().map(Link::answers).collect();
        let seconds = self.now.secs_f64().max(1e-9);
        let nonces: u64 = status.chains.iter().map(|c| c.nonces).sum();
        let limits = self.scenario.product.limits;
        let rate = |b: &model::Hashboard| chip::hashrate(b.chain.chip, limits.clock_nominal, u32::from(b.chain.chips)).0;
        let expected = self.scenario.product.hashboards.iter().map(rate).sum();
        Report {
            product: self.scenario.product.name.to_owned(),
            seed: self.scenario.seed,
            hours: seconds / 3600.0,
            shares: answers.iter().map(|a| a.accepted).sum(),
            rejected: answers.iter().map(|a| a.rejected).sum(),
            stale: answers.iter().map(|a| a.stale).sum(),
            duplicates: answers.iter().map(|a| a.duplicates).sum(),
            violations: self.watch.violations.clone(),
            hottest_celsius: self.watch.hottest.0,
            danger_celsius: self.watch.limits.danger.0,
            expected_hashes_per_second: expected,
            hashes_per_second: nonces as f64 * self.hashes_a_nonce() / seconds,
            fresh_work_fraction: self.fresh(),
            faults: Vec::new(),
        }
    }

    fn fresh(&self) -> f64 {
        let world = lock(&self.world);
        let (tested, repeated) = (world.hashes_tested(), world.hashes_repeated());
        if tested > 0 { 1.0 - repeated as f64 / tested as f64 } else { 1.0 }
    }

    /// How many chains hash now.
    #[must_use]
    pub fn hashing(&self) -> usize {
        self.rig.status(self.now).chains.iter().filter(|c| c.state == ChainState::Hashing).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hwdrivers::bus::Message;

    #[test]
    fn power_on_a_board_that_nobody_reads_is_seen() {
        let product = &board::antminer_s19jpro::PRODUCT;
        let scenario = Scenario { product, seed: 1, duration: Duration::ZERO };
        let mut watch = Simulation::new(scenario).expect("drivers for every part").watch;
        let world = Arc::new(Mutex::new(World::new(product, 1, scale::in_process(product))));
        let mut handles = buses(&world);
        let end = Time::from_secs(26);
        lock(&world).advance(end);
        watch.look(end, &lock(&world));
        assert_eq!(watch.violations, Vec::<String>::new());
        handles.gpio.set(65, false).expect("a line");
        let enable = [0x55, 0xaa, 5, 0x15, 1, 0, 0x1b];
        handles.i2c.transfer(0x21, &mut [Message::Write(&enable)]).expect("answers");
        watch.look(end, &lock(&world));
        assert_eq!(watch.violations, ["26.0 s: chain 1 has a temperature 26s old and power"]);
    }
}
