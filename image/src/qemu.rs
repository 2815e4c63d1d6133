//! A guest in QEMU: which machine it is, as one list of arguments, and the process that runs it.
//!
//! It is always emulated (TCG): the same everywhere, and quick enough with a small kernel. Rejected: KVM where it is there; nested and
//! paravirtual ones run a kernel in part only, and a build must not depend on which one a machine has.
//! Not here: what the guest mines with (`simulated`), and what is expected of it (`run`).

use crate::process::{Process, bound};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The program, from Debian's `qemu-system-x86`.
const PROGRAM: &str = "qemu-system-x86_64";
/// Memory: the image comes up in 48 MB (measured under this QEMU); this is what the smallest control boards have.
const MEMORY: &str = "256M";
/// UEFI's code and the template of its variables, from Debian's `ovmf`.
const UEFI_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const UEFI_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// What starts the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// `SeaBIOS`, then the disk's boot loader.
    Bios,
    /// OVMF, then the disk's boot loader. The variables are a file of the guest's own, made by [`uefi_variables`].
    Uefi {
        /// That file.
        variables: PathBuf,
    },
    /// QEMU itself puts the kernel into memory; the disk is its root all the same.
    None {
        /// The kernel.
        kernel: PathBuf,
        /// Its command line, which the boot loader would give it.
        line: String,
    },
}

/// The lines of a hashing machine, on the host's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The usbredir sockets of its USB devices: chain 0's is `/dev/ttyACM0` in the guest, and so on. A USB board is one device of
    /// two lines: `/dev/ttyACM0` is its controller's, `/dev/ttyACM1` its chips'.
    pub usb: Vec<PathBuf>,
    /// The buses of a control board; a USB board has none.
    pub buses: Option<Buses>,
}

/// The sockets of a control board's buses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buses {
    /// The vhost-user socket of the I2C bus: `/dev/i2c-0`.
    pub i2c: PathBuf,
    /// The vhost-user socket of the GPIO lines: `/dev/gpiochip0`.
    pub gpio: PathBuf,
}

/// A port of the host's loopback that leads into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// On 127.0.0.1.
    pub host: u16,
    /// In the guest.
    pub guest: u16,
}

/// A guest that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// What starts it.
    pub firmware: Firmware,
    /// Its disk, which it writes to: never the one that is flashed.
    pub disk: PathBuf,
    /// The file that its serial console is written to.
    pub console: PathBuf,
    /// The hashing machine that it controls.
    pub lines: Option<Lines>,
    /// Ways in.
    pub forwards: Vec<Forward>,
}

impl Guest {
    /// The whole command line after the program's name.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let mut a = Arguments(Vec::new());
        // Without the board's own I2C bus the hashing machine's is bus 0, as the settings of the image have it.
        a.add("-M", "q35,smbus=off").add("-accel", "tcg,thread=multi").add("-cpu", "max").add("-smp", "2");
        // Its other devices reach into the guest's memory, so that must be shared.
        a.add("-m", MEMORY).add("-object", &format!("memory-backend-memfd,id=memory,size={MEMORY},share=on"));
        a.add("-numa", "node,memdev=memory").flag("-nodefaults").flag("-no-user-config").add("-display", "none");
        a.add_path("-chardev", "file,id=console,append=on,path=", &self.console).add("-serial", "chardev:console");
        // A guest that restarts itself would hide why: it ends instead, by a dog that bites too.
        a.flag("-no-reboot").add("-device", "i6300esb").add("-action", "watchdog=reset");
        self.boot(&mut a);
        let ways: String = self.forwards.iter().map(|f| format!(",hostfwd=tcp:127.0.0.1:{}-:{}", f.host, f.guest)).collect();
        a.add("-netdev", &format!("user,id=net{ways}")).add("-device", "virtio-net-pci,netdev=net,romfile=");
        self.lines.iter().for_each(|lines| machine(&mut a, lines));
        a.0
    }

    fn boot(&self, a: &mut Arguments) {
        a.add_path("-drive", "if=none,id=disk,format=raw,file=", &self.disk).add("-device", "virtio-blk-pci,drive=disk");
        match &self.firmware {
            Firmware::Bios => {}
            Firmware::Uefi { variables } => {
                a.add("-drive", &format!("if=pflash,format=raw,readonly=on,file={UEFI_CODE}"));
                a.add_path("-drive", "if=pflash,format=raw,file=", variables);
            }
            Firmware::None { kernel, line } => {
                a.add_path("-kernel", "", kernel).add("-append", line);
            }
        }
    }

    /// Starts it. It ends with the thread that started it, so that nothing is left behind where this program is killed.
    ///
    /// # Errors
    /// Its console's file cannot be made. A QEMU that is not there says so in it.
    pub fn start(&self) -> Result<Process> {
        // What QEMU itself has to say goes where the guest's words go: one file tells all. Both append.
        let made = File::create(&self.console).and_then(|_| File::options().append(true).open(&self.console));
        let words = made.with_context(|| format!("make {}", self.console.display()))?;
        let mut command = bound(PROGRAM.as_ref());
        Process::start("QEMU", command.args(self.arguments()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(words))
    }
}

