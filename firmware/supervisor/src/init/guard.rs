//! The thread that makes hardware safe and holds its lines. A bus may hang, and a disk with the settings may too; the first
//! process goes on deciding, killing and feeding meanwhile. Not here: how it is done (`safe`), and when (the keeper).

use super::machines::{Look, Machines};
use super::safe::Held;
use crate::heartbeat::LastWord;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::mpsc;

/// Requests that wait: the keeper has at most one of each kind under way.
const ASKED_LIMIT: usize = 4;

/// What is asked of the thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ask {
    /// Make hardware safe and hold its lines. A child that ended on purpose said in what state it left the machine.
    Secure(Option<LastWord>),
    /// Let go of the lines: a child takes them.
    Release,
}

/// What it answers, in the order in which it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This many machines are safe.
    Safe(usize),
    /// Steps that failed, line by line.
    Refused(Vec<String>),
    /// The lines are free.
    Released,
}

/// The near end of the thread.
pub struct Guard {
    asks: SyncSender<Ask>,
    answers: mpsc::Receiver<Answer>,
}

impl Guard {
    /// Starts the thread; it reads in the settings which machines there are, and looks which boards are plugged in.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(config: &Path, look: Look) -> io::Result<Guard> {
        let (asks, inbox) = sync_channel(ASKED_LIMIT);
        let (tell, answers) = mpsc::channel(ASKED_LIMIT);
        let keeper = Hardware { machines: Machines::new(config, look), held: Held::default() };
        std::thread::Builder::new().name("hardware".into()).spawn(move || keeper.run(&inbox, &tell))?;
        Ok(Guard { asks, answers })
    }

    /// Asks, and never waits; the answer comes from [`Guard::answer`], or never where a bus hangs.
    pub fn ask(&self, ask: Ask) {
        // A full channel means that the thread hangs: no answer is what there is to know then.
        let _ = self.asks.try_send(ask);
    }

    /// The next answer. Safe to give up waiting for.
    pub async fn answer(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

struct Hardware {
    machines: Machines,
    held: Held,
}

impl Hardware {
    fn run(mut self, inbox: &Receiver<Ask>, tell: &mpsc::Sender<Answer>) {
        while let Ok(ask) = inbox.recv() {
            let answer = match ask {
                Ask::Secure(word) => self.secure(word),
                Ask::Release => {
                    self.held.release();
                    Answer::Released
                }
            };
            if tell.blocking_send(answer).is_err() {
                return;
            }
            if ask == Ask::Release {
                // The child that starts now reads the same file.
                self.machines.read();
            }
        }
    }

    fn secure(&mut self, word: Option<LastWord>) -> Answer {
        let (devices, mut failed) = self.machines.now();
        if let Err(lines) = self.held.secure(&devices, word) {
            failed.extend(lines);
        }
        if failed.is_empty() { Answer::Safe(devices.len()) } else { Answer::Refused(failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(config: &Path, asks: &[Ask]) -> Vec<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut guard = Guard::start(config, Box::new(Vec::new)).expect("starts");
        asks.iter().for_each(|a| guard.ask(*a));
        runtime.block_on(async {
            let mut got = vec![];
            for _ in asks {
                got.push(guard.answer().await);
            }
            got
        })
    }

    #[test]
    fn answers_come_in_order_and_without_settings_nothing_is_known_to_be_safe() {
        let folder = std::env::temp_dir().join(format!("otedama-guard-none-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        let config = folder.join("config.yaml");
        let asks = [Ask::Secure(None), Ask::Release];
        for unreadable in [false, true] {
            if unreadable {
                std::fs::write(&config, "mining: [broken").expect("written");
            }
            let answers = run(&config, &asks);
            let [Answer::Refused(lines), Answer::Released] = &answers[..] else { panic!("{answers:?}") };
            assert!(lines[0].contains("no settings can be read"), "{lines:?}");
        }
        std::fs::write(&config, "mining: {}\n").expect("written");
        assert_eq!(run(&config, &asks), [Answer::Safe(0), Answer::Released], "settings that name none are no fault");
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn a_broken_file_leaves_the_machines_of_the_last_good_one() {
        let folder = std::env::temp_dir().join(format!("otedama-guard-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        let device = "{product: antminer-s19jpro, ttys: [/dev/a, /dev/b, /dev/c], i2c: /nonexistent/i2c, gpio: /dev/null}";
        let good = format!("mining: {{asic: {{devices: [{device}]}}}}\n");
        std::fs::write(folder.join("config.last-good.yaml"), good).expect("written");
        std::fs::write(folder.join("config.yaml"), "mining: [broken").expect("written");
        let answers = run(&folder.join("config.yaml"), &[Ask::Secure(None)]);
        let [Answer::Refused(lines)] = &answers[..] else { panic!("{answers:?}") };
        assert!(lines.iter().any(|l| l.contains("antminer-s19jpro")), "{lines:?}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
