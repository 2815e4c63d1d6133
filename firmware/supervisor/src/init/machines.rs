//! Which machines the first process makes safe: those that the settings name, or the board that is plugged in where they name none.
//!
//! A USB board comes and goes under other names while a child drives it, so where it is now is looked up each time, by what was known
//! of it when it was found. Not here: how a machine is made safe (`safe`), and when (the keeper).

use super::say::say;
use super::settings;
use crate::detect;
use hwdrivers::bus::usb::{self, Identity, UsbBoard};
use model::settings::{Device, Settings};
use std::path::{Path, PathBuf};

/// Looks which boards are plugged in.
pub type Look = Box<dyn Fn() -> Vec<UsbBoard> + Send>;

/// What is known of this board's machines.
pub struct Machines {
    config: PathBuf,
    look: Look,
    /// Of the last settings that could be read: a file that is broken now changes nothing about what is wired to the board.
    known: Option<Vec<Known>>,
    /// Those settings name none: a board that is plugged in is the child's machine, and so it is ours.
    looks: bool,
    /// What was last said to be wrong with the settings: it is tried again and again.
    told: Vec<String>,
}

/// A machine, and whose lines its paths were when it was found.
struct Known {
    device: Device,
    i2c: Option<Identity>,
    gpio: Option<Identity>,
}

impl Machines {
    /// Nothing is known yet.
    pub fn new(config: &Path, look: Look) -> Machines {
        Machines { config: config.to_owned(), look, known: None, looks: false, told: vec![] }
    }

    /// Reads the settings again.
    pub fn read(&mut self) {
        match settings::read(&self.config) {
            Ok(settings) => self.take(settings),
            Err(lines) => {
                if lines != self.told {
                    lines.iter().for_each(|line| say(line));
                    let known = if self.known.is_some() { "those of the settings before stay known" } else { "none is known" };
                    say(&format!("no settings can be read; of machines, {known}"));
                }
                self.told = lines;
            }
        }
    }

    fn take(&mut self, settings: Settings) {
        self.told.clear();
        let boards = (self.look)();
        let looked = std::mem::replace(&mut self.looks, detect::is_wanted(&settings.mining));
        if !self.looks {
            self.known = Some(settings.mining.asic.devices.into_iter().map(|d| Known::new(d, &boards)).collect());
        } else if let Some(found) = found(&boards) {
            self.known = Some(vec![found]);
        } else if !looked {
            self.known = Some(vec![]);
        }
        // A board that was found and is away just now may still be on, and stays known.
    }

    /// The machines where they are now, and what is in the way of knowing it, line by line.
    pub fn now(&mut self) -> (Vec<Device>, Vec<String>) {
        if self.known.is_none() {
            self.read();
        }
        let boards = (self.look)();
        let Some(known) = &mut self.known else {
            return (vec![], vec!["no settings can be read: which machines there are is not known".to_owned()]);
        };
        if known.is_empty() && self.looks {
            // Plugged in since the settings were read: a child drives it, or did.
            known.extend(found(&boards));
        }
        let (mut devices, mut failed) = (vec![], vec![]);
        for machine in known {
            match machine.now(&boards) {
                Ok(device) => devices.push(device),
                Err(line) => failed.push(line),
            }
        }
        (devices, failed)
    }
}

fn found(boards: &[UsbBoard]) -> Option<Known> {
    let (device, said) = detect::choose(boards, board::PRODUCTS);
    said.iter().for_each(|line| say(line));
    let device = device?;
    say(&format!("found a board, {} at {}", device.product, device.i2c.display()));
    Some(Known::new(device, boards))
}

impl Known {
    fn new(device: Device, boards: &[UsbBoard]) -> Known {
        let whose = |path: &Path| usb::identity(boards, path);
        Known { i2c: whose(&device.i2c), gpio: whose(&device.gpio), device }
    }

    /// It by the names that its lines have now.
    fn now(&self, boards: &[UsbBoard]) -> Result<Device, String> {
        let mut device = self.device.clone();
        for (line, path) in [(&self.i2c, &mut device.i2c), (&self.gpio, &mut device.gpio)] {
            let Some(line) = line else { continue };
            match usb::path_of(boards, line) {
                Some(now) => *path = now.to_owned(),
                None => return Err(format!("reach {}: {line}, which was {}, is not there", device.product, path.display())),
            }
        }
        Ok(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::UsbIdentity;
    use std::sync::{Arc, Mutex};

    fn plugged(serial: &str, n: u8) -> UsbBoard {
        UsbBoard {
            identity: UsbIdentity { manufacturer: "256F", product: "EmberOne00" },
            serial: Some(serial.to_owned()),
            version: 0,
            port: format!("1-{n}"),
            control: format!("/dev/ttyACM{}", 2 * n).into(),
            data: format!("/dev/ttyACM{}", 2 * n + 1).into(),
        }
    }

    /// Machines of these settings, and what is plugged in.
    fn machines(name: &str, settings: &str) -> (Machines, Arc<Mutex<Vec<UsbBoard>>>, PathBuf) {
        let folder = std::env::temp_dir().join(format!("otedama-machines-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("config.yaml"), settings).expect("written");
        let boards = Arc::new(Mutex::new(vec![]));
        let seen = Arc::clone(&boards);
        let look = Box::new(move || seen.lock().expect("no holder panics").clone());
        (Machines::new(&folder.join("config.yaml"), look), boards, folder)
    }

    fn paths((devices, failed): (Vec<Device>, Vec<String>)) -> Vec<String> {
        devices.iter().map(|d| d.i2c.display().to_string()).chain(failed).collect()
    }

    #[test]
    fn a_board_that_was_plugged_in_later_is_known_wherever_it_is_by_then() {
        let (mut machines, boards, folder) = machines("later", "mining: {}\n");
        let plug = |now: &[UsbBoard]| *boards.lock().expect("no holder panics") = now.to_vec();
        machines.read();
        assert_eq!(paths(machines.now()), [""; 0], "none is there");
        plug(&[plugged("aa", 1)]);
        assert_eq!(paths(machines.now()), ["/dev/ttyACM2"], "without reading the settings again");
        plug(&[plugged("bb", 1), plugged("aa", 4)]);
        assert_eq!(paths(machines.now()), ["/dev/ttyACM8"], "the same board under another name, not the one that has its name");
        plug(&[]);
        let away = "reach emberone00: EmberOne00 aa, which was /dev/ttyACM2, is not there";
        assert_eq!(paths(machines.now()), [away]);
        machines.read();
        assert_eq!(paths(machines.now()), [away], "it may still be on");
        plug(&[plugged("bb", 1)]);
        machines.read();
        assert_eq!(paths(machines.now()), ["/dev/ttyACM2"], "the next child drives this one");
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_named_machine_is_followed_too_and_a_broken_file_makes_nothing_unknown() {
        let device = "{product: bitaxe-gamma, ttys: [/dev/ttyACM3], i2c: /dev/ttyACM2, gpio: /dev/ttyACM2}";
        let (mut machines, boards, folder) = machines("named", &format!("mining: {{asic: {{devices: [{device}]}}}}\n"));
        let plug = |now: &[UsbBoard]| *boards.lock().expect("no holder panics") = now.to_vec();
        plug(&[plugged("aa", 1)]);
        machines.read();
        std::fs::write(folder.join("config.yaml"), "mining: [broken").expect("written");
        machines.read();
        plug(&[plugged("aa", 3)]);
        assert_eq!(paths(machines.now()), ["/dev/ttyACM6"]);
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
