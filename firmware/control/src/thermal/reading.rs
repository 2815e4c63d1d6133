//! What one sensor says, and how far that is to be believed: a value with its age, unknown, or failed. Never a number that stands for
//! something else.
//!
//! A value that no board can have is nonsense, and twice in a row a failure. One that no board can have reached in the time is
//! asked again; meanwhile it counts as the worst case, neither believed nor ignored. Said again, one of the two sides is a lie, and
//! nobody knows which: the sensor has failed until it jumps back or is vouched for. One that stands still while its board's strain
//! changes is stuck. Not here: what is too hot (`heat`), and what silence costs (the module above).

use model::{Celsius, Reading, SensorId, SensorPlace, Time};
use std::time::Duration;

/// Values outside this are nonsense: an open line reads 127.9 or -64, a dead one 0.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 1.0..=125.0;
/// No board warms or cools faster than this in a second.
const SLOPE_MAX: f64 = 15.0;
/// Two readings may differ by this much whatever the time between them: steps of coarse sensors and their noise.
const JITTER: f64 = 3.0;
/// Nonsense so often in a row is a failure; once is a disturbed wire.
const STRIKES: u32 = 2;
/// A failed sensor is believed again after so many good readings in a row.
const GOOD_AGAIN: u32 = 3;
/// A reading that is repeated for so long after the strain changed is suspect, and fans are full: whatever is not stuck moves then. A board
/// that starts warm may have turned from cooling to warming just where its fans hold it.
const SUSPECT_AFTER: Duration = Duration::from_secs(60);
/// And after so long it is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(120);
/// A strain that fell or rose by more than this part of the higher one must show, even on a sensor that counts whole degrees. A frozen
/// sensor below its target lets the fans down by 55 % of it and more.
const STRAIN_CHANGE: f64 = 0.4;
/// Strains below this part of the nominal one warm nothing that a coarse sensor must see.
const STRAIN_LEAST: f64 = 0.2;
/// It must last: boards follow e-fold in about this many seconds, and a start that fails within some warms nothing.
const LAG_S: f64 = 60.0;
/// How fast it warms is followed e-fold in so many seconds.
const RISE_S: f64 = 8.0;
/// Sensors are read each second; what is not older than this is on time.
const ON_TIME: Duration = Duration::from_secs(2);

/// What is known of one temperature.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// It was read.
    Ok {
        /// What it was.
        value: Celsius,
        /// How long ago.
        age: Duration,
    },
    /// Nothing was heard, or nothing that is not too old.
    Unknown {
        /// Since when.
        since: Time,
    },
    /// The sensor answers, and what it says is not true.
    Failed {
        /// What it says.
        why: String,
    },
}

/// Why there is no good answer.
#[derive(Clone, Debug, PartialEq)]
struct Trouble {
    /// It answered nonsense, rather than not at all.
    nonsense: bool,
    why: String,
}

/// The value that a sensor repeats, and what the strain did meanwhile.
#[derive(Clone, Copy, Debug)]
struct Still {
    value: Celsius,
    low: f64,
    high: f64,
    /// When it had changed enough.
    changed: Option<Time>,
}

/// A sensor that jumped, twice said.
#[derive(Clone, Copy, Debug)]
struct Jump {
    /// By how many degrees, up or down.
    by: f64,
    /// What it says now.
    last: Reading<Celsius>,
}

/// One sensor as it is judged.
#[derive(Debug)]
pub struct Probe {
    /// Which.
    pub id: SensorId,
    /// What it measures.
    pub place: SensorPlace,
    believed: Option<Reading<Celsius>>,
    doubted: Option<Reading<Celsius>>,
    /// What it said last that no board can have.
    absurd: Option<Reading<Celsius>>,
    jump: Option<Jump>,
    trouble: Option<Trouble>,
    strikes: u32,
    good: u32,
    failed: Option<String>,
    still: Option<Still>,
    suspect: bool,
    stuck: bool,
    /// How many degrees a second it warms.
    rise: f64,
    /// The strain as a board's heat follows it, and until when.
    strain: f64,
    followed: Option<Time>,
}

impl Probe {
    /// A sensor that was never heard.
    #[must_use]
    pub fn new(id: SensorId, place: SensorPlace) -> Probe {
        Probe {
            id,
            place,
            believed: None,
            doubted: None,
            absurd: None,
            jump: None,
            trouble: None,
            strikes: 0,
            good: 0,
            failed: None,
            still: None,
            suspect: false,
            stuck: false,
            rise: 0.0,
            strain: 0.0,
            followed: None,
        }
    }

