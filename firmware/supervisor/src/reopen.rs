//! Lines and buses that come and go: what is gone is opened again by its path when it is back, behind the same hand.
//!
//! A USB serial adapter that is pulled takes its device with it, and the one that is plugged in may be the same path and another
//! device. A board that says who it is over USB is waited for by its serial number, whatever its lines are called when it is back:
//! another board is never driven in its place. Not here: what becomes of a chain meanwhile (`control`), and who owns which path (`machine_open`).

use crate::detect;
use hwdrivers::bus::spi::LinuxSpi;
use hwdrivers::bus::tty::LinuxTty;
use hwdrivers::bus::usb::{self, UsbBoard};
use hwdrivers::bus::{BusError, Gpio, I2c, Message, Pwm, Spi, SpiMode, Uart, open};
use model::{Baud, Percent};
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Wait after a first try that failed, doubled by each further one: a device is back about a second after its plug.
const WAIT_FIRST: Duration = Duration::from_millis(250);
/// Longest wait between tries.
const WAIT_MAX: Duration = Duration::from_secs(8);

/// Something of the operating system, by its path.
struct Held<T> {
    path: PathBuf,
    /// Where it was found last: a board's line may have another name by now.
    at: PathBuf,
    /// Whose line it is, once it was open.
    line: Option<usb::Identity>,
    /// Looks for boards.
    look: fn() -> Vec<UsbBoard>,
    open: Option<(T, Identity)>,
    /// Why it is not open, once that is so.
    why: Option<String>,
    again: Instant,
    wait: Duration,
}

/// Which device a path leads to; none where it leads nowhere.
type Identity = Option<(u64, u64, u64)>;

fn identity(path: &Path) -> Identity {
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.rdev()))
}

impl<T> Held<T> {
    fn new(path: &Path) -> Held<T> {
        let (path, look) = (path.to_owned(), detect::boards as fn() -> Vec<UsbBoard>);
        Held { at: path.clone(), path, line: None, look, open: None, why: None, again: Instant::now(), wait: WAIT_FIRST }
    }

    /// Finds where it is now, and opens it.
    fn open(&mut self, open: impl FnOnce(&Path) -> Result<T, BusError>) -> Result<T, BusError> {
        let boards = (self.look)();
        if let Some(line) = &self.line {
            let found = usb::path_of(&boards, line).map(Path::to_owned);
            self.at = found.ok_or_else(|| {
                let attempt = format!("wait for {line}, which was {}", self.at.display());
                BusError::Os { attempt, source: std::io::ErrorKind::NotFound.into() }
            })?;
        }
        let thing = open(&self.at)?;
        self.line = self.line.take().or_else(|| usb::identity(&boards, &self.at));
        Ok(thing)
    }

    /// It, opened by `open` where it is not and a try is due.
    fn get(&mut self, open: impl FnOnce(&Path) -> Result<T, BusError>) -> Result<&mut T, BusError> {
        if self.open.is_none() && Instant::now() >= self.again {
            match self.open(open) {
                Ok(thing) => {
                    if self.why.take().is_some() {
                        tracing::info!(path = %self.at.display(), "open again");
                    }
                    self.wait = WAIT_FIRST;
                    self.open = Some((thing, identity(&self.at)));
                }
                Err(error) => {
                    let source = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
                    let why = format!("{error}{source}");
                    // Once each: it is tried for as long as the machine runs.
                    if self.why.as_ref() != Some(&why) {
                        tracing::error!("{why}");
                    }
                    self.why = Some(why);
                    self.again = Instant::now() + self.wait;
                    self.wait = (self.wait * 2).min(WAIT_MAX);
                }
            }
        }
        match &mut self.open {
            Some((thing, _)) => Ok(thing),
            None => {
                let attempt = self.why.clone().unwrap_or_else(|| format!("open {}", self.path.display()));
                Err(BusError::Os { attempt, source: std::io::ErrorKind::NotFound.into() })
            }
        }
    }

    /// Closes what is gone: it says so, or its path leads elsewhere by now.
    fn judge(&mut self, error: &BusError) {
        let moved = || self.open.as_ref().is_some_and(|(_, was)| *was != identity(&self.at));
        match error {
            BusError::Gone => self.lose(),
            BusError::Os { .. } if moved() => self.lose(),
            _ => {}
        }
    }

