//! Faults: everything that may go wrong with a product, injected one after the other into its running firmware.
//!
//! `catalogue` lists the kinds, `harm` hits a part, `bus`, `line` and `feigned` are how, `scenario` is the order of events and the
//! technician. The seed alone decides which part is hit and when, so that every run can be had again. Not here: the invariants
//! (`watch`) and what the firmware does about it. `by_hand` is for a machine in real time, which a person harms and heals.

pub mod bus;
pub mod by_hand;
pub mod catalogue;
pub mod feigned;
pub mod harm;
pub mod line;
pub mod luck;
pub mod scenario;
pub mod spi;

pub use by_hand::ByHand;
pub use catalogue::{Kind, Picked, UnknownKind};
pub use scenario::Record;

use crate::machine::Buses;
use hwdrivers::bus::I2c;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Everything about a product's buses that can be harmed. Its copies are of the same harm.
#[derive(Clone, Debug)]
pub struct Harms {
    bus: Arc<Mutex<bus::BusHarm>>,
    lines: Vec<Arc<Mutex<line::LineHarm>>>,
    /// Whether the USB device that all of it hangs on is pulled.
    pulled: Arc<AtomicBool>,
}

impl Harms {
    /// Whole buses of a machine with so many chains.
    #[must_use]
    pub fn new(chains: usize, seed: u64) -> Harms {
        let line = |i: u64| Arc::new(Mutex::new(line::LineHarm::new(seed ^ ((i + 1) << 56))));
        Harms { bus: Arc::default(), lines: (0..chains as u64).map(line).collect(), pulled: Arc::default() }
    }

    /// Wraps a way to the control bus.
    #[must_use]
    pub fn wrap_bus(&self, bus: Box<dyn I2c>) -> Box<dyn I2c> {
        bus::wrap_with(bus, &self.bus)
    }

    /// What damages a chain's line; `None` where there is no such chain.
    #[must_use]
    pub fn of_line(&self, chain: usize) -> Option<Arc<Mutex<line::LineHarm>>> {
        self.lines.get(chain).cloned()
    }

    /// Pulls the USB device, or puts it back. In virtual time there is no device: what was on it is gone is all there is.
    pub fn pull_usb(&self, pulled: bool) {
        self.pulled.store(pulled, Ordering::Release);
    }

    /// Whether it is pulled.
    #[must_use]
    pub fn is_usb_pulled(&self) -> bool {
        self.pulled.load(Ordering::Acquire)
    }

    /// The control bus.
    pub fn bus(&self) -> MutexGuard<'_, bus::BusHarm> {
        bus::held(&self.bus)
    }

    /// Damages a chain's line, or mends it.
    pub fn line(&self, chain: usize, damage: Option<line::Damage>) {
        if let Some(harm) = self.lines.get(chain) {
            line::held(harm).set(damage);
        }
    }
}

/// Wraps a machine's buses so that they can be harmed.
#[must_use]
pub fn wrap(buses: Buses, seed: u64) -> (Buses, Harms) {
    let (i2c, bus) = bus::wrap(buses.i2c);
    let lines = (1u64..).zip(buses.uarts).map(|(i, line)| line::wrap(line, seed ^ (i << 56)));
    let (uarts, mut lines): (Vec<_>, Vec<_>) = lines.unzip();
    let rings = (1u64..).zip(buses.spis).map(|(i, line)| spi::wrap(line, seed ^ (i << 56)));
    let (spis, rings): (Vec<_>, Vec<_>) = rings.unzip();
    // A product's chains are all of one kind.
    lines.extend(rings);
    let gpio = bus::wrap_lines(buses.gpio, &bus);
    (Buses { i2c, gpio, uarts, spis, ..buses }, Harms { bus, lines, pulled: Arc::default() })
}
