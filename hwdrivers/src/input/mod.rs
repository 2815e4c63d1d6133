//! What a person's hand changes, and whose contacts bounce: buttons and plugs.

pub mod button;
pub mod plug;

use model::Time;
use std::time::Duration;

/// A level that counts once it has stood for a while.
///
/// ```text
///            another level               it stood
///   steady ────────────────▶ changing ────────────▶ steady, changed
///      ▲                        │
///      └────────────────────────┘ the old level again
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Debounced {
    settles: Duration,
    level: Option<bool>,
    changing_since: Option<Time>,
}

impl Debounced {
    /// A level that must stand this long.
    #[must_use]
    pub const fn new(settles: Duration) -> Debounced {
        Debounced { settles, level: None, changing_since: None }
    }

    /// The level that counts; `None` before the first was told.
    #[must_use]
    pub const fn level(&self) -> Option<bool> {
        self.level
    }

    /// Takes what was read; gives the new level where it changed. The first level counts at once.
    pub fn tell(&mut self, now: Time, level: bool) -> Option<bool> {
        if self.level == Some(level) {
            self.changing_since = None;
            return None;
        }
        let since = *self.changing_since.get_or_insert(now);
        if self.level.is_some() && now.since(since) < self.settles {
            return None;
        }
        (self.level, self.changing_since) = (Some(level), None);
        self.level
    }

    /// When a level that is changing will have stood long enough; [`Time::NEVER`] where none is.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        self.changing_since.map_or(Time::NEVER, |since| since + self.settles)
    }
}

#[cfg(test)]
pub(crate) mod lines {
    use crate::bus::{BusError, Gpio};

    /// One line whose level is told; without one it cannot be read.
    pub(crate) struct Line(pub(crate) Option<bool>);

    impl Gpio for Line {
        fn set(&mut self, _line: u32, _high: bool) -> Result<(), BusError> {
            Err(BusError::Gone)
        }
        fn get(&mut self, _line: u32) -> Result<bool, BusError> {
            self.0.ok_or(BusError::Gone)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_level_counts_at_once_and_bounces_do_not() {
        let mut d = Debounced::new(Duration::from_millis(50));
        let told: Vec<_> = [
            (0, true),
            (100, false),
            (110, true),
            (120, false),
            (160, false),
            (169, false),
            (170, false),
            (300, true),
            (349, true),
            (350, true),
        ]
        .into_iter()
        .filter_map(|(millis, level)| d.tell(Time::from_millis(millis), level).map(|l| (millis, l)))
        .collect();
        assert_eq!(told, [(0, true), (170, false), (350, true)]);
        assert_eq!(d.wake_at(), Time::NEVER);
        d.tell(Time::from_millis(400), false);
        assert_eq!((d.wake_at(), d.level()), (Time::from_millis(450), Some(true)));
    }
}
