//! Where things are: the tree, the cache that outlives checkouts, and the folder that outputs go to.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The places of one control board's image.
#[derive(Clone, Debug)]
pub struct Place {
    /// The top of the source tree.
    pub top: PathBuf,
    /// What is slow to make, by hash: `$OTEDAMA_CACHE`, or `~/.cache/otedama`.
    pub cache: PathBuf,
    /// What is made: `image/BOARD` in cargo's target folder.
    pub out: PathBuf,
    /// The control board, as lists and the command line write it.
    pub board: &'static str,
}

impl Place {
    /// The places for this control board on this machine; its output folder is made.
    ///
    /// # Errors
    /// The board is not known, there is no home, or the folder cannot be made.
    pub fn of(board: &str) -> Result<Place> {
        let known = || board::CONTROL_BOARDS.iter().map(|b| b.name).collect::<Vec<_>>().join(", ");
        let found = board::CONTROL_BOARDS.iter().find(|b| b.name == board);
        let board = found.with_context(|| format!("find control board `{board}`; there are: {}", known()))?.name;
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the tree").to_owned();
        let cache = match (env::var_os("OTEDAMA_CACHE"), env::var_os("HOME")) {
            (Some(cache), _) => PathBuf::from(cache),
            (None, Some(home)) => Path::new(&home).join(".cache/otedama"),
            (None, None) => anyhow::bail!("find the cache: set OTEDAMA_CACHE or HOME"),
        };
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| top.join("target"), |t| top.join(t));
        let out = target.join("image").join(board);
        fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
        Ok(Place { top, cache, out, board })
    }

    /// The kernel that boots.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.out.join("bzImage")
    }

    /// The static program.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.out.join("otedama")
    }

    /// The root file system (erofs).
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        self.out.join("root.erofs")
    }

    /// The whole disk.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.out.join("disk.img")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_board_is_refused_with_those_there_are() {
        let error = Place::of("pcc").expect_err("no such board").to_string();
        assert!(error.contains("pcc") && error.contains("pc"), "{error}");
        assert!(Place::of("pc").expect("known").out.ends_with("image/pc"));
    }
}
