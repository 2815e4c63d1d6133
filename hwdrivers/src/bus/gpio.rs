//! GPIO lines of Linux (`/dev/gpiochipN`). A line is requested once and kept: a line given back floats, and a floating reset or
//! supply line starts what should be off.

use super::{BusError, Gpio};
use gpio_cdev::{Chip, LineHandle, LineRequestFlags};
use std::collections::BTreeMap;
use std::path::Path;

/// Who the kernel says holds the lines.
const CONSUMER: &str = "otedama";

/// One GPIO chip.
pub struct LinuxGpio {
    chip: Chip,
    lines: BTreeMap<u32, Held>,
}

struct Held {
    handle: LineHandle,
    driven: bool,
}

impl LinuxGpio {
    /// Opens a chip such as `/dev/gpiochip0`; no line is touched.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<LinuxGpio, BusError> {
        let chip = Chip::new(path).map_err(|e| failed(format!("open GPIO chip {}", path.display()), e))?;
        Ok(LinuxGpio { chip, lines: BTreeMap::new() })
    }

    fn request(&mut self, line: u32, flags: LineRequestFlags, level: u8) -> Result<LineHandle, BusError> {
        let requested = self.chip.get_line(line).and_then(|l| l.request(flags, level, CONSUMER));
        requested.map_err(|e| failed(format!("take GPIO line {line} of {}", self.chip.name()), e))
    }
}

fn failed(attempt: String, e: gpio_cdev::Error) -> BusError {
    // Its causes repeat themselves in every text above them; the last one says it all.
    let mut cause: &dyn std::error::Error = &e;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    BusError::Os { attempt, source: std::io::Error::other(cause.to_string()) }
}

impl Gpio for LinuxGpio {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        let level = u8::from(high);
        match self.lines.get(&line) {
            Some(held) if held.driven => held.handle.set_value(level).map_err(|e| failed(format!("drive GPIO line {line}"), e)),
            _ => {
                // A line that was only read must go back before it can be driven. It takes its level in the same request.
                self.lines.remove(&line);
                let handle = self.request(line, LineRequestFlags::OUTPUT, level)?;
                self.lines.insert(line, Held { handle, driven: true });
                Ok(())
            }
        }
    }

    fn get(&mut self, line: u32) -> Result<bool, BusError> {
        if !self.lines.contains_key(&line) {
            let handle = self.request(line, LineRequestFlags::INPUT, 0)?;
            self.lines.insert(line, Held { handle, driven: false });
        }
        let value = self.lines.get(&line).map_or(Ok(0), |held| held.handle.get_value());
        value.map(|v| v != 0).map_err(|e| failed(format!("read GPIO line {line}"), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_gpio_chip_is_refused_by_name() {
        for path in ["/nonexistent/gpiochip", "/dev/null"] {
            let Err(error) = LinuxGpio::open(Path::new(path)) else { panic!("{path} is no GPIO chip") };
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}
