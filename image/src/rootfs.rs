//! The root file system: erofs, read-only, of `rootfs-overlay/` as it stands, empty folders to mount on, and the one program.
//! The same inputs give the same bytes, so that an update can say by a hash whether it is needed.

use crate::command::run;
use crate::place::Place;
use anyhow::{Context, Result, bail};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that the program mounts on, or has mounted by the kernel; git keeps no empty ones.
const EMPTY: &[&str] = &["bin", "config", "data", "dev", "proc", "run", "sys", "tmp"];
/// One identifier for all: what is inside is told apart by its hash.
const UUID: &str = "6f746564-616d-4100-8000-000000000001";

/// Makes the root file system around this program.
///
/// # Errors
/// A file cannot be read, or mkfs.erofs is not there or fails.
pub fn build(place: &Place, program: &Path) -> Result<PathBuf> {
    let to = place.rootfs();
    let staged = place.out.join("root");
    make(&place.top.join("rootfs-overlay"), program, &staged, &to)?;
    fs::remove_dir_all(&staged).with_context(|| format!("remove {}", staged.display()))?;
    Ok(to)
}

fn make(overlay: &Path, program: &Path, staged: &Path, to: &Path) -> Result<()> {
    if staged.exists() {
        fs::remove_dir_all(staged).with_context(|| format!("remove {}", staged.display()))?;
    }
    lay(overlay, staged)?;
    for folder in EMPTY {
        folder_of(&staged.join(folder))?;
    }
    file(program, &staged.join("bin/otedama"), 0o755)?;
    // mkfs.erofs adds to a file that is there.
    if to.exists() {
        fs::remove_file(to).with_context(|| format!("remove {}", to.display()))?;
    }
    // Owner, times and attributes of the host's files are no part of it.
    run(Command::new("mkfs.erofs").args(["-zlz4hc", "-T0", "-x-1", "-U", UUID, "--all-root", "--quiet"]).arg(to).arg(staged))?;
    Ok(())
}

/// Copies a folder with what is below it: links as they are, files readable by all.
fn lay(from: &Path, to: &Path) -> Result<()> {
    folder_of(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry.with_context(|| format!("list {}", from.display()))?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().with_context(|| format!("look at {}", path.display()))?;
        if kind.is_dir() {
            lay(&path, &to)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).with_context(|| format!("read the link {}", path.display()))?;
            symlink(target, &to).with_context(|| format!("make the link {}", to.display()))?;
        } else if kind.is_file() {
            let mode = fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?.permissions().mode();
            file(&path, &to, if mode & 0o100 == 0 { 0o644 } else { 0o755 })?;
        } else {
            bail!("lay {}: neither a file, a folder nor a link", path.display());
        }
    }
    Ok(())
}

fn file(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(|| format!("set the mode of {}", to.display()))
}

fn folder_of(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).with_context(|| format!("set the mode of {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn the_same_inputs_give_the_same_bytes_and_another_program_others() {
        let place = Place::of("pc").expect("a board");
        let folder = std::env::temp_dir().join(format!("otedama-rootfs-{}", std::process::id()));
        let (overlay, program) = (place.top.join("rootfs-overlay"), folder.join("program"));
        fs::create_dir_all(&folder).expect("made");
        fs::write(&program, vec![7; 100_000]).expect("written");
        let image = |name: &str| {
            let to = folder.join(name);
            make(&overlay, &program, &folder.join("staged"), &to).expect("made");
            fs::read(to).expect("read")
        };
        let first = image("one");
        // The files that are laid out now are a second younger, and the program was not always private.
        sleep(Duration::from_millis(1100));
        fs::set_permissions(&program, Permissions::from_mode(0o600)).expect("set");
        assert!(first == image("two"), "the same inputs give the same bytes");
        fs::write(&program, vec![8; 100_000]).expect("written");
        assert!(first != image("three"), "another program gives others");
        assert_eq!(fs::read_link(folder.join("staged/etc/resolv.conf")).expect("a link"), Path::new("/run/resolv.conf"));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
