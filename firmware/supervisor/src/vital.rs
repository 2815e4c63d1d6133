//! Signs of life of the hands that hold hash power: that each turns, and that what was to be off said so. The deciding loop beats for
//! the first process only while they are there: a hand that hangs in a bus carries out no order, however well the loop decides.
//!
//! Of switching off the supply's order counts: it is the last switch there is, and `control` turns to it where a rail does not obey.
//! One that was never told to be on is the first process's to have made safe: lines that are not there, as where a path is mistyped, are
//! a fault on the page and no reason to end the program that shows it. Not here: what the silence leads to (`init`).

use crate::heartbeat::Heartbeat;
use control::{Fact, Order};
use model::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Longest time between two turns. A hand wakes twice a second; a turn over a bus on which each of some twenty parts runs into the
/// kernel's limit of a second takes this long, and a machine that is too busy for it is too busy to watch its heat.
const TURN_LIMIT: Duration = Duration::from_secs(30);
/// Longest time from the order to switch the supply off until it said that it is off. A refused order is given again every 5 s.
const OFF_LIMIT: Duration = Duration::from_secs(30);
/// No order to switch off waits.
const NONE: u64 = u64::MAX;

/// One hand's signs of life, written by its thread and by the deciding one.
#[derive(Debug)]
pub struct Vital {
    place: String,
    /// When its last turn began, microseconds.
    turned: AtomicU64,
    /// Whether the supply was told to be on, and did not say since that it is off.
    on: AtomicBool,
    /// When it was then told to be off.
    off_since: AtomicU64,
}

impl Vital {
    /// A hand that begins.
    pub fn new(place: &str, now: Time) -> Vital {
        let (turned, off_since) = (AtomicU64::new(now.micros()), AtomicU64::new(NONE));
        Vital { place: place.to_owned(), turned, on: AtomicBool::new(false), off_since }
    }

    /// A turn begins.
    pub fn turns(&self, now: Time) {
        self.turned.store(now.micros(), Relaxed);
    }

    /// The deciding loop gives an order, which may wait behind a turn for ever.
    pub fn ordered(&self, now: Time, order: &Order) {
        match order {
            // Given again, it is as old as the first time.
            Order::Supply(None) if self.on.load(Relaxed) => {
                let _ = self.off_since.compare_exchange(NONE, now.micros(), Relaxed, Relaxed);
            }
            Order::Supply(Some(_)) => {
                self.off_since.store(NONE, Relaxed);
                self.on.store(true, Relaxed);
            }
            _ => {}
        }
    }

    /// What a turn came to.
    pub fn told(&self, facts: &[Fact]) {
        if facts.iter().any(|f| matches!(f, Fact::Supply(Ok(None)))) {
            self.on.store(false, Relaxed);
            self.off_since.store(NONE, Relaxed);
        }
    }

    /// What is wrong with it.
    pub fn trouble(&self, now: Time) -> Option<String> {
        let off_since = Time::from_micros(self.off_since.load(Relaxed));
        if now.since(Time::from_micros(self.turned.load(Relaxed))) > TURN_LIMIT {
            Some(format!("the hand of {} has not turned for {} s", self.place, TURN_LIMIT.as_secs()))
        } else if now.since(off_since) > OFF_LIMIT {
            Some(format!("the supply was told to switch off and did not say within {} s that it is", OFF_LIMIT.as_secs()))
        } else {
            None
        }
    }
}

/// Of all hands that hold hash power.
#[derive(Debug)]
pub struct Vitals {
    all: Vec<Arc<Vital>>,
    /// Whether nothing was wrong at the last look.
    well: bool,
}

impl Vitals {
    /// Of these.
    pub fn new(all: Vec<Arc<Vital>>) -> Vitals {
        Vitals { all, well: true }
    }

    /// Beats where all are well, if a beat is due.
    pub fn beat(&mut self, now: Time, heart: Option<&mut Heartbeat>) {
        if self.are_well(now) {
            heart.into_iter().for_each(|h| h.turn(now));
        }
    }

    /// Whether all are well; a change is logged.
    fn are_well(&mut self, now: Time) -> bool {
        let trouble = self.all.iter().find_map(|v| v.trouble(now));
        let was = std::mem::replace(&mut self.well, trouble.is_none());
        match &trouble {
            Some(why) if was => tracing::error!("{why}: no more proof of life is given"),
            None if !was => tracing::info!("all hands are well again"),
            _ => {}
        }
        self.well
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Volt;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn all_hands_must_turn() {
        let hands = [Arc::new(Vital::new("chain 0", s(0))), Arc::new(Vital::new("board", s(0)))];
        let mut vitals = Vitals::new(hands.to_vec());
        for t in 0..100 {
            hands.iter().for_each(|h| h.turns(s(t)));
            assert!(vitals.are_well(s(t)), "{t}");
        }
        for t in 100..200 {
            hands[0].turns(s(t));
            assert_eq!(vitals.are_well(s(t)), t <= 129, "{t}: the last turn was at 99 s");
        }
        hands[1].turns(s(200));
        hands[0].turns(s(200));
        assert!(vitals.are_well(s(200)), "a bus that answers again");
        assert!(Vitals::new(vec![]).are_well(s(1000)), "a machine without hashboards");
    }

    #[test]
    fn what_is_told_to_be_off_must_say_so() {
        // What the hand says of it after 20 s, and whether all is well at 40 s: an order that is given again does not become younger.
        for (said, well) in [
            (vec![], false),
            (vec![Fact::Supply(Err("the line is taken".to_owned()))], false),
            (vec![Fact::Supply(Ok(None))], true),
        ] {
            let hand = Vital::new("board", s(0));
            hand.ordered(s(1), &Order::Supply(Some(Volt(13.0))));
            for t in 5..=40 {
                hand.turns(s(t));
                if t % 5 == 0 && t < 20 {
                    hand.ordered(s(t), &Order::Supply(None));
                }
                if t == 20 {
                    hand.told(&said);
                }
                assert_eq!(hand.trouble(s(t)).is_none(), well || t <= 35, "{said:?} at {t} s");
            }
        }
        let hand = Vital::new("board", s(0));
        hand.ordered(s(1), &Order::Supply(None));
        hand.told(&[Fact::Supply(Err("no such line".to_owned()))]);
        hand.turns(s(40));
        assert_eq!(hand.trouble(s(40)), None, "it was never on, and waits for lines that are not there");
        hand.ordered(s(41), &Order::Supply(Some(Volt(13.0))));
        hand.ordered(s(42), &Order::Supply(None));
        hand.ordered(s(43), &Order::Supply(Some(Volt(13.0))));
        hand.turns(s(80));
        assert_eq!(hand.trouble(s(80)), None, "it is to be on by now");
    }

    #[test]
    fn no_beat_is_heard_of_a_program_whose_hand_hangs() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let mut heart = Heartbeat::open(&writer.as_raw_fd().to_string()).expect("opens");
        drop(writer);
        let hand = Arc::new(Vital::new("board", s(0)));
        let mut vitals = Vitals::new(vec![Arc::clone(&hand)]);
        for t in 1..=100 {
            if t <= 10 {
                hand.turns(s(t));
            }
            vitals.beat(s(t), Some(&mut heart));
            vitals.beat(s(t), None);
        }
        drop(heart);
        let mut beats = vec![];
        reader.read_to_end(&mut beats).expect("read");
        assert_eq!(beats.len(), 40, "one a second, 30 s beyond its last turn");
    }
}
