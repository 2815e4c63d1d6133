//! The real drivers of regulators and supplies on their simulated counterparts, in virtual time: each of them from a dark part to
//! its voltage and off again, and every way it can go wrong.

use hwdrivers::bus::{BusError, Gpio, I2c, Message};
use hwdrivers::power::apw::Apw;
use hwdrivers::power::ds4432u::Ds4432u;
use hwdrivers::power::dspic::Dspic;
use hwdrivers::power::pic16::Pic16;
use hwdrivers::power::tps546::{Tps546, on_5_volts};
use hwdrivers::power::vid::Vid;
use hwdrivers::power::{Event, Order, Power, PowerError, Span};
use model::{Ampere, ApwCurve, Celsius, DspicFraming, Time, Volt};
use sim::parts::{Target, apw, ds4432u, dspic, pic16, tps546, vid};
use std::time::Duration;

/// The rail of an S19's boards.
const S19: Span = Span { lowest: Volt(12.4), highest: Volt(15.0) };
const S19_PRO: &[u8] = &[0x43, 0x71, 0x74, 0x75, 0x76];

/// The converter of a Bitaxe Gamma, as its board's limits have it.
fn tps546() -> Tps546 {
    Tps546::new(0x24, on_5_volts(Span::of(&board::bitaxe_gamma::PRODUCT.limits)))
}

/// A part that something is different about.
fn with<T>(mut part: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut part);
    part
}

/// A part alone on its bus, and the driver for it.
struct Bench<T> {
    part: T,
    driver: Box<dyn Power>,
    now: Time,
    /// Transfers that nobody acknowledges.
    nacks: usize,
    transfers: usize,
}

struct Wire<'a, T>(&'a mut T, Time, &'a mut usize, &'a mut usize);

impl<T: Target> I2c for Wire<'_, T> {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        *self.3 += 1;
        if *self.2 > 0 {
            *self.2 -= 1;
            return Err(BusError::Nack(address));
        }
        for m in messages {
            match m {
                Message::Write(bytes) => self.0.write(self.1, bytes),
                Message::Read(buffer) => self.0.read(self.1, buffer),
            }
        }
        Ok(())
    }
}

struct NoLines;

impl Gpio for NoLines {
    fn set(&mut self, _line: u32, _high: bool) -> Result<(), BusError> {
        Err(BusError::Gone)
    }
    fn get(&mut self, _line: u32) -> Result<bool, BusError> {
        Err(BusError::Gone)
    }
}

impl<T: Target> Bench<T> {
    fn new(part: T, driver: impl Power + 'static) -> Bench<T> {
        Bench { part, driver: Box::new(driver), now: Time::from_secs(1), nacks: 0, transfers: 0 }
    }

    /// Gives orders and lets time pass until nothing waits; what was said.
    fn run(&mut self, orders: &[Order]) -> Vec<Event> {
        orders.iter().for_each(|o| self.driver.order(*o));
        let mut events = vec![];
        while self.driver.wake_at() != Time::NEVER {
            self.now = self.now.max(self.driver.wake_at());
            let mut wire = Wire(&mut self.part, self.now, &mut self.nacks, &mut self.transfers);
            self.driver.turn(self.now, &mut wire, &mut NoLines);
            events.extend(std::iter::from_fn(|| self.driver.next_event()));
        }
        events
    }

    /// All orders end as they should.
    fn must(&mut self, orders: &[Order]) {
        let events = self.run(orders);
        assert!(!events.iter().any(|e| matches!(e, Event::Failed { .. })), "{orders:?}: {events:?}");
        assert!(events.len() >= orders.len(), "{orders:?}: {events:?}");
    }

    /// The error of an order that has to fail.
    fn error(&mut self, order: Order) -> PowerError {
        let found = self.run(&[order]).into_iter().rev().find_map(|e| match e {
            Event::Failed { error, .. } => Some(error),
            _ => None,
        });
        found.expect("it fails")
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }
}

fn near(volt: Volt, expected: f64) -> bool {
    (volt.0 - expected).abs() < 0.02
}

fn power_on(volt: f64) -> [Order; 4] {
    [Order::Identify, Order::SetVoltage(Volt(volt)), Order::Enable, Order::Feed]
}

