//! The heartbeat: a byte a second into a pipe that the first process (`otedama init`) reads. The deciding loop itself must beat: a thread
//! made for it would go on beating while the loop hangs. The last thing in the pipe may be a [`LastWord`]; whatever comes behind it
//! takes it back. Not here: what silence leads to, and whether a last word is believed (`init`).

use model::{Celsius, Time};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// The variable that names the inherited file descriptor.
pub const VARIABLE: &str = "OTEDAMA_HEARTBEAT_FD";
/// Between two beats; the deciding loop must turn at least this often while it has a heartbeat.
const PERIOD: Duration = Duration::from_secs(1);

/// Longest last word, its two line ends included.
pub const LAST_LIMIT: usize = 32;

/// What a child says of the machine when it ends on purpose: a line of its own, `off` or `on` and the warmest chip, as `off 41.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LastWord {
    /// Whether nothing has hash power any more.
    pub off: bool,
    /// The warmest chip by its last readings; `None` where one of them is not known.
    pub warmest: Option<Celsius>,
}

impl LastWord {
    fn line(self) -> String {
        let warmest = self.warmest.map_or("?".to_owned(), |c| format!("{:.1}", c.0));
        format!("\n{} {warmest}\n", if self.off { "off" } else { "on" })
    }

    /// The word that the last bytes of a pipe end with.
    pub fn read(tail: &[u8]) -> Option<LastWord> {
        let said = tail.strip_suffix(b"\n")?;
        let at = said.iter().rposition(|b| *b == b'\n')?;
        let (power, warmest) = std::str::from_utf8(&said[at + 1..]).ok()?.split_once(' ')?;
        let off = match power {
            "off" => true,
            "on" => false,
            _ => return None,
        };
        let warmest = match warmest {
            "?" => None,
            number => Some(Celsius(number.parse().ok().filter(|c: &f64| c.is_finite())?)),
        };
        Some(LastWord { off, warmest })
    }
}

/// The child's end of the pipe to the first process.
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

    /// The heartbeat into this descriptor.
    pub fn open(fd: &str) -> io::Result<Heartbeat> {
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

    /// Says the last word; no beat may follow it.
    pub fn end(mut self, word: LastWord) {
        // Short enough to be written whole or not at all. What is not heard is not believed, which is safe.
        let _ = self.pipe.write(word.line().as_bytes());
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
    fn a_last_word_is_the_last_thing_said_and_nonsense_is_none() {
        for word in [
            LastWord { off: true, warmest: Some(Celsius(41.5)) },
            LastWord { off: true, warmest: Some(Celsius(-3.0)) },
            LastWord { off: false, warmest: None },
        ] {
            let (mut reader, writer) = std::io::pipe().expect("a pipe");
            let mut heart = Heartbeat::open(&writer.as_raw_fd().to_string()).expect("opens");
            heart.turn(Time::ZERO);
            heart.end(word);
            drop(writer);
            let mut got = vec![];
            reader.read_to_end(&mut got).expect("read");
            assert_eq!(LastWord::read(&got), Some(word));
            assert!(got.len() < LAST_LIMIT);
            got.push(1);
            assert_eq!(LastWord::read(&got), None, "a beat behind it takes it back");
        }
        for nonsense in
            ["", "\n", "off 41.5\n", "\noff\n", "\noff x\n", "\noff NaN\n", "\noff inf\n", "\nof 41\n", "\noff 41", "\n\n"]
        {
            assert_eq!(LastWord::read(nonsense.as_bytes()), None, "{nonsense:?}");
        }
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
