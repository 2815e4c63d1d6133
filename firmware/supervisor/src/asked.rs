//! The status at a Unix socket: who connects is told it as JSON, and that is all.
//!
//! It needs no port and no name, works where `api` is off, and belongs to whoever runs the machine: mode 0600. Not here: commands,
//! and what the status holds.

use anyhow::{Context, ensure};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use webui::Shared;

/// Its name, in the machine's state folder.
const NAME: &str = "otedama.sock";
/// Where it is on an image, whose state may be on a file system that knows no sockets.
pub const OF_IMAGE: &str = "/run/otedama.sock";
/// Longest path that is a socket's address as it stands; the kernel's limit is 107 bytes.
const ADDRESS_LIMIT: usize = 100;
/// How long one who asks may leave the answer unread: the next one waits meanwhile.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// Where a machine's socket is.
pub fn beside(state: &Path) -> PathBuf {
    state.join(NAME)
}

/// The socket as long as the machine runs.
pub struct StatusSocket(PathBuf);

impl StatusSocket {
    /// Whether another program answers there: two must not own one machine.
    pub fn is_taken(path: &Path) -> bool {
        Short::of(path).is_ok_and(|short| UnixStream::connect(&short.path).is_ok())
    }

    /// Begins to answer at `path`.
    ///
    /// # Errors
    /// No socket can be made there.
    pub fn open(path: &Path, view: Shared) -> anyhow::Result<StatusSocket> {
        let short = Short::of(path)?;
        // Made under another name and moved: nobody else meets it before it is closed to others, and one that a dead program
        // left behind is replaced.
        let new = short.path.with_extension("new");
        let _ = fs::remove_file(&new);
        let attempt = || format!("make the socket {}", path.display());
        let listener = UnixListener::bind(&new).with_context(attempt)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600)).with_context(attempt)?;
        fs::rename(&new, &short.path).with_context(attempt)?;
        let answer = move || {
            for asked in listener.incoming() {
                let Ok(mut stream) = asked else {
                    // No descriptor is free: the next turn of the machine may free one.
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                };
                let text = serde_json::to_vec(&*view.latest()).unwrap_or_default();
                // One who does not read gets no answer.
                let _ = stream.set_write_timeout(Some(WRITE_LIMIT)).and_then(|()| stream.write_all(&text));
            }
        };
        std::thread::Builder::new().name("status".into()).spawn(answer).context("start the thread of the status socket")?;
        Ok(StatusSocket(path.to_owned()))
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What the machine behind a socket says.
///
/// # Errors
/// Nobody answers in time, or with more than `limit` bytes.
pub fn ask(path: &Path, wait: Duration, limit: usize) -> anyhow::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(&Short::of(path)?.path)?;
    let (deadline, mut answer, mut chunk) = (Instant::now() + wait, Vec::new(), [0; 8192]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "no answer within {} s", wait.as_secs());
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return Ok(answer),
            n => answer.extend_from_slice(&chunk[..n]),
        }
        ensure!(answer.len() <= limit, "an answer of more than {limit} bytes");
    }
}

/// A path that fits a socket's address, however deep its folder: then it goes by way of the folder's descriptor.
struct Short {
    path: PathBuf,
    _folder: Option<rustix::fd::OwnedFd>,
}

impl Short {
    fn of(path: &Path) -> anyhow::Result<Short> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().context("a socket has a name")?;
        if path.as_os_str().len() <= ADDRESS_LIMIT {
            return Ok(Short { path: path.to_owned(), _folder: None });
        }
        let opened = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let opened = opened.with_context(|| format!("open the folder {}", folder.display()))?;
        Ok(Short { path: Path::new("/proc/self/fd").join(opened.as_raw_fd().to_string()).join(name), _folder: Some(opened) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Status;

    fn folder(name: &str) -> PathBuf {
        let deep = "a-folder-with-a-long-name".repeat(5);
        let path = std::env::temp_dir().join(format!("otedama-asked-{}-{name}", std::process::id())).join(deep);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    #[test]
    fn it_answers_its_owner_alone_replaces_a_dead_one_and_is_seen_by_a_second() {
        let path = beside(&folder("one"));
        let wait = Duration::from_secs(20);
        assert!(ask(&path, wait, 1 << 20).is_err(), "nobody is there");
        drop(UnixListener::bind(Short::of(&path).expect("short").path).expect("one that is left behind"));
        let shared = Shared::new(Status { version: "v".to_owned(), ..Status::default() });
        let socket = StatusSocket::open(&path, shared.clone()).expect("opens");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        for _ in 0..3 {
            let answer = ask(&path, wait, 1 << 20).expect("answered");
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&answer).expect("JSON")["version"], "v");
        }
        assert!(ask(&path, wait, 10).is_err(), "the limit holds");
        assert!(StatusSocket::is_taken(&path));
        drop(socket);
        assert!(!path.exists() && !StatusSocket::is_taken(&path));
        let _ = fs::remove_dir_all(path.parent().expect("its folder").parent().expect("the test's folder"));
    }
}
