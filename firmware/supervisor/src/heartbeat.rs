//! The child's side of the heartbeat: a byte a second into a pipe that the first process (`otedama init`) reads. The deciding
//! loop itself must beat: a thread made for it would go on beating while the loop hangs. Not here: what silence leads to.

use model::Time;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// The variable that names the inherited file descriptor.
pub const VARIABLE: &str = "OTEDAMA_HEARTBEAT_FD";
/// Between two beats; the deciding loop must turn at least this often while it has a heartbeat.
const PERIOD: Duration = Duration::from_secs(1);

/// The pipe to the first process.
#[derive(Debug)]
pub struct Heartbeat {
    pipe: File,
    beat_at: Time,
}

impl Heartbeat {
    /// The heartbeat that this process was started with; `None` where nobody listens.
    ///
    /// # Errors
    /// The variable names no file descriptor of this process.
    pub fn inherited() -> io::Result<Option<Heartbeat>> {
        std::env::var_os(VARIABLE).map(|fd| Heartbeat::open(&fd.to_string_lossy())).transpose()
    }

    fn open(fd: &str) -> io::Result<Heartbeat> {
        let fd: u32 = fd.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{VARIABLE}={fd}")))?;
        // Opened anew by its path: a number alone is no proof of owning the descriptor. It must never block the loop.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let pipe = File::options().write(true).custom_flags(nonblocking).open(format!("/proc/self/fd/{fd}"))?;
        Ok(Heartbeat { pipe, beat_at: Time::ZERO })
    }

    /// Beats if a beat is due; call it from every turn of the deciding loop. A pipe that is full or closed is not the child's
    /// trouble: whoever should listen is gone.
    pub fn turn(&mut self, now: Time) {
        if self.beat_at <= now {
            self.beat_at = now + PERIOD;
            let _ = self.pipe.write(&[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_beat_a_second_however_often_the_loop_turns() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let mut heart = Heartbeat::open(&writer.as_raw_fd().to_string()).expect("opens");
        for ms in [0, 1, 999, 1000, 1500, 2500] {
            heart.turn(Time::from_millis(ms));
        }
        drop((heart, writer));
        let mut got = vec![];
        reader.read_to_end(&mut got).expect("read");
        assert_eq!(got.len(), 3);
    }

    #[test]
    fn what_is_no_descriptor_is_refused_and_a_closed_pipe_is_borne() {
        for bad in ["", "x", "-1", "../1", "4000000000"] {
            assert!(Heartbeat::open(bad).is_err(), "{bad}");
        }
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut heart = Heartbeat::open(&writer.as_raw_fd().to_string()).expect("opens");
        drop(reader);
        heart.turn(Time::ZERO);
    }
}
