//! What the heat of one board costs it: nothing, clock, or power; and whether it may have power again.
//!
//! Each place has bounds of its own, and the worst of them counts. Not here: how warm it is (`reading`), fans (`fans`).

use model::{Bounds, Celsius, Limits, SensorPlace, Time};
use std::{collections::VecDeque, time::Duration};

/// Between two steps down while hot: a board's heat follows its clock in about this time.
const STEP_DOWN: Duration = Duration::from_secs(10);
/// Between two steps back up.
const STEP_UP: Duration = Duration::from_secs(30);
/// One step of the clock, as a part of the nominal one.
pub const STEP_PART: f64 = 0.05;
/// What was hot is no longer hot this far below.
const HOT_HYSTERESIS: Celsius = Celsius(2.0);
/// The power is cut so far ahead of danger: chips that tell their own temperature are read each two seconds, and a cut takes up to one.
const LOOK_AHEAD: Duration = Duration::from_secs(3);
/// A board that was in danger rests at least this long.
const DANGER_REST: Duration = Duration::from_secs(60);
/// So many trips within [`TRIP_WINDOW`] need a person.
const TRIPS_MAX: usize = 3;
const TRIP_WINDOW: Duration = Duration::from_secs(3600);

/// ```text
///            ≥ hot                    ≥ danger (from either)
///  Normal ◀────────▶ Hot ──────────▶ Danger ──< resume, ≥ 60 s, not latched──▶ Normal, one step lower
///         < hot − 2                     └── third trip within 1 h: latched until a person starts it
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// Below every bound.
    Normal,
    /// One place is hot.
    Hot,
    /// One place was in danger, and it is not yet cool for long enough.
    Danger {
        /// Since when.
        since: Time,
        /// Whether that was more than a reading which nothing confirmed: it cuts the power as well, but does not count as a trip.
        sure: bool,
    },
}

/// One place of a board and how warm it may be at worst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmth {
    /// Where.
    pub place: SensorPlace,
    /// The worst case.
    pub worst: Celsius,
    /// The worst case of what is believed.
    pub believed: Celsius,
    /// What this place may reach.
    pub bounds: Bounds,
    /// How much further the chips are above it than usual, as it warms.
    pub leads: Celsius,
}

/// What a place may reach. A sensor on the board is cooler than the chips by what the board says.
#[must_use]
pub fn bounds(place: SensorPlace, l: &Limits) -> Bounds {
    let chip = Bounds { hot: l.hot, danger: l.danger, resume: l.resume };
    match place {
        SensorPlace::Chip => chip,
        SensorPlace::BoardInlet | SensorPlace::BoardOutlet => {
            let under = l.chip_over_board;
            Bounds { hot: chip.hot - under, danger: chip.danger - under, resume: chip.resume - under }
        }
        SensorPlace::Regulator => l.care.regulator,
        SensorPlace::ControlBoard => l.care.control_board,
    }
}

/// What a place is called in a fault.
fn word(place: SensorPlace) -> &'static str {
    match place {
        SensorPlace::Chip | SensorPlace::BoardInlet | SensorPlace::BoardOutlet => "chips",
        SensorPlace::Regulator => "the regulator",
        SensorPlace::ControlBoard => "the control board",
    }
}

/// The heat of one board.
#[derive(Debug)]
pub struct Heat {
    level: Level,
    trips: VecDeque<Time>,
    latched: bool,
    /// Steps that heat costs now.
    steps: u32,
    /// Steps that former dangers cost, until the program ends or a person starts: in memory only, never in the settings.
    lowered: u32,
    step_at: Time,
    worst: Option<Warmth>,
}

impl Heat {
    /// A board that was never warm.
    #[must_use]
    pub fn new(now: Time) -> Heat {
        Heat { level: Level::Normal, trips: VecDeque::new(), latched: false, steps: 0, lowered: 0, step_at: now, worst: None }
    }

    /// How it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether only a person may start it.
    #[must_use]
    pub fn is_latched(&self) -> bool {
        self.latched
    }

