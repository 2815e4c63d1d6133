//! The gate before tiny_http: how many may come in, how long they may take, how much they may say.
//!
//! tiny_http starts a thread for each connection and waits for ever. So our own listener holds the socket; it reads one whole
//! request under a deadline and limits, hands it to tiny_http on a Unix socket, and writes the answer back under a deadline. One
//! request a connection: what was checked here is exactly what is answered there, nothing can hide behind it.
//! Not a parser of requests: it knows the head's end, its line form and its length.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::answer::Answer;
use crate::server::Door;

/// What one listener bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; one more is refused with 503.
    pub connections: usize,
    /// Of them from one address, so that one slow host does not shut all others out.
    pub connections_per_peer: usize,
    /// Bytes of request line and headers.
    pub head_bytes: usize,
    /// Bytes of body. No request of ours has one; a few bytes are borne because some clients always send some.
    pub body_bytes: usize,
    /// For the whole request to arrive.
    pub request: Duration,
    /// For the whole answer to be taken.
    pub response: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            connections_per_peer: 32,
            head_bytes: 16 * 1024,
            body_bytes: 4 * 1024,
            request: Duration::from_secs(10),
            response: Duration::from_secs(10),
        }
    }
}

/// Bytes read and thrown away behind a refused request, so that closing does not tear the refusal from the wire.
const DRAIN_BYTES: usize = 64 * 1024;
/// Time for that.
const DRAIN: Duration = Duration::from_millis(500);

/// Who is in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitors(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One who is in; leaves when dropped.
#[derive(Debug)]
pub(crate) struct Visitor {
    all: Visitors,
    peer: IpAddr,
}

impl Visitors {
    /// Lets one in, if there is room.
    pub fn enter(&self, peer: IpAddr, limits: &Limits) -> Option<Visitor> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = map.get(&peer).copied().unwrap_or(0);
        if map.values().sum::<usize>() >= limits.connections || of_peer >= limits.connections_per_peer {
            return None;
        }
        map.insert(peer, of_peer + 1);
        Some(Visitor { all: self.clone(), peer })
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut map = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.peer);
            }
        }
    }
}

/// Tells one for whom there is no room, without waiting for him.
pub(crate) fn turn_away(mut stream: TcpStream) {
    let answer = Answer::refusal(503, "too-many-connections", "Too many connections are open.", "Try again in a few seconds.");
    if stream.set_nonblocking(true).is_ok() {
        // He may be gone already; there is nobody else to tell.
        let _ = stream.write(&answer.with("Retry-After", "5").into_bytes());
    }
}

/// One connection from its first byte to its last.
pub(crate) fn attend(mut stream: TcpStream, door: &Door, limits: &Limits) -> io::Result<()> {
    match read_request(&mut stream, limits)? {
        Ok(request) => {
            let mut behind = door.connect()?;
            // The other end is our own program; the deadline only bounds the harm of a bug.
            behind.set_read_timeout(Some(limits.response))?;
            behind.set_write_timeout(Some(limits.response))?;
            behind.write_all(&request)?;
            let mut answer = Vec::new();
            behind.read_to_end(&mut answer)?;
            write_by(&mut stream, &answer, Instant::now() + limits.response)
        }
        Err(refusal) => {
            write_by(&mut stream, &refusal.into_bytes(), Instant::now() + limits.response)?;
            stream.shutdown(Shutdown::Write)?;
            drain(&mut stream);
            Ok(())
        }
    }
}

fn drain(stream: &mut TcpStream) {
    let (deadline, mut left, mut sink) = (Instant::now() + DRAIN, DRAIN_BYTES, [0; 4096]);
    while left > 0 {
        match read_by(stream, &mut sink, deadline) {
            Ok(n) if n > 0 => left = left.saturating_sub(n),
            _ => return,
        }
    }
}

/// Time left until `deadline`; never zero, which would mean for ever.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        some => Ok(some),
    }
}

fn read_by(stream: &mut TcpStream, into: &mut [u8], deadline: Instant) -> io::Result<usize> {
    stream.set_read_timeout(Some(left(deadline)?))?;
    stream.read(into)
}

fn write_by(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(bytes)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            n => bytes = &bytes[n..],
        }
    }
    Ok(())
}

