//! `otedama init` as a true first process: of a namespace of its own (`unshare --pid`), with mounts and a network of its own.
//! What a machine's kernel would do at its end, the namespace does: it ends with everything in it, by SIGHUP for a restart.
//!
//! Run by root, or where that is not to be had in a user namespace; where neither is allowed it fails and says so.

mod space;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(90);
/// A child that leaves orphans behind, beats, and ends by itself when it is asked to.
const CHILD: &str = "for i in 1 2 3 4 5; do (sleep 0.$i &); done; trap 'exit 0' TERM; \
                     while :; do printf x >/proc/self/fd/$OTEDAMA_HEARTBEAT_FD; sleep 0.1; done";

struct Space {
    unshare: Child,
    said: BufReader<ChildStderr>,
    /// Not below /tmp or /run, over which the first process mounts.
    folder: PathBuf,
}

impl Space {
    /// `files` is how many the first process may have open.
    fn start(name: &str, files: u32) -> Space {
        let folder = PathBuf::from(format!("/var/tmp/otedama-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("config.yaml"), "mining: {}\n").expect("written");
        fs::write(folder.join("watchdog"), "").expect("written");
        let mut command = Command::new("unshare");
        let mounts = space::own_mounts();
        if !Command::new("unshare").args(mounts).args(["--pid", "--fork", "true"]).status().is_ok_and(|s| s.success()) {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(mounts).args(["--pid", "--fork", "--kill-child", "--net", "--uts"]);
        command.args(["sh", "-c", "ulimit -n $0; exec \"$@\"", &files.to_string(), env!("CARGO_BIN_EXE_otedama"), "init"]);
        command.args(["--silence", "10000", "--config"]).arg(folder.join("config.yaml"));
        command.arg("--watchdog").arg(folder.join("watchdog")).args(["--child", "sh", "-c", CHILD]);
        let mut unshare = command.stderr(Stdio::piped()).spawn().expect("unshare is part of Debian");
        let said = BufReader::new(unshare.stderr.take().expect("piped"));
        Space { unshare, said, folder }
    }

    /// Reads on until a line holds this.
    fn until(&mut self, part: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let read = self.said.read_line(&mut line).expect("text");
            assert_ne!(read, 0, "ended without '{part}' (as root, or with user namespaces allowed, it runs):\n{all}");
            all += &line;
            if line.contains(part) {
                return all;
            }
        }
    }

    /// The first process as it is called outside of the namespace.
    fn first(&self) -> u32 {
        *children(self.unshare.id()).first().map(|(pid, _)| pid).expect("it runs")
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // The namespace ends with it, by --kill-child.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Number and state of a process's children.
fn children(parent: u32) -> Vec<(u32, char)> {
    let stat = |e: fs::DirEntry| {
        let pid: u32 = e.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(e.path().join("stat")).ok()?;
        let mut words = text.rsplit_once(") ")?.1.split(' ');
        let (state, ppid) = (words.next()?.chars().next()?, words.next()?.parse::<u32>().ok()?);
        (ppid == parent).then_some((pid, state))
    };
    fs::read_dir("/proc").expect("listed").flatten().filter_map(stat).collect()
}

#[test]
fn the_first_process_mounts_reaps_orphans_feeds_and_ends_in_a_restart() {
    let mut space = Space::start("pid1", 256);
    let boot = space.until("started the child");
    assert!(boot.lines().next().is_some_and(|l| l.contains("otedama init: Otedama ")), "the first line: {boot}");
    for part in ["mounted /proc", "/data", "/config: no partition is called OTEDAMA", "watchdog", "the settings name no machine"]
    {
        assert!(boot.contains(part), "'{part}' is not in:\n{boot}");
    }
    let first = space.first();
    // The child and the network's process; every orphan is reaped when it ends.
    let start = Instant::now();
    while !matches!(&children(first)[..], [(_, a), (_, b)] if *a != 'Z' && *b != 'Z') || start.elapsed() < Duration::from_secs(1)
    {
        assert!(start.elapsed() < PATIENCE, "not reaped: {:?}", children(first));
        std::thread::sleep(Duration::from_millis(50));
    }
    let fed = fs::read(space.folder.join("watchdog")).expect("read");
    assert!(!fed.is_empty() && fed.iter().all(|b| *b == 0), "{fed:?}");
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {first}")]).status().is_ok_and(|s| s.success()));
    let end = space.until("restarting the board");
    assert!(end.contains("the child ended: exit status 0"), "{end}");
    let fed = fs::read(space.folder.join("watchdog")).expect("read");
    assert_eq!(fed.last(), Some(&b'V'), "a clean end disarms it: {fed:?}");
    assert_eq!(space.unshare.wait().expect("ends").signal(), Some(1), "a restart of a namespace is SIGHUP to its first process");
}

#[test]
fn a_first_process_that_cannot_go_on_says_why_makes_hardware_safe_and_restarts() {
    // Too few files for a runtime.
    let mut space = Space::start("pid1-falls", 5);
    let said = space.until("restarting the board");
    let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("'{part}' is not in:\n{said}"));
    assert!(at("this cannot go on: start the runtime") < at("hardware is safe"), "{said}");
    assert_eq!(space.unshare.wait().expect("ends").signal(), Some(1), "never an end of the first process by itself");
}
