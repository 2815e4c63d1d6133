//! What can be wrong with a chain, each by its name: all of it can be undone by the same method.
//!
//! Not here: what is wrong with the board, its supply or its parts, and when it happens.

use super::sweep::mix;
use super::{Chip, LOCK, SimChain};
use model::Time;
use std::collections::BTreeSet;
use std::time::Duration;

/// Bytes of a garbage frame behind its preamble.
const GARBAGE_BYTES: usize = 9;
/// A babbler makes up for this much time at most: a chain that was not looked at for long floods nobody.
const BABBLE_LIMIT: Duration = Duration::from_secs(1);

/// What is wrong with the line.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) silent: bool,
    pub(super) short_replies: bool,
    pub(super) dead_domains: BTreeSet<u8>,
    /// Garbage comes this often, next at that time.
    babble: Option<(Duration, Time)>,
    /// Of a thousand bytes so many have a wrong bit.
    noise: u16,
    /// Of a thousand nonces so many come twice.
    repeats: u16,
    /// Bytes that are lost each way when the rate changes, and what is left of them.
    lost_at_change: u8,
    lost_in: u8,
    lost_out: u8,
}

impl Faults {
    pub(super) fn baud_changed(&mut self) {
        (self.lost_in, self.lost_out) = (self.lost_at_change, self.lost_at_change);
    }
}

impl SimChain {
    /// Cuts the chain behind this many chips (all of them again where it is as many as the layout says or more).
    pub fn cut(&mut self, now: Time, chips: u8) {
        self.advance(now);
        let pll = self.facts.pll.decode(self.shared(self.facts.pll.register));
        let fresh = Chip { pll, locked_at: now + LOCK, settled: now, ..Chip::default() };
        self.chips.resize(usize::from(chips.min(self.layout.chips)), fresh);
        self.plan();
    }

    /// Kills a domain, or heals it: its chips answer nothing and pass nothing on, so that those behind are out of reach.
    pub fn kill_domain(&mut self, now: Time, domain: u8, dead: bool) {
        self.advance(now);
        if dead && domain < self.layout.domains {
            self.faults.dead_domains.insert(domain);
        } else {
            self.faults.dead_domains.remove(&domain);
        }
        self.plan();
    }

    /// Kills a chip, or heals it: it takes an address and passes on, but says and hashes nothing.
    pub fn kill_chip(&mut self, now: Time, chip: u8, dead: bool) {
        self.advance(now);
        if let Some(b) = self.bodies.get_mut(usize::from(chip)) {
            b.dead = dead;
        }
        self.plan();
    }

    /// Breaks the wire to the host, or mends it: the chain hears and works, and is not heard.
    pub fn silence(&mut self, now: Time, silent: bool) {
        self.advance(now);
        self.faults.silent = silent;
        if silent {
            self.output.clear();
        }
    }

    /// Puts a frame of random bytes on the line this often, or no more.
    pub fn babble(&mut self, now: Time, every: Option<Duration>) {
        self.advance(now);
        self.faults.babble = every.map(|e| (e.max(Duration::from_micros(100)), now + e));
    }

    /// Makes so many of a thousand nonces wrong, of every chip, beside those that clock, voltage and heat make wrong.
    pub fn set_wrong(&mut self, now: Time, permille: u16) {
        self.advance(now);
        self.settle();
        self.bodies.iter_mut().for_each(|b| b.wrong = permille);
    }

    /// The same for one chip.
    pub fn set_chip_wrong(&mut self, now: Time, chip: u8, permille: u16) {
        self.advance(now);
        self.settle();
        if let Some(b) = self.bodies.get_mut(usize::from(chip)) {
            b.wrong = permille;
        }
    }

    /// Gives the chain chips that bear only this part of the usual clock; their differences stay.
    pub fn set_quality(&mut self, now: Time, quality: f64) {
        self.advance(now);
        self.settle();
        self.quality = quality;
    }

    /// Gives one chip this part of the usual clock.
    pub fn set_chip_quality(&mut self, now: Time, chip: u8, quality: f64) {
        self.advance(now);
        self.settle();
        if let Some(b) = self.bodies.get_mut(usize::from(chip)) {
            b.quality = quality;
        }
    }

    /// Turns a bit in so many of a thousand bytes, both ways.
    pub fn set_noise(&mut self, now: Time, permille: u16) {
        self.advance(now);
        self.faults.noise = permille;
    }

    /// Loses so many bytes each way after every change of the line's rate.
    pub fn lose_at_baud_change(&mut self, now: Time, bytes: u8) {
        self.advance(now);
        self.faults.lost_at_change = bytes;
        (self.faults.lost_in, self.faults.lost_out) = (0, 0);
    }

    /// Keeps replies short although version rolling is on, or lets them be what they should.
    pub fn stick_short_replies(&mut self, now: Time, stuck: bool) {
        self.advance(now);
        self.faults.short_replies = stuck;
    }

    /// Sends so many of a thousand nonces twice.
    pub fn repeat_nonces(&mut self, now: Time, permille: u16) {
        self.advance(now);
        self.faults.repeats = permille;
    }

    /// A byte from the host as it arrives; `None` where it is lost.
    pub(super) fn damage_in(&mut self, byte: u8) -> Option<u8> {
        if self.faults.lost_in > 0 {
            self.faults.lost_in -= 1;
            return None;
        }
        Some(self.flip(byte))
    }

    /// A byte to the host as it arrives; `None` where it is lost.
    pub(super) fn damage_out(&mut self, byte: u8) -> Option<u8> {
        if self.faults.lost_out > 0 {
            self.faults.lost_out -= 1;
            return None;
        }
        Some(self.flip(byte))
    }

    fn flip(&mut self, byte: u8) -> u8 {
        if self.faults.noise == 0 {
            return byte;
        }
        let dice = self.roll();
        if dice % 1000 < u64::from(self.faults.noise) { byte ^ 1 << (dice >> 32 & 7) } else { byte }
    }

    /// Says a nonce again where that fault is on.
    pub(super) fn repeat(&mut self, at: Time, reply: &[u8]) {
        if self.faults.repeats > 0 && self.roll() % 1000 < u64::from(self.faults.repeats) {
            self.send(at, reply);
        }
    }

    pub(super) fn babble_until(&mut self, now: Time) {
        let Some((every, mut next)) = self.faults.babble else { return };
        if !self.listens() {
            self.faults.babble = Some((every, now + every));
            return;
        }
        if now.since(next) > BABBLE_LIMIT {
            next = now;
        }
        while next <= now {
            let mut bytes = vec![0xaa, 0x55];
            let seed = self.roll();
            bytes.extend((0..GARBAGE_BYTES as u64).map(|i| mix(seed ^ i) as u8));
            self.send(next, &bytes);
            next = next + every;
        }
        self.faults.babble = Some((every, next));
    }
}
