//! The USB sockets as a QEMU meets them: a device is found and its lines reach the chips, nonsense ends a connection alone, one
//! QEMU at a time is served, and the next one finds a device that was just plugged in. A guest's own drivers are in the image's
//! tests.

use model::Product;
use sim::RealTime;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

/// A machine on a thread of its own, ended with the test.
struct Served {
    folder: PathBuf,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn new(name: &str, product: &'static Product) -> Served {
        let folder = std::env::temp_dir().join(format!("otedama-test-usb-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut machine = RealTime::open(product, 1, &folder.join("bus.sock")).expect("ptys and a socket");
        machine.open_usb(product, 1, &folder, |_| {}).expect("sockets");
        let (stop, stopped) = UnixStream::pair().expect("a pair");
        let thread = std::thread::spawn(move || machine.run(&stopped).expect("serves"));
        Served { folder, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|e| e.is_ok()), "it serves to its end");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What QEMU's `usb-redir` says first: it can everything.
fn hello() -> Vec<u8> {
    [&[0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 0, 0][..], b"qemu usb-redir guest 10.0.2", &[0; 37], &[0xff, 0, 0, 0]].concat()
}

/// A guest's controller.
struct Qemu(UnixStream);

impl Qemu {
    /// Connects, and hears what device there is: its numbers.
    fn connect(path: &Path) -> (Qemu, [u16; 3]) {
        let stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a guard");
        let mut qemu = Qemu(stream);
        qemu.0.write_all(&hello()).expect("taken");
        let mut theirs = [0; 80];
        qemu.0.read_exact(&mut theirs).expect("a hello");
        let told = [0, 1, 2].map(|_| qemu.hear());
        assert_eq!([0, 1, 2].map(|n| told[n].0), [5, 4, 1], "endpoints, interfaces, device");
        let half = |at: usize| u16::from_le_bytes([told[2].2[at], told[2].2[at + 1]]);
        (qemu, [half(4), half(6), half(8)])
    }

    fn say(&mut self, kind: u32, id: u64, body: &[u8]) {
        let frame = [&kind.to_le_bytes()[..], &(body.len() as u32).to_le_bytes(), &id.to_le_bytes(), body].concat();
        self.0.write_all(&frame).expect("taken");
    }

    fn hear(&mut self) -> (u32, u64, Vec<u8>) {
        let mut head = [0; 16];
        self.0.read_exact(&mut head).expect("a frame");
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four"));
        let mut body = vec![0; word(4) as usize];
        self.0.read_exact(&mut body).expect("its body");
        (word(0), u64::from(word(8)), body)
    }

    fn control(&mut self, request: u8, value: u16, interface: u16, bytes: &[u8]) {
        let numbers = [value, interface, bytes.len() as u16].map(u16::to_le_bytes).concat();
        self.say(100, 1, &[&[0, request, 0x21, 0][..], &numbers, bytes].concat());
        assert_eq!(self.hear().2[3], 0, "request {request:#x}");
    }

    fn text(&mut self, number: u16) -> String {
        let numbers = [0x0300 | number, 0x0409, 255].map(u16::to_le_bytes).concat();
        self.say(100, 1, &[&[0x80, 6, 0x80, 0][..], &numbers].concat());
        let units: Vec<u16> = self.hear().2[12..].chunks(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect();
        String::from_utf16(&units).expect("a text")
    }

    /// Opens a line at this rate.
    fn open(&mut self, line: u8, rate: u32) {
        self.control(0x20, 0, u16::from(2 * line), &[&rate.to_le_bytes()[..], &[0, 0, 8]].concat());
        self.control(0x22, 3, u16::from(2 * line), &[]);
    }

    fn write(&mut self, line: u8, bytes: &[u8]) {
        let length = (bytes.len() as u16).to_le_bytes();
        self.say(101, 2, &[&[2 + 2 * line, 0, length[0], length[1], 0, 0, 0, 0, 0, 0][..], bytes].concat());
        assert_eq!(self.hear().2[1], 0);
    }

    /// Waits for this many bytes.
    fn read(&mut self, line: u8, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            self.say(101, 3, &[0x82 + 2 * line, 0, 0, 4, 0, 0, 0, 0, 0, 0]);
            let (kind, id, body) = self.hear();
            assert_eq!((kind, id, body[0], body[1]), (101, 3, 0x82 + 2 * line, 0));
            all.extend(&body[10..]);
        }
        all
    }
}

fn configure(qemu: &mut Qemu) {
    qemu.say(6, 9, &[1]);
    assert_eq!([0, 1, 2].map(|_| qemu.hear().0), [5, 4, 8]);
}

#[test]
fn a_usb_board_says_who_it_is_and_both_its_lines_answer() {
    let served = Served::new("board", &board::bitaxe_gamma::PRODUCT);
    assert!(!served.folder.join("usb1.sock").exists(), "it is one device");
    let (mut qemu, numbers) = Qemu::connect(&served.folder.join("usb0.sock"));
    assert_eq!(numbers[..2], [0xc0de, 0xcafe]);
    assert_eq!([1, 2].map(|n| qemu.text(n)), ["OSMU", "Bitaxe"]);
    assert!(!qemu.text(3).is_empty());
    configure(&mut qemu);
    qemu.open(0, 115_200);
    // The regulator's power and the chip's reset, over the controller: its answers have the id and no code.
    for (line, level) in [(1, 1), (2, 1), (0, 1)] {
        qemu.write(0, &[7, 0, 5, 0, 6, line, level]);
        assert_eq!(qemu.read(0, 5), [5, 0, 5, 0, level], "line {line}");
    }
    // A fan controller's identity, as the bus has it.
    qemu.write(0, &[9, 0, 6, 0, 5, 0x40, 0x4c, 0xfd, 1]);
    assert_eq!(qemu.read(0, 5), [5, 0, 6, 0, 0x16]);
}

#[test]
fn a_chain_of_a_control_board_is_a_device_of_its_own_and_hears_its_own_rate() {
    let served = Served::new("chains", &board::antminer_s19jpro::PRODUCT);
    let mut bus = hwdrivers::bus::socket::SocketI2c::open(&served.folder.join("bus.sock")).expect("it listens");
    let mut lines = hwdrivers::bus::socket::SocketGpio::open(&served.folder.join("bus.sock")).expect("it listens");
    use hwdrivers::bus::{Gpio, I2c, Message};
    lines.set(65, true).expect("a line");
    lines.set(5, true).expect("a line");
    bus.transfer(0x20, &mut [Message::Write(&[0x55, 0xaa, 5, 0x15, 1, 0, 0x1b])]).expect("answers");
    let (mut qemu, numbers) = Qemu::connect(&served.folder.join("usb0.sock"));
    assert_eq!(numbers[0], 0x1209);
    assert_eq!(qemu.text(2), "Simulated chain 0");
    configure(&mut qemu);
    // Who are you, at a rate that no chip hears, and at theirs, one right behind the other.
    let who = [0x55, 0xaa, 0x52, 5, 0, 0, 0x0a];
    qemu.open(0, 921_600);
    qemu.write(0, &who);
    qemu.open(0, 115_200);
    qemu.write(0, &who);
    let answers = qemu.read(0, 126 * 9);
    assert_eq!(answers.len(), 126 * 9);
    assert!(answers.chunks(9).all(|a| a[..2] == [0xaa, 0x55]), "{answers:?}");
    let (_other, _) = Qemu::connect(&served.folder.join("usb2.sock"));
}

#[test]
fn nonsense_ends_its_connection_and_one_qemu_at_a_time_is_served() {
    let served = Served::new("nonsense", &board::bitaxe_gamma::PRODUCT);
    let path = served.folder.join("usb0.sock");
    let gone = |mut stream: UnixStream| {
        let mut rest = Vec::new();
        // Reset by the other end is gone as well.
        let _ = stream.read_to_end(&mut rest);
    };
    for garbage in [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0xff; 100],
        hello().into_iter().chain([0xff; 16]).collect(),
        [hello(), vec![101, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]].concat(),
    ] {
        let mut stream = UnixStream::connect(&path).expect("it listens");
        stream.write_all(&garbage).expect("taken");
        gone(stream);
    }
    let (mut first, _) = Qemu::connect(&path);
    gone(UnixStream::connect(&path).expect("it listens"));
    configure(&mut first);
    first.open(1, 115_200);
    // A read that waits when its QEMU dies is nobody's afterwards.
    first.say(101, 77, &[0x84, 0, 0, 4, 0, 0, 0, 0, 0, 0]);
    drop(first);
    let (mut second, numbers) = Qemu::connect(&path);
    assert_eq!(numbers[..2], [0xc0de, 0xcafe]);
    second.say(7, 4, &[]);
    assert_eq!(second.hear(), (8, 4, vec![0, 0]), "it was just plugged in");
}
