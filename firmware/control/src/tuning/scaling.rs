//! Dynamic power scaling: a ceiling of power that is lowered in steps while a machine is hot or its supply sags, and raised again.
//!
//! Heat's own throttle acts within seconds and lets go within a minute; without this it would swing for as long as the room is
//! warm. Not here: the throttle (`thermal`), the clocks that follow the ceiling (`chain`).

use model::{Time, Watt};
use std::time::Duration;

/// Trouble that lasts so long lowers the ceiling by a step, and again.
const DOWN_AFTER: Duration = Duration::from_secs(60);
/// So long without trouble raises it by a step, and again.
const UP_AFTER: Duration = Duration::from_secs(600);
/// One step, as a part of what the machine took when the trouble began.
const PART: f64 = 0.05;
/// Most steps: beyond them heat's own limits act alone.
const STEPS: u32 = 10;

/// ```text
///  Free ──trouble for 60 s──▶ Lowered by 1 ──60 s more──▶ by 2 … 10
///   ▲                             │ ▲                       │
///   └──────── 600 s well ─────────┘ └────── 600 s well ─────┘
/// ```
#[derive(Debug)]
pub struct Scaling {
    steps: u32,
    /// The most that each chain took before the first step, while heat's own throttle lowered it; nothing where it did not hash. What it
    /// took in trouble that comes and goes counts together: between two bouts heat still holds it down.
    base: Vec<Watt>,
    /// When the state of now, trouble or well, began, or the last step was made in it.
    since: Time,
    trouble: bool,
}

impl Scaling {
    /// No ceiling.
    #[must_use]
    pub fn new(now: Time) -> Scaling {
        Scaling { steps: 0, base: Vec::new(), since: now, trouble: false }
    }

    /// Follows whether there is trouble; `takes` is what each chain takes.
    pub fn tick(&mut self, now: Time, trouble: bool, takes: impl Iterator<Item = Watt>) {
        if trouble != self.trouble {
            (self.trouble, self.since) = (trouble, now);
        }
        if trouble && self.steps == 0 {
            for (i, watt) in takes.enumerate() {
                match self.base.get_mut(i) {
                    Some(base) => *base = base.max(watt),
                    None => self.base.push(watt),
                }
            }
        }
        let wait = if trouble { DOWN_AFTER } else { UP_AFTER };
        if now.since(self.since) < wait {
            return;
        }
        self.since = now;
        if trouble {
            self.steps = (self.steps + 1).min(STEPS);
        } else if self.steps > 0 {
            self.steps -= 1;
        } else {
            self.base.clear();
        }
    }

    /// The most that a chain may take; `None` without a ceiling.
    #[must_use]
    pub fn most(&self, chain: usize) -> Option<Watt> {
        let base = self.base.get(chain).filter(|w| self.steps > 0 && w.0 > 0.0)?;
        Some(*base * (1.0 - PART * f64::from(self.steps)))
    }

    /// By how many percent power is held down.
    #[must_use]
    pub fn percent(&self) -> u32 {
        (PART * 100.0) as u32 * self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_comes_and_goes_is_measured_against_the_machine_before_it() {
        // A hot room: each bout takes up less, as heat has lowered the clock meanwhile.
        let mut s = Scaling::new(Time::ZERO);
        let mut second = 0;
        for (until, trouble, takes) in [(600, false, 1000.0), (650, true, 1000.0), (700, false, 600.0), (820, true, 300.0)] {
            while second < until {
                second += 1;
                s.tick(Time::from_secs(second), trouble, [Watt(takes)].into_iter());
            }
        }
        assert_eq!((s.percent(), s.most(0)), (5, Some(Watt(950.0))));
        // Once it was well for long enough what it took then is forgotten.
        for (until, trouble, takes) in [(2100, false, 500.0), (2170, true, 500.0)] {
            while second < until {
                second += 1;
                s.tick(Time::from_secs(second), trouble, [Watt(takes)].into_iter());
            }
        }
        assert_eq!((s.percent(), s.most(0)), (5, Some(Watt(475.0))));
    }

    #[test]
    fn the_ceiling_falls_while_it_is_hot_and_rises_slowly() {
        let mut s = Scaling::new(Time::ZERO);
        // Until which second, trouble or not, and the ceiling of a chain of 1,000 W then.
        let rows = [
            (60, true, None),
            (61, true, Some(950.0)),
            (120, true, Some(950.0)),
            (121, true, Some(900.0)),
            (721, false, Some(900.0)),
            (722, false, Some(950.0)),
            (1321, false, Some(950.0)),
            (1322, false, None),
            (2000, false, None),
            (2060, true, None),
            (9000, true, Some(500.0)),
        ];
        let mut second = 0;
        for (until, trouble, most) in rows {
            while second < until {
                second += 1;
                // What it takes once it is lowered is no new base.
                let takes = s.most(0).unwrap_or(Watt(1000.0));
                s.tick(Time::from_secs(second), trouble, [takes].into_iter());
            }
            assert_eq!(s.most(0).map(|w| w.0.round()), most, "second {until}");
        }
        assert_eq!(s.percent(), 50);
        assert_eq!(s.most(1), None, "a chain that is not there");
    }
}
