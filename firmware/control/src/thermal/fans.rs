//! The fans: whether they turn as they are told, and what they are told.
//!
//! A speed that no rotor can have, or that jumps while nobody changed the duty, is noise of the tach and no speed. The duty follows the
//! warmest chip by a PID loop that does not wind up; whatever is unsure makes it full. Not here: what too few fans cost a board
//! (the module above).

use crate::faults::Faults;
use model::{CoolingMode, FanId, FaultCode, Limits, Percent, Reading, Rpm, Time};
use std::time::Duration;

/// A fan below this part of what its duty promises stands.
const FAN_PART: f64 = 0.2;
/// Spin-up takes 3 s; what lasts longer is so.
pub const FAN_PATIENCE: Duration = Duration::from_secs(5);
/// No fan turns this much faster than its full speed: stated speeds are met within a tenth, and no pressure doubles them.
const FAN_ABSURD: f64 = 1.6;
/// A rotor that nobody tells otherwise does not change by this part of its full speed between two readings.
const FAN_JUMP: f64 = 0.4;
/// Noise that was not heard for so long is over: longer than it takes to be able to hear it again after a change of duty.
const NOISE_LASTS: Duration = Duration::from_secs(10);
/// Nobody told it otherwise for so long: a rotor has then reached its speed.
const DUTY_STEADY: Duration = Duration::from_secs(6);
/// A change of duty that moves a rotor.
const DUTY_MOVES: f64 = 5.0;
/// With too few fans boards go off after this.
const SHORT_LIMIT: Duration = Duration::from_secs(30);
/// Off and cool for so long, fans idle.
const IDLE_AFTER: Duration = Duration::from_secs(60);
/// Least duty while a board warms up, in percent: heat comes faster than the loop sees it.
const WARMUP_DUTY: f64 = 60.0;
/// Of the heat that full fans carry away, what still air does, and the power of the air's speed that moving air follows.
const STILL_AIR: f64 = 0.04;
const AIR_POWER: f64 = 0.8;
/// Gains of the loop: percent per °C, per °C·s, per °C/s.
const GAIN_P: f64 = 3.0;
const GAIN_I: f64 = 0.05;
const GAIN_D: f64 = 20.0;
/// Smoothing of the slope.
const SLOPE_SECONDS: f64 = 5.0;
/// The loop's period.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Fan {
    healthy: Option<bool>,
    contrary_since: Option<Time>,
    rpm: Option<Reading<Option<Rpm>>>,
    /// Why a reading was no speed, and when.
    noise: Option<(Time, String)>,
}

/// What the fans are to cool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Task {
    /// The warmest chip under power; `None` where nothing has power.
    pub powered: Option<f64>,
    /// Whether everything is below `resume`.
    pub cool: bool,
    /// Whether a temperature is not known, or too high.
    pub unsure: bool,
    /// Whether a board warms up.
    pub warming: bool,
}

/// All fans of a machine.
#[derive(Debug)]
pub struct Fans {
    mode: CoolingMode,
    started: Time,
    fans: Vec<Fan>,
    proven: bool,
    short_since: Option<Time>,
    duty: f64,
    /// The duty that speeds are held against, and when it was last moved by as much as moves a rotor.
    steady: (f64, Time),
    integral: f64,
    slope: f64,
    worst_before: Option<f64>,
    loop_at: Time,
    cool_since: Option<Time>,
}

impl Fans {
    /// Nothing is known yet: full.
    #[must_use]
    pub fn new(now: Time, count: u8, mode: CoolingMode, l: &Limits) -> Fans {
        Fans {
            mode,
            started: now,
            fans: (0..count).map(|_| Fan::default()).collect(),
            proven: false,
            short_since: None,
            duty: 100.0,
            steady: (100.0, now),
            integral: l.duty_min.0,
            slope: 0.0,
            worst_before: None,
            loop_at: now,
            cool_since: None,
        }
    }

    /// A fan was asked; a failed answer leaves the old reading to age. Unknown fans are ignored.
    pub fn told(&mut self, now: Time, fan: FanId, value: Result<Option<Rpm>, String>, l: &Limits) {
        let steady = now.since(self.steady.1) >= DUTY_STEADY;
        let (Some(f), Ok(rpm)) = (self.fans.get_mut(usize::from(fan.0)), value) else { return };
        let speed = rpm.map_or(0.0, |r| r.0);
        let full = l.fan_full.0;
        let before = f.rpm.map(|r| r.value.map_or(0.0, |v| v.0));
        let noise = if speed.is_nan() || speed > full * FAN_ABSURD {
            Some(format!("its tach reads {speed:.0} rpm where {full:.0} is full"))
        } else {
            let jump = before.filter(|b| steady && (b - speed).abs() > full * FAN_JUMP);
            jump.map(|b| format!("its tach jumped from {b:.0} to {speed:.0} rpm"))
        };
        match noise {
            Some(why) => f.noise = Some((now, why)),
            None => f.noise = f.noise.take().filter(|(at, _)| now.since(*at) < NOISE_LASTS),
        }
        f.rpm = Some(Reading { value: rpm, at: now });
    }

