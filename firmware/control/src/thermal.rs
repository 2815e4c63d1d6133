//! The thermal controller: what heat, fans and silence allow.
//!
//! Silence is danger: no reading means full fans, then off. A chip is taken to be `chip_over_board` warmer than the warmest sensor of
//! its board. Not here: switching anything. It says what each chain may do ([`Thermal::permit`]) and what fans should turn;
//! `brain` sees to it. Settings only tighten.

use crate::faults::Faults;
use model::{Celsius, Cooling, FanId, FaultCode, Limits, Megahertz, Percent, Product, Reading, Rpm, SensorId, Time};
use std::{collections::VecDeque, time::Duration};

/// A board sensor's values outside this are nonsense: an open line reads 127.9 or -64, a dead one 0.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 1.0..=125.0;
/// Between two steps down while hot: a board's heat follows its clock in about this time.
const STEP_DOWN: Duration = Duration::from_secs(10);
/// Between two steps back up.
const STEP_UP: Duration = Duration::from_secs(30);
/// One step of the clock, as a part of the nominal one.
const STEP_PART: f64 = 0.05;
/// A hot chain is no longer hot this far below.
const HOT_HYSTERESIS: Celsius = Celsius(2.0);
/// A chain that was in danger rests at least this long.
const DANGER_REST: Duration = Duration::from_secs(60);
/// So many trips within [`TRIP_WINDOW`] need a person.
const TRIPS_MAX: usize = 3;
const TRIP_WINDOW: Duration = Duration::from_secs(3600);
/// A fan below this part of what its duty promises stands.
const FAN_PART: f64 = 0.2;
/// Spin-up takes 3 s; what lasts longer is so.
const FAN_PATIENCE: Duration = Duration::from_secs(5);
/// With too few fans chains go off after this.
const FANS_SHORT_LIMIT: Duration = Duration::from_secs(30);
/// Off and below `resume` for so long, fans idle.
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// Gains of the fan loop: percent per °C, per °C·s, per °C/s.
const GAIN_P: f64 = 3.0;
const GAIN_I: f64 = 0.05;
const GAIN_D: f64 = 20.0;
/// Smoothing of the slope.
const SLOPE_SECONDS: f64 = 5.0;
/// The fan loop's period.
const PERIOD: Duration = Duration::from_secs(1);
/// Nothing on the bus answered for so long: it is not one part that failed. Sensors are read each second.
const BUS_LIMIT: Duration = Duration::from_secs(5);
/// Where the fault of the bus is.
const BUS: &str = "control bus";

/// What heat allows a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Permit {
    /// Run, at this clock at most.
    Run(Megahertz),
    /// Off: too hot, until it is cool.
    Heat,
    /// Off: too hot too often, until a person asks for a start.
    Latched,
    /// Off: a temperature or the fans are unknown or failed.
    NoProof,
}

/// ```text
///            ≥ hot                    ≥ danger (from either)
///  Normal ◀────────▶ Hot ──────────▶ Danger ──< resume, ≥ 60 s, not latched──▶ Normal
///         < hot − 2                     └── third trip within 1 h: latched until a person starts it
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
enum Heat {
    Normal,
    Hot,
    Danger { since: Time },
}

#[derive(Debug)]
struct Sensor {
    id: SensorId,
    reading: Option<Reading<Celsius>>,
    /// Why the last answer was none, and whether it was nonsense.
    trouble: Option<(bool, String)>,
}

#[derive(Debug)]
struct Board {
    sensors: Vec<Sensor>,
    heat: Heat,
    trips: VecDeque<Time>,
    latched: bool,
    absent: bool,
    steps: u32,
    step_at: Time,
}

#[derive(Debug)]
struct Fan {
    healthy: Option<bool>,
    contrary_since: Option<Time>,
    rpm: Option<Reading<Option<Rpm>>>,
}

/// How well a board's temperature is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Fresh,
    Stale,
    Lost,
}

/// The controller of one machine.
#[derive(Debug)]
pub struct Thermal {
    limits: Limits,
    started: Time,
    boards: Vec<Board>,
    fans: Vec<Fan>,
    fans_proven: bool,
    fans_short_since: Option<Time>,
    duty: f64,
    integral: f64,
    slope: f64,
    worst_before: Option<f64>,
    loop_at: Time,
    cool_since: Option<Time>,
    /// When anything on the bus last answered.
    answered: Time,
    /// Why the last thing that did not, did not.
    unanswered: Option<String>,
}

