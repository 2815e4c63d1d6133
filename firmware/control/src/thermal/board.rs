//! One board as heat sees it: its sensors, its heat and its state.
//!
//! Chips can only be asked while their chain runs: before that their temperature is unknown, which is no failure yet. Not here:
//! what follows from it (the module above).

use super::heat::{Heat, Warmth, bounds};
use super::machine::State;
use super::reading::{Known, Probe};
use model::{Celsius, Limits, SensorId, SensorPart, SensorPlace, Time};
use std::time::Duration;

/// A temperature that has been unknown for so long throttles, and for so long switches off, where a board's data are not stricter.
const SLOW_AFTER: Duration = Duration::from_secs(10);
const OFF_AFTER: Duration = Duration::from_secs(30);
/// What a regulator measured of itself counts for so long.
const REGULATOR_AGE: Duration = Duration::from_secs(30);
/// A board follows its chips so late: while it warms they are further above it than what its data say of chips at rest, as much as it
/// warms in this time. In the S21 factory log they were 32 °C above the outlet's sensor while that rose by 0.45 °C a second, and 15 at
/// rest: never more than that counts.
const LAG: Duration = Duration::from_secs(35);
const LEAD_MAX: Celsius = Celsius(17.0);
/// A chip that is the only one of many to be measured may be so much cooler than the warmest: those of one place in the air differed by so
/// much in that log.
const ONE_OF_MANY: Celsius = Celsius(4.0);
/// A regulator that is no sensor of the list has no number of one.
const OWN: SensorId = SensorId(u8::MAX);

/// How well a board's temperature is known, in the order of what that costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sight {
    Clear,
    /// Fans full.
    Stale,
    /// Fans full, slowest clock.
    Dim,
    /// Off.
    Lost,
}

#[derive(Debug)]
pub(super) struct Spot {
    pub probe: Probe,
    /// Only a chain that runs can be asked for it.
    pub by_chain: bool,
    /// What the warmest is warmer than what it measures.
    pub beyond: Celsius,
}

#[derive(Debug)]
pub(super) struct Board {
    pub spots: Vec<Spot>,
    /// What the regulator measures of itself; `None` where a sensor of the list is that.
    pub regulator: Option<Probe>,
    pub heat: Heat,
    pub state: State,
    pub absent: bool,
    pub powered: bool,
    pub hashing_since: Option<Time>,
    pub off_since: Time,
    pub blind_until: Time,
    /// Whether a slow start is over.
    pub warm: bool,
}

impl Board {
    pub fn new(now: Time, board: &model::Hashboard, ids: &mut impl Iterator<Item = SensorId>) -> Board {
        let spot = |(s, id): (&model::SensorSpot, SensorId)| Spot {
            probe: Probe::new(id, s.place),
            by_chain: matches!(s.part, SensorPart::OnChip | SensorPart::ThroughChip { .. }),
            beyond: match (s.place, s.part) {
                // All chips tell, and the warmest counts.
                (_, SensorPart::OnChip) => Celsius(0.0),
                (SensorPlace::Chip, _) if board.chain.chips > 1 => ONE_OF_MANY,
                _ => Celsius(0.0),
            },
        };
        let own = board.sensors.iter().all(|s| s.part != SensorPart::Regulator);
        Board {
            spots: board.sensors.iter().zip(ids).map(spot).collect(),
            regulator: own.then(|| Probe::new(OWN, SensorPlace::Regulator)),
            heat: Heat::new(now),
            state: State::Off,
            absent: false,
            powered: false,
            hashing_since: None,
            off_since: now,
            blind_until: Time::ZERO,
            warm: false,
        }
    }

    pub fn sight(&self, now: Time, from: Time, l: &Limits) -> Sight {
        self.spots.iter().map(|s| self.spot_sight(now, from, s, l)).max().unwrap_or(Sight::Lost)
    }

    pub fn spot_sight(&self, now: Time, from: Time, s: &Spot, l: &Limits) -> Sight {
        let since = match s.probe.known(now, from, l.reading_age_max) {
            Known::Ok { .. } => return Sight::Clear,
            // It can be asked again with the next start alone, before which its board rests (`blind_until`). One that is stuck has been
            // asked for long enough.
            Known::Failed { .. } if s.by_chain && !self.powered && !s.probe.is_stuck() => return Sight::Clear,
            Known::Failed { .. } => return Sight::Lost,
            Known::Unknown { since } if s.by_chain => match self.hashing_since {
                Some(hashing) => since.max(hashing),
                // Without power it cannot be known and need not be; during the start it cannot be known yet.
                None if self.powered => return Sight::Dim,
                None => return Sight::Clear,
            },
            Known::Unknown { .. } if !s.probe.was_read() => return Sight::Lost,
            Known::Unknown { since } => since,
        };
        let off = if s.by_chain && !s.probe.was_read() { OFF_AFTER } else { OFF_AFTER.min(l.reading_age_max * 3) };
        match now.since(since) {
            age if age > off => Sight::Lost,
            age if age > SLOW_AFTER => Sight::Dim,
            _ if s.by_chain && !s.probe.was_read() => Sight::Dim,
            _ => Sight::Stale,
        }
    }

    /// How warm each of its places may be.
    pub fn warmths(&self, now: Time, l: &Limits) -> Vec<Warmth> {
        let slope = if self.powered { l.care.slope } else { Celsius(0.0) };
        let of = |s: &Spot| {
            let (worst, believed) = s.probe.worst(now, slope)?;
            // What the chips last said before they lost their power is no temperature of now.
            let gone = s.by_chain && !self.powered && !matches!(s.probe.known(now, now, l.reading_age_max), Known::Ok { .. });
            let (place, worst, believed) = (s.probe.place, worst + s.beyond, believed + s.beyond);
            let late = self.powered && matches!(place, SensorPlace::BoardInlet | SensorPlace::BoardOutlet);
            let leads = if late { s.probe.rise(LAG).min(LEAD_MAX) } else { Celsius(0.0) };
            (!gone).then_some(Warmth { place, worst, believed, bounds: bounds(place, l), leads })
        };
        let place = SensorPlace::Regulator;
        // One that says nothing of its heat is believed to be well, as one that cannot. What jumped counts as the worst case.
        let own = self.regulator.as_ref().filter(|p| !matches!(p.known(now, now, REGULATOR_AGE), Known::Unknown { .. }));
        let own = own.and_then(|p| p.worst(now, Celsius(0.0)));
        let own = own.map(|(worst, believed)| Warmth { place, worst, believed, bounds: bounds(place, l), leads: Celsius(0.0) });
        self.spots.iter().filter_map(of).chain(own).collect()
    }

    /// The warmest chip at worst, by its own sensors or by those of its board.
    pub fn chip(&self, now: Time, l: &Limits) -> Option<Celsius> {
        let of = |w: &Warmth| match w.place {
            SensorPlace::Chip => Some(w.worst),
            SensorPlace::BoardInlet | SensorPlace::BoardOutlet => Some(w.worst + l.chip_over_board),
            SensorPlace::Regulator | SensorPlace::ControlBoard => None,
        };
        self.warmths(now, l).iter().filter_map(of).reduce(Celsius::max)
    }

    /// What a board said before it was pulled says nothing about the one that is plugged in next. A sensor of the control board stays
    /// where it is.
    pub fn forget(&mut self) {
        let own = self.spots.iter_mut().map(|s| &mut s.probe).chain(&mut self.regulator);
        own.filter(|p| p.place != SensorPlace::ControlBoard).for_each(Probe::forget);
    }
}
