//! The shared control bus and its lines, harmed: wrappers of any [`I2c`] and [`Gpio`], so that real drivers meet parts which answer as
//! they must not, and a controller that is gone.
//!
//! A part that does not answer at all is the machine's own (`World::silence`), and what a sensor feels is `feigned`'s.

use hwdrivers::bus::{BusError, Gpio, I2c, Message};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bus's harm, which the bus and whoever harms it share.
#[derive(Debug, Default)]
pub struct BusHarm {
    /// Parts that answer at another part's address, beside it.
    moved: BTreeMap<u8, u8>,
    /// The device that bus and lines hang on is not there.
    gone: bool,
}

impl BusHarm {
    /// Straps parts to the addresses of others: each pair is its own address and the other's. An empty list heals.
    pub fn strap(&mut self, moved: impl IntoIterator<Item = (u8, u8)>) {
        self.moved = moved.into_iter().collect();
    }

    /// Pulls the device that bus and lines hang on, or puts it back.
    pub fn lose(&mut self, gone: bool) {
        self.gone = gone;
    }

    fn is_there(&self) -> Result<(), BusError> {
        if self.gone { Err(BusError::Gone) } else { Ok(()) }
    }
}

/// Wraps a bus; the harm is shared with it.
#[must_use]
pub fn wrap(bus: Box<dyn I2c>) -> (Box<dyn I2c>, Arc<Mutex<BusHarm>>) {
    let harm = Arc::new(Mutex::new(BusHarm::default()));
    (wrap_with(bus, &harm), harm)
}

/// Wraps one more way to a bus whose harm is there already.
#[must_use]
pub fn wrap_with(bus: Box<dyn I2c>, harm: &Arc<Mutex<BusHarm>>) -> Box<dyn I2c> {
    Box::new(Harmed { bus, harm: Arc::clone(harm) })
}

/// The harm, whoever panicked meanwhile.
pub fn held(harm: &Mutex<BusHarm>) -> MutexGuard<'_, BusHarm> {
    harm.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wraps the lines beside such a bus.
#[must_use]
pub fn wrap_lines(lines: Box<dyn Gpio>, harm: &Arc<Mutex<BusHarm>>) -> Box<dyn Gpio> {
    Box::new(HarmedLines { lines, harm: Arc::clone(harm) })
}

struct HarmedLines {
    lines: Box<dyn Gpio>,
    harm: Arc<Mutex<BusHarm>>,
}

impl Gpio for HarmedLines {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        held(&self.harm).is_there()?;
        self.lines.set(line, high)
    }

    fn get(&mut self, line: u32) -> Result<bool, BusError> {
        held(&self.harm).is_there()?;
        self.lines.get(line)
    }

    fn edges(&mut self, line: u32) -> Result<u64, BusError> {
        held(&self.harm).is_there()?;
        self.lines.edges(line)
    }
}

struct Harmed {
    bus: Box<dyn I2c>,
    harm: Arc<Mutex<BusHarm>>,
}

impl I2c for Harmed {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        let harm = Arc::clone(&self.harm);
        let harm = held(&harm);
        harm.is_there()?;
        if harm.moved.is_empty() {
            return self.bus.transfer(address, messages);
        }
        if harm.moved.contains_key(&address) {
            return Err(BusError::Nack(address));
        }
        let twins: Vec<u8> = harm.moved.iter().filter(|(_, at)| **at == address).map(|(own, _)| *own).collect();
        self.bus.transfer(address, messages)?;
        for twin in twins {
            self.answer_with(twin, messages)?;
        }
        Ok(())
    }
}

impl Harmed {
    /// Lets another part hear and answer the same: a low level wins on the wire.
    fn answer_with(&mut self, twin: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        let mut answers: Vec<Vec<u8>> = messages
            .iter()
            .map(|m| match m {
                Message::Write(bytes) => bytes.to_vec(),
                Message::Read(buffer) => vec![0; buffer.len()],
            })
            .collect();
        let mut copies: Vec<Message<'_>> = messages
            .iter()
            .zip(&mut answers)
            .map(|(m, copy)| match m {
                Message::Write(_) => Message::Write(copy),
                Message::Read(_) => Message::Read(copy),
            })
            .collect();
        self.bus.transfer(twin, &mut copies)?;
        for (m, answer) in messages.iter_mut().zip(&answers) {
            if let Message::Read(buffer) = m {
                buffer.iter_mut().zip(answer).for_each(|(b, a)| *b &= a);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts at 0x20 and 0x21 that answer with their own address and a mark.
    struct Two;

    impl I2c for Two {
        fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
            for m in messages {
                if let Message::Read(buffer) = m {
                    buffer.fill(if address == 0x20 { 0x3c } else { 0x0f });
                }
            }
            Ok(())
        }
    }

    fn read(bus: &mut dyn I2c, address: u8) -> Result<u8, BusError> {
        let mut b = [0; 2];
        bus.transfer(address, &mut [Message::Write(&[0]), Message::Read(&mut b)])?;
        Ok(b[1])
    }

    #[test]
    fn twins_answer_at_once_and_what_is_gone_not_at_all() {
        let (mut bus, harm) = wrap(Box::new(Two));
        assert_eq!((read(&mut *bus, 0x20).ok(), read(&mut *bus, 0x21).ok()), (Some(0x3c), Some(0x0f)));
        held(&harm).strap([(0x21, 0x20)]);
        assert_eq!(read(&mut *bus, 0x20).ok(), Some(0x0c));
        assert!(matches!(read(&mut *bus, 0x21), Err(BusError::Nack(0x21))));
        held(&harm).strap([]);
        held(&harm).lose(true);
        assert!(matches!(read(&mut *bus, 0x20), Err(BusError::Gone)));
        held(&harm).lose(false);
        assert_eq!(read(&mut *bus, 0x20).ok(), Some(0x3c));
    }
}
