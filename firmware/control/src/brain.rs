//! The one decider: facts and `now` go in, orders come out.
//!
//! Each controller is a field; [`Brain::decide`] is where they meet and the only place that knows their precedence. Not here: what a
//! single controller thinks (its own file), how orders are obeyed (`rig`).

use crate::{
    Fact, Order, PowerPlace,
    bringup::{Chain, Want},
    failover::Failover,
    faults::Faults,
    guard::guard,
    health::{Finding, Health},
    hunger::Hunger,
    ladder::{Ladder, Rung, silence},
    power::{Draw, Power},
    schedule::{Found, Schedule},
    supply::Supply,
    tally::Tally,
    thermal::{Permit, Seat, Thermal},
    tuning::{Tuner, chain::Circumstance},
};
use model::{
    ChainId, Command, Cooling, Difficulty, FaultCode, Job, JobId, Limits, Megahertz, Nonce, Percent, Product, ShareId, Time,
    UpstreamId, Verdict,
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Shares whose verdict is awaited; beyond it the oldest is forgotten, as its pool will not answer any more.
const SHARES_PENDING: usize = 4096;
/// Duty is ordered again this often, unchanged: a fan controller that was reset is back soon.
const DUTY_AGAIN: Duration = Duration::from_secs(5);
/// Smaller changes of duty are not worth a bus transfer.
const DUTY_STEP: f64 = 1.0;
/// Tuning is looked at this often at most: facts come by the hundred, and it moves in seconds.
const TUNE_EVERY: Duration = Duration::from_millis(100);
/// What a thread of the processor found shows for so long that the pool's work is good.
const THREAD_PROVES: Duration = Duration::from_secs(90);
/// Something is looked at this often even where nothing is due.
const TICK: Duration = Duration::from_secs(1);
/// Where hands only report what they find, at most this often: an S21 finds two hundred nonces a second, and none changes an order.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Noise and lost orders that were not told again for so long are over.
const PASSING: Duration = Duration::from_secs(60);
/// After a stop, hands report for at least this long what they found before.
const STOP_LEAST: Duration = Duration::from_millis(200);
/// After a stop, pools are kept at most this long for their answers to the last shares.
const STOP_MOST: Duration = Duration::from_secs(4);

/// What a brain is made for.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The machine; `None` where there are only CPU threads.
    pub product: Option<&'static Product>,
    /// How many upstreams there are, our own pool included.
    pub upstreams: u8,
    /// Whether to mine from the start.
    pub autostart: bool,
    /// Hashes that one chip makes a clock: its small cores, as the expected rate counts them.
    pub small_cores: u32,
    /// Mining threads of the processor. Their hands' ids follow those of the product's chains.
    pub cpus: u8,
    /// What one such thread was measured to make.
    pub cpu_hashes_per_second: f64,
    /// How a person wants the machine cooled; it tightens the limits of the product and never loosens one.
    pub cooling: Cooling,
}

/// The decider of one machine.
#[derive(Debug)]
pub struct Brain {
    pub(crate) plan: Plan,
    pub(crate) mining: bool,
    pub(crate) thermal: Option<Thermal>,
    pub(crate) chains: Vec<Chain>,
    /// One a chain, in the same order.
    health: Vec<Health>,
    supply: Option<Supply>,
    power: Option<Power>,
    pub(crate) tuner: Option<Tuner>,
    tuned: Time,
    pub(crate) failover: Failover,
    hunger: Hunger,
    ladder: Ladder,
    /// When a thread of the processor last found something.
    thread_found: Option<Time>,
    /// When mining was stopped.
    stopped: Option<Time>,
    pub(crate) schedule: Schedule,
    pub(crate) faults: Faults,
    pub(crate) tallies: BTreeMap<ChainId, Tally>,
    pub(crate) best: Option<Difficulty>,
    /// Hands that are no chain of the product (CPU threads), with their epoch.
    pub(crate) free_hands: BTreeMap<ChainId, Duration>,
    /// The newest job of each upstream that is not mined for yet.
    waiting_jobs: BTreeMap<UpstreamId, Job>,
    /// Where each share went, and whose it is.
    pending: BTreeMap<ShareId, (UpstreamId, ChainId)>,
    /// Faults that end by not being told again, and when.
    passing: BTreeMap<(FaultCode, String), Time>,
    duty_told: Option<(Percent, Time)>,
    orders: VecDeque<Order>,
    /// When it was last decided, and when time alone asks for it again.
    last: Time,
    due: Time,
    /// When something was last told, and whether that wants a decision.
    told: Time,
    undecided: bool,
}