/// Reads one request and gives back the bytes for tiny_http, or what to tell the client.
fn read_request(stream: &mut TcpStream, limits: &Limits) -> io::Result<Result<Vec<u8>, Answer>> {
    let deadline = Instant::now() + limits.request;
    let mut got = Vec::new();
    let mut chunk = [0; 2048];
    let mut wanted = None;
    loop {
        if wanted.is_none()
            && let Some(end) = head_end(&got)
            && end <= limits.head_bytes
        {
            match check_head(&got[..end], limits) {
                Ok((head, body)) => wanted = Some((head, end, end + body)),
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        match wanted {
            Some((ref mut head, end, all)) if got.len() >= all => {
                let mut request = std::mem::take(head);
                request.extend_from_slice(&got[end..all]);
                return Ok(Ok(request));
            }
            None if got.len() > limits.head_bytes => return Ok(Err(too_long())),
            _ => {}
        }
        match read_by(stream, &mut chunk, deadline) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => got.extend_from_slice(&chunk[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(Err(too_slow())),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}

/// Headers of one connection's stretch, not of the request, and `Expect`, which the gate fulfils by itself.
const DROPPED: [&str; 6] = ["connection", "keep-alive", "proxy-connection", "upgrade", "expect", "te"];

/// Checks the form of a head that ends in an empty line; gives back the head to hand on and the length of the body.
fn check_head(head: &[u8], limits: &Limits) -> Result<(Vec<u8>, usize), Answer> {
    let text = std::str::from_utf8(head).ok().filter(|t| t.is_ascii()).ok_or_else(|| malformed("bytes that are not ASCII"))?;
    let mut lines = text.split("\r\n");
    let request_line = lines.next().unwrap_or_default();
    let words: Vec<&str> = request_line.split(' ').collect();
    if !matches!(words[..], [method, target, "HTTP/1.0" | "HTTP/1.1"] if !method.is_empty() && target.starts_with('/')) {
        return Err(malformed("a request line that is not METHOD /PATH HTTP/1.1"));
    }
    let mut out = format!("{request_line}\r\n");
    let (mut length, mut hosts) = (None, 0);
    for line in std::iter::once(request_line).chain(lines.clone()) {
        if line.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(malformed("a control character"));
        }
    }
    for line in lines.filter(|l| !l.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header without a colon"))?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(malformed("a header name with a space"));
        }
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "content-length" => {
                let value = value.trim();
                let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                if !digits || length.is_some() {
                    return Err(malformed("a content length that is not one number"));
                }
                // A number too long to parse is too large a body.
                length = Some(value.parse().unwrap_or(usize::MAX));
            }
            "transfer-encoding" => {
                let message = "A body must say its length.";
                return Err(Answer::refusal(411, "length-required", message, "Send no body, or one with Content-Length."));
            }
            "host" => hosts += 1,
            _ => {}
        }
        if !DROPPED.contains(&name.as_str()) {
            out.push_str(line);
            out.push_str("\r\n");
        }
    }
    if hosts > 1 {
        return Err(malformed("more than one host"));
    }
    let body = length.unwrap_or(0);
    if body > limits.body_bytes {
        let message = format!("The body is longer than {} bytes.", limits.body_bytes);
        return Err(Answer::refusal(413, "body-too-long", &message, "No request here needs a body."));
    }
    out.push_str("Connection: close\r\n\r\n");
    Ok((out.into_bytes(), body))
}

fn malformed(what: &str) -> Answer {
    Answer::refusal(400, "malformed", &format!("The request holds {what}."), "Send plain HTTP/1.1.")
}

fn too_long() -> Answer {
    Answer::refusal(
        431,
        "head-too-long",
        "The request's headers are too long.",
        "Clear this address's cookies, or send fewer headers.",
    )
}

fn too_slow() -> Answer {
    Answer::refusal(408, "too-slow", "The request did not arrive in time.", "Check the connection and try again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<(String, usize), u16> {
        let (head, body) = check_head(text.as_bytes(), &Limits::default()).map_err(|a| a.code)?;
        Ok((String::from_utf8(head).unwrap(), body))
    }

    #[test]
    fn a_head_is_handed_on_as_the_last_of_its_connection() {
        let (out, body) =
            head("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\n").unwrap();
        assert_eq!(out, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
        assert_eq!(body, 3);
    }

    #[test]
    fn what_two_readers_might_read_differently_is_refused() {
        for (text, code) in [
            ("GET /\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\n\r\n", 400),
            ("GET http://a/ HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nA: b\nHost: c\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nA: \u{e9}\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nContent-Length: 4097\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ] {
            assert_eq!(head(text), Err(code), "{text:?}");
        }
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let (all, limits) = (Visitors::default(), Limits { connections: 3, connections_per_peer: 2, ..Limits::default() });
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = all.enter(a, &limits).unwrap();
        let _second = all.enter(a, &limits).unwrap();
        assert!(all.enter(a, &limits).is_none());
        let _third = all.enter(b, &limits).unwrap();
        assert!(all.enter(b, &limits).is_none());
        drop(first);
        assert!(all.enter(b, &limits).is_some());
    }
}
