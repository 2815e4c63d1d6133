//! A light on a GPIO line. It is written only when it changes. Not here: what it should show.

use super::pattern::Pattern;
use crate::bus::{BusError, Gpio};
use model::{GpioLine, Time};

/// One light.
#[derive(Clone, Copy, Debug)]
pub struct Led {
    line: GpioLine,
    pattern: Pattern,
    /// What was written last; `None` before the first time and after a failure.
    lit: Option<bool>,
}

impl Led {
    /// The light on this line, dark until it is told otherwise.
    #[must_use]
    pub const fn new(line: GpioLine) -> Led {
        Led { line, pattern: Pattern::Off, lit: None }
    }

    /// Shows this from the next turn on.
    pub fn show(&mut self, pattern: Pattern) {
        self.pattern = pattern;
    }

    /// Writes what is due.
    ///
    /// # Errors
    /// The line's; it is written again at the next turn.
    pub fn turn(&mut self, now: Time, gpio: &mut dyn Gpio) -> Result<(), BusError> {
        let lit = self.pattern.is_on(now);
        if self.lit != Some(lit) {
            self.lit = None;
            gpio.set(self.line.number, self.line.is_high(lit))?;
            self.lit = Some(lit);
        }
        Ok(())
    }

    /// When the next turn is due: what is to be shown may have changed by then, which is not waited for.
    #[must_use]
    pub fn wake_at(&self, now: Time) -> Time {
        self.pattern.changes_at(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::light::pattern::SECONDS;

    /// Lines that write down, or fail.
    #[derive(Default)]
    struct Lines {
        written: Vec<(u32, bool)>,
        broken: bool,
    }

    impl Gpio for Lines {
        fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
            if self.broken {
                return Err(BusError::Gone);
            }
            self.written.push((line, high));
            Ok(())
        }
        fn get(&mut self, _line: u32) -> Result<bool, BusError> {
            Err(BusError::Gone)
        }
    }

    #[test]
    fn only_changes_are_written_with_the_lines_polarity() {
        for (line, lit) in [(GpioLine::high(944), true), (GpioLine::low(944), false)] {
            let (mut led, mut lines) = (Led::new(line), Lines::default());
            led.show(SECONDS);
            for millis in [0, 300, 999, 1000, 1500, 2000] {
                led.turn(Time::from_millis(millis), &mut lines).expect("a line");
            }
            assert_eq!(lines.written, [(944, lit), (944, !lit), (944, lit)]);
            assert_eq!(led.wake_at(Time::from_millis(2000)), Time::from_secs(3));
        }
    }

    #[test]
    fn a_line_that_failed_is_written_again() {
        let (mut led, mut lines) = (Led::new(GpioLine::high(1)), Lines { broken: true, ..Lines::default() });
        led.show(Pattern::On);
        assert!(led.turn(Time::ZERO, &mut lines).is_err());
        lines.broken = false;
        led.turn(Time::ZERO, &mut lines).expect("a line");
        led.turn(Time::from_secs(1), &mut lines).expect("a line");
        assert_eq!(lines.written, [(1, true)]);
    }
}
