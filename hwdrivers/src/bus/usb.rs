//! Finds USB boards by what they call themselves: a pure look at the tree that Linux shows under `/sys`, no bus is touched.
//!
//! A board is one USB device with two serial lines: the first is its controller's, the second its chips'. Names of lines
//! (`ttyACM0`) come and go with every plug; a board's serial number stays, so [`Identity`] finds a line again. Not here: when to
//! look, and what products call themselves (`board`).

use model::UsbIdentity;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Linux shows its devices.
pub const SYS: &str = "/sys";
/// Where their nodes are.
pub const DEV: &str = "/dev";
/// Most entries of a folder that are looked at: 127 devices a bus, and some interfaces each.
const ENTRY_LIMIT: usize = 4096;
/// Longest text of a device that counts: USB's own limit is 126 characters.
const TEXT_LIMIT: usize = 256;

/// USB numbers that belong to one board, for devices whose words are not there: 1209:256F was given to EmberOne00 by pid.codes.
/// Bitaxe's c0de:cafe is an example's number, so its words alone count.
const NUMBERS: [((&str, &str), UsbIdentity); 1] =
    [(("1209", "256f"), UsbIdentity { manufacturer: "256F", product: "EmberOne00" })];

/// A board that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsbBoard {
    /// What it is.
    pub identity: UsbIdentity,
    /// Its serial number. Boards with an early firmware have one and the same.
    pub serial: Option<String>,
    /// Hardware revision (high byte) and firmware version (low byte), as its device descriptor has them.
    pub version: u16,
    /// Which USB port it is in, such as `1-2.4`.
    pub port: String,
    /// Its controller's line: I²C, GPIO, analog inputs, light.
    pub control: PathBuf,
    /// Its chips' line.
    pub data: PathBuf,
}

/// Which of a board's two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its controller's.
    Control,
    /// Its chips'.
    Data,
}

/// A line of a board, whatever it is called today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    board: UsbIdentity,
    serial: Option<String>,
    port: String,
    role: Role,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.serial {
            Some(serial) => write!(f, "{} {serial}", self.board.product),
            None => write!(f, "{} in USB port {}", self.board.product, self.port),
        }
    }
}

/// The boards of these kinds on this machine.
#[must_use]
pub fn found(known: &[UsbIdentity]) -> Vec<UsbBoard> {
    boards(Path::new(SYS), Path::new(DEV), known)
}

/// The boards below these roots of `/sys` and `/dev`, in the order of their ports. A device whose lines are not all there yet, as
/// in the moment of its plug, is none.
#[must_use]
pub fn boards(sys: &Path, dev: &Path, known: &[UsbIdentity]) -> Vec<UsbBoard> {
    let devices = sys.join("bus/usb/devices");
    let names = entries(&devices);
    let mut boards: Vec<UsbBoard> =
        names.iter().filter(|name| !name.contains(':')).filter_map(|port| board(&devices, &names, port, dev, known)).collect();
    boards.sort_by(|a, b| a.port.cmp(&b.port));
    boards
}

fn board(devices: &Path, names: &[String], port: &str, dev: &Path, known: &[UsbIdentity]) -> Option<UsbBoard> {
    let text = |what: &str| text(&devices.join(port).join(what));
    let words = [text("manufacturer"), text("product"), text("idVendor"), text("idProduct")].map(Option::unwrap_or_default);
    let by_words = known.iter().copied().find(|k| (k.manufacturer, k.product) == (&*words[0], &*words[1]));
    let by_number = || NUMBERS.iter().find(|(n, k)| *n == (&*words[2], &*words[3]) && known.contains(k)).map(|(_, k)| *k);
    let identity = by_words.or_else(by_number)?;
    // An interface is `1-2:1.0`, configuration and number behind the colon; of a CDC-ACM pair the first one has the line.
    let of_device = names.iter().filter(|name| name.split_once(':').is_some_and(|(device, _)| device == port));
    let mut lines: Vec<(u8, PathBuf)> = of_device.filter_map(|name| line(&devices.join(name), dev)).collect();
    lines.sort();
    let mut lines = lines.into_iter().map(|(_, path)| path);
    Some(UsbBoard {
        identity,
        serial: text("serial").filter(|s| !s.is_empty()),
        version: text("bcdDevice").and_then(|v| u16::from_str_radix(&v, 16).ok()).unwrap_or(0),
        port: port.to_owned(),
        control: lines.next()?,
        data: lines.next()?,
    })
}

