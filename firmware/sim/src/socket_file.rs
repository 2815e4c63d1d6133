//! A listening Unix socket with its file: made anew, taken over from a process that died, gone with its owner. Not here: what is
//! said on it.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Why there can be no socket at a path.
#[derive(Debug, thiserror::Error)]
pub enum SocketFileError {
    /// Somebody listens there.
    #[error("the socket {} belongs to a process that runs: end that one first, or choose another place", .0.display())]
    Taken(PathBuf),
    /// It is a file of another kind.
    #[error("{} is there and is no socket: move it away, or choose another place", .0.display())]
    Other(PathBuf),
    /// The system says no.
    #[error("{attempt} the socket {}", path.display())]
    Os {
        /// What was attempted.
        attempt: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The socket.
#[derive(Debug)]
pub struct SocketFile {
    listener: UnixListener,
    path: PathBuf,
}

impl SocketFile {
    /// Listens at this path. A file that a dead process left behind is replaced.
    ///
    /// # Errors
    /// The path belongs to somebody else or cannot be made.
    pub fn open(path: &Path) -> Result<SocketFile, SocketFileError> {
        let fail = |attempt| move |source| SocketFileError::Os { attempt, path: path.to_owned(), source };
        if let Ok(there) = std::fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(SocketFileError::Other(path.to_owned()));
            }
            if is_served(path).map_err(fail("look for the owner of"))? {
                return Err(SocketFileError::Taken(path.to_owned()));
            }
            std::fs::remove_file(path).map_err(fail("replace"))?;
        }
        let listener = UnixListener::bind(path).map_err(fail("open"))?;
        let file = SocketFile { listener, path: path.to_owned() };
        file.listener.set_nonblocking(true).map_err(fail("set up"))?;
        Ok(file)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What listens; it never blocks.
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl AsFd for SocketFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that somebody removed already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether a process listens there. It does not block where that one has no time for us.
fn is_served(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("otedama-test-{name}-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn a_dead_owners_file_is_replaced_and_a_living_ones_refused_with_advice() {
        let path = place("owner");
        // Listener and file part as they do when a process is killed.
        drop(UnixListener::bind(&path).expect("a socket"));
        let living = SocketFile::open(&path).expect("the dead one's is taken over");
        let refused = SocketFile::open(&path).expect_err("it is in use");
        assert!(matches!(refused, SocketFileError::Taken(_)), "{refused}");
        let text = refused.to_string();
        assert!(text.contains(&*path.to_string_lossy()) && text.contains("end that one"), "{text}");
        drop(living);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_of_another_kind_and_a_place_that_is_not_are_refused_by_name() {
        let path = place("kind");
        std::fs::write(&path, "mine").expect("written");
        let refused = SocketFile::open(&path).expect_err("no socket");
        assert!(matches!(refused, SocketFileError::Other(_)), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).expect("it is untouched"), "mine");
        std::fs::remove_file(&path).expect("removed");
        for path in ["/nonexistent/x.sock", &format!("/tmp/{}.sock", "x".repeat(200))] {
            let refused = SocketFile::open(Path::new(path)).expect_err("no such place");
            assert!(refused.to_string().contains(path), "{refused}");
        }
    }
}
