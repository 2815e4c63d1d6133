//! Lines for whoever sits at the console: what happened, and how long after the machine's start.
//!
//! A console may stand still (a person pressed Ctrl-S, a serial adapter hangs), and the first process must not stand still with
//! it: a thread of its own writes, and lines beyond a limit are dropped and counted. Not here: the log of `serve`.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that wait for a console; a boot has some twenty.
const LINES_LIMIT: usize = 256;
/// How long the end of the program waits for a console.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

struct Console {
    lines: SyncSender<Line>,
    dropped: AtomicU64,
}

enum Line {
    Text(String),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

static CONSOLE: OnceLock<Option<Console>> = OnceLock::new();

/// Says a line. It never waits, and a console that is gone is no reason to fall over.
pub fn say(line: &str) {
    let line = format!("[{:9.3}] otedama init: {line}", since_boot().as_secs_f64());
    match CONSOLE.get_or_init(open) {
        Some(console) => {
            if console.lines.try_send(Line::Text(line)).is_err() {
                console.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        None => write(&line),
    }
}

/// Waits until everything is written, but no longer than a console is worth it.
pub fn flush() {
    if let Some(Some(console)) = CONSOLE.get() {
        let (done, wait) = sync_channel(1);
        if console.lines.try_send(Line::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_LIMIT);
        }
    }
}

/// Time since the machine's start, its sleep included.
pub fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn open() -> Option<Console> {
    let (lines, inbox) = sync_channel(LINES_LIMIT);
    let thread = std::thread::Builder::new().name("console".into()).spawn(move || carry(&inbox));
    thread.is_ok().then(|| Console { lines, dropped: AtomicU64::new(0) })
}

fn carry(inbox: &Receiver<Line>) {
    while let Ok(line) = inbox.recv() {
        match line {
            Line::Text(line) => write(&line),
            Line::Flush(done) => drop(done.send(())),
        }
        let dropped = CONSOLE.get().and_then(Option::as_ref).map_or(0, |c| c.dropped.swap(0, Ordering::Relaxed));
        if dropped > 0 {
            write(&format!("otedama init: {dropped} line(s) were lost: the console stood still"));
        }
    }
}

fn write(line: &str) {
    // In one piece: other programs write to the same console.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_boot_runs_and_a_flush_comes_back() {
        let before = since_boot();
        say("a line");
        flush();
        assert!(before > Duration::ZERO && since_boot() >= before);
    }
}
