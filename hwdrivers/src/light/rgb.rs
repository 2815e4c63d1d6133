//! A light of any colour, which USB boards have behind their own controller. Not here: brightness over time; such a light is told a
//! colour when what it shows changes, as any other.

use super::pattern::Pattern;
use crate::bus::BusError;
use crate::bus::usb_control::Handle;
use model::Time;

/// A colour: how bright each part is, 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
}

impl Colour {
    /// Dark.
    pub const DARK: Colour = Colour { red: 0, green: 0, blue: 0 };
    /// As the red light of a front panel. A quarter of full: such a light stands on a desk.
    pub const RED: Colour = Colour { red: 64, green: 0, blue: 0 };
    /// As the green one.
    pub const GREEN: Colour = Colour { red: 0, green: 64, blue: 0 };
}

/// What takes a colour.
pub trait RgbLight: Send {
    /// Shows it until it is told another.
    ///
    /// # Errors
    /// The board's controller does not do it, or is gone.
    fn colour(&mut self, colour: Colour) -> Result<(), BusError>;
}

impl RgbLight for Handle {
    fn colour(&mut self, Colour { red, green, blue }: Colour) -> Result<(), BusError> {
        self.with(|control| control.light([red, green, blue]))
    }
}

/// Shows on one light what a front panel shows on a green and a red one: where both are lit, red is what counts.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    green: Pattern,
    red: Pattern,
    /// What was written last; `None` before the first time and after a failure.
    shown: Option<Colour>,
}

impl Default for Panel {
    fn default() -> Self {
        Panel { green: Pattern::Off, red: Pattern::Off, shown: None }
    }
}

impl Panel {
    /// Shows these from the next turn on.
    pub fn show(&mut self, (green, red): (Pattern, Pattern)) {
        (self.green, self.red) = (green, red);
    }

    /// Writes what is due.
    ///
    /// # Errors
    /// The light's; it is written again at the next turn.
    pub fn turn(&mut self, now: Time, light: &mut dyn RgbLight) -> Result<(), BusError> {
        let colour = match (self.red.is_on(now), self.green.is_on(now)) {
            (true, _) => Colour::RED,
            (false, true) => Colour::GREEN,
            (false, false) => Colour::DARK,
        };
        if self.shown != Some(colour) {
            self.shown = None;
            light.colour(colour)?;
            self.shown = Some(colour);
        }
        Ok(())
    }

    /// When the next turn is due.
    #[must_use]
    pub fn wake_at(&self, now: Time) -> Time {
        self.green.changes_at(now).min(self.red.changes_at(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::light::pattern::Signal;

    #[derive(Default)]
    struct Light {
        written: Vec<Colour>,
        broken: bool,
    }

    impl RgbLight for Light {
        fn colour(&mut self, colour: Colour) -> Result<(), BusError> {
            if self.broken {
                return Err(BusError::Gone);
            }
            self.written.push(colour);
            Ok(())
        }
    }

    #[test]
    fn a_panels_signals_become_colours_and_only_changes_are_written() {
        let (mut panel, mut light) = (Panel::default(), Light::default());
        panel.show(Signal::Good.lights());
        for millis in [0, 500, 1000, 1500] {
            panel.turn(Time::from_millis(millis), &mut light).expect("a light");
        }
        panel.show(Signal::RecoveryWriting.lights());
        panel.turn(Time::from_secs(2), &mut light).expect("a light");
        assert_eq!(light.written, [Colour::GREEN, Colour::DARK, Colour::RED]);
        assert_eq!(panel.wake_at(Time::from_secs(2)), Time::from_millis(2050));
    }

    #[test]
    fn a_light_that_failed_is_told_again() {
        let (mut panel, mut light) = (Panel::default(), Light { broken: true, ..Light::default() });
        assert!(panel.turn(Time::ZERO, &mut light).is_err());
        light.broken = false;
        panel.turn(Time::ZERO, &mut light).expect("a light");
        assert_eq!(light.written, [Colour::DARK]);
    }
}
