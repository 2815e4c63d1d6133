//! The settings as the first process reads them: the file of today, or where it is refused the last good one, as `serve` does.
//! Not here: what makes a file good (`model::settings`).

use super::say::say;
use crate::{check, last_good};
use model::settings::Settings;
use std::path::{Path, PathBuf};

/// Where the settings are: the file that was named, or where it cannot even be reached (its volume is broken) the last good
/// ones among the data.
pub fn place(config: &Path, data: &Path) -> PathBuf {
    let last_good = data.join(last_good::NAME);
    if config.exists() || !last_good.exists() {
        return config.to_owned();
    }
    say(&format!("{} is not there: the last good settings run, {}", config.display(), last_good.display()));
    last_good
}

/// The settings that `serve` runs with, or what is wrong with the file, line by line.
///
/// # Errors
/// The file is refused and there was no good one before.
pub fn read(config: &Path) -> Result<Settings, Vec<String>> {
    let refused = match check::load(config) {
        Ok((settings, _)) => return Ok(settings),
        Err(lines) => lines,
    };
    let last = last_good::candidates(config).into_iter().find_map(|path| check::load(&path).ok());
    last.map(|(settings, _)| settings).ok_or(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_volume_of_the_settings_the_last_good_ones_are_found() {
        let data = std::env::temp_dir().join(format!("otedama-place-{}", std::process::id()));
        std::fs::create_dir_all(&data).expect("made");
        let lost = Path::new("/nonexistent/config.yaml");
        assert_eq!(place(lost, &data), lost, "nothing better is there");
        std::fs::write(data.join(last_good::NAME), "").expect("written");
        assert_eq!(place(lost, &data), data.join(last_good::NAME));
        assert_eq!(place(&data, &data), data, "what is there is taken");
        std::fs::remove_dir_all(&data).expect("removed");
    }
}
