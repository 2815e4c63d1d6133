//! A USB device with serial lines that is not there: requests go in, frames come out. Pure; its time is that of who asks.
//!
//! ```text
//!  unplugged ─ hello ─▶ connected ─ SET_CONFIGURATION ─▶ configured ─ DTR ─▶ a line is open
//!      ▲                   │  ▲────────── reset ─────────────┘
//!      └───── pulled ──────┘
//! ```
//! A read waits until there are bytes, as a device says NAK; a write is taken at once, as the line is emptied at every turn.
//! Notifications are never sent: nothing of a modem's changes. Not here: frames (`frame`), and the socket (`mod`).

use super::acm::{Acm, Wanted};
use super::descriptor::{self, LINES_LIMIT, Who};
use super::frame::{Reply, Request, Setup, Status};

/// Reads of a line that wait at once; Linux has 16.
const READS_LIMIT: usize = 256;
/// The one configuration.
const CONFIGURATION: u8 = 1;

/// More than any driver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {READS_LIMIT} reads wait at one endpoint")]
pub struct TooManyReads;

/// The device.
#[derive(Debug)]
pub struct Device {
    who: Who,
    lines: Vec<Acm>,
    configuration: u8,
    /// Frames for QEMU.
    out: Vec<u8>,
}

impl Device {
    /// A device with so many lines.
    #[must_use]
    pub fn new(who: Who, lines: usize) -> Device {
        assert!((1..=LINES_LIMIT).contains(&lines), "a device has endpoints for one line to seven");
        Device { who, lines: (0..lines).map(|_| Acm::default()).collect(), configuration: 0, out: Vec::new() }
    }

    /// One of its lines.
    pub fn line(&mut self, line: usize) -> Option<&mut Acm> {
        self.lines.get_mut(line)
    }

    /// The frames that have come together.
    pub fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn say(&mut self, id: u64, reply: &Reply<'_>) {
        self.out.extend(reply.frame(id));
    }

    /// It is plugged into a port that knows nothing of it.
    pub fn connect(&mut self) {
        self.reset(false);
        self.describe();
        self.say(0, &Reply::Connect(descriptor::DEVICE_CLASS, self.who.numbers));
    }

    /// It is pulled.
    pub fn disconnect(&mut self) {
        self.reset(true);
        self.say(0, &Reply::Disconnect);
    }

    /// QEMU is told before every answer that could rest on it.
    fn describe(&mut self) {
        self.say(0, &Reply::Endpoints(&descriptor::endpoints(self.lines.len())));
        self.say(0, &Reply::Interfaces(&descriptor::interfaces(self.lines.len())));
    }

    /// All its lines are closed; whoever asked for their bytes is told so, or is gone.
    fn reset(&mut self, tell: bool) {
        self.configuration = 0;
        for line in 0..self.lines.len() {
            let [_, input, _] = descriptor::endpoints_of(line);
            for w in self.lines[line].reset() {
                if tell {
                    self.say(w.id, &Reply::Read(Status::Cancelled, input, w.stream, &[]));
                }
            }
        }
    }

    /// Takes a request.
    ///
    /// # Errors
    /// No driver asks so much.
    pub fn tell(&mut self, id: u64, request: Request) -> Result<(), TooManyReads> {
        let is_interface = |n: u8| usize::from(n) < 2 * self.lines.len();
        match request {
            Request::Reset => self.reset(true),
            Request::SetConfiguration(value @ (0 | CONFIGURATION)) => {
                self.reset(true);
                self.configuration = value;
                self.describe();
                self.say(id, &Reply::Configuration(Status::Success, value));
            }
            Request::SetConfiguration(value) => self.say(id, &Reply::Configuration(Status::Stall, value)),
            Request::GetConfiguration => self.say(id, &Reply::Configuration(Status::Success, self.configuration)),
            Request::SetAlt { interface, alt: 0 } if is_interface(interface) => {
                self.describe();
                self.say(id, &Reply::Alt(Status::Success, interface, 0));
            }
            Request::SetAlt { interface, alt } => self.say(id, &Reply::Alt(Status::Stall, interface, alt)),
            Request::GetAlt(interface) => {
                let status = if is_interface(interface) { Status::Success } else { Status::Stall };
                self.say(id, &Reply::Alt(status, interface, 0));
            }
            Request::StartInterrupt(endpoint) | Request::StopInterrupt(endpoint) => {
                let status = self.line_at(endpoint, 0).map_or(Status::Invalid, |_| Status::Success);
                self.say(id, &Reply::Interrupt(status, endpoint));
            }
            Request::Cancel => {
                // One that is not waiting any more has its answer on the way.
                let waiting = (0..self.lines.len()).find_map(|n| Some((n, self.lines[n].cancel(id)?)));
                if let Some((line, w)) = waiting {
                    let [_, input, _] = descriptor::endpoints_of(line);
                    self.say(id, &Reply::Read(Status::Cancelled, input, w.stream, &[]));
                }
            }
            Request::Control(setup, bytes) => {
                let answer = self.control(&setup, &bytes);
                let status = if answer.is_some() { Status::Success } else { Status::Stall };
                let mut answer = answer.unwrap_or_default();
                answer.truncate(usize::from(setup.length));
                self.say(id, &Reply::Control(setup, status, &answer));
            }
            Request::Write { endpoint, stream, bytes } => {
                let (mut status, mut length) = (Status::Invalid, 0);
                if let Some(line) = self.line_at(endpoint, 2) {
                    self.lines[line].hear(&bytes);
                    (status, length) = (Status::Success, bytes.len());
                }
                self.say(id, &Reply::Written(status, endpoint, stream, length));
            }
            Request::Read { endpoint, stream, length } => match self.line_at(endpoint, 1) {
                Some(line) if self.lines[line].want(Wanted { id, stream, length }) > READS_LIMIT => return Err(TooManyReads),
                Some(_) => {}
                None => self.say(id, &Reply::Read(Status::Invalid, endpoint, stream, &[])),
            },
        }
        Ok(())
    }

    /// The line of an endpoint by its place in it, once there is a configuration.
    fn line_at(&self, endpoint: u8, place: usize) -> Option<usize> {
        descriptor::line_at(endpoint, place).filter(|line| *line < self.lines.len() && self.configuration != 0)
    }

    /// The answer to a control request; `None` is a stall.
    fn control(&mut self, setup: &Setup, bytes: &[u8]) -> Option<Vec<u8>> {
        let [number, kind] = setup.value.to_le_bytes();
        match (setup.request_type, setup.request) {
            (0x80, 6) => descriptor::descriptor(&self.who, self.lines.len(), kind, number),
            // GET_STATUS: powered by itself; nothing of its interfaces; no endpoint is halted.
            (0x80, 0) => Some(vec![1, 0]),
            (0x81 | 0x82, 0) => Some(vec![0, 0]),
            // CLEAR_FEATURE of an endpoint: it was not halted.
            (0x02, 1) => Some(Vec::new()),
            // To the first interface of a line.
            _ if setup.index & 1 == 0 => self.lines.get_mut(usize::from(setup.index / 2))?.obey(setup, bytes),
            _ => None,
        }
    }

    /// Ends the reads for which there are bytes.
    pub fn answer_reads(&mut self) {
        for line in 0..self.lines.len() {
            let [_, input, _] = descriptor::endpoints_of(line);
            while let Some((w, bytes)) = self.lines[line].end_one() {
                self.say(w.id, &Reply::Read(Status::Success, input, w.stream, &bytes));
            }
        }
    }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
