//! Makes a machine's hardware safe: supply off, rails off, reset lines held, fans full. Every step is tried even where one before it
//! failed. Fans stay at their least duty where the child that ended on purpose said that all is off, and cool by the product's own
//! limits. Not here: when (the keeper), and what a part's registers mean (`hwdrivers`).

use crate::event;
use crate::heartbeat::LastWord;
use hwdrivers::bus::{BusError, Gpio, I2c, Message, NoPwm, Pwm, open};
use hwdrivers::fan::{self, pwm::BoardFans};
use hwdrivers::power::{self, Event, Order, Power, PowerError};
use model::settings::Device;
use model::{FanId, FanPart, Hashboard, Percent, Product, RegulatorPart};
use std::time::{Duration, Instant};

/// How long a regulator may take to obey: the slowest gives up after 1.5 s without an answer.
const RAIL_LIMIT: Duration = Duration::from_secs(3);
/// Longest sleep between two of its turns.
const RAIL_STEP: Duration = Duration::from_millis(50);

/// The lines that are held. They belong to one process at a time: held while no child runs, and let go of for the next one.
#[derive(Default)]
pub struct Held(Vec<Box<dyn Gpio>>);

impl Held {
    /// Makes every machine safe and holds its lines. The error has a line for each step that failed.
    ///
    /// # Errors
    /// A step failed: the machine is not known to be safe.
    pub fn secure(&mut self, devices: &[Device], word: Option<LastWord>) -> Result<(), Vec<String>> {
        // Lines of a former try are asked for anew: what they are worth may have changed with a re-plugged chip.
        self.release();
        let mut failed = vec![];
        for device in devices {
            let Some(product) = board::product(&device.product) else {
                failed.push(format!("no product is called '{}'", device.product));
                continue;
            };
            // Settings that name an unknown control board start no child; its lines are not known either.
            let product = match device.control_board.as_deref().map(|name| board::wiring::on(product, name)) {
                Some(Ok(wired)) => wired,
                Some(Err(e)) => {
                    failed.push(e.to_string());
                    continue;
                }
                None => product,
            };
            self.secure_one(device, product, word, &mut failed);
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// The quick steps first: a regulator may take seconds.
    fn secure_one(&mut self, device: &Device, product: &Product, word: Option<LastWord>, failed: &mut Vec<String>) {
        let mut gpio = open::gpio(&device.gpio).map_err(|e| vec![told(&format!("hold the lines of {}", product.name), &e)]);
        let refused = match &mut gpio {
            Ok(gpio) => {
                let refused = hold_lines(product, &mut **gpio);
                show_that_nothing_runs(device, &mut **gpio);
                refused
            }
            Err(lines) => std::mem::take(lines),
        };
        let obeyed = refused.is_empty();
        failed.extend(refused);
        let mut i2c = open::i2c(&device.i2c).map_err(|e| failed.push(told(&format!("reach the parts of {}", product.name), &e)));
        let mut pwm = outputs(device, product).unwrap_or_else(|e| {
            failed.push(e);
            Box::new(NoPwm)
        });
        let (mut no_i2c, mut no_gpio) = (Absent, Absent);
        let reached = i2c.is_ok();
        let i2c = i2c.as_mut().map_or(&mut no_i2c as &mut dyn I2c, |i2c| &mut **i2c);
        // Fans on outputs of the control board need no bus.
        if reached || fan::driver(product.fan).is_none() {
            failed.extend(set_fans(product, duty(product, word), i2c, &mut *pwm));
        }
        if reached {
            let gpio = gpio.as_mut().map_or(&mut no_gpio as &mut dyn Gpio, |gpio| &mut **gpio);
            failed.extend(rails_off(product, obeyed, i2c, gpio));
        }
        self.0.extend(gpio);
    }

    /// Lets go of the lines, so that a child can take them.
    pub fn release(&mut self) {
        self.0.clear();
    }
}

/// The outputs that the fans hang on.
fn outputs(device: &Device, product: &Product) -> Result<Box<dyn Pwm>, String> {
    match (product.fan, &device.pwm) {
        (FanPart::Pwm(fans), Some(path)) => {
            open::pwm(path, fans.period()).map_err(|e| told(&format!("reach the fans of {}", product.name), &e))
        }
        _ => Ok(Box::new(NoPwm)),
    }
}

/// Full, unless there is reason to believe that nothing heats and nothing is hot.
fn duty(product: &Product, word: Option<LastWord>) -> Percent {
    let cool = |w: LastWord| w.off && w.warmest.is_some_and(|c| c < product.limits.resume);
    if word.is_some_and(cool) { product.limits.duty_min } else { Percent(100.0) }
}

/// Supply off first: whatever else fails, nothing heats any more.
fn hold_lines(product: &Product, gpio: &mut dyn Gpio) -> Vec<String> {
    let supply = product.supply_enable.map(|line| ("switch the supply off".to_owned(), line, false));
    let boards = || product.hashboards.iter().enumerate();
    let rails =
        boards().flat_map(|(n, b)| b.enables.iter().map(move |l| (format!("switch the rail of chain {n} off"), *l, false)));
    let resets = boards().map(|(n, b)| (format!("hold chain {n} in reset"), b.reset, true));
    let mut failed = vec![];
    for (what, line, active) in supply.into_iter().chain(rails).chain(resets) {
        if let Err(e) = gpio.set(line.number, line.is_high(active)) {
            failed.push(told(&what, &e));
        }
    }
    failed
}

/// Red, as people know it; a light that cannot be lit makes nothing less safe.
fn show_that_nothing_runs(device: &Device, gpio: &mut dyn Gpio) {
    let board = device.control_board.as_deref().and_then(|name| board::CONTROL_BOARDS.iter().find(|c| c.name == name));
    let leds = board.map(|c| c.leds).unwrap_or_default();
    for (light, lit) in [(leds.green, false), (leds.red, true)] {
        light.into_iter().for_each(|line| drop(gpio.set(line.number, line.is_high(lit))));
    }
}

fn set_fans(product: &Product, duty: Percent, i2c: &mut dyn I2c, pwm: &mut dyn Pwm) -> Vec<String> {
    let told = |n, e| format!("set fan {n} to {duty}: {e}");
    match (product.fan, fan::driver(product.fan)) {
        (_, Some(mut controller)) => {
            (0..product.fans).filter_map(|n| controller.set_duty(i2c, FanId(n), duty).err().map(|e| told(n, e))).collect()
        }
        (FanPart::Pwm(fans), None) => BoardFans::new(fans).set_duty(pwm, duty).err().map(|e| told(0, e)).into_iter().collect(),
        (_, None) => vec![],
    }
}

/// A rail that no line switches is switched off by its regulator, which is told nothing before it said what it is. Where lines did
/// not obey, as those that a dead program still holds, the bus is the only way left to switch the others off.
fn rails_off(product: &Product, obeyed: bool, i2c: &mut dyn I2c, gpio: &mut dyn Gpio) -> Vec<String> {
    let by_line = |b: &Hashboard| product.supply_enable.is_some() || !b.enables.is_empty();
    let by_bus = |b: &Hashboard| if by_line(b) { !obeyed && has_address(b.regulator) } else { true };
    let mut failed = vec![];
    for (n, b) in product.hashboards.iter().enumerate().filter(|(_, b)| by_bus(b)) {
        let absent = b.plug.is_some_and(|plug| gpio.get(plug.number).is_ok_and(|high| !plug.is_active(high)));
        if absent {
            continue;
        }
        if let Err(why) = switch_off(&mut *power::regulator(b.regulator, &product.limits), i2c, gpio) {
            failed.push(format!("switch the rail of chain {n} off: {why}"));
        }
    }
    failed
}

/// Whether a regulator is told on the bus what to do; the others need a line.
fn has_address(part: RegulatorPart) -> bool {
    match part {
        RegulatorPart::Dspic { .. }
        | RegulatorPart::Pic16 { .. }
        | RegulatorPart::Ds4432u { .. }
        | RegulatorPart::Tps546 { .. } => true,
        RegulatorPart::VidPulses { .. } | RegulatorPart::Fixed | RegulatorPart::Supply => false,
    }
}

fn switch_off(regulator: &mut dyn Power, i2c: &mut dyn I2c, gpio: &mut dyn Gpio) -> Result<(), String> {
    let start = Instant::now();
    let mut why = "its regulator gives no answer".to_owned();
    regulator.order(Order::Disable);
    while start.elapsed() < RAIL_LIMIT {
        let now = event::now(start);
        regulator.turn(now, i2c, gpio);
        while let Some(event) = regulator.next_event() {
            match event {
                Event::Done(Order::Disable) => return Ok(()),
                Event::Failed { order: Order::Disable, error: PowerError::Unidentified } => return Err(why),
                Event::Failed { order: Order::Disable, error } => return Err(error.to_string()),
                Event::Failed { order, error } => why = format!("order {order:?}: {error}"),
                _ => {}
            }
        }
        std::thread::sleep(regulator.wake_at().since(event::now(start)).min(RAIL_STEP));
    }
    Err(why)
}

/// Where a bus or lines could not be opened.
struct Absent;

impl I2c for Absent {
    fn transfer(&mut self, _: u8, _: &mut [Message<'_>]) -> Result<(), BusError> {
        Err(BusError::Gone)
    }
}

impl Gpio for Absent {
    fn set(&mut self, _: u32, _: bool) -> Result<(), BusError> {
        Err(BusError::Gone)
    }
    fn get(&mut self, _: u32) -> Result<bool, BusError> {
        Err(BusError::Gone)
    }
}

fn told(what: &str, e: &BusError) -> String {
    match std::error::Error::source(e) {
        Some(source) => format!("{what}: {e}: {source}"),
        None => format!("{what}: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines and a bus that write down what they are told; one line may be another's.
    #[derive(Default)]
    struct Bench {
        lines: Vec<(u32, bool)>,
        written: Vec<(u8, Vec<u8>)>,
        taken: Option<u32>,
        outputs: Vec<(u32, f64)>,
        gone: bool,
    }

    impl Gpio for Bench {
        fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
            if self.taken == Some(line) {
                return Err(BusError::Gone);
            }
            self.lines.push((line, high));
            Ok(())
        }
        fn get(&mut self, _: u32) -> Result<bool, BusError> {
            Err(BusError::Gone)
        }
    }

    impl Pwm for Bench {
        fn set(&mut self, channel: u32, duty: Percent) -> Result<(), BusError> {
            self.outputs.push((channel, duty.0));
            Ok(())
        }
    }

    impl I2c for Bench {
        fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
            if self.gone {
                return Err(BusError::Nack(address));
            }
            for m in messages {
                let Message::Write(bytes) = m else { return Err(BusError::Nack(address)) };
                self.written.push((address, bytes.to_vec()));
            }
            Ok(())
        }
    }

    const PRODUCT: &Product = &board::antminer_s19jpro::PRODUCT;

    #[test]
    fn supply_off_before_resets_held_and_every_fan_full() {
        let mut bench = Bench::default();
        assert!(hold_lines(PRODUCT, &mut bench).is_empty());
        assert_eq!(bench.lines, [(65, false), (5, false), (4, false), (27, false)]);
        assert!(set_fans(PRODUCT, Percent(100.0), &mut bench, &mut NoPwm).is_empty());
        // The controller's own speed control is switched off before each.
        let full = |register| [(0x2d, vec![register + 2, 0x2b]), (0x2d, vec![register, 255])];
        assert_eq!(bench.written, [full(0x30), full(0x40), full(0x50), full(0x60)].concat());
    }

    #[test]
    fn a_refused_step_is_named_and_the_others_are_done() {
        let mut bench = Bench { taken: Some(65), gone: true, ..Bench::default() };
        let failed = hold_lines(PRODUCT, &mut bench);
        assert_eq!(failed, ["switch the supply off: the device is gone"]);
        assert_eq!(bench.lines, [(5, false), (4, false), (27, false)]);
        let failed = set_fans(PRODUCT, Percent(100.0), &mut bench, &mut NoPwm);
        assert_eq!(failed.len(), 4);
        assert_eq!(failed[3], "set fan 3 to 100 %: nothing answers at address 0x2d");
    }

    #[test]
    fn fans_of_a_control_board_are_told_too_and_no_fans_are_no_failure() {
        let wired = board::wiring::on(PRODUCT, "bcb100").expect("fits");
        let mut bench = Bench::default();
        assert!(set_fans(wired, Percent(100.0), &mut Bench::default(), &mut bench).is_empty());
        assert_eq!(bench.outputs, [(0, 0.0), (1, 0.0)], "turned over by the board");
        assert_eq!(set_fans(wired, Percent(100.0), &mut Bench::default(), &mut NoPwm).len(), 1);
        let none = set_fans(&board::emberone00::PRODUCT, Percent(100.0), &mut Bench::default(), &mut NoPwm);
        assert_eq!(none, [""; 0]);
    }

    #[test]
    fn only_a_machine_that_is_off_and_cool_by_its_own_limits_is_left_in_peace() {
        let word = |off, warmest: Option<f64>| Some(LastWord { off, warmest: warmest.map(model::Celsius) });
        let resume = PRODUCT.limits.resume.0;
        for (word, idle) in [
            (None, false),
            (word(true, Some(41.5)), true),
            (word(true, Some(resume - 0.1)), true),
            (word(true, Some(resume)), false),
            (word(true, Some(f64::NAN)), false),
            (word(true, None), false),
            (word(false, Some(41.5)), false),
        ] {
            let expected = if idle { PRODUCT.limits.duty_min } else { Percent(100.0) };
            assert_eq!(duty(PRODUCT, word), expected, "{word:?}");
        }
    }

    #[test]
    fn a_machine_that_cannot_be_reached_is_not_safe() {
        let device = |product: &str| Device {
            product: product.to_owned(),
            ttys: vec![],
            i2c: "/nonexistent/i2c".into(),
            gpio: "/dev/null".into(),
            pwm: None,
            control_board: None,
            simulated: true,
            place: model::settings::Place::default(),
        };
        let failed =
            Held::default().secure(&[device("antminer-s19jpro"), device("toaster")], None).expect_err("nothing is there");
        assert_eq!(failed.len(), 3, "{failed:?}");
        assert!(failed[0].contains("/dev/null") && failed[1].contains("/nonexistent/i2c"), "{failed:?}");
        assert!(failed[2].contains("'toaster'"), "{failed:?}");
        assert_eq!(Held::default().secure(&[], None), Ok(()), "no machine, nothing to make safe");
    }
}
