//! The settings as the first process reads them: the file of today, or where it is refused the last good one, as `serve` does.
//! Not here: what makes a file good (`model::settings`).

use crate::{check, last_good};
use model::settings::Settings;
use std::path::Path;

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
