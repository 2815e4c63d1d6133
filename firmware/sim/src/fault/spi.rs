//! A chain's SPI device that can be harmed, as a serial line is: a wrapper of any [`Spi`], so that real drivers meet real damage.
//!
//! A transfer keeps its length whatever happens to it: what is lost reads as zeros in front, what nobody sent pushes the rest out
//! of its place. Not here: what damage there is (`line`).

use super::line::{LineHarm, RECEIVED, SENT, held};
use hwdrivers::bus::{BusError, Spi, SpiMode};
use std::sync::{Arc, Mutex};

/// Wraps a device; the harm is shared with it.
#[must_use]
pub fn wrap(line: Box<dyn Spi>, seed: u64) -> (Box<dyn Spi>, Arc<Mutex<LineHarm>>) {
    let harm = Arc::new(Mutex::new(LineHarm::new(seed)));
    (Box::new(Harmed { line, harm: Arc::clone(&harm) }), harm)
}

struct Harmed {
    line: Box<dyn Spi>,
    harm: Arc<Mutex<LineHarm>>,
}

/// Lets bytes pass one way.
fn pass(harm: &mut LineHarm, way: usize, bytes: &mut [u8]) {
    let mut left = bytes.to_vec();
    harm.pass(way, &mut left);
    let lost = bytes.len().saturating_sub(left.len());
    let surplus = left.len().saturating_sub(bytes.len());
    bytes[..lost].fill(0);
    bytes[lost..].copy_from_slice(&left[surplus..]);
}

impl Spi for Harmed {
    fn configure(&mut self, mode: SpiMode, hertz: u32) -> Result<(), BusError> {
        held(&self.harm).rate_changed();
        self.line.configure(mode, hertz)
    }

    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError> {
        let mut harm = held(&self.harm);
        if harm.is_whole() {
            return self.line.transfer(bytes);
        }
        pass(&mut harm, SENT, bytes);
        self.line.transfer(bytes)?;
        pass(&mut harm, RECEIVED, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Damage;
    use super::*;

    /// Gives back what was written.
    struct Loop;

    impl Spi for Loop {
        fn configure(&mut self, _mode: SpiMode, _hertz: u32) -> Result<(), BusError> {
            Ok(())
        }
        fn transfer(&mut self, _bytes: &mut [u8]) -> Result<(), BusError> {
            Ok(())
        }
    }

    #[test]
    fn each_damage_does_what_it_says_and_a_transfer_keeps_its_length() {
        let (mut line, harm) = wrap(Box::new(Loop), 5);
        let mut through = |damage: Option<Damage>, rate_changed: bool| {
            held(&harm).set(damage);
            if rate_changed {
                line.configure(SpiMode::Zero, 1).expect("a device");
            }
            let mut bytes: Vec<u8> = (1..=200).collect();
            line.transfer(&mut bytes).expect("a device");
            bytes
        };
        let whole: Vec<u8> = (1..=200).collect();
        assert_eq!(through(None, false), whole);
        assert_eq!(through(Some(Damage::Silent), false), [0; 200]);
        let noisy = through(Some(Damage::Noise(50)), false);
        assert!((2..60).contains(&noisy.iter().zip(&whole).filter(|(a, b)| a != b).count()), "{noisy:?}");
        assert_eq!(through(Some(Damage::LostAtBaud(2)), false), [0; 200], "until the rate is changed");
        assert_eq!(through(Some(Damage::LostAtBaud(2)), true), [&[0, 0], &whole[2..]].concat());
        assert!((0..100).any(|_| through(Some(Damage::Garbage), false)[..189] == whole[11..]), "what nobody sent is behind it");
        assert_eq!(through(None, true), whole);
    }
}