    fn lose(&mut self) {
        if self.open.take().is_some() {
            let why = format!("{} is gone", self.at.display());
            tracing::warn!("{why}; it is opened again when it is back");
            self.why = Some(why);
            self.again = Instant::now() + self.wait;
        }
    }
}

/// A chain's serial line.
pub struct Line {
    held: Held<LinuxTty>,
    baud: Baud,
    /// One descriptor that tells of arriving bytes, whichever device the line is just now.
    arrivals: OwnedFd,
}

impl Line {
    /// A line at this path, opened at its first use. The descriptor polls readable when bytes arrive.
    ///
    /// # Errors
    /// No epoll descriptor can be had.
    pub fn new(path: &Path, baud: Baud) -> std::io::Result<(Line, OwnedFd)> {
        let arrivals = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let polled = arrivals.try_clone()?;
        Ok((Line { held: Held::new(path), baud, arrivals }, polled))
    }

    fn with<R>(&mut self, used: impl FnOnce(&mut LinuxTty) -> Result<R, BusError>) -> Result<R, BusError> {
        let (arrivals, baud) = (&self.arrivals, self.baud);
        let open = |path: &Path| {
            let tty = LinuxTty::open(path, baud)?;
            let told = epoll::add(arrivals, &tty, epoll::EventData::new_u64(0), epoll::EventFlags::IN);
            told.map_err(|e| BusError::Os { attempt: format!("wait for bytes of {}", path.display()), source: e.into() })?;
            Ok(tty)
        };
        let done = used(self.held.get(open)?);
        if let Err(error) = &done {
            self.held.judge(error);
        }
        done
    }
}

impl Uart for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        self.with(|tty| tty.write(bytes))
    }
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BusError> {
        let done = self.with(|tty| tty.read(buffer));
        if done.is_err() {
            // Whatever a failed read means, a line that polls readable and cannot be read would keep its thread spinning.
            self.held.lose();
        }
        done
    }
    fn set_baud(&mut self, baud: Baud) -> Result<(), BusError> {
        self.baud = baud;
        self.with(|tty| tty.set_baud(baud))
    }
    /// By the descriptor that its thread polls.
    fn wakes(&self) -> bool {
        true
    }
}

/// A chain's SPI device.
pub struct SpiLine {
    held: Held<LinuxSpi>,
    /// Mode and clock that it was told, which it is told again when it is opened again.
    settings: Option<(SpiMode, u32)>,
}

impl SpiLine {
    /// A device at this path, opened at its first use.
    pub fn new(path: &Path) -> SpiLine {
        SpiLine { held: Held::new(path), settings: None }
    }

    fn with<R>(&mut self, used: impl FnOnce(&mut LinuxSpi) -> Result<R, BusError>) -> Result<R, BusError> {
        let settings = self.settings;
        let open = |path: &Path| {
            let mut spi = LinuxSpi::open(path)?;
            settings.map_or(Ok(()), |(mode, hertz)| spi.configure(mode, hertz))?;
            Ok(spi)
        };
        let done = used(self.held.get(open)?);
        if let Err(error) = &done {
            self.held.judge(error);
        }
        done
    }
}

impl Spi for SpiLine {
    fn configure(&mut self, mode: SpiMode, hertz: u32) -> Result<(), BusError> {
        self.settings = Some((mode, hertz));
        self.with(|spi| spi.configure(mode, hertz))
    }
    fn transfer(&mut self, bytes: &mut [u8]) -> Result<(), BusError> {
        self.with(|spi| spi.transfer(bytes))
    }
}

/// The bus of a machine's sensors and controllers: a device of Linux, or a simulation's socket.
pub struct Bus(Held<Box<dyn I2c>>);

impl Bus {
    /// A bus at this path, opened at its first use.
    pub fn new(path: &Path) -> Bus {
        Bus(Held::new(path))
    }
}

impl I2c for Bus {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        let done = self.0.get(open::i2c)?.transfer(address, messages);
        if let Err(error) = &done {
            self.0.judge(error);
        }
        done
    }
}