#[test]
fn a_rail_controller_of_every_framing_switches_feeds_and_is_cut_without_food() {
    for framing in [DspicFraming::LengthSum, DspicFraming::Short, DspicFraming::Registers] {
        let mut b = Bench::new(dspic::Dspic::new(framing), Dspic::new(0x20, framing, S19));
        b.must(&power_on(13.2));
        // Registers: the supply alone regulates.
        let expected = if framing == DspicFraming::Registers { 15.0 } else { 13.2 };
        assert!(near(b.part.rail(b.now, Volt(15.0)), expected), "{framing:?}");
        let period = b.driver.feed_period().expect("it is fed").as_secs();
        for _ in 0..20 {
            b.wait(period);
            b.must(&[Order::Feed]);
        }
        assert!(near(b.part.rail(b.now, Volt(15.0)), expected), "{framing:?}");
        b.must(&[Order::Disable]);
        assert_eq!(b.part.rail(b.now, Volt(15.0)), Volt(0.0), "{framing:?}");
        b.must(&power_on(13.2));
        b.wait(11);
        assert_eq!(b.part.rail(b.now, Volt(15.0)), Volt(0.0), "{framing:?}");
    }
}

#[test]
fn a_boot_loader_is_named_and_nothing_is_written_to_it() {
    for framing in [DspicFraming::LengthSum, DspicFraming::Short, DspicFraming::Registers] {
        let part = with(dspic::Dspic::new(framing), |p| p.version = dspic::BOOT_LOADER);
        let mut b = Bench::new(part, Dspic::new(0x20, framing, S19));
        let error = b.error(Order::Identify);
        assert!(error.to_string().contains("boot loader runs (version 0x86)"), "{error}");
        b.run(&power_on(13.2));
        b.run(&[Order::SetVoltage(Volt(13.0)), Order::Enable, Order::Feed, Order::Disable]);
        assert_eq!(b.part.trespasses, 0, "{framing:?}");
        assert_eq!(b.part.rail(b.now, Volt(15.0)), Volt(0.0));
    }
    let mut b = Bench::new(with(pic16::Pic16::default(), |p| p.loader = true), Pic16::new(0x55));
    let error = b.error(Order::Identify);
    assert!(error.to_string().contains("boot loader"), "{error}");
    b.run(&power_on(8.7));
    assert_eq!((b.part.trespasses, b.part.rail(b.now, Volt(12.0))), (0, Volt(0.0)));
}

#[test]
fn silent_and_damaged_controllers_fail_behind_three_tries() {
    for framing in [DspicFraming::LengthSum, DspicFraming::Short, DspicFraming::Registers] {
        let mut b = Bench::new(with(dspic::Dspic::new(framing), |p| p.mute = true), Dspic::new(0x20, framing, S19));
        let error = b.error(Order::Identify);
        assert!(matches!(error, PowerError::Answer(_) | PowerError::Unfit(_)), "{framing:?}: {error:?}");
        b.run(&[Order::Enable]);
        assert_eq!(b.part.rail(b.now, Volt(15.0)), Volt(0.0));
    }
    let mut b =
        Bench::new(with(dspic::Dspic::default(), |p| p.wrong_sums = true), Dspic::new(0x20, DspicFraming::LengthSum, S19));
    assert!(matches!(b.error(Order::Identify), PowerError::Answer(_)));
    // One that fell silent on the way: the rail goes when its own time is up.
    let mut b = Bench::new(dspic::Dspic::default(), Dspic::new(0x20, DspicFraming::LengthSum, S19));
    b.must(&power_on(13.2));
    b.part.mute = true;
    assert!(matches!(b.error(Order::SetVoltage(Volt(13.0))), PowerError::Unidentified), "nor does it say what it is");
    // Two lost transfers are nothing, three are an error.
    let mut b = Bench::new(dspic::Dspic::default(), Dspic::new(0x20, DspicFraming::LengthSum, S19));
    b.nacks = 2;
    b.must(&power_on(13.2));
    // A lost heartbeat, and then three lost questions.
    b.nacks = 4;
    assert!(matches!(b.error(Order::Feed), PowerError::Unidentified));
    b.must(&[Order::Feed]);
}

