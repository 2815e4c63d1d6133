//! Opens the machine of the settings: its serial lines and buses, each with its hand on a thread of its own.
//!
//! A line that cannot be opened is no reason not to start: its hand says so with every use, which `control` turns into faults with
//! advice, while the page answers. Not here: detecting machines, and opening a line again that comes back.

use crate::event::Event;
use crate::remote::RemoteHand;
use crate::simulated;
use anyhow::Context;
use hwdrivers::bus::gpio::LinuxGpio;
use hwdrivers::bus::i2c::LinuxI2c;
use hwdrivers::bus::socket::{SocketGpio, SocketI2c};
use hwdrivers::bus::tty::LinuxTty;
use hwdrivers::bus::{BusError, Gpio, I2c, Message, Uart};
use hwdrivers::chip::bm13xx;
use model::settings::{Device, Mining};
use model::{Baud, ChainId, Product};
use rig::{BoardHand, ChainHand, Hand, Scale};
use rustix::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

/// A chip of hardware has 32 leading zero bits built in and tests every candidate.
const HARDWARE: Scale = Scale { zero_bits: 32, scale_bits: 0 };

/// A machine that the settings name.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    device: &'a Device,
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
    /// What does not fit, ready to be shown.
    pub fn of(mining: &'a Mining) -> Result<Option<Machine<'a>>, String> {
        let Some(device) = mining.asic.devices.first().filter(|_| mining.enable_asic) else { return Ok(None) };
        if mining.asic.devices.len() > 1 {
            return Err("'mining.asic.devices': this version runs one machine; name one".to_owned());
        }
        let product = board::PRODUCTS.iter().find(|p| p.name == device.product);
        let product: &'static Product =
            product.ok_or_else(|| format!("'mining.asic.devices': no product '{}'", device.product))?;
        let (told, needed) = (device.ttys.len(), product.hashboards.len());
        if told != needed {
            return Err(format!("'mining.asic.devices': {} has {needed} chains, 'ttys' names {told}", product.name));
        }
        Ok(Some(Machine { device, product }))
    }

    /// Whether its chips are simulated.
    pub fn simulated(&self) -> bool {
        self.device.simulated
    }

    /// What one report of its chips stands for.
    fn scale(&self) -> Scale {
        if self.device.simulated { simulated::SCALE } else { HARDWARE }
    }

    /// Opens everything and starts a thread for each hand.
    ///
    /// # Errors
    /// No thread, or the board data names a part that no driver fits. A line that cannot be opened is none.
    pub fn open(&self, events: &SyncSender<Event>, epoch: Instant) -> anyhow::Result<Hands> {
        let mut chains: Vec<Box<dyn Hand>> = Vec::new();
        for ((id, board), path) in (0u8..).zip(self.product.hashboards).zip(&self.device.ttys) {
            let (uart, line) = tty(path, bm13xx::chip(board.chain.chip).baud_reset);
            let hand = ChainHand::new(ChainId(id), uart, &board.chain, self.scale());
            let place = format!("chain {id}");
            let hand = RemoteHand::start(&place, hand, line, events.clone(), epoch);
            chains.push(Box::new(hand.with_context(|| format!("start the thread of {place}"))?));
        }
        let board = BoardHand::open(self.product, i2c(&self.device.i2c), gpio(&self.device.gpio))?;
        let board = RemoteHand::start("board", board, None, events.clone(), epoch).context("start the thread of the board")?;
        Ok(Hands { chains, board: Some(Box::new(board)) })
    }
}

fn tty(path: &Path, baud: Baud) -> (Box<dyn Uart>, Option<OwnedFd>) {
    match LinuxTty::open(path, baud) {
        // Without a second handle the line is only read at the hand's own times, which is late but right.
        Ok(tty) => {
            let line = tty.as_fd().try_clone_to_owned().ok();
            (Box::new(tty), line)
        }
        Err(e) => (Box::new(Absent::new(&e)), None),
    }
}

fn i2c(path: &Path) -> Box<dyn I2c> {
    let opened: Result<Box<dyn I2c>, BusError> = if is_socket(path) {
        SocketI2c::open(path).map(|b| Box::new(b) as _)
    } else {
        LinuxI2c::open(path).map(|b| Box::new(b) as _)
    };
    opened.unwrap_or_else(|e| Box::new(Absent::new(&e)))
}

fn gpio(path: &Path) -> Box<dyn Gpio> {
    let opened: Result<Box<dyn Gpio>, BusError> = if is_socket(path) {
        SocketGpio::open(path).map(|b| Box::new(b) as _)
    } else {
        LinuxGpio::open(path).map(|b| Box::new(b) as _)
    };
    opened.unwrap_or_else(|e| Box::new(Absent::new(&e)))
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_socket())
}

/// A line or bus that could not be opened: every use says why.
struct Absent(String);

impl Absent {
    fn new(error: &BusError) -> Absent {
        let why = std::error::Error::source(error).map(|s| format!(": {s}")).unwrap_or_default();
        tracing::error!("{error}{why}");
        Absent(format!("{error}{why}"))
    }
    fn refuse(&self) -> BusError {
        BusError::Os { attempt: self.0.clone(), source: std::io::ErrorKind::NotFound.into() }
    }
}

impl Uart for Absent {
    fn write(&mut self, _bytes: &[u8]) -> Result<(), BusError> {
        Err(self.refuse())
    }
    fn read(&mut self, _buffer: &mut [u8]) -> Result<usize, BusError> {
        Err(self.refuse())
    }
    fn set_baud(&mut self, _baud: Baud) -> Result<(), BusError> {
        Err(self.refuse())
    }
}

impl I2c for Absent {
    fn transfer(&mut self, _address: u8, _messages: &mut [Message<'_>]) -> Result<(), BusError> {
        Err(self.refuse())
    }
}

impl Gpio for Absent {
    fn set(&mut self, _line: u32, _high: bool) -> Result<(), BusError> {
        Err(self.refuse())
    }
    fn get(&mut self, _line: u32) -> Result<bool, BusError> {
        Err(self.refuse())
    }
}
