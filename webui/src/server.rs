//! One listener and its threads: the gate's accept thread, a thread for each connection, tiny_http behind them and one thread
//! that answers.
//!
//! It deliberately does not know any route. Answers are quick (a snapshot is read, bytes are written to a Unix socket whose
//! other end the gate empties at once), so one thread suffices.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tiny_http::Request;
use tracing::{debug, warn};

use crate::answer::Answer;
use crate::gate::{self, Limits, Visitors};

/// Why a listener could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener's own address is unknown.
    #[error("read the address that the listener is bound to")]
    Address(#[source] io::Error),
    /// No private directory for the inner socket, or it did not go.
    #[error("create and remove the directory {path} for the inner socket")]
    Directory {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No inner socket.
    #[error("listen on the inner socket {path}")]
    Inner {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// tiny_http did not start.
    #[error("start the HTTP server on the inner socket")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No thread.
    #[error("start a thread")]
    Thread(#[source] io::Error),
}

/// A running listener; stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// How long the answering thread sleeps at most before it looks whether to stop.
const LOOK: Duration = Duration::from_millis(250);
/// Stack of a connection's thread: a few small buffers, no recursion.
const STACK: usize = 128 * 1024;
/// Pause after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Starts the threads behind `listener`; `answer` answers every request that the gate lets through.
    pub(crate) fn start<F>(listener: TcpListener, limits: Limits, directory: &Path, answer: F) -> Result<Server, Error>
    where
        F: Fn(&Request) -> Answer + Send + 'static,
    {
        let address = listener.local_addr().map_err(Error::Address)?;
        let (socket, door) = inner(directory)?;
        let door = Arc::new(door);
        let http = tiny_http::Server::from_listener(socket, None).map_err(Error::Http)?;
        // From here on dropping `server` stops whatever runs already.
        let mut server = Server { address, stop: Arc::default(), threads: Vec::new() };
        let stop = Arc::clone(&server.stop);
        let way_in = Arc::clone(&door);
        let answering = thread::Builder::new().name("webui-answer".to_owned());
        let answering = answering.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match http.recv_timeout(LOOK) {
                    Ok(Some(request)) => {
                        let response = answer(&request).into_response();
                        if let Err(error) = request.respond(response) {
                            debug!(%error, "answer not written");
                        }
                    }
                    Ok(None) => {}
                    Err(error) => {
                        warn!(%error, "inner http socket failed");
                        break;
                    }
                }
            }
            // tiny_http would wake its own accepting thread by the socket's name, which is gone: it is woken by the door.
            drop(http);
            let _ = way_in.connect();
        });
        server.threads.push(answering.map_err(Error::Thread)?);
        let stop = Arc::clone(&server.stop);
        let accepting = thread::Builder::new().name("webui-accept".to_owned());
        let accepting = accepting.spawn(move || accept(&listener, &stop, limits, &door));
        server.threads.push(accepting.map_err(Error::Thread)?);
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and waits until that is so. Connections that are open end by themselves within their deadlines.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // `accept` knows no time limit; a connection of our own wakes it.
        let mut own = self.address;
        match own.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => own.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => own.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let woken = TcpStream::connect_timeout(&own, Duration::from_secs(1)).is_ok();
        for thread in self.threads.drain(..) {
            // Where the address is gone (its interface was taken down) nothing wakes `accept`: better a thread left than a hang.
            if woken || thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool, limits: Limits, door: &Arc<Door>) {
    let visitors = Visitors::default();
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (stream, peer) = match accepted {
            Ok(pair) => pair,
            Err(error) => {
                warn!(%error, "accept failed");
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        let Some(visitor) = visitors.enter(peer.ip(), &limits) else {
            gate::turn_away(stream);
            continue;
        };
        let door = Arc::clone(door);
        let connection = thread::Builder::new().name("webui-connection".to_owned()).stack_size(STACK);
        let started = connection.spawn(move || {
            let _visitor = visitor;
            if let Err(error) = gate::attend(stream, &door, &limits) {
                debug!(%peer, %error, "connection ended");
            }
        });
        if let Err(error) = started {
            warn!(%error, "no thread for a connection");
        }
    }
}

/// The way to the inner socket, which has no name any more. Only this process can take it: it keeps other users of the machine
/// from passing by the gate, and leaves nothing behind however the process ends.
#[derive(Debug)]
pub(crate) struct Door(File);

impl Door {
    /// A connection to tiny_http.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// A socket for tiny_http, which takes only one that has a name: it is named in a directory that only we may enter, held by a
/// descriptor, and both names are taken away. Rejected: a name in Linux's abstract space, where any user may connect.
fn inner(parent: &Path) -> Result<(UnixListener, Door), Error> {
    // A name that cannot be foreseen cannot be taken beforehand.
    let name = std::hash::RandomState::new().build_hasher().finish();
    let directory = parent.join(format!("otedama-webui-{name:016x}"));
    let made = fs::DirBuilder::new().mode(0o700).create(&directory);
    made.map_err(|source| Error::Directory { path: directory.clone(), source })?;
    let path = directory.join("http");
    let opened = UnixListener::bind(&path).and_then(|socket| {
        let held = rustix::fs::open(&path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        Ok((socket, Door(File::from(held))))
    });
    let cleared = fs::remove_dir_all(&directory);
    let opened = opened.map_err(|source| Error::Inner { path, source })?;
    cleared.map_err(|source| Error::Directory { path: directory, source })?;
    Ok(opened)
}
