//! GPIO lines of Linux (`/dev/gpiochipN`). A line is requested once and kept: a line given back floats, and a floating reset or
//! supply line starts what should be off.
//!
//! Edges are counted by the kernel, which numbers them: only the newest few are kept for us, but the last one's number says how
//! many there were. That needs the second form of its interface (Linux 5.10).

use super::{BusError, Gpio};
use gpiocdev::chip::Chip;
use gpiocdev::line::{EdgeDetection, Value};
use gpiocdev::request::{Builder, Request};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Who the kernel says holds the lines.
const CONSUMER: &str = "otedama";
/// Edges that the kernel keeps of a line, and that are taken at most in one turn.
const KEPT_EDGES: u32 = 16;

/// One GPIO chip.
pub struct LinuxGpio {
    chip: PathBuf,
    lines: BTreeMap<u32, Held>,
}

struct Held {
    request: Request,
    used: Use,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Driven,
    Read,
    /// Edges so far, and the kernel's number of the last one, which starts anew behind 2^32.
    Counted {
        edges: u64,
        number: u32,
    },
}

impl LinuxGpio {
    /// Opens a chip such as `/dev/gpiochip0`; no line is touched.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<LinuxGpio, BusError> {
        let opened = Chip::from_path(path);
        opened.map_err(|e| failed(format!("open GPIO chip {}", path.display()), &e))?;
        Ok(LinuxGpio { chip: path.to_owned(), lines: BTreeMap::new() })
    }

    /// Takes a line for a use; what it was used for until now ends.
    fn take(&mut self, line: u32, used: Use, configure: impl FnOnce(&mut Builder)) -> Result<&mut Held, BusError> {
        self.lines.remove(&line);
        let mut builder = Request::builder();
        builder.on_chip(&self.chip).with_consumer(CONSUMER).with_line(line);
        configure(&mut builder);
        let request = builder.request();
        let request = request.map_err(|e| failed(format!("take GPIO line {line} of {}", self.chip.display()), &e))?;
        Ok(self.lines.entry(line).or_insert(Held { request, used }))
    }
}

impl Held {
    /// Takes in what the kernel kept.
    fn count(&mut self) -> gpiocdev::Result<u64> {
        let Use::Counted { mut edges, mut number } = self.used else { return Ok(0) };
        for _ in 0..KEPT_EDGES {
            if !self.request.has_edge_event()? {
                break;
            }
            let newest = self.request.read_edge_event()?.line_seqno;
            edges += further(number, newest);
            number = newest;
        }
        self.used = Use::Counted { edges, number };
        Ok(edges)
    }
}

/// How many edges lie between two numbers.
fn further(number: u32, newest: u32) -> u64 {
    newest.wrapping_sub(number).into()
}

fn failed(attempt: String, e: &gpiocdev::Error) -> BusError {
    // Its causes repeat themselves in every text above them; the last one says it all.
    let mut cause: &dyn std::error::Error = e;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    BusError::Os { attempt, source: std::io::Error::other(cause.to_string()) }
}

fn value(high: bool) -> Value {
    if high { Value::Active } else { Value::Inactive }
}

impl Gpio for LinuxGpio {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        match self.lines.get(&line) {
            Some(held) if held.used == Use::Driven => {
                held.request.set_value(line, value(high)).map_err(|e| failed(format!("drive GPIO line {line}"), &e))
            }
            // A line that was only read must go back before it can be driven. It takes its level in the same request.
            _ => self
                .take(line, Use::Driven, |b| {
                    b.as_output(value(high));
                })
                .map(|_| ()),
        }
    }

    fn get(&mut self, line: u32) -> Result<bool, BusError> {
        if !self.lines.contains_key(&line) {
            self.take(line, Use::Read, |b| {
                b.as_input();
            })?;
        }
        let read = self.lines.get(&line).map_or(Ok(Value::Inactive), |held| held.request.value(line));
        read.map(|v| v == Value::Active).map_err(|e| failed(format!("read GPIO line {line}"), &e))
    }

    fn edges(&mut self, line: u32) -> Result<u64, BusError> {
        let attempt = || format!("count edges of GPIO line {line}");
        let held = match self.lines.get_mut(&line).map(|held| held.used) {
            Some(Use::Driven) => {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is driven by us");
                return Err(BusError::Os { attempt: attempt(), source });
            }
            Some(Use::Counted { .. }) => self.lines.get_mut(&line).expect("it was just found"),
            Some(Use::Read) | None => self.take(line, Use::Counted { edges: 0, number: 0 }, |b| {
                b.as_input().with_edge_detection(EdgeDetection::FallingEdge).with_kernel_event_buffer_size(KEPT_EDGES);
            })?,
        };
        held.count().map_err(|e| failed(attempt(), &e))
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

    #[test]
    fn edges_that_the_kernel_dropped_are_counted_by_their_numbers() {
        assert_eq!(further(0, 1), 1);
        assert_eq!(further(16, 400), 384);
        assert_eq!(further(u32::MAX - 1, 2), 4);
    }
}
