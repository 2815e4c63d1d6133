//! The tree's own tidiness: every source file says what it is, fits a sitting and leaves nothing undone.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file. A good one has 400 lines with its tests; beyond this it is two files.
const MAX_LINES: usize = 700;
/// Folders without sources of ours.
const SKIPPED: &[&str] = &["target", "node_modules", ".git"];
/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helper", "helpers", "manager", "misc"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("list {}: {e}", folder.display()));
    for entry in entries.map(|e| e.expect("a folder's entry")) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // Links are left alone: they may lead out of the tree or round in a ring.
        let kind = entry.file_type().expect("a file's type");
        if kind.is_dir() && !SKIPPED.contains(&name.as_ref()) {
            sources(&path, found);
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn faults(path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push("does not begin with //! and what it is".to_owned());
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("has {lines} lines, more than {MAX_LINES}"));
    }
    // Written apart, so that this file does not find itself.
    for word in [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("#[", "ignore")] {
        if let Some(at) = text.lines().position(|l| l.contains(word)) {
            found.push(format!("line {}: {word}", at + 1));
        }
    }
    let named = |p: Option<&std::ffi::OsStr>| p.is_some_and(|n| EMPTY_NAMES.contains(&n.to_string_lossy().as_ref()));
    if named(path.file_stem()) || named(path.parent().and_then(Path::file_name)) {
        found.push("has a name that says nothing".to_owned());
    }
    found.into_iter().map(|what| format!("{}: {what}", path.display())).collect()
}

#[test]
fn every_source_file_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the tree was walked: {} files", files.len());
    let read = |p: &PathBuf| fs::read_to_string(p).unwrap_or_else(|e| panic!("read {}: {e}", p.display()));
    let found: Vec<String> = files.iter().flat_map(|p| faults(p, &read(p))).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_untidy_file_is_found() {
    let undone = format!("fn f() {{\n    {}()\n}}\n", concat!("todo", "!"));
    assert_eq!(faults(Path::new("a/utils.rs"), &undone).len(), 3);
    assert_eq!(faults(Path::new("a/b.rs"), &"//! Long.\n".repeat(701)).len(), 1);
    assert_eq!(faults(Path::new("a/b.rs"), "//! Fine.\n"), Vec::<String>::new());
}
