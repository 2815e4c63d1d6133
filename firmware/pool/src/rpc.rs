//! A coin node over JSON-RPC, as bitcoind and its kin speak it: one HTTP/1.1 POST a call, basic authentication.
//!
//! Rejected: hyper as the client. It brings an executor, a service trait and some twenty crates for what is one request to one
//! trusted machine on a thread that may block; a `Node` is synchronous, so that virtual-time chains can be one. Deliberately no
//! TLS, no redirects and no kept connection: nodes close idle ones when they please, and a call every few seconds costs nothing.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use model::Hash;
use serde_json::{Value, json};

use crate::{
    coin::Coin,
    hex,
    node::{Answer, Node, NodeError},
    template::Template,
};

/// Largest answer: a template with all its transactions in hex. Larger chains need another way than `getblocktemplate`.
pub const ANSWER_LIMIT: u64 = 64 << 20;
/// A node on the same network answers a connection at once or not at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A whole call: a busy node takes seconds to build a large template or check a block.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// A call that waits for the next template: bitcoind itself answers after a minute at the latest where transactions came.
const LONGPOLL_LIMIT: Duration = Duration::from_secs(600);
/// Longest head of an HTTP answer.
const HEAD_LIMIT: usize = 16 << 10;

/// Where a node is.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcConfig {
    /// `host:port`.
    pub address: String,
    /// Name for basic authentication.
    pub user: String,
    /// And its password.
    pub password: String,
}

impl std::fmt::Debug for RpcConfig {
    /// Without the password: this is logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.address)
    }
}

/// A node behind JSON-RPC.
#[derive(Clone, Debug)]
pub struct RpcNode {
    config: RpcConfig,
    coin: &'static Coin,
}

impl RpcNode {
    /// Nothing is connected yet: each call does.
    #[must_use]
    pub fn new(config: RpcConfig, coin: &'static Coin) -> RpcNode {
        RpcNode { config, coin }
    }

    /// Calls a method and gives its `result`.
    ///
    /// # Errors
    /// No connection, no answer in time, or the node's own error.
    pub fn call(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        self.call_within(method, &params, CALL_LIMIT)
    }

    fn call_within(&self, method: &str, params: &Value, limit: Duration) -> Result<Value, NodeError> {
        let attempt = || format!("ask the node at {} for {method}", self.config.address);
        let protocol = |what: String| NodeError::Protocol { attempt: attempt(), what };
        let body = json!({"jsonrpc": "1.0", "id": "otedama", "method": method, "params": params}).to_string();
        let (status, answer) = self.exchange(&body, limit).map_err(|source| NodeError::Io { attempt: attempt(), source })?;
        // An error comes with status 500 and JSON; a wrong password with 401 and none.
        let mut answer: Value = serde_json::from_slice(&answer).map_err(|e| match status {
            401 | 403 => protocol(format!("HTTP {status}: the name or password is wrong")),
            _ => protocol(format!("HTTP {status}, not JSON: {e}")),
        })?;
        match &answer["error"] {
            Value::Null if answer.get("result").is_some() => Ok(answer["result"].take()),
            Value::Null => Err(protocol(format!("HTTP {status} without a result"))),
            error => Err(NodeError::Refused {
                attempt: attempt(),
                code: error["code"].as_i64().unwrap_or(0),
                message: error["message"].as_str().unwrap_or_default().chars().take(200).collect(),
            }),
        }
    }

    fn exchange(&self, body: &str, limit: Duration) -> std::io::Result<(u16, Vec<u8>)> {
        let deadline = Instant::now() + limit;
        let mut last = std::io::Error::new(ErrorKind::NotFound, "the name has no address");
        let mut stream = None;
        for address in self.config.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
                Ok(s) => {
                    stream = Some(s);
                    break;
                }
                Err(e) => last = e,
            }
        }
        let mut stream = stream.ok_or(last)?;
        stream.set_write_timeout(Some(limit))?;
        let secret = base64(format!("{}:{}", self.config.user, self.config.password).as_bytes());
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {secret}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.config.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        read_answer(&mut Deadline { stream, deadline })
    }
}

