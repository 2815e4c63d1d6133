//! The whole disk: a GPT that starts under BIOS and UEFI, the read-only root, the settings on a FAT volume that Windows and
//! macOS show, and the data partition. Made of plain files, so that neither root nor a loop device is needed.
//!
//! Number 4 and its room are kept for a second root, which updates will write while the first one runs. Not here: what is
//! inside of the root (`rootfs`), and what the settings say (`settings`).

use crate::bios;
use crate::command::{run, say};
use crate::place::Place;
use crate::settings;
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// The name of the volume with `config.yaml`, in the table and as its label; `otedama init` looks for it.
pub const SETTINGS: &str = "OTEDAMA";
/// The name of the partition that is written to at run time; `otedama init` looks for it.
pub const DATA: &str = "otedama-data";
/// The name of the partition that the root is on.
pub const ROOT: &str = "otedama-a";
const BOOT: &str = "otedama-boot";
const BIOS: &str = "otedama-bios";
const MIB: u64 = 1 << 20;
/// Bytes of GRUB's environment block, always.
const ENVIRONMENT: usize = 1024;

struct Partition {
    number: u8,
    name: &'static str,
    /// In MiB from the disk's start.
    start: u64,
    /// In MiB.
    size: u64,
    /// What it is for, as the GPT's registry says.
    kind: &'static str,
}