#[test]
fn a_pic1704_tells_its_fault_and_what_it_measures() {
    let mut b = Bench::new(dspic::Dspic::new(DspicFraming::Registers), Dspic::new(0x20, DspicFraming::Registers, S19));
    b.must(&power_on(13.2));
    b.part.seen = (Volt(13.21), Ampere(60.5));
    let events = b.run(&[Order::Measure]);
    let [Event::Measured(m)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((m.volt, m.ampere), (Some(Volt(13.21)), Some(Ampere(60.5))));
    b.part.fault = true;
    assert!(matches!(b.error(Order::Feed), PowerError::Fault(_)));
}

#[test]
fn an_s9_controller_regulates_and_no_order_trespasses() {
    for volt in [9.4, 9.1, 8.9, 8.7, 8.5, 8.3, 8.1] {
        let mut b = Bench::new(pic16::Pic16::default(), Pic16::new(0x55));
        b.must(&power_on(volt));
        assert!(near(b.part.rail(b.now, Volt(12.0)), volt), "{volt}");
        let events = b.run(&[Order::Measure]);
        assert!(matches!(&events[..], [Event::Measured(m)] if m.volt.is_some_and(|v| near(v, volt))), "{events:?}");
        assert_eq!(b.part.trespasses, 0);
        b.wait(11);
        assert_eq!(b.part.rail(b.now, Volt(12.0)), Volt(0.0));
    }
    let mut b = Bench::new(pic16::Pic16::default(), Pic16::new(0x55));
    // A command that somebody broke off does not swallow ours.
    for byte in [0x55, 0xaa, 0x02, 7, 7] {
        b.part.write(b.now, &[byte]);
    }
    b.must(&power_on(8.7));
    b.part.forgets = true;
    assert!(matches!(b.error(Order::SetVoltage(Volt(8.1))), PowerError::Answer(_)));
    assert!(matches!(b.error(Order::SetVoltage(Volt(10.0))), PowerError::Range { .. }));
    b.nacks = 14;
    b.must(&[Order::Feed]);
    b.must(&[Order::Disable]);
    assert_eq!(b.part.rail(b.now, Volt(12.0)), Volt(0.0));
    assert_eq!(b.part.trespasses, 1, "the one above, which the zeros of the flush ended");
    let mut b = Bench::new(with(pic16::Pic16::default(), |p| p.mute = true), Pic16::new(0x55));
    assert!(matches!(b.error(Order::Enable), PowerError::Unidentified));
    let mut b = Bench::new(with(pic16::Pic16::default(), |p| p.version = 2), Pic16::new(0x55));
    assert!(b.error(Order::Identify).to_string().contains("0x02"));
}

#[test]
fn a_supply_is_found_in_every_dialect_and_fed() {
    for dialect in [apw::Dialect::Packets, apw::Dialect::Register0, apw::Dialect::ByteSums, apw::Dialect::Echoes] {
        for (kind, volt) in [(0x71, 13.2), (0x43, 13.2), (0x74, 14.0), (0x76, 12.5)] {
            let part = with(apw::Apw::new(kind), |p| {
                p.dialect = dialect;
                p.enabled = true;
            });
            let mut b = Bench::new(part, Apw::new(0x10, ApwCurve::Apw12, S19_PRO));
            b.must(&power_on(volt));
            assert!(near(b.part.output(b.now), volt), "{dialect:?} {kind:02x}: {}", b.part.output(b.now));
            for _ in 0..10 {
                b.wait(20);
                b.must(&[Order::Feed]);
            }
            assert!(near(b.part.output(b.now), volt), "{dialect:?} {kind:02x}");
            b.wait(61);
            assert_eq!(b.part.output(b.now), Volt(0.0), "its watchdog bites");
            assert_eq!(b.part.calibrations, 0);
        }
    }
}

#[test]
fn a_supply_that_a_disturbed_bus_left_in_the_middle_of_something_is_found_again() {
    // As much of a frame as had come, and whether an answer to an earlier one was never fetched.
    for (cut, unread) in [(3, false), (4, false), (7, false), (4, true), (0, true)] {
        let mut part = apw::Apw::default();
        if unread {
            [0x55, 0xaa, 4, 2, 6, 0].iter().for_each(|b| Target::write(&mut part, Time::ZERO, &[0x11, *b]));
        }
        [0xaa, 0x55, 0xaa, 6, 0x83, 152, 0].iter().take(cut).for_each(|b| Target::write(&mut part, Time::ZERO, &[0x11, *b]));
        part.enabled = true;
        let mut b = Bench::new(part, Apw::new(0x10, ApwCurve::Apw12, S19_PRO));
        b.wait(1);
        b.must(&power_on(13.2));
        assert!(near(b.part.output(b.now), 13.2), "{cut} {unread}: {}", b.part.output(b.now));
    }
}

#[test]
fn an_apw9_has_no_watchdog_and_tells_its_voltage() {
    let part = with(apw::Apw::new(0x41), |p| p.enabled = true);
    let mut b = Bench::new(part, Apw::new(0x10, ApwCurve::Apw9, &[0x41, 0x42]));
    b.must(&power_on(19.0));
    assert!(near(b.part.output(b.now), 19.0), "{}", b.part.output(b.now));
    b.wait(3600);
    let events = b.run(&[Order::Measure]);
    assert!(matches!(&events[..], [Event::Measured(m)] if m.volt.is_some_and(|v| near(v, 19.0))), "{events:?}");
    assert!(matches!(b.error(Order::SetVoltage(Volt(13.0))), PowerError::Range { .. }));
}

#[test]
fn a_supply_of_an_unknown_dialect_or_kind_is_named_and_stays_as_it_is() {
    let unknown = with(apw::Apw::default(), |p| p.dialect = apw::Dialect::Unknown);
    for (part, word) in [(unknown, "no known dialect"), (apw::Apw::new(0x22), "0x22"), (apw::Apw::new(0xc1), "0xc1")] {
        let before = part.setting();
        let mut b = Bench::new(part, Apw::new(0x10, ApwCurve::Apw12, S19_PRO));
        let error = b.error(Order::Identify);
        assert!(error.to_string().contains(word), "{error}");
        for order in [Order::SetVoltage(Volt(13.0)), Order::Feed] {
            b.error(order);
        }
        b.part.enabled = true;
        assert_eq!((b.part.setting(), b.part.output(b.now), b.part.calibrations), (before, before, 0));
    }
}

#[test]
fn a_supply_that_is_broken_fails_behind_three_tries() {
    for (dialect, broken) in [
        (apw::Dialect::Packets, apw::Broken::Sum),
        (apw::Dialect::Register0, apw::Broken::Sum),
        (apw::Dialect::ByteSums, apw::Broken::Sum),
        (apw::Dialect::Packets, apw::Broken::Mute),
        (apw::Dialect::ByteSums, apw::Broken::Mute),
        (apw::Dialect::Echoes, apw::Broken::Echo),
    ] {
        let mut b = Bench::new(with(apw::Apw::default(), |p| p.dialect = dialect), Apw::new(0x10, ApwCurve::Apw12, S19_PRO));
        b.must(&[Order::Identify]);
        b.part.broken = broken;
        let error = b.error(Order::SetVoltage(Volt(13.2)));
        // An echo alone is wrong; of the others what they are cannot be read any more.
        let fits = if broken == apw::Broken::Echo {
            matches!(error, PowerError::Answer(_))
        } else {
            matches!(error, PowerError::Unidentified)
        };
        assert!(fits, "{dialect:?} {broken:?}: {error:?}");
        b.part.broken = apw::Broken::Not;
        b.must(&[Order::SetVoltage(Volt(13.2))]);
    }
    let mut b = Bench::new(apw::Apw::default(), Apw::new(0x10, ApwCurve::Apw12, S19_PRO));
    b.nacks = 3;
    assert!(matches!(b.error(Order::Identify), PowerError::Bus(_)));
    b.must(&[Order::Identify]);
}

#[test]
fn a_tps546_is_limited_enabled_measured_and_protects_itself() {
    let mut b = Bench::new(tps546::Tps546::default(), tps546());
    b.must(&[Order::Identify, Order::SetVoltage(Volt(1.2)), Order::Enable]);
    assert!(near(b.part.output(), 1.2));
    b.must(&[Order::SetVoltage(Volt(1.15))]);
    assert!(near(b.part.output(), 1.15));
    let events = b.run(&[Order::Measure]);
    let [Event::Measured(m)] = &events[..] else { panic!("{events:?}") };
    assert!(m.volt.is_some_and(|v| near(v, 1.15)), "{m:?}");
    assert_eq!((m.ampere, m.celsius, m.input), (Some(Ampere(15.0)), Some(Celsius(45.0)), Some(Volt(5.0))));
    assert!(m.watt.is_some_and(|w| (w.0 - 17.25).abs() < 0.1), "{m:?}");
    // A warning is no fault.
    b.part.temperature = Celsius(110.0);
    b.must(&[Order::Measure]);

    type Break = fn(&mut tps546::Tps546);
    let cases: [(Break, &str); 5] = [
        (|p| p.error = Volt(0.4), "output over-voltage"),
        (|p| p.error = Volt(-0.4), "output under-voltage"),
        (|p| p.temperature = Celsius(150.0), "over-temperature"),
        (|p| p.load = Ampere(31.0), "over-current"),
        (|p| p.input = Volt(4.0), "input too low"),
    ];
    for (harm, word) in cases {
        let mut b = Bench::new(tps546::Tps546::default(), tps546());
        b.must(&[Order::SetVoltage(Volt(1.2)), Order::Enable]);
        harm(&mut b.part);
        assert_eq!(b.part.output(), Volt(0.0), "{word}");
        let error = b.error(Order::Measure);
        assert!(matches!(&error, PowerError::Fault(w) if w.contains(word) && w.contains("output off")), "{word}: {error}");
        b.must(&[Order::Disable]);
        assert_eq!((b.part.output(), b.part.stored), (Volt(0.0), 0));
    }
}

#[test]
fn a_tps546_that_obeys_its_pin_is_off_when_it_is_said_to_be() {
    let mut b = Bench::new(with(tps546::Tps546::default(), |p| p.pin = true), tps546());
    assert!(b.part.output() > Volt(0.5), "nobody configured it yet");
    b.must(&[Order::Disable]);
    assert_eq!(b.part.output(), Volt(0.0));
}

#[test]
fn another_converter_at_the_address_is_told_nothing() {
    let part = with(tps546::Tps546::default(), |p| p.device = [0x54, 0x49, 0x54, 0x6b, 0x24, 0x41]);
    let mut b = Bench::new(part, tps546());
    assert!(b.error(Order::Identify).to_string().contains("device id"));
    b.run(&[Order::SetVoltage(Volt(1.2)), Order::Enable]);
    assert_eq!(b.part.output(), Volt(0.0));
    let mut b = Bench::new(tps546::Tps546::default(), tps546());
    assert!(matches!(b.error(Order::Enable), PowerError::Fault(_)), "no voltage, no power");
    b.nacks = 3;
    assert!(matches!(b.error(Order::SetVoltage(Volt(1.2))), PowerError::Bus(_)));
}

#[test]
fn a_ds4432u_trims_to_what_is_asked_and_never_more() {
    let mut b = Bench::new(ds4432u::Ds4432u::default(), Ds4432u::new(0x48));
    for milli in (1000..=1900).step_by(7) {
        let volt = f64::from(milli) / 1000.0;
        b.must(&[Order::SetVoltage(Volt(volt))]);
        let given = b.part.output().0;
        assert!(given <= volt + 1e-4 && given > volt - 0.0039, "{volt}: {given}");
    }
    b.must(&[Order::SetVoltage(Volt(2.39))]);
    assert!(near(b.part.output(), 1.928), "clamped, not wrapped: {}", b.part.output());
    b.part.stuck = true;
    assert!(matches!(b.error(Order::SetVoltage(Volt(1.2))), PowerError::Answer(_)));
}

/// A voltage id input on a line, and a bus with nothing.
struct Lines(vid::Vid, Time);

impl Gpio for Lines {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        assert_eq!(line, 864);
        self.0.drive(self.1, high);
        Ok(())
    }
    fn get(&mut self, _line: u32) -> Result<bool, BusError> {
        Err(BusError::Gone)
    }
}

