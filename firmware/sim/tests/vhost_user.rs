//! The vhost-user sockets as strangers meet them: nonsense ends a connection alone, and a machine ends however many wait on it.
//! What a guest says on them is tested beside the devices; a guest itself boots in the image's tests.

use sim::RealTime;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("otedama-test-vhost-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn machine(folder: &std::path::Path) -> RealTime {
    let mut socket = folder.as_os_str().to_owned();
    socket.push(".sock");
    RealTime::open(&board::antminer_s19jpro::PRODUCT, 1, socket.as_ref()).expect("ptys and a socket")
}

#[test]
fn nonsense_ends_its_connection_and_the_next_one_is_served() {
    let folder = folder("nonsense");
    let mut machine = machine(&folder);
    machine.open_vhost_user(&folder).expect("two sockets");
    for name in ["i2c.sock", "gpio.sock"] {
        for garbage in [
            &[0u8; 64][..],
            &[0xff; 64],
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            &[1, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        ] {
            let mut client = UnixStream::connect(folder.join(name)).expect("it listens");
            client.write_all(garbage).expect("taken");
            assert_eq!(client.read(&mut [0; 8]).unwrap_or(0), 0, "{name} {garbage:?}");
        }
        // The first question of QEMU: GET_FEATURES. Its answer has the same head and eight bytes.
        let mut client = UnixStream::connect(folder.join(name)).expect("it listens");
        client.write_all(&[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).expect("taken");
        let mut answer = [0; 20];
        client.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer[..12], [1, 0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0], "{name}");
        let features = u64::from_le_bytes(answer[12..].try_into().expect("eight"));
        assert_eq!(features & (1 << 29), 0, "a guest that has EVENT_IDX waits for ever");
        assert_eq!(features & 1, u64::from(name == "i2c.sock"), "requests without bytes; no interrupts of lines");
    }
}

#[test]
fn it_ends_with_its_sockets_while_somebody_is_connected() {
    let folder = folder("end");
    let mut first = machine(&folder);
    first.open_vhost_user(&folder).expect("two sockets");
    let mut other = RealTime::open(&board::antminer_s19jpro::PRODUCT, 1, &folder.join("bus.sock")).expect("another");
    let refused = other.open_vhost_user(&folder).err().expect("they are the first one's").to_string();
    assert!(refused.contains("i2c.sock") && refused.contains("end that one"), "{refused}");
    let mut clients: Vec<_> =
        ["i2c.sock", "i2c.sock", "gpio.sock"].map(|n| UnixStream::connect(folder.join(n)).expect("it listens")).into();
    drop(first);
    assert!(!folder.join("i2c.sock").exists() && !folder.join("gpio.sock").exists());
    for client in &mut clients {
        assert_eq!(client.read(&mut [0; 8]).unwrap_or(0), 0);
    }
    other.open_vhost_user(&folder).expect("now they are free");
    drop(other);
    std::fs::remove_dir(&folder).expect("nothing is left in it");
}