/// 32 MiB for a root gives a program of 15 MB room to grow; FAT32 needs 33 MiB, and the kernel of a second root comes beside
/// the first. The data partition is last, so that it can grow to the end of a larger disk.
const TABLE: &[Partition] = &[
    Partition { number: 1, name: BIOS, start: 1, size: 1, kind: "21686148-6449-6E6F-744E-656564454649" },
    Partition { number: 2, name: BOOT, start: 2, size: 48, kind: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" },
    Partition { number: 3, name: ROOT, start: 50, size: 32, kind: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709" },
    // Number 4 and 82..114 MiB: the second root.
    Partition { number: 5, name: SETTINGS, start: 114, size: 16, kind: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" },
    Partition { number: 6, name: DATA, start: 130, size: 64, kind: "0FC63DAF-8483-4772-8E79-3D69D8477DE4" },
];
/// The table's end and its copy behind it.
const DISK_MIB: u64 = 195;

/// What GRUB is made of: the table, the file system it reads, a serial line, and the command of each line of grub.cfg.
const MODULES: &[&str] =
    &["part_gpt", "fat", "normal", "configfile", "linux", "boot", "serial", "terminal", "echo", "test", "loadenv"];

/// The kernel's line for a root on this device. What follows `--` is for the program.
///
/// A root that does not come in half a minute is a panic, and a panic a restart. Messages go to the screen and to the serial
/// line; the last one named is the program's own console.
#[must_use]
pub fn kernel_line(root: &str) -> String {
    format!("console=tty0 console=ttyS0,115200 panic=10 root={root} rootfstype=erofs ro rootwait=30 init=/bin/otedama -- init")
}

/// Makes the disk of this kernel and this root file system.
///
/// # Errors
/// A tool is not there or fails, or something does not fit its partition.
pub fn build(place: &Place, kernel: &Path, rootfs: &Path) -> Result<PathBuf> {
    say("making the disk");
    let work = place.out.join("disk");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    }
    fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
    let identity = Identity::of(&[kernel, rootfs])?;
    let disk = work.join("disk.img");
    table(&disk, &identity)?;
    put(&disk, ROOT, rootfs)?;
    put(&disk, BOOT, &boot_volume(place, &work, kernel, &identity)?)?;
    start_by_bios(&disk, &work)?;
    let volume = fat(&work.join("settings.fat"), SETTINGS, SETTINGS, 16, &identity)?;
    put(&disk, SETTINGS, &volume)?;
    set_config(&disk, &settings::of_image()?)?;
    put(&disk, DATA, &data(&work, &identity)?)?;
    let to = place.disk();
    fs::rename(&disk, &to).with_context(|| format!("keep {}", to.display()))?;
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    Ok(to)
}

/// Identifiers that follow from what is inside: the same image has the same, and a stick with another version of it never
/// starts the root of the disk that it is put beside.
struct Identity([u8; 32]);

impl Identity {
    fn of(files: &[&Path]) -> Result<Identity> {
        let mut hash = Sha256::new();
        for f in files {
            hash.update(Sha256::digest(fs::read(f).with_context(|| format!("read {}", f.display()))?));
        }
        Ok(Identity(hash.finalize().into()))
    }

    fn bytes(&self, what: &str) -> [u8; 16] {
        let hash = Sha256::new().chain_update(self.0).chain_update(what).finalize();
        let mut b = [0; 16];
        b.copy_from_slice(&hash[..16]);
        // A UUID of version 8 (made by a rule of its own), variant 1.
        b[6] = b[6] & 0x0f | 0x80;
        b[8] = b[8] & 0x3f | 0x80;
        b
    }

    fn uuid(&self, what: &str) -> String {
        let hex: String = self.bytes(what).iter().map(|b| format!("{b:02x}")).collect();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    fn volume_id(&self, what: &str) -> String {
        self.bytes(what)[..4].iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// Lays the table on an empty disk.
fn table(disk: &Path, identity: &Identity) -> Result<()> {
    let file = File::create(disk).with_context(|| format!("make {}", disk.display()))?;
    file.set_len(DISK_MIB * MIB).with_context(|| format!("size {}", disk.display()))?;
    let mut script = format!("label: gpt\nlabel-id: {}\nunit: sectors\n", identity.uuid("disk"));
    for p in TABLE {
        let (start, size) = (p.start * MIB / SECTOR, p.size * MIB / SECTOR);
        let uuid = identity.uuid(p.name);
        script += &format!("p{} : start={start}, size={size}, type={}, uuid={uuid}, name=\"{}\"\n", p.number, p.kind, p.name);
    }
    let layout = disk.with_extension("sfdisk");
    fs::write(&layout, script).with_context(|| format!("write {}", layout.display()))?;
    let command = "sfdisk --quiet --wipe never \"$1\" < \"$2\"";
    run(Command::new("sh").args(["-c", command, "sh"]).arg(disk).arg(&layout))?;
    Ok(())
}

/// Where a partition of this name lies: its first byte and its length.
///
/// # Errors
/// The table cannot be read, or has no such name.
pub fn partition(disk: &Path, name: &str) -> Result<(u64, u64)> {
    let said = run(Command::new("sfdisk").arg("--json").arg(disk))?;
    let said: serde_json::Value =
        serde_json::from_slice(&said).with_context(|| format!("read the table of {}", disk.display()))?;
    let all = said["partitiontable"]["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = all.iter().find(|p| p["name"] == name).with_context(|| format!("find partition {name} on {}", disk.display()))?;
    let number = |key: &str| found[key].as_u64().with_context(|| format!("read the {key} of partition {name}"));
    Ok((number("start")? * SECTOR, number("size")? * SECTOR))
}

/// Copies a file into a partition; stretches of zeros are left out, so that the disk stays small on the host.
fn put(disk: &Path, name: &str, from: &Path) -> Result<()> {
    let (start, room) = partition(disk, name)?;
    let attempt = || format!("put {} into partition {name}", from.display());
    let mut source = File::open(from).with_context(attempt)?;
    let length = source.metadata().with_context(attempt)?.len();
    ensure!(length <= room, "put {} into partition {name}: {length} bytes, and it has {room}", from.display());
    let mut target = OpenOptions::new().write(true).open(disk).with_context(attempt)?;
    let mut block = vec![0; MIB as usize / 16];
    let mut at = start;
    loop {
        let n = source.read(&mut block).with_context(attempt)?;
        if n == 0 {
            return Ok(());
        }
        if block[..n].iter().any(|b| *b != 0) {
            target.seek(SeekFrom::Start(at)).with_context(attempt)?;
            target.write_all(&block[..n]).with_context(attempt)?;
        }
        at += n as u64;
    }
}

fn size_of(name: &str) -> u64 {
    TABLE.iter().find(|p| p.name == name).map_or(0, |p| p.size * MIB)
}

/// An empty FAT volume of a partition's size.
fn fat(to: &Path, partition: &str, label: &str, bits: u8, identity: &Identity) -> Result<PathBuf> {
    let file = File::create(to).with_context(|| format!("make {}", to.display()))?;
    file.set_len(size_of(partition)).with_context(|| format!("size {}", to.display()))?;
    let (bits, id) = (bits.to_string(), identity.volume_id(partition));
    run(Command::new("mkfs.vfat").args(["--invariant", "-F", &bits, "-n", label, "-i", &id]).arg(to))?;
    Ok(to.to_owned())
}

/// The volume that both firmwares start from: GRUB for UEFI, its settings, and the kernel.
fn boot_volume(place: &Place, work: &Path, kernel: &Path, identity: &Identity) -> Result<PathBuf> {
    let volume = fat(&work.join("boot.fat"), BOOT, "OTEDAMABOOT", 32, identity)?;
    let loader = work.join("BOOTX64.EFI");
    // The firmware's screen, which the kernel takes over.
    grub("x86_64-efi", "/EFI/BOOT", &["efi_gop"], &loader)?;
    let recipe = place.top.join("image/grub.cfg");
    let text = fs::read_to_string(&recipe).with_context(|| format!("read {}", recipe.display()))?;
    ensure!(text.contains("@LINE@"), "read {}: it has no @LINE@", recipe.display());
    let text = text.replace("@LINE@", &kernel_line(&format!("PARTUUID={}", identity.uuid(ROOT))));
    let config = work.join("grub.cfg");
    fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
    run(mtool("mmd").arg("-i").arg(&volume).args(["::/EFI", "::/EFI/BOOT", "::/a"]))?;
    run(mtool("mcopy").arg("-i").arg(&volume).args([&loader, &config]).arg("::/EFI/BOOT/"))?;
    run(mtool("mcopy").arg("-i").arg(&volume).arg(kernel).arg("::/a/bzImage"))?;
    Ok(volume)
}

fn grub(format: &str, prefix: &str, further: &[&str], to: &Path) -> Result<()> {
    let folder = format!("/usr/lib/grub/{format}");
    let mut command = Command::new("grub-mkimage");
    command.args(["-O", format, "-d", &folder, "-p", prefix, "-o"]).arg(to);
    run(command.args(MODULES).args(further))?;
    Ok(())
}

/// Lays GRUB's first sector and what it loads; both firmwares read the same settings and kernel.
fn start_by_bios(disk: &Path, work: &Path) -> Result<()> {
    let core = work.join("core.img");
    // Without a disk before the comma GRUB takes the one that it was started from.
    grub("i386-pc", "(,gpt2)/EFI/BOOT", &["biosdisk"], &core)?;
    let boot = Path::new("/usr/lib/grub/i386-pc/boot.img");
    let (start, _) = partition(disk, BIOS)?;
    let read = |p: &Path| fs::read(p).with_context(|| format!("read {}", p.display()));
    let patched = bios::core(&read(&core)?, start / SECTOR)?;
    fs::write(&core, patched).with_context(|| format!("write {}", core.display()))?;
    put(disk, BIOS, &core)?;
    let code = bios::boot_sector(&read(boot)?, start / SECTOR)?;
    let mut file = OpenOptions::new().write(true).open(disk).with_context(|| format!("open {}", disk.display()))?;
    file.write_all(&code).with_context(|| format!("write the first sector of {}", disk.display()))
}

/// An empty ext4 for what must survive a restart.
fn data(work: &Path, identity: &Identity) -> Result<PathBuf> {
    let to = work.join("data.ext4");
    let file = File::create(&to).with_context(|| format!("make {}", to.display()))?;
    file.set_len(size_of(DATA)).with_context(|| format!("size {}", to.display()))?;
    let seed = format!("hash_seed={},root_owner=0:0", identity.uuid("data's hash seed"));
    let uuid = identity.uuid("data's file system");
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-L", DATA, "-U", &uuid, "-E", &seed]).arg(&to))?;
    Ok(to)
}

/// A tool of mtools, which writes FAT volumes in files.
fn mtool(name: &str) -> Command {
    let mut command = Command::new(name);
    // It would refuse a volume whose size is no multiple of an imagined disk's tracks.
    command.env("MTOOLS_SKIP_CHECK", "1");
    command
}

/// A volume inside of a disk, as mtools name it.
fn volume(disk: &Path, name: &str) -> Result<String> {
    let (start, _) = partition(disk, name)?;
    Ok(format!("{}@@{start}", disk.display()))
}

/// Writes `config.yaml` of a disk: give it a copy of the image, one for each machine.
///
/// # Errors
/// The text is longer than the program reads, or the disk is none of ours.
pub fn set_config(disk: &Path, text: &str) -> Result<()> {
    let (length, most) = (text.len(), model::settings::MAX_BYTES);
    ensure!(length <= most, "write config.yaml: {length} bytes, and a settings file has at most {most}");
    write(disk, SETTINGS, "::/config.yaml", text.as_bytes())
}

/// Reads `config.yaml` of a disk.
///
/// # Errors
/// The disk is none of ours, or has no such file.
pub fn config(disk: &Path) -> Result<String> {
    let text = run(mtool("mtype").arg("-i").arg(volume(disk, SETTINGS)?).arg("::/config.yaml"))?;
    String::from_utf8(text).with_context(|| format!("read config.yaml of {}", disk.display()))
}

/// Gives a disk's kernel further words, such as `no_timer_check` for an emulator; they come before our own.
///
/// # Errors
/// They are too long or have a line's end, or the disk is none of ours.
pub fn set_kernel_words(disk: &Path, words: &str) -> Result<()> {
    write(disk, BOOT, "::/EFI/BOOT/grubenv", &environment(words)?)
}

/// GRUB's environment block with these words.
fn environment(words: &str) -> Result<Vec<u8>> {
    ensure!(!words.contains(['\n', '\\']), "write the kernel's words: a line's end or a backslash in {words:?}");
    let mut block = format!("# GRUB Environment Block\nwords={words}\n").into_bytes();
    ensure!(block.len() <= ENVIRONMENT, "write the kernel's words: {} bytes, more than {ENVIRONMENT}", block.len());
    block.resize(ENVIRONMENT, b'#');
    Ok(block)
}

fn write(disk: &Path, partition: &str, to: &str, bytes: &[u8]) -> Result<()> {
    let volume = volume(disk, partition)?;
    // Beside the disk: two copies are written at once without meeting.
    let mut part = disk.as_os_str().to_owned();
    part.push(".file");
    let part = PathBuf::from(part);
    fs::write(&part, bytes).with_context(|| format!("write {}", part.display()))?;
    let done = run(mtool("mcopy").args(["-o", "-i", &volume]).arg(&part).arg(to));
    fs::remove_file(&part).with_context(|| format!("remove {}", part.display()))?;
    done.with_context(|| format!("write {to} of {}", disk.display())).map(drop)
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
