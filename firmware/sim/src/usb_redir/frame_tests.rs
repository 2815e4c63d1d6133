//! Frames as QEMU 10.0.2 sends them, bad ones, and any bytes at all.

use super::*;
use proptest::prelude::*;

/// A frame as QEMU builds one.
pub fn asked(kind: u32, id: u64, body: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(body.len() as u32).to_le_bytes(), &id.to_le_bytes(), body].concat()
}

fn hello_of(capabilities: &[u32]) -> Vec<u8> {
    let length = 64 + 4 * capabilities.len() as u32;
    let mut version = [0; 64];
    version[..27].copy_from_slice(b"qemu usb-redir guest 10.0.2");
    let words: Vec<u8> = capabilities.iter().flat_map(|w| w.to_le_bytes()).collect();
    [&[0; 4], &length.to_le_bytes()[..], &[0; 4], &version, &words].concat()
}

#[test]
fn a_qemu_is_greeted_whose_capabilities_suffice() {
    // What QEMU 10.0.2 says, and more than it says.
    for words in [&[0xff][..], &[0xffff_ffff, 7], &[CAPABILITIES]] {
        let mut bytes = [hello_of(words), asked(3, 0, &[])].concat();
        assert_eq!(take_hello(&mut bytes), Ok(true), "{words:?}");
        assert_eq!(take(&mut bytes), Ok(Some((0, Request::Reset))));
    }
    for (words, has) in [(&[][..], 0), (&[0], 0), (&[0x52], 0x52), (&[0x32], 0x32)] {
        let error = take_hello(&mut hello_of(words)).expect_err("too little");
        assert_eq!(error, FrameError::Capabilities { has }, "{words:?}");
        assert!(error.to_string().contains("QEMU 1.5"), "{error}");
    }
    let whole = hello_of(&[0xff]);
    for n in 0..whole.len() {
        assert_eq!(take_hello(&mut whole[..n].to_vec()), Ok(false), "{n} bytes");
    }
}

