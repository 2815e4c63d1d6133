//! The kernel: Debian's source, `make tinyconfig`, and the fragments of this tree (`image/kernel/common.config`, then
//! `board/BOARD/kernel.config`). Kept in the cache by the hash of all that decides its bytes.
//!
//! Debian's own kernel is eight times slower to boot under emulation and lacks virtio's I2C and GPIO. The build folder is kept
//! too, so that a changed fragment compiles only what it touches. Not here: modules and an initramfs; there are none.

use crate::command::{run, say};
use crate::place::Place;
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Debian's package of the source; bookworm-security has it.
const PACKAGE: &str = "linux-source-6.12";
/// What would otherwise differ from one build to the next; part of the cache's key.
const SAME_BYTES: &[(&str, &str)] = &[
    ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 2026"),
    ("KBUILD_BUILD_USER", "otedama"),
    ("KBUILD_BUILD_HOST", "otedama"),
    ("KBUILD_BUILD_VERSION", "1"),
];
/// How often the build says how far it is.
const PROGRESS: Duration = Duration::from_secs(20);
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(200);
/// Lines of make that a failure repeats.
const WORDS_KEPT: usize = 25;

/// Builds the kernel, or takes it from the cache, and lays it in the output folder.
///
/// # Errors
/// The source is not installed, a line of a fragment does not stick, or it does not compile.
pub fn build(place: &Place) -> Result<PathBuf> {
    let version = source_version()?;
    let fragments = fragments(place)?;
    let folder = place.cache.join("kernel");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let kept = folder.join(format!("{}-{}.bzImage", place.board, key(&version, &fragments)));
    if !kept.exists() {
        // One build at a time: a second waits, and finds what the first has made.
        let lock = File::create(folder.join("lock")).context("make the kernel cache's lock")?;
        lock.lock().context("lock the kernel cache")?;
        if !kept.exists() {
            anew(place, &folder, &version, &fragments, &kept)?;
        }
    }
    let to = place.kernel();
    fs::copy(&kept, &to).with_context(|| format!("copy {} to {}", kept.display(), to.display()))?;
    Ok(to)
}

fn anew(place: &Place, folder: &Path, version: &str, fragments: &str, kept: &Path) -> Result<()> {
    say(&format!("building the kernel from {PACKAGE} {version}: some 7 minutes on two cores, once"));
    let source = unpacked(folder, version)?;
    let made = compile(&source, &folder.join(format!("build-{}", place.board)), fragments)?;
    let part = kept.with_extension("part");
    fs::copy(&made, &part).with_context(|| format!("copy {} to {}", made.display(), part.display()))?;
    fs::rename(&part, kept).with_context(|| format!("keep {}", kept.display()))
}

fn source_version() -> Result<String> {
    let said = run(Command::new("dpkg-query").args(["--show", "--showformat", "${Version}", PACKAGE]));
    let version = said.with_context(|| format!("find {PACKAGE} (`./setup image` installs it)"))?;
    let version = String::from_utf8(version).context("read a package's version")?;
    ensure!(!version.is_empty(), "find {PACKAGE}: it is not installed (`./setup image` installs it)");
    Ok(version)
}

/// Both fragments, common first.
fn fragments(place: &Place) -> Result<String> {
    let folder = place.board.replace('-', "_");
    let files = [place.top.join("image/kernel/common.config"), place.top.join("board").join(folder).join("kernel.config")];
    let read = |f: &PathBuf| fs::read_to_string(f).with_context(|| format!("read {}", f.display()));
    Ok(files.iter().map(read).collect::<Result<Vec<_>>>()?.join("\n"))
}

