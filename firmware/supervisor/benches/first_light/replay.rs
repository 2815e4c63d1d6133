//! The replies of a machine's chains, recorded from simulated chips and played to the real drivers, their hands and the decider, in
//! virtual time.
//!
//! Everything else of the machine says yes: its supply, its rails, and thermometers and fans that are well. So the same
//! recording gives the same instructions every time. Not here: counting them (`instructions`).

use anyhow::{Context, bail};
use control::{Brain, Fact, Order, Plan};
use hwdrivers::bus::{BusError, Uart};
use hwdrivers::chip::bm13xx::chain::Chain;
use model::{
    Baud, Celsius, ChainId, CoinbaseJob, FanId, Hash, Job, JobBody, JobId, Rpm, SensorId, Target, Time, UpstreamId, Volt,
};
use rig::{ChainHand, Hand, Rig};
use sim::chip::SimChain;
use sim::real_time::SCALE;
use std::collections::VecDeque;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What starts this program as a replay: `--replay FILE MODE`.
pub const ARGUMENT: &str = "--replay";
/// Length of what is compared. A chain that is silent for 30 s counts as failed.
pub const STRETCH: Duration = Duration::from_secs(20);
/// The same in the short replay.
pub const SHORT: Duration = Duration::from_secs(10);

const PRODUCT: &model::Product = &board::antminer_s19jpro::PRODUCT;
/// When the chains are at full work in any case, and the comparison begins.
const BEGIN: Time = Time::from_secs(60);
/// Step of the recording: what a reply is late by at most.
const STEP: Duration = Duration::from_millis(2);
/// Thermometers and fans tell this often.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Jobs of a pool, and those of [`Mode::Jobs`].
const JOB_EVERY: Duration = Duration::from_secs(30);
const JOB_OFTEN: Duration = Duration::from_millis(100);

/// What is played behind [`BEGIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No replies, for [`SHORT`].
    Short,
    /// No replies.
    Quiet,
    /// The recorded replies.
    Nonces,
    /// No replies, and a clean job ten times a second.
    Jobs,
}

impl Mode {
    const ALL: [Mode; 4] = [Mode::Short, Mode::Quiet, Mode::Nonces, Mode::Jobs];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Short => "short",
            Mode::Quiet => "quiet",
            Mode::Nonces => "nonces",
            Mode::Jobs => "jobs",
        }
    }
}

/// What a replay did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Nonces that were verified.
    pub nonces: u64,
    /// Jobs that the pool sent.
    pub jobs: u64,
}

impl Told {
    /// As a replay prints it.
    pub fn parse(text: &str) -> anyhow::Result<Told> {
        let numbers: Vec<u64> = text.split_whitespace().map_while(|w| w.parse().ok()).collect();
        let [nonces, jobs] = numbers[..] else { bail!("read what the replay did: '{}'", text.trim()) };
        Ok(Told { nonces, jobs })
    }
}

/// Replies as they came: when, from which chain, and which bytes.
type Replies = Vec<(Time, usize, Vec<u8>)>;
/// Simulated chips, of each chain.
type Chips = Vec<Arc<Mutex<SimChain>>>;

/// Lets simulated chips work on the jobs that a replay gets, and writes their replies into a file.
pub fn record(file: &Path) -> anyhow::Result<()> {
    let chain = |(board, seed): (&model::Hashboard, u64)| Arc::new(Mutex::new(SimChain::new(board.chain, seed, SCALE)));
    let chips: Chips = PRODUCT.hashboards.iter().zip(1..).map(chain).collect();
    let (clock, replies) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Replies::new())));
    let line = |(at, chips): (usize, &Arc<Mutex<SimChain>>)| {
        let (chips, clock, replies) = (Arc::clone(chips), Arc::clone(&clock), Arc::clone(&replies));
        Box::new(Recorder { at, chips, clock, baud: Baud(115_200), replies }) as Box<dyn Uart>
    };
    let lines = chips.iter().enumerate().map(line).collect();
    let mut bench = Bench::new(lines, Arc::clone(&clock), chips);
    let mut now = Time::ZERO;
    while now < BEGIN + STRETCH {
        bench.turn(now, JOB_EVERY);
        now = now + STEP;
    }
    let mut text = String::new();
    for (at, chain, bytes) in replies.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        writeln!(text, "{} {chain} {hex}", at.micros()).expect("a string takes all");
    }
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// What this program is when it is started as a replay.
pub fn child(mut args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let (file, word) = (args.next().context("a replay takes a file")?, args.next().unwrap_or_default());
    let mode = Mode::ALL.into_iter().find(|m| m.word() == word).context("a replay takes a mode")?;
    let told = play(read(Path::new(&file))?, mode);
    println!("{} {}", told.nonces, told.jobs);
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Replies> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let reply = |line: &str| {
        let mut words = line.split(' ');
        let (at, chain, hex) = (words.next()?, words.next()?, words.next()?);
        let bytes = hex.as_bytes().chunks(2).map(|h| u8::from_str_radix(std::str::from_utf8(h).ok()?, 16).ok());
        Some((Time::from_micros(at.parse().ok()?), chain.parse().ok()?, bytes.collect::<Option<Vec<u8>>>()?))
    };
    text.lines().map(|l| reply(l).with_context(|| format!("read the reply '{l}'"))).collect()
}

