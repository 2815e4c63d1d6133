//! Processes that are ours: each is ended by its own id, and ends with us however we end.
//!
//! Not here: tools that run to their end (`command`).

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Between two looks whether a process that was asked to end has done so.
const LOOK: Duration = Duration::from_millis(20);

/// A process; dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

/// The command of a program that the kernel ends when the thread that starts it ends, and that a terminal's Ctrl-C does not
/// reach: we end it, in our order.
#[must_use]
pub fn bound(program: &OsStr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program).process_group(0);
    command
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// `setpriv`, of Debian's `util-linux`, is not there. A program that is not there is a process that ends at once.
    pub fn start(name: &str, command: &mut Command) -> Result<Process> {
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Process { child, name: name.to_owned() })
    }

    /// The process itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, once it has.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.name))
    }

    /// Asks it to end, and kills it where it does not in time.
    ///
    /// # Errors
    /// The kernel's.
    pub fn stop(mut self, patience: Duration) -> Result<()> {
        // Gone already is as good.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + patience;
        while self.ended()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it was waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;

    fn alive(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|s| s.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
    }

    #[test]
    fn it_is_asked_first_and_killed_where_it_does_not_listen() {
        let mut polite = Process::start("a polite one", bound("sleep".as_ref()).arg("600")).expect("starts");
        assert!(polite.ended().expect("known").is_none());
        let pid = polite.child().id();
        polite.stop(Duration::from_secs(60)).expect("stops");
        assert!(!alive(pid));

        let deaf = "trap '' TERM; echo deaf; exec sleep 600";
        let mut deaf = bound("sh".as_ref()).args(["-c", deaf]).stdout(Stdio::piped()).spawn().expect("starts");
        deaf.stdout.as_mut().expect("piped").read_exact(&mut [0; 5]).expect("it is deaf now");
        let pid = deaf.id();
        Process { child: deaf, name: "a deaf one".to_owned() }.stop(Duration::from_millis(100)).expect("stops");
        assert!(!alive(pid));
    }

    #[test]
    fn it_ends_with_the_thread_that_started_it() {
        let start = || {
            let mut child =
                bound("sh".as_ref()).args(["-c", "echo up; exec sleep 600"]).stdout(Stdio::piped()).spawn().expect("starts");
            child.stdout.as_mut().expect("piped").read_exact(&mut [0; 2]).expect("it runs");
            child
        };
        let mut child = std::thread::spawn(start).join().expect("joined");
        let deadline = Instant::now() + Duration::from_secs(60);
        while child.try_wait().expect("known").is_none() {
            if Instant::now() >= deadline {
                child.kill().expect("killed");
                panic!("it outlived its starter");
            }
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_program_that_is_not_there_ends_at_once() {
        let mut none = Process::start("none", bound("otedama-no-such-program".as_ref()).stderr(Stdio::null())).expect("setpriv");
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            match none.ended().expect("known") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it runs"),
            }
            std::thread::sleep(LOOK);
        };
        assert!(!status.success());
    }
}
