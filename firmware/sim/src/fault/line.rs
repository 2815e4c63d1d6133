//! A chain's serial line that can be harmed: a wrapper of any [`Uart`], so that real drivers meet real damage.
//!
//! What is sent and what comes is damaged alike. Not here: chips that are broken themselves (`chip`, `machine`).

use super::luck::Luck;
use hwdrivers::bus::{BusError, Uart};
use model::Baud;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing passes.
    Silent,
    /// The device that the line hangs on is not there.
    Gone,
    /// Of a thousand bytes so many have a wrong bit.
    Noise(u64),
    /// Among what comes are frames that nobody sent.
    Garbage,
    /// After each change of rate so many bytes are lost each way. It begins with all bytes, until the rate is changed.
    LostAtBaud(usize),
}

/// Of a thousand reads so many find a frame that nobody sent: a few a second.
const GARBAGE_PERMILLE: u64 = 100;
/// Such a frame: a reply's preamble and what a reply holds behind it.
const GARBAGE_PREAMBLE: [u8; 2] = [0xaa, 0x55];
const GARBAGE_BODY: usize = 9;

/// A line's harm, which the line and whoever harms it share.
#[derive(Debug)]
pub struct LineHarm {
    damage: Option<Damage>,
    luck: Luck,
    /// Bytes still to be lost: sent, received.
    losing: [usize; 2],
}

impl LineHarm {
    /// A whole line; its bad luck will be this seed's.
    #[must_use]
    pub fn new(seed: u64) -> LineHarm {
        LineHarm { damage: None, luck: Luck::new(seed), losing: [0; 2] }
    }

    /// What is left of bytes on their way to the chain.
    pub fn send(&mut self, bytes: &mut Vec<u8>) {
        self.pass(SENT, bytes);
    }

    /// What is left of bytes that come from the chain, or has come to them.
    pub fn receive(&mut self, bytes: &mut Vec<u8>) {
        self.pass(RECEIVED, bytes);
    }

    /// The rate was changed.
    pub fn rate_changed(&mut self) {
        if let Some(Damage::LostAtBaud(bytes)) = self.damage {
            self.losing = [bytes; 2];
        }
    }

    /// Harms the line, or heals it.
    pub fn set(&mut self, damage: Option<Damage>) {
        self.damage = damage;
        self.losing = if matches!(damage, Some(Damage::LostAtBaud(_))) { [usize::MAX; 2] } else { [0; 2] };
    }

    /// Whether there is no such device.
    fn is_there(&self) -> Result<(), BusError> {
        if self.damage == Some(Damage::Gone) { Err(BusError::Gone) } else { Ok(()) }
    }

    fn lose(&mut self, way: usize, count: usize) -> usize {
        let lost = self.losing[way].min(count);
        self.losing[way] -= if self.losing[way] == usize::MAX { 0 } else { lost };
        lost
    }

    /// Whether nothing is wrong.
    pub(super) fn is_whole(&self) -> bool {
        self.damage.is_none()
    }

    /// What is left of bytes that pass.
    pub(super) fn pass(&mut self, way: usize, bytes: &mut Vec<u8>) {
        match self.damage {
            None => {}
            Some(Damage::Silent | Damage::Gone) => bytes.clear(),
            Some(Damage::Noise(permille)) => {
                for b in bytes {
                    if self.luck.permille(permille) {
                        *b ^= 1 << self.luck.below(8);
                    }
                }
            }
            Some(Damage::Garbage) if way == RECEIVED && self.luck.permille(GARBAGE_PERMILLE) => {
                bytes.extend(GARBAGE_PREAMBLE);
                bytes.extend((0..GARBAGE_BODY).map(|_| self.luck.bits() as u8));
            }
            Some(Damage::Garbage) => {}
            Some(Damage::LostAtBaud(_)) => {
                let lost = self.lose(way, bytes.len());
                bytes.drain(..lost);
            }
        }
    }
}

pub(super) const SENT: usize = 0;
pub(super) const RECEIVED: usize = 1;