/// The lines of reset, plug and supply: a chip of Linux, or a simulation's socket.
///
/// A chip whose lines fail is kept as long as its path leads to it: closing it would let go of lines that hold chips in reset.
pub struct Lines(Held<Box<dyn Gpio>>);

impl Lines {
    /// Lines at this path, opened at their first use.
    pub fn new(path: &Path) -> Lines {
        Lines(Held::new(path))
    }

    fn with<R>(&mut self, used: impl FnOnce(&mut dyn Gpio) -> Result<R, BusError>) -> Result<R, BusError> {
        let done = used(&mut **self.0.get(open::gpio)?);
        if let Err(error) = &done {
            self.0.judge(error);
        }
        done
    }
}

impl Gpio for Lines {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        self.with(|gpio| gpio.set(line, high))
    }
    fn get(&mut self, line: u32) -> Result<bool, BusError> {
        self.with(|gpio| gpio.get(line))
    }
    fn edges(&mut self, line: u32) -> Result<u64, BusError> {
        self.with(|gpio| gpio.edges(line))
    }
}

/// The outputs that drive fans: a PWM chip of Linux, or a simulation's socket.
pub struct Outputs {
    held: Held<Box<dyn Pwm>>,
    period: Duration,
}

impl Outputs {
    /// Outputs at this path with this period, opened at their first use.
    pub fn new(path: &Path, period: Duration) -> Outputs {
        Outputs { held: Held::new(path), period }
    }
}