    /// What was said by a board that is not there any more says nothing. How strained it was is known without it: chips that were off for
    /// some seconds may go on at the temperature which they have cooled to.
    pub fn forget(&mut self) {
        let (strain, followed) = (self.strain, self.followed);
        *self = Probe { strain, followed, ..Probe::new(self.id, self.place) };
    }

    /// It answered.
    pub fn read(&mut self, now: Time, value: Celsius) {
        if !PLAUSIBLE.contains(&value.0) {
            self.absurd = Some(Reading { value, at: now });
            return self.broken(format!("it reads {value}"));
        }
        self.strikes = 0;
        let from = |r: &Reading<Celsius>| value.0 - r.value.0;
        let near = |r: &Reading<Celsius>| from(r).abs() <= JITTER + SLOPE_MAX * now.since(r.at).as_secs_f64();
        let reading = Reading { value, at: now };
        if let Some(jump) = &mut self.jump {
            let back = !near(&jump.last) && (from(&jump.last) > 0.0) != (jump.by > 0.0);
            jump.last = reading;
            if !back {
                return;
            }
            self.jump = None;
        } else if let Some(believed) = self.believed {
            // What was beyond any slope a second ago is not made true by waiting: the nearer one counts. What comes back into the plausible
            // beside nonsense goes on with that.
            let nearer = |d: Reading<Celsius>| d.at < now && near(&d) && from(&d).abs() < from(&believed).abs();
            let beside = self.absurd.filter(|a| now.since(a.at) <= ON_TIME);
            let again = self.doubted.is_some_and(nearer) || beside.is_some_and(nearer);
            if near(&believed) && !again {
                return self.believe(reading);
            }
            let why = format!("it jumped from {:.1} to {value:.1}", believed.value);
            self.trouble = Some(Trouble { nonsense: true, why: why.clone() });
            if again {
                self.jump = Some(Jump { by: from(&believed), last: reading });
                (self.doubted, self.absurd, self.failed, self.good) = (None, None, Some(why), 0);
            } else {
                self.doubted = Some(reading);
            }
            return;
        }
        self.believe(reading);
    }

    fn believe(&mut self, reading: Reading<Celsius>) {
        let value = reading.value;
        (self.doubted, self.absurd) = (None, None);
        self.trouble = None;
        if let Some((before, seconds)) = self.believed.map(|b| (b.value, reading.at.since(b.at).as_secs_f64())) {
            let rise = (value - before).0 / seconds.max(1e-3);
            self.rise += (rise - self.rise) * (seconds / RISE_S).min(1.0);
        }
        self.believed = Some(reading);
        let moved = self.still.is_none_or(|s| s.value != value);
        if moved {
            self.still = Some(Still { value, low: self.strain, high: self.strain, changed: None });
            (self.suspect, self.stuck) = (false, false);
        }
        self.good = if self.stuck { 0 } else { self.good.saturating_add(1) };
        if self.good >= GOOD_AGAIN {
            self.failed = None;
        }
    }

    /// Its board has been off until nothing on it is warmer than `warmest`. What it says after a jump counts again where that is true
    /// of it, and would not be if the jump had been a lie. A fall in a cold room may be either: it is believed where another sensor of the
    /// board that is as cold (`beside`) says about the same.
    pub fn vouch(&mut self, warmest: Celsius, beside: Option<Celsius>) {
        let same = |j: &Jump| beside.is_some_and(|b| (b - j.last.value).0.abs() <= j.by.abs() / 3.0);
        let is_true = |j: &Jump| j.last.value <= warmest && (j.by > 0.0 || j.last.value.0 - j.by > warmest.0 || same(j));
        if let Some(jump) = self.jump.take_if(|j| is_true(j)) {
            (self.believed, self.trouble, self.failed) = (Some(jump.last), None, None);
        }
    }

    /// It did not answer.
    pub fn silent(&mut self, why: String) {
        self.trouble = Some(Trouble { nonsense: false, why });
    }

    /// It answered that it is broken, or nonsense.
    pub fn broken(&mut self, why: String) {
        self.strikes = self.strikes.saturating_add(1);
        self.good = 0;
        if self.strikes >= STRIKES {
            self.failed = Some(why.clone());
        }
        self.trouble = Some(Trouble { nonsense: true, why });
    }

