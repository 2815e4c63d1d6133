//! Frames of the USB redirection protocol (usbredir 0.7, `usb-redirection-protocol` of SPICE): bytes that QEMU sends become
//! requests, what a device says becomes bytes. Pure, so that any bytes can be tried on it.
//!
//! The width of several fields hangs on what both ends can. There is one layout here: a QEMU that lacks one of [`CAPABILITIES`]
//! could not attach a device to an xHCI either, and is refused. Not here: what a device answers (`device`), isochronous streams
//! and all else that no serial line has.

/// What an end can, as bits of its hello: device versions (1), packet sizes of endpoints (4), ids of 64 bits (5), lengths of 32
/// bits (6). We say these alone, so that the other end uses nothing else.
pub const CAPABILITIES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6;
/// The words of an end in its hello, ended by a zero.
const VERSION_BYTES: usize = 64;
/// The hello has an id of 32 bits, whatever is agreed on by it.
const HELLO_HEAD: usize = 12;
/// Kind, length, id of 64 bits.
const HEAD: usize = 16;
/// Longest body: a transfer of 64 KiB, four times what a controller combines, behind its head of ten bytes.
const BODY_LIMIT: usize = 64 * 1024 + 10;
/// Most words of capabilities; there is one today.
const CAPABILITY_WORDS: usize = 8;
/// Endpoints of a device: 16 out, then 16 in.
pub const ENDPOINTS: usize = 32;

/// The kinds of frames, by their numbers.
mod kind {
    pub const HELLO: u32 = 0;
    pub const CONNECT: u32 = 1;
    pub const DISCONNECT: u32 = 2;
    pub const RESET: u32 = 3;
    pub const INTERFACES: u32 = 4;
    pub const ENDPOINTS: u32 = 5;
    pub const SET_CONFIGURATION: u32 = 6;
    pub const GET_CONFIGURATION: u32 = 7;
    pub const CONFIGURATION: u32 = 8;
    pub const SET_ALT: u32 = 9;
    pub const GET_ALT: u32 = 10;
    pub const ALT: u32 = 11;
    pub const START_INTERRUPT: u32 = 15;
    pub const STOP_INTERRUPT: u32 = 16;
    pub const INTERRUPT: u32 = 17;
    pub const CANCEL: u32 = 21;
    pub const CONTROL: u32 = 100;
    pub const BULK: u32 = 101;
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As asked.
    Success = 0,
    /// Taken back before it was carried out.
    Cancelled = 1,
    /// There is nothing such.
    Invalid = 2,
    /// The device refuses.
    Stall = 4,
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Something else than a hello comes first.
    #[error("a hello comes first (kind 0, 64 bytes and more), not kind {kind} with {length} bytes: is this QEMU's usb-redir?")]
    NoHello {
        /// What came.
        kind: u32,
        /// So many bytes of it.
        length: usize,
    },
    /// A QEMU that cannot what is needed.
    #[error("its usb-redir can {has:#04x} of the capabilities {CAPABILITIES:#04x}: take QEMU 1.5 or later")]
    Capabilities {
        /// What it can.
        has: u32,
    },
    /// A kind that a serial device has no use for.
    #[error("frames of kind {0} are not for a serial device")]
    Kind(u32),
    /// A frame longer than any transfer.
    #[error("a frame of kind {kind} has {length} bytes, more than {BODY_LIMIT}")]
    TooLong {
        /// Which.
        kind: u32,
        /// Its length.
        length: usize,
    },
    /// A frame with more or fewer bytes than its kind has.
    #[error("a frame of kind {kind} does not have {length} bytes")]
    Length {
        /// Which.
        kind: u32,
        /// Its length.
        length: usize,
    },
}

/// A control request, as USB has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Direction, class and recipient.
    pub request_type: u8,
    /// Which request.
    pub request: u8,
    /// Its value.
    pub value: u16,
    /// Interface or endpoint.
    pub index: u16,
    /// Bytes that are sent or wanted.
    pub length: u16,
}

/// What QEMU asks of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A reset of the port.
    Reset,
    /// This configuration.
    SetConfiguration(u8),
    /// Which configuration there is.
    GetConfiguration,
    /// This setting of an interface.
    SetAlt {
        /// Which.
        interface: u8,
        /// Its setting.
        alt: u8,
    },
    /// Which setting an interface has.
    GetAlt(u8),
    /// Notifications of this endpoint.
    StartInterrupt(u8),
    /// No more of them.
    StopInterrupt(u8),
    /// The request with this id is taken back.
    Cancel,
    /// A control request, with the bytes of one that sends.
    Control(Setup, Vec<u8>),
    /// Bytes for the device.
    Write {
        /// Where to.
        endpoint: u8,
        /// Told back.
        stream: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Bytes of the device, when there are some.
    Read {
        /// Where from.
        endpoint: u8,
        /// Told back.
        stream: u32,
        /// At most so many.
        length: usize,
    },
}

