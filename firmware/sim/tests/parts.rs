//! The real drivers of sensors, meters and fan controllers on the simulated parts, one part on a bus of its own. What a driver and
//! its part both got wrong is not found here: the rows of datasheets are tested on either side.

use hwdrivers::bus::socket::{SocketGpio, SocketPwm};
use hwdrivers::bus::{BusError, Gpio, I2c, Message, NoPwm, Pwm};
use hwdrivers::eeprom::at24c02::At24c02;
use hwdrivers::eeprom::identity::{Identity, Match};
use hwdrivers::fan::pwm::BoardFans;
use hwdrivers::fan::{Fans, emc2101, emc2103, emc2305};
use hwdrivers::input::button::{Button, Press};
use hwdrivers::input::plug::Plug;
use hwdrivers::sensor::ina260::Ina260;
use hwdrivers::sensor::tmp75::{Model, Tmp75};
use hwdrivers::sensor::tmp451::{Family, Tmp451};
use hwdrivers::sensor::{Sensor, SensorError};
use model::{Ampere, Celsius, Diode, DiodeTune, FanId, FanPart, GpioLine, Percent, Product, PwmFans, Rpm, Time, Volt};
use sim::bench_socket::BenchSocket;
use sim::parts::{self, Target};
use sim::real_time::SCALE;
use sim::{World, buses, lock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A bus with one part.
struct Bus<T> {
    part: T,
    address: u8,
    now: Time,
}

impl<T: Target> Bus<T> {
    fn new(address: u8, part: T) -> Bus<T> {
        Bus { part, address, now: Time::ZERO }
    }

    /// A second passes.
    fn wait(&mut self) {
        self.now = self.now + Duration::from_secs(1);
    }
}

impl<T: Target> I2c for Bus<T> {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        if address != self.address {
            return Err(BusError::Nack(address));
        }
        for m in messages {
            match m {
                Message::Write(bytes) => self.part.write(self.now, bytes),
                Message::Read(buffer) => self.part.read(self.now, buffer),
            }
        }
        Ok(())
    }
}

#[test]
fn board_sensors_of_every_model_read_within_their_resolution() {
    for (model, step) in [(Model::Lm75a, 0.125_f64), (Model::Tmp75, 0.5), (Model::Tmp1075, 0.0625)] {
        let mut bus = Bus::new(0x48, parts::tmp75::Tmp75::new(model));
        for true_value in [-40.0, -0.3, 0.0, 24.97, 71.3, 124.9] {
            bus.part.temperature = Celsius(true_value);
            for mut sensor in [Tmp75::of(model, 0x48), Tmp75::new(0x48)] {
                let read = sensor.read(&mut bus).expect("answers").0;
                assert!((0.0..=step.max(0.125)).contains(&(true_value - read)), "{model:?}: {read} of {true_value}");
            }
        }
        assert!(Tmp75::of(model, 0x48).identify(&mut bus).expect("answers"));
        assert_eq!(Tmp75::of(Model::Tmp1075, 0x48).identify(&mut bus).expect("answers"), model == Model::Tmp1075);
        assert!(matches!(Tmp75::new(0x49).read(&mut bus), Err(SensorError::Bus(BusError::Nack(0x49)))));
    }
}

#[test]
fn diode_sensors_of_every_family_settle_and_read_cold_and_hot() {
    for (family, local_step) in [(Family::Tmp451, 0.0625), (Family::Tmp42x, 0.0625), (Family::Adt7461, 1.0)] {
        let mut bus = Bus::new(0x4c, parts::tmp451::Tmp451::new(family));
        let (mut local, mut remote) = (Tmp451::new(0x4c, Diode::Local), Tmp451::new(0x4c, Diode::Remote));
        assert!(matches!(remote.read(&mut bus), Err(SensorError::Settling)), "{family:?}");
        bus.wait();
        for celsius in [-30.2, 0.0, 61.3, 139.8] {
            (bus.part.local, bus.part.remote[0]) = (Celsius(celsius), Celsius(celsius + 5.0));
            let read = local.read(&mut bus).expect("answers").0;
            assert!((0.0..=local_step).contains(&(celsius - read)), "{family:?}: {read} of {celsius}");
            let read = remote.read(&mut bus).expect("answers").0;
            assert!((0.0..=0.25).contains(&(celsius + 5.0 - read)), "{family:?}: {read} of {celsius} + 5");
        }
        bus.part.diode = parts::Diode::Open;
        assert!(matches!(remote.read(&mut bus), Err(SensorError::OpenCircuit)), "{family:?}");
        bus.part.diode = parts::Diode::Short;
        assert!(matches!(remote.read(&mut bus), Err(SensorError::Short)), "{family:?}");
        assert!(local.read(&mut bus).is_ok(), "its own place has no diode");
        bus.part.diode = parts::Diode::Good;
        assert!(remote.read(&mut bus).is_ok());
        assert!(remote.identify(&mut bus).expect("answers"));
        let second = Tmp451::new(0x4c, Diode::SecondRemote).read(&mut bus);
        assert_eq!(second.is_ok(), family == Family::Tmp42x, "{second:?}");
    }
}

