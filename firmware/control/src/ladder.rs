//! A machine that is to hash and gives nothing at all: what is tried, one rung after the other.
//!
//! Fresh work first, which costs nothing. Each chain's own restart, with its chips' reset and its rail off and on, comes by itself after 30 s
//! (`bringup`), and one that gives too little is found by `health`. Then another connection to the pool, which takes the work from under all
//! chains and so must not come between. Only what none of that helps leads
//! to a new start of the program, and of the board; both are counted by the day outside of this process, which they end. Not here: who counts
//! and restarts (the supervisor).

use crate::{bringup::TIMING, poisson::too_few};
use model::Time;
use std::time::Duration;

/// How improbable silence must be, as -ln: less than once in 10^9.
const SURPRISE: f64 = 20.7;
/// Longest silence of a chain that is left alone, however slow it is.
const SILENCE_MOST: Duration = Duration::from_secs(3600);
/// The machine gave something for so long: the next silence begins at the lowest rung.
const WELL: Duration = Duration::from_secs(600);

/// How long a chain that would give so many nonces a second must be quiet to be called silent: so long that chance makes it so once in
/// 10^9 times, and never less than what is allowed behind a start.
#[must_use]
pub fn silence(nonces: f64) -> Duration {
    let least = TIMING.silence_first.as_secs_f64();
    let by_chance = if nonces > 0.0 { SURPRISE / nonces } else { 0.0 };
    Duration::from_secs_f64(by_chance.clamp(least, SILENCE_MOST.as_secs_f64()))
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Fresh work for every chain.
    Job,
    /// A new connection to the pool.
    Upstream,
    /// The program starts anew.
    Process,
    /// The control board starts anew.
    Board,
}

impl Rung {
    /// All in their order, each with the silence that leads to it and how often it is tried in a day.
    pub const ALL: [(Rung, Duration, u32); 4] = [
        (Rung::Job, Duration::from_secs(15), 96),
        (Rung::Upstream, Duration::from_secs(90), 48),
        // Three tries of every chain and the wait behind them are over by then.
        (Rung::Process, Duration::from_secs(600), 3),
        (Rung::Board, Duration::from_secs(1200), 1),
    ];

    /// The word used in the log and in the file of counts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Rung::Job => "job",
            Rung::Upstream => "upstream",
            Rung::Process => "process",
            Rung::Board => "board",
        }
    }
}

/// ```text
///  Well ──nothing for 15 s──▶ Job ──90 s──▶ Upstream ──600 s──▶ Process ──1200 s──▶ Board
///   ▲                          └──────────────┴── a nonce, 600 s ──┴─────────────────┘
///   └── each rung once a silence, so often a day
/// ```
#[derive(Debug, Default)]
pub struct Ladder {
    /// Since when nothing came, and what was promised since.
    silent: Option<(Time, f64)>,
    /// The last moment that was looked at, and what was promised a second from then on.
    looked: Option<(Time, f64)>,
    /// Rungs that were tried in this silence.
    tried: usize,
    well_since: Option<Time>,
    /// The day that is counted, and what was made of each rung in it.
    day: u64,
    made: [u32; Rung::ALL.len()],
}

impl Ladder {
    /// What was made of a rung today before this process began.
    pub fn made_before(&mut self, rung: Rung, count: u32) {
        if let Some(i) = Rung::ALL.iter().position(|r| r.0 == rung) {
            self.made[i] = self.made[i].saturating_add(count);
        }
    }

    /// A verified nonce came.
    pub fn nonce(&mut self, now: Time) {
        self.well_since.get_or_insert(now);
        if let Some(silent) = &mut self.silent {
            *silent = (now, 0.0);
        }
    }

