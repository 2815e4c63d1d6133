//! What a guest says on its serial console, line by line as it comes into the file. Not here: what a line means.

use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest line that is kept whole; firmware may draw screens without an end of line.
const LINE_LIMIT: usize = 4096;
/// Last lines that are kept to be shown where a guest fails.
const TAIL: usize = 15;
/// Read at once.
const CHUNK: u64 = 64 << 10;

/// A console's file that is followed.
#[derive(Debug)]
pub struct Console {
    path: PathBuf,
    file: File,
    begun: Vec<u8>,
    tail: VecDeque<String>,
}

impl Console {
    /// Follows this file from its beginning.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn follow(path: &Path) -> Result<Console> {
        let file = File::open(path).with_context(|| format!("read {}", path.display()))?;
        Ok(Console { path: path.to_owned(), file, begun: Vec::new(), tail: VecDeque::new() })
    }

    /// The whole lines that came since the last call; nothing in them steers a terminal.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        let attempt = || format!("read {}", self.path.display());
        (&self.file).take(CHUNK).read_to_end(&mut self.begun).with_context(attempt)?;
        let mut lines = Vec::new();
        while let Some(end) =
            self.begun.iter().position(|b| *b == b'\n').or((self.begun.len() > LINE_LIMIT).then_some(LINE_LIMIT))
        {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            lines.push(plain(&line));
        }
        self.tail.extend(lines.iter().filter(|l| !l.is_empty()).cloned());
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Ok(lines)
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines, a begun one too.
    #[must_use]
    pub fn tail(&self) -> String {
        let begun = Some(plain(&self.begun)).filter(|l| !l.is_empty());
        self.tail.iter().cloned().chain(begun).collect::<Vec<_>>().join("\n")
    }
}

/// Text without control characters and without the escape sequences that firmware clears screens with.
fn plain(line: &[u8]) -> String {
    let mut out = String::new();
    let text = String::from_utf8_lossy(line);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' if rest.peek() == Some(&'[') => {
                rest.next();
                // A sequence ends with its first letter.
                rest.by_ref().find(|c| ('@'..='~').contains(c));
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_come_whole_plain_and_limited() {
        let path = std::env::temp_dir().join(format!("otedama-console-{}", std::process::id()));
        let mut file = File::create(&path).expect("made");
        let mut console = Console::follow(&path).expect("read");
        let mut say = |bytes: &[u8]| file.write_all(bytes).expect("written");
        assert!(console.lines().expect("read").is_empty());
        say(b"\x1b[2J\x1b[01;01Hfirst\r\nsec");
        assert_eq!(console.lines().expect("read"), ["first"]);
        assert_eq!(console.tail(), "first\nsec");
        say(b"ond\xff\n\n");
        assert_eq!(console.lines().expect("read"), ["second\u{fffd}", ""]);
        say(&[b'x'; LINE_LIMIT + 10]);
        assert_eq!(console.lines().expect("read")[0].len(), LINE_LIMIT + 1);
        for n in 0..30 {
            say(format!("\nline {n}").as_bytes());
        }
        assert_eq!(console.lines().expect("read").len(), 30);
        assert!(console.tail().starts_with("line 14\n") && console.tail().ends_with("\nline 29"), "{}", console.tail());
        std::fs::remove_file(&path).expect("removed");
    }
}
