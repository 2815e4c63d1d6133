//! What nobody can talk to: a supply that is on while it is plugged in, a converter that a line alone switches, or no regulator
//! at all, where the rail is the supply itself. Every order is done at once; what switches it is a line of the board's data.

use super::{Event, Order, Power};
use crate::bus::{Gpio, I2c};
use model::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Such a part.
#[derive(Debug, Default)]
pub struct Fixed {
    events: VecDeque<Event>,
}

impl Power for Fixed {
    fn order(&mut self, order: Order) {
        self.events.push_back(match order {
            Order::Identify => Event::Identified("fixed, nothing to talk to".to_owned()),
            _ => Event::Done(order),
        });
    }
    fn turn(&mut self, _now: Time, _i2c: &mut dyn I2c, _gpio: &mut dyn Gpio) {}
    fn wake_at(&self) -> Time {
        if self.events.is_empty() { Time::NEVER } else { Time::ZERO }
    }
    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
    fn feed_period(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::testing::{ALL, Line, run};

    #[test]
    fn every_order_is_done_without_a_word() {
        let mut line = Line::absent();
        let (events, _) = run(&mut Fixed::default(), &mut line, &ALL);
        assert!(matches!(events[0], Event::Identified(_)));
        assert!(events[1..].iter().zip(&ALL[1..]).all(|(e, o)| matches!(e, Event::Done(done) if done == o)), "{events:?}");
        assert!(line.written.is_empty());
    }
}