impl Brain {
    /// Nothing is known: fans full, chips in reset, nothing on.
    #[must_use]
    pub fn new(now: Time, plan: Plan) -> Brain {
        let boards = plan.product.map_or(&[][..], |p| p.hashboards);
        let limits = plan.product.map(|p| plan.cooling.tighten(p.limits));
        let fixed = plan.product.is_some_and(|p| p.supply_enable.is_none());
        let chain = |(i, b): (u8, &model::Hashboard)| {
            let chain = limits.map(|l| Chain::new(ChainId(i), b, l));
            chain.map(|c| if fixed { c.behind_fixed_supply() } else { c })
        };
        let mut brain = Brain {
            plan,
            mining: plan.autostart,
            thermal: plan.product.map(|p| Thermal::new(now, p, plan.cooling)),
            chains: (0u8..).zip(boards).filter_map(chain).collect(),
            health: boards.iter().map(|_| Health::default()).collect(),
            supply: limits.map(|l| Supply::new(l.supply)),
            power: plan.product.zip(limits).map(|(p, l)| Power::new(p, l)),
            tuner: plan.product.map(|p| Tuner::new(now, p, plan.small_cores)),
            tuned: now,
            failover: Failover::new(plan.upstreams),
            hunger: Hunger::new(now),
            ladder: Ladder::default(),
            thread_found: None,
            stopped: None,
            schedule: Schedule::default(),
            faults: Faults::default(),
            tallies: BTreeMap::new(),
            best: None,
            free_hands: BTreeMap::new(),
            waiting_jobs: BTreeMap::new(),
            pending: BTreeMap::new(),
            passing: BTreeMap::new(),
            duty_told: None,
            orders: VecDeque::new(),
            last: now,
            due: now,
            told: now,
            undecided: true,
        };
        // Whoever drove the machine before may have left anything on; behind a supply without a switch each chain orders its rail off.
        let off = brain.supply.iter().map(|_| Order::Supply(None));
        let held = brain.chains.iter().map(|c| Order::Reset { chain: c.id, held: true });
        off.chain(held).collect::<Vec<_>>().into_iter().for_each(|o| brain.order(o));
        if plan.upstreams == 0 {
            brain.faults.raise(FaultCode::NoUpstream, "settings", "neither an upstream nor a coin is set");
        }
        brain.decide(now);
        brain
    }

