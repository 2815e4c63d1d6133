//! Found blocks on disk: written and fsynced before they are sent, kept until a node has answered.
//!
//! A block is worth more than everything else that passes through here, so a power cut between finding and sending must not lose
//! it. Append-only lines, `found HASH HEIGHT HEX` and `answered HASH`; a torn last line is a block that was never sent. Once
//! nothing waits the file is emptied: it is an outbox, not a history.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use model::Hash;

use crate::{hex, solo::BlockFound};

/// Largest journal that is read back: 32 blocks of the largest size that a template may have.
const JOURNAL_LIMIT: u64 = 256 << 20;

/// Why a journal cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("{attempt} {}: {source}", path.display())]
pub struct JournalError {
    attempt: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

/// The outbox of found blocks.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    waiting: Vec<BlockFound>,
}

impl Journal {
    /// Opens or creates `found-blocks` in `directory` and reads back what nobody answered.
    ///
    /// # Errors
    /// The directory or file cannot be made, read or synced.
    pub fn open(directory: &Path) -> Result<Journal, JournalError> {
        let path = directory.join("found-blocks");
        let fail = |attempt, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError { attempt, path, source }
        };
        std::fs::create_dir_all(directory).map_err(fail("make the directory", directory))?;
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(fail("open the block journal", &path))?;
        // A new file's name lives in its directory, which has to reach the disk as well.
        File::open(directory).and_then(|d| d.sync_all()).map_err(fail("sync the directory", directory))?;
        let mut bytes = Vec::new();
        (&mut file).take(JOURNAL_LIMIT).read_to_end(&mut bytes).map_err(fail("read the block journal", &path))?;
        let waiting = replay(&bytes);
        if bytes.last().is_some_and(|b| *b != b'\n') {
            // What was torn must not swallow the line that comes next.
            file.write_all(b"\n").and_then(|()| file.sync_data()).map_err(fail("mend the block journal", &path))?;
        }
        Ok(Journal { path, file, waiting })
    }

    /// Blocks that no node has answered yet, oldest first.
    #[must_use]
    pub fn waiting(&self) -> &[BlockFound] {
        &self.waiting
    }

    /// Keeps a block. When this returns it is on disk.
    ///
    /// # Errors
    /// The disk refused; the block should be sent nevertheless.
    pub fn found(&mut self, block: &BlockFound) -> Result<(), JournalError> {
        self.waiting.push(block.clone());
        self.append(&format!("found {} {} {}\n", block.hash.to_explorer_hex(), block.height, block.hex))
    }

    /// Forgets a block: a node has answered.
    ///
    /// # Errors
    /// The disk refused; the block will be sent again after the next start, which does no harm.
    pub fn answered(&mut self, hash: Hash) -> Result<(), JournalError> {
        self.waiting.retain(|b| b.hash != hash);
        if self.waiting.is_empty() {
            let emptied = self.file.set_len(0).and_then(|()| self.file.rewind()).and_then(|()| self.file.sync_data());
            return emptied.map_err(|source| JournalError {
                attempt: "empty the block journal",
                path: self.path.clone(),
                source,
            });
        }
        self.append(&format!("answered {}\n", hash.to_explorer_hex()))
    }

    fn append(&mut self, line: &str) -> Result<(), JournalError> {
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| JournalError { attempt: "write the block journal", path: self.path.clone(), source })
    }
}

fn replay(bytes: &[u8]) -> Vec<BlockFound> {
    let mut waiting: Vec<BlockFound> = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        // Only whole lines count.
        let Some(line) = line.strip_suffix(b"\n").and_then(|l| std::str::from_utf8(l).ok()) else { continue };
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["found", hash, height, block] => {
                if let (Some(hash), Ok(height), Some(bytes)) = (hex::hash(hash), height.parse(), hex::decode(block))
                    && bytes.len() > 80
                {
                    waiting.push(BlockFound { hex: (*block).to_owned(), hash, height });
                }
            }
            ["answered", hash] => {
                if let Some(hash) = hex::hash(hash) {
                    waiting.retain(|b| b.hash != hash);
                }
            }
            _ => {}
        }
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Folder(PathBuf);
    impl Folder {
        fn new() -> Folder {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("otedama-journal-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            Folder(std::env::temp_dir().join(name))
        }
    }
    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn block(n: u8) -> BlockFound {
        BlockFound { hex: hex::encode(&[n; 100]), hash: Hash([n; 32]), height: u32::from(n) }
    }

    #[test]
    fn what_nobody_answered_comes_back_after_a_restart() {
        let folder = Folder::new();
        let mut j = Journal::open(&folder.0).expect("open");
        for n in 1..=3 {
            j.found(&block(n)).expect("written");
        }
        j.answered(block(2).hash).expect("written");
        drop(j);
        let mut j = Journal::open(&folder.0).expect("open again");
        assert_eq!(j.waiting(), [block(1), block(3)]);
        j.answered(block(1).hash).expect("written");
        j.answered(block(3).hash).expect("written");
        assert_eq!(std::fs::metadata(folder.0.join("found-blocks")).expect("there").len(), 0);
        assert_eq!(Journal::open(&folder.0).expect("open").waiting(), []);
    }

    #[test]
    fn torn_and_foreign_lines_cost_nothing_else() {
        let folder = Folder::new();
        let mut j = Journal::open(&folder.0).expect("open");
        j.found(&block(1)).expect("written");
        drop(j);
        let path = folder.0.join("found-blocks");
        let mut bytes = std::fs::read(&path).expect("read");
        bytes.extend(b"\xff\xfe nonsense\nfound x y z\nfound 00 1 00\nfound 0202");
        std::fs::write(&path, &bytes).expect("write");
        let mut j = Journal::open(&folder.0).expect("open");
        assert_eq!(j.waiting(), [block(1)]);
        j.found(&block(5)).expect("written");
        drop(j);
        assert_eq!(Journal::open(&folder.0).expect("open").waiting(), [block(1), block(5)]);
    }

    proptest::proptest! {
        /// Whatever a failing disk made of the file: it is read, and a whole line of before is still found.
        #[test]
        fn damage_never_panics_and_costs_only_what_it_hit(noise in proptest::collection::vec(0u8.., 0..200)) {
            let line = format!("found {} 1 {}\n", block(1).hash.to_explorer_hex(), block(1).hex);
            let mut bytes = line.clone().into_bytes();
            bytes.extend(&noise);
            proptest::prop_assert_eq!(replay(&bytes), [block(1)]);
            let mut before = noise;
            before.push(b'\n');
            before.extend(line.bytes());
            proptest::prop_assert_eq!(replay(&before), [block(1)]);
        }
    }
}
