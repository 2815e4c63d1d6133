//! Makes a machine's hardware safe: supply off, reset lines held, fans full. Every step is tried even where one before it failed.
//! Not here: when (the keeper), and what a part's registers mean (`hwdrivers`).

use hwdrivers::bus::{BusError, Gpio, I2c, open};
use hwdrivers::fan::{Fans, emc2305::Emc2305};
use model::settings::Device;
use model::{FanId, FanPart, Percent, Product};

/// The lines that are held. They belong to one process at a time: held while no child runs, and let go of for the next one.
#[derive(Default)]
pub struct Held(Vec<Box<dyn Gpio>>);

impl Held {
    /// Makes every machine safe and holds its lines. The error has a line for each step that failed.
    ///
    /// # Errors
    /// A step failed: the machine is not known to be safe.
    pub fn secure(&mut self, devices: &[Device]) -> Result<(), Vec<String>> {
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
            match open::gpio(&device.gpio) {
                Ok(mut gpio) => {
                    failed.extend(hold_lines(product, &mut *gpio));
                    self.0.push(gpio);
                }
                Err(e) => failed.push(told(&format!("hold the lines of {}", product.name), &e)),
            }
            match open::i2c(&device.i2c) {
                Ok(mut i2c) => failed.extend(fans_full(product, &mut *i2c)),
                Err(e) => failed.push(told(&format!("reach the fans of {}", product.name), &e)),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// Lets go of the lines, so that a child can take them.
    pub fn release(&mut self) {
        self.0.clear();
    }
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

fn fans_full(product: &Product, i2c: &mut dyn I2c) -> Vec<String> {
    let FanPart::Emc2305 { address } = product.fan else {
        return vec![format!("no driver for {:?}", product.fan)];
    };
    let mut controller = Emc2305::new(address);
    let set = |n| controller.set_duty(i2c, FanId(n), Percent(100.0)).err().map(|e| format!("set fan {n} to full: {e}"));
    (0..product.fans).filter_map(set).collect()
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
    use hwdrivers::bus::Message;

    /// Lines and a bus that write down what they are told; one line may be another's.
    #[derive(Default)]
    struct Bench {
        lines: Vec<(u32, bool)>,
        written: Vec<(u8, Vec<u8>)>,
        taken: Option<u32>,
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
        assert_eq!(bench.lines, [(65, true), (5, false), (4, false), (27, false)]);
        assert!(fans_full(PRODUCT, &mut bench).is_empty());
        let full = |register| (0x2d, vec![register, 255]);
        assert_eq!(bench.written, [full(0x30), full(0x40), full(0x50), full(0x60)]);
    }

    #[test]
    fn a_refused_step_is_named_and_the_others_are_done() {
        let mut bench = Bench { taken: Some(65), gone: true, ..Bench::default() };
        let failed = hold_lines(PRODUCT, &mut bench);
        assert_eq!(failed, ["switch the supply off: the device is gone"]);
        assert_eq!(bench.lines, [(5, false), (4, false), (27, false)]);
        let failed = fans_full(PRODUCT, &mut bench);
        assert_eq!(failed.len(), 4);
        assert_eq!(failed[3], "set fan 3 to full: nothing answers at address 0x2d");
    }

    #[test]
    fn a_machine_that_cannot_be_reached_is_not_safe() {
        let device = |product: &str| Device {
            product: product.to_owned(),
            ttys: vec![],
            i2c: "/nonexistent/i2c".into(),
            gpio: "/dev/null".into(),
            control_board: None,
            simulated: true,
            place: model::settings::Place::default(),
        };
        let failed = Held::default().secure(&[device("antminer-s19jpro"), device("toaster")]).expect_err("nothing is there");
        assert_eq!(failed.len(), 3, "{failed:?}");
        assert!(failed[0].contains("/dev/null") && failed[1].contains("/nonexistent/i2c"), "{failed:?}");
        assert!(failed[2].contains("'toaster'"), "{failed:?}");
        assert_eq!(Held::default().secure(&[]), Ok(()), "no machine, nothing to make safe");
    }
}
