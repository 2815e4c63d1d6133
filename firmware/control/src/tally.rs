//! Counts of a hand's nonces, and the rate that they show.
//!
//! The rate is what was verified, never what a clock promises. Not here: duplicates (`schedule` finds them first).

use model::Time;
use std::{collections::VecDeque, time::Duration};

/// One slot of the rolling window.
const SLOT: Duration = Duration::from_secs(10);
/// Ten minutes of slots: long enough for one chain's Poisson noise to fall to a few percent.
const SLOTS: u64 = 60;
/// Below so many wrong nonces in the window a share of them says nothing.
const ERRORS_MIN: u64 = 20;
/// Wrong nonces that make a fault, as a part of all; it ends at half of that.
const ERRORS_PART: f64 = 0.05;
/// Wrong nonces go on where the last slots show them, at least so many: what is long over is no reason to do anything.
const LATELY_SLOTS: u64 = 6;
const LATELY_MIN: u64 = 2;
/// Wrong too often for so long: noise may have left a register wrong, which only a start sets right.
const ERRS_LONG: Duration = Duration::from_secs(600);
/// Where lately more than this part is wrong it is no weak chip that errs: without its ticket, a chain reports 256 for each that counts.
const ASTRAY_PART: f64 = 0.9;
const ASTRAY_LONG: Duration = Duration::from_secs(60);

/// One hand's counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Verified, non-duplicate nonces since start.
    pub nonces: u64,
    /// Shares of it that a pool accepted since start.
    pub accepted: u64,
    /// Wrong ones since start.
    pub hardware_errors: u64,
    /// Damaged frames since start, as last told.
    pub frame_errors: u64,
    /// One nonce counts as 2^this hashes.
    pub nonce_bits: u8,
    /// When the hand first took work.
    pub since: Option<Time>,
    /// Since when too many of its nonces are wrong.
    errs_since: Option<Time>,
    /// The first slot whose nonces say how well it computes now: what was wrong before a start says nothing of what comes after it.
    judged_from: u64,
    slots: VecDeque<(u64, u64, u64)>,
}

impl Tally {
    /// Counts one verified nonce.
    pub fn nonce(&mut self, now: Time) {
        self.nonces += 1;
        self.slot(now).1 += 1;
    }

    /// Counts one wrong nonce.
    pub fn hardware_error(&mut self, now: Time) {
        self.hardware_errors += 1;
        self.slot(now).2 += 1;
    }

    /// Hashes a second that the verified nonces of the window show.
    #[must_use]
    pub fn hashes_per_second(&self, now: Time) -> f64 {
        self.per_second(now) * f64::from(self.nonce_bits).exp2()
    }

    /// Verified nonces a second over the window, or since the start where that is less.
    #[must_use]
    pub fn per_second(&self, now: Time) -> f64 {
        let Some(since) = self.since else { return 0.0 };
        let oldest = number(now).saturating_sub(SLOTS - 1);
        let from = Time::from_secs(oldest * SLOT.as_secs()).max(since);
        let found: u64 = self.slots.iter().filter(|s| s.0 >= oldest).map(|s| s.1).sum();
        // Below a second the quotient is noise.
        found as f64 / now.since(from).as_secs_f64().max(1.0)
    }

    /// Whether the hand computes wrongly too often; `already` is the answer so far.
    fn errs(&self, now: Time, already: bool) -> bool {
        let (good, bad) = self.judged(now, SLOTS);
        let part = if already { ERRORS_PART / 2.0 } else { ERRORS_PART };
        bad >= ERRORS_MIN && bad as f64 > part * (good + bad) as f64
    }

    /// The same, and notes since when.
    pub fn judge(&mut self, now: Time, already: bool) -> bool {
        let errs = self.errs(now, already);
        self.errs_since = self.errs_since.or(Some(now)).filter(|_| errs);
        errs
    }

    /// Whether too many have been wrong for so long, and still are, that a start is worth a try.
    #[must_use]
    pub fn asks_for_start(&self, now: Time) -> bool {
        let Some(long) = self.errs_since.map(|t| now.since(t)) else { return false };
        let (good, bad) = self.judged(now, LATELY_SLOTS);
        let more = |least, part: f64| bad >= least && bad as f64 > part * (good + bad) as f64;
        let astray = long >= ASTRAY_LONG && more(ERRORS_MIN, ASTRAY_PART);
        astray || (long >= ERRS_LONG && more(LATELY_MIN, ERRORS_PART / 2.0))
    }