fn play(mut replies: Replies, mode: Mode) -> Told {
    if mode != Mode::Nonces {
        replies.retain(|(at, ..)| *at < BEGIN);
    }
    let times: Vec<Time> = replies.iter().map(|(at, ..)| *at).collect();
    let clock = Arc::new(AtomicU64::new(0));
    let line = |chain| {
        let own = replies.iter().filter(|(_, of, _)| *of == chain).map(|(at, _, bytes)| (*at, bytes.clone()));
        Box::new(Player { replies: own.collect(), clock: Arc::clone(&clock) }) as Box<dyn Uart>
    };
    let lines = (0..PRODUCT.hashboards.len()).map(line).collect();
    let mut bench = Bench::new(lines, Arc::clone(&clock), vec![]);
    let end = BEGIN + if mode == Mode::Short { SHORT } else { STRETCH };
    let (mut now, mut next) = (Time::ZERO, 0);
    while now < end {
        let often = mode == Mode::Jobs && now >= BEGIN;
        bench.turn(now, if often { JOB_OFTEN } else { JOB_EVERY });
        while times.get(next).is_some_and(|at| *at <= now) {
            next += 1;
        }
        let arrival = times.get(next).copied().unwrap_or(Time::NEVER);
        // As the program's threads sleep: until something is due, a job or a byte arrives.
        now = bench.rig.wake_at().min(arrival).min(bench.job_at).min(if now < BEGIN { BEGIN } else { end }).max(now + STEP);
    }
    let status = bench.rig.status(now);
    Told { nonces: status.chains.iter().map(|c| c.nonces).sum(), jobs: bench.jobs }
}

/// The firmware of a machine, and its pool.
struct Bench {
    rig: Rig,
    clock: Arc<AtomicU64>,
    jobs: u64,
    job_at: Time,
    /// How far apart jobs are now.
    apart: Duration,
}

impl Bench {
    fn new(lines: Vec<Box<dyn Uart>>, clock: Arc<AtomicU64>, chips: Chips) -> Bench {
        let hand = |((id, board), line): ((u8, &model::Hashboard), Box<dyn Uart>)| {
            Box::new(ChainHand::new(ChainId(id), Box::new(Chain::new(line, &board.chain, SCALE)), SCALE)) as Box<dyn Hand>
        };
        let chains = (0u8..).zip(PRODUCT.hashboards).zip(lines).map(hand).collect();
        let plan = Plan {
            product: Some(PRODUCT),
            upstreams: 1,
            autostart: true,
            small_cores: hwdrivers::chip::small_cores(PRODUCT.hashboards[0].chain.chip),
            cpus: 0,
            cpu_hashes_per_second: 0.0,
            cooling: model::Cooling::default(),
        };
        let board = Agreeable { chips, facts: Vec::new(), due: Time::ZERO, told: 0 };
        let rig = Rig::new(Brain::new(Time::ZERO, plan), chains, Some(Box::new(board)), vec![]);
        Bench { rig, clock, jobs: 0, job_at: Time::ZERO, apart: JOB_EVERY }
    }

    fn turn(&mut self, now: Time, apart: Duration) {
        self.clock.store(now.micros(), Ordering::Relaxed);
        if apart != self.apart {
            (self.apart, self.job_at) = (apart, now);
        }
        if now >= self.job_at {
            if self.jobs == 0 {
                self.rig.turn(now);
                self.rig.tell(now, Fact::UpstreamReady(UpstreamId(0)));
            }
            self.rig.tell(now, Fact::Job(job(self.jobs)));
            (self.jobs, self.job_at) = (self.jobs + 1, now + apart);
        }
        self.rig.turn(now);
        // There is no pool on a wire.
        while self.rig.next_net().is_some() {}
    }
}

