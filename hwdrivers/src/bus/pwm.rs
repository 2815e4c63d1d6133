//! PWM outputs of Linux (`/sys/class/pwm/pwmchipN`): an output is exported at its first use and from then on only its duty is
//! written. Polarity stays normal: a board that turns the signal over is data of its fans. Not here: which output turns which fan.

use super::{BusError, Pwm};
use model::Percent;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One PWM chip.
#[derive(Debug)]
pub struct LinuxPwm {
    chip: PathBuf,
    period_ns: u64,
    channels: u32,
    ready: BTreeSet<u32>,
}

impl LinuxPwm {
    /// Opens a chip such as `/sys/class/pwm/pwmchip0`; no output is touched. All its outputs get this period.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub fn open(chip: &Path, period: Duration) -> Result<LinuxPwm, BusError> {
        let path = chip.join("npwm");
        let channels = number(&path).map_err(|source| failed("read", &path, source))?;
        let channels = u32::try_from(channels).unwrap_or(u32::MAX);
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Ok(LinuxPwm { chip: chip.to_owned(), period_ns, channels, ready: BTreeSet::new() })
    }

    /// Brings an output, whoever had it before, to this period, normal polarity and on.
    fn prepare(&self, output: &Path, channel: u32, duty_ns: u64) -> Result<(), BusError> {
        let write = |name: &str, value: &str| store(&output.join(name), value);
        let read = |name: &str| number(&output.join(name)).map_err(|source| failed("read", &output.join(name), source));
        if !output.exists() {
            store(&self.chip.join("export"), &channel.to_string())?;
        }
        // Not every chip can turn its signal over; one that does is switched off for it, as the kernel demands.
        let polarity = output.join("polarity");
        if fs::read_to_string(&polarity).is_ok_and(|p| p.trim() != "normal") {
            write("enable", "0")?;
            write("polarity", "normal")?;
        }
        if read("period")? != self.period_ns {
            // A duty must never be longer than the period.
            if read("duty_cycle")? > self.period_ns {
                write("duty_cycle", &self.period_ns.to_string())?;
            }
            write("period", &self.period_ns.to_string())?;
        }
        write("duty_cycle", &duty_ns.to_string())?;
        write("enable", "1")
    }
}

impl Pwm for LinuxPwm {
    fn set(&mut self, channel: u32, duty: Percent) -> Result<(), BusError> {
        let output = self.chip.join(format!("pwm{channel}"));
        let refuse = |why: String| failed("drive", &output, io::Error::new(io::ErrorKind::InvalidInput, why));
        if channel >= self.channels {
            return Err(refuse(format!("the chip has {} outputs", self.channels)));
        }
        if duty.0.is_nan() {
            return Err(refuse("its duty is no number".to_owned()));
        }
        let duty_ns = (self.period_ns as f64 * (duty.0 / 100.0).clamp(0.0, 1.0)).round() as u64;
        let done = if self.ready.contains(&channel) {
            store(&output.join("duty_cycle"), &duty_ns.to_string())
        } else {
            self.prepare(&output, channel, duty_ns)
        };
        // What failed is prepared anew: its driver may have been loaded again.
        if done.is_ok() {
            self.ready.insert(channel)
        } else {
            self.ready.remove(&channel)
        };
        done
    }
}

fn number(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{:?} is no number", text.trim())))
}

/// Writes a file that is there; none is made.
fn store(path: &Path, value: &str) -> Result<(), BusError> {
    let file = fs::File::options().write(true).truncate(true).open(path);
    file.and_then(|mut f| f.write_all(value.as_bytes())).map_err(|source| failed(&format!("write {value} to"), path, source))
}