#[test]
fn what_is_no_hello_is_refused_before_it_is_waited_for() {
    for first in [&b"GET / HTTP/1.1\r\n"[..], &[0xff; 12], &[0; 12], &asked(101, 0, &[0; 64]), &hello_of(&[0; 9])] {
        let error = take_hello(&mut first.to_vec()).expect_err("no hello");
        assert!(error.to_string().contains("usb-redir?"), "{error}");
    }
    assert_eq!(hello()[..12], [0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((&hello()[12..20], hello()[76..].to_vec()), (&b"otedama\0"[..], vec![0x72, 0, 0, 0]));
}

#[test]
fn requests_are_read_whole_and_one_by_one() {
    let setup = |request_type, length| Setup { request_type, request: 0x20, value: 1, index: 2, length };
    let coding = [0x40, 0x42, 0x0f, 0, 0, 0, 8];
    let rows = [
        (asked(3, 1, &[]), Request::Reset),
        (asked(6, 2, &[1]), Request::SetConfiguration(1)),
        (asked(7, 3, &[]), Request::GetConfiguration),
        (asked(9, 4, &[1, 0]), Request::SetAlt { interface: 1, alt: 0 }),
        (asked(10, 5, &[1]), Request::GetAlt(1)),
        (asked(15, 6, &[0x81]), Request::StartInterrupt(0x81)),
        (asked(16, 7, &[0x81]), Request::StopInterrupt(0x81)),
        (asked(21, 1 << 40, &[]), Request::Cancel),
        (
            asked(100, 9, &[&[0, 0x20, 0x21, 0, 1, 0, 2, 0, 7, 0][..], &coding].concat()),
            Request::Control(setup(0x21, 7), coding.to_vec()),
        ),
        (asked(100, 10, &[0x80, 0x20, 0xa1, 0, 1, 0, 2, 0, 7, 0]), Request::Control(setup(0xa1, 7), Vec::new())),
        (
            asked(101, 11, &[2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 8, 9]),
            Request::Write { endpoint: 2, stream: 0, bytes: vec![7, 8, 9] },
        ),
        (asked(101, 12, &[0x82, 0, 0, 4, 0, 0, 0, 0, 1, 0]), Request::Read { endpoint: 0x82, stream: 0, length: 0x1_0400 }),
    ];
    let mut bytes: Vec<u8> = rows.iter().flat_map(|(frame, _)| frame.clone()).collect();
    for (frame, request) in rows {
        let id = u64::from_le_bytes(frame[8..16].try_into().expect("eight"));
        for n in 0..frame.len() {
            assert_eq!(take(&mut frame[..n].to_vec()), Ok(None), "{n} bytes of {request:?}");
        }
        assert_eq!(take(&mut bytes), Ok(Some((id, request))));
    }
    assert!(bytes.is_empty());
}

#[test]
fn what_no_serial_device_is_asked_is_refused_by_name() {
    let length = |kind, length| FrameError::Length { kind, length };
    let mut long = asked(101, 0, &[]);
    long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    for (frame, error) in [
        (asked(0, 0, &[0; 68]), FrameError::Kind(0)),
        (asked(12, 0, &[1, 2, 3]), FrameError::Kind(12)),
        (asked(18, 0, &[0; 8]), FrameError::Kind(18)),
        (asked(25, 0, &[0; 10]), FrameError::Kind(25)),
        (asked(102, 0, &[1, 0, 0, 0]), FrameError::Kind(102)),
        (asked(u32::MAX, 0, &[]), FrameError::Kind(u32::MAX)),
        (asked(3, 0, &[0]), length(3, 1)),
        (asked(6, 0, &[]), length(6, 0)),
        (asked(9, 0, &[1]), length(9, 1)),
        (asked(9, 0, &[1, 2, 3]), length(9, 3)),
        (asked(100, 0, &[0; 9]), length(100, 9)),
        // It says that it sends four bytes, or wants some and sends one.
        (asked(100, 0, &[0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1]), length(100, 11)),
        (asked(100, 0, &[0x80, 6, 0x80, 0, 0, 1, 0, 0, 18, 0, 1]), length(100, 11)),
        (asked(101, 0, &[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1]), length(101, 11)),
        (asked(101, 0, &[0x82, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1]), length(101, 11)),
        (long, FrameError::TooLong { kind: 101, length: usize::try_from(u32::MAX).expect("64 bits") }),
    ] {
        assert_eq!(take(&mut frame.clone()), Err(error.clone()), "{frame:?}");
        let word = error.to_string();
        assert!(word.contains("kind"), "{word}");
    }
}

#[test]
fn replies_have_the_layout_of_what_was_agreed_on() {
    let connect = Reply::Connect([0xef, 2, 1], [0x1209, 0x256f, 0x0500]).frame(0);
    assert_eq!(connect[16..], [2, 0xef, 2, 1, 9, 0x12, 0x6f, 0x25, 0, 5]);
    let none = Endpoint { kind: 255, interval: 0, interface: 0, packet: 0 };
    let endpoints = Reply::Endpoints(&[Endpoint { packet: 0x0200, ..none }; ENDPOINTS]).frame(0);
    assert_eq!((endpoints.len(), endpoints[16], &endpoints[16 + 96..16 + 98]), (16 + 160, 255, &[0, 2][..]));
    let interfaces = Reply::Interfaces(&[[0, 2, 2, 1], [1, 10, 0, 0]]).frame(0);
    assert_eq!((interfaces.len(), &interfaces[16..22], &interfaces[52..54]), (16 + 132, &[2, 0, 0, 0, 0, 1][..], &[2, 10][..]));
    let read = Reply::Read(Status::Success, 0x82, 5, &[1, 2]).frame(1 << 32);
    assert_eq!(read[..16], [101, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(read[16..], [0x82, 0, 2, 0, 5, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(Reply::Written(Status::Success, 2, 0, 0x1_0002).frame(0)[16..], [2, 0, 2, 0, 0, 0, 0, 0, 1, 0]);
    let setup = Setup { request_type: 0x21, request: 0x20, value: 0, index: 0, length: 7 };
    assert_eq!(Reply::Control(setup, Status::Success, &[]).frame(0)[16..], [0, 0x20, 0x21, 0, 0, 0, 0, 0, 7, 0]);
    assert_eq!(Reply::Control(setup, Status::Stall, &[]).frame(0)[16..], [0, 0x20, 0x21, 4, 0, 0, 0, 0, 0, 0]);
    let wanted = Setup { request_type: 0xa1, ..setup };
    assert_eq!(Reply::Control(wanted, Status::Success, &[9]).frame(0)[16..], [0x80, 0x20, 0xa1, 0, 0, 0, 0, 0, 1, 0, 9]);
    assert_eq!(Reply::Disconnect.frame(0), asked(2, 0, &[]));
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_an_error_and_always_get_fewer(
        kind in prop_oneof![0u32..30, 100u32..106, any::<u32>()],
        length in prop_oneof![0u32..40, any::<u32>()],
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = [&kind.to_le_bytes()[..], &length.to_le_bytes(), &rest].concat();
        let _ = take_hello(&mut bytes.clone());
        loop {
            let before = bytes.len();
            match take(&mut bytes) {
                Ok(Some(_)) => prop_assert!(bytes.len() < before),
                Ok(None) => {
                    prop_assert!(bytes.len() < HEAD + BODY_LIMIT);
                    break;
                }
                Err(_) => break,
            }
        }
    }
}
