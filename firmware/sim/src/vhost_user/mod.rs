//! The simulated I²C bus and GPIO lines as vhost-user devices, which QEMU puts into a guest as `/dev/i2c-N` and `/dev/gpiochipN`.
//!
//! Each has a socket and a thread; one guest at a time uses it, and the next one may come when it is gone. QEMU must share its
//! memory (`memory-backend-memfd,share=on`). Not here: the chains' lines, which are USB devices (`usb_redir`).

mod gpio;
mod i2c;
mod queue;

use crate::fault::Harms;
use crate::machine::{World, buses};
use crate::socket_file::{SocketFile, SocketFileError};
use gpio::GpioChip;
use i2c::I2cAdapter;
use queue::{Backend, Device};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use vhost::vhost_user::Listener;
use vhost_user_backend::{ShutdownHandle, VhostUserDaemon};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

/// Why the devices cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum VhostUserError {
    /// The folder of the sockets.
    #[error("make the folder {} for vhost-user sockets", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// One of them.
    #[error(transparent)]
    Socket(#[from] SocketFileError),
    /// What it is served by.
    #[error("start serving the vhost-user {0} device")]
    Start(&'static str, #[source] io::Error),
}

/// Both devices, served until they are dropped.
pub struct VhostUser {
    i2c: Served,
    gpio: Served,
}

impl VhostUser {
    /// Serves a world's bus, harmed as these are, and its lines at `i2c.sock` and `gpio.sock` in this folder, which is made where it is not there.
    ///
    /// # Errors
    /// The folder or a socket cannot be had.
    pub fn open(world: &Arc<Mutex<World>>, harms: &Harms, folder: &Path) -> Result<VhostUser, VhostUserError> {
        std::fs::create_dir_all(folder).map_err(|e| VhostUserError::Folder(folder.to_owned(), e))?;
        let (bus, lines, harms) = (Arc::clone(world), Arc::clone(world), harms.clone());
        let i2c = Served::start("i2c", &folder.join("i2c.sock"), move || I2cAdapter::new(harms.wrap_bus(buses(&bus).i2c)))?;
        let gpio = Served::start("gpio", &folder.join("gpio.sock"), move || GpioChip::new(Arc::clone(&lines)))?;
        Ok(VhostUser { i2c, gpio })
    }

    /// Where the I²C bus is.
    #[must_use]
    pub fn i2c(&self) -> &Path {
        &self.i2c.path
    }

    /// Where the lines are.
    #[must_use]
    pub fn gpio(&self) -> &Path {
        &self.gpio.path
    }
}

/// One device on its thread.
struct Served {
    path: PathBuf,
    /// Its end is the word to stop.
    stop: Option<UnixStream>,
    stopping: Arc<AtomicBool>,
    /// Ends the connection of now.
    connection: Arc<Mutex<Option<ShutdownHandle>>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn start<D: Device>(
        name: &'static str,
        path: &Path,
        device: impl Fn() -> D + Send + 'static,
    ) -> Result<Served, VhostUserError> {
        let fail = |e| VhostUserError::Start(name, e);
        let socket = SocketFile::open(path)?;
        let mut listener = Listener::from(socket.listener().try_clone().map_err(fail)?);
        let (stop, stopped) = UnixStream::pair().map_err(fail)?;
        let (stopping, connection) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let shared = (Arc::clone(&stopping), Arc::clone(&connection));
        let serve = move || {
            let (stopping, connection) = shared;
            // A device that cannot be served any more has no socket any more: who connects learns it.
            while wait(&socket, &stopped).is_ok_and(|came| came)
                && serve_one(name, &mut listener, device(), &stopping, &connection).is_ok()
            {}
        };
        let thread = std::thread::Builder::new().name(format!("vhost-user {name}")).spawn(serve).map_err(fail)?;
        Ok(Served { path: path.to_owned(), stop: Some(stop), stopping, connection, thread: Some(thread) })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        drop(self.stop.take());
        if let Some(connection) = &*self.connection.lock().unwrap_or_else(PoisonError::into_inner) {
            connection.shutdown();
        }
        // A thread that panicked has said so; its socket is gone as well.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Waits for somebody; `false` is the word to stop.
fn wait(socket: &SocketFile, stopped: &UnixStream) -> Result<bool, Errno> {
    loop {
        let mut fds = [PollFd::new(stopped, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) if !fds[0].revents().is_empty() => return Ok(false),
            Ok(_) if !fds[1].revents().is_empty() => return Ok(true),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Serves who connected until it is gone. The library leaves one descriptor open for each connection that ever was: some thousand
/// guests have room in a process. The error is one of ours: what the other end does wrong ends its connection alone.
fn serve_one<D: Device>(
    name: &str,
    listener: &mut Listener,
    device: D,
    stopping: &Arc<AtomicBool>,
    connection: &Mutex<Option<ShutdownHandle>>,
) -> Result<(), vhost_user_backend::Error> {
    let keep = |handle| *connection.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    let backend = Arc::new(Mutex::new(Backend::new(device, Arc::clone(stopping))));
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon = VhostUserDaemon::new(format!("vhost-user {name}"), Arc::clone(&backend), memory)?;
    daemon.start(listener)?;
    keep(daemon.shutdown_handle());
    if stopping.load(Ordering::Acquire) {
        daemon.request_shutdown();
    }
    // How it ended matters to nobody: it is gone.
    let _ = daemon.wait();
    keep(None);
    // Its threads end before the device is reset, which they could be using.
    drop(daemon);
    backend.lock().unwrap_or_else(PoisonError::into_inner).device().reset();
    Ok(())
}