/// Comments do not change a kernel, so they are no part of its key.
fn key(version: &str, fragments: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(version);
    for wish in fragments.lines().filter_map(|l| wish(l).ok().flatten()) {
        hash.update(format!("\n{}={}", wish.name, wish.value.unwrap_or("n")));
    }
    SAME_BYTES.iter().for_each(|(name, value)| hash.update(format!("\n{name}={value}")));
    hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// The source tree of this version, unpacked once.
fn unpacked(folder: &Path, version: &str) -> Result<PathBuf> {
    let source = folder.join(format!("source-{version}"));
    if source.join("Kconfig").exists() {
        return Ok(source);
    }
    say("unpacking the kernel's source");
    let part = folder.join("source.part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("remove {}", part.display()))?;
    }
    fs::create_dir_all(&part).with_context(|| format!("make {}", part.display()))?;
    let tar = format!("/usr/src/{PACKAGE}.tar.xz");
    run(Command::new("tar").args(["--extract", "--strip-components=1", "--file", &tar, "--directory"]).arg(&part))?;
    fs::rename(&part, &source).with_context(|| format!("keep {}", source.display()))?;
    Ok(source)
}

fn compile(source: &Path, build: &Path, fragments: &str) -> Result<PathBuf> {
    fs::create_dir_all(build).with_context(|| format!("make {}", build.display()))?;
    let make = |target: &str| {
        let mut command = Command::new("make");
        command.current_dir(source).arg(format!("O={}", build.display())).arg(target).envs(SAME_BYTES.iter().copied());
        // The tree's own `make` that called this one must not lend it its flags.
        command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env_remove("MFLAGS");
        command
    };
    let config = build.join(".config");
    run(&mut make("tinyconfig"))?;
    let tiny = fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
    fs::write(&config, format!("{tiny}\n{fragments}")).with_context(|| format!("write {}", config.display()))?;
    run(&mut make("olddefconfig"))?;
    let settled = fs::read_to_string(&config).with_context(|| format!("read {}", config.display()))?;
    let unmet = unmet(fragments, &settled);
    ensure!(unmet.is_empty(), "configure the kernel: these lines of the fragments did not stick:\n{}", unmet.join("\n"));
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    long(make("bzImage").arg(format!("-j{jobs}")), &build.with_extension("log"))?;
    Ok(build.join("arch/x86/boot/bzImage"))
}

/// Runs make with its words in a file, and says how far it is.
fn long(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("make {}", log.display()))?;
    let errors = file.try_clone().with_context(|| format!("share {}", log.display()))?;
    let mut child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn().context("start make")?;
    let (start, mut told) = (Instant::now(), Instant::now());
    let status = loop {
        if let Some(status) = child.try_wait().context("wait for make")? {
            break status;
        }
        thread::sleep(GLANCE);
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let done = fs::read_to_string(log).unwrap_or_default().lines().filter(|l| l.starts_with("  CC ")).count();
            say(&format!("kernel: {done} files compiled in {} s", start.elapsed().as_secs()));
        }
    };
    if !status.success() {
        let said = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        bail!("compile the kernel: {status}\n{}", lines[lines.len().saturating_sub(WORDS_KEPT)..].join("\n"));
    }
    Ok(())
}

/// One wish of a fragment: a symbol and its value, `None` for off.
struct Wish<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

/// What a line asks for; `None` for an empty line or a comment.
fn wish(line: &str) -> Result<Option<Wish<'_>>> {
    if let Some(name) = line.strip_prefix("# CONFIG_").and_then(|rest| rest.strip_suffix(" is not set")) {
        return Ok(Some(Wish { name, value: None }));
    }
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let parts = line.strip_prefix("CONFIG_").and_then(|rest| rest.split_once('='));
    let (name, value) = parts.with_context(|| format!("{line}: neither CONFIG_X=… nor `# CONFIG_X is not set` nor a comment"))?;
    Ok(Some(Wish { name, value: (value != "n").then_some(value) }))
}

/// The lines of the fragments that the settled configuration does not have, each with what it has.
fn unmet(fragments: &str, config: &str) -> Vec<String> {
    let has = |name: &str| {
        config.lines().find_map(|l| l.strip_prefix("CONFIG_")?.strip_prefix(name)?.strip_prefix('=')).filter(|v| *v != "n")
    };
    let mut found = vec![];
    for line in fragments.lines() {
        match wish(line) {
            Ok(None) => {}
            Ok(Some(w)) if has(w.name) == w.value => {}
            Ok(Some(w)) => found.push(format!("{line} (it is {})", has(w.name).unwrap_or("off, or unknown"))),
            Err(e) => found.push(e.to_string()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLED: &str = "CONFIG_NET=y\n# CONFIG_MODULES is not set\nCONFIG_HZ=250\nCONFIG_NETDEVICES=y\n";

    #[test]
    fn a_wish_that_did_not_stick_is_named() {
        let wrong =
            "# network\nCONFIG_NET=y\nCONFIG_VIRTIO_NETT=y\nCONFIG_HZ=1000\n# CONFIG_NETDEVICES is not set\nCONFG_NET=y\n";
        assert_eq!(
            unmet(wrong, SETTLED),
            [
                "CONFIG_VIRTIO_NETT=y (it is off, or unknown)",
                "CONFIG_HZ=1000 (it is 250)",
                "# CONFIG_NETDEVICES is not set (it is y)",
                "CONFG_NET=y: neither CONFIG_X=… nor `# CONFIG_X is not set` nor a comment",
            ]
        );
        let fine = "CONFIG_NET=y\n# CONFIG_MODULES is not set\nCONFIG_GONE=n\n\n# a comment is not set\nCONFIG_HZ=250\n";
        assert_eq!(unmet(fine, SETTLED), Vec::<String>::new());
    }

    #[test]
    fn the_key_is_of_version_and_wishes() {
        let place = Place::of("pc").expect("a board");
        let ours = fragments(&place).expect("both are there");
        assert!(ours.lines().all(|l| wish(l).is_ok()), "every line is a wish or a comment");
        let one = key("6.12.1", &ours);
        assert_eq!(one, key("6.12.1", &format!("# said otherwise\n{ours}")));
        assert_ne!(one, key("6.12.2", &ours));
        assert_ne!(one, key("6.12.1", &format!("{ours}\nCONFIG_NUMA=y\n")));
    }
}
