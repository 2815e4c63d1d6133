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
    pub errs_since: Option<Time>,
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
    #[must_use]
    pub fn errs(&self, now: Time, already: bool) -> bool {
        let oldest = number(now).saturating_sub(SLOTS - 1);
        let (good, bad) = self.slots.iter().filter(|s| s.0 >= oldest).fold((0, 0), |(g, b), s| (g + s.1, b + s.2));
        let part = if already { ERRORS_PART / 2.0 } else { ERRORS_PART };
        bad >= ERRORS_MIN && bad as f64 > part * (good + bad) as f64
    }

    /// For how long too many have been wrong.
    #[must_use]
    pub fn errs_for(&self, now: Time) -> Duration {
        self.errs_since.map_or(Duration::ZERO, |t| now.since(t))
    }

    /// What was wrong so far says nothing of what comes now.
    pub fn forget_errors(&mut self) {
        self.slots.iter_mut().for_each(|s| s.2 = 0);
        self.errs_since = None;
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
}
