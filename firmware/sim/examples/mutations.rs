//! What the fault seeds are worth: each safety rule that is taken out of the firmware must make them fail. `make mutations`, or
//! `cargo run -p sim --example mutations`.
//!
//! The list below names the rules and their places, and is held against the sources by `make test`. Taking them out one by one builds
//! the tree once a rule, some minutes in all. Not here: the seeds themselves (`tests/faults.rs`).

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

struct Mutation {
    /// What the rule does.
    rule: &'static str,
    file: &'static str,
    /// Its words, which stand in the file once.
    text: &'static str,
    /// What stands there without it.
    without: &'static str,
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        rule: "a chip in danger costs its board the power",
        file: "firmware/control/src/thermal/heat.rs",
        text: "(any(&|w| w.worst + ahead(w) >= w.bounds.danger), ",
        without: "(false, ",
    },
    Mutation {
        rule: "a temperature that is lost costs the power",
        file: "firmware/control/src/thermal/mod.rs",
        text: " || sight == Sight::Lost || ",
        without: " || ",
    },
    Mutation {
        rule: "a sensor that says what is not true costs the power",
        file: "firmware/control/src/thermal/board.rs",
        text: "Known::Failed { .. } => return Sight::Lost,",
        without: "Known::Failed { .. } => return Sight::Clear,",
    },
    Mutation {
        rule: "too few fans cost the power",
        file: "firmware/control/src/thermal/mod.rs",
        text: "if self.fans.are_gone(now) || ",
        without: "if ",
    },
    Mutation {
        rule: "whatever is unsure makes the fans full",
        file: "firmware/control/src/thermal/mod.rs",
        text: "unsure: there().any(unsure),",
        without: "unsure: { let _ = unsure; false },",
    },
    Mutation {
        rule: "the third trip within an hour needs a person",
        file: "firmware/control/src/thermal/heat.rs",
        text: "self.latched = self.trips.len() >= TRIPS_MAX;",
        without: "self.latched = self.trips.len() > usize::MAX - TRIPS_MAX;",
    },
    Mutation {
        rule: "a sensor that jumps has failed",
        file: "firmware/control/src/thermal/reading.rs",
        text: "if near(&believed) && !again {",
        without: "if near(&believed) || again {",
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// The files that git knows, as they are now, in a folder of their own.
fn copy_to(folder: &Path) {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git");
    assert!(listed.status.success(), "a checkout");
    for name in String::from_utf8(listed.stdout).expect("names").split_terminator('\0') {
        let (from, to) = (root().join(name), folder.join(name));
        // One that is deleted and not yet committed.
        if from.is_file() {
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(from, to).expect(name);
        }
    }
}

/// Runs the seeds of `make test` over the copy; gives whether they passed, and what they said.
fn run_seeds(copy: &Path) -> (bool, String) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--locked", "-p", "sim", "--test", "faults", "seeds_1_to_5"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .output()
        .expect("cargo");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn main() -> ExitCode {
    // It stays, so that a second call builds less.
    let folder = root().join("target/mutations");
    copy_to(&folder);
    let (passed, said) = run_seeds(&folder);
    if !passed {
        println!("nothing is taken out, and the seeds fail:\n{said}");
        return ExitCode::FAILURE;
    }
    let mut unseen = 0;
    for m in MUTATIONS {
        let place = folder.join(m.file);
        let source = fs::read_to_string(&place).expect(m.file);
        fs::write(&place, source.replacen(m.text, m.without, 1)).expect(m.file);
        let (passed, said) = run_seeds(&folder);
        fs::write(&place, source).expect(m.file);
        if passed || !said.contains("test result: FAILED") {
            unseen += 1;
            println!("without '{}' the seeds do not fail:\n{said}", m.rule);
        } else {
            let seen = said.lines().find(|l| l.contains(" seed ")).unwrap_or_default();
            println!("without '{}': {}", m.rule, seen.chars().take(200).collect::<String>());
        }
    }
    println!("the seeds fail without {} of {} rules", MUTATIONS.len() - unseen, MUTATIONS.len());
    ExitCode::from(u8::from(unseen > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_stands_where_the_list_says_once() {
        for m in MUTATIONS {
            let source = fs::read_to_string(root().join(m.file)).expect(m.file);
            assert_eq!(source.matches(m.text).count(), 1, "{}: {}", m.file, m.text);
        }
    }
}