impl Thermal {
    /// Nothing is known yet: fans full, no permit.
    #[must_use]
    pub fn new(now: Time, product: &Product, cooling: Cooling) -> Thermal {
        let mut ids = (0u8..).map(SensorId);
        let board = |h: &model::Hashboard| Board {
            sensors: ids.by_ref().take(h.sensors.len()).map(|id| Sensor { id, reading: None, trouble: None }).collect(),
            heat: Heat::Normal,
            trips: VecDeque::new(),
            latched: false,
            absent: false,
            steps: 0,
            step_at: now,
        };
        Thermal {
            limits: cooling.tighten(product.limits),
            started: now,
            boards: product.hashboards.iter().map(board).collect(),
            fans: (0..product.fans).map(|_| Fan { healthy: None, contrary_since: None, rpm: None }).collect(),
            fans_proven: false,
            fans_short_since: None,
            duty: 100.0,
            integral: product.limits.duty_min.0,
            slope: 0.0,
            worst_before: None,
            loop_at: now,
            cool_since: None,
            answered: now,
            unanswered: None,
        }
    }

    /// A sensor was asked. Unknown sensors are ignored.
    pub fn temperature(&mut self, now: Time, sensor: SensorId, value: Result<Celsius, String>) {
        self.heard(now, value.as_ref().err());
        let Some(s) = self.boards.iter_mut().flat_map(|b| &mut b.sensors).find(|s| s.id == sensor) else { return };
        match value {
            Ok(c) if PLAUSIBLE.contains(&c.0) => {
                s.reading = Some(Reading { value: c, at: now });
                s.trouble = None;
            }
            Ok(c) => s.trouble = Some((true, format!("it reads {c}"))),
            Err(why) => s.trouble = Some((false, why)),
        }
    }

    /// A fan was asked. Unknown fans are ignored.
    pub fn fan(&mut self, now: Time, fan: FanId, value: Result<Option<Rpm>, String>) {
        self.heard(now, value.as_ref().err());
        // A failed answer leaves the old reading to age.
        if let (Some(f), Ok(rpm)) = (self.fans.get_mut(usize::from(fan.0)), value) {
            f.rpm = Some(Reading { value: rpm, at: now });
        }
    }

    /// What a board said before it was pulled says nothing about the one that is plugged in next.
    fn forget(&mut self, i: usize, faults: &mut Faults) {
        for s in &mut self.boards[i].sensors {
            (s.reading, s.trouble) = (None, None);
        }
        for code in [FaultCode::TooHot, FaultCode::Danger] {
            faults.clear(code, &format!("chain {i}"));
        }
    }

    fn heard(&mut self, now: Time, error: Option<&String>) {
        match error {
            Some(why) => self.unanswered = Some(why.clone()),
            None => self.answered = now,
        }
    }

    /// A person asked for a start: latches end.
    pub fn release_latches(&mut self) {
        for b in &mut self.boards {
            b.latched = false;
            b.trips.clear();
        }
    }

    /// Looks at everything. `powered` says which chains have, or may have, a rail; `present`, which boards are plugged in. A board
    /// that is neither needs no sensor to answer.
    pub fn tick(&mut self, now: Time, powered: &[bool], present: &[bool], faults: &mut Faults) {
        for i in 0..self.boards.len() {
            self.boards[i].absent = present.get(i) == Some(&false) && powered.get(i) == Some(&false);
            if self.boards[i].absent {
                self.forget(i, faults);
            }
            self.judge_sensors(now, i, faults);
            self.judge_heat(now, i, faults);
        }
        let mute = now.since(self.answered) > BUS_LIMIT;
        let why = || self.unanswered.clone().unwrap_or_else(|| "nothing was heard of it".to_owned());
        faults.judge(mute, FaultCode::BusFailed, || (BUS.to_owned(), why()));
        self.judge_fans(now, faults);
        self.turn_fans(now, powered);
    }

    /// What chain `i` may do.
    #[must_use]
    pub fn permit(&self, now: Time, i: usize) -> Permit {
        let Some(board) = self.boards.get(i) else { return Permit::NoProof };
        let fans_gone = !self.fans_proven || self.fans_short_since.is_some_and(|t| now.since(t) >= FANS_SHORT_LIMIT);
        match board.heat {
            _ if board.latched => Permit::Latched,
            Heat::Danger { .. } => Permit::Heat,
            _ if fans_gone || self.known(now, board) == Known::Lost => Permit::NoProof,
            _ => Permit::Run(self.cap(board)),
        }
    }

    /// Whether first readings of sensors and fans may still be on their way.
    #[must_use]
    pub fn is_awaiting_proof(&self, now: Time) -> bool {
        now.since(self.started) <= self.limits.reading_age_max.max(FAN_PATIENCE)
    }

