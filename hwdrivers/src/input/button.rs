//! A button: pressed for a moment, or held. Not here: what a press means.

use super::Debounced;
use crate::bus::{BusError, Gpio};
use model::{GpioLine, Time};
use std::time::Duration;

/// Contacts of small buttons bounce for a few milliseconds; a person presses for a hundred.
const SETTLES: Duration = Duration::from_millis(30);
/// From here on a button is held: what Braiins OS wants for its recovery (asic.md C [1]).
pub const HELD: Duration = Duration::from_secs(3);

/// What a hand did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// Pressed and let go.
    Short,
    /// Held for [`HELD`]; told while it still is, and once.
    Held,
}

/// One button.
#[derive(Clone, Copy, Debug)]
pub struct Button {
    line: GpioLine,
    contact: Debounced,
    /// Since when it is down; `None` where it is up, or was down from the start, or has been told as held.
    down_since: Option<Time>,
}

impl Button {
    /// The button on this line.
    #[must_use]
    pub const fn new(line: GpioLine) -> Button {
        Button { line, contact: Debounced::new(SETTLES), down_since: None }
    }

    /// Reads the line. A button that is down when it is read first is stuck, or means something to who starts the machine: it is
    /// no press until it was up.
    ///
    /// # Errors
    /// The line's; what was under way is forgotten.
    pub fn turn(&mut self, now: Time, gpio: &mut dyn Gpio) -> Result<Option<Press>, BusError> {
        let first = self.contact.level().is_none();
        let level = match gpio.get(self.line.number) {
            Ok(level) => self.line.is_active(level),
            Err(e) => {
                *self = Button::new(self.line);
                return Err(e);
            }
        };
        let changed = self.contact.tell(now, level);
        Ok(match (changed, self.down_since) {
            (Some(true), _) if !first => {
                self.down_since = Some(now);
                None
            }
            (Some(false), Some(_)) => {
                self.down_since = None;
                Some(Press::Short)
            }
            (None, Some(since)) if now.since(since) >= HELD => {
                self.down_since = None;
                Some(Press::Held)
            }
            _ => None,
        })
    }

    /// Whether it is down now.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.contact.level() == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::lines::Line;

    /// Reads every 10 ms; the button is down within these moments, in milliseconds.
    fn presses(line: GpioLine, down: &[std::ops::Range<u64>]) -> Vec<(u64, Press)> {
        let mut button = Button::new(line);
        let mut read = |millis: u64| {
            let active = down.iter().any(|d| d.contains(&millis));
            let mut gpio = Line(Some(line.is_high(active)));
            button.turn(Time::from_millis(millis), &mut gpio).expect("a line").map(|p| (millis, p))
        };
        (0..10_000).step_by(10).filter_map(&mut read).collect()
    }

    #[test]
    fn a_press_is_told_when_it_ends_and_a_hold_while_it_lasts() {
        for line in [GpioLine::high(7), GpioLine::low(7)] {
            assert_eq!(presses(line, std::slice::from_ref(&(500..700))), [(730, Press::Short)]);
            assert_eq!(presses(line, std::slice::from_ref(&(500..9000))), [(3530, Press::Held)], "once, and no press behind it");
        }
    }

    #[test]
    fn bounces_are_no_presses_and_one_press_is_one() {
        assert_eq!(presses(GpioLine::low(7), &[500..510, 520..530, 540..560]), []);
        assert_eq!(presses(GpioLine::low(7), &[500..510, 520..700, 710..720]), [(750, Press::Short)]);
    }

    #[test]
    fn a_button_that_is_down_from_the_start_is_no_press() {
        assert_eq!(presses(GpioLine::low(7), std::slice::from_ref(&(0..5000))), []);
        assert_eq!(presses(GpioLine::low(7), &[0..1000, 2000..2100]), [(2130, Press::Short)]);
    }

    #[test]
    fn a_line_that_fails_is_told_and_forgets_the_press() {
        let mut button = Button::new(GpioLine::high(7));
        let mut turn = |millis, level| button.turn(Time::from_millis(millis), &mut Line(level));
        assert!(matches!(turn(0, Some(false)), Ok(None)));
        assert!(matches!(turn(100, Some(true)), Ok(None)));
        assert!(matches!(turn(150, Some(true)), Ok(None)));
        assert!(turn(200, None).is_err());
        assert!(matches!(turn(300, Some(true)), Ok(None)));
        assert!(matches!(turn(9000, Some(true)), Ok(None)));
        assert!(button.is_down());
    }
}
