//! A seat on a chain's serial line: a pty of its own towards the firmware, the simulated chain's tty behind it, bytes and rate
//! carried both ways, and the moment of every job frame noted.
//!
//! Not here: what the chain answers (`otedama simulate --pty`), and what a frame's arrival means.

use anyhow::Context;
use hwdrivers::bus::Uart;
use hwdrivers::bus::tty::LinuxTty;
use model::Baud;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// What every frame to the chips begins with.
const PREAMBLE: [u8; 2] = [0x55, 0xaa];
/// The header byte of a job.
const JOB: u8 = 0x21;
/// Bytes of a job's frame on the wire, whatever its length byte says, and where in it the previous block's hash stands.
const JOB_BYTES: usize = 88;
const PREVIOUS: std::ops::Range<usize> = 50..82;
/// Shortest frame: preamble, header, length, data, checksum.
const SHORTEST: usize = 5;
/// Longest sleep without bytes, so that the end is seen.
const STEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// The rate that chips and driver begin with.
const BAUD_FIRST: Baud = Baud(115_200);

/// The frames that pass. A job's tag is the word that its previous block's hash consists of.
#[derive(Default)]
pub struct Frames(Vec<u8>);

impl Frames {
    /// Takes bytes and gives the tags of the jobs that they complete; hashes that are not one word over and over have none.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u32> {
        self.0.extend_from_slice(bytes);
        let mut tags = Vec::new();
        loop {
            let start = self.0.windows(2).position(|w| w == PREAMBLE).unwrap_or(self.0.len().saturating_sub(1));
            self.0.drain(..start);
            let Some(&[header, length]) = self.0.get(2..4) else { return tags };
            let whole = if header == JOB { JOB_BYTES } else { (usize::from(length) + 2).max(SHORTEST) };
            if self.0.len() < whole {
                return tags;
            }
            let frame: Vec<u8> = self.0.drain(..whole).collect();
            if header == JOB {
                let words: Vec<_> = frame[PREVIOUS].chunks_exact(4).collect();
                let tag = words.iter().all(|w| w == &words[0]).then(|| words[0].try_into().map(u32::from_be_bytes).ok());
                tags.extend(tag.flatten());
            }
        }
    }
}

/// The seat, given up with this value.
pub struct Tap {
    /// What the firmware is to open.
    pub tty: String,
    /// Tag and moment of each job.
    pub jobs: Receiver<(u32, Instant)>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Tap {
    /// Sits down in front of the chain at this tty.
    pub fn new(chain: &Path) -> anyhow::Result<Tap> {
        let chain = LinuxTty::open(chain, BAUD_FIRST).context("open the simulated chain")?;
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).context("open a pty")?;
        grantpt(&master).and_then(|()| unlockpt(&master)).context("unlock the pty")?;
        rustix::io::ioctl_fionbio(&master, true).context("set up the pty")?;
        let name = ptsname(&master, Vec::new()).context("name the pty")?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        // Held open, so that settings and line live on while the firmware does not have it open.
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).context("open the pty's far end")?;
        let mut settings = tcgetattr(&slave).context("set up the pty")?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings).context("set up the pty")?;
        let (seen, jobs) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let carry = move || {
            let mut seat =
                Seat { master: master.into(), _slave: slave, chain, baud: BAUD_FIRST, frames: Frames::default(), seen };
            while !stopped.load(Ordering::Relaxed) {
                if let Err(why) = seat.turn() {
                    eprintln!("bench: the line ended: {why:#}");
                    return;
                }
            }
        };
        let thread = Some(std::thread::Builder::new().name("tap".to_owned()).spawn(carry).context("start the tap's thread")?);
        Ok(Tap { tty: name.to_string_lossy().into_owned(), jobs, stop, thread })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

struct Seat {
    master: File,
    _slave: OwnedFd,
    chain: LinuxTty,
    baud: Baud,
    frames: Frames,
    seen: Sender<(u32, Instant)>,
}

impl Seat {
    fn turn(&mut self) -> anyhow::Result<()> {
        let fds = [self.master.as_fd(), self.chain.as_fd()];
        match poll(&mut fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)), Some(&STEP)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e).context("wait for bytes"),
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(n) => {
                let now = Instant::now();
                self.pass_on(&buffer[..n])?;
                for tag in self.frames.push(&buffer[..n]) {
                    // Nobody listens any more where the measurement is over.
                    let _ = self.seen.send((tag, now));
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e).context("read from the firmware"),
        }
        let n = self.chain.read(&mut buffer).context("read from the chain")?;
        // What a firmware does not read is lost, as on a wire.
        let _ = self.master.write(&buffer[..n]);
        Ok(())
    }

    fn pass_on(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let baud = Baud(tcgetattr(&self.master).context("read the line's rate")?.output_speed());
        if baud != self.baud {
            self.chain.set_baud(baud).context("set the chain's rate")?;
            self.baud = baud;
        }
        self.chain.write(bytes).context("write to the chain")
    }
}