    /// Its chips are set anew, or will be: how well they compute is judged by what comes from here on.
    pub fn judge_anew(&mut self, now: Time) {
        (self.judged_from, self.errs_since) = (number(now) + 1, None);
    }

    /// Right and wrong ones of the last so many slots that still say something.
    fn judged(&self, now: Time, slots: u64) -> (u64, u64) {
        let oldest = number(now).saturating_sub(slots - 1).max(self.judged_from);
        self.slots.iter().filter(|s| s.0 >= oldest).fold((0, 0), |(good, bad), s| (good + s.1, bad + s.2))
    }

    fn slot(&mut self, now: Time) -> &mut (u64, u64, u64) {
        let n = number(now);
        if self.slots.back().is_none_or(|s| s.0 != n) {
            self.slots.push_back((n, 0, 0));
        }
        while self.slots.len() as u64 > SLOTS {
            self.slots.pop_front();
        }
        self.slots.back_mut().expect("one was pushed where there was none")
    }
}

fn number(now: Time) -> u64 {
    now.micros() / SLOT.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_ten_minutes() {
        let mut t = Tally { since: Some(Time::from_secs(100)), ..Tally::default() };
        for s in 100..2000 {
            t.nonce(Time::from_secs(s));
            t.nonce(Time::from_secs(s));
        }
        assert!((t.per_second(Time::from_secs(2000)) - 2.0).abs() < 0.05);
        assert!(t.per_second(Time::from_secs(4000)) < 1e-9);
        assert_eq!(t.nonces, 3800);
    }

    #[test]
    fn many_wrong_nonces_are_told_from_a_few() {
        let mut t = Tally::default();
        let now = Time::from_secs(5);
        (0..19).for_each(|_| t.hardware_error(now));
        assert!(!t.errs(now, false));
        t.hardware_error(now);
        assert!(t.errs(now, false));
        (0..600).for_each(|_| t.nonce(now));
        assert!(!t.errs(now, false));
        assert!(t.errs(now, true), "it ends at half of what began it");
    }

    /// Of each second of these so many right and wrong ones, judged as they come.
    fn run(t: &mut Tally, seconds: std::ops::Range<u64>, good: u32, bad: u32) {
        for now in seconds.map(Time::from_secs) {
            (0..good).for_each(|_| t.nonce(now));
            (0..bad).for_each(|_| t.hardware_error(now));
            t.judge(now, false);
        }
    }

    #[test]
    fn a_start_is_asked_for_soon_where_nearly_all_is_wrong_and_late_where_some_is() {
        // Right and wrong ones a second, and the second it is asked for first.
        for (good, bad, asks) in [(1, 256, Some(60)), (0, 1, Some(79)), (3, 3, Some(606)), (9, 1, Some(619)), (99, 1, None)] {
            let mut t = Tally::default();
            let asked = (0..1000).find(|second| {
                run(&mut t, *second..second + 1, good, bad);
                t.asks_for_start(Time::from_secs(*second))
            });
            assert_eq!(asked, asks, "{good} {bad}");
        }
    }

    #[test]
    fn what_is_over_is_shown_and_no_reason_to_do_anything() {
        let mut t = Tally::default();
        run(&mut t, 0..640, 3, 1);
        assert!(t.asks_for_start(Time::from_secs(640)));
        run(&mut t, 640..720, 3, 0);
        assert!(t.judge(Time::from_secs(720), true), "of the last ten minutes too many were wrong");
        assert!(!t.asks_for_start(Time::from_secs(720)));
    }

    #[test]
    fn what_was_wrong_before_a_start_says_nothing_of_what_comes_after_it() {
        let mut t = Tally::default();
        run(&mut t, 0..400, 1, 3);
        t.judge_anew(Time::from_secs(400));
        assert!(!t.judge(Time::from_secs(412), true));
        run(&mut t, 412..430, 1, 3);
        assert!(t.judge(Time::from_secs(430), false), "it is wrong after it too");
        assert!(!t.asks_for_start(Time::from_secs(430)), "and not for long");
        assert_eq!(t.hardware_errors, 1254, "none is forgotten where they are counted");
    }
}
