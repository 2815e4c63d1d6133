//! A chain's serial line in real time: its near end is a pty's or a USB device's, so that a whole `otedama` can mine on it, in
//! QEMU as well.
//!
//! The host's rate comes from that end, so that a wrong one is as unreadable as on a wire. Not here: the ends (`pty`,
//! `usb_redir`), and lines in virtual time (`handles`).

use crate::World;
use crate::fault::line::{LineHarm, held};
use crate::pty::PtyError;
use model::Baud;
use std::sync::{Arc, Mutex};

/// Bytes moved at once; a pty's own buffer holds 4096.
const CHUNK: usize = 4096;
/// Reads of one turn: sixteen hold all that a USB port takes in at once.
const READS: usize = 16;

/// The end of a serial line that is not the host's.
pub trait NearEnd {
    /// The rate of the bytes that are read next, or else the one that the host has set.
    ///
    /// # Errors
    /// The line is gone.
    fn baud(&self) -> Result<Baud, PtyError>;

    /// Takes what the host wrote; gives how much.
    ///
    /// # Errors
    /// The line is gone.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PtyError>;

    /// Whether all that was sent is on its way.
    fn is_idle(&self) -> bool;

    /// Sends these bytes behind those that are not on their way yet.
    ///
    /// # Errors
    /// The line is gone.
    fn write(&mut self, bytes: &[u8]) -> Result<(), PtyError>;
}

/// One chain's line.
#[derive(Debug)]
pub struct SerialLine {
    chain: usize,
    harm: Arc<Mutex<LineHarm>>,
    /// The host's rate when the line was turned last.
    baud: Option<Baud>,
}

impl SerialLine {
    /// The line of this chain; what damages it is shared.
    #[must_use]
    pub fn new(chain: usize, harm: Arc<Mutex<LineHarm>>) -> SerialLine {
        SerialLine { chain, harm, baud: None }
    }

    /// Carries what the host wrote to the chain, and what has arrived from it to the host.
    ///
    /// # Errors
    /// The line is gone.
    pub fn turn(&mut self, end: &mut dyn NearEnd, world: &mut World) -> Result<(), PtyError> {
        let mut harm = held(&self.harm);
        let mut buffer = [0; CHUNK];
        let mut baud = end.baud()?;
        for _ in 0..READS {
            if self.baud.replace(baud).is_some_and(|before| before != baud) {
                harm.rate_changed();
            }
            let n = end.read(&mut buffer)?;
            if n > 0 {
                let mut bytes = buffer[..n].to_vec();
                harm.send(&mut bytes);
                world.tell_line(self.chain, baud, &bytes);
            }
            let before = std::mem::replace(&mut baud, end.baud()?);
            if n == 0 && before == baud {
                break;
            }
        }
        if !end.is_idle() {
            return end.write(&[]);
        }
        let n = world.take_line(self.chain, baud, &mut buffer);
        let mut bytes = buffer[..n].to_vec();
        harm.receive(&mut bytes);
        end.write(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pty::Pty;
    use hwdrivers::bus::Message;
    use model::Time;
    use rustix::fs::{Mode, OFlags};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    use std::os::fd::OwnedFd;

    /// A world whose first chain has power and runs.
    fn world() -> World {
        let shared =
            std::sync::Arc::new(std::sync::Mutex::new(World::new(&board::antminer_s19jpro::PRODUCT, 1, crate::real_time::SCALE)));
        let mut b = crate::buses(&shared);
        b.gpio.set(65, true).expect("a line");
        b.gpio.set(5, true).expect("a line");
        let enable: [u8; 7] = [0x55, 0xaa, 5, 0x15, 1, 0, 0x1b];
        b.i2c.transfer(0x20, &mut [Message::Write(&enable)]).expect("answers");
        drop(b);
        std::sync::Arc::into_inner(shared).and_then(|m| m.into_inner().ok()).expect("the last owner")
    }

    fn set_rate(line: &OwnedFd, baud: u32) {
        let mut t = tcgetattr(line).expect("a terminal");
        t.set_speed(baud).expect("a rate");
        tcsetattr(line, OptionalActions::Now, &t).expect("a terminal");
    }

    #[test]
    fn a_guest_counts_the_chips_at_the_right_rate_alone() {
        let (mut world, mut line) = (world(), SerialLine::new(0, Arc::new(Mutex::new(LineHarm::new(1)))));
        let mut end = Pty::open("chain 0").expect("a pty");
        let guest = rustix::fs::open(end.path(), OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK, Mode::empty()).expect("opens");
        for (baud, expected) in [(1_000_000, 0), (115_200, 126 * 9), (3_000_000, 0)] {
            set_rate(&guest, baud);
            rustix::io::write(&guest, &[0x55, 0xaa, 0x52, 5, 0, 0, 0x0a]).expect("a line");
            line.turn(&mut end, &mut world).expect("a pty");
            let later = world.now() + std::time::Duration::from_millis(200);
            world.advance(later);
            line.turn(&mut end, &mut world).expect("a pty");
            let mut got = [0; CHUNK];
            assert_eq!(rustix::io::read(&guest, &mut got).unwrap_or(0), expected, "{baud}");
        }
        assert!(world.now() < Time::from_secs(1));
    }
}
