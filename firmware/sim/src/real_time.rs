//! A simulated machine in real time: its chains on ptys, its bus and lines on a socket, for a firmware in another process. A board
//! that hangs on USB has a pty for its controller instead of the socket. All of it can be harmed (`fault`).
//!
//! For a guest in QEMU the serial lines are USB devices as well; while a QEMU is connected to one, its lines are the guest's and not
//! the ptys'.
//!
//! One thread owns it all. Time follows the clock in short steps, sooner where bytes arrive; a machine that lags far behind
//! drops time rather than running after it. Not here: a firmware, and who ends it.

use crate::bench_socket::BenchSocket;
use crate::fault::{ByHand, Harms};
use crate::machine::{Buses, World, buses, lock};
use crate::pty::{Pty, PtyError};
use crate::scale;
use crate::serial_line::{NearEnd, SerialLine};
use crate::socket_file::SocketFileError;
use crate::usb_board::{Firmware, UsbBoard};
use crate::usb_redir::{UsbError, UsbPort, Who};
use crate::vhost_user::{VhostUser, VhostUserError};
use hwdrivers::chip::Scale;
use model::{Attachment, ChainLine, Product, Time};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How chips in real time are easier than real ones: some hundred reports a second for 100 TH/s, which one core hashes easily.
/// A firmware must count with the same, and with the product's own stretch: [`scale::real_time`].
pub const SCALE: Scale = Scale { zero_bits: 0, scale_bits: 32, stretch_bits: 0 };
/// Longest step: a reply waits for at most this long, and the chips for a tenth of their bring-up's shortest wait.
const STEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// Most time made up for in one step, as after a suspended host.
const LEAP_LIMIT: Duration = Duration::from_secs(1);

