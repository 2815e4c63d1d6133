//! Fans on PWM outputs and tach lines of a control board: no part between, so speeds are counted here, pulses over time.
//! Whether a board turns the signal over, and how many pulses a turn has, is its data.

use super::{FanError, share};
use crate::bus::{Gpio, Pwm};
use model::{FanId, Percent, PwmFans, Rpm, Time};
use std::time::Duration;

/// Pulses are counted over at least this long: at 300 turns a minute ten come in a second.
const WINDOW: Duration = Duration::from_secs(1);
/// No fan turns faster; what counts more is noise on the line.
const FASTEST: f64 = 30_000.0;

/// What is known of one tach.
#[derive(Clone, Copy, Debug, Default)]
struct Tach {
    /// Pulses at the start of the window, and when that was.
    counted: Option<(u64, Time)>,
    rpm: Option<Rpm>,
}

/// All fans of a control board.
#[derive(Debug)]
pub struct BoardFans {
    data: PwmFans,
    tachs: Vec<Tach>,
}

impl BoardFans {
    /// The fans that these data tell of.
    #[must_use]
    pub fn new(data: PwmFans) -> BoardFans {
        BoardFans { data, tachs: vec![Tach::default(); data.tachs.len()] }
    }

    /// Drives all fans: a board has fewer outputs than fans. A duty that is no number counts as full. An output that fails does not
    /// keep the others from theirs.
    ///
    /// # Errors
    /// The first output that failed.
    pub fn set_duty(&mut self, pwm: &mut dyn Pwm, duty: Percent) -> Result<(), FanError> {
        let fans = share(duty) * 100.0;
        let output = Percent(if self.data.inverted { 100.0 - fans } else { fans });
        let set: Vec<_> = self.data.channels.iter().map(|channel| pwm.set(*channel, output)).collect();
        Ok(set.into_iter().collect::<Result<(), _>>()?)
    }

    /// What a fan turns: `None` until pulses were counted for a while, and where there are more than a fan can make.
    ///
    /// # Errors
    /// No such fan, or the line's.
    pub fn rpm(&mut self, gpio: &mut dyn Gpio, now: Time, fan: FanId) -> Result<Option<Rpm>, FanError> {
        let fans = self.data.tachs.len() as u8;
        let index = usize::from(fan.0);
        let (Some(line), Some(tach)) = (self.data.tachs.get(index), self.tachs.get_mut(index)) else {
            return Err(FanError::NoSuchFan { fan: fan.0, fans });
        };
        let edges = gpio.edges(*line).inspect_err(|_| *tach = Tach::default())?;
        match tach.counted {
            Some((_, since)) if now.since(since) < WINDOW => {}
            // A count that went back is another one, of lines that were opened anew.
            Some((before, since)) if edges >= before => {
                let turns = (edges - before) as f64 / f64::from(self.data.pulses.max(1));
                let rpm = turns * 60.0 / now.since(since).as_secs_f64();
                *tach = Tach { counted: Some((edges, now)), rpm: (rpm <= FASTEST).then_some(Rpm(rpm)) };
            }
            _ => *tach = Tach { counted: Some((edges, now)), rpm: None },
        }
        Ok(tach.rpm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::BusError;

    const FANS: PwmFans = PwmFans { channels: &[3, 5], hertz: 25_000, inverted: false, tachs: &[40, 41], pulses: 2 };

    /// Outputs that write down, of which one may be broken, and lines whose pulses are told.
    #[derive(Default)]
    struct Board {
        duties: Vec<(u32, f64)>,
        broken: Option<u32>,
        pulses: Option<u64>,
    }

    impl Pwm for Board {
        fn set(&mut self, channel: u32, duty: Percent) -> Result<(), BusError> {
            if self.broken == Some(channel) {
                return Err(BusError::Gone);
            }
            self.duties.push((channel, duty.0));
            Ok(())
        }
    }

    impl Gpio for Board {
        fn set(&mut self, _line: u32, _high: bool) -> Result<(), BusError> {
            Err(BusError::Gone)
        }
        fn get(&mut self, _line: u32) -> Result<bool, BusError> {
            Err(BusError::Gone)
        }
        fn edges(&mut self, line: u32) -> Result<u64, BusError> {
            assert!(FANS.tachs.contains(&line));
            self.pulses.ok_or(BusError::Gone)
        }
    }

    #[test]
    fn every_output_gets_the_duty_turned_over_where_the_board_does_and_nonsense_is_full() {
        for (inverted, percent, output) in [
            (false, 30.0, 30.0),
            (false, f64::NAN, 100.0),
            (false, 400.0, 100.0),
            (true, 30.0, 70.0),
            (true, f64::NAN, 0.0),
            (true, 100.0, 0.0),
            (true, -3.0, 100.0),
        ] {
            let mut board = Board::default();
            BoardFans::new(PwmFans { inverted, ..FANS }).set_duty(&mut board, Percent(percent)).expect("outputs");
            assert_eq!(board.duties, [(3, output), (5, output)], "{inverted} {percent}");
        }
    }

    #[test]
    fn an_output_that_fails_is_told_and_the_others_are_set() {
        let mut board = Board { broken: Some(3), ..Board::default() };
        assert!(matches!(BoardFans::new(FANS).set_duty(&mut board, Percent(80.0)), Err(FanError::Bus(BusError::Gone))));
        assert_eq!(board.duties, [(5, 80.0)]);
    }

    fn read(fans: &mut BoardFans, millis: u64, pulses: u64) -> Option<Rpm> {
        let mut board = Board { pulses: Some(pulses), ..Board::default() };
        fans.rpm(&mut board, Time::from_millis(millis), FanId(1)).expect("a line")
    }

    #[test]
    fn pulses_over_time_are_turns_and_none_is_a_fan_that_stands() {
        let mut fans = BoardFans::new(FANS);
        assert_eq!(read(&mut fans, 0, 1000), None, "nothing to compare with");
        assert_eq!(read(&mut fans, 500, 1100), None, "too short a window");
        assert_eq!(read(&mut fans, 2000, 1400), Some(Rpm(6000.0)));
        assert_eq!(read(&mut fans, 2100, 1420), Some(Rpm(6000.0)), "the last one holds until there is a new one");
        assert_eq!(read(&mut fans, 4000, 7), None, "the count began anew");
        assert_eq!(read(&mut fans, 6000, 7), Some(Rpm(0.0)));
    }

    #[test]
    fn noise_is_no_speed_and_a_lost_line_is_told_and_starts_anew() {
        let mut fans = BoardFans::new(FANS);
        read(&mut fans, 0, 0);
        assert_eq!(read(&mut fans, 1000, 5000), None, "150,000 turns a minute");
        let lost = fans.rpm(&mut Board::default(), Time::from_secs(2), FanId(1));
        assert!(matches!(lost, Err(FanError::Bus(BusError::Gone))));
        assert_eq!(read(&mut fans, 3000, 9000), None);
        let none = fans.rpm(&mut Board::default(), Time::ZERO, FanId(2));
        assert!(matches!(none, Err(FanError::NoSuchFan { fan: 2, fans: 2 })));
    }
}
