//! The invariants, looked at from outside at every step of a simulation: in the physics, never in what the firmware believes.
//!
//! No chip above its danger limit with power for longer than a second, no order beyond the limits, no reading without full fans, no
//! power without enough fans, nothing told to a part that may only be asked, and healthy chains that keep their work while others
//! fail. What is sent to a pool is looked at on the wire (`link`).

use crate::machine::World;
use model::{Celsius, Limits, Megahertz, Percent, Time};
use std::time::Duration;

/// A chip may be above its danger limit for this long.
const DANGER_LIMIT: Duration = Duration::from_secs(1);
/// Temperatures of a board under power that are this old want full fans.
const UNREAD_FANS: Duration = Duration::from_secs(10);
/// The regulator has 5 s to say that it is off, then the supply is cut.
const CUT_LIMIT: Duration = Duration::from_secs(10);
/// A board whose chips measure themselves starts blind, at its lowest clock under full fans: half a minute to count and set up its
/// chips, and half a minute for their first word.
const BLIND_LIMIT: Duration = Duration::from_secs(60);
/// Power stays for so long where fewer fans turn than must: fans are read each 2 s and judged after 5, may be short for 30, and the
/// regulator has its time to say that it is off.
const FANS_LIMIT: Duration = Duration::from_secs(50);
/// What a duty of 100 % may lack: the controller has 255 steps.
const FULL_DUTY: Percent = Percent(99.5);
/// A regulator and a clock divider have steps: what is ordered at a limit may come out so much below it.
const STEP_BELOW: f64 = 0.99;
/// And so may a duty: the coarsest controller has 46 steps.
const DUTY_STEP: Percent = Percent(1.1);
/// A host looks at fans each 2 s: within two looks it has found that a controller was just plugged in.
const PLUGGED: Duration = Duration::from_secs(4);
/// More than the supply gives may be drawn for so long: an overload is judged over seconds, and each step down takes some to show.
const OVERLOAD_LIMIT: Duration = Duration::from_secs(120);
/// A job that supersedes all others must have come to every chain in so long.
const CLEAN_LIMIT: Duration = Duration::from_secs(1);
/// Violations that are kept; the first ones tell the story.
const VIOLATIONS_LIMIT: usize = 20;
/// Least part of their time that chains which nothing is wrong with spend on fresh work while another fails.
pub const FRESH_LEAST: f64 = 0.99;

/// Time that chains should have hashed, and time that they did, on work that was not done before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Chain-seconds while a pool offered a job.
    pub due: f64,
    /// Of these, on fresh work: as much of it as all chips would have tested. Candidates lie unevenly, so it may be a little more.
    pub fresh: f64,
}

impl Work {
    /// The part that was fresh; 1 where none was due.
    #[must_use]
    pub fn part(self) -> f64 {
        if self.due > 0.0 { self.fresh / self.due } else { 1.0 }
    }

    /// What was added since `before`.
    #[must_use]
    pub fn since(self, before: Work) -> Work {
        Work { due: self.due - before.due, fresh: self.fresh - before.fresh }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    hot_since: Option<Time>,
    powered_since: Option<Time>,
    /// It hashed, and no fault has touched it since.
    healthy: bool,
    /// A fault may touch it now.
    touched: bool,
    /// Candidates, and repeated ones, at the last look.
    hashes: (u64, u64),
}

/// The watcher of one simulation.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    chains: Vec<Seen>,
    /// Since when fewer fans turn than must.
    short_since: Option<Time>,
    /// Since when more is drawn than the supply gives.
    over_since: Option<Time>,
    hottest: Celsius,
    work: Work,
    /// What was told to parts that may only be asked, at the last look.
    trespasses: usize,
    looked_at: Time,
    violations: Vec<String>,
}

