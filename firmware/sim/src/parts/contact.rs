//! A contact of a button or a plug, which bounces each time it is moved. The same moments give the same bounces.

use model::Time;
use std::time::Duration;

/// How long a bounce lasts, and how often the level turns over in it.
const TURN: Duration = Duration::from_millis(3);

/// The simulated contact.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    closed: bool,
    moved: Time,
    /// How often it bounces when it is moved; 0 for one that is clean.
    pub bounces: u8,
}

impl Contact {
    /// A contact that has been so for ever.
    #[must_use]
    pub fn new(closed: bool, bounces: u8) -> Contact {
        Contact { closed, moved: Time::ZERO, bounces }
    }

    /// Moves it.
    pub fn set(&mut self, now: Time, closed: bool) {
        if self.closed != closed {
            (self.closed, self.moved) = (closed, now);
        }
    }

    /// Whether it is closed at this moment.
    #[must_use]
    pub fn is_closed(&self, now: Time) -> bool {
        let turns = now.since(self.moved).as_micros() / TURN.as_micros();
        let bouncing = self.moved > Time::ZERO && turns < u128::from(self.bounces) * 2;
        // It touches first, then lets go, and so on.
        self.closed ^ (bouncing && turns % 2 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_bounces_when_it_is_moved_and_then_stands() {
        let mut c = Contact::new(false, 2);
        assert!(!c.is_closed(Time::from_millis(1)));
        c.set(Time::from_millis(100), true);
        let levels = [100, 103, 106, 109, 112, 500].map(|millis| c.is_closed(Time::from_millis(millis)));
        assert_eq!(levels, [true, false, true, false, true, true]);
    }
}