/// Why a machine cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RealTimeError {
    /// A chain that is not on a serial line.
    #[error("serve {0} in real time: its chains are on SPI, which no pty can carry; simulate it without --pty")]
    Spi(&'static str),
    /// A chain's line.
    #[error(transparent)]
    Pty(#[from] PtyError),
    /// The bus.
    #[error(transparent)]
    Socket(#[from] SocketFileError),
    /// The devices for QEMU.
    #[error(transparent)]
    VhostUser(#[from] VhostUserError),
    /// The folder of the USB devices for QEMU.
    #[error("make the folder {} for USB sockets", .0.display())]
    Folder(PathBuf, #[source] std::io::Error),
    /// The wait for bytes.
    #[error("wait for bytes of a firmware")]
    Wait(#[source] Errno),
}

/// A machine that is served.
pub struct RealTime {
    world: Arc<Mutex<World>>,
    buses: Buses,
    harms: Harms,
    /// The chains' lines, each with its pty.
    lines: Vec<(SerialLine, Pty)>,
    control: Control,
    vhost_user: Option<VhostUser>,
    /// The serial lines as USB devices, where a QEMU is served.
    usb: Vec<UsbPort>,
    /// Hears why a QEMU was let go.
    tell: fn(&str),
    /// When the world began, moved on by all time that was dropped.
    began: Instant,
}

/// How a firmware reaches the parts.
enum Control {
    /// The buses of a control board.
    Socket(BenchSocket),
    /// A USB board's own controller, with its pty.
    Usb(Box<UsbBoard>, Pty),
}

impl Control {
    /// Which device has the line of a chain, and which of its lines that is. A USB board is one device; its first line is its
    /// controller's.
    fn usb_line(&self, chain: usize) -> (usize, usize) {
        match self {
            Control::Socket(_) => (chain, 0),
            Control::Usb(..) => (0, 1 + chain),
        }
    }
}

impl RealTime {
    /// A machine that was just plugged in; its bus socket is made at `socket`, unless it hangs on USB.
    ///
    /// # Errors
    /// No pty can be had, the socket's path is taken, or its chains are on no serial lines.
    pub fn open(product: &Product, seed: u64, socket: &Path) -> Result<RealTime, RealTimeError> {
        if product.hashboards.iter().any(|b| b.line == ChainLine::Spi) {
            return Err(RealTimeError::Spi(product.name));
        }
        let world = Arc::new(Mutex::new(World::new(product, seed, scale::real_time(product))));
        let harms = Harms::new(product.hashboards.len(), seed);
        let chains = 0..product.hashboards.len();
        let line = |c| {
            let line = SerialLine::new(c, harms.of_line(c)?);
            Some(Pty::open(&format!("chain {c}")).map(|pty| (line, pty)))
        };
        let lines = chains.filter_map(line).collect::<Result<_, _>>()?;
        let control = match product.attachment {
            Attachment::Buses => Control::Socket(BenchSocket::open(socket)?),
            Attachment::Usb(_) => Control::Usb(Box::new(UsbBoard::new(Firmware::New)), Pty::open("the board's controller")?),
        };
        let whole = buses(&world);
        let buses = Buses { i2c: harms.wrap_bus(whole.i2c), ..whole };
        Ok(RealTime {
            buses,
            world,
            harms,
            lines,
            control,
            vhost_user: None,
            usb: Vec::new(),
            tell: |_| {},
            began: Instant::now(),
        })
    }

    /// Serves the bus and the lines to QEMU as well, at sockets in this folder. A USB board needs none: its controller is a serial
    /// line in a guest too.
    ///
    /// # Errors
    /// The folder or a socket cannot be had.
    pub fn open_vhost_user(&mut self, folder: &Path) -> Result<Option<&VhostUser>, RealTimeError> {
        if matches!(self.control, Control::Socket(_)) {
            self.vhost_user = Some(VhostUser::open(&self.world, &self.harms, folder)?);
        }
        Ok(self.vhost_user.as_ref())
    }

    /// Serves the serial lines to QEMU as well, as USB devices at `usb0.sock` and on in this folder, which is made where it is
    /// not there: one for each chain of a control board, or the one that a USB board is. `tell` hears why a QEMU was let go.
    ///
    /// # Errors
    /// The folder or a socket cannot be had.
    pub fn open_usb(&mut self, product: &Product, seed: u64, folder: &Path, tell: fn(&str)) -> Result<(), RealTimeError> {
        std::fs::create_dir_all(folder).map_err(|e| RealTimeError::Folder(folder.to_owned(), e))?;
        let chains = self.lines.len();
        let devices: Vec<(Who, usize)> = match product.attachment {
            Attachment::Buses => (0..chains).map(|c| (Who::of_chain(c, seed), 1)).collect(),
            Attachment::Usb(identity) => vec![(Who::of_board(identity, seed), 1 + chains)],
        };
        let open = |(n, (who, lines))| UsbPort::open(&folder.join(format!("usb{n}.sock")), who, lines);
        self.usb = devices.into_iter().enumerate().map(open).collect::<Result<_, _>>()?;
        self.tell = tell;
        Ok(())
    }

    /// Where the USB devices are, chain 0's first.
    pub fn usb(&self) -> impl Iterator<Item = &Path> {
        self.usb.iter().map(UsbPort::path)
    }

    /// What injects faults into it, by this seed.
    #[must_use]
    pub fn by_hand(&self, product: &Product, seed: u64) -> ByHand {
        ByHand::new(product, &self.world, &self.harms, seed, !self.usb.is_empty())
    }

    /// The chains' lines, chain 0 first.
    pub fn ttys(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|(_, pty)| pty.path())
    }

    /// Where the I²C bus and the GPIO lines are: a socket, or the line of a USB board's controller.
    #[must_use]
    pub fn control(&self) -> &Path {
        match &self.control {
            Control::Socket(socket) => socket.path(),
            Control::Usb(_, pty) => Path::new(pty.path()),
        }
    }

    /// The machine, to look at it and to break it.
    #[must_use]
    pub fn world(&self) -> &Arc<Mutex<World>> {
        &self.world
    }

    /// Serves until `stop` has something to read or is closed.
    ///
    /// # Errors
    /// A pty is gone.
    pub fn run(&mut self, stop: impl AsFd) -> Result<(), RealTimeError> {
        while !self.wait(stop.as_fd())? {
            self.turn(Instant::now())?;
        }
        Ok(())
    }

    fn turn(&mut self, clock: Instant) -> Result<(), RealTimeError> {
        for port in &mut self.usb {
            port.plug(!self.harms.is_usb_pulled());
            let received = port.receive();
            told(port, received, self.tell);
        }
        let now = {
            let mut world = lock(&self.world);
            let (to, dropped) = step(world.now(), clock.saturating_duration_since(self.began));
            self.began += dropped;
            world.advance(to);
            for (chain, (line, pty)) in self.lines.iter_mut().enumerate() {
                line.turn(end(&mut self.usb, self.control.usb_line(chain), pty), &mut world)?;
            }
            world.now()
        };
        let Buses { i2c, gpio, pwm, .. } = &mut self.buses;
        match &mut self.control {
            Control::Socket(socket) => socket.turn(&mut **i2c, &mut **gpio, &mut **pwm),
            Control::Usb(board, pty) => board.turn(end(&mut self.usb, (0, 0), pty), now, &mut **i2c, &mut **gpio)?,
        }
        for port in &mut self.usb {
            let sent = port.send();
            told(port, sent, self.tell);
        }
        Ok(())
    }

    /// Sleeps until a byte arrives or a step has passed; says whether to stop.
    fn wait(&self, stop: BorrowedFd<'_>) -> Result<bool, RealTimeError> {
        let lines = self.lines.iter().map(|(_, pty)| pty.as_fd()).chain(self.usb.iter().flat_map(UsbPort::fds));
        let all = std::iter::once(stop).chain(lines);
        let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match &self.control {
            Control::Socket(socket) => fds.extend(socket.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))),
            Control::Usb(_, pty) => fds.push(PollFd::from_borrowed_fd(pty.as_fd(), PollFlags::IN)),
        }
        match poll(&mut fds, Some(&STEP)) {
            Ok(_) => Ok(fds.first().is_some_and(|f| !f.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(e) => Err(RealTimeError::Wait(e)),
        }
    }
}

/// A line's near end: on USB while a QEMU is there, or else the pty.
fn end<'a>(usb: &'a mut [UsbPort], (device, line): (usize, usize), pty: &'a mut Pty) -> &'a mut dyn NearEnd {
    match usb.get_mut(device).and_then(|port| port.line(line)) {
        Some(line) => line,
        None => pty,
    }
}

/// A QEMU that is let go matters to nobody here, but to who started it.
fn told(port: &UsbPort, done: Result<(), UsbError>, tell: fn(&str)) {
    match done {
        Ok(()) | Err(UsbError::Gone) => {}
        Err(why) => tell(&format!("the QEMU at {} is let go: {why}", port.path().display())),
    }
}

/// Where the world goes when the clock shows `elapsed`, and what is dropped for ever.
fn step(now: Time, elapsed: Duration) -> (Time, Duration) {
    let asked = Time::ZERO + elapsed;
    let dropped = asked.since(now).saturating_sub(LEAP_LIMIT);
    (Time::ZERO + elapsed.saturating_sub(dropped), dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_no_pty_can_carry_are_refused() {
        let product = &board::dragonmint_t1::PRODUCT;
        let refused = RealTime::open(product, 1, Path::new("/nowhere/bus.sock")).err().expect("they are on SPI").to_string();
        assert!(refused.contains(product.name) && refused.contains("without --pty"), "{refused}");
    }

    #[test]
    fn time_follows_the_clock_and_a_long_gap_is_dropped() {
        let (now, s) = (Time::from_secs(10), Duration::from_secs);
        assert_eq!(step(now, Duration::from_millis(10_005)), (Time::from_millis(10_005), Duration::ZERO));
        assert_eq!(step(now, s(11)), (Time::from_secs(11), Duration::ZERO));
        assert_eq!(step(now, s(3600)), (Time::from_secs(11), s(3589)));
        assert_eq!(step(now, s(9)), (Time::from_secs(9), Duration::ZERO));
    }
}