/// The serial line of an interface, with the interface's number.
fn line(interface: &Path, dev: &Path) -> Option<(u8, PathBuf)> {
    let number = u8::from_str_radix(&text(&interface.join("bInterfaceNumber"))?, 16).ok()?;
    let name = entries(&interface.join("tty")).into_iter().find(|name| name.starts_with("tty"))?;
    Some((number, dev.join(name)))
}

fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.take(ENTRY_LIMIT).filter_map(|e| e.ok()?.file_name().into_string().ok()).collect()
}

fn text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok().filter(|bytes| bytes.len() <= TEXT_LIMIT)?;
    // A device says what it likes, and it is shown: nothing that a terminal would obey.
    String::from_utf8(bytes).ok().map(|s| s.trim().to_owned()).filter(|s| !s.chars().any(char::is_control))
}

/// Which board's line a path is, where it is one.
#[must_use]
pub fn identity(boards: &[UsbBoard], path: &Path) -> Option<Identity> {
    boards.iter().find_map(|b| {
        let role = [(&b.control, Role::Control), (&b.data, Role::Data)].into_iter().find(|(line, _)| *line == path)?.1;
        Some(Identity { board: b.identity, serial: b.serial.clone(), port: b.port.clone(), role })
    })
}

/// Where that line is now: on the board with its serial number or, where several have it or none has any, in its port.
#[must_use]
pub fn path_of<'a>(boards: &'a [UsbBoard], line: &Identity) -> Option<&'a Path> {
    let alike: Vec<&UsbBoard> = boards.iter().filter(|b| b.identity == line.board && b.serial == line.serial).collect();
    let board = match alike[..] {
        [one] if line.serial.is_some() => one,
        _ => alike.into_iter().find(|b| b.port == line.port)?,
    };
    Some(match line.role {
        Role::Control => &board.control,
        Role::Data => &board.data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMBER: UsbIdentity = UsbIdentity { manufacturer: "256F", product: "EmberOne00" };
    const BITAXE: UsbIdentity = UsbIdentity { manufacturer: "OSMU", product: "Bitaxe" };

    /// A tree as Linux shows it.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Tree {
            let root = std::env::temp_dir().join(format!("otedama-usb-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(root.join("bus/usb/devices")).expect("a folder");
            Tree(root)
        }

        fn device(&self, port: &str, texts: &[(&str, &str)]) {
            let folder = self.0.join("bus/usb/devices").join(port);
            fs::create_dir_all(&folder).expect("a folder");
            for (name, value) in texts {
                fs::write(folder.join(name), format!("{value}\n")).expect("written");
            }
        }

        fn interface(&self, port: &str, number: &str, tty: Option<&str>) {
            let decimal = u8::from_str_radix(number, 16).expect("a number");
            let name = format!("{port}:1.{decimal}");
            self.device(&name, &[("bInterfaceNumber", number)]);
            if let Some(tty) = tty {
                fs::create_dir_all(self.0.join("bus/usb/devices").join(name).join("tty").join(tty)).expect("a folder");
            }
        }

        fn ember(&self, port: &str, serial: &str, [control, data]: [&str; 2]) {
            let texts = [("idVendor", "1209"), ("idProduct", "256f"), ("bcdDevice", "0510"), ("serial", serial)];
            self.device(port, &texts);
            self.device(port, &[("manufacturer", "256F"), ("product", "EmberOne00")]);
            self.interface(port, "02", Some(data));
            self.interface(port, "00", Some(control));
            self.interface(port, "01", None);
            self.interface(port, "03", None);
        }

        fn boards(&self) -> Vec<UsbBoard> {
            boards(&self.0, Path::new("/dev"), &[EMBER, BITAXE])
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn boards_are_known_by_their_words_and_their_lines_by_interface() {
        let tree = Tree::new("words");
        // Line names in another order than interfaces, and ten is behind nine: only the interface's number counts.
        tree.ember("1-2", "8f3a91cc", ["ttyACM10", "ttyACM9"]);
        tree.device("2-1.4", &[("manufacturer", "OSMU"), ("product", "Bitaxe"), ("idVendor", "c0de"), ("idProduct", "cafe")]);
        tree.interface("2-1.4", "00", Some("ttyACM0"));
        tree.interface("2-1.4", "0a", Some("ttyACM1"));
        tree.device("1-3", &[("manufacturer", "OSMU"), ("product", "bitcrane3"), ("idVendor", "c0de"), ("idProduct", "cafe")]);
        tree.interface("1-3", "00", Some("ttyACM5"));
        tree.interface("1-3", "02", Some("ttyACM6"));
        tree.device("usb1", &[("manufacturer", "Linux"), ("product", "xHCI Host Controller")]);
        let found = tree.boards();
        let ember = UsbBoard {
            identity: EMBER,
            serial: Some("8f3a91cc".to_owned()),
            version: 0x0510,
            port: "1-2".to_owned(),
            control: "/dev/ttyACM10".into(),
            data: "/dev/ttyACM9".into(),
        };
        assert_eq!(found[0], ember);
        assert_eq!((found[1].identity, found[1].serial.as_deref(), found[1].version), (BITAXE, None, 0));
        assert_eq!((&*found[1].control, &*found[1].data), (Path::new("/dev/ttyACM0"), Path::new("/dev/ttyACM1")));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_board_without_words_is_known_by_its_number_and_half_a_board_is_none() {
        let tree = Tree::new("number");
        tree.device("1-1", &[("idVendor", "1209"), ("idProduct", "256f"), ("serial", "a")]);
        tree.interface("1-1", "00", Some("ttyACM0"));
        assert_eq!(tree.boards(), [], "its second line is not there yet");
        tree.interface("1-1", "02", Some("ttyACM1"));
        assert_eq!(tree.boards()[0].identity, EMBER);
        assert_eq!(boards(Path::new("/nonexistent"), Path::new("/dev"), &[EMBER]), []);
    }

    #[test]
    fn what_a_device_says_cannot_reach_a_terminal_or_fill_memory() {
        let tree = Tree::new("hostile");
        tree.ember("1-1", "\u{1b}[2J", ["ttyACM0", "ttyACM1"]);
        tree.ember("1-2", &"x".repeat(300), ["ttyACM2", "ttyACM3"]);
        assert!(tree.boards().iter().all(|b| b.serial.is_none()));
    }

    #[test]
    fn a_line_is_found_again_by_its_boards_serial_number() {
        let tree = Tree::new("again");
        tree.ember("1-1", "aa", ["ttyACM0", "ttyACM1"]);
        tree.ember("1-2", "bb", ["ttyACM2", "ttyACM3"]);
        let before = tree.boards();
        let line = identity(&before, Path::new("/dev/ttyACM3")).expect("a board's line");
        assert_eq!(line.to_string(), "EmberOne00 bb");
        assert_eq!(path_of(&before, &line), Some(Path::new("/dev/ttyACM3")));
        assert_eq!(identity(&before, Path::new("/dev/ttyS0")), None);
        drop(tree);

        let tree = Tree::new("again");
        tree.ember("1-1", "bb", ["ttyACM0", "ttyACM1"]);
        assert_eq!(path_of(&tree.boards(), &line), Some(Path::new("/dev/ttyACM1")), "in another port, under another name");
        let other = identity(&before, Path::new("/dev/ttyACM0")).expect("a board's line");
        assert_eq!(path_of(&tree.boards(), &other), None, "the other board is not there, whatever has its name");
    }

    #[test]
    fn boards_that_share_a_serial_number_are_told_apart_by_their_ports() {
        let tree = Tree::new("alike");
        tree.ember("1-1", "aa", ["ttyACM0", "ttyACM1"]);
        tree.ember("1-2", "aa", ["ttyACM2", "ttyACM3"]);
        let boards = tree.boards();
        for path in ["/dev/ttyACM0", "/dev/ttyACM3"] {
            let line = identity(&boards, Path::new(path)).expect("a board's line");
            assert_eq!(path_of(&boards, &line), Some(Path::new(path)));
        }
    }
}
