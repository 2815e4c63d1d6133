//! Whether a hashboard is plugged, by a line of its connector. Its contacts make and break several times while it goes in, and a
//! board that is powered in that moment is harmed: what counts has stood for a while. Being pulled out counts at once. Not here:
//! what is done about it.

use super::Debounced;
use crate::bus::{BusError, Gpio};
use model::{GpioLine, Time};
use std::time::Duration;

/// A hand needs less for pushing a connector home.
const SETTLES: Duration = Duration::from_secs(1);

/// One plug.
#[derive(Clone, Copy, Debug)]
pub struct Plug {
    line: GpioLine,
    contact: Debounced,
}

impl Plug {
    /// The plug on this line.
    #[must_use]
    pub const fn new(line: GpioLine) -> Plug {
        Plug { line, contact: Debounced::new(SETTLES) }
    }

    /// Reads the line; whether a board is plugged.
    ///
    /// # Errors
    /// The line's; what was known stays.
    pub fn read(&mut self, now: Time, gpio: &mut dyn Gpio) -> Result<bool, BusError> {
        let plugged = self.line.is_active(gpio.get(self.line.number)?);
        if !plugged && self.contact.level() == Some(true) {
            // Out at once: it may be half out, with its power still on. Going in again is what must stand.
            self.contact = Debounced::new(SETTLES);
        }
        self.contact.tell(now, plugged);
        Ok(self.contact.level() == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::lines::Line;

    #[test]
    fn going_in_must_stand_and_coming_out_counts_at_once() {
        let mut plug = Plug::new(GpioLine::low(48));
        let mut read = |millis, high| plug.read(Time::from_millis(millis), &mut Line(Some(high))).expect("a line");
        assert!(read(0, false), "there from the start");
        assert!(!read(100, true));
        for (millis, high) in [(200, false), (300, true), (400, false), (1399, false)] {
            assert!(!read(millis, high), "{millis}");
        }
        assert!(read(1400, false));
        assert!(!read(1500, true));
    }

    #[test]
    fn a_line_that_cannot_be_read_tells_nothing() {
        let mut plug = Plug::new(GpioLine::high(48));
        assert!(plug.read(Time::ZERO, &mut Line(Some(true))).expect("a line"));
        assert!(plug.read(Time::from_secs(1), &mut Line(None)).is_err());
        assert!(plug.read(Time::from_secs(2), &mut Line(Some(true))).expect("a line"));
    }
}
