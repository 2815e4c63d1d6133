//! A product under its real firmware in virtual time: real drivers, real controllers, real Stratum, on parts that are not there.
//!
//! One thread, one seed, the same bytes out. At every step the invariants are looked at from outside, in the physics and on the
//! wire, never in what the firmware believes. Not here: how a part behaves (`parts`, `chip`, `heat`).

use crate::fault::{self, Harms, Picked, Record, scenario};
use crate::link::Link;
use crate::machine::{World, buses, lock};
use crate::practice::{Pace, PracticeNode};
use crate::scale;
use crate::watch::{Watch, Work};
use control::{Brain, Fact, Plan};
use hwdrivers::chip::bm13xx::{self, chain::Chain};
use hwdrivers::chip::{self, ChainDriver, spi_ring};
use model::{ChainId, ChainLine, ChainState, Command, Difficulty, Product, Time, UpstreamId};
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
/// The firmware is told the wall clock so often, as on a machine.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
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
    /// What goes wrong meanwhile.
    pub faults: Picked,
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
    /// Part of their time that chains which no fault touches spent on fresh work, while a pool offered a job.
    pub fresh_work_fraction: f64,
    /// What was injected, and what became of it.
    pub faults: Vec<Record>,
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
    harms: Harms,
    /// The wall clock is ahead by so many seconds.
    clock_ahead: i64,
    /// When the firmware is told the wall clock next.
    clock_at: Time,
    records: Vec<Record>,
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
        let (handles, harms) = fault::wrap(buses(&world), scenario.seed);
        let mut chains: Vec<Box<dyn Hand>> = Vec::new();
        let (mut uarts, mut spis) = (handles.uarts.into_iter(), handles.spis.into_iter());
        for (id, board) in (0u8..).zip(product.hashboards) {
            let driver: Option<Box<dyn ChainDriver>> = match board.line {
                ChainLine::Uart => uarts.next().map(|uart| Box::new(Chain::new(uart, &board.chain, scale)) as _),
                ChainLine::Spi => spis.next().and_then(|spi| spi_ring::chain(spi, &board.chain, scale)),
            };
            let driver = driver.ok_or_else(|| rig::OpenError::Part { part: format!("{:?}", board.chain.chip) })?;
            let sensor = rig::chain_sensor(product, ChainId(id));
            chains.push(Box::new(ChainHand::new(ChainId(id), driver, scale).with_sensor(sensor)));
        }
        let board = BoardHand::open(product, handles.i2c, handles.gpio, handles.pwm)?;
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
            watch: Watch::new(product.limits, product.hashboards.len()),
            harms,
            clock_ahead: 0,
            clock_at: Time::ZERO,
            records: Vec::new(),
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
        self.watch.violations()
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
        let (faults, seed, end) = (self.scenario.faults, self.scenario.seed, Time::ZERO + self.scenario.duration);
        if faults != Picked::NONE {
            self.records = scenario::run(&mut self, faults, seed, end);
        }
        self.run_until(end);
        self.report()
    }

    fn step(&mut self, end: Time) {
        let now = self.now;
        let seconds = i64::try_from(now.micros() / 1_000_000).unwrap_or(i64::MAX).saturating_add(self.clock_ahead);
        let unix = u32::try_from(seconds.saturating_add(i64::from(START_UNIX))).unwrap_or(u32::MAX);
        self.unix.store(unix, Ordering::Relaxed);
        if now >= self.clock_at {
            self.clock_at = now + CLOCK_EVERY;
            self.rig.tell(now, Fact::WallClock(u64::from(unix)));
        }
        self.rig.turn(now);
        // Every fault of the catalogue is of a part, which no new start of the program or of the controller mends.
        if let Some(rung) = self.rig.take_restart().filter(|_| self.scenario.faults != Picked::NONE) {
            self.watch.violate(now, &format!("a new start is asked for: {rung:?}"));
        }
        self.carry(now);
        {
            let offered = self.links.iter().any(Link::offers);
            let world = lock(&self.world);
            let clean_at = self.links.iter().filter(|l| l.offers()).map(Link::clean_at).fold(Time::ZERO, Time::max);
            self.watch.look(now, &world, offered.then_some(clean_at));
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
            violations: self.watch.violations().to_vec(),
            hottest_celsius: self.watch.hottest().0,
            danger_celsius: limits.danger.0,
            expected_hashes_per_second: expected,
            hashes_per_second: nonces as f64 * self.hashes_a_nonce() / seconds,
            fresh_work_fraction: self.watch.work().part(),
            faults: self.records.clone(),
        }
    }

    /// How many chains hash now.
    #[must_use]
    pub fn hashing(&self) -> usize {
        self.rig.status(self.now).chains.iter().filter(|c| c.state == ChainState::Hashing).count()
    }

    /// Whether every chain hashes with all its chips, or with whatever it has where it may be `short`.
    pub(crate) fn is_whole(&self, short: bool) -> bool {
        let whole = |c: &model::ChainStatus| c.state == ChainState::Hashing && (short || c.chips == c.chips_expected);
        self.rig.status(self.now).chains.iter().all(whole)
    }

    /// Whether every chip is cool enough for a start.
    pub(crate) fn is_cool(&self) -> bool {
        let (world, resume) = (lock(&self.world), self.scenario.product.limits.resume);
        (0..self.scenario.product.hashboards.len()).all(|c| world.chip_temperature(c).is_none_or(|t| t < resume))
    }

    /// What is simulated.
    pub(crate) fn product(&self) -> &'static Product {
        self.scenario.product
    }

    /// What of the buses can be harmed.
    pub(crate) fn harms(&self) -> &Harms {
        &self.harms
    }

    /// Sets the wall clock ahead by so many seconds; 0 sets it right.
    pub(crate) fn jump_clock(&mut self, seconds: i64) {
        self.clock_ahead = seconds;
    }

    /// A person asks for something.
    pub fn command(&mut self, command: Command) {
        self.rig.tell(self.now, Fact::Command(command));
    }

    /// What chains did that no fault touched.
    pub(crate) fn work(&self) -> Work {
        self.watch.work()
    }

    /// A fault may touch these chains from now on.
    pub(crate) fn touch(&mut self, chains: &[usize]) {
        self.watch.touch(chains);
    }

    /// Notes what must never be.
    pub(crate) fn violate(&mut self, what: &str) {
        self.watch.violate(self.now, what);
    }
}
