//! An I²C bus, GPIO lines and PWM outputs behind a Unix socket: how a firmware reaches a simulated machine in another process, or in QEMU.
//!
//! Each request is answered by one reply, in turn. A frame is its length (u16) and that many bytes; numbers are little endian.
//!
//! ```text
//! request  1 transfer  address u8, count u8, then each message: 0 write, length u16, bytes | 1 read, length u16
//!          2 set       line u32, level u8 (0 or 1)
//!          3 get       line u32
//!          4 edges     line u32
//!          5 duty      channel u32, millionths of the time u32
//! reply    0 done      what was read, message after message; of a get the level, of edges their count u64, else nothing
//!          1 nack      nothing
//!          2 failed    why, UTF-8
//! ```
//!
//! Both ends use the words below, so that the form is written once. Not here: the serving end, and what sits on the bus.

use super::{BusError, Gpio, I2c, Message, Pwm};
use model::Percent;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest body of a frame: a whole EEPROM page is 256 bytes, a transfer of several still fits.
pub const BODY_LIMIT: usize = 4096;
/// Most messages of a transfer, as on Linux's own buses.
pub const MESSAGES_LIMIT: usize = 42;
/// Most bytes that a transfer reads: they come back in one reply.
pub const READ_LIMIT: usize = BODY_LIMIT - 1;
/// A duty that is full.
pub const FULL_DUTY: u32 = 1_000_000;
/// Longest text of a refusal.
const WHY_LIMIT: usize = 512;
/// Longest wait for the other end. It answers within milliseconds; a bus that hangs must not hang its owner.
const WAIT_LIMIT: Duration = Duration::from_secs(1);
/// Bytes of a frame's length.
const HEAD: usize = 2;

