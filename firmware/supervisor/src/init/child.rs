//! The child process: started with a heartbeat's pipe, killed, reaped. Not here: when.

use crate::heartbeat::{self, LAST_LIMIT, LastWord};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::process::Command;
use tokio::net::unix::pipe::Receiver;

/// Reads of one look: a child that floods the pipe must not hold up the first process.
const LOOKS_LIMIT: usize = 16;

/// A child that runs, or that was not reaped yet.
pub struct Child {
    /// Its number, which stays its own until it is reaped.
    pub pid: Pid,
    beats: Receiver,
    closed: Cell<bool>,
    /// The last bytes that came.
    tail: RefCell<VecDeque<u8>>,
}

impl Child {
    /// Starts a program with its arguments and a heartbeat.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &[OsString]) -> io::Result<Child> {
        let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (reader, writer) = io::pipe()?;
        // No other thread of this program starts processes, so no stranger gets it before the writer is dropped.
        fcntl_setfd(&writer, FdFlags::empty())?;
        let beats = Receiver::from_owned_fd(reader.into())?;
        let child = Command::new(program).args(args).env(heartbeat::VARIABLE, writer.as_raw_fd().to_string()).spawn()?;
        Ok(Child { pid: Pid::from_child(&child), beats, closed: Cell::new(false), tail: RefCell::default() })
    }

    /// Waits until it may have beaten, or closed its end; [`Child::beaten`] tells. Never comes back once it closed its end.
    pub async fn stirs(&self) {
        if self.closed.get() || self.beats.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether it beat since the last look. What lies in the pipe counts: it is not the child's fault when nobody looked.
    pub fn beaten(&self) -> bool {
        let (mut bytes, mut beaten) = ([0; 64], false);
        for _ in 0..LOOKS_LIMIT {
            match self.beats.try_read(&mut bytes).or_else(|_| Ok::<_, io::Error>(rustix::io::read(&self.beats, &mut bytes)?)) {
                Ok(0) => {
                    self.closed.set(true);
                    return beaten;
                }
                Ok(n) => {
                    beaten = true;
                    let mut tail = self.tail.borrow_mut();
                    tail.extend(&bytes[..n]);
                    let old = tail.len().saturating_sub(LAST_LIMIT);
                    tail.drain(..old);
                }
                Err(_) => return beaten,
            }
        }
        beaten
    }

    /// What it said last, where that is a last word. Look once more before: it may still lie in the pipe.
    pub fn last_word(&self) -> Option<LastWord> {
        LastWord::read(self.tail.borrow_mut().make_contiguous())
    }

    /// Sends a signal. One that is gone already is no failure.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }
}

/// A process that ended and was reaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its number.
    pub pid: Pid,
    /// How, for a person.
    pub how: String,
    /// Its exit status, where it had one.
    pub code: Option<i32>,
}

/// Reaps whatever ended, orphans of others too, which fall to the first process.
pub fn reap() -> Vec<Ended> {
    let mut ended = vec![];
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if let Some(how) = how(status) {
            ended.push(Ended { pid, how, code: status.exit_status() });
        }
    }
    ended
}

/// `None` for one that did not end.
fn how(status: WaitStatus) -> Option<String> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(format!("exit status {code}")),
        (None, Some(number)) => {
            let name = Signal::from_named_raw(number).map_or_else(String::new, |s| format!(" ({s:?})"));
            Some(format!("killed by signal {number}{name}"))
        }
        (None, None) => None,
    }
}
