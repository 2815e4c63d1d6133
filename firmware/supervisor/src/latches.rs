//! Chains that were too hot too often, in one file beside the machine's state: pulling the plug must not make a board hash again whose
//! heat nobody looked into. A file that is there and cannot be read may have named any of them, so all are off until a person starts
//! them. Not here: when a chain is latched, and that a person's start frees it (`control::thermal`).

use crate::last_good;
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
}

/// What is kept.
#[derive(Debug)]
pub struct Latches {
    product: String,
    /// Those that are latched at the start.
    first: BTreeSet<u8>,
    /// What is on disk; `None` where that is not known.
    written: Option<BTreeSet<u8>>,
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
            Ok(Some(kept)) if kept.product == product => (kept.chains.clone(), Some(kept.chains), None),
            Ok(_) => (BTreeSet::new(), Some(BTreeSet::new()), None),
            Err(why) => {
                let detail =
                    format!("read {}, which says which boards were too hot too often: {why}; all are off", path.display());
                tracing::error!("{detail}");
                let fault = Fault { code: FaultCode::Latched, place: "state".to_owned(), detail };
                ((0..u8::MAX).take(chains).collect(), None, (chains > 0).then_some(fault))
            }
        };
        Latches { product: product.to_owned(), first, written, again: Time::ZERO, unread }
    }

    /// The chains that are latched at the start.
    pub fn chains(&self) -> impl Iterator<Item = ChainId> {
        self.first.iter().copied().map(ChainId)
    }

    /// That it is not known which, until a person has started them.
    pub fn fault(&self) -> Option<&Fault> {
        self.unread.as_ref()
    }

    /// Keeps what has changed, on disk.
    ///
    /// # Errors
    /// The folder cannot be written; it is tried again after a while.
    pub fn follow(&mut self, now: Time, state: &Path, chains: BTreeSet<u8>) -> std::io::Result<()> {
        if chains.is_empty() {
            self.unread = None;
        }
        if self.written.as_ref() == Some(&chains) || now < self.again {
            return Ok(());
        }
        self.again = now + AGAIN;
        let kept = Kept { product: self.product.clone(), chains };
        last_good::write(state, NAME, &serde_json::to_vec(&kept)?)?;
        (self.written, self.again) = (Some(kept.chains), now);
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

    const PRODUCT: &str = board::antminer_s19jpro::PRODUCT.name;

    #[test]
    fn a_latch_survives_a_new_start_until_a_person_starts_the_machine() {
        let state = folder("survives");
        let mut kept = Latches::load(&state, PRODUCT, 3);
        assert_eq!(ids(&kept), [0; 0]);
        kept.follow(Time::ZERO, &state, BTreeSet::from([1])).expect("written");

        let (mut again, mut brain) = (Latches::load(&state, PRODUCT, 3), brain());
        again.chains().for_each(|chain| brain.tell(Time::ZERO, Fact::Latched(chain)));
        assert_eq!(brain.latched(), BTreeSet::from([1]));
        again.follow(Time::ZERO, &state, brain.latched()).expect("written");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [1]);
        assert_eq!(ids(&Latches::load(&state, "antminer-s9", 3)), [0; 0], "of another machine");

        brain.tell(Time::from_secs(1), Fact::Command(Command::Start));
        again.follow(Time::from_secs(1), &state, brain.latched()).expect("written");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [0; 0]);
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
        kept.follow(Time::ZERO, &state, brain.latched()).expect("written");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [0, 1, 2], "over a new start too");
        assert!(kept.fault().is_some(), "as long as they are off for it");
        brain.tell(Time::from_secs(1), Fact::Command(Command::Start));
        kept.follow(Time::from_secs(1), &state, brain.latched()).expect("written");
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
        let latched = || BTreeSet::from([2]);
        assert!(kept.follow(Time::ZERO, &state, latched()).is_err());
        std::fs::remove_file(&state).expect("removed");
        kept.follow(Time::from_secs(9), &state, latched()).expect("waits");
        assert!(!state.exists());
        kept.follow(Time::from_secs(10), &state, latched()).expect("written");
        assert_eq!(ids(&Latches::load(&state, PRODUCT, 3)), [2]);
        let _ = std::fs::remove_dir_all(&state);
    }
}