    /// Follows the time. From `now` on the machine would give so many nonces a second if all were well; `None` where it is not to.
    pub fn tick(&mut self, now: Time, promised: Option<f64>) -> Option<Rung> {
        let day = now.micros() / 1_000_000 / 86_400;
        if day != self.day {
            (self.day, self.made) = (day, Default::default());
        }
        let Some(rate) = promised else {
            (self.silent, self.looked, self.tried, self.well_since) = (None, None, 0, None);
            return None;
        };
        let (from, before) = self.looked.replace((now, rate)).unwrap_or((now, rate));
        let silent = self.silent.get_or_insert((now, 0.0));
        silent.1 += before * now.since(from).as_secs_f64();
        let (since, mean) = *silent;
        if too_few(0, mean) <= SURPRISE || now.since(since) < Rung::ALL[0].1 {
            if self.well_since.is_some_and(|t| now.since(t) >= WELL) {
                self.tried = 0;
            }
            return None;
        }
        self.well_since = None;
        let (rung, after, most) = *Rung::ALL.get(self.tried)?;
        if now.since(since) < after {
            return None;
        }
        self.tried += 1;
        let made = &mut self.made[self.tried - 1];
        if *made >= most {
            return None;
        }
        *made += 1;
        Some(rung)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_chain_may_be_quiet_for_longer() {
        // Nonces a second, and seconds. A Bitaxe Max gives a report each four.
        for (nonces, seconds) in
            [(6.0, 10.0), (2.08, 10.0), (0.26, 79.6), (0.01, 2070.0), (0.0, 10.0), (1e-9, 3600.0), (f64::NAN, 10.0)]
        {
            assert!((silence(nonces).as_secs_f64() - seconds).abs() < 0.1, "{nonces}: {:?}", silence(nonces));
        }
    }

    /// Lets seconds pass and gives each rung with its second.
    fn run(l: &mut Ladder, from: u64, to: u64, rate: Option<f64>, nonces: bool) -> Vec<(u64, Rung)> {
        let mut rungs = vec![];
        for second in from..to {
            let now = Time::from_secs(second);
            if nonces {
                l.nonce(now);
            }
            rungs.extend(l.tick(now, rate).map(|r| (second - from, r)));
        }
        rungs
    }

    #[test]
    fn silence_climbs_each_rung_at_its_time_and_once() {
        let mut l = Ladder::default();
        assert_eq!(run(&mut l, 0, 1000, Some(90.0), true), []);
        let climbed = run(&mut l, 1000, 9000, Some(90.0), false);
        assert_eq!(climbed, [(14, Rung::Job), (89, Rung::Upstream), (599, Rung::Process), (1199, Rung::Board)]);
    }

    #[test]
    fn a_machine_that_seldom_says_anything_is_given_its_time() {
        let mut l = Ladder::default();
        let climbed = run(&mut l, 0, 600, Some(0.15), false);
        assert_eq!(climbed, [(139, Rung::Job), (140, Rung::Upstream)]);
        assert_eq!(run(&mut Ladder::default(), 0, 9000, Some(0.0), false), []);
        assert_eq!(run(&mut Ladder::default(), 0, 9000, None, false), []);
    }

    #[test]
    fn a_short_recovery_does_not_begin_anew_and_a_long_one_does() {
        let mut l = Ladder::default();
        assert_eq!(run(&mut l, 0, 100, Some(90.0), false).len(), 2);
        assert_eq!(run(&mut l, 100, 130, Some(90.0), true), []);
        assert_eq!(run(&mut l, 130, 260, Some(90.0), false), [], "job and pool were tried");
        assert_eq!(run(&mut l, 260, 1000, Some(90.0), true), []);
        assert_eq!(run(&mut l, 1000, 1100, Some(90.0), false).len(), 2);
    }

    #[test]
    fn a_pause_forgets_and_a_day_has_its_limits() {
        let mut l = Ladder::default();
        let mut counts = [0; 4];
        for round in 0..60 {
            for (_, rung) in run(&mut l, round * 1400, round * 1400 + 1300, Some(90.0), false) {
                counts[rung as usize] += 1;
            }
            l.tick(Time::from_secs(round * 1400 + 1350), None);
        }
        assert_eq!(counts, [60, 48, 3, 1]);
        assert_eq!(run(&mut l, 86_400, 87_700, Some(90.0), false).len(), 4, "the next day");
    }

    #[test]
    fn what_was_made_before_this_process_counts() {
        let mut l = Ladder::default();
        l.made_before(Rung::Process, 3);
        let climbed: Vec<Rung> = run(&mut l, 0, 1300, Some(90.0), false).into_iter().map(|r| r.1).collect();
        assert_eq!(climbed, [Rung::Job, Rung::Upstream, Rung::Board]);
    }
}
