//! How often the program and the board were started anew today, in one file beside the machine's state: a start that does not help
//! must not become a circle. Not here: when one is tried (`control::ladder`).

use crate::last_good;
use control::Rung;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What it is called in the folder of the state.
const NAME: &str = "restarts.json";

/// The counts of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Days since 1970.
    day: u64,
    process: u32,
    board: u32,
}

impl Restarts {
    /// What was counted on the day of this second of Unix time. A file that cannot be read counts as none: the machine is to mine.
    pub fn load(state: &Path, unix: u64) -> Restarts {
        let day = unix / 86_400;
        let read = std::fs::read(state.join(NAME)).ok().and_then(|b| serde_json::from_slice::<Restarts>(&b).ok());
        read.filter(|r| r.day == day).unwrap_or(Restarts { day, ..Restarts::default() })
    }

    /// How often a rung was tried.
    pub fn of(self, rung: Rung) -> u32 {
        match rung {
            Rung::Process => self.process,
            Rung::Board => self.board,
            Rung::Job | Rung::Upstream => 0,
        }
    }

    /// Counts one more, on disk before it is made.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn count(mut self, state: &Path, rung: Rung) -> std::io::Result<()> {
        match rung {
            Rung::Process => self.process += 1,
            Rung::Board => self.board += 1,
            Rung::Job | Rung::Upstream => return Ok(()),
        }
        last_good::write(state, NAME, &serde_json::to_vec(&self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_for_its_day_and_a_damaged_file_is_none() {
        let state = std::env::temp_dir().join(format!("otedama-restarts-{}", std::process::id()));
        let noon = 20_000 * 86_400 + 43_200;
        for times in 0..3 {
            let counted = Restarts::load(&state, noon);
            assert_eq!((counted.of(Rung::Process), counted.of(Rung::Board)), (times, 0));
            counted.count(&state, Rung::Process).expect("written");
        }
        Restarts::load(&state, noon).count(&state, Rung::Board).expect("written");
        let counted = Restarts::load(&state, noon + 3600);
        assert_eq!((counted.of(Rung::Process), counted.of(Rung::Board), counted.of(Rung::Job)), (3, 1, 0));
        assert_eq!(Restarts::load(&state, noon + 86_400).of(Rung::Process), 0, "another day");
        std::fs::write(state.join(NAME), b"{\"day\":2").expect("written");
        assert_eq!(Restarts::load(&state, noon).of(Rung::Process), 0);
        let _ = std::fs::remove_dir_all(&state);
    }
}
