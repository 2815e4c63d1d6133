//! Whether a chain hashes what its clock and chips promise. One that gives far less, because it was cut while it worked or half of
//! it hangs, answers its registers and reports nonces; only their number tells.
//!
//! What is seen is held against the fewest that a well chain would show (`poisson`). It is looked at over every span from one minute
//! to ten, so that a heavy loss is seen soon and a lighter one surely. Not here: chains that say nothing at all (`bringup` knows after
//! 10 to 20 s), and what is done about a finding (`brain`).

use crate::poisson::too_few;
use model::{FaultCode, Time};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// What a chain must give of its promise. Below it are a loss of more than every fifth chip and a line that loses every fifth frame; a
/// lighter loss is left alone, for a restart costs half a minute and a busy host may cost as much.
const TOLERATED: f64 = 0.8;
/// How improbable a finding must be for a chain that is just tolerable, as -ln: less than once in 10^9 looks, and far rarer for
/// a well one.
const SURPRISE: f64 = 20.7;
/// Hashing time that is counted together.
const SLOT: Duration = Duration::from_secs(10);
/// Shortest span that is judged: below a minute a hiccup of line or host would count as a loss. In slots.
const SPAN_MIN: usize = 6;
/// Longest span, in slots: ten minutes, as the rate that is shown.
const SPAN_MAX: usize = 60;
/// From so many slots on a chain that gives what is tolerated counts as well again.
const SPAN_WELL: usize = 12;
/// A chain is restarted for this at most so often: one that is no better for it works on as it is, with its fault shown.
pub const RESTART_EVERY: Duration = Duration::from_secs(3600);

/// What the count shows, told at the end of each slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// It gives what it must.
    Well,
    /// It gives too little.
    Slow {
        /// Nonces that were seen.
        found: u64,
        /// Nonces that were promised in the same time.
        promised: f64,
        /// That time.
        span: Duration,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    found: u64,
    promised: f64,
    span: Duration,
}

/// One chain's count.
#[derive(Debug, Default)]
pub struct Health {
    full: VecDeque<Slot>,
    filling: Slot,
    /// Until when time was counted, and what was promised a second from then on.
    passed: Option<(Time, f64)>,
    /// When it was restarted last, for which reason.
    restarted: BTreeMap<FaultCode, Time>,
}

impl Health {
    /// Counts one verified nonce that was not seen before.
    pub fn nonce(&mut self) {
        self.filling.found += 1;
    }

    /// Lets time pass. From `now` on the chain promises so many nonces a second; `None` where it does not hash or has no work,
    /// which begins the count anew.
    pub fn pass(&mut self, now: Time, per_second: Option<f64>) -> Option<Finding> {
        let Some(rate) = per_second else {
            *self = Health { restarted: std::mem::take(&mut self.restarted), ..Health::default() };
            return None;
        };
        let Some((from, before)) = self.passed.replace((now, rate)) else {
            self.filling = Slot::default();
            return None;
        };
        let span = now.since(from);
        self.filling.promised += before * span.as_secs_f64();
        self.filling.span += span;
        if self.filling.span < SLOT {
            return None;
        }
        self.full.push_back(std::mem::take(&mut self.filling));
        if self.full.len() > SPAN_MAX {
            self.full.pop_front();
        }
        self.judge()
    }

    /// Whether a restart is worth a try for this reason; notes it as made.
    pub fn may_restart(&mut self, now: Time, why: FaultCode) -> bool {
        let may = self.restarted.get(&why).is_none_or(|at| now.since(*at) >= RESTART_EVERY);
        if may {
            self.restarted.insert(why, now);
        }
        may
    }

    fn judge(&self) -> Option<Finding> {
        // Nothing at all is silence.
        if self.full.back()?.found == 0 {
            return None;
        }
        let mut sum = Slot::default();
        for (count, slot) in (1..).zip(self.full.iter().rev()) {
            sum.found += slot.found;
            sum.promised += slot.promised;
            sum.span += slot.span;
            if count >= SPAN_MIN && too_few(sum.found, TOLERATED * sum.promised) > SURPRISE {
                return Some(Finding::Slow { found: sum.found, promised: sum.promised, span: sum.span });
            }
        }
        let well = self.full.len() >= SPAN_WELL && sum.found as f64 >= TOLERATED * sum.promised;
        well.then_some(Finding::Well)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even numbers from 0 to 1 (SplitMix64), the same for the same seed.
    struct Luck(u64);

    impl Luck {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
        }

        /// Time to the next event of so many a second.
        fn wait(&mut self, per_second: f64) -> f64 {
            -(1.0 - self.next()).ln() / per_second
        }
    }