#[test]
fn another_part_at_a_sensors_address_is_not_read_and_not_written() {
    let mut bus = Bus::new(0x4c, parts::emc2101::Emc2101::default());
    assert!(matches!(Tmp451::new(0x4c, Diode::Local).read(&mut bus), Err(SensorError::Foreign)));
    assert!(!Tmp451::new(0x4c, Diode::Local).identify(&mut bus).expect("answers"));
    assert!(!emc2305::Emc2305::new(0x4c).identify(&mut bus).expect("answers"));
    assert!(!emc2103::Emc2103::new(0x4c).identify(&mut bus).expect("answers"));
    assert!(!Ina260::new(0x4c).identify(&mut bus).expect("answers"));
    assert!(emc2101::Emc2101::new(0x4c).identify(&mut bus).expect("answers"));
}

#[test]
fn an_emc2101_turns_its_fan_and_reads_its_diode() {
    let mut bus = Bus::new(0x4c, parts::emc2101::Emc2101::default());
    let mut fan = emc2101::Emc2101::new(0x4c);
    for percent in [0.0, 20.0, 50.0, 73.0, 100.0] {
        fan.set_duty(&mut bus, FanId(0), Percent(percent)).expect("answers");
        assert!((bus.part.duty().0 - percent).abs() < 1.7, "{} for {percent}", bus.part.duty());
    }
    assert_eq!(fan.rpm(&mut bus, FanId(0)).expect("answers"), Some(Rpm(0.0)));
    bus.part.speed = Rpm(4200.0);
    let rpm = fan.rpm(&mut bus, FanId(0)).expect("answers").expect("turns");
    assert!((rpm.0 - 4200.0).abs() < 5.0, "{rpm}");

    let tune = Some(DiodeTune { ideality: 0x24, beta: 0 });
    let mut chip = emc2101::Emc2101Sensor::new(0x4c, Diode::Remote, tune);
    let mut own = emc2101::Emc2101Sensor::new(0x4c, Diode::Local, None);
    (bus.part.external, bus.part.internal) = (Celsius(61.2), Celsius(38.0));
    assert!(matches!(chip.read(&mut bus), Err(SensorError::Settling)));
    let read = chip.read(&mut bus).expect("answers");
    assert!((61.2 - read.0) < 0.126, "{read}");
    assert_eq!(own.read(&mut bus).expect("answers"), Celsius(38.0));
    bus.part.diode = parts::Diode::Open;
    assert!(matches!(chip.read(&mut bus), Err(SensorError::OpenCircuit)));
    bus.part.diode = parts::Diode::Short;
    assert!(matches!(chip.read(&mut bus), Err(SensorError::Short)));
    // It loses its power for a moment.
    bus.part = parts::emc2101::Emc2101::default();
    bus.part.external = Celsius(70.0);
    assert!(matches!(chip.read(&mut bus), Err(SensorError::Settling)));
    assert_eq!(chip.read(&mut bus).expect("answers"), Celsius(70.0));
    fan.set_duty(&mut bus, FanId(0), Percent(50.0)).expect("answers");
    assert!((bus.part.duty().0 - 50.0).abs() < 2.0, "{}", bus.part.duty());
}