/// Wraps a line; the harm is shared with it.
#[must_use]
pub fn wrap(line: Box<dyn Uart>, seed: u64) -> (Box<dyn Uart>, Arc<Mutex<LineHarm>>) {
    let harm = Arc::new(Mutex::new(LineHarm::new(seed)));
    (Box::new(Harmed { line, harm: Arc::clone(&harm), waiting: Vec::new() }), harm)
}

/// The harm, whoever panicked meanwhile.
pub fn held(harm: &Mutex<LineHarm>) -> MutexGuard<'_, LineHarm> {
    harm.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Harmed {
    line: Box<dyn Uart>,
    harm: Arc<Mutex<LineHarm>>,
    /// What came and found no room.
    waiting: Vec<u8>,
}

impl Uart for Harmed {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        let mut harm = held(&self.harm);
        if harm.damage.is_none() {
            return self.line.write(bytes);
        }
        harm.is_there()?;
        let mut bytes = bytes.to_vec();
        harm.send(&mut bytes);
        self.line.write(&bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        let mut harm = held(&self.harm);
        if harm.damage.is_none() && self.waiting.is_empty() {
            return self.line.read(buffer);
        }
        harm.is_there()?;
        let count = self.line.read(buffer)?;
        let mut came = buffer[..count].to_vec();
        harm.receive(&mut came);
        self.waiting.extend(came);
        let given = self.waiting.len().min(buffer.len());
        buffer[..given].copy_from_slice(&self.waiting[..given]);
        self.waiting.drain(..given);
        Ok(given)
    }

    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        let mut harm = held(&self.harm);
        harm.is_there()?;
        harm.rate_changed();
        self.line.set_baud(baud)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives back what was written.
    #[derive(Default)]
    struct Loop(Vec<u8>);

    impl Uart for Loop {
        fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
            self.0.extend(bytes);
            Ok(())
        }
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
            let n = self.0.len().min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(n)
        }
        fn set_baud(&mut self, _baud: Baud) -> Result<(), BusError> {
            Ok(())
        }
    }

    fn through(line: &mut dyn Uart, count: usize) -> Vec<u8> {
        let mut got = Vec::new();
        for b in 0..count {
            line.write(&[b as u8]).expect("a line");
            let mut buffer = [0; 4];
            let n = line.read(&mut buffer).expect("a line");
            got.extend(&buffer[..n]);
        }
        got
    }

    #[test]
    fn each_damage_does_what_it_says_and_heals() {
        let (mut line, harm) = wrap(Box::new(Loop::default()), 5);
        let whole: Vec<u8> = (0..200).collect();
        assert_eq!(through(&mut line, 200), whole);
        held(&harm).set(Some(Damage::Silent));
        assert_eq!(through(&mut line, 200), Vec::<u8>::new());
        held(&harm).set(Some(Damage::Noise(50)));
        let wrong = through(&mut line, 200).iter().zip(&whole).filter(|(a, b)| a != b).count();
        assert!((5..40).contains(&wrong), "{wrong} of 200, each passed twice");
        held(&harm).set(Some(Damage::Garbage));
        assert!(through(&mut line, 200).windows(2).any(|w| w == GARBAGE_PREAMBLE));
        held(&harm).set(None);
        let mut rest = [0; 64];
        while line.read(&mut rest).expect("a line") > 0 {}
        held(&harm).set(Some(Damage::Gone));
        assert!(matches!(line.write(&[1]), Err(BusError::Gone)) && matches!(line.read(&mut rest), Err(BusError::Gone)));
        assert!(matches!(line.set_baud(Baud(1_000_000)), Err(BusError::Gone)));
        held(&harm).set(Some(Damage::LostAtBaud(2)));
        assert_eq!(through(&mut line, 9), Vec::<u8>::new());
        line.set_baud(Baud(1_000_000)).expect("a line");
        assert_eq!(through(&mut line, 9), [4, 5, 6, 7, 8], "two lost on the way out, two on the way in");
        held(&harm).set(None);
        assert_eq!(through(&mut line, 200), whole);
    }
}