    /// What the air carries away at the duty of now, as a part of what it does at full fans; 1 where fans are none of ours.
    #[must_use]
    pub fn carries(&self) -> f64 {
        match self.mode {
            CoolingMode::Immersion => 1.0,
            _ if self.fans.is_empty() => 1.0,
            _ => STILL_AIR + (self.duty / 100.0).max(0.0).powf(AIR_POWER),
        }
    }

    /// Judges every fan and counts them.
    pub fn judge(&mut self, now: Time, l: &Limits, faults: &mut Faults) {
        let expected = l.fan_full.0 * self.duty / 100.0;
        let immersed = self.mode == CoolingMode::Immersion;
        for (i, f) in self.fans.iter_mut().enumerate() {
            let fresh = f.rpm.filter(|r| now.since(r.at) <= l.reading_age_max);
            let turns = fresh.is_some_and(|r| r.value.map_or(0.0, |v| v.0) >= expected * FAN_PART);
            let good = turns && f.noise.is_none();
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
            let detail = || match (&f.noise, fresh.map(|r| r.value)) {
                (Some((_, why)), _) => why.clone(),
                (None, Some(Some(rpm))) => format!("it turns at {rpm:.0}, told {expected:.0}"),
                (None, Some(None)) => "it stands still".to_owned(),
                (None, None) => "its speed is unknown".to_owned(),
            };
            let failed = f.healthy == Some(false) && !immersed;
            faults.judge(failed, FaultCode::FanFailed, || (format!("fan {i}"), detail()));
        }
        let turning = self.fans.iter().filter(|f| f.healthy == Some(true)).count();
        if immersed || turning >= usize::from(l.fans_min) {
            self.proven = true;
            self.short_since = None;
        } else {
            self.short_since.get_or_insert(now);
        }
        // Before any was heard out there is nothing to say of them.
        let few = self.are_short() && self.fans.iter().any(|f| f.healthy == Some(false));
        faults.judge(few, FaultCode::TooFewFans, || ("fans".to_owned(), format!("{turning} turn, {} must", l.fans_min)));
    }

    /// Whether too few turn: boards are slowed.
    #[must_use]
    pub fn are_short(&self) -> bool {
        self.short_since.is_some()
    }

    /// Whether too few turn for too long, or enough never did: boards are off.
    #[must_use]
    pub fn are_gone(&self, now: Time) -> bool {
        !self.proven || self.short_since.is_some_and(|t| now.since(t) >= SHORT_LIMIT)
    }

    /// What fans should turn at.
    #[must_use]
    pub fn duty(&self) -> Percent {
        Percent(self.duty.clamp(0.0, 100.0))
    }

    /// What each fan last said, `None` where that is too old to count or noise.
    #[must_use]
    pub fn speeds(&self, now: Time, l: &Limits) -> Vec<Option<Rpm>> {
        let fresh = |f: &Fan| f.rpm.filter(|r| now.since(r.at) <= l.reading_age_max && f.noise.is_none());
        self.fans.iter().map(|f| fresh(f).map(|r| r.value.unwrap_or(Rpm(0.0)))).collect()
    }

    /// Turns them as the task wants.
    pub fn turn(&mut self, now: Time, task: Task, l: &Limits) {
        let air = self.mode != CoolingMode::Immersion;
        let unsure = task.unsure || (air && self.fans.iter().any(|f| f.healthy != Some(true)));
        self.cool_since = if task.cool { self.cool_since.or(Some(now)) } else { None };
        if unsure {
            self.duty = 100.0;
        }
        let elapsed = now.since(self.loop_at);
        if elapsed >= PERIOD {
            self.loop_at = now;
            self.pass(now, elapsed.as_secs_f64().min(5.0), unsure, task, l);
        }
        if (self.duty - self.steady.0).abs() >= DUTY_MOVES {
            self.steady = (self.duty, now);
        }
    }

    fn pass(&mut self, now: Time, dt: f64, unsure: bool, task: Task, l: &Limits) {
        let (low, high) = (l.duty_min.0, 100.0);
        let Some(chip) = task.powered else {
            self.worst_before = None;
            // Nothing is powered: what is warm is cooled on, what is cool may idle.
            let idle = !unsure && self.cool_since.is_some_and(|t| now.since(t) >= IDLE_AFTER);
            self.duty = if idle { low } else { high };
            self.integral = low;
            return;
        };
        let rate = self.worst_before.map_or(0.0, |before| (chip - before) / dt);
        self.worst_before = Some(chip);
        self.slope += (rate - self.slope) * (dt / SLOPE_SECONDS).min(1.0);
        let error = chip - l.target.0;
        let wish = self.integral + GAIN_P * error + GAIN_D * self.slope;
        // Against wind-up: no further into a limit that is already reached.
        if !((wish >= high && error > 0.0) || (wish <= low && error < 0.0)) {
            self.integral = (self.integral + GAIN_I * error * dt).clamp(low, high);
        }
        let wish = match self.mode {
            CoolingMode::Manual(percent) => f64::from(percent),
            CoolingMode::Auto | CoolingMode::Immersion => wish,
        };
        let least = if task.warming { low.max(WARMUP_DUTY) } else { low };
        self.duty = if unsure { high } else { wish.clamp(least, high) };
    }

    /// When time alone changes something.
    #[must_use]
    pub fn wake_at(&self) -> Time {
        self.loop_at + PERIOD
    }
}
