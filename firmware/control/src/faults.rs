//! The faults that are there now: raised and cleared once each, however often their cause is seen.
//!
//! Not here: what the codes mean (`model::FaultCode`) or when they apply (the controllers).

use crate::Order;
use model::{Fault, FaultCode};
use std::collections::BTreeMap;

/// What is wrong now, by code and place.
#[derive(Debug, Default)]
pub struct Faults {
    present: BTreeMap<(FaultCode, String), String>,
    changes: Vec<Order>,
}

impl Faults {
    /// Notes that a fault is there; only its coming is an order.
    pub fn raise(&mut self, code: FaultCode, place: &str, detail: &str) {
        if self.present.insert((code, place.to_owned()), detail.to_owned()).is_none() {
            self.changes.push(Order::Raise(Fault { code, place: place.to_owned(), detail: detail.to_owned() }));
        }
    }

    /// Notes that a fault is gone; without effect where it was not there.
    pub fn clear(&mut self, code: FaultCode, place: &str) {
        if self.present.is_empty() {
            return;
        }
        if self.present.remove(&(code, place.to_owned())).is_some() {
            self.changes.push(Order::Clear { code, place: place.to_owned() });
        }
    }

    /// Raises or clears.
    pub fn set(&mut self, there: bool, code: FaultCode, place: &str, detail: &str) {
        if there { self.raise(code, place, detail) } else { self.clear(code, place) }
    }

    /// The same with place and detail in words that are only made where they are needed: looked at with every fact, while
    /// nothing is wrong nearly always.
    pub fn judge(&mut self, there: bool, code: FaultCode, words: impl FnOnce() -> (String, String)) {
        if there || !self.present.is_empty() {
            let (place, detail) = words();
            self.set(there, code, &place, &detail);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Whether a fault is there.
    #[must_use]
    pub fn has(&self, code: FaultCode, place: &str) -> bool {
        self.present.contains_key(&(code, place.to_owned()))
    }

    /// All that is there, in the order of the catalogue.
    pub fn iter(&self) -> impl Iterator<Item = Fault> + '_ {
        self.present.iter().map(|((code, place), detail)| Fault { code: *code, place: place.clone(), detail: detail.clone() })
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.changes)
    }
}
