//! AT24C02 and its kin: 256 bytes of a hashboard's identity and factory data. Read-only by type: there is no method that writes, and
//! the one byte that a read must send is an address, never data. A board whose EEPROM is overwritten is lost to its maker's own
//! programs. Not here: what the bytes mean ([`super::identity`]).

use crate::bus::{BusError, I2c, Message};

/// Bytes of a part.
pub const SIZE: usize = 256;
/// Bytes of one transfer: the bus is free for others between two, 3 ms at 100 kHz.
const PIECE: usize = 32;

/// One EEPROM.
#[derive(Clone, Copy, Debug)]
pub struct At24c02 {
    address: u8,
}

impl At24c02 {
    /// The EEPROM at this 7-bit address.
    #[must_use]
    pub const fn new(address: u8) -> At24c02 {
        At24c02 { address }
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// The bus's.
    pub fn read(&self, bus: &mut dyn I2c) -> Result<[u8; SIZE], BusError> {
        let mut contents = [0; SIZE];
        for (at, piece) in (0..=u8::MAX).step_by(PIECE).zip(contents.chunks_exact_mut(PIECE)) {
            bus.transfer(self.address, &mut [Message::Write(&[at]), Message::Read(piece)])?;
        }
        Ok(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::record::Recorder;

    #[test]
    fn all_of_it_is_read_and_no_message_could_write() {
        let pieces: Vec<Vec<u8>> = (0u8..8).map(|i| vec![i; 32]).collect();
        let answers: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let mut bus = Recorder::answering(&answers);
        let contents = At24c02::new(0x50).read(&mut bus).expect("answers");
        assert_eq!(contents.to_vec(), pieces.concat());
        let addresses: Vec<_> = bus.written.iter().map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(addresses, [0u8, 32, 64, 96, 128, 160, 192, 224].map(|at| vec![at]));
    }

    #[test]
    fn an_absent_part_is_told() {
        assert!(matches!(At24c02::new(0x51).read(&mut Recorder::absent()), Err(BusError::Nack(0x51))));
    }
}
