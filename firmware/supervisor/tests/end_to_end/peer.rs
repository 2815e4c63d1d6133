//! A pool on loopback that behaves as badly as it is told, and well once it is told: then it is a wire to an honest pool.
//!
//! Hand-written Stratum, so that nothing of ours decides what is sent. Not here: a share check of its own.

use crate::bench::own_address;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it does with whoever connects.
#[derive(Clone, Debug)]
pub enum Way {
    /// Ends the connection at once.
    HangUp,
    /// Takes the connection and never says a word.
    Mute,
    /// Says this at once, whatever is asked, and waits.
    Say(Vec<u8>),
    /// Greets as it should, then says this.
    Offer(String),
    /// The same, and answers every share with this error.
    Refuse(String, &'static str),
    /// Passes everything on to an honest pool.
    Honest(String),
}

/// The pool.
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    way: Arc<Mutex<Way>>,
}

impl Peer {
    /// A place for a pool where nobody listens yet: connections are refused.
    pub fn absent() -> Peer {
        let free = TcpListener::bind((own_address(), 0)).expect("a port");
        Peer { address: free.local_addr().expect("bound"), way: Arc::new(Mutex::new(Way::HangUp)) }
    }

    /// One that listens.
    pub fn new(way: Way) -> Peer {
        let peer = Peer::absent();
        peer.listen(way);
        peer
    }

    /// Listens from now on, where it was absent.
    pub fn listen(&self, way: Way) {
        self.be(way);
        let listener = TcpListener::bind(self.address).expect("its own port");
        let way = Arc::clone(&self.way);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, way) = (stream.expect("a connection"), way.lock().expect("one writer").clone());
                // What the other side does to a connection is its own affair.
                std::thread::spawn(move || drop(play(stream, way)));
            }
        });
    }

    /// Behaves so towards whoever connects from now on.
    pub fn be(&self, way: Way) {
        *self.way.lock().expect("one writer") = way;
    }

    /// As the settings name it.
    pub fn url(&self) -> String {
        format!("stratum+tcp://{}", self.address)
    }
}

fn play(mut stream: TcpStream, way: Way) -> std::io::Result<()> {
    match way {
        Way::HangUp => stream.shutdown(Shutdown::Both),
        Way::Mute => drain(stream),
        Way::Say(bytes) => {
            stream.write_all(&bytes)?;
            drain(stream)
        }
        Way::Offer(lines) => greet(stream, &lines, "null"),
        Way::Refuse(lines, error) => greet(stream, &lines, error),
        Way::Honest(pool) => {
            let pool = TcpStream::connect(pool)?;
            pool.set_nodelay(true)?;
            stream.set_nodelay(true)?;
            let (from, to) = (stream.try_clone()?, pool.try_clone()?);
            std::thread::spawn(move || drop(pass(from, to)));
            pass(pool, stream)
        }
    }
}

fn drain(mut stream: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

fn pass(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let read = from.read(&mut chunk).unwrap_or(0);
        if read == 0 {
            return to.shutdown(Shutdown::Both);
        }
        to.write_all(&chunk[..read])?;
    }
}

/// The greeting of an old and simple pool; after it `lines`, and `error` for every share.
fn greet(stream: TcpStream, lines: &str, error: &str) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    for line in BufReader::new(stream).lines() {
        let asked: serde_json::Value = serde_json::from_str(&line?)?;
        let (id, method) = (&asked["id"], asked["method"].as_str().unwrap_or_default());
        let answer = match method {
            "mining.subscribe" => format!("{{\"id\":{id},\"result\":[[],\"01020304\",8],\"error\":null}}\n"),
            "mining.authorize" => format!("{{\"id\":{id},\"result\":true,\"error\":null}}\n{lines}"),
            "mining.submit" => format!("{{\"id\":{id},\"result\":{},\"error\":{error}}}\n", error == "null"),
            _ => format!("{{\"id\":{id},\"result\":null,\"error\":[20,\"unknown method\",null]}}\n"),
        };
        writer.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// A `mining.set_difficulty` of this text.
pub fn difficulty(text: &str) -> String {
    format!("{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{text}]}}\n")
}

/// A `mining.notify` with this merkle branch; good but for that.
pub fn job(branch: &str) -> String {
    let (previous, one, two) = ("11".repeat(32), "01000000".repeat(10), "ffffffff".repeat(8));
    format!(
        "{{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"a\",\"{previous}\",\"{one}\",\"{two}\",{branch},\"20000000\",\
         \"1d00ffff\",\"6a000000\",true]}}\n"
    )
}