impl Watch {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(limits: Limits, chains: usize) -> Watch {
        let chains = vec![Seen::default(); chains];
        let (hottest, work, violations) = (Celsius(0.0), Work::default(), Vec::new());
        Watch {
            limits,
            chains,
            short_since: None,
            over_since: None,
            hottest,
            work,
            trespasses: 0,
            looked_at: Time::ZERO,
            violations,
        }
    }

    /// Notes what must never be.
    pub fn violate(&mut self, now: Time, what: &str) {
        if self.violations.len() < VIOLATIONS_LIMIT {
            self.violations.push(format!("{:.1} s: {what}", now.secs_f64()));
        }
    }

    /// What must never be and was.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// The hottest chip so far.
    #[must_use]
    pub fn hottest(&self) -> Celsius {
        self.hottest
    }

    /// What chains did that no fault touched.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }

    /// From now on a fault may touch these chains. Others than these, and after it none, must do their work.
    pub fn touch(&mut self, chains: &[usize]) {
        for (i, seen) in self.chains.iter_mut().enumerate() {
            seen.touched = chains.contains(&i);
            seen.healthy &= !seen.touched;
        }
    }

    /// Looks at everything; `offered` says whether a pool offers a job, and since when no older one counts.
    pub fn look(&mut self, now: Time, world: &World, offered: Option<Time>) {
        let passed = now.since(self.looked_at).as_secs_f64();
        self.looked_at = now;
        let (trespasses, address) = world.trespasses();
        if trespasses > self.trespasses {
            self.trespasses = trespasses;
            self.violate(now, &format!("part {address:#04x} was told what it must not be told"));
        }
        self.short_since = match world.fans_turning() < usize::from(self.limits.fans_min) {
            true => self.short_since.or(Some(now)),
            false => None,
        };
        self.look_at_power(now, world);
        for chain in 0..self.chains.len() {
            self.look_at_heat(now, chain, world);
            self.look_at_orders(now, chain, world);
            self.look_at_proof(now, chain, world);
            self.look_at_work(now, chain, world, offered, passed);
        }
    }

    fn look_at_power(&mut self, now: Time, world: &World) {
        let (power, most) = (world.power(), self.limits.power_max);
        self.over_since = if power > most { self.over_since.or(Some(now)) } else { None };
        if self.over_since.is_some_and(|t| now.since(t) > OVERLOAD_LIMIT) {
            self.violate(now, &format!("{power:.0} are drawn where {most:.0} are given"));
        }
    }

    fn look_at_heat(&mut self, now: Time, chain: usize, world: &World) {
        let Some(chip) = world.chip_temperature(chain) else { return };
        self.hottest = self.hottest.max(chip);
        if chip <= self.limits.danger {
            self.chains[chain].hot_since = None;
            return;
        }
        let since = *self.chains[chain].hot_since.get_or_insert(now);
        let on = world.rail(chain).is_some_and(|v| v.0 > 0.0);
        if on && now.since(since) > DANGER_LIMIT {
            self.violate(now, &format!("chain {chain} has power at {chip:.1}"));
        }
    }

    fn look_at_orders(&mut self, now: Time, chain: usize, world: &World) {
        if world.rail(chain).is_some_and(|v| v > self.limits.rail_max) {
            self.violate(now, &format!("chain {chain} has a rail above {}", self.limits.rail_max));
        }
        // One chip too fast among many does not show in their mean.
        if world.fastest(chain).is_some_and(|c| c.0 > self.limits.clock_max.0 + 1e-6) {
            self.violate(now, &format!("chain {chain} has a clock above {}", self.limits.clock_max));
        }
        let (rail, clock) = (world.rail(chain).unwrap_or_default(), world.clock(chain).unwrap_or_default());
        let works = rail.0 > 0.0 && clock.0 > 0.0 && world.hashing(chain);
        // What a sagging supply makes of a rail nobody ordered.
        if works && !world.sags() && rail.0 < self.limits.rail_min.0 * STEP_BELOW {
            self.violate(now, &format!("chain {chain} works at a rail of {rail:.2}, below {}", self.limits.rail_min));
        }
        if works && clock.0 < self.limits.clock_min.0 * STEP_BELOW {
            self.violate(now, &format!("chain {chain} works at {clock:.1}, below {}", self.limits.clock_min));
        }
        // Chips in reset warm nothing: a rail that nothing can switch off is there before the first order.
        let on = rail.0 > 0.0 && !(world.is_unswitched(chain) && clock.0 <= 0.0);
        let low = |d: &Percent| d.0 < self.limits.duty_min.0 - DUTY_STEP.0;
        // What is plugged in while its power is on cannot have been told before.
        let new = world.plugged_at(chain).is_some_and(|t| t > Time::ZERO && now.since(t) < PLUGGED);
        if let Some(duty) = world.duty().filter(|d| on && !new && low(d)) {
            self.violate(now, &format!("chain {chain} has power and fans are told {duty:.1}, below {}", self.limits.duty_min));
        }
    }

