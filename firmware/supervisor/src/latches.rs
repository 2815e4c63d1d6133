//! What only a person ends, in one file beside the machine's state: chains that were too hot too often, a stop and a pause. Pulling the
//! plug must not make a board hash again whose heat nobody looked into, nor a machine that somebody stopped on purpose.
//!
//! A file that is there and cannot be read may have named any chain, so all are off until a person starts them. Not here: when a chain
//! is latched, and that a person's start ends all of it (`control`); that the program ends is no stop by a person (`serve`).

use crate::last_good;
use control::Held;
use model::{ChainId, Fault, FaultCode, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// What it is called in the folder of the state.
const NAME: &str = "latched.json";
/// Wait after a try to write it that failed: a full disk is not written to with every turn of the deciding loop.
const AGAIN: Duration = Duration::from_secs(10);

/// What the file says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Of which product: chains of another machine are others.
    product: String,
    chains: BTreeSet<u8>,
    /// Said only where it is so: a version that knows nothing of it reads every other file.
    #[serde(default, skip_serializing_if = "is_not")]
    stopped: bool,
    #[serde(default, skip_serializing_if = "is_not")]
    paused: bool,
}

fn is_not(it: &bool) -> bool {
    !it
}

/// What is kept.
#[derive(Debug)]
pub struct Latches {
    product: String,
    /// What is so at the start.
    first: Held,
    /// What is on disk; `None` where that is not known.
    written: Option<Held>,
    /// When a write that failed is tried again.
    again: Time,
    /// Why all are latched.
    unread: Option<Fault>,
}

impl Latches {
    /// What was kept of this product with so many chains.
    pub fn load(state: &Path, product: &str, chains: usize) -> Latches {
        let path = state.join(NAME);
        let (first, written, unread) = match read(&path) {
            Ok(Some(Kept { product: of, chains, stopped, paused })) => {
                // A stop is of the machine, whatever boards it has.
                let latched = if of == product { chains } else { BTreeSet::new() };
                let held = Held { latched, stopped, paused };
                (held.clone(), Some(held), None)
            }
            Ok(None) => (Held::default(), Some(Held::default()), None),
            Err(why) => {
                let detail =
                    format!("read {}, which says which boards were too hot too often: {why}; all are off", path.display());
                tracing::error!("{detail}");
                let fault = Fault { code: FaultCode::Latched, place: "state".to_owned(), detail };
                let latched = (0..u8::MAX).take(chains).collect();
                (Held { latched, ..Held::default() }, None, (chains > 0).then_some(fault))
            }
        };
        Latches { product: product.to_owned(), first, written, again: Time::ZERO, unread }
    }

    /// The chains that are latched at the start.
    pub fn chains(&self) -> impl Iterator<Item = ChainId> {
        self.first.latched.iter().copied().map(ChainId)
    }

    /// Whether a person stopped the machine before.
    pub fn is_stopped(&self) -> bool {
        self.first.stopped
    }

    /// Whether a person asked for a pause before.
    pub fn is_paused(&self) -> bool {
        self.first.paused
    }

    /// That it is not known which, until a person has started them.
    pub fn fault(&self) -> Option<&Fault> {
        self.unread.as_ref()
    }

    /// Keeps what has changed, on disk.
    ///
    /// # Errors
    /// The folder cannot be written; it is tried again after a while.
    pub fn follow(&mut self, now: Time, state: &Path, held: Held) -> std::io::Result<()> {
        if held.latched.is_empty() {
            self.unread = None;
        }
        if self.written.as_ref() == Some(&held) || now < self.again {
            return Ok(());
        }
        self.again = now + AGAIN;
        let Held { latched: chains, stopped, paused } = held.clone();
        let kept = Kept { product: self.product.clone(), chains, stopped, paused };
        last_good::write(state, NAME, &serde_json::to_vec(&kept)?)?;
        (self.written, self.again) = (Some(held), now);
        Ok(())
    }
}