    /// What fans should turn at.
    #[must_use]
    pub fn duty(&self) -> Percent {
        Percent(self.duty.clamp(0.0, 100.0))
    }

    /// The estimated chip temperature of chain `i`; `None` where a sensor of it was never read or is lost.
    #[must_use]
    pub fn chip(&self, now: Time, i: usize) -> Option<Celsius> {
        let board = self.boards.get(i).filter(|b| self.known(now, b) != Known::Lost)?;
        self.estimate(board)
    }

    /// What each sensor of chain `i` last said, `None` where that is too old to count.
    #[must_use]
    pub fn sensors(&self, now: Time, i: usize) -> Vec<Option<Celsius>> {
        let fresh = |s: &Sensor| s.reading.filter(|r| now.since(r.at) <= self.limits.reading_age_max).map(|r| r.value);
        self.boards.get(i).map_or_else(Vec::new, |b| b.sensors.iter().map(fresh).collect())
    }

    /// What each fan last said, `None` where that is too old to count.
    #[must_use]
    pub fn fans(&self, now: Time) -> Vec<Option<Rpm>> {
        let fresh = |f: &Fan| f.rpm.filter(|r| now.since(r.at) <= self.limits.reading_age_max);
        self.fans.iter().map(|f| fresh(f).map(|r| r.value.unwrap_or(Rpm(0.0)))).collect()
    }

    fn known(&self, now: Time, board: &Board) -> Known {
        let max = self.limits.reading_age_max;
        let of = |s: &Sensor| match s.reading.map(|r| now.since(r.at)) {
            Some(age) if age <= max => Known::Fresh,
            Some(age) if age <= max * 3 => Known::Stale,
            _ => Known::Lost,
        };
        board.sensors.iter().map(of).max().unwrap_or(Known::Lost)
    }

    fn estimate(&self, board: &Board) -> Option<Celsius> {
        let mut warmest = None::<Celsius>;
        for s in &board.sensors {
            let c = s.reading?.value;
            warmest = Some(warmest.map_or(c, |w| w.max(c)));
        }
        warmest.map(|w| w + self.limits.chip_over_board)
    }

    fn cap(&self, board: &Board) -> Megahertz {
        (self.limits.clock_nominal * (1.0 - STEP_PART * f64::from(board.steps))).max(self.limits.clock_min)
    }

    fn judge_sensors(&self, now: Time, i: usize, faults: &mut Faults) {
        let absent = self.boards[i].absent;
        for s in &self.boards[i].sensors {
            let old = !absent && now.since(s.reading.map_or(self.started, |r| r.at)) > self.limits.reading_age_max;
            if !old && faults.is_empty() {
                continue;
            }
            let place = format!("chain {i} sensor {}", s.id.0);
            if !old {
                // A single bad answer between good ones is no trouble; one that was never followed by a good one is.
                if absent || s.trouble.is_none() {
                    faults.clear(FaultCode::SensorLost, &place);
                    faults.clear(FaultCode::SensorAbsurd, &place);
                }
                continue;
            }
            let (absurd, why) = s.trouble.as_ref().map_or((false, "no answer"), |(a, w)| (*a, w.as_str()));
            let (code, other) = if absurd {
                (FaultCode::SensorAbsurd, FaultCode::SensorLost)
            } else {
                (FaultCode::SensorLost, FaultCode::SensorAbsurd)
            };
            faults.clear(other, &place);
            faults.raise(code, &place, why);
        }
    }

    fn judge_heat(&mut self, now: Time, i: usize, faults: &mut Faults) {
        let Some(chip) = self.estimate(&self.boards[i]) else { return };
        let (l, b) = (self.limits, &mut self.boards[i]);
        let was = b.heat;
        b.heat = match b.heat {
            Heat::Danger { since } if b.latched || chip >= l.resume || now.since(since) < DANGER_REST => Heat::Danger { since },
            Heat::Normal | Heat::Hot if chip >= l.danger => Heat::Danger { since: now },
            Heat::Normal if chip >= l.hot => Heat::Hot,
            Heat::Hot if chip >= l.hot - HOT_HYSTERESIS => Heat::Hot,
            _ => Heat::Normal,
        };
        let danger = matches!(b.heat, Heat::Danger { .. });
        if danger && !matches!(was, Heat::Danger { .. }) {
            b.trips.push_back(now);
            while b.trips.front().is_some_and(|t| now.since(*t) > TRIP_WINDOW) {
                b.trips.pop_front();
            }
            b.latched = b.trips.len() >= TRIPS_MAX;
        }
        if b.heat == Heat::Hot && (was != Heat::Hot || now >= b.step_at) {
            let slowest = l.clock_nominal * (1.0 - STEP_PART * f64::from(b.steps)) <= l.clock_min;
            b.steps += u32::from(!slowest);
            b.step_at = now + STEP_DOWN;
        } else if b.heat == Heat::Normal && was != Heat::Normal {
            b.step_at = now + STEP_UP;
        } else if b.heat == Heat::Normal && b.steps > 0 && now >= b.step_at && chip < (l.target + l.hot) * 0.5 {
            b.steps -= 1;
            b.step_at = now + STEP_UP;
        }
        let words = |limit| (format!("chain {i}"), format!("chips reached {chip:.1}, limit {limit:.1}"));
        faults.judge(danger, FaultCode::Danger, || words(l.danger));
        faults.judge(b.heat == Heat::Hot, FaultCode::TooHot, || words(l.hot));
    }