/// Bytes that are no frame of this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a frame of the bus socket: {0}")]
pub struct WireError(&'static str);

/// One message of a transfer, on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// To the part.
    Write(Vec<u8>),
    /// From the part, this many bytes.
    Read(usize),
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// An I²C transfer.
    Transfer {
        /// The part's 7-bit address.
        address: u8,
        /// All its messages.
        pieces: Vec<Piece>,
    },
    /// Drive a line.
    Set {
        /// Its offset.
        line: u32,
        /// Its level.
        high: bool,
    },
    /// Read a line.
    Get {
        /// Its offset.
        line: u32,
    },
    /// Count a line's edges.
    Edges {
        /// Its offset.
        line: u32,
    },
    /// Give a PWM output a duty.
    Duty {
        /// Its channel.
        channel: u32,
        /// Of [`FULL_DUTY`].
        millionths: u32,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done; what was read.
    Done(Vec<u8>),
    /// No part acknowledged.
    Nack,
    /// It failed for this reason.
    Failed(String),
}

impl Request {
    /// The whole frame.
    ///
    /// # Errors
    /// A limit of the form is exceeded.
    pub fn to_frame(&self) -> Result<Vec<u8>, WireError> {
        let mut body = Vec::new();
        match self {
            Request::Transfer { address, pieces } => {
                check_pieces(pieces)?;
                body.extend([1, *address, u8::try_from(pieces.len()).map_err(|_| TOO_MANY)?]);
                for piece in pieces {
                    let (kind, length, bytes): (u8, usize, &[u8]) = match piece {
                        Piece::Write(bytes) => (0, bytes.len(), bytes),
                        Piece::Read(length) => (1, *length, &[]),
                    };
                    body.push(kind);
                    body.extend(u16::try_from(length).map_err(|_| TOO_LONG)?.to_le_bytes());
                    body.extend(bytes);
                }
            }
            Request::Set { line, high } => {
                body.push(2);
                body.extend(line.to_le_bytes());
                body.push(u8::from(*high));
            }
            Request::Get { line } => {
                body.push(3);
                body.extend(line.to_le_bytes());
            }
            Request::Edges { line } => {
                body.push(4);
                body.extend(line.to_le_bytes());
            }
            Request::Duty { channel, millionths } => {
                if *millionths > FULL_DUTY {
                    return Err(TOO_FULL);
                }
                body.push(5);
                body.extend(channel.to_le_bytes());
                body.extend(millionths.to_le_bytes());
            }
        }
        frame(&body)
    }

    /// Reads a frame's body.
    ///
    /// # Errors
    /// It is no request.
    pub fn from_body(body: &[u8]) -> Result<Request, WireError> {
        let mut rest = body;
        let request = match take::<1>(&mut rest)? {
            [1] => {
                let [address, count] = take(&mut rest)?;
                if address > 0x7f {
                    return Err(WireError("an address beyond 7 bits"));
                }
                let mut pieces = Vec::new();
                for _ in 0..count {
                    let [kind, low, high] = take(&mut rest)?;
                    let length = usize::from(u16::from_le_bytes([low, high]));
                    pieces.push(match kind {
                        0 => {
                            let (bytes, after) = rest.split_at_checked(length).ok_or(SHORT)?;
                            rest = after;
                            Piece::Write(bytes.to_vec())
                        }
                        1 => Piece::Read(length),
                        _ => return Err(WireError("an unknown kind of message")),
                    });
                }
                check_pieces(&pieces)?;
                Request::Transfer { address, pieces }
            }
            [2] => {
                let line = u32::from_le_bytes(take(&mut rest)?);
                match take(&mut rest)? {
                    [level @ (0 | 1)] => Request::Set { line, high: level == 1 },
                    _ => return Err(WireError("a level that is neither 0 nor 1")),
                }
            }
            [3] => Request::Get { line: u32::from_le_bytes(take(&mut rest)?) },
            [4] => Request::Edges { line: u32::from_le_bytes(take(&mut rest)?) },
            [5] => {
                let (channel, millionths) = (u32::from_le_bytes(take(&mut rest)?), u32::from_le_bytes(take(&mut rest)?));
                if millionths > FULL_DUTY {
                    return Err(TOO_FULL);
                }
                Request::Duty { channel, millionths }
            }
            _ => return Err(WireError("an unknown request")),
        };
        if rest.is_empty() { Ok(request) } else { Err(WireError("bytes behind the end of a request")) }
    }
}

impl Reply {
    /// The whole frame. A reason is cut to its limit.
    ///
    /// # Errors
    /// More was read than a frame holds.
    pub fn to_frame(&self) -> Result<Vec<u8>, WireError> {
        match self {
            Reply::Done(bytes) => frame(&[&[0], &bytes[..]].concat()),
            Reply::Nack => frame(&[1]),
            Reply::Failed(why) => {
                let end = (0..=why.len().min(WHY_LIMIT)).rev().find(|i| why.is_char_boundary(*i)).unwrap_or(0);
                frame(&[&[2], &why.as_bytes()[..end]].concat())
            }
        }
    }

    /// Reads a frame's body.
    ///
    /// # Errors
    /// It is no reply.
    pub fn from_body(body: &[u8]) -> Result<Reply, WireError> {
        match body {
            [0, bytes @ ..] => Ok(Reply::Done(bytes.to_vec())),
            [1] => Ok(Reply::Nack),
            [2, why @ ..] if why.len() <= WHY_LIMIT => Ok(Reply::Failed(String::from_utf8_lossy(why).into_owned())),
            _ => Err(WireError("an unknown reply")),
        }
    }
}

/// Takes the first whole frame's body out of what has arrived; `None` where more must come.
///
/// # Errors
/// What has arrived cannot become a frame: the stream is lost.
pub fn take_body(arrived: &mut Vec<u8>) -> Result<Option<Vec<u8>>, WireError> {
    let Some(head) = arrived.first_chunk::<HEAD>() else { return Ok(None) };
    let length = body_length(*head)?;
    if arrived.len() < HEAD + length {
        return Ok(None);
    }
    let body = arrived[HEAD..HEAD + length].to_vec();
    arrived.drain(..HEAD + length);
    Ok(Some(body))
}

const SHORT: WireError = WireError("it ends too early");
const TOO_LONG: WireError = WireError("it is too long");
const TOO_FULL: WireError = WireError("a duty of more than all the time");
const TOO_MANY: WireError = WireError("too many messages at once");

fn body_length(head: [u8; HEAD]) -> Result<usize, WireError> {
    match usize::from(u16::from_le_bytes(head)) {
        0 => Err(WireError("it is empty")),
        n if n > BODY_LIMIT => Err(TOO_LONG),
        n => Ok(n),
    }
}

fn frame(body: &[u8]) -> Result<Vec<u8>, WireError> {
    let length = u16::try_from(body.len()).ok().filter(|n| usize::from(*n) <= BODY_LIMIT).ok_or(TOO_LONG)?;
    Ok([&length.to_le_bytes(), body].concat())
}

fn check_pieces(pieces: &[Piece]) -> Result<(), WireError> {
    if pieces.len() > MESSAGES_LIMIT {
        return Err(TOO_MANY);
    }
    let read: usize = pieces.iter().map(|p| if let Piece::Read(n) = p { *n } else { 0 }).sum();
    if read > READ_LIMIT { Err(TOO_LONG) } else { Ok(()) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or(SHORT)?;
    *rest = after;
    Ok(*bytes)
}

/// The near end. What failed half-way leaves the stream out of step, so the next request begins on a new one.
struct Client {
    path: PathBuf,
    stream: Option<UnixStream>,
}

impl Client {
    fn open(path: &Path) -> Result<Client, BusError> {
        let mut client = Client { path: path.to_owned(), stream: None };
        client.stream = Some(client.connect()?);
        Ok(client)
    }

    fn connect(&self) -> Result<UnixStream, BusError> {
        let connected = UnixStream::connect(&self.path).and_then(|stream| {
            stream.set_read_timeout(Some(WAIT_LIMIT))?;
            stream.set_write_timeout(Some(WAIT_LIMIT))?;
            Ok(stream)
        });
        connected.map_err(|source| BusError::Os { attempt: format!("connect to bus socket {}", self.path.display()), source })
    }

    fn ask(&mut self, request: &Request, attempt: &dyn Fn() -> String) -> Result<Reply, BusError> {
        let failed = |source: io::Error| BusError::Os { attempt: attempt(), source };
        let frame = request.to_frame().map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let reply = exchange(&mut stream, &frame).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => BusError::Gone,
            _ => failed(e),
        })?;
        self.stream = Some(stream);
        match reply {
            Reply::Failed(why) => Err(failed(io::Error::other(why))),
            reply => Ok(reply),
        }
    }
}

