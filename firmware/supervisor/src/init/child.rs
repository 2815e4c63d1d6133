//! The child process: started with a heartbeat's pipe, killed, reaped. Not here: when.

use crate::heartbeat;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::process::Command;
use tokio::net::unix::pipe::Receiver;

/// A child that runs, or that was not reaped yet.
pub struct Child {
    /// Its number, which stays its own until it is reaped.
    pub pid: Pid,
    beats: Receiver,
}

impl Child {
    /// Starts a program with its arguments and a heartbeat.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &[OsString]) -> io::Result<Child> {
        let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (reader, writer) = io::pipe()?;
        // Ours alone has one thread, so nothing else is started between this and the drop of the writer.
        fcntl_setfd(&writer, FdFlags::empty())?;
        let beats = Receiver::from_owned_fd(reader.into())?;
        let child = Command::new(program).args(args).env(heartbeat::VARIABLE, writer.as_raw_fd().to_string()).spawn()?;
        Ok(Child { pid: Pid::from_child(&child), beats })
    }

    /// Waits for a beat; never comes back where the child closed its end.
    pub async fn beat(&self) {
        let mut bytes = [0; 64];
        loop {
            if self.beats.readable().await.is_err() {
                return std::future::pending().await;
            }
            match self.beats.try_read(&mut bytes) {
                Ok(0) => return std::future::pending().await,
                Ok(_) => return,
                // Nothing there after all: the wait goes on.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return std::future::pending().await,
            }
        }
    }

    /// Sends a signal. One that is gone already is no failure.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }
}

/// Reaps whatever ended, orphans of others too, which fall to the first process; `true` where this one was among them.
pub fn reap(child: Option<Pid>) -> bool {
    let mut ended = false;
    while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
        ended |= Some(pid) == child;
    }
    ended
}
