//! Boots the image in QEMU with a simulated machine at its lines: what `cargo image run` and the boot tests share.
//!
//! The guest gets a copy of the disk that people flash, with settings of its own on the volume for them.
//! Not here: what is expected of the guest.

use crate::command::run;
use crate::console::Console;
use crate::disk;
use crate::place::Place;
use crate::process::Process;
use crate::qemu::{self, Forward, Guest};
use crate::simulated::Simulated;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long QEMU may take to end when asked to; it has nothing to write.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// Words for an emulator's kernel: on a loaded host its test of the timer fails, and each line on the serial port takes long.
const WORDS: &str = "no_timer_check quiet";
/// Between two looks at the console.
const LOOK: Duration = Duration::from_millis(20);

/// What starts the guest. On a loaded host the first process is there after 3 s without firmware, 5 s with BIOS, 9 s with UEFI, so
/// the way to look at a running miner is without; the boot tests take the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Firmware {
    /// QEMU puts the kernel into memory, which is the quickest under emulation; the rest is the disk's
    #[default]
    None,
    /// SeaBIOS and the disk's boot loader
    Bios,
    /// OVMF and the disk's boot loader
    Uefi,
}

/// What to boot.
#[derive(Clone, Debug)]
pub struct Boot<'a> {
    /// Whose image; it is built already.
    pub place: &'a Place,
    /// What starts it.
    pub firmware: Firmware,
    /// A product of `otedama boards`; without one the guest has no hashing machine.
    pub product: Option<&'a str>,
    /// `config.yaml`.
    pub settings: &'a str,
    /// The guest's files, made anew.
    pub folder: &'a Path,
    /// Ways in.
    pub forwards: &'a [Forward],
}

/// A guest that runs. Dropped, all of it ends, the guest first.
#[derive(Debug)]
pub struct Booted {
    guest: Process,
    disk: PathBuf,
    /// The machine that it controls.
    pub simulated: Option<Simulated>,
    /// What it says.
    pub console: Console,
    /// When QEMU was started.
    pub since: Instant,
    _sockets: Folder,
}

impl Boot<'_> {
    /// Starts the simulated machine, lays the disk, starts QEMU.
    ///
    /// # Errors
    /// One of them failed.
    pub fn start(&self) -> Result<Booted> {
        fs::create_dir_all(self.folder).with_context(|| format!("make {}", self.folder.display()))?;
        let disk = self.folder.join("disk.img");
        // Most of a disk is empty: holes stay holes.
        run(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(self.place.disk()).arg(&disk))?;
        disk::set_config(&disk, self.settings)?;
        disk::set_kernel_words(&disk, WORDS)?;
        let firmware = match self.firmware {
            Firmware::Bios => qemu::Firmware::Bios,
            Firmware::Uefi => {
                let variables = self.folder.join("uefi.fd");
                qemu::uefi_variables(&variables)?;
                qemu::Firmware::Uefi { variables }
            }
            Firmware::None => {
                let root = format!("PARTLABEL={}", disk::ROOT);
                qemu::Firmware::None { kernel: self.place.kernel(), line: format!("{WORDS} {}", disk::kernel_line(&root)) }
            }
        };
        let sockets = Folder::make()?;
        let simulated = self.product.map(|p| Simulated::start(&self.place.program(), p, &sockets.0)).transpose()?;
        let console = self.folder.join("console.log");
        let lines = simulated.as_ref().map(|s| s.lines.clone());
        let guest = Guest { firmware, disk: disk.clone(), console: console.clone(), lines, forwards: self.forwards.to_vec() };
        let since = Instant::now();
        let guest = guest.start()?;
        Ok(Booted { guest, disk, simulated, console: Console::follow(&console)?, since, _sockets: sockets })
    }
}

impl Booted {
    /// New lines of the console, after a look whether everything still runs.
    ///
    /// # Errors
    /// The guest or its machine ended; the console's last lines are in the error.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        let ended = self.guest.ended()?;
        let lines = self.console.lines()?;
        if let Some(status) = ended {
            let (path, tail) = (self.console.path().display(), self.console.tail());
            bail!("the guest ended (QEMU: {status}); its console is in {path}, the last lines of it:\n{tail}");
        }
        self.simulated.iter_mut().try_for_each(Simulated::check)?;
        Ok(lines)
    }

    /// Waits for a line with this text.
    ///
    /// # Errors
    /// It does not come in time, or the guest ends.
    pub fn wait_for(&mut self, text: &str, patience: Duration) -> Result<String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(line) = self.lines()?.into_iter().find(|l| l.contains(text)) {
                return Ok(line);
            }
            if Instant::now() >= deadline {
                bail!("no '{text}' on the console within {} s; its last lines:\n{}", patience.as_secs(), self.console.tail());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends everything, the guest first: a machine whose controller is gone is what hardware knows too.
    ///
    /// # Errors
    /// The kernel's.
    pub fn stop(self) -> Result<()> {
        self.guest.stop(STOP_LIMIT)?;
        self.simulated.map_or(Ok(()), Simulated::stop)?;
        // Only what the guest said is of use to anybody later.
        fs::remove_file(&self.disk).with_context(|| format!("remove {}", self.disk.display()))
    }
}

/// A folder for sockets. Their paths are short by nature (108 bytes), so it is not below the folder of outputs.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Folder> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("otedama-run-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // One that is gone already is as good.
        let _ = fs::remove_dir_all(&self.0);
    }
}