    /// Something happened. What was told together is decided once, with the next order that is asked for.
    pub fn tell(&mut self, now: Time, fact: Fact) {
        let now = now.max(self.last).max(self.told);
        self.told = now;
        let found = matches!(fact, Fact::Nonce(_) | Fact::HardwareError(_) | Fact::FrameErrors { .. } | Fact::ChipStats { .. });
        let mut orders = Vec::new();
        let (faults, o) = (&mut self.faults, &mut orders);
        match fact {
            Fact::Command(Command::Start) => {
                self.mining = true;
                self.stopped = None;
                // Who asks for a start wants no pause.
                self.tuner.iter_mut().for_each(|t| t.pause(false));
                self.thermal.iter_mut().for_each(Thermal::release_latches);
            }
            Fact::Command(Command::Stop) => {
                self.mining = false;
                self.stopped.get_or_insert(now);
            }
            Fact::Command(command @ (Command::Pause | Command::Resume)) => match &mut self.tuner {
                Some(tuner) => tuner.pause(command == Command::Pause),
                // Threads of the processor start and stop at no cost.
                None => {
                    return self.tell(now, Fact::Command(if command == Command::Pause { Command::Stop } else { Command::Start }));
                }
            },
            Fact::Restarted { rung, times } => self.ladder.made_before(rung, times),
            Fact::PowerPlan(plan) => self.tuner.iter_mut().for_each(|t| t.set(plan.clone())),
            Fact::WallClock(unix) => self.tuner.iter_mut().for_each(|t| t.wall_clock(now, unix)),
            Fact::Profile(profile) => self.tuner.iter_mut().for_each(|t| t.restore(profile.clone(), faults)),
            Fact::ChipStats { chain, chips } => self.tuner.iter_mut().for_each(|t| t.count(chain, &chips)),
            Fact::UpstreamReady(u) => self.failover.ready(now, u, faults),
            Fact::UpstreamFailed { upstream, code, detail } => {
                self.waiting_jobs.remove(&upstream);
                self.failover.failed(now, upstream, code, &detail, faults, o);
            }
            Fact::Job(job) => self.job(now, job, o),
            Fact::Verdict { share, verdict } => {
                if let Some((upstream, hand)) = self.pending.remove(&share) {
                    self.tallies.entry(hand).or_default().accepted += u64::from(verdict == Verdict::Accepted);
                    self.failover.verdict(now, upstream, &verdict, faults, o);
                }
            }
            Fact::Nonce(nonce) => self.nonce(now, &nonce, o),
            Fact::HardwareError(chain) => {
                if let Some(t) = self.tallies.get_mut(&chain) {
                    t.hardware_error(now);
                }
            }
            Fact::ChainCounted { chain, chips } => {
                if let Some(c) = chain_mut(&mut self.chains, chain) {
                    c.counted(now, chips, faults, o);
                }
            }
            Fact::ChainReady(chain) => chain_mut(&mut self.chains, chain).into_iter().for_each(|c| c.ready(now)),
            Fact::ChainClock { chain, clock } => {
                chain_mut(&mut self.chains, chain).into_iter().for_each(|c| c.clocked(clock));
            }
            Fact::ChainHashing { chain, epoch, nonce_bits } => {
                self.tallies.entry(chain).or_default().nonce_bits = nonce_bits;
                match chain_mut(&mut self.chains, chain) {
                    Some(c) => c.hashing(now, epoch, faults, o),
                    None => drop(self.free_hands.insert(chain, epoch)),
                }
            }
            Fact::ChainFailed { chain, code, detail } => match chain_mut(&mut self.chains, chain) {
                Some(c) => c.failed(now, code, &detail, faults, o),
                None => {
                    self.free_hands.remove(&chain);
                    let _took_work = self.schedule.hand_off(chain);
                    faults.raise(code, &place(self.chains.len(), chain), &detail);
                }
            },
            Fact::ChainNoise { chain, frame_errors, frames } => {
                let detail = format!("{frame_errors} of {frames} frames had a wrong checksum");
                self.passing(now, FaultCode::ChainNoise, place(self.chains.len(), chain), &detail);
            }
            Fact::FrameErrors { chain, count } => self.tallies.entry(chain).or_default().frame_errors = count,
            // What was lost is made good by each controller's own time limit; here it is only shown.
            Fact::OrdersLost { place, count } => {
                self.chains.iter_mut().for_each(|c| c.orders_lost(&place));
                self.passing(now, FaultCode::QueueFull, place, &format!("{count} orders were not taken"));
            }
            Fact::Temperature { sensor, value, .. } => {
                self.thermal.iter_mut().for_each(|t| t.temperature(now, sensor, value.clone()));
            }
            Fact::SensorBroken { sensor, why, .. } => {
                self.thermal.iter_mut().for_each(|t| t.broken(now, sensor, why.clone()));
            }
            Fact::Identity { chain, part, value } => {
                if let Some(c) = chain_mut(&mut self.chains, chain) {
                    c.identified(now, part, value, faults);
                }
            }
            Fact::Power { place, measured } => {
                self.power.iter_mut().for_each(|p| p.measured(now, place, measured));
                if let (Some(tuner), Some(watt)) = (&mut self.tuner, measured.watt) {
                    tuner.measured(if let PowerPlace::Rail(chain) = place { Some(chain) } else { None }, watt);
                }
                if let PowerPlace::Rail(chain) = place
                    && let Some(c) = chain_mut(&mut self.chains, chain)
                {
                    c.measured(now, measured, faults, o);
                    if let (Some(t), Some(celsius)) = (&mut self.thermal, measured.celsius) {
                        t.regulator(now, usize::from(chain.0), celsius);
                    }
                }
            }
            Fact::Latched(chain) => {
                self.thermal.iter_mut().for_each(|t| t.latch(now, usize::from(chain.0)));
            }
            Fact::Plugged { chain, plugged } => {
                if let Some(c) = chain_mut(&mut self.chains, chain) {
                    let before = c.is_plugged();
                    c.plug(plugged, faults);
                    // What is plugged in next is another board, or the same one repaired.
                    if before && !c.is_plugged() {
                        faults.clear(FaultCode::ChainSlow, &place(self.chains.len(), chain));
                        self.health.get_mut(usize::from(chain.0)).into_iter().for_each(|h| *h = Health::default());
                    }
                }
            }
            Fact::FanSpeed { fan, value } => self.thermal.iter_mut().for_each(|t| t.fan(now, fan, value.clone())),
            Fact::Supply(value) => {
                if let Some(s) = &mut self.supply {
                    s.told(now, value, faults, o);
                }
            }
            Fact::Rail { chain, value } => {
                if let Some(c) = chain_mut(&mut self.chains, chain) {
                    c.rail(now, value, faults, o);
                }
            }
        }
        orders.into_iter().for_each(|o| self.order(o));
        self.undecided |= !found || self.faults.changed() || now >= self.due;
    }

