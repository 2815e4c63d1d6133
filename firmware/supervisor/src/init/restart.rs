//! How a machine is restarted: at a clean end, and as the last way out when the first process itself cannot go on. The first
//! process never ends by itself: the kernel would stop there and then, with hardware as it is.

use super::safe::Held;
use super::say::{flush, say};
use super::settings;
use crate::detect;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::system::{RebootCommand, reboot};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long the disks may take; what is not on them by then is lost with a disk that hangs.
const SYNC_LIMIT: Duration = Duration::from_secs(5);
/// How long hardware may take to be made safe on the last way out.
const SECURE_LIMIT: Duration = Duration::from_secs(10);
/// How long what was said stays on the screen: a mistake at every start must not be a flicker.
const READ_TIME: Duration = Duration::from_secs(5);
/// Between two tries: processes that were killed give their lines back within milliseconds.
const RETRY: Duration = Duration::from_millis(100);

/// Writes out what is unwritten and restarts the board. It comes back only where this is not the machine's to restart, as in
/// a container, whose owner then sees the process end.
pub fn restart() {
    within(SYNC_LIMIT, rustix::fs::sync);
    say("restarting the board");
    flush();
    let refused = match reboot(RebootCommand::Restart) {
        Ok(()) => return,
        Err(e) => e,
    };
    say(&format!("restart the board: {refused}"));
    flush();
    if refused == Errno::PERM {
        return;
    }
    // Nothing feeds the hardware watchdog any more: it does what the kernel refused.
    loop {
        std::thread::park();
    }
}

/// Ends every other process, whoever it belongs to.
pub fn end_others(signal: Signal) {
    // The group of the first process stands for all processes but the one that asks.
    let _ = kill_process_group(Pid::INIT, signal);
}

/// The first process cannot go on: everything else is killed, hardware made safe, the board restarted.
pub fn last_resort(config: &Path, why: &str) {
    say(&format!("this cannot go on: {why}"));
    end_others(Signal::KILL);
    let config = config.to_owned();
    within(SECURE_LIMIT, move || {
        let devices = settings::read(&config).map(|mut s| {
            detect::complete(&mut s.mining);
            s.mining.asic.devices
        });
        let Ok(devices) = devices else {
            return say("no settings can be read: hardware is not known to be safe");
        };
        let mut held = Held::default();
        while held.secure(&devices, None).is_err() {
            std::thread::sleep(RETRY);
        }
        say("hardware is safe");
        // Held until the board restarts.
        std::mem::forget(held);
    });
    std::thread::sleep(READ_TIME);
    restart();
}

/// Runs something that may hang; `false` where it was not done in time.
pub fn within(limit: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    let (done, wait) = channel();
    let thread = std::thread::Builder::new().name("within".into()).spawn(move || {
        work();
        let _ = done.send(());
    });
    thread.is_ok() && wait.recv_timeout(limit).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left_behind() {
        assert!(within(Duration::from_secs(60), || {}));
        assert!(!within(Duration::from_millis(1), || std::thread::sleep(Duration::from_secs(60))));
    }
}