    fn look_at_proof(&mut self, now: Time, chain: usize, world: &World) {
        // A board that nothing else can switch off is off when its chips are held in reset.
        let clock = world.clock(chain).unwrap_or(Megahertz(0.0));
        let held = world.is_unswitched(chain) && clock.0 <= 0.0;
        if held || world.rail(chain).is_none_or(|v| v.0 <= 0.0) {
            self.chains[chain].powered_since = None;
            return;
        }
        // A board that was just given power was not to be read before.
        let since = *self.chains[chain].powered_since.get_or_insert(now);
        if self.short_since.is_some_and(|t| now.since(t) > FANS_LIMIT && now.since(since) > CUT_LIMIT) {
            self.violate(now, &format!("chain {chain} has power and {} fans turn", world.fans_turning()));
        }
        let read = world.unread_since(chain).unwrap_or(now);
        // Chips that measure themselves could not be read while they were off, nor before they are set up at their lowest clock.
        let own = world.is_self_measured(chain);
        let unread = now.since(if own { read.max(since) } else { read });
        if unread > UNREAD_FANS && now.since(since) > UNREAD_FANS && world.duty().is_some_and(|d| d < FULL_DUTY) {
            self.violate(now, &format!("chain {chain} has a temperature {unread:.0?} old and the fans are not full"));
        }
        let blind = own && read < since && clock <= self.limits.clock_min;
        let limit = self.limits.reading_age_max * 3 + CUT_LIMIT;
        if unread > if blind { limit.max(BLIND_LIMIT) } else { limit } {
            self.violate(now, &format!("chain {chain} has a temperature {unread:.0?} old and power"));
        }
    }