/// An endpoint, as it is told before a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Control 0, bulk 2, interrupt 3; 255 is none.
    pub kind: u8,
    /// How often it is asked, for interrupts.
    pub interval: u8,
    /// Whose it is.
    pub interface: u8,
    /// Bytes of one packet.
    pub packet: u16,
}

/// An interface, likewise: number, class, subclass, protocol.
pub type Interface = [u8; 4];

/// What a device says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// It was plugged in: class, subclass and protocol, then vendor, product, version.
    Connect([u8; 3], [u16; 3]),
    /// It was pulled.
    Disconnect,
    /// Its interfaces.
    Interfaces(&'a [Interface]),
    /// Its endpoints.
    Endpoints(&'a [Endpoint; ENDPOINTS]),
    /// Its configuration.
    Configuration(Status, u8),
    /// The setting of an interface.
    Alt(Status, u8, u8),
    /// Whether notifications of an endpoint come.
    Interrupt(Status, u8),
    /// The end of a control request, with the bytes of one that wants some, or how many of one that sends were taken.
    Control(Setup, Status, &'a [u8]),
    /// The end of a write: endpoint, stream, how many bytes.
    Written(Status, u8, u32, usize),
    /// The end of a read: endpoint, stream, the bytes.
    Read(Status, u8, u32, &'a [u8]),
}

/// High speed: 480 Mbit/s.
const HIGH_SPEED: u8 = 2;

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    // Callers have checked that there are so many.
    word.iter_mut().zip(&bytes[at..]).for_each(|(to, from)| *to = *from);
    u32::from_le_bytes(word)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn index(word: u32) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

/// Our hello.
#[must_use]
pub fn hello() -> Vec<u8> {
    let mut version = [0; VERSION_BYTES];
    version.iter_mut().zip(b"otedama").for_each(|(to, from)| *to = *from);
    let length = (VERSION_BYTES + 4) as u32;
    [&kind::HELLO.to_le_bytes()[..], &length.to_le_bytes(), &[0; 4], &version, &CAPABILITIES.to_le_bytes()].concat()
}

/// Takes the other end's hello from what has arrived; whether it was there.
///
/// # Errors
/// It is none, or that end cannot what is needed.
pub fn take_hello(bytes: &mut Vec<u8>) -> Result<bool, FrameError> {
    if bytes.len() < HELLO_HEAD {
        return Ok(false);
    }
    let (kind, length) = (word(bytes, 0), index(word(bytes, 4)));
    let words = length.checked_sub(VERSION_BYTES).filter(|l| l % 4 == 0).map(|l| l / 4);
    if kind != kind::HELLO || words.is_none_or(|w| w > CAPABILITY_WORDS) {
        return Err(FrameError::NoHello { kind, length });
    }
    if bytes.len() < HELLO_HEAD + length {
        return Ok(false);
    }
    let hello: Vec<u8> = bytes.drain(..HELLO_HEAD + length).collect();
    let has = if words == Some(0) { 0 } else { word(&hello, HELLO_HEAD + VERSION_BYTES) };
    if has & CAPABILITIES == CAPABILITIES { Ok(true) } else { Err(FrameError::Capabilities { has: has & CAPABILITIES }) }
}

/// Takes the next request and its id from what has arrived behind the hello, once it is whole.
///
/// # Errors
/// No device of ours can be asked such a thing.
pub fn take(bytes: &mut Vec<u8>) -> Result<Option<(u64, Request)>, FrameError> {
    if bytes.len() < HEAD {
        return Ok(None);
    }
    let (kind, length) = (word(bytes, 0), index(word(bytes, 4)));
    if length > BODY_LIMIT {
        return Err(FrameError::TooLong { kind, length });
    }
    // What no device of ours answers is refused by its head: its body may never come.
    let least = least(kind).ok_or(FrameError::Kind(kind))?;
    if length < least || (length > least && kind < kind::CONTROL) {
        return Err(FrameError::Length { kind, length });
    }
    if bytes.len() < HEAD + length {
        return Ok(None);
    }
    let id = u64::from(word(bytes, 8)) | u64::from(word(bytes, 12)) << 32;
    let request = request(kind, &bytes[HEAD..HEAD + length]).ok_or(FrameError::Length { kind, length })?;
    bytes.drain(..HEAD + length);
    Ok(Some((id, request)))
}

/// How many bytes a kind of request has at least.
fn least(kind: u32) -> Option<usize> {
    Some(match kind {
        kind::RESET | kind::GET_CONFIGURATION | kind::CANCEL => 0,
        kind::SET_CONFIGURATION | kind::GET_ALT | kind::START_INTERRUPT | kind::STOP_INTERRUPT => 1,
        kind::SET_ALT => 2,
        kind::CONTROL | kind::BULK => 10,
        _ => return None,
    })
}

/// The request in a body of at least so many bytes; `None` where what it says of its length is not so.
fn request(kind: u32, body: &[u8]) -> Option<Request> {
    Some(match (kind, body) {
        (kind::RESET, _) => Request::Reset,
        (kind::GET_CONFIGURATION, _) => Request::GetConfiguration,
        (kind::CANCEL, _) => Request::Cancel,
        (kind::SET_CONFIGURATION, [value, ..]) => Request::SetConfiguration(*value),
        (kind::GET_ALT, [interface, ..]) => Request::GetAlt(*interface),
        (kind::SET_ALT, [interface, alt, ..]) => Request::SetAlt { interface: *interface, alt: *alt },
        (kind::START_INTERRUPT, [endpoint, ..]) => Request::StartInterrupt(*endpoint),
        (kind::STOP_INTERRUPT, [endpoint, ..]) => Request::StopInterrupt(*endpoint),
        (kind::CONTROL, [_endpoint, request, request_type, _status, .., _, _]) => {
            let (value, index, length) = (half(body, 4), half(body, 6), half(body, 8));
            let setup = Setup { request_type: *request_type, request: *request, value, index, length };
            let bytes = body.get(10..)?;
            let sent = if setup.wants() { 0 } else { usize::from(length) };
            (bytes.len() == sent).then(|| Request::Control(setup, bytes.to_vec()))?
        }
        (kind::BULK, [endpoint, ..]) => {
            let length = usize::from(half(body, 2)) | usize::from(half(body, 8)) << 16;
            let (endpoint, stream, bytes) = (*endpoint, word(body, 4), body.get(10..)?);
            match endpoint & 0x80 {
                0 => (bytes.len() == length).then(|| Request::Write { endpoint, stream, bytes: bytes.to_vec() })?,
                _ => bytes.is_empty().then_some(Request::Read { endpoint, stream, length })?,
            }
        }
        _ => return None,
    })
}

impl Setup {
    /// Whether the other end wants bytes rather than sends some.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.request_type & 0x80 != 0
    }
}

impl Reply<'_> {
    /// The frame of it, for the request with this id; what was not asked for has id 0.
    #[must_use]
    pub fn frame(&self, id: u64) -> Vec<u8> {
        let (kind, body, bytes) = self.parts();
        let length = (body.len() + bytes.len()) as u32;
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), &id.to_le_bytes(), &body, bytes].concat()
    }

    fn parts(&self) -> (u32, Vec<u8>, &[u8]) {
        let bulk = |status: Status, endpoint: u8, stream: u32, length: usize| {
            // A transfer is shorter than [`BODY_LIMIT`].
            let length = (length as u32).to_le_bytes();
            [&[endpoint, status as u8], &length[..2], &stream.to_le_bytes(), &length[2..]].concat()
        };
        match *self {
            Reply::Connect(class, numbers) => {
                let numbers = numbers.map(u16::to_le_bytes).concat();
                (kind::CONNECT, [&[HIGH_SPEED], &class[..], &numbers].concat(), &[])
            }
            Reply::Disconnect => (kind::DISCONNECT, Vec::new(), &[]),
            Reply::Interfaces(all) => {
                let mut columns = [[0; ENDPOINTS]; 4];
                for (row, interface) in all.iter().take(ENDPOINTS).enumerate() {
                    columns.iter_mut().zip(interface).for_each(|(column, value)| column[row] = *value);
                }
                (kind::INTERFACES, [&(all.len() as u32).to_le_bytes()[..], &columns.concat()].concat(), &[])
            }
            Reply::Endpoints(all) => {
                let column = |of: fn(&Endpoint) -> u8| all.iter().map(of).collect::<Vec<u8>>();
                let packets = all.iter().flat_map(|e| e.packet.to_le_bytes()).collect();
                let columns = [column(|e| e.kind), column(|e| e.interval), column(|e| e.interface), packets];
                (kind::ENDPOINTS, columns.concat(), &[])
            }
            Reply::Configuration(status, value) => (kind::CONFIGURATION, vec![status as u8, value], &[]),
            Reply::Alt(status, interface, alt) => (kind::ALT, vec![status as u8, interface, alt], &[]),
            Reply::Interrupt(status, endpoint) => (kind::INTERRUPT, vec![status as u8, endpoint], &[]),
            Reply::Control(setup, status, bytes) => {
                let taken = if status == Status::Success { setup.length } else { 0 };
                // What is wanted is at most as long as the request says.
                let length = if setup.wants() { bytes.len() as u16 } else { taken };
                let head = [setup.request_type & 0x80, setup.request, setup.request_type, status as u8];
                let numbers = [setup.value, setup.index, length].map(u16::to_le_bytes).concat();
                (kind::CONTROL, [&head[..], &numbers].concat(), bytes)
            }
            Reply::Written(status, endpoint, stream, length) => (kind::BULK, bulk(status, endpoint, stream, length), &[]),
            Reply::Read(status, endpoint, stream, bytes) => (kind::BULK, bulk(status, endpoint, stream, bytes.len()), bytes),
        }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
pub mod tests;
