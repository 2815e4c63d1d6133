//! Faults of a machine in real time, by their names: a person, or a program that watches a firmware, injects and heals them.
//!
//! Which part is hit is the seed's choice, as in virtual time; pools and clocks are not the machine's, so their kinds are not here.
//! Not here: how long a fault lasts, and what the firmware must say of it meanwhile (`catalogue` tells who asks).

use super::Harms;
use super::catalogue::{KINDS, Kind, Length};
use super::harm::{Aim, Harm};
use super::luck::Luck;
use crate::machine::{World, lock};
use model::Product;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A board that is repaired stands on the table for so long.
pub const ON_THE_TABLE: Duration = Duration::from_secs(15);

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFault {
    /// No kind of this machine has the name.
    #[error("no fault of this machine is called '{name}'; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// It is there already.
    #[error("{0} is there already: heal it first")]
    Already(&'static str),
    /// It is not there.
    #[error("{0} is not there")]
    Absent(&'static str),
}

/// A row of the catalogue, for a program that injects it and watches a firmware.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// Its name.
    pub name: &'static str,
    /// What the firmware must call it: one of these. Empty where it must not notice.
    pub shows: Vec<&'static str>,
    /// What may still be shown while all chains hash again.
    pub fades: Vec<&'static str>,
    /// The firmware must name it within this; null where it is over before, or by itself.
    pub named_within_seconds: Option<u64>,
    /// It is healed so long after it was named, or after it began where it need not be named meanwhile.
    pub lasts_seconds: u64,
    /// All chains must hash again so long after the end, in virtual time.
    pub recovers_within_seconds: u64,
    /// It takes so many of it.
    pub times: u32,
    /// A person has to ask for a start afterwards.
    pub latches: bool,
}

/// Three trips need a person.
const TRIPS: u32 = 3;

impl Told {
    fn of(kind: &Kind) -> Told {
        let words = |codes: &[model::FaultCode]| codes.iter().map(|c| c.code()).collect();
        let (within, lasts) = match kind.length {
            Length::For(time) => (None, time),
            Length::Named { within, lasts } => (Some(within), lasts),
            // Each time it is ended when it is named.
            Length::Course(all) => (Some(all / TRIPS), Duration::ZERO),
        };
        Told {
            name: kind.name,
            shows: words(kind.shows),
            fades: words(kind.fades),
            named_within_seconds: within.map(|w| w.as_secs()),
            lasts_seconds: lasts.as_secs(),
            recovers_within_seconds: kind.recovery.limit().as_secs(),
            times: if kind.harm == Harm::Trips { TRIPS } else { 1 },
            latches: kind.latches,
        }
    }
}

/// The faults of one machine.
pub struct ByHand {
    product: Product,
    world: Arc<Mutex<World>>,
    harms: Harms,
    luck: Luck,
    /// Whether the machine is served as a USB device.
    usb: bool,
    under_way: BTreeMap<&'static str, (Harm, Aim)>,
}

impl ByHand {
    /// Of this machine, whose buses are wrapped with these harms. `usb`: whether it is served as a USB device, which can be pulled.
    #[must_use]
    pub fn new(product: &Product, world: &Arc<Mutex<World>>, harms: &Harms, seed: u64, usb: bool) -> ByHand {
        let (world, harms) = (Arc::clone(world), harms.clone());
        ByHand { product: *product, world, harms, luck: Luck::new(seed), usb, under_way: BTreeMap::new() }
    }

    /// The kinds that this machine has a part for.
    fn kinds(&self) -> impl Iterator<Item = &'static Kind> {
        let of_machine = |h: Harm| h.is_of_machine() || (self.usb && h == Harm::UsbUnplug);
        KINDS.iter().filter(move |k| of_machine(k.harm) && k.harm.aim(&self.product, &mut Luck::new(0)).is_some())
    }

    /// The same as rows to tell.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        self.kinds().map(Told::of).collect()
    }

    /// The names of this machine's kinds.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.kinds().map(|k| k.name).collect()
    }

    fn kind(&self, name: &str) -> Result<&'static Kind, NoFault> {
        self.kinds()
            .find(|k| k.name == name)
            .ok_or_else(|| NoFault::Unknown { name: name.to_owned(), known: self.names().join(", ") })
    }

    /// Injects a fault; gives what it hit.
    ///
    /// # Errors
    /// This machine has no such fault, or has it now.
    pub fn inject(&mut self, name: &str) -> Result<String, NoFault> {
        let kind = self.kind(name)?;
        if self.under_way.contains_key(kind.name) {
            return Err(NoFault::Already(kind.name));
        }
        let aim = kind.harm.aim(&self.product, &mut self.luck).expect("kinds() has only those that find a part");
        kind.harm.set_machine(&aim, &self.product, &self.world, &self.harms, true);
        let place = aim.place.clone();
        self.under_way.insert(kind.name, (kind.harm, aim));
        Ok(place)
    }

    /// Heals a fault; gives what it had hit. A board that is repaired on the table is pulled for it, and given as well: whoever asked
    /// puts it back ([`World::plug`]), usually after [`ON_THE_TABLE`].
    ///
    /// # Errors
    /// This machine has no such fault, or has it not now.
    pub fn heal(&mut self, name: &str) -> Result<(String, Option<usize>), NoFault> {
        let kind = self.kind(name)?;
        let (harm, aim) = self.under_way.remove(kind.name).ok_or(NoFault::Absent(kind.name))?;
        let pulled = harm.repaired_on_the_table().then(|| Harm::board(&aim));
        pulled.into_iter().for_each(|board| lock(&self.world).unplug(board));
        harm.set_machine(&aim, &self.product, &self.world, &self.harms, false);
        Ok((aim.place, pulled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::buses;

    #[test]
    fn a_fault_is_there_until_it_is_healed_and_every_kind_can_be() {
        let product = &board::antminer_s19jpro::PRODUCT;
        let world = Arc::new(Mutex::new(World::new(product, 1, crate::real_time::SCALE)));
        let harms = Harms::new(product.hashboards.len(), 1);
        let mut bus = harms.wrap_bus(buses(&world).i2c);
        let mut hand = ByHand::new(product, &world, &harms, 1, false);
        let mut silent = || (0x20..0x23).filter(|a| bus.transfer(*a, &mut []).is_err()).count();
        assert_eq!(silent(), 0);
        assert!(hand.inject("pic-silent").expect("it has some").starts_with("regulator of chain"));
        assert_eq!(silent(), 1);
        assert_eq!(hand.inject("pic-silent"), Err(NoFault::Already("pic-silent")));
        assert_eq!(hand.heal("pic-silent").map(|(_, pulled)| pulled), Ok(None));
        assert_eq!(hand.heal("pic-silent"), Err(NoFault::Absent("pic-silent")));
        assert_eq!(silent(), 0);

        let told = hand.told();
        assert!(told.len() > 15, "{told:?}");
        for kind in &told {
            hand.inject(kind.name).expect("it is not there");
            let (place, pulled) = hand.heal(kind.name).expect("it is there");
            pulled.into_iter().for_each(|board| lock(&world).plug(board));
            assert!(!place.is_empty());
        }
        assert_eq!(silent(), 0, "all are healed");
        for name in ["pool-drop", "clock-jump", "", "no-such"] {
            let why = hand.inject(name).expect_err("not of the machine").to_string();
            assert!(why.contains("uart-noise"), "{why}");
        }
    }

    #[test]
    fn a_machine_has_the_faults_of_its_parts_alone() {
        let names = |p: &Product, usb| {
            let world = Arc::new(Mutex::new(World::new(p, 1, crate::real_time::SCALE)));
            ByHand::new(p, &world, &Harms::new(p.hashboards.len(), 1), 1, usb).names()
        };
        let ember = names(&board::emberone00::PRODUCT, false);
        assert!(ember.contains(&"uart-noise") && !ember.contains(&"fan-stall") && !ember.contains(&"pic-silent"), "{ember:?}");
        assert!(names(&board::bitaxe_gamma::PRODUCT, false).contains(&"fan-stall"));
        // A pty that is gone never comes back by its name.
        assert!(!ember.contains(&"usb-unplug") && names(&board::emberone00::PRODUCT, true).contains(&"usb-unplug"));
        assert!(!names(&board::antminer_s19jpro::PRODUCT, true).contains(&"usb-unplug"), "it hangs on no USB");
    }

    #[test]
    fn a_usb_board_is_pulled_and_put_back() {
        let product = &board::emberone00::PRODUCT;
        let world = Arc::new(Mutex::new(World::new(product, 1, crate::real_time::SCALE)));
        let harms = Harms::new(product.hashboards.len(), 1);
        let mut hand = ByHand::new(product, &world, &harms, 1, true);
        assert!(!harms.is_usb_pulled());
        hand.inject("usb-unplug").expect("it can be pulled");
        assert!(harms.is_usb_pulled());
        hand.heal("usb-unplug").expect("it was pulled");
        assert!(!harms.is_usb_pulled());
    }
}