    /// A chain that promises `rate` nonces a second and gives `part` of them by chance.
    struct Chance {
        health: Health,
        luck: Luck,
        now: f64,
    }

    impl Chance {
        fn new(seed: u64) -> Chance {
            Chance { health: Health::default(), luck: Luck(seed), now: 0.0 }
        }

        /// Runs for so many seconds; gives when, from its beginning, it was first found slow and first well.
        fn run(&mut self, seconds: f64, rate: f64, part: f64) -> (Option<f64>, Option<f64>) {
            let (begun, end) = (self.now, self.now + seconds);
            let (mut slow, mut well) = (None, None);
            let mut next = if part > 0.0 { self.now + self.luck.wait(rate * part) } else { f64::INFINITY };
            while self.now < end {
                self.now += 1.0;
                while next <= self.now {
                    self.health.nonce();
                    next += self.luck.wait(rate * part);
                }
                match self.health.pass(Time::from_micros((self.now * 1e6) as u64), Some(rate)) {
                    Some(Finding::Slow { .. }) => slow = slow.or(Some(self.now - begun)),
                    Some(Finding::Well) => well = well.or(Some(self.now - begun)),
                    None => {}
                }
            }
            (slow, well)
        }
    }

    #[test]
    fn a_well_chain_is_never_found_slow() {
        // Simulated in process, on a pty or hardware's S19j Pro, and a single small chip.
        for (rate, hours) in [(1.93, 24.0), (31.0, 4.0), (0.15, 24.0)] {
            for seed in 0..20 {
                for part in [1.0, 0.95, 0.85] {
                    let (slow, well) = Chance::new(seed).run(hours * 3600.0, rate, part);
                    assert_eq!(slow, None, "rate {rate}, part {part}, seed {seed}");
                    assert!(well.is_some(), "rate {rate}, part {part}, seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_loss_is_found_within_its_time() {
        // Rate, what is left, and seconds until it must be found after an hour of good work.
        for (rate, part, limit) in [
            (31.0, 0.01, 60.0),
            (31.0, 0.5, 60.0),
            (31.0, 0.7, 300.0),
            (1.93, 0.1, 90.0),
            (1.93, 0.32, 150.0),
            (1.93, 0.5, 360.0),
            (0.6, 0.3, 600.0),
        ] {
            for seed in 0..20 {
                let mut c = Chance::new(seed);
                assert_eq!(c.run(3600.0, rate, 1.0).0, None);
                let (slow, _) = c.run(1800.0, rate, part);
                assert!(slow.is_some_and(|s| s <= limit), "rate {rate}, part {part}, seed {seed}: {slow:?}");
            }
        }
    }

    #[test]
    fn silence_is_left_to_those_who_know_it() {
        let mut c = Chance::new(1);
        c.run(600.0, 31.0, 1.0);
        assert_eq!(c.run(600.0, 31.0, 0.0).0, None);
    }

    #[test]
    fn what_came_before_a_pause_counts_for_nothing() {
        let mut c = Chance::new(1);
        c.run(50.0, 1.93, 0.1);
        let now = Time::from_micros((c.now * 1e6) as u64);
        assert_eq!(c.health.pass(now, None), None);
        assert_eq!(c.run(3600.0, 1.93, 1.0).0, None);
    }

    #[test]
    fn a_lower_clock_promises_less() {
        let mut c = Chance::new(1);
        c.run(600.0, 31.0, 1.0);
        assert_eq!(c.run(600.0, 15.5, 1.0).0, None);
    }

    #[test]
    fn a_restart_is_made_once_an_hour() {
        let mut h = Health::default();
        let asked = [10, 20, 3609, 3610, 3611].map(|s| h.may_restart(Time::from_secs(s), FaultCode::ChainSlow));
        assert_eq!(asked, [true, false, false, true, false]);
        h.pass(Time::from_secs(3700), None);
        assert!(!h.may_restart(Time::from_secs(3701), FaultCode::ChainSlow), "a pause does not forget it");
        assert!(h.may_restart(Time::from_secs(3701), FaultCode::HardwareErrors), "that is another trouble");
    }
}
