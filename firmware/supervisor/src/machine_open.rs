//! Opens the machine of the settings: its chains' lines and buses, each with its hand on a thread of its own.
//!
//! A line that cannot be opened is no reason not to start: its hand says so with every use, which `control` turns into faults with
//! advice, while the page answers, and it is tried again (`reopen`). Not here: detecting machines (`detect`).

use crate::event::Event;
use crate::remote::RemoteHand;
use crate::reopen::{Bus, Line, Lines, Outputs, SpiLine};
use crate::simulated;
use crate::vital::Vital;
use anyhow::Context;
use hwdrivers::bus::{NoPwm, Pwm};
use hwdrivers::chip::bm13xx::{self, chain::Chain};
use hwdrivers::chip::{ChainDriver, spi_ring};
use model::settings::{Device, Mining, Problem};
use model::{ChainId, ChainLayout, ChainLine, FanPart, Leds, Product};
use rig::{BoardHand, ChainHand, Hand, Scale};
use rustix::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// A chip of hardware has 32 leading zero bits built in and tests every candidate.
const HARDWARE: Scale = Scale::HARDWARE;

/// A machine that the settings name.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    device: &'a Device,
    read_every: Duration,
    /// What it is.
    pub product: &'static Product,
}

/// Its hands, at work.
#[derive(Default)]
pub struct Hands {
    /// One a chain, in order.
    pub chains: Vec<Box<dyn Hand>>,
    /// The buses that all boards share.
    pub board: Option<Box<dyn Hand>>,
    /// The signs of life of all of them.
    pub vitals: Vec<Arc<Vital>>,
}

impl<'a> Machine<'a> {
    /// The machine that the settings name; `None` where there is none or hashboards are off.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub fn of(mining: &'a Mining) -> Result<Option<Machine<'a>>, Problem> {
        let Some(device) = mining.asic.devices.first().filter(|_| mining.enable_asic) else { return Ok(None) };
        if let Some(second) = mining.asic.devices.get(1) {
            return Err(second.place.problem("'devices': this version runs one machine; name one"));
        }
        let product = board::PRODUCTS.iter().find(|p| p.name == device.product);
        let product: &'static Product =
            product.ok_or_else(|| device.place.problem(format!("'product': no product '{}'", device.product)))?;
        let product = match &device.control_board {
            Some(name) => board::wiring::on(product, name).map_err(|e| device.place.problem(format!("'control_board': {e}")))?,
            None => product,
        };
        let (told, needed) = (device.ttys.len(), product.hashboards.len());
        if told != needed {
            return Err(device.place.problem(format!("'ttys': {} has {needed} chains, here stand {told}", product.name)));
        }
        if matches!(product.fan, FanPart::Pwm(_)) && device.pwm.is_none() {
            let board = device.control_board.as_deref().unwrap_or(product.name);
            let what =
                format!("'pwm' is missing: {board} drives the fans itself; name their outputs, as /sys/class/pwm/pwmchip0");
            return Err(device.place.problem(what));
        }
        for (board, path) in product.hashboards.iter().zip(&device.ttys) {
            let (shown, name) = (path.display(), product.name);
            let what = match (board.line, is_spidev(path)) {
                (ChainLine::Spi, false) => format!("'ttys': the chips of {name} are on SPI; '{shown}' is no /dev/spidevB.C"),
                (ChainLine::Uart, true) => format!("'ttys': the chips of {name} are on serial lines; '{shown}' is an SPI device"),
                _ => continue,
            };
            return Err(device.place.problem(what));
        }
        Ok(Some(Machine { device, read_every: mining.asic.poll_interval, product }))
    }

    /// Whether its chips are simulated.
    pub fn simulated(&self) -> bool {
        self.device.simulated
    }

    /// The lights of its control board, and their lines; `None` where it has none.
    pub fn lights(&self) -> Option<(Leds, Lines)> {
        let name = self.device.control_board.as_deref()?;
        let leds = board::CONTROL_BOARDS.iter().find(|c| c.name == name)?.leds;
        (leds != Leds::default()).then(|| (leds, Lines::new(&self.device.gpio)))
    }

    /// What one report of its chips stands for.
    fn scale(&self) -> Scale {
        if self.device.simulated { simulated::scale(self.product) } else { HARDWARE }
    }

    /// Opens everything and starts a thread for each hand.
    ///
    /// # Errors
    /// No thread, or the board data names a part that no driver fits. A line that cannot be opened is none.
    pub fn open(&self, events: &SyncSender<Event>, epoch: Instant) -> anyhow::Result<Hands> {
        let (mut chains, mut vitals): (Vec<Box<dyn Hand>>, _) = (Vec::new(), Vec::new());
        for ((id, board), path) in (0u8..).zip(self.product.hashboards).zip(&self.device.ttys) {
            let place = format!("chain {id}");
            let (driver, arrivals) = self.driver(board.line, &board.chain, path).with_context(|| format!("open {place}"))?;
            let sensor = rig::chain_sensor(self.product, ChainId(id));
            let hand = ChainHand::new(ChainId(id), driver, self.scale()).with_sensor(sensor);
            let hand = RemoteHand::start(&place, hand, arrivals, events.clone(), epoch);
            let hand = hand.with_context(|| format!("start the thread of {place}"))?;
            vitals.push(hand.vital());
            chains.push(Box::new(hand));
        }
        let pwm: Box<dyn Pwm> = match (&self.device.pwm, self.product.fan) {
            (Some(path), FanPart::Pwm(fans)) => Box::new(Outputs::new(path, fans.period())),
            _ => Box::new(NoPwm),
        };
        let (bus, lines) = (Bus::new(&self.device.i2c), Lines::new(&self.device.gpio));
        let mut board = BoardHand::open(self.product, Box::new(bus), Box::new(lines), pwm)?;
        board.read_every(self.read_every);
        let board = RemoteHand::start("board", board, None, events.clone(), epoch).context("start the thread of the board")?;
        vitals.push(board.vital());
        Ok(Hands { chains, board: Some(Box::new(board)), vitals })
    }

    /// A chain's driver, and what polls readable when bytes arrive where they come unasked.
    fn driver(
        &self,
        line: ChainLine,
        chain: &ChainLayout,
        path: &Path,
    ) -> anyhow::Result<(Box<dyn ChainDriver>, Option<OwnedFd>)> {
        match line {
            ChainLine::Uart => {
                let baud = bm13xx::chip(chain.chip).map_or(model::Baud(115_200), |c| c.baud_reset);
                let (uart, arrivals) = Line::new(path, baud).context("make the descriptor of its line")?;
                Ok((Box::new(Chain::new(uart, chain, self.scale())), Some(arrivals)))
            }
            ChainLine::Spi => {
                let driver = spi_ring::chain(SpiLine::new(path), chain, self.scale());
                Ok((driver.with_context(|| format!("find a driver for {:?} on SPI", chain.chip))?, None))
            }
        }
    }
}

