//! The simulated machine beside a guest: `otedama simulate PRODUCT --pty --vhost-user`, its lines, and the commands it takes.
//!
//! Not here: how it behaves (the crate `sim`), and how a guest comes to its lines (`qemu`).

use crate::process::{Process, bound};
use crate::qemu::{Buses, Lines};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Longest time until its lines are there; a loaded machine needs a second.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// A simulated machine that runs.
#[derive(Debug)]
pub struct Simulated {
    process: Process,
    commands: ChildStdin,
    /// Where its lines are.
    pub lines: Lines,
    /// The faults that can be put into it, as it tells them.
    pub faults: Value,
}

impl Simulated {
    /// Starts it, with its sockets in this folder, and waits until everything listens.
    ///
    /// # Errors
    /// It cannot be started, ends, or says something else than where its lines are.
    pub fn start(program: &Path, product: &str, folder: &Path) -> Result<Simulated> {
        let mut command = bound(program.as_os_str());
        command.args(["simulate", product, "--pty", "--vhost-user"]).arg(folder);
        let mut process = Process::start("the simulated machine", command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let commands = process.child().stdin.take().expect("it was piped");
        let stdout = process.child().stdout.take().expect("it was piped");
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // Nothing read is an end without a word.
            if BufReader::new(stdout).read_line(&mut line).is_ok() {
                let _ = sender.send(line);
            }
        });
        let line = said.recv_timeout(START_LIMIT).context("wait for the simulated machine's lines")?;
        let read = || -> Result<_> {
            let mut said: Value = serde_json::from_str(&line)?;
            Ok((lines(&said)?, said["faults"].take()))
        };
        let (lines, faults) =
            read().with_context(|| format!("read where the simulated machine's lines are, from '{}'", line.trim()))?;
        Ok(Simulated { process, commands, lines, faults })
    }

    /// Tells it something, like `unplug i2c`; it answers on stderr.
    ///
    /// # Errors
    /// It is gone.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        writeln!(self.commands, "{command}").and_then(|()| self.commands.flush()).context("tell the simulated machine")
    }

    /// Whether it ended, which it does only when asked to.
    ///
    /// # Errors
    /// It ended by itself.
    pub fn check(&mut self) -> Result<()> {
        match self.process.ended()? {
            None => Ok(()),
            Some(status) => bail!("the simulated machine ended ({status}): what it said is above"),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn stop(self) -> Result<()> {
        self.process.stop(STOP_LIMIT)
    }
}

fn lines(said: &Value) -> Result<Lines> {
    let path = |v: &Value| v.as_str().map(PathBuf::from);
    let usb = said["usb"].as_array().filter(|all| !all.is_empty()).context("no 'usb' with sockets")?;
    let usb = usb.iter().map(path).collect::<Option<Vec<_>>>().context("a 'usb' that is no path")?;
    let socket = |name: &str| path(&said["vhost_user"][name]).with_context(|| format!("no 'vhost_user' with '{name}'"));
    // A machine without such sockets has its own controller at the end of a line.
    let buses = said.get("vhost_user").map(|_| -> Result<_> { Ok(Buses { i2c: socket("i2c")?, gpio: socket("gpio")? }) });
    Ok(Lines { usb, buses: buses.transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_lines_are_read_and_what_is_missing_is_named() {
        let read = |text: &str| lines(&serde_json::from_str(text).expect("JSON"));
        let said = r#"{"devices":[{"product":"p","ttys":["/dev/pts/3","/dev/pts/4"],"i2c":"a","gpio":"b","simulated":true}],
            "vhost_user":{"i2c":"/x/i2c.sock","gpio":"/x/gpio.sock"},"usb":["/x/usb0.sock","/x/usb1.sock"]}"#;
        let l = read(said).expect("all there");
        assert_eq!(l.usb, [PathBuf::from("/x/usb0.sock"), PathBuf::from("/x/usb1.sock")]);
        assert_eq!(l.buses, Some(Buses { i2c: "/x/i2c.sock".into(), gpio: "/x/gpio.sock".into() }));
        let usb = read(r#"{"devices":[{"ttys":["/dev/pts/3"]}],"usb":["/x/usb0.sock"]}"#).expect("all there");
        assert_eq!((usb.usb.len(), usb.buses), (1, None));
        for (bad, word) in [
            ("{}", "usb"),
            (r#"{"usb":[]}"#, "usb"),
            (r#"{"usb":["a"],"vhost_user":{"i2c":"a"}}"#, "gpio"),
            (r#"{"usb":[1]}"#, "no path"),
        ] {
            let error = format!("{:#}", read(bad).expect_err(bad));
            assert!(error.contains(word), "{bad}: {error}");
        }
    }

    #[test]
    fn one_that_cannot_start_is_an_error_and_no_wait() {
        let error = Simulated::start("/bin/false".as_ref(), "p", "/tmp".as_ref()).expect_err("no machine");
        assert!(format!("{error:#}").contains("simulated machine"), "{error:#}");
    }
}