#[test]
fn an_emc2103_turns_its_fan_and_reads_both_diodes() {
    let mut bus = Bus::new(0x2e, parts::emc2103::Emc2103::default());
    let mut fan = emc2103::Emc2103::new(0x2e);
    fan.set_duty(&mut bus, FanId(0), Percent(64.0)).expect("answers");
    assert!((bus.part.duty().0 - 64.0).abs() < 0.3, "{}", bus.part.duty());
    assert_eq!(fan.rpm(&mut bus, FanId(0)).expect("answers"), Some(Rpm(0.0)));
    bus.part.speed = Rpm(6100.0);
    let rpm = fan.rpm(&mut bus, FanId(0)).expect("answers").expect("turns");
    assert!((rpm.0 - 6100.0).abs() < 10.0, "{rpm}");
    assert!(fan.identify(&mut bus).expect("answers"));

    bus.part.external = [Celsius(66.0), Celsius(71.5)];
    bus.part.diodes[1] = parts::Diode::Open;
    let read = |bus: &mut Bus<_>, diode| emc2103::Emc2103Sensor::new(0x2e, diode, None).read(bus);
    assert_eq!(read(&mut bus, Diode::Local).expect("answers"), Celsius(25.0));
    assert_eq!(read(&mut bus, Diode::Remote).expect("answers"), Celsius(66.0));
    assert!(matches!(read(&mut bus, Diode::SecondRemote), Err(SensorError::OpenOrShort)));
    bus.part.diodes[1] = parts::Diode::Good;
    assert_eq!(read(&mut bus, Diode::SecondRemote).expect("answers"), Celsius(71.5));
}

#[test]
fn a_meter_reads_volts_amperes_and_watts() {
    let mut bus = Bus::new(0x40, parts::ina260::Ina260::default());
    let mut meter = Ina260::new(0x40);
    (bus.part.volt, bus.part.ampere) = (Volt(5.02), Ampere(3.1));
    let m = meter.read(&mut bus).expect("answers");
    let near = |a: f64, b: f64| (a - b).abs() < 0.01;
    assert!(near(m.volt.expect("volts").0, 5.02));
    assert!(near(m.ampere.expect("amperes").0, 3.1));
    assert!(near(m.watt.expect("watts").0, 15.56));
    bus.part.ampere = Ampere(-0.5);
    assert!(near(meter.read(&mut bus).expect("answers").ampere.expect("amperes").0, -0.5));
    assert!(meter.identify(&mut bus).expect("answers"));
}

/// As on a BCB100: a low output turns the fans, and two share it.
const BOARD_FANS: PwmFans = PwmFans { channels: &[0, 1], hertz: 25_000, inverted: true, tachs: &[5, 90, 3, 6], pulses: 2 };

fn world_with_board_fans() -> Arc<Mutex<World>> {
    let product = Product { fan: FanPart::Pwm(BOARD_FANS), ..board::antminer_s19jpro::PRODUCT };
    Arc::new(Mutex::new(World::new(&product, 1, SCALE)))
}

fn pass(world: &Mutex<World>, seconds: u64) -> Time {
    let mut world = lock(world);
    let to = world.now() + Duration::from_secs(seconds);
    world.advance(to);
    to
}

fn turn_and_count(world: &Mutex<World>, pwm: &mut dyn Pwm, gpio: &mut dyn Gpio) {
    let mut fans = BoardFans::new(BOARD_FANS);
    fans.set_duty(pwm, Percent(50.0)).expect("outputs");
    assert_eq!(lock(world).duty(), Some(Percent(50.0)));
    let now = pass(world, 30);
    assert_eq!(fans.rpm(gpio, now, FanId(1)).expect("a line"), None, "nothing to compare with");
    lock(world).stick_fan(2, true);
    for seconds in [20, 2] {
        let now = pass(world, seconds);
        for fan in 0..4 {
            let rpm = fans.rpm(gpio, now, FanId(fan)).expect("a line");
            let true_value = lock(world).fan_speeds()[usize::from(fan)].0;
            if seconds == 2 {
                assert!((rpm.expect("turns").0 - true_value).abs() < 31.0, "fan {fan}: {rpm:?} of {true_value}");
            }
        }
    }
    assert_eq!(gpio.edges(77).expect("a line"), 0, "no tach");
    assert!(pwm.set(2, Percent(1.0)).is_err());
}

#[test]
fn fans_of_the_control_board_are_turned_by_outputs_and_counted_on_lines() {
    let world = world_with_board_fans();
    assert_eq!(lock(&world).duty(), Some(Percent(100.0)), "an output that floats");
    let mut b = buses(&world);
    turn_and_count(&world, &mut *b.pwm, &mut *b.gpio);
}