/// What is on disk; `None` where no file is there, as before the first latch.
fn read(path: &Path) -> Result<Option<Kept>, String> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| e.to_string()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{Brain, Fact, Plan};
    use model::{Command, Time};

    fn brain() -> Brain {
        let product = Some(&board::antminer_s19jpro::PRODUCT);
        Brain::new(
            Time::ZERO,
            Plan {
                product,
                upstreams: 1,
                autostart: true,
                small_cores: 1,
                cpus: 0,
                cpu_hashes_per_second: 0.0,
                cooling: model::Cooling::default(),
            },
        )
    }

    fn folder(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("otedama-latches-{name}-{}", std::process::id()))
    }

    fn ids(kept: &Latches) -> Vec<u8> {
        kept.chains().map(|c| c.0).collect()
    }

    fn latched<const N: usize>(chains: [u8; N]) -> Held {
        Held { latched: BTreeSet::from(chains), ..Held::default() }
    }

    const PRODUCT: &str = board::antminer_s19jpro::PRODUCT.name;

    #[test]
    fn a_latch_survives_a_new_start_until_a_person_starts_the_machine() {
        let state = folder("survives");
        let mut kept = Latches::load(&state, PRODUCT, 3);
        assert_eq!(ids(&kept), [0; 0]);
        kept.follow(Time::ZERO, &state, latched([1])).expect("written");

        let (mut again, mut brain) = (Latches::load(&state, PRODUCT, 3), brain());
        again.chains().for_each(|chain| brain.tell(Time::ZERO, Fact::Latched(chain)));
        assert_eq!(brain.held(), latched([1]));
        again.follow(Time::ZERO, &state, brain.held()).expect("written");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [1]);
        assert_eq!(ids(&Latches::load(&state, "antminer-s9", 3)), [0; 0], "of another machine");

        brain.tell(Time::from_secs(1), Fact::Command(Command::Start));
        again.follow(Time::from_secs(1), &state, brain.held()).expect("written");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [0; 0]);
        let _ = std::fs::remove_dir_all(&state);
    }

    #[test]
    fn a_persons_stop_and_pause_survive_a_new_start_and_a_persons_start_ends_them() {
        let state = folder("stopped");
        // What is asked for, and whether the machine is stopped and paused after the next start.
        let rows: &[(&[Command], bool, bool)] = &[
            (&[Command::Stop], true, false),
            (&[], true, false),
            (&[Command::Start], false, false),
            (&[Command::Pause], false, true),
            (&[], false, true),
            (&[Command::Stop], true, true),
            (&[Command::Resume], true, false),
            (&[Command::Start, Command::Pause, Command::Resume], false, false),
            (&[Command::Stop, Command::Pause, Command::Start], false, false),
        ];
        for (asked, stopped, paused) in rows {
            let (mut kept, mut brain) = (Latches::load(&state, PRODUCT, 3), brain());
            if kept.is_stopped() {
                brain.tell(Time::ZERO, Fact::Command(Command::Stop));
            }
            if kept.is_paused() {
                brain.tell(Time::ZERO, Fact::Command(Command::Pause));
            }
            asked.iter().for_each(|c| brain.tell(Time::from_secs(1), Fact::Command(*c)));
            kept.follow(Time::from_secs(1), &state, brain.held()).expect("written");
            for product in [PRODUCT, "antminer-s9", ""] {
                let next = Latches::load(&state, product, 3);
                assert_eq!((next.is_stopped(), next.is_paused()), (*stopped, *paused), "{asked:?} '{product}'");
            }
        }
        let text = std::fs::read_to_string(state.join(NAME)).expect("there");
        assert!(!text.contains("stopped") && !text.contains("paused"), "an older version reads it: {text}");
        let _ = std::fs::remove_dir_all(&state);
    }

    #[test]
    fn a_damaged_file_leaves_every_chain_off_until_a_person_starts_them() {
        let state = folder("damaged");
        std::fs::create_dir_all(&state).expect("made");
        std::fs::write(state.join(NAME), b"{\"product\":").expect("written");
        let (mut kept, mut brain) = (Latches::load(&state, PRODUCT, 3), brain());
        assert_eq!(ids(&kept), [0, 1, 2]);
        assert!(kept.fault().is_some_and(|f| f.code == FaultCode::Latched && f.detail.contains(NAME)), "{:?}", kept.fault());
        kept.chains().for_each(|chain| brain.tell(Time::ZERO, Fact::Latched(chain)));
        kept.follow(Time::ZERO, &state, brain.held()).expect("written");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [0, 1, 2], "over a new start too");
        assert!(kept.fault().is_some(), "as long as they are off for it");
        brain.tell(Time::from_secs(1), Fact::Command(Command::Start));
        kept.follow(Time::from_secs(1), &state, brain.held()).expect("written");
        assert_eq!((kept.fault(), ids(&Latches::load(&state, PRODUCT, 3))), (None, vec![]));
        // What is there and is no file at all cannot be read either, whoever asks.
        std::fs::remove_file(state.join(NAME)).expect("removed");
        std::fs::create_dir(state.join(NAME)).expect("made");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [0, 1, 2]);
        let none = Latches::load(&state, "", 0);
        assert_eq!((ids(&none), none.fault()), (vec![], None), "no board, nothing to leave off");
        let _ = std::fs::remove_dir_all(&state);
    }

    #[test]
    fn a_write_that_failed_is_tried_again_and_not_at_every_turn() {
        let state = folder("full");
        let mut kept = Latches::load(&state, PRODUCT, 3);
        // A file where the folder is to be.
        std::fs::write(&state, b"").expect("written");
        assert!(kept.follow(Time::ZERO, &state, latched([2])).is_err());
        std::fs::remove_file(&state).expect("removed");
        kept.follow(Time::from_secs(9), &state, latched([2])).expect("waits");
        assert!(!state.exists());
        kept.follow(Time::from_secs(10), &state, latched([2])).expect("written");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [2]);
        let _ = std::fs::remove_dir_all(&state);
    }
}