    /// It was latched before the program started.
    pub fn latch(&mut self, now: Time) {
        self.latched = true;
        self.level = Level::Danger { since: now, sure: true };
    }

    /// A person asked for a start: latches and what they cost end.
    pub fn release(&mut self) {
        self.latched = false;
        self.trips.clear();
        self.lowered = 0;
    }

    /// The clock that heat allows at most.
    #[must_use]
    pub fn cap(&self, l: &Limits) -> model::Megahertz {
        match self.steps + self.lowered {
            0 => l.clock_nominal,
            steps => (l.clock_nominal * (1.0 - STEP_PART * f64::from(steps))).max(l.clock_min),
        }
    }

    /// What the fault says: the place that is nearest to its danger, and which bound.
    #[must_use]
    pub fn words(&self) -> String {
        let Some(w) = self.worst else { return "not cool yet".to_owned() };
        let limit = if matches!(self.level, Level::Danger { .. }) { w.bounds.danger } else { w.bounds.hot };
        format!("{} reached {:.1}, limit {limit:.1}", word(w.place), w.worst)
    }

    /// Follows the temperatures of its places. `blind`: nothing can be read of the board itself while it is off, and it is not off for
    /// long enough to be cool. A board without power is no cooler for a lower clock.
    pub fn judge(&mut self, now: Time, seen: &[Warmth], powered: bool, blind: bool, l: &Limits) {
        if seen.is_empty() && blind {
            return;
        }
        let any = |f: &dyn Fn(&Warmth) -> bool| seen.iter().any(f);
        let ahead = l.care.slope * LOOK_AHEAD.as_secs_f64();
        let ahead = |w: &Warmth| ahead.max(w.leads);
        let (danger, hot) = (any(&|w| w.worst + ahead(w) >= w.bounds.danger), any(&|w| w.worst >= w.bounds.hot));
        let sure = any(&|w| w.believed + ahead(w) >= w.bounds.danger);
        let cool = !blind && seen.iter().all(|w| w.worst < w.bounds.resume);
        let was = self.level;
        self.level = match was {
            Level::Danger { since, sure: before } if self.latched || danger || !cool || now.since(since) < DANGER_REST => {
                Level::Danger { since, sure: before || sure }
            }
            Level::Normal | Level::Hot if danger => Level::Danger { since: now, sure },
            Level::Normal | Level::Hot if hot => Level::Hot,
            Level::Hot if any(&|w| w.worst >= w.bounds.hot - HOT_HYSTERESIS) => Level::Hot,
            _ => Level::Normal,
        };
        let margin = |w: &Warmth| w.worst.0 - w.bounds.danger.0;
        if !matches!(was, Level::Danger { .. }) || danger {
            self.worst = seen.iter().copied().reduce(|a, b| if margin(&b) > margin(&a) { b } else { a });
        }
        let surely = |level| matches!(level, Level::Danger { sure: true, .. });
        if surely(self.level) && !surely(was) {
            self.trip(now);
        }
        let slowest = self.cap(l) <= l.clock_min;
        if self.level == Level::Hot && (was != Level::Hot || now >= self.step_at) {
            self.steps += u32::from(powered && !slowest);
            self.step_at = now + STEP_DOWN;
        } else if self.level == Level::Normal && was != Level::Normal {
            self.step_at = now + STEP_UP;
        } else if self.level == Level::Normal && self.steps > 0 && now >= self.step_at {
            // Half way between what the fans hold and what is hot, for chips; the same distance for other places.
            let room = (l.hot - l.target) * 0.5;
            let calm = seen.iter().all(|w| w.worst < w.bounds.hot - room);
            if calm {
                self.steps -= 1;
                self.step_at = now + STEP_UP;
            }
        }
    }

    fn trip(&mut self, now: Time) {
        self.trips.push_back(now);
        while self.trips.front().is_some_and(|t| now.since(*t) > TRIP_WINDOW) {
            self.trips.pop_front();
        }
        self.latched = self.trips.len() >= TRIPS_MAX;
        self.lowered = self.lowered.saturating_add(1);
    }
}
