//! Running the tools of others: an error names the tool, its arguments and the last lines it said.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// Lines of a failed tool's own words that an error repeats; the rest is above the cause more often than not.
const WORDS_KEPT: usize = 25;

/// Runs a tool to its end and gives back what it wrote to stdout.
///
/// # Errors
/// It is not there, or it ended with anything but success.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let what = line(command);
    // mkfs and sfdisk are where a person's own PATH does not lead on Debian.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env("PATH", [path, ":/usr/sbin:/sbin".into()].join("".as_ref()));
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("start `{what}` (./setup image installs tools)"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        bail!("`{what}`: {}\n{}", output.status, lines[lines.len().saturating_sub(WORDS_KEPT)..].join("\n"));
    }
    Ok(output.stdout)
}

/// Says on stderr what is being done; stdout belongs to results.
pub fn say(what: &str) {
    eprintln!("image: {what}");
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_tool_and_repeats_its_words() {
        let error =
            run(Command::new("sh").args(["-c", "echo first; echo worse >&2; exit 3"])).expect_err("it failed").to_string();
        assert!(error.contains("sh -c") && error.contains("worse") && error.contains('3'), "{error}");
        let missing = format!("{:#}", run(&mut Command::new("otedama-no-such-tool")).expect_err("not there"));
        assert!(missing.contains("otedama-no-such-tool") && missing.contains("./setup image"), "{missing}");
        let path = run(Command::new("sh").args(["-c", "echo $PATH"])).expect("it runs");
        assert!(path.ends_with(b":/usr/sbin:/sbin\n"));
        assert_eq!(run(Command::new("echo").arg("fine")).expect("it runs"), b"fine\n");
    }
}