    fn judge_fans(&mut self, now: Time, faults: &mut Faults) {
        let expected = self.limits.fan_full.0 * self.duty / 100.0;
        for (i, f) in self.fans.iter_mut().enumerate() {
            let fresh = f.rpm.filter(|r| now.since(r.at) <= self.limits.reading_age_max);
            let good = fresh.is_some_and(|r| r.value.map_or(0.0, |v| v.0) >= expected * FAN_PART);
            match f.healthy {
                None if good => f.healthy = Some(true),
                None if now.since(self.started) >= FAN_PATIENCE => f.healthy = Some(false),
                Some(h) if h == good => f.contrary_since = None,
                Some(_) if now.since(*f.contrary_since.get_or_insert(now)) >= FAN_PATIENCE => {
                    f.healthy = Some(good);
                    f.contrary_since = None;
                }
                _ => {}
            }
            let detail = || match fresh.map(|r| r.value) {
                Some(Some(rpm)) => format!("it turns at {rpm:.0}, told {expected:.0}"),
                Some(None) => "it stands still".to_owned(),
                None => "its speed is unknown".to_owned(),
            };
            faults.judge(f.healthy == Some(false), FaultCode::FanFailed, || (format!("fan {i}"), detail()));
        }
        let turning = self.fans.iter().filter(|f| f.healthy == Some(true)).count();
        if turning >= usize::from(self.limits.fans_min) {
            self.fans_proven = true;
            self.fans_short_since = None;
        } else {
            self.fans_short_since.get_or_insert(now);
        }
    }

    fn turn_fans(&mut self, now: Time, powered: &[bool]) {
        let unsure =
            self.boards.iter().filter(|b| !b.absent).any(|b| b.heat != Heat::Normal || self.known(now, b) != Known::Fresh)
                || self.fans.iter().any(|f| f.healthy != Some(true));
        let chips: Vec<Option<f64>> = self.boards.iter().map(|b| self.estimate(b).map(|c| c.0)).collect();
        let worst = |all: bool| {
            let on = chips.iter().enumerate().filter(|(i, _)| all || powered.get(*i) == Some(&true));
            on.filter_map(|(_, c)| *c).reduce(f64::max)
        };
        let cool = worst(true).is_some_and(|c| c < self.limits.resume.0);
        self.cool_since = if cool { self.cool_since.or(Some(now)) } else { None };
        if unsure {
            self.duty = 100.0;
        }
        let elapsed = now.since(self.loop_at);
        if elapsed < PERIOD {
            return;
        }
        self.loop_at = now;
        let dt = elapsed.as_secs_f64().min(5.0);
        let Some(chip) = worst(false) else {
            self.worst_before = None;
            // Nothing is powered: what is warm is cooled on, what is cool may idle.
            if !unsure && self.cool_since.is_some_and(|t| now.since(t) >= IDLE_AFTER) {
                self.duty = self.limits.duty_min.0;
                self.integral = self.limits.duty_min.0;
            }
            return;
        };
        let rate = self.worst_before.map_or(0.0, |before| (chip - before) / dt);
        self.worst_before = Some(chip);
        self.slope += (rate - self.slope) * (dt / SLOPE_SECONDS).min(1.0);
        let error = chip - self.limits.target.0;
        let (low, high) = (self.limits.duty_min.0, 100.0);
        let wish = self.integral + GAIN_P * error + GAIN_D * self.slope;
        // Against wind-up: no further into a limit that is already reached.
        if !((wish >= high && error > 0.0) || (wish <= low && error < 0.0)) {
            self.integral = (self.integral + GAIN_I * error * dt).clamp(low, high);
        }
        self.duty = if unsure { 100.0 } else { wish.clamp(low, high) };
    }

    /// When time alone changes something: the fan loop runs each second.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        self.loop_at + PERIOD
    }
}

#[cfg(test)]
#[path = "thermal_tests.rs"]
mod tests;
