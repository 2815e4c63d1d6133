//! Opens the machine of the settings: its serial lines and buses, each with its hand on a thread of its own.
//!
//! A line that cannot be opened is no reason not to start: its hand says so with every use, which `control` turns into faults with
//! advice, while the page answers, and it is tried again (`reopen`). Not here: detecting machines (`detect`).

use crate::event::Event;
use crate::remote::RemoteHand;
use crate::reopen::{Bus, Line, Lines, Outputs};
use crate::simulated;
use anyhow::Context;
use hwdrivers::bus::{NoPwm, Pwm};
use hwdrivers::chip::bm13xx::{self, chain::Chain};
use model::settings::{Device, Mining, Problem};
use model::{ChainId, FanPart, Leds, Product};
use rig::{BoardHand, ChainHand, Hand, Scale};
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
pub struct Hands {
    /// One a chain, in order.
    pub chains: Vec<Box<dyn Hand>>,
    /// The buses that all boards share.
    pub board: Option<Box<dyn Hand>>,
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
        let mut chains: Vec<Box<dyn Hand>> = Vec::new();
        for ((id, board), path) in (0u8..).zip(self.product.hashboards).zip(&self.device.ttys) {
            let place = format!("chain {id}");
            let (uart, arrivals) = Line::new(path, bm13xx::chip(board.chain.chip).map_or(model::Baud(115_200), |c| c.baud_reset))
                .with_context(|| format!("make the descriptor of {place}"))?;
            let driver = Chain::new(uart, &board.chain, self.scale());
            let sensor = rig::chain_sensor(self.product, ChainId(id));
            let hand = ChainHand::new(ChainId(id), Box::new(driver), self.scale()).with_sensor(sensor);
            let hand = RemoteHand::start(&place, hand, Some(arrivals), events.clone(), epoch);
            chains.push(Box::new(hand.with_context(|| format!("start the thread of {place}"))?));
        }
        let pwm: Box<dyn Pwm> = match (&self.device.pwm, self.product.fan) {
            (Some(path), FanPart::Pwm(fans)) => Box::new(Outputs::new(path, fans.period())),
            _ => Box::new(NoPwm),
        };
        let (bus, lines) = (Bus::new(&self.device.i2c), Lines::new(&self.device.gpio));
        let mut board = BoardHand::open(self.product, Box::new(bus), Box::new(lines), pwm)?;
        board.read_every(self.read_every);
        let board = RemoteHand::start("board", board, None, events.clone(), epoch).context("start the thread of the board")?;
        Ok(Hands { chains, board: Some(Box::new(board)) })
    }
}