fn exchange(stream: &mut UnixStream, frame: &[u8]) -> io::Result<Reply> {
    stream.write_all(frame)?;
    let mut head = [0; HEAD];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; body_length(head).map_err(bad)?];
    stream.read_exact(&mut body)?;
    Reply::from_body(&body).map_err(bad)
}

fn bad(e: WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}

/// An I²C bus behind a socket.
pub struct SocketI2c(Client);

impl SocketI2c {
    /// Connects to a socket.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(path: &Path) -> Result<SocketI2c, BusError> {
        Client::open(path).map(SocketI2c)
    }
}

impl I2c for SocketI2c {
    fn transfer(&mut self, address: u8, messages: &mut [Message<'_>]) -> Result<(), BusError> {
        let piece = |m: &Message<'_>| match m {
            Message::Write(bytes) => Piece::Write(bytes.to_vec()),
            Message::Read(buffer) => Piece::Read(buffer.len()),
        };
        let request = Request::Transfer { address, pieces: messages.iter().map(piece).collect() };
        let attempt = || format!("talk to I²C address 0x{address:02x}");
        let Reply::Done(bytes) = self.0.ask(&request, &attempt)? else { return Err(BusError::Nack(address)) };
        let mut rest = &bytes[..];
        for message in messages {
            let Message::Read(buffer) = message else { continue };
            let Some((read, after)) = rest.split_at_checked(buffer.len()) else {
                return Err(BusError::Os { attempt: attempt(), source: bad(SHORT) });
            };
            buffer.copy_from_slice(read);
            rest = after;
        }
        Ok(())
    }
}