fn machine(a: &mut Arguments, lines: &Lines) {
    a.add("-device", "qemu-xhci,id=usb");
    for (n, socket) in lines.usb.iter().enumerate() {
        // A port of its own for each fixes the order, so that chain 0 is always ttyACM0.
        a.add_path("-chardev", &format!("socket,id=usb{n},path="), socket);
        a.add("-device", &format!("usb-redir,bus=usb.0,port={},chardev=usb{n}", n + 1));
    }
    for (name, socket) in lines.buses.iter().flat_map(|b| [("i2c", &b.i2c), ("gpio", &b.gpio)]) {
        a.add_path("-chardev", &format!("socket,id={name},path="), socket);
        a.add("-device", &format!("vhost-user-{name}-pci,chardev={name}"));
    }
}

/// Lays a fresh file of UEFI's variables.
///
/// # Errors
/// Debian's `ovmf` is not there, or the file cannot be written.
pub fn uefi_variables(to: &Path) -> Result<()> {
    std::fs::copy(UEFI_VARIABLES, to).with_context(|| format!("copy {UEFI_VARIABLES} (./setup run installs it)"))?;
    Ok(())
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn flag(&mut self, name: &str) -> &mut Arguments {
        self.0.push(name.into());
        self
    }

    fn add(&mut self, name: &str, value: &str) -> &mut Arguments {
        self.0.extend([name.into(), value.into()]);
        self
    }

    /// A value around a path. QEMU splits options at commas; a doubled one is a comma.
    fn add_path(&mut self, name: &str, before: &str, path: &Path) -> &mut Arguments {
        let path = path.to_string_lossy();
        let path = if before.contains('=') { path.replace(',', ",,") } else { path.into_owned() };
        self.add(name, &format!("{before}{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(firmware: Firmware) -> Guest {
        Guest { firmware, disk: "d,1.img".into(), console: "console.log".into(), lines: None, forwards: vec![] }
    }

    fn line(guest: &Guest) -> String {
        let words = guest.arguments().into_iter().map(|a| a.into_string().expect("text"));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_guest_with_everything_is_one_line() {
        let buses = Some(Buses { i2c: "i2c.sock".into(), gpio: "gpio.sock".into() });
        let lines = Lines { usb: vec!["usb0.sock".into(), "a,b/usb1.sock".into()], buses };
        let forwards = vec![Forward { host: 18_080, guest: 8080 }, Forward { host: 9090, guest: 9090 }];
        let firmware = Firmware::None { kernel: "a,b/bzImage".into(), line: "console=ttyS0 quiet".to_owned() };
        let whole = Guest { lines: Some(lines), forwards, ..guest(firmware) };
        assert_eq!(
            line(&whole),
            "-M q35,smbus=off -accel tcg,thread=multi -cpu max -smp 2 \
             -m 256M -object memory-backend-memfd,id=memory,size=256M,share=on -numa node,memdev=memory \
             -nodefaults -no-user-config -display none \
             -chardev file,id=console,append=on,path=console.log -serial chardev:console \
             -no-reboot -device i6300esb -action watchdog=reset \
             -drive if=none,id=disk,format=raw,file=d,,1.img -device virtio-blk-pci,drive=disk \
             -kernel a,b/bzImage -append console=ttyS0 quiet \
             -netdev user,id=net,hostfwd=tcp:127.0.0.1:18080-:8080,hostfwd=tcp:127.0.0.1:9090-:9090 \
             -device virtio-net-pci,netdev=net,romfile= -device qemu-xhci,id=usb \
             -chardev socket,id=usb0,path=usb0.sock -device usb-redir,bus=usb.0,port=1,chardev=usb0 \
             -chardev socket,id=usb1,path=a,,b/usb1.sock -device usb-redir,bus=usb.0,port=2,chardev=usb1 \
             -chardev socket,id=i2c,path=i2c.sock -device vhost-user-i2c-pci,chardev=i2c \
             -chardev socket,id=gpio,path=gpio.sock -device vhost-user-gpio-pci,chardev=gpio"
        );
    }

    #[test]
    fn a_usb_board_is_one_device_and_has_no_buses() {
        let whole = line(&Guest { lines: Some(Lines { usb: vec!["usb0.sock".into()], buses: None }), ..guest(Firmware::Bios) });
        assert!(whole.ends_with("path=usb0.sock -device usb-redir,bus=usb.0,port=1,chardev=usb0"), "{whole}");
        assert!(!whole.contains("vhost"), "{whole}");
    }

    #[test]
    fn firmware_boots_the_disk_alone() {
        let bios = line(&guest(Firmware::Bios));
        assert!(!bios.contains("pflash") && !bios.contains("-kernel") && !bios.contains("usb"), "{bios}");
        let uefi = line(&guest(Firmware::Uefi { variables: "v.fd".into() }));
        assert!(uefi.contains("readonly=on") && uefi.contains("if=pflash,format=raw,file=v.fd"), "{uefi}");
        assert!(!uefi.contains("-kernel"), "{uefi}");
    }
}