#[test]
fn outputs_and_edges_pass_through_the_socket() {
    let world = world_with_board_fans();
    let path = std::env::temp_dir().join(format!("otedama-parts-{}.sock", std::process::id()));
    let mut server = BenchSocket::open(&path).expect("listens");
    let mut b = buses(&world);
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let end = Arc::clone(&done);
    let serving = std::thread::spawn(move || {
        while !end.load(std::sync::atomic::Ordering::Relaxed) {
            server.turn(&mut *b.i2c, &mut *b.gpio, &mut *b.pwm);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let (mut pwm, mut gpio) = (SocketPwm::open(&path).expect("connects"), SocketGpio::open(&path).expect("connects"));
    turn_and_count(&world, &mut pwm, &mut gpio);
    assert!(pwm.set(0, Percent(f64::NAN)).is_err());
    assert!(gpio.edges(5000).is_err(), "beyond its lines");
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    serving.join().expect("served");
}

#[test]
fn a_machine_without_outputs_says_so() {
    let world = Arc::new(Mutex::new(World::new(&board::antminer_s19jpro::PRODUCT, 1, SCALE)));
    assert!(buses(&world).pwm.set(0, Percent(50.0)).is_err());
    assert!(NoPwm.set(0, Percent(50.0)).is_err());
}

/// Where a chain starts is within what it may ever run at.
#[test]
fn no_chain_starts_below_its_lowest_clock() {
    for p in board::PRODUCTS {
        for b in p.hashboards {
            let serial = hwdrivers::chip::bm13xx::chip(b.chain.chip).map(|c| c.first_clock);
            let first = serial.or(hwdrivers::chip::spi_ring::family(b.chain.chip).map(|f| f.first_clock));
            let first = first.expect("every chip has a driver");
            assert!((p.limits.clock_min..=p.limits.clock_max).contains(&first), "{}: {first}", p.name);
        }
    }
}

#[test]
fn an_eeprom_is_read_whole_told_apart_and_never_written() {
    let mut own = parts::at24c02::At24c02::holding(b"\x04\x11\x00BHB42601");
    own.contents[255] = 0x5a;
    for (part, identity, fits) in [
        (own, Identity::Named("BHB42601".to_owned()), Match::Fits),
        (parts::at24c02::At24c02::holding(&[0x05, 0x11]), Identity::Keyed { format: 5 }, Match::Unsaid),
        (parts::at24c02::At24c02::new(), Identity::Blank, Match::Unsaid),
    ] {
        let mut bus = Bus::new(0x50, part);
        let contents = At24c02::new(0x50).read(&mut bus).expect("answers");
        assert_eq!(contents, bus.part.contents);
        assert_eq!(Identity::of(&contents), identity);
        let here = board::antminer_s19jpro::PRODUCT.hashboards[0];
        assert_eq!(identity.fits(here.name, here.also), fits);
        assert_eq!(bus.part.written, 0);
    }
}

/// A line that a contact pulls low.
struct ContactLine {
    contact: parts::contact::Contact,
    now: Time,
}

impl Gpio for ContactLine {
    fn set(&mut self, _line: u32, _high: bool) -> Result<(), BusError> {
        Err(BusError::Gone)
    }
    fn get(&mut self, _line: u32) -> Result<bool, BusError> {
        Ok(!self.contact.is_closed(self.now))
    }
}

#[test]
fn contacts_that_bounce_are_one_press_and_one_plug() {
    let contact = |closed| parts::contact::Contact::new(closed, 4);
    let mut button_line = ContactLine { contact: contact(false), now: Time::ZERO };
    let mut plug_line = ContactLine { contact: contact(true), now: Time::ZERO };
    let (mut button, mut plug) = (Button::new(GpioLine::low(445)), Plug::new(GpioLine::low(48)));
    let (mut presses, mut plugs) = (Vec::new(), Vec::new());
    for millis in 0..12_000 {
        let now = Time::from_millis(millis);
        (button_line.now, plug_line.now) = (now, now);
        button_line.contact.set(now, (1000..1200).contains(&millis) || (4000..9000).contains(&millis));
        plug_line.contact.set(now, !(2000..6000).contains(&millis));
        presses.extend(button.turn(now, &mut button_line).expect("a line"));
        let plugged = plug.read(now, &mut plug_line).expect("a line");
        if plugs.last() != Some(&plugged) {
            plugs.push(plugged);
        }
    }
    assert_eq!(presses, [Press::Short, Press::Held]);
    assert_eq!(plugs, [true, false, true]);
}