/// A stream whose reads all end at one moment, so that a node that drips bytes cannot hold the thread.
struct Deadline {
    stream: TcpStream,
    deadline: Instant,
}

impl Read for Deadline {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

fn invalid(what: &'static str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what)
}

/// Reads status and body: by length, in chunks, or up to the end.
fn read_answer(from: &mut impl Read) -> std::io::Result<(u16, Vec<u8>)> {
    let mut from = std::io::BufReader::new(from);
    let mut left = HEAD_LIMIT;
    let mut line = |from: &mut dyn Read| {
        let mut text = Vec::new();
        loop {
            let mut byte = [0];
            from.read_exact(&mut byte)?;
            left = left.checked_sub(1).ok_or_else(|| invalid("the head of the answer is too long"))?;
            match byte[0] {
                b'\n' => return String::from_utf8(text).map_err(|_| invalid("the head of the answer is not text")),
                b'\r' => {}
                b => text.push(b),
            }
        }
    };
    let status = line(&mut from)?;
    let status = status.strip_prefix("HTTP/1.").and_then(|s| s.get(2..5)?.parse().ok()).ok_or_else(|| invalid("not HTTP/1"))?;
    let (mut length, mut chunked) = (None, false);
    loop {
        let header = line(&mut from)?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(n) = header.strip_prefix("content-length:") {
            length = Some(n.trim().parse::<u64>().map_err(|_| invalid("a content length that is no number"))?);
        }
        chunked |= header.strip_prefix("transfer-encoding:").is_some_and(|v| v.trim() == "chunked");
    }
    let too_long = || invalid("the answer is too long");
    let mut body = Vec::new();
    if chunked {
        loop {
            // Each chunk's own line may cost as much as a head; their number is held by the body's limit.
            let mut size = Vec::new();
            loop {
                let mut byte = [0];
                from.read_exact(&mut byte)?;
                match byte[0] {
                    b'\n' if !size.is_empty() => break,
                    b'\r' | b'\n' => {}
                    b if size.len() < 100 => size.push(b),
                    _ => return Err(invalid("a chunk's line is too long")),
                }
            }
            let size = std::str::from_utf8(&size).ok().and_then(|s| u64::from_str_radix(s.split(';').next()?.trim(), 16).ok());
            let size = size.ok_or_else(|| invalid("a chunk without a length"))?;
            if size == 0 {
                return Ok((status, body));
            }
            if size > ANSWER_LIMIT - body.len() as u64 {
                return Err(too_long());
            }
            let before = body.len();
            (&mut from).take(size).read_to_end(&mut body)?;
            if (body.len() - before) as u64 != size {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
    if length.is_some_and(|n| n > ANSWER_LIMIT) {
        return Err(too_long());
    }
    (&mut from).take(length.unwrap_or(ANSWER_LIMIT + 1)).read_to_end(&mut body)?;
    match length {
        Some(n) if (body.len() as u64) < n => Err(ErrorKind::UnexpectedEof.into()),
        None if body.len() as u64 > ANSWER_LIMIT => Err(too_long()),
        _ => Ok((status, body)),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().enumerate().fold(0u32, |w, (i, b)| w | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Errors of a block that was looked at: -22 it cannot be decoded, -25 and -26 it was checked and failed. All others (-28 warming
/// up, -9 no peers, …) say nothing about the block.
const BLOCK_ERRORS: [i64; 3] = [-22, -25, -26];

impl Node for RpcNode {
    fn template(&mut self, longpoll_id: Option<&str>) -> Result<Template, NodeError> {
        let mut request = json!({"capabilities": ["coinbasetxn", "workid", "coinbase/append"], "rules": self.coin.rules});
        if let Some(id) = longpoll_id {
            request["longpollid"] = id.into();
        }
        let limit = if longpoll_id.is_some() { LONGPOLL_LIMIT } else { CALL_LIMIT };
        Ok(Template::from_json(self.call_within("getblocktemplate", &json!([request]), limit)?)?)
    }

    fn submit(&mut self, block_hex: &str) -> Result<Answer, NodeError> {
        match self.call("submitblock", json!([block_hex])) {
            Ok(Value::Null) => Ok(Answer::Taken),
            Ok(Value::String(word)) if word == "duplicate" => Ok(Answer::Taken),
            Ok(word) => {
                Ok(Answer::Refused(word.as_str().map_or_else(|| word.to_string(), str::to_owned).chars().take(200).collect()))
            }
            Err(NodeError::Refused { code, message, .. }) if BLOCK_ERRORS.contains(&code) => Ok(Answer::Refused(message)),
            Err(e) => Err(e),
        }
    }

    fn tip(&mut self) -> Result<Hash, NodeError> {
        let tip = self.call("getbestblockhash", json!([]))?;
        tip.as_str().and_then(hex::hash).ok_or_else(|| NodeError::Protocol {
            attempt: format!("ask the node at {} for its tip", self.config.address),
            what: tip.to_string().chars().take(100).collect(),
        })
    }

    fn waiter(&self) -> Option<Box<dyn Node>> {
        Some(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coin::COINS;
    use std::net::TcpListener;

    #[test]
    fn base64_of_every_tail() {
        for (text, wanted) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("user:pass", "dXNlcjpwYXNz")] {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
    }

    #[test]
    fn answers_of_every_framing_are_read() {
        for (answer, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more", "hi"),
            ("HTTP/1.0 500 Error\r\n\r\nto the end", "to the end"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\n fo\r\n0\r\n\r\n", "hi fo"),
        ] {
            let (_, read) = read_answer(&mut answer.as_bytes()).expect(answer);
            assert_eq!(read, body.as_bytes());
        }
    }

    #[test]
    fn bad_answers_are_errors() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_LIMIT));
        for answer in [
            "",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 é\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffff\r\nhi",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nhi",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi",
            &long,
        ] {
            assert!(read_answer(&mut answer.as_bytes()).is_err(), "{}", &answer[..answer.len().min(60)]);
        }
    }

    /// A node that gives these answers, one a connection.
    fn node(answers: &'static [&'static str]) -> RpcNode {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut s, _) = listener.accept().expect("a call");
                let mut got = Vec::new();
                while !got.ends_with(b"}") {
                    let mut some = [0; 4096];
                    match s.read(&mut some) {
                        Ok(n) if n > 0 => got.extend(&some[..n]),
                        _ => break,
                    }
                }
                let _ = s.write_all(answer.as_bytes());
            }
        });
        let coin = &COINS[0];
        RpcNode::new(RpcConfig { address, user: "u".into(), password: "secret".into() }, coin)
    }

    #[test]
    fn what_is_said_to_a_block() {
        let mut n = node(&[
            "HTTP/1.1 200 OK\r\n\r\n{\"result\":null,\"error\":null,\"id\":1}",
            "HTTP/1.1 200 OK\r\n\r\n{\"result\":\"duplicate\",\"error\":null}",
            "HTTP/1.1 200 OK\r\n\r\n{\"result\":\"high-hash\",\"error\":null}",
            "HTTP/1.1 500 Error\r\n\r\n{\"result\":null,\"error\":{\"code\":-22,\"message\":\"Block decode failed\"}}",
            "HTTP/1.1 500 Error\r\n\r\n{\"result\":null,\"error\":{\"code\":-28,\"message\":\"Loading\"}}",
            "HTTP/1.1 401 Unauthorized\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n{}",
        ]);
        assert_eq!(n.submit("00").expect("taken"), Answer::Taken);
        assert_eq!(n.submit("00").expect("taken"), Answer::Taken);
        assert_eq!(n.submit("00").expect("refused"), Answer::Refused("high-hash".into()));
        assert_eq!(n.submit("00").expect("refused"), Answer::Refused("Block decode failed".into()));
        assert!(n.submit("00").expect_err("later").to_string().contains("Loading"));
        assert!(n.submit("00").expect_err("password").to_string().contains("password is wrong"));
        assert!(n.submit("00").is_err());
        assert!(n.tip().is_err(), "nobody listens any more");
        assert!(!format!("{n:?}").contains("secret"));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(framing in 0usize..3, bytes in proptest::collection::vec(0u8.., 0..200)) {
            let head = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"][framing];
            let _ = read_answer(&mut [head.as_bytes(), &bytes].concat().as_slice());
        }
    }
}
