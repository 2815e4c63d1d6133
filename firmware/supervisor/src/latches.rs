//! Chains that were too hot too often, in one file beside the machine's state: pulling the plug must not make a board hash again whose
//! heat nobody looked into. Not here: when a chain is latched, and that a person's start frees it (`control::thermal`).

use crate::last_good;
use model::ChainId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// What it is called in the folder of the state.
const NAME: &str = "latched.json";

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latches {
    /// Of which product: chains of another machine are others.
    product: String,
    chains: BTreeSet<u8>,
}

impl Latches {
    /// What was kept of this product. A file that cannot be read counts as none, and says so in the log.
    pub fn load(state: &Path, product: &str) -> Latches {
        let path = state.join(NAME);
        let none = Latches { product: product.to_owned(), chains: BTreeSet::new() };
        let Ok(bytes) = std::fs::read(&path) else { return none };
        match serde_json::from_slice::<Latches>(&bytes) {
            Ok(kept) if kept.product == product => kept,
            Ok(_) => none,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "read which chains were too hot too often");
                none
            }
        }
    }

    /// The chains.
    pub fn chains(&self) -> impl Iterator<Item = ChainId> {
        self.chains.iter().copied().map(ChainId)
    }

    /// Keeps what has changed, on disk.
    ///
    /// # Errors
    /// The folder cannot be written; it is not tried again before the next change.
    pub fn follow(&mut self, state: &Path, chains: BTreeSet<u8>) -> std::io::Result<()> {
        if self.chains == chains {
            return Ok(());
        }
        self.chains = chains;
        last_good::write(state, NAME, &serde_json::to_vec(self)?)
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

    #[test]
    fn a_latch_survives_a_new_start_until_a_person_starts_the_machine() {
        let state = std::env::temp_dir().join(format!("otedama-latches-{}", std::process::id()));
        let product = board::antminer_s19jpro::PRODUCT.name;
        let mut kept = Latches::load(&state, product);
        assert_eq!(kept.chains().count(), 0);
        kept.follow(&state, BTreeSet::from([1])).expect("written");

        let (mut again, mut brain) = (Latches::load(&state, product), brain());
        again.chains().for_each(|chain| brain.tell(Time::ZERO, Fact::Latched(chain)));
        assert_eq!(brain.latched(), BTreeSet::from([1]));
        again.follow(&state, brain.latched()).expect("written");
        assert_eq!(Latches::load(&state, product).chains().collect::<Vec<_>>(), [ChainId(1)]);
        assert_eq!(Latches::load(&state, "antminer-s9").chains().count(), 0, "of another machine");

        brain.tell(Time::from_secs(1), Fact::Command(Command::Start));
        again.follow(&state, brain.latched()).expect("written");
        assert_eq!(Latches::load(&state, product).chains().count(), 0);

        std::fs::write(state.join(NAME), b"{\"product\":").expect("written");
        assert_eq!(Latches::load(&state, product).chains().count(), 0);
        let _ = std::fs::remove_dir_all(&state);
    }
}
