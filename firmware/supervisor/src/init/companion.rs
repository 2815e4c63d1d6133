//! The process that keeps the network, beside the child: started anew when it ends, with a wait in between. No hardware depends
//! on it and it has no heartbeat: without it the machine mines on, or says why it cannot. Not here: what it does (`net`).

use super::child::Ended;
use super::say::say;
use model::Time;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

/// Wait before the first restart; it doubles while runs are short.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// A run this long was well.
const WELL: Duration = Duration::from_secs(60);

/// The process, or the wait for its next start.
pub struct Companion {
    command: Vec<OsString>,
    state: State,
    back_off: Duration,
}

enum State {
    Down { start_at: Time },
    Up { pid: Pid, since: Time },
}

impl Companion {
    /// Nothing runs yet.
    pub fn new(command: Vec<OsString>) -> Companion {
        Companion { command, state: State::Down { start_at: Time::ZERO }, back_off: BACK_OFF_MIN }
    }

    /// Starts it where it is due.
    pub fn turn(&mut self, now: Time) {
        let State::Down { start_at } = self.state else { return };
        let Some((program, args)) = self.command.split_first().filter(|_| start_at <= now) else { return };
        match Command::new(program).args(args).spawn() {
            Ok(child) => self.state = State::Up { pid: Pid::from_child(&child), since: now },
            Err(e) => {
                say(&format!("start the network: {e}"));
                self.fall(now);
            }
        }
    }

    /// When to look again.
    pub fn wake_at(&self) -> Time {
        match self.state {
            State::Down { start_at } => start_at,
            State::Up { .. } => Time::NEVER,
        }
    }

    /// A process ended; it may be this one.
    pub fn hear(&mut self, now: Time, ended: &Ended) {
        let State::Up { pid, since } = self.state else { return };
        if pid == ended.pid {
            if now.since(since) >= WELL {
                self.back_off = BACK_OFF_MIN;
            }
            self.fall(now);
            say(&format!("the network's process ended: {}; the next one starts by itself", ended.how));
        }
    }

    /// Ends it; nobody waits for it.
    pub fn stop(&mut self) {
        if let State::Up { pid, .. } = self.state {
            let _ = kill_process(pid, Signal::TERM);
        }
        self.state = State::Down { start_at: Time::NEVER };
    }

    fn fall(&mut self, now: Time) {
        self.state = State::Down { start_at: now + self.back_off };
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_cannot_be_started_waits_longer_each_time() {
        let mut c = Companion::new(vec!["/nonexistent/program".into()]);
        let (mut now, mut waits) = (Time::ZERO, vec![]);
        for _ in 0..8 {
            c.turn(now);
            waits.push(c.wake_at().since(now).as_secs());
            now = c.wake_at();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        c.stop();
        assert_eq!(c.wake_at(), Time::NEVER);
    }
}