    /// Looks whether it stands still while its board's strain changes: what the board takes against what its air carries away, both as
    /// parts of the nominal ones. Fans that hold a temperature keep the strain as well.
    pub fn follow(&mut self, now: Time, strain: f64, age_max: Duration) {
        self.strain = match self.followed.replace(now) {
            Some(before) => strain + (self.strain - strain) * (-now.since(before).as_secs_f64() / LAG_S).exp(),
            None => strain,
        };
        let strain = self.strain;
        // What a control board or a regulator shows follows other things than the load, or in steps too wide.
        let follows = matches!(self.place, SensorPlace::Chip | SensorPlace::BoardOutlet | SensorPlace::BoardInlet);
        let fresh = self.believed.is_some_and(|b| now.since(b.at) <= age_max);
        let Some(still) = self.still.as_mut().filter(|_| follows && fresh) else { return };
        (still.low, still.high) = (still.low.min(strain), still.high.max(strain));
        if still.high < STRAIN_LEAST || still.high - still.low <= STRAIN_CHANGE * still.high {
            return;
        }
        let since = *still.changed.get_or_insert(now);
        self.suspect = now.since(since) >= SUSPECT_AFTER;
        if now.since(since) >= STUCK_AFTER && !self.stuck {
            self.stuck = true;
            self.good = 0;
            let why = format!("it has read {} for {} s while the board's heat changed", still.value, STUCK_AFTER.as_secs());
            self.trouble = Some(Trouble { nonsense: true, why: why.clone() });
            self.failed = Some(why);
        }
    }

    /// What is known now; what was never heard is unknown since `from`.
    #[must_use]
    pub fn known(&self, now: Time, from: Time, age_max: Duration) -> Known {
        if let Some(why) = &self.failed {
            return Known::Failed { why: why.clone() };
        }
        match self.believed {
            Some(b) if now.since(b.at) <= age_max => Known::Ok { value: b.value, age: now.since(b.at) },
            Some(b) => Known::Unknown { since: b.at },
            None => Known::Unknown { since: from },
        }
    }

    /// How warm it may be there at worst, where that rises by `slope` a second; `None` where nothing was ever heard. The second value
    /// leaves out what is not believed yet.
    #[must_use]
    pub fn worst(&self, now: Time, slope: Celsius) -> Option<(Celsius, Celsius)> {
        let believed = self.believed?.worst_case(now, ON_TIME, slope);
        let unsure = self.doubted.or(self.jump.map(|j| j.last));
        Some((unsure.map_or(believed, |d| believed.max(d.value)), believed))
    }

    /// How much warmer it gets there in this time, where it goes on as it does; nothing where it cools.
    #[must_use]
    pub fn rise(&self, time: Duration) -> Celsius {
        Celsius(self.rise.max(0.0) * time.as_secs_f64())
    }

    /// Whether a value was ever believed.
    #[must_use]
    pub fn was_read(&self) -> bool {
        self.believed.is_some()
    }