    /// Time alone passed.
    pub fn tick(&mut self, now: Time) {
        let now = now.max(self.last).max(self.told);
        if self.undecided || now >= self.due || now.since(self.last) >= LOOK_EVERY {
            self.decide(now);
        }
    }

    /// What is to be done next; `None` where nothing is.
    pub fn next_order(&mut self) -> Option<Order> {
        if self.undecided && self.orders.is_empty() {
            self.decide(self.told);
        }
        self.orders.pop_front()
    }

    /// When [`Brain::tick`] is due at latest.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        if self.undecided || !self.orders.is_empty() { self.last } else { self.due }
    }

    /// When time alone changes something.
    fn next_due(&self) -> Time {
        let parts = [
            self.thermal.as_ref().map_or(Time::NEVER, Thermal::wake_at),
            self.supply.as_ref().map_or(Time::NEVER, Supply::wake_at),
            self.failover.wake_at(),
            self.schedule.wake_at(),
            self.hunger.wake_at(),
            self.stopped.map_or(Time::NEVER, |t| t + STOP_LEAST),
            self.stopped.map_or(Time::NEVER, |t| t + STOP_MOST),
        ];
        let chains = self.chains.iter().map(|c| c.wake_at(self.schedule.work_since(c.id)));
        // What was due by `last` was decided then; it is not due again.
        let due = parts.into_iter().chain(chains).filter(|t| *t > self.last).min();
        due.unwrap_or(Time::NEVER).min(self.last + TICK)
    }

    /// Whether the supply of all chains is off, as it said itself; there may be none.
    #[must_use]
    pub fn supply_is_off(&self) -> bool {
        self.supply.as_ref().is_none_or(Supply::said_off)
    }

    /// Whether chains keep their rail and do nothing.
    #[must_use]
    pub fn is_paused(&self, now: Time) -> bool {
        self.tuner.as_ref().is_some_and(|t| t.is_paused(now))
    }

    /// Whether shares of this job still count.
    #[must_use]
    pub fn is_active(&self, job: JobId) -> bool {
        self.schedule.is_active(job)
    }

    /// The one place where the controllers meet. Precedence: thermal and power > bringup > tuning > schedule. What heat forbids no
    /// chain starts, and what is not hashing gets no work.
    fn decide(&mut self, now: Time) {
        (self.last, self.undecided) = (now, false);
        let mut orders = Vec::new();
        let allowed = self.mining && self.plan.upstreams > 0;
        let served = allowed || self.is_finishing(now);
        self.failover.tick(now, served, &mut self.faults, &mut orders);
        self.follow_upstream(now, &mut orders);
        self.hunger.tick(now, allowed, self.schedule.current().is_some(), &mut self.faults);
        let fed = allowed && self.hunger.feeds();

        let paused = self.is_paused(now);
        if !allowed {
            self.faults.clear(FaultCode::FlatLine, "machine");
        }
        self.follow_boards(now, fed, paused, &mut orders);
        self.follow_hands(now, allowed && !paused, &mut orders);
        while let Some(work) = self.schedule.next_due(now) {
            self.tallies.entry(work.chain).or_default().since.get_or_insert(now);
            orders.push(Order::Work(work));
        }
        self.follow_health(now, &mut orders);
        self.climb(now, allowed && !paused, &mut orders);
        self.judge_errors(now);
        let faults = &mut self.faults;
        self.passing.retain(|(code, place), ends| {
            let there = *ends > now;
            if !there {
                faults.clear(*code, place);
            }
            there
        });
        orders.extend(self.faults.take_changes());
        orders.into_iter().for_each(|o| self.order(o));
        self.due = self.next_due();
    }

    /// Heat, power, tuning, chains and supply: what may run, and what must not. Whichever of heat and power allows less counts.
    fn follow_boards(&mut self, now: Time, fed: bool, paused: bool, orders: &mut Vec<Order>) {
        let (Some(thermal), Some(supply), Some(power)) = (&mut self.thermal, &mut self.supply, &mut self.power) else { return };
        let Some(limits) = self.plan.product.map(|p| p.limits) else { return };
        let seats: Vec<Seat> = self.chains.iter().map(seat).collect();
        thermal.tick(now, &seats, &mut self.faults);
        power.tick(now, supply.ordered(), &mut self.faults);
        let draw = power.draw();
        let permits: Vec<Option<Megahertz>> = (0..self.chains.len()).map(|i| clock_of(thermal.permit(now, i), draw)).collect();
        let may = |i: usize, chain: &Chain| fed && chain.is_plugged() && !chain.is_stranger(now) && permits[i].is_some();
        if let (Some(tuner), true) = (&mut self.tuner, now.since(self.tuned) >= TUNE_EVERY) {
            self.tuned = now;
            let trouble = thermal.is_throttling() || draw != Draw::Run(limits.clock_max);
            let circumstance = |(i, chain): (usize, &Chain)| {
                let level = tuner.level(i).unwrap_or(limits.clock_nominal);
                Circumstance {
                    wanted: may(i, chain),
                    hashing: chain.is_hashing(),
                    failed: chain.has_failed(),
                    works: self.schedule.work_since(chain.id).is_some(),
                    chips: chain.chips as usize,
                    clock: chain.clock,
                    held: paused || permits[i].is_none_or(|c| ceiling(c, &limits) < level),
                    nonce_bits: self.tallies.get(&chain.id).map_or(0, |t| t.nonce_bits),
                    aim: None,
                    most: None,
                    chip: thermal.chip(now, i),
                }
            };
            let mut chains: Vec<Circumstance> = self.chains.iter().enumerate().map(circumstance).collect();
            tuner.tick(now, &mut chains, trouble, &mut self.faults, orders);
        }
        let (mut wanted, mut cut) = (false, draw == Draw::Cut);
        for (i, chain) in self.chains.iter_mut().enumerate() {
            let level = self.tuner.as_ref().and_then(|t| t.level(i)).unwrap_or(limits.clock_nominal);
            let level = if paused { limits.clock_min } else { level };
            // Heat first: tuning only chooses below what it allows.
            let clock = permits[i].map(|c| ceiling(c, &limits).min(level).max(limits.clock_min));
            if supply.is_surely_off() {
                chain.supply_is_off();
            }
            if thermal.is_overdue(now, i) {
                let detail = "it did not hash within 180 s of its power";
                chain.failed(now, FaultCode::ChainSilent, detail, &mut self.faults, orders);
            }
            let bits = self.tallies.get(&chain.id).map_or(0, |t| t.nonce_bits);
            let nonces = chain.clock.0 * 1e6 * f64::from(self.plan.small_cores) * f64::from(chain.chips) / f64::from(bits).exp2();
            let want = Want {
                // A pause holds what hashes ready; what does not is not started for it.
                clock: clock.filter(|_| may(i, chain) && (!paused || chain.is_started())),
                supply: supply.is_on(),
                work_since: self.schedule.work_since(chain.id),
                silence: silence(if bits > 0 { nonces } else { 0.0 }),
            };
            chain.tick(now, want, &mut self.faults, orders);
            wanted |= chain.needs_supply();
            cut |= chain.needs_cut(clock.is_some(), thermal.is_endangered(now, i));
        }
        supply.tick(now, wanted, cut, &mut self.faults, orders);
        let duty = thermal.duty();
        let (told, at) = self.duty_told.unwrap_or((Percent(-DUTY_STEP), now));
        let moved = (told.0 - duty.0).abs() >= DUTY_STEP || (duty != told && (duty.0 >= 100.0 || told.0 >= 100.0));
        if moved || now.since(at) >= DUTY_AGAIN {
            self.duty_told = Some((duty, now));
            // Air before anything else.
            orders.insert(0, Order::Duty(duty));
        }
    }

    /// The warmest chip, where no board has power and all are cool; `None` where that is not so, or not known.
    #[must_use]
    pub fn rests_at(&self, now: Time) -> Option<model::Celsius> {
        self.thermal.as_ref()?.rests_at(now)
    }

    /// Whether what was found before a stop is still being sent and answered.
    #[must_use]
    pub fn is_finishing(&self, now: Time) -> bool {
        self.stopped.is_some_and(|t| {
            let since = now.since(t);
            since < STOP_LEAST || (since < STOP_MOST && !self.pending.is_empty())
        })
    }

    fn follow_upstream(&mut self, now: Time, orders: &mut Vec<Order>) {
        let active = self.failover.active();
        if self.schedule.upstream().is_some_and(|u| Some(u) != active) {
            self.schedule.forget_jobs();
        }
        if let Some(job) = active.and_then(|u| self.waiting_jobs.remove(&u))
            && let Err(why) = self.schedule.job(now, job)
            && let Some(upstream) = active
        {
            self.failover.failed(now, upstream, FaultCode::UpstreamProtocol, &why.to_string(), &mut self.faults, orders);
        }
    }

    fn follow_hands(&mut self, now: Time, allowed: bool, orders: &mut Vec<Order>) {
        let paused = self.is_paused(now);
        let works = |c: &&Chain| c.is_hashing() && !paused;
        let on = self.chains.iter().filter(works).map(|c| (c.id, c.epoch));
        // A thread costs nothing to stop, and work of a pool that is gone earns nothing.
        let allowed = allowed && self.schedule.current().is_some();
        let free = self.free_hands.iter().map(|(id, epoch)| (*id, *epoch));
        for (id, epoch) in on.chain(free.filter(|_| allowed)) {
            self.schedule.hand_on(now, id, epoch);
        }
        for chain in self.chains.iter().filter(|c| !works(c)) {
            let _took_work = self.schedule.hand_off(chain.id);
        }
        for id in self.free_hands.keys().filter(|_| !allowed) {
            if self.schedule.hand_off(*id) {
                orders.push(Order::StopChain(*id));
            }
        }
    }

    /// A chain that gives far less than it promises is restarted; where that was tried of late its fault is shown until it is well.
    fn follow_health(&mut self, now: Time, orders: &mut Vec<Order>) {
        for (chain, health) in self.chains.iter_mut().zip(&mut self.health) {
            let works = chain.is_hashing() && self.schedule.work_since(chain.id).is_some();
            let bits = self.tallies.get(&chain.id).map_or(0, |t| t.nonce_bits);
            let nominal = chain.clock.0 * 1e6 * f64::from(self.plan.small_cores) * f64::from(chain.chips);
            // Weak chips that were slowed promise less than their chain's clock.
            let tuned = self.tuner.as_ref().and_then(|t| t.gives(usize::from(chain.id.0))).map_or(nominal, |y| y.rate.0);
            let hashes = nominal.min(tuned);
            let errs = self.tallies.get(&chain.id).is_some_and(|t| chain.is_hashing() && t.asks_for_start(now));
            if errs && health.may_restart(now, FaultCode::HardwareErrors) {
                let detail = "its nonces stayed wrong: it is started anew, which sets its chips anew";
                chain.failed(now, FaultCode::HardwareErrors, detail, &mut self.faults, orders);
            }
            let code = FaultCode::ChainSlow;
            let place = || format!("chain {}", chain.id.0);
            match health.pass(now, works.then(|| hashes / f64::from(bits).exp2())) {
                Some(Finding::Slow { found, promised, span }) => {
                    let detail = format!("{found} nonces in {} s, where {promised:.0} are promised", span.as_secs());
                    if health.may_restart(now, code) {
                        chain.failed(now, code, &detail, &mut self.faults, orders);
                    } else {
                        self.faults.raise(code, &place(), &detail);
                    }
                }
                Some(Finding::Well) => self.faults.clear(code, &place()),
                None => {}
            }
        }
    }

    /// Wrong nonces are shown while they are many, of a chain that hashes: each start sets its chips anew. One that is started for them keeps
    /// its fault until it hashes again.
    fn judge_errors(&mut self, now: Time) {
        for (chain, tally) in self.tallies.iter_mut().filter(|(_, t)| t.hardware_errors > 0) {
            let board = self.chains.get(usize::from(chain.0));
            if board.is_some_and(|c| !c.is_hashing()) {
                tally.judge_anew(now);
            }
            if board.is_some_and(|c| c.has_raised(FaultCode::HardwareErrors)) {
                continue;
            }
            let place = place(self.chains.len(), *chain);
            let errs = tally.judge(now, self.faults.has(FaultCode::HardwareErrors, &place));
            let detail = "more than one nonce in twenty was wrong in the last ten minutes";
            self.faults.set(errs, FaultCode::HardwareErrors, &place, detail);
        }
    }

    /// A machine that is to hash and gives nothing climbs the ladder.
    fn climb(&mut self, now: Time, allowed: bool, orders: &mut Vec<Order>) {
        let permitted = |i: usize| self.thermal.as_ref().is_some_and(|t| matches!(t.permit(now, i), Permit::Run(_)));
        let promised = |(i, chain): (usize, &Chain)| {
            let bits = self.tallies.get(&chain.id).map_or(0, |t| t.nonce_bits);
            let nominal = self.plan.product.map_or(0.0, |p| p.limits.clock_nominal.0);
            let clock = if chain.is_hashing() { chain.clock.0 } else { nominal };
            let hashes = clock * 1e6 * f64::from(self.plan.small_cores) * f64::from(chain.expected);
            // One that never hashed promises nothing.
            if bits > 0 && chain.is_plugged() && permitted(i) { hashes / f64::from(bits).exp2() } else { 0.0 }
        };
        let works = allowed && self.schedule.current().is_some();
        let rate = works.then(|| self.chains.iter().enumerate().map(promised).sum::<f64>());
        let Some(rung) = self.ladder.tick(now, rate.filter(|r| *r > 0.0)) else { return };
        let detail = format!("silence of {} s", Rung::ALL.iter().find(|r| r.0 == rung).map_or(0, |r| r.1.as_secs()));
        match rung {
            Rung::Job => return self.schedule.refresh(),
            // A thread of the processor that finds something on the same work proves pool and work.
            Rung::Upstream if self.thread_found.is_some_and(|t| now.since(t) < THREAD_PROVES) => return,
            // Chains without a supply say nothing about a pool.
            Rung::Upstream if self.supply.as_ref().is_some_and(|s| !s.is_on()) => return,
            Rung::Upstream => {
                if let Some(upstream) = self.failover.active() {
                    let code = FaultCode::UpstreamSilent;
                    self.failover.failed(now, upstream, code, "no chain finds anything on its work", &mut self.faults, orders);
                }
            }
            Rung::Process | Rung::Board => orders.push(Order::Restart(rung)),
        }
        self.faults.raise(FaultCode::FlatLine, "machine", &format!("{detail}; tried: {}", rung.word()));
    }

    fn job(&mut self, now: Time, job: Job, orders: &mut Vec<Order>) {
        let upstream = job.upstream;
        let model::JobBody::Coinbase(body) = &job.body;
        if let Err(why) = body.check() {
            let code = FaultCode::UpstreamProtocol;
            self.failover.failed(now, upstream, code, &format!("take job '{}': {why}", job.name), &mut self.faults, orders);
            self.waiting_jobs.remove(&upstream);
        } else if self.failover.job(now, upstream, &mut self.faults) {
            self.waiting_jobs.insert(upstream, job);
        }
    }

    fn nonce(&mut self, now: Time, nonce: &Nonce, orders: &mut Vec<Order>) {
        let Some(tally) = self.tallies.get_mut(&nonce.chain) else { return };
        let found = self.schedule.nonce(nonce);
        // What fits no work, or came before, is no sign of life: a chain that does not hear its jobs says such things too.
        if matches!(found, Found::Duplicate | Found::Unknown) {
            return;
        }
        if let Some(chain) = chain_mut(&mut self.chains, nonce.chain) {
            chain.nonce(now, &mut self.faults);
            self.ladder.nonce(now);
            self.faults.clear(FaultCode::FlatLine, "machine");
            if let (Found::Nonce | Found::Share(_), Some(at)) = (&found, nonce.chip) {
                chain.seen(at.chip, &mut self.faults);
            }
        } else {
            self.thread_found = Some(now);
        }
        let health = self.health.get_mut(usize::from(nonce.chain.0));
        match found {
            Found::Duplicate | Found::Unknown => {}
            Found::Wrong => tally.hardware_error(now),
            Found::Nonce => {
                tally.nonce(now);
                health.into_iter().for_each(Health::nonce);
            }
            Found::Share(share) => {
                tally.nonce(now);
                health.into_iter().for_each(Health::nonce);
                if self.best.is_none_or(|b| share.reached.to_f64() > b.to_f64()) {
                    self.best = Some(share.reached);
                }
                self.pending.insert(share.id, (share.upstream, nonce.chain));
                if self.pending.len() > SHARES_PENDING {
                    self.pending.pop_first();
                }
                orders.push(Order::Submit(share));
            }
        }
    }

    /// A fault that is told when it happens and never when it ends.
    fn passing(&mut self, now: Time, code: FaultCode, place: String, detail: &str) {
        self.faults.raise(code, &place, detail);
        self.passing.insert((code, place), now + PASSING);
    }

    fn order(&mut self, order: Order) {
        if let Some(limits) = self.plan.product.map(|p| p.limits) {
            guard(&order, &limits);
        }
        self.orders.push_back(order);
    }
}