/// GPIO lines behind a socket.
pub struct SocketGpio(Client);

impl SocketGpio {
    /// Connects to a socket.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(path: &Path) -> Result<SocketGpio, BusError> {
        Client::open(path).map(SocketGpio)
    }
}

impl Gpio for SocketGpio {
    fn set(&mut self, line: u32, high: bool) -> Result<(), BusError> {
        let attempt = || format!("drive GPIO line {line}");
        match self.0.ask(&Request::Set { line, high }, &attempt)? {
            Reply::Done(bytes) if bytes.is_empty() => Ok(()),
            _ => Err(BusError::Os { attempt: attempt(), source: bad(WireError("not the answer of a set")) }),
        }
    }

    fn get(&mut self, line: u32) -> Result<bool, BusError> {
        let attempt = || format!("read GPIO line {line}");
        match self.0.ask(&Request::Get { line }, &attempt)? {
            Reply::Done(bytes) if matches!(bytes[..], [0 | 1]) => Ok(bytes == [1]),
            _ => Err(BusError::Os { attempt: attempt(), source: bad(WireError("not the answer of a get")) }),
        }
    }

    fn edges(&mut self, line: u32) -> Result<u64, BusError> {
        let attempt = || format!("count edges of GPIO line {line}");
        let Reply::Done(bytes) = self.0.ask(&Request::Edges { line }, &attempt)? else { return Err(BusError::Gone) };
        let count = <[u8; 8]>::try_from(&bytes[..]).map(u64::from_le_bytes);
        count.map_err(|_| BusError::Os { attempt: attempt(), source: bad(WireError("not a count of edges")) })
    }
}

/// PWM outputs behind a socket.
pub struct SocketPwm(Client);

impl SocketPwm {
    /// Connects to a socket.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(path: &Path) -> Result<SocketPwm, BusError> {
        Client::open(path).map(SocketPwm)
    }
}