impl Pwm for Outputs {
    fn set(&mut self, channel: u32, duty: Percent) -> Result<(), BusError> {
        let period = self.period;
        let done = self.held.get(|path| open::pwm(path, period))?.set(channel, duty);
        if let Err(error) = &done {
            self.held.judge(error);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::os::unix::ffi::OsStrExt;

    /// Far more than a loaded machine needs.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// The far end of a new line that `path` leads to.
    fn plug(path: &Path) -> OwnedFd {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty");
        grantpt(&far).expect("granted");
        unlockpt(&far).expect("unlocked");
        let name = ptsname(&far, vec![]).expect("its name");
        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(name.as_bytes()), path).expect("a link");
        far
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("otedama-reopen-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn until<R>(what: &str, mut tried: impl FnMut() -> Option<R>) -> R {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(done) = tried() {
                return done;
            }
            assert!(Instant::now() < deadline, "never {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn arrived(polled: &OwnedFd) -> bool {
        let mut fds = [PollFd::new(polled, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 20, tv_nsec: 0 })).expect("polls") == 1
    }

    #[test]
    fn a_line_that_is_pulled_and_plugged_in_again_goes_on_at_its_rate() {
        let path = folder("line").join("ttyUSB0");
        let (mut line, polled) = Line::new(&path, Baud(115_200)).expect("a descriptor");
        let error = line.write(b"x").expect_err("not there yet");
        assert!(error.to_string().contains("ttyUSB0"), "{error}");

        for round in 0..2 {
            let far = plug(&path);
            until("opened", || line.write(b"hello").ok());
            let mut buffer = [0; 64];
            let n = rustix::io::read(&far, &mut buffer).expect("arrives");
            assert_eq!(&buffer[..n], b"hello", "round {round}");
            rustix::io::write(&far, b"reply").expect("written");
            assert!(arrived(&polled), "round {round}");
            assert_eq!(until("read", || line.read(&mut buffer).ok().filter(|n| *n > 0)), 5);
            line.set_baud(Baud(3_000_000)).expect("taken");
            let speed = rustix::termios::tcgetattr(&far).expect("settings").output_speed();
            assert_eq!(speed, 3_000_000);

            std::fs::remove_file(&path).expect("there");
            drop(far);
            assert!(arrived(&polled), "a line that hangs up wakes its thread");
            until("gone", || line.read(&mut buffer).err());
            let mut fds = [PollFd::new(&polled, PollFlags::IN)];
            let still = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("polls");
            assert_eq!(still, 0, "and lets it sleep then");
        }
        let far = plug(&path);
        until("opened", || line.write(b"x").ok());
        assert_eq!(rustix::termios::tcgetattr(&far).expect("settings").output_speed(), 3_000_000, "the rate it had");
        let _ = std::fs::remove_dir_all(path.parent().expect("its folder"));
    }

    /// One board whose data line leads to this path.
    fn board(serial: &str, data: &Path) -> UsbBoard {
        let identity = model::UsbIdentity { manufacturer: "256F", product: "EmberOne00" };
        let (serial, control) = (Some(serial.to_owned()), data.with_file_name("control"));
        UsbBoard { identity, serial, version: 0x0510, port: "1-1".to_owned(), control, data: data.to_owned() }
    }

    #[test]
    fn a_board_is_followed_to_its_new_name_and_another_is_never_taken_for_it() {
        let folder = folder("board");
        let (first, second) = (folder.join("ttyACM1"), folder.join("ttyACM3"));
        // What is plugged in is told by files, so that the look needs no state of its own.
        fn look() -> Vec<UsbBoard> {
            let folder = self::folder("board");
            let plugged = |path: &PathBuf| Some(board(&std::fs::read_to_string(path.with_extension("serial")).ok()?, path));
            ["ttyACM1", "ttyACM3"].map(|name| folder.join(name)).iter().filter_map(plugged).collect()
        }
        let tell = |path: &Path, serial: &str| std::fs::write(path.with_extension("serial"), serial).expect("written");
        let (mut line, _polled) = Line::new(&first, Baud(115_200)).expect("a descriptor");
        line.held.look = look;

        let far = plug(&first);
        tell(&first, "aa");
        until("opened", || line.write(b"x").ok());
        drop(far);
        std::fs::remove_file(&first).expect("there");
        until("gone", || line.read(&mut [0; 8]).err());

        // Another board has the old name now.
        let other = plug(&first);
        tell(&first, "bb");
        let error = until("tried", || {
            let error = line.write(b"x").expect_err("not our board");
            error.to_string().contains("wait for").then_some(error)
        });
        assert!(error.to_string().contains("EmberOne00 aa"), "{error}");

        let far = plug(&second);
        tell(&second, "aa");
        until("opened under its new name", || line.write(b"hello").ok());
        let mut buffer = [0; 64];
        let n = rustix::io::read(&far, &mut buffer).expect("arrives");
        assert_eq!(&buffer[..n], b"hello");
        rustix::io::ioctl_fionbio(&other, true).expect("set");
        assert!(rustix::io::read(&other, &mut buffer).is_err(), "not a byte to the other board");
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn an_spi_device_that_is_not_there_or_none_says_so() {
        let path = folder("spi").join("spidev0.0");
        let mut spi = SpiLine::new(&path);
        for _ in 0..2 {
            let error = spi.configure(SpiMode::One, 390_625).expect_err("not there");
            assert!(error.to_string().contains("spidev0.0"), "{error}");
            assert!(spi.transfer(&mut [0; 2]).is_err());
        }
        // It was told mode and clock before: what cannot take them when it is back is no device of this kind.
        std::fs::write(&path, "a file").expect("written");
        let said = until("tried again", || {
            let said = spi.transfer(&mut [0; 2]).expect_err("no device").to_string();
            said.contains("set mode and clock").then_some(said)
        });
        assert!(said.contains("spidev0.0"), "{said}");
        let _ = std::fs::remove_dir_all(path.parent().expect("its folder"));
    }

    #[test]
    fn a_bus_that_is_not_there_says_so_and_is_tried_again() {
        let path = folder("bus").join("i2c");
        let (mut bus, mut lines) = (Bus::new(&path), Lines::new(&path));
        for _ in 0..3 {
            let error = bus.transfer(0x48, &mut []).expect_err("not there");
            assert!(error.to_string().contains("i2c: "), "{error}");
            assert!(lines.get(1).is_err());
        }
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        std::thread::spawn(move || drop(listener.accept()));
        // What answers there hangs up at once: that is a bus which is gone, no longer one that was never there.
        until("tried again", || matches!(bus.transfer(0x48, &mut []), Err(BusError::Gone)).then_some(()));
        let _ = std::fs::remove_dir_all(path.parent().expect("its folder"));
    }
}
