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
        if !self.any(code) {
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
    /// nothing is wrong nearly always, or something else is.
    pub fn judge(&mut self, there: bool, code: FaultCode, words: impl FnOnce() -> (String, String)) {
        if there || self.any(code) {
            let (place, detail) = words();
            self.set(there, code, &place, &detail);
        }
    }

    /// Whether a fault of this code is there, anywhere. It makes no text.
    fn any(&self, code: FaultCode) -> bool {
        self.present.range((code, String::new())..).next().is_some_and(|((first, _), _)| *first == code)
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

    /// Whether anything changed that was not taken yet.
    #[must_use]
    pub fn changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_made_for_a_fault_that_is_there_or_goes_and_for_no_other() {
        let mut faults = Faults::default();
        let unmade = || -> (String, String) { panic!("nobody needs these words") };
        faults.judge(false, FaultCode::TooHot, unmade);
        faults.raise(FaultCode::ChainMissing, "chain 1", "no board is plugged in");
        faults.raise(FaultCode::FanFailed, "fan 0", "it stands still");
        faults.judge(false, FaultCode::TooHot, unmade);
        faults.judge(false, FaultCode::Danger, unmade);
        faults.take_changes();
        let words = || ("fan 1".to_owned(), "it stands still".to_owned());
        faults.judge(false, FaultCode::FanFailed, words);
        assert_eq!(faults.take_changes(), [], "another fan's");
        faults.judge(true, FaultCode::FanFailed, words);
        faults.judge(false, FaultCode::FanFailed, words);
        faults.clear(FaultCode::FanFailed, "fan 0");
        faults.clear(FaultCode::TooHot, "fan 0");
        let gone = |place: &str| Order::Clear { code: FaultCode::FanFailed, place: place.to_owned() };
        assert_eq!(faults.take_changes()[1..], [gone("fan 1"), gone("fan 0")]);
        assert!(faults.has(FaultCode::ChainMissing, "chain 1"));
    }
}
