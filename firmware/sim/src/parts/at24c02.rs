//! AT24C02: 256 bytes behind an address that runs on and round. It takes writes, within a page of eight bytes, as the real one does:
//! so a host that writes to it is seen. Not here: what the bytes mean.

use super::Target;
use model::Time;

const SIZE: usize = 256;
/// Writes run round within a page.
const PAGE: usize = 8;

/// The simulated EEPROM.
#[derive(Debug)]
pub struct At24c02 {
    /// What is in it.
    pub contents: [u8; SIZE],
    /// Bytes that hosts have written into it.
    pub written: usize,
    address: u8,
}

impl At24c02 {
    /// An erased one.
    #[must_use]
    pub fn new() -> At24c02 {
        At24c02 { contents: [0xff; SIZE], written: 0, address: 0 }
    }

    /// One that begins with these bytes and is erased behind them.
    #[must_use]
    pub fn holding(start: &[u8]) -> At24c02 {
        let mut e = At24c02::new();
        e.contents.iter_mut().zip(start).for_each(|(b, s)| *b = *s);
        e
    }
}

impl Default for At24c02 {
    fn default() -> Self {
        At24c02::new()
    }
}

impl Target for At24c02 {
    fn write(&mut self, _now: Time, bytes: &[u8]) {
        let [address, data @ ..] = bytes else { return };
        self.address = *address;
        for b in data {
            let at = usize::from(self.address);
            self.contents[at] = *b;
            self.written += 1;
            self.address = (at / PAGE * PAGE + (at + 1) % PAGE) as u8;
        }
    }

    fn read(&mut self, _now: Time, buffer: &mut [u8]) {
        for b in buffer {
            *b = self.contents[usize::from(self.address)];
            self.address = self.address.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_run_on_and_writes_stay_in_their_page() {
        let mut e = At24c02::holding(&[1, 2, 3]);
        let mut b = [0; 4];
        e.write(Time::ZERO, &[0xff]);
        e.read(Time::ZERO, &mut b);
        assert_eq!(b, [0xff, 1, 2, 3]);
        e.write(Time::ZERO, &[0x0e, 7, 8, 9]);
        assert_eq!((&e.contents[0x08..0x10], e.written), (&[9, 0xff, 0xff, 0xff, 0xff, 0xff, 7, 8][..], 3));
    }
}
