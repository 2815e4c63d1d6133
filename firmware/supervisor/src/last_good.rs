//! The last good settings: kept beside the machine's state once they run, and run again where the file of today is refused.
//!
//! Not here: what makes a file good (`model::settings`, `own_pool`, `machine_open`).

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What it is called in the folder of the state.
pub const NAME: &str = "config.last-good.yaml";

/// The folder for what must survive a restart.
pub fn state(config: &Path, set: Option<&Path>) -> PathBuf {
    let beside = config.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    set.map_or_else(|| beside.to_owned(), |s| beside.join(s))
}

/// Where the last good settings of a refused file may be.
pub fn candidates(config: &Path) -> Vec<PathBuf> {
    folders(config).into_iter().map(|folder| folder.join(NAME)).collect()
}

/// Where the state of a file's machine may be: the folder that it names, as far as that can be made out, then its own.
pub fn folders(config: &Path) -> Vec<PathBuf> {
    let text = fs::read(config).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let said = text.lines().find_map(|l| l.strip_prefix("state:")).map(|v| v.split(" #").next().unwrap_or_default().trim());
    let named = said.map(|v| v.trim_matches(['"', '\''])).filter(|v| !v.is_empty()).map(|v| state(config, Some(Path::new(v))));
    named.into_iter().chain([state(config, None)]).collect()
}

/// Keeps a copy of `config`, whole or not at all. It holds passwords: only its owner may read it.
///
/// # Errors
/// The folder cannot be written.
pub fn keep(config: &Path, state: &Path) -> std::io::Result<()> {
    let bytes = fs::read(config)?;
    if fs::read(state.join(NAME)).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    write(state, NAME, &bytes)
}

/// Writes a file of the state, whole or not at all: to a copy that takes its place once it is on disk.
///
/// # Errors
/// The folder cannot be written.
pub fn write(state: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(state)?;
    let new = state.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, state.join(name))?;
    File::open(state)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_files_own_unless_it_names_one() {
        assert_eq!(state(Path::new("config.yaml"), None), Path::new("."));
        assert_eq!(state(Path::new("/etc/o/config.yaml"), Some(Path::new("/data"))), Path::new("/data"));
        assert_eq!(candidates(Path::new("/nowhere/config.yaml")), [PathBuf::from("/nowhere/config.last-good.yaml")]);
    }
}