/// Whether a path is called as Linux calls SPI devices: spidev, bus, dot, chip select.
fn is_spidev(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str());
    let numbers = name.and_then(|n| n.strip_prefix("spidev")).and_then(|n| n.split_once('.'));
    let number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(bus, select)| number(bus) && number(select))
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{Fact, Order};
    use model::settings::{Known, read_known};
    use model::{FaultCode, Time};

    fn machine(device: &str) -> Result<String, String> {
        let text = format!("mining: {{asic: {{devices: [{device}]}}}}");
        let (settings, _) = read_known(&text, &Known { products: None, coins: None }).expect("settings");
        match Machine::of(&settings.mining) {
            Ok(machine) => Ok(machine.expect("a machine").product.name.to_owned()),
            Err(problem) => Err(problem.what),
        }
    }

    #[test]
    fn chains_on_spi_are_at_spi_devices_and_others_are_not() {
        let t1 =
            |ttys: &str| machine(&format!("{{product: dragonmint-t1, ttys: [{ttys}], i2c: /dev/i2c-0, gpio: /dev/gpiochip0}}"));
        assert_eq!(t1("/dev/spidev0.0, /dev/spidev0.1, /dev/spidev1.0"), Ok("dragonmint-t1".to_owned()));
        for wrong in ["/dev/ttyUSB0", "/dev/spidev", "/dev/spidev0", "/dev/spidev0.", "/dev/spidev.1", "/dev/spidev0.x"] {
            let said = t1(&format!("/dev/spidev0.0, /dev/spidev0.1, {wrong}")).expect_err("no SPI device");
            assert!(said.contains("on SPI") && said.contains(wrong), "{said}");
        }
        let s19 =
            "{product: antminer-s19jpro, ttys: [/dev/ttyS1, /dev/ttyS2, /dev/spidev0.0], i2c: /dev/i2c-0, gpio: /dev/gpiochip0}";
        let said = machine(s19).expect_err("a serial product");
        assert!(said.contains("serial lines") && said.contains("spidev0.0"), "{said}");
    }

    #[test]
    fn a_missing_spi_device_is_one_fault_that_names_it() {
        let board = &board::dragonmint_t1::PRODUCT.hashboards[1];
        let missing = SpiLine::new(Path::new("/nonexistent/spidev0.1"));
        let driver = spi_ring::chain(missing, &board.chain, HARDWARE).expect("a chip on SPI");
        let mut hand = ChainHand::new(ChainId(1), driver, HARDWARE);
        hand.obey(Time::ZERO, Order::StartChain(ChainId(1)));
        let mut facts = Vec::new();
        (1..100).for_each(|second| hand.turn(Time::from_secs(second), &mut facts));
        let [Fact::ChainFailed { chain: ChainId(1), code: FaultCode::ChainMissing, detail }] = &facts[..] else {
            panic!("{facts:?}");
        };
        assert!(detail.contains("chain 1") && detail.contains("open SPI device /nonexistent/spidev0.1"), "{detail}");
        assert!(!FaultCode::ChainMissing.advice().is_empty());
    }
}
