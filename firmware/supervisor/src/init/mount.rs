//! What only the first process of a machine does: mount what every program expects, and take it down at the end.
//! Each step that fails is told and the others are done: half a machine can still show what is wrong with it.
//!
//! The data partition's content is never made anew here: where it cannot be mounted, it may be all that is left of something.

use super::restart::within;
use super::say::say;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where what must survive a restart is kept.
pub const DATA: &str = "/data";
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
/// A partition, by its name in the partition table, and where it belongs.
struct Volume {
    name: &'static str,
    kind: &'static str,
    folder: &'static str,
    flags: MountFlags,
    options: &'static CStr,
}

const VOLUMES: &[Volume] = &[
    Volume { name: "otedama-data", kind: "ext4", folder: DATA, flags: MountFlags::NOATIME, options: c"errors=remount-ro" },
    // Only read, so that a power cut cannot harm it; it holds passwords.
    Volume { name: "OTEDAMA", kind: "vfat", folder: "/config", flags: MountFlags::RDONLY, options: c"umask=0077" },
];
/// What `/data` may take of the memory where it has no partition.
const IN_MEMORY: &CStr = c"mode=755,size=64m";
/// How long a disk may take to let go at the end.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(5);

/// Mounts everything; what is where, and what failed, is in the lines.
pub fn mount_all() -> Vec<String> {
    let (mut lines, mut done) = (vec![], vec![]);
    for (kind, folder, flags, options) in VIRTUAL {
        // The folder is part of the image, but for those inside of what was mounted just now.
        let _ = fs::create_dir(folder);
        match mount(*kind, *folder, *kind, *flags, *options) {
            Ok(()) | Err(Errno::BUSY) => done.push(*folder),
            Err(e) => lines.push(format!("mount {kind} on {folder}: {e}")),
        }
    }
    lines.insert(0, format!("mounted {}", done.join(" ")));
    for volume in VOLUMES {
        let device = partition(Path::new("/sys/class/block"), volume.name);
        lines.push(match volume.mount(device.as_deref()) {
            Ok(line) => line,
            Err(line) if volume.folder == DATA => in_memory(&line),
            Err(line) => line,
        });
    }
    lines
}

impl Volume {
    fn mount(&self, device: Option<&Path>) -> Result<String, String> {
        let Volume { name, kind, folder, flags, options } = *self;
        let device = device.ok_or_else(|| format!("{folder}: no partition is called {name}"))?;
        let shown = device.display();
        match mount(device, folder, kind, QUIET | flags, options) {
            Ok(()) => {
                let only = if flags.contains(MountFlags::RDONLY) { "read-only".to_owned() } else { free(folder) };
                Ok(format!("{folder} is {shown} ({name}, {kind}, {only})"))
            }
            Err(Errno::BUSY) => Ok(format!("{folder} is {shown} ({name}) already")),
            Err(e) => Err(format!("{folder}: MOUNT {shown} ({name}, {kind}): {e}; its content is left as it is")),
        }
    }
}

/// A machine without its data mines on; whoever looks shall see that it forgets.
fn in_memory(why: &str) -> String {
    match mount("tmpfs", DATA, "tmpfs", QUIET, IN_MEMORY) {
        Ok(()) => format!("{why}. {DATA} IS IN MEMORY: what is kept there is lost at the next start"),
        Err(e) => format!("{why}. NOTHING CAN BE KEPT: mount tmpfs on {DATA}: {e}"),
    }
}

fn free(folder: &str) -> String {
    match rustix::fs::statvfs(folder) {
        Ok(s) => format!("{} MB free", s.f_bavail.saturating_mul(s.f_frsize) / 1_000_000),
        Err(e) => format!("its free space is unknown: {e}"),
    }
}

/// Takes the partitions down, so that nothing on them has to be mended at the next start.
pub fn unmount_all() {
    let done = within(UNMOUNT_LIMIT, || {
        for Volume { folder, .. } in VOLUMES {
            match unmount(*folder, UnmountFlags::empty()) {
                // Not mounted, or not there.
                Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
                Err(e) => match mount_remount(*folder, MountFlags::RDONLY | QUIET, c"") {
                    Ok(()) => say(&format!("unmount {folder}: {e}; it is read-only now, which is as good")),
                    Err(again) => say(&format!("unmount {folder}: {e}; make it read-only: {again}")),
                },
            }
        }
    });
    if !done {
        say("a disk does not let go: not waited for");
    }
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