/// How a chain looks to heat.
fn seat(chain: &Chain) -> Seat {
    let powered = chain.is_powered();
    let load = if powered { chain.load() } else { 0.0 };
    Seat { powered, present: chain.is_plugged(), hashing: chain.is_hashing(), load }
}

/// The clock that heat and power allow; `None` is off.
fn clock_of(permit: Permit, draw: Draw) -> Option<Megahertz> {
    match (permit, draw) {
        (Permit::Run(clock), Draw::Run(most)) => Some(clock.min(most)),
        (Permit::Heat | Permit::Latched | Permit::NoProof, _) | (_, Draw::Off | Draw::Cut) => None,
    }
}

/// What tuning may use of what heat permits: a chain that is not held back may go beyond the factory's clock.
fn ceiling(permitted: Megahertz, limits: &Limits) -> Megahertz {
    if permitted >= limits.clock_nominal { limits.clock_max } else { permitted }
}

/// What a hand is called where people read it: the product's chains come first, then the processor's threads.
fn place(chains: usize, hand: ChainId) -> String {
    let id = usize::from(hand.0);
    if id < chains { format!("chain {id}") } else { format!("cpu {}", id - chains) }
}

fn chain_mut(chains: &mut [Chain], id: ChainId) -> Option<&mut Chain> {
    chains.get_mut(usize::from(id.0))
}

#[cfg(test)]
#[path = "brain_tests.rs"]
mod tests;
