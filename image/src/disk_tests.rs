//! The disk without a firmware: its table as `sfdisk` sees it, and files written into it and read back.

use super::*;
use std::collections::BTreeMap;

/// A disk around a kernel and a root that are only bytes.
fn disk(name: &str, kernel: &[u8]) -> (PathBuf, PathBuf) {
    let folder = std::env::temp_dir().join(format!("otedama-disk-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("made");
    let place = Place { out: folder.clone(), ..Place::of("pc").expect("a board") };
    let (k, r) = (folder.join("kernel"), folder.join("root"));
    fs::write(&k, kernel).expect("written");
    fs::write(&r, b"a root").expect("written");
    (build(&place, &k, &r).expect("a disk"), folder)
}

#[test]
fn the_table_has_what_firmware_windows_and_init_look_for() {
    let (disk, folder) = disk("table", b"kernel");
    let said: serde_json::Value =
        serde_json::from_slice(&run(Command::new("sfdisk").arg("--json").arg(&disk)).expect("read")).expect("JSON");
    let table = &said["partitiontable"];
    assert_eq!(table["label"], "gpt");
    let text = |v: &serde_json::Value| v.as_str().expect("text").to_owned();
    let all: BTreeMap<String, (String, String)> = table["partitions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| (text(&p["name"]), (text(&p["node"]).replace(&*disk.to_string_lossy(), ""), text(&p["type"]))))
        .collect();
    let is = |name: &str, number: &str, kind: &str| assert_eq!(all[name], (number.to_owned(), kind.to_owned()), "{name}");
    assert_eq!(all.len(), 5);
    is("otedama-bios", "1", "21686148-6449-6E6F-744E-656564454649");
    is("otedama-boot", "2", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
    is("otedama-a", "3", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709");
    is("OTEDAMA", "5", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7");
    is("otedama-data", "6", "0FC63DAF-8483-4772-8E79-3D69D8477DE4");
    let bytes = fs::read(&disk).expect("read");
    assert_eq!(bytes[510..512], [0x55, 0xaa]);
    assert_eq!(bytes[0x5c..0x64], 2048u64.to_le_bytes(), "the first sector loads the second image");
    let (root, _) = partition(&disk, "otedama-a").expect("there");
    assert_eq!(bytes[root as usize..][..6], *b"a root");
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn settings_and_kernel_words_are_written_and_read_back() {
    let (disk, folder) = disk("files", b"kernel");
    assert_eq!(config(&disk).expect("read"), settings::of_image().expect("a text"));
    set_config(&disk, "version: 1\n# other\n").expect("written");
    assert_eq!(config(&disk).expect("read"), "version: 1\n# other\n");
    let long = "#".repeat(model::settings::MAX_BYTES + 1);
    assert!(set_config(&disk, &long).expect_err("too long").to_string().contains("at most"));
    assert_eq!(config(&disk).expect("read"), "version: 1\n# other\n", "a refused one changes nothing");
    set_kernel_words(&disk, "no_timer_check quiet").expect("written");
    let boot = volume(&disk, BOOT).expect("there");
    let block = run(mtool("mtype").args(["-i", &boot, "::/EFI/BOOT/grubenv"])).expect("read");
    assert_eq!(block.len(), 1024);
    assert!(block.starts_with(b"# GRUB Environment Block\nwords=no_timer_check quiet\n##"));
    assert!(set_kernel_words(&disk, "a\nb=c").is_err());
    assert!(set_kernel_words(&disk, &"x".repeat(1000)).is_err());
    let line = run(mtool("mtype").args(["-i", &boot, "::/EFI/BOOT/grub.cfg"])).expect("read");
    let line = String::from_utf8(line).expect("text");
    assert!(line.contains("$words console=tty0 console=ttyS0,115200 ") && line.trim_end().contains(" -- init"), "{line}");
    assert!(partition(&disk, "otedama-c").expect_err("none").to_string().contains("otedama-c"));
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = std::env::temp_dir().join(format!("otedama-disk-large-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("made");
    let (disk, large) = (folder.join("disk.img"), folder.join("large"));
    table(&disk, &Identity([1; 32])).expect("a table");
    File::create(&large).and_then(|f| f.set_len(2 * MIB)).expect("made");
    assert!(put(&disk, BIOS, &large).expect_err("too large").to_string().contains("and it has 1048576"));
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn identifiers_follow_from_what_is_inside() {
    let (one, other) = (Identity([1; 32]), Identity([2; 32]));
    assert_eq!(one.uuid("disk"), one.uuid("disk"));
    assert_ne!(one.uuid("disk"), other.uuid("disk"));
    assert_ne!(one.uuid("disk"), one.uuid(ROOT));
    let uuid = one.uuid(ROOT);
    assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert_eq!(&uuid[14..15], "8", "of version 8");
}
