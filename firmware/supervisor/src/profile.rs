//! The tuned profile: one file beside the machine's state, so that a restart goes on with what was found.
//!
//! Not here: whether a profile fits the machine (`model::Profile::check`) and what is done with it (`control::tuning`).

use crate::last_good;
use model::Profile;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// What it is called in the folder of the state.
const NAME: &str = "tuning.json";
/// Longest file: a machine of four chains of 255 chips takes 30 kB.
const MAX_BYTES: u64 = 256 * 1024;

/// What was kept; `None` where nothing was.
pub fn load(state: &Path) -> Option<Result<Profile, String>> {
    let path = state.join(NAME);
    let file = match File::open(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return None,
        opened => opened,
    };
    let mut text = String::new();
    let read = file.and_then(|f| f.take(MAX_BYTES).read_to_string(&mut text));
    let profile = read.map_err(|e| e.to_string()).and_then(|_| serde_json::from_str(&text).map_err(|e| e.to_string()));
    Some(profile.map_err(|why| format!("read {}: {why}", path.display())))
}

/// Keeps it, whole or not at all.
///
/// # Errors
/// The folder cannot be written.
pub fn keep(state: &Path, profile: &Profile) -> std::io::Result<()> {
    last_good::write(state, NAME, &serde_json::to_vec(profile)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ChainProfile, Hashrate, Megahertz, Volt, Watt};

    #[test]
    fn what_is_kept_is_loaded_and_what_is_damaged_says_so() {
        let state = std::env::temp_dir().join(format!("otedama-profile-{}", std::process::id()));
        assert_eq!(load(&state), None);
        let ceilings = vec![Megahertz(531.25), Megahertz(0.1 + 0.2)];
        let chain =
            ChainProfile { rail: Volt(12.7), level: Megahertz(543.75), ceilings, watt: Watt(900.1), rate: Hashrate(3.3e13) };
        let profile = Profile { product: "a".into(), aim: "3000 W".into(), chains: vec![Some(chain), None] };
        keep(&state, &profile).expect("written");
        assert_eq!(load(&state), Some(Ok(profile.clone())));
        let path = state.join(NAME);
        let text = std::fs::read_to_string(&path).expect("there");
        let long = "[".repeat(MAX_BYTES as usize + 1);
        for damaged in ["", &text[..text.len() - 3], "{}", "\u{0}", &long] {
            std::fs::write(&path, damaged).expect("written");
            let refused = load(&state).expect("there").expect_err("damaged");
            assert!(refused.contains(NAME), "{refused}");
        }
        std::fs::write(&path, [0xff; 40]).expect("written");
        assert!(load(&state).expect("there").is_err());
        keep(&state, &profile).expect("a damaged one is replaced");
        assert_eq!(load(&state), Some(Ok(profile)));
        let _ = std::fs::remove_dir_all(&state);
    }
}