    /// Whether what it says is in doubt: a jump that was not confirmed.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    /// Whether it was found to stand still, and does so still.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether it has stood still while it should have moved: until that is known for a lie it may be one.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Why there is no good answer, and whether that is nonsense rather than silence.
    #[must_use]
    pub fn trouble(&self) -> Option<(bool, &str)> {
        self.trouble.as_ref().map(|t| (t.nonsense, t.why.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(5);

    fn s(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    fn probe() -> Probe {
        let mut p = Probe::new(SensorId(0), SensorPlace::BoardOutlet);
        p.read(s(10), Celsius(50.0));
        p
    }

    fn worst(p: &Probe, at: u64) -> Option<f64> {
        p.worst(s(at), Celsius(0.5)).map(|w| w.0.0)
    }

    #[test]
    fn a_reading_is_a_value_with_its_age_or_unknown_since_or_failed_and_why() {
        let p = Probe::new(SensorId(0), SensorPlace::Chip);
        assert_eq!(p.known(s(3), s(1), AGE), Known::Unknown { since: s(1) });
        assert_eq!(worst(&p, 3), None);
        let mut p = probe();
        assert_eq!(p.known(s(15), s(0), AGE), Known::Ok { value: Celsius(50.0), age: Duration::from_secs(5) });
        assert_eq!(p.known(s(16), s(0), AGE), Known::Unknown { since: s(10) });
        assert_eq!(worst(&p, 16), Some(52.0), "late by 4 s");
        p.broken("open circuit".to_owned());
        assert!(matches!(p.known(s(11), s(0), AGE), Known::Ok { .. }), "once is a disturbed wire");
        p.broken("open circuit".to_owned());
        assert_eq!(p.known(s(11), s(0), AGE), Known::Failed { why: "open circuit".to_owned() });
        p.forget();
        assert_eq!(p.known(s(12), s(0), AGE), Known::Unknown { since: s(0) });
    }

    #[test]
    fn how_fast_it_warms_is_followed_and_steps_of_a_coarse_sensor_are_no_leap() {
        // Degrees at each second behind 50, and what it warms in half a minute of that.
        let half_a_degree_a_second = |n: i32| f64::from(n) * 0.5;
        let one_step = |n: i32| if n < 30 { 0.0 } else { 1.0 };
        for (of, least, most) in
            [(&half_a_degree_a_second as &dyn Fn(i32) -> f64, 14.0, 15.1), (&one_step, 0.0, 4.0), (&|n| -f64::from(n), 0.0, 0.0)]
        {
            let mut p = probe();
            for n in 1..33 {
                p.read(s(10 + n as u64), Celsius(50.0 + of(n)));
            }
            let rise = p.rise(Duration::from_secs(30)).0;
            assert!((least..=most).contains(&rise), "{rise}");
        }
    }

    #[test]
    fn nonsense_fails_a_sensor_and_three_good_readings_heal_it() {
        const SILENT: f64 = f64::INFINITY;
        // What is read from second 11 on, and whether the sensor has failed afterwards.
        let rows: &[(&[f64], bool)] = &[
            (&[0.9], false),
            (&[0.0, 50.0, 0.0, 50.0, 127.9], false),
            (&[0.0, -64.0], true),
            (&[125.1, f64::NAN], true),
            (&[255.0, -1.0, 50.0, 50.0], true),
            (&[255.0, -1.0, 50.0, 50.0, 50.0], false),
            // One that has jumped below the plausible warms with its board, and comes into it again (S19j Pro, seed 504).
            (&[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 1.5, 2.0, 2.5], true),
            (&[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 42.0, 41.0, 40.0], false),
            // Nonsense of long ago is beside nothing (S17 seed 665, S19 XP seed 603).
            (&[0.5, 0.5, SILENT, SILENT, SILENT, SILENT, SILENT, SILENT, 22.0, 22.0, 22.0], false),
            (&[1.0, 30.0], false),
        ];
        for (values, failed) in rows {
            let mut p = probe();
            for (at, value) in (11..).zip(*values) {
                if *value == SILENT {
                    p.silent("nothing answers".to_owned());
                } else {
                    p.read(s(at), Celsius(*value));
                }
            }
            let known = p.known(s(11 + values.len() as u64), s(0), AGE);
            assert_eq!(matches!(known, Known::Failed { .. }), *failed, "{values:?}: {known:?}");
        }
    }

    #[test]
    fn a_jump_is_asked_again_and_counts_as_the_worst_case_meanwhile() {
        // What is read from second 11 on; what is believed and the worst case then.
        let rows: &[(&[f64], f64, f64)] = &[
            (&[68.0], 68.0, 68.0),
            (&[68.5], 50.0, 68.5),
            (&[90.0], 50.0, 90.0),
            (&[90.0, 51.0], 51.0, 51.0),
            (&[20.0], 50.0, 50.0),
            (&[90.0, 10.0], 50.0, 50.0),
            (&[110.0, 5.0, 110.0], 50.0, 110.0),
        ];
        for (values, believed, expected) in rows {
            let mut p = probe();
            for (at, value) in (11..).zip(*values) {
                p.read(s(at), Celsius(*value));
            }
            let now = 10 + values.len() as u64;
            let Known::Ok { value, .. } = p.known(s(now), s(0), AGE) else { panic!("{values:?}") };
            assert_eq!(value, Celsius(*believed), "{values:?}");
            assert!(worst(&p, now).is_some_and(|w| (w - expected).abs() <= 0.5), "{values:?}: {:?}", worst(&p, now));
        }
    }

    #[test]
    fn a_jump_said_twice_fails_a_sensor_until_it_jumps_back_or_is_vouched_for() {
        // What is read from second 11 on, and whether the sensor has failed afterwards.
        let rows: &[(&[f64], bool)] = &[
            (&[90.0, 91.0], true),
            (&[10.0, 11.0], true),
            (&[33.0, 33.0], false),
            (&[90.0, 90.0, 90.0, 88.0, 86.0, 84.0], true),
            (&[90.0, 90.0, 50.0, 50.0], true),
            (&[90.0, 90.0, 50.0, 50.0, 50.0], false),
            (&[10.0, 10.0, 50.0, 50.0, 50.0], false),
            (&[90.0, 90.0, 50.0, 90.0, 90.0, 90.0], true),
            (&[90.0, 90.0, 110.0, 110.0, 110.0], true),
        ];
        for (values, failed) in rows {
            let mut p = probe();
            for (at, value) in (11..).zip(*values) {
                p.read(s(at), Celsius(*value));
            }
            let at = 10 + values.len() as u64;
            assert_eq!(matches!(p.known(s(at), s(0), AGE), Known::Failed { .. }), *failed, "{values:?}: {p:?}");
            let last = values[values.len() - 1];
            assert!(worst(&p, at).is_some_and(|w| w >= last), "{values:?}: the worse side counts");
        }
    }

    #[test]
    fn a_cold_board_vouches_for_a_sensor_that_cannot_lie_then() {
        // Where it jumped from 50 °C to, what it says on a board that is not warmer than 50 °C, what another sensor there says, and whether
        // that is believed.
        for (to, cold, beside, believed) in [
            (90.0, 24.0, None, true),
            (90.0, 49.0, None, true),
            (90.0, 70.0, Some(70.0), false),
            // Were the fall by 40 °C a lie, the room would have 64 °C, or 49; by 20 °C, 44.
            (10.0, 24.0, None, true),
            (10.0, 9.0, None, false),
            (10.0, 9.0, Some(49.0), false),
            (30.0, 24.0, None, false),
            (30.0, 24.0, Some(44.0), false),
            // Bits that two boards at one address left of 50 °C (S17 seed 665).
            (30.0, 24.0, Some(25.5), true),
        ] {
            let mut p = probe();
            (11..14).for_each(|at| p.read(s(at), Celsius(to)));
            // Slowly, as a board cools or warms to its room's air.
            (14..100).for_each(|at| p.read(s(at), Celsius(to + (cold - to) * (at - 14) as f64 / 85.0)));
            p.vouch(Celsius(50.0), beside.map(Celsius));
            let now = p.known(s(99), s(0), AGE);
            let wanted = Known::Ok { value: Celsius(cold), age: Duration::ZERO };
            assert_eq!(now == wanted, believed, "{to} {cold}: {now:?}");
            assert_eq!(matches!(now, Known::Failed { .. }), !believed, "{to} {cold}: {now:?}");
        }
    }

    #[test]
    fn a_sensor_that_stands_still_while_the_strain_changes_is_stuck_until_it_moves() {
        // Strain before and after, what the sensor does, and whether it is found stuck.
        for (before, after, moves, place, stuck) in [
            (0.0, 1.0, false, SensorPlace::BoardOutlet, true),
            (1.0, 0.1, false, SensorPlace::Chip, true),
            (1.0, 0.45, false, SensorPlace::Chip, true),
            (1.0, 0.65, false, SensorPlace::Chip, false),
            (0.0, 0.15, false, SensorPlace::Chip, false),
            (0.0, 1.0, true, SensorPlace::BoardOutlet, false),
            (0.0, 1.0, false, SensorPlace::ControlBoard, false),
            (0.0, 1.0, false, SensorPlace::BoardInlet, true),
        ] {
            let mut p = Probe::new(SensorId(0), place);
            for at in 0..500 {
                let load = if at < 200 { before } else { after };
                p.follow(s(at), load, AGE);
                p.read(s(at), Celsius(if moves { 50.0 + (at % 40) as f64 / 16.0 } else { 50.0 }));
                if at == 318 {
                    assert!(matches!(p.known(s(at), s(0), AGE), Known::Ok { .. }), "not yet for two minutes");
                }
                if at == 400 {
                    assert_eq!(p.is_suspect(), stuck, "{before} {after} {moves} {place:?}");
                }
            }
            assert_eq!(matches!(p.known(s(500), s(0), AGE), Known::Failed { .. }), stuck, "{before} {after} {moves} {place:?}");
            (500..503).for_each(|at| p.read(s(at), Celsius(51.0)));
            assert!(matches!(p.known(s(503), s(0), AGE), Known::Ok { .. }));
        }
    }

    #[test]
    fn a_sensor_that_was_off_for_some_seconds_may_go_on_at_the_same_value() {
        for (off, stuck) in [(10, false), (240, true)] {
            let mut p = Probe::new(SensorId(0), SensorPlace::Chip);
            (0..300).for_each(|at| p.follow(s(at), 0.9, AGE));
            (300..300 + off).for_each(|at| p.follow(s(at), 0.0, AGE));
            p.forget();
            for at in 300 + off..500 + off {
                p.follow(s(at), 0.9, AGE);
                p.read(s(at), Celsius(54.5));
            }
            assert_eq!(matches!(p.known(s(500 + off), s(0), AGE), Known::Failed { .. }), stuck, "off for {off} s");
        }
    }
}
