//! Faults: everything that may go wrong with a product, injected one after the other into its running firmware.
//!
//! `catalogue` lists the kinds, `harm` hits a part, `bus`, `line` and `feigned` are how, `scenario` is the order of events and the
//! technician. The seed alone decides which part is hit and when, so that every run can be had again. Not here: the invariants
//! (`watch`) and what the firmware does about it.

pub mod bus;
pub mod catalogue;
pub mod feigned;
pub mod harm;
pub mod line;
pub mod luck;
pub mod scenario;

pub use catalogue::{Kind, Picked, UnknownKind};
pub use scenario::Record;

use crate::machine::Buses;
use std::sync::{Arc, Mutex, MutexGuard};

/// Everything about a product's buses that can be harmed.
#[derive(Debug)]
pub struct Harms {
    bus: Arc<Mutex<bus::BusHarm>>,
    lines: Vec<Arc<Mutex<line::LineHarm>>>,
}

impl Harms {
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
    let (uarts, lines) = lines.unzip();
    (Buses { i2c, uarts, ..buses }, Harms { bus, lines })
}