/// A job as a pool of Bitcoin sends it, that no hash is a share of.
fn job(n: u64) -> Job {
    let body = CoinbaseJob {
        version: 0x2000_0000,
        version_mask: 0x1fff_e000,
        previous: Hash([1; 32]),
        coinbase_prefix: vec![1; 60],
        coinbase_suffix: vec![2; 110],
        extranonce1: vec![3; 4],
        extranonce2_size: 4,
        branch: vec![Hash([3; 32]); 12],
        bits: 0x1d00_ffff,
        time: 1_700_000_000,
    };
    Job {
        id: JobId(n),
        upstream: UpstreamId(0),
        name: format!("{n:x}"),
        body: JobBody::Coinbase(body),
        target: Target::from_zero_bits(200),
        clean: true,
    }
}

/// The rest of a machine: it does what it is told and is well.
struct Agreeable {
    /// Chips that feel power and reset; none where their replies are played.
    chips: Chips,
    facts: Vec<Fact>,
    due: Time,
    told: u32,
}

impl Agreeable {
    fn chips(&self, of: ChainId, act: impl Fn(&mut SimChain)) {
        let chips = self.chips.get(usize::from(of.0));
        chips.into_iter().for_each(|c| act(&mut c.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}

impl Hand for Agreeable {
    fn obey(&mut self, now: Time, order: Order) {
        match order {
            Order::Supply(volt) => self.facts.push(Fact::Supply(Ok(volt))),
            Order::Rail { chain, volt } => {
                self.facts.push(Fact::Rail { chain, value: Ok(volt) });
                self.chips(chain, |c| c.set_power(now, volt.unwrap_or(Volt(0.0))));
            }
            Order::Reset { chain, held } => self.chips(chain, |c| c.set_reset(now, held)),
            _ => {}
        }
    }

    fn turn(&mut self, now: Time, facts: &mut Vec<Fact>) {
        facts.append(&mut self.facts);
        if now < self.due {
            return;
        }
        (self.due, self.told) = (now + TELL_EVERY, self.told + 1);
        // One that stood still would be broken.
        let value = Ok(Celsius(50.0 + f64::from(self.told % 5) / 16.0));
        let mut sensors = (0u8..).map(SensorId);
        for (chain, board) in (0u8..).map(ChainId).zip(PRODUCT.hashboards) {
            facts.push(Fact::Plugged { chain, plugged: true });
            let own = sensors.by_ref().take(board.sensors.len());
            facts.extend(own.map(|sensor| Fact::Temperature { sensor, chain, value: value.clone() }));
        }
        facts.extend((0..PRODUCT.fans).map(|fan| Fact::FanSpeed { fan: FanId(fan), value: Ok(Some(Rpm(4000.0))) }));
    }

    fn wake_at(&self) -> Time {
        if self.facts.is_empty() { self.due } else { Time::ZERO }
    }
}

/// A line to simulated chips that writes down what they say.
struct Recorder {
    /// Which chain.
    at: usize,
    chips: Arc<Mutex<SimChain>>,
    clock: Arc<AtomicU64>,
    baud: Baud,
    replies: Arc<Mutex<Replies>>,
}

impl Recorder {
    fn now(&self) -> Time {
        Time::from_micros(self.clock.load(Ordering::Relaxed))
    }
}

impl Uart for Recorder {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        self.chips.lock().unwrap_or_else(PoisonError::into_inner).tell_bytes(self.now(), self.baud, bytes);
        Ok(())
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        let n = self.chips.lock().unwrap_or_else(PoisonError::into_inner).take_bytes(self.now(), self.baud, buffer);
        if n > 0 {
            self.replies.lock().unwrap_or_else(PoisonError::into_inner).push((self.now(), self.at, buffer[..n].to_vec()));
        }
        Ok(n)
    }
    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        self.baud = baud;
        Ok(())
    }
}

/// A line on which recorded replies arrive again, as on one that wakes its owner.
struct Player {
    replies: VecDeque<(Time, Vec<u8>)>,
    clock: Arc<AtomicU64>,
}

impl Uart for Player {
    fn write(&mut self, _: &[u8]) -> Result<(), BusError> {
        Ok(())
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        let now = Time::from_micros(self.clock.load(Ordering::Relaxed));
        let Some((_, bytes)) = self.replies.pop_front_if(|(at, _)| *at <= now) else { return Ok(0) };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
    fn set_baud(&mut self, _: Baud) -> Result<(), BusError> {
        Ok(())
    }
    fn wakes(&self) -> bool {
        true
    }
}