impl Pwm for SocketPwm {
    fn set(&mut self, channel: u32, duty: Percent) -> Result<(), BusError> {
        let attempt = || format!("drive PWM output {channel}");
        if duty.0.is_nan() {
            return Err(BusError::Os { attempt: attempt(), source: io::ErrorKind::InvalidInput.into() });
        }
        let millionths = ((duty.0 / 100.0).clamp(0.0, 1.0) * f64::from(FULL_DUTY)).round() as u32;
        match self.0.ask(&Request::Duty { channel, millionths }, &attempt)? {
            Reply::Done(bytes) if bytes.is_empty() => Ok(()),
            _ => Err(BusError::Os { attempt: attempt(), source: bad(WireError("not the answer of a duty")) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client(far: impl FnOnce(UnixStream) + Send + 'static) -> Client {
        let (near, other) = UnixStream::pair().expect("a pair");
        std::thread::spawn(move || far(other));
        Client { path: PathBuf::from("/nonexistent/bus"), stream: Some(near) }
    }

    #[test]
    fn limits_hold_on_both_ends() {
        let transfer = |pieces| Request::Transfer { address: 0x48, pieces };
        assert_eq!(transfer(vec![Piece::Read(1); MESSAGES_LIMIT + 1]).to_frame(), Err(TOO_MANY));
        assert_eq!(transfer(vec![Piece::Read(READ_LIMIT), Piece::Read(1)]).to_frame(), Err(TOO_LONG));
        assert_eq!(transfer(vec![Piece::Write(vec![0; BODY_LIMIT])]).to_frame(), Err(TOO_LONG));
        assert!(transfer(vec![Piece::Read(READ_LIMIT)]).to_frame().is_ok());
        assert!(Reply::Done(vec![0; READ_LIMIT]).to_frame().is_ok());
        assert_eq!(Reply::Done(vec![0; READ_LIMIT + 1]).to_frame(), Err(TOO_LONG));
        assert_eq!(Request::Duty { channel: 0, millionths: FULL_DUTY + 1 }.to_frame(), Err(TOO_FULL));
        let rows: [&[u8]; 10] = [
            &[],
            &[9],
            &[1, 0x80, 0],
            &[1, 0x48, 1, 2, 0, 0],
            &[1, 0x48, 1, 0, 9, 0, 1],
            &[2, 0, 0, 0, 0, 2],
            &[3, 0],
            &[3, 0, 0, 0, 0, 0],
            &[4, 0],
            &[5, 0, 0, 0, 0, 0x41, 0x42, 0x0f, 0],
        ];
        for body in rows {
            assert!(Request::from_body(body).is_err(), "{body:?}");
        }
        assert!(take_body(&mut vec![0, 0]).is_err());
        assert!(take_body(&mut vec![0xff, 0xff]).is_err());
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let frame = Reply::Failed("°".repeat(WHY_LIMIT)).to_frame().expect("cut");
        assert_eq!(Reply::from_body(&frame[HEAD..]), Ok(Reply::Failed("°".repeat(WHY_LIMIT / 2))));
    }

    #[test]
    fn a_far_end_that_leaves_is_gone_and_nonsense_is_an_error() {
        let mut bus = SocketI2c(client(drop));
        assert!(matches!(bus.transfer(0x48, &mut [Message::Write(&[0])]), Err(BusError::Gone)));
        for answer in [&[0, 0][..], &[1, 0, 7], &[2, 0, 0, 5]] {
            let mut bus = SocketI2c(client(move |mut far| {
                let _ = far.read(&mut [0; 64]);
                let _ = far.write_all(answer);
            }));
            let error = bus.transfer(0x48, &mut [Message::Read(&mut [0; 2])]).expect_err("nonsense");
            assert!(matches!(error, BusError::Os { .. }), "{answer:?}: {error}");
        }
        let error = SocketGpio::open(Path::new("/nonexistent/bus")).err().expect("nobody listens");
        assert!(error.to_string().contains("/nonexistent/bus"), "{error}");
    }

    fn request() -> impl Strategy<Value = Request> {
        let bytes = prop::collection::vec(any::<u8>(), 0..64);
        let piece = prop_oneof![bytes.prop_map(Piece::Write), (0usize..90).prop_map(Piece::Read)];
        prop_oneof![
            (0u8..0x80, prop::collection::vec(piece, 0..40)).prop_map(|(address, pieces)| Request::Transfer { address, pieces }),
            (any::<u32>(), any::<bool>()).prop_map(|(line, high)| Request::Set { line, high }),
            any::<u32>().prop_map(|line| Request::Get { line }),
            any::<u32>().prop_map(|line| Request::Edges { line }),
            (any::<u32>(), 0..=FULL_DUTY).prop_map(|(channel, millionths)| Request::Duty { channel, millionths }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_sent_arrives(r in request(), rest in prop::collection::vec(any::<u8>(), 0..8)) {
            let mut arrived = [r.to_frame().expect("within the limits"), rest.clone()].concat();
            let body = take_body(&mut arrived).expect("a frame").expect("a whole one");
            prop_assert_eq!(Request::from_body(&body), Ok(r));
            prop_assert_eq!(arrived, rest);
        }

        #[test]
        fn any_bytes_are_a_request_that_comes_back_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(r) = Request::from_body(&body) {
                prop_assert_eq!(&r.to_frame().expect("within the limits")[HEAD..], &body[..]);
            }
            let _ = Reply::from_body(&body);
        }
    }
}
