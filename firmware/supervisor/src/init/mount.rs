//! What only the first process of a machine does: mount what every program expects, restart the board.
//! Each step that fails is told and the others are done: half a machine can still show what is wrong with it.

use rustix::mount::{MountFlags, mount};
use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};

const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
/// Kind, folder, flags and options of each file system without a disk; `/dev` may be there already by the kernel's own doing.
const VIRTUAL: &[(&str, &str, MountFlags, &CStr)] = &[
    ("proc", "/proc", QUIET, c""),
    ("sysfs", "/sys", QUIET, c""),
    ("devtmpfs", "/dev", MountFlags::NOSUID, c"mode=755"),
    ("devpts", "/dev/pts", MountFlags::NOSUID.union(MountFlags::NOEXEC), c"ptmxmode=666,mode=620"),
    ("tmpfs", "/run", MountFlags::NOSUID.union(MountFlags::NODEV), c"mode=755,size=16m"),
    ("tmpfs", "/tmp", MountFlags::NOSUID.union(MountFlags::NODEV), c"mode=1777,size=16m"),
];
/// Label in the partition table, kind and folder of each partition that is mounted when it is there.
const LABELLED: &[(&str, &str, &str)] = &[("otedama-data", "ext4", "/data"), ("OTEDAMA", "vfat", "/config")];

/// Mounts everything; what failed is in the lines.
pub fn mount_all() -> Vec<String> {
    let mut failed = vec![];
    for (kind, folder, flags, options) in VIRTUAL {
        // The folder is part of the image, but for those inside of what was mounted just now.
        let _ = fs::create_dir(folder);
        match mount(*kind, *folder, *kind, *flags, *options) {
            Ok(()) | Err(rustix::io::Errno::BUSY) => {}
            Err(e) => failed.push(format!("mount {kind} on {folder}: {e}")),
        }
    }
    for (label, kind, folder) in LABELLED {
        let Some(device) = partition(Path::new("/sys/class/block"), label) else { continue };
        if let Err(e) = mount(&device, *folder, *kind, QUIET, c"") {
            failed.push(format!("mount {} ({label}) on {folder}: {e}", device.display()));
        }
    }
    failed
}

/// The device of the partition that the partition table calls this.
fn partition(blocks: &Path, label: &str) -> Option<PathBuf> {
    let wanted = format!("PARTNAME={label}");
    let mut names: Vec<_> = fs::read_dir(blocks).ok()?.flatten().map(|e| e.file_name()).collect();
    // Of two with the same label it is the same one at each boot.
    names.sort();
    let name = names
        .into_iter()
        .find(|name| fs::read_to_string(blocks.join(name).join("uevent")).is_ok_and(|text| text.lines().any(|l| l == wanted)))?;
    Some(Path::new("/dev").join(name))
}

/// Writes out what is unwritten and restarts the board.
///
/// # Errors
/// The kernel refused.
pub fn restart() -> rustix::io::Result<()> {
    rustix::fs::sync();
    rustix::system::reboot(rustix::system::RebootCommand::Restart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_found_by_its_whole_label() {
        let blocks = std::env::temp_dir().join(format!("otedama-blocks-{}", std::process::id()));
        for (name, text) in
            [("sda", "DEVTYPE=disk\n"), ("sda1", "PARTN=1\nPARTNAME=otedama-data2\n"), ("sda2", "PARTNAME=otedama-data\n")]
        {
            fs::create_dir_all(blocks.join(name)).expect("made");
            fs::write(blocks.join(name).join("uevent"), text).expect("written");
        }
        assert_eq!(partition(&blocks, "otedama-data"), Some("/dev/sda2".into()));
        assert_eq!(partition(&blocks, "OTEDAMA"), None);
        fs::remove_dir_all(&blocks).expect("removed");
        assert_eq!(partition(&blocks, "otedama-data"), None, "no such folder");
    }
}