impl I2c for Lines {
    fn transfer(&mut self, address: u8, _messages: &mut [Message<'_>]) -> Result<(), BusError> {
        Err(BusError::Nack(address))
    }
}

#[test]
fn a_voltage_id_arrives_by_pulses_step_by_step_also_when_turns_are_a_little_late() {
    for late in [0, 40, 100] {
        let (mut driver, mut lines) = (Vid::new(864), Lines(vid::Vid::default(), Time::ZERO));
        let mut nothing = Lines(vid::Vid::default(), Time::ZERO);
        for (volt, frames) in [(16.08, 1), (15.0, 13), (15.63, 20), (13.29, 46)] {
            driver.order(Order::SetVoltage(Volt(volt)));
            let mut events = vec![];
            while driver.wake_at() != Time::NEVER {
                lines.1 = lines.1.max(driver.wake_at() + Duration::from_micros(late));
                driver.turn(lines.1, &mut nothing, &mut lines);
                events.extend(driver.next_event());
            }
            assert!(matches!(events[..], [Event::Done(Order::SetVoltage(_))]), "{events:?}");
            assert!(lines.0.output() <= Volt(volt + 1e-9) && lines.0.output() > Volt(volt - 0.09), "{volt}: {:?}", lines.0);
            assert_eq!((lines.0.frames, lines.0.dropped), (frames, 0), "{volt}, {late} µs late");
        }
    }
}