fn failed(what: &str, path: &Path, source: io::Error) -> BusError {
    BusError::Os { attempt: format!("{what} {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 25 kHz, what four-wire fans want (Intel's specification of them).
    const FAN_PERIOD: Duration = Duration::from_micros(40);

    /// A chip of two outputs, of which the first is exported already, as sysfs shows it.
    struct Chip(PathBuf);

    impl Chip {
        fn new(name: &str) -> Chip {
            let chip = std::env::temp_dir().join(format!("otedama-pwm-{}-{name}", std::process::id()));
            fs::create_dir_all(chip.join("pwm0")).expect("a folder");
            let chip = Chip(chip);
            for (file, text) in [("npwm", "2\n"), ("export", ""), ("pwm0/period", "1000000\n"), ("pwm0/duty_cycle", "700000\n")] {
                chip.put(file, text);
            }
            chip.put("pwm0/polarity", "inversed\n");
            chip.put("pwm0/enable", "1\n");
            chip
        }
        fn put(&self, file: &str, text: &str) {
            fs::write(self.0.join(file), text).expect("written");
        }
        fn get(&self, file: &str) -> String {
            fs::read_to_string(self.0.join(file)).expect("there").trim().to_owned()
        }
    }

    impl Drop for Chip {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn an_output_is_brought_to_its_period_and_gets_its_duty() {
        let chip = Chip::new("duty");
        let mut pwm = LinuxPwm::open(&chip.0, FAN_PERIOD).expect("a chip");
        for (percent, ns) in [(100.0, "40000"), (0.0, "0"), (30.0, "12000"), (1e9, "40000"), (-5.0, "0")] {
            pwm.set(0, Percent(percent)).expect("an output");
            assert_eq!(chip.get("pwm0/duty_cycle"), ns, "{percent}");
        }
        let rest = ["pwm0/period", "pwm0/polarity", "pwm0/enable", "export"].map(|f| chip.get(f));
        assert_eq!(rest, ["40000", "normal", "1", ""]);
    }

    #[test]
    fn an_output_that_is_not_exported_is_asked_for_and_one_that_does_not_come_is_told() {
        let chip = Chip::new("export");
        let mut pwm = LinuxPwm::open(&chip.0, FAN_PERIOD).expect("a chip");
        let error = pwm.set(1, Percent(50.0)).expect_err("no kernel makes it");
        assert!(error.to_string().contains("pwm1"), "{error}");
        assert_eq!(chip.get("export"), "1");
        fs::create_dir(chip.0.join("pwm1")).expect("a folder");
        for (file, text) in [("period", "0"), ("duty_cycle", "0"), ("enable", "0")] {
            chip.put(&format!("pwm1/{file}"), text);
        }
        pwm.set(1, Percent(50.0)).expect("an output, without a polarity");
        assert_eq!((chip.get("pwm1/duty_cycle"), chip.get("pwm1/enable")), ("20000".to_owned(), "1".to_owned()));
    }

    #[test]
    fn what_failed_is_prepared_anew() {
        let chip = Chip::new("anew");
        let mut pwm = LinuxPwm::open(&chip.0, FAN_PERIOD).expect("a chip");
        pwm.set(0, Percent(50.0)).expect("an output");
        fs::remove_file(chip.0.join("pwm0/duty_cycle")).expect("gone");
        assert!(pwm.set(0, Percent(60.0)).is_err());
        chip.put("pwm0/duty_cycle", "0");
        chip.put("pwm0/enable", "0");
        pwm.set(0, Percent(60.0)).expect("an output");
        assert_eq!((chip.get("pwm0/duty_cycle"), chip.get("pwm0/enable")), ("24000".to_owned(), "1".to_owned()));
    }

    #[test]
    fn what_cannot_be_is_refused_and_nothing_written() {
        let chip = Chip::new("refused");
        let mut pwm = LinuxPwm::open(&chip.0, FAN_PERIOD).expect("a chip");
        let error = pwm.set(2, Percent(50.0)).expect_err("two outputs");
        assert!(error.to_string().contains("pwm2"), "{error}");
        assert!(pwm.set(0, Percent(f64::NAN)).is_err());
        assert_eq!(chip.get("pwm0/duty_cycle"), "700000");
        for path in ["/nonexistent/pwmchip0", "/dev"] {
            let error = LinuxPwm::open(Path::new(path), FAN_PERIOD).expect_err("no chip");
            assert!(error.to_string().contains(path), "{error}");
        }
        chip.put("npwm", "many");
        assert!(LinuxPwm::open(&chip.0, FAN_PERIOD).is_err());
    }
}