    /// Fresh is a candidate that was not tested before, of a job that no other has superseded; a chain's time is fresh as far as it tests
    /// what all its chips would at their clock.
    fn look_at_work(&mut self, now: Time, chain: usize, world: &World, offered: Option<Time>, passed: f64) {
        let due = if offered.is_some() { passed } else { 0.0 };
        let (hashes, hashing) = (world.hashes(chain), world.hashing(chain));
        let seen = &mut self.chains[chain];
        let (tested, repeated) = (hashes.0 - seen.hashes.0, hashes.1 - seen.hashes.1);
        seen.hashes = hashes;
        seen.healthy |= hashing && !seen.touched;
        if seen.healthy {
            self.work.due += due;
            let clean = offered.unwrap_or_default() + CLEAN_LIMIT;
            let stale = now > clean && world.job_at(chain).is_none_or(|at| at + CLEAN_LIMIT < clean);
            let most = world.candidates_due(chain);
            let counts = hashing && due > 0.0 && !stale && most > 0.0;
            self.work.fresh += if counts { (tested - repeated) as f64 / most } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{buses, lock};
    use hwdrivers::bus::Message;
    use hwdrivers::chip::Scale;
    use std::sync::{Arc, Mutex};

    const SCALE: Scale = Scale { zero_bits: 0, scale_bits: 36, stretch_bits: 0 };

    /// A pool offers a job that superseded none.
    const FRESH: Option<Time> = Some(Time::ZERO);

    #[test]
    fn power_on_a_board_that_nobody_reads_is_seen() {
        let product = &board::antminer_s19jpro::PRODUCT;
        let mut watch = Watch::new(product.limits, product.hashboards.len());
        let world = Arc::new(Mutex::new(World::new(product, 1, SCALE)));
        let mut handles = buses(&world);
        let end = Time::from_secs(26);
        lock(&world).advance(end);
        watch.look(end, &lock(&world), FRESH);
        assert_eq!(watch.violations, Vec::<String>::new());
        handles.gpio.set(65, true).expect("a line");
        let enable = [0x55, 0xaa, 5, 0x15, 1, 0, 0x1b];
        handles.i2c.transfer(0x21, &mut [Message::Write(&enable)]).expect("answers");
        watch.look(end, &lock(&world), FRESH);
        let told = ["has power and fans are told 0.0 %, below 20 %", "has a temperature 26s old and power"];
        assert_eq!(watch.violations, told.map(|what| format!("26.0 s: chain 1 {what}")));
    }

    #[test]
    fn a_part_that_is_written_to_and_must_not_be_is_seen() {
        let product = &board::antminer_s19jpro::PRODUCT;
        let mut watch = Watch::new(product.limits, product.hashboards.len());
        let world = Arc::new(Mutex::new(World::new(product, 1, SCALE)));
        let mut handles = buses(&world);
        let mut tell = |address, bytes: &[u8]| handles.i2c.transfer(address, &mut [Message::Write(bytes)]).expect("answers");
        let enable = [0x55, 0xaa, 5, 0x15, 1, 0, 0x1b];
        tell(0x20, &enable);
        tell(0x50, &[0]);
        let look = |watch: &mut Watch| {
            watch.look(Time::from_secs(1), &lock(&world), FRESH);
            watch.violations.len()
        };
        assert_eq!(look(&mut watch), 0);
        tell(0x50, &[0, 1]);
        assert_eq!(look(&mut watch), 1, "an EEPROM");
        assert_eq!(look(&mut watch), 1, "once");
        lock(&world).set_eeprom(0, Some(b"\x05\x11\x00\x00BHB56902"));
        lock(&world).pull_for(0, Duration::from_secs(5));
        lock(&world).advance(Time::from_secs(9));
        tell(0x20, &enable);
        assert_eq!(look(&mut watch), 2, "a strange board's controller");
        lock(&world).fall_into_loader(1);
        lock(&world).advance(Time::from_secs(13));
        tell(0x21, &enable);
        assert_eq!(look(&mut watch), 3, "a boot loader");
        assert_eq!(lock(&world).rail(1), Some(model::Volt(0.0)));
    }

    #[test]
    fn only_time_of_chains_that_hashed_and_that_nothing_touches_is_due() {
        let half = Work { due: 4.0, fresh: 2.0 };
        assert_eq!((half.part(), Work::default().part()), (0.5, 1.0));
        assert_eq!(half.since(Work { due: 3.0, fresh: 2.0 }).part(), 0.0);
        let product = &board::antminer_s19jpro::PRODUCT;
        let world = World::new(product, 1, SCALE);
        let mut watch = Watch::new(product.limits, 3);
        watch.look(Time::from_secs(1), &world, FRESH);
        assert_eq!(watch.work().due, 0.0, "none has hashed yet");
        watch.chains.iter_mut().for_each(|c| c.healthy = true);
        watch.touch(&[1]);
        watch.look(Time::from_secs(2), &world, FRESH);
        assert_eq!((watch.work().due, watch.work().fresh), (2.0, 0.0), "two chains hash no more");
        watch.look(Time::from_secs(3), &world, None);
        assert_eq!(watch.work().due, 2.0, "nobody offers a job");
    }
}
