//! Who may import whom: the crates' own manifests against the table of floors. A dependency that climbs fails here.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Each member and what of ours it may depend on; a crate absent from the table has no floor and is refused.
const FLOORS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("algorithm", &["model"]),
    ("control", &["model"]),
    ("stratum", &["model"]),
    ("hwdrivers", &["model"]),
    ("webui", &["model"]),
    ("board", &["model", "hwdrivers"]),
    ("pool", &["model", "algorithm", "stratum"]),
    ("rig", &["model", "algorithm", "control", "stratum", "hwdrivers"]),
    ("sim", &["model", "algorithm", "control", "stratum", "hwdrivers", "webui", "board", "pool", "rig"]),
    ("supervisor", &["model", "algorithm", "control", "stratum", "hwdrivers", "webui", "board", "pool", "rig", "sim"]),
    ("image", &["board", "model"]),
];

fn metadata() -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON")
}

/// Normal dependencies on crates of this tree, by crate.
fn imports(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let of = |p: &Value| -> BTreeSet<String> {
        let all = p["dependencies"].as_array().expect("dependencies");
        // `kind` is null for a normal dependency; `path` is there for one of ours.
        all.iter().filter(|d| d["kind"].is_null() && !d["path"].is_null()).map(|d| text(&d["name"])).collect()
    };
    packages.iter().map(|p| (text(&p["name"]), of(p))).collect()
}

fn violations(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let floors: BTreeMap<&str, &[&str]> = FLOORS.iter().copied().collect();
    let mut found = Vec::new();
    for (name, imported) in imports {
        match floors.get(name.as_str()) {
            None => found.push(format!("{name} has no floor")),
            Some(allowed) => {
                found.extend(imported.iter().filter(|i| !allowed.contains(&i.as_str())).map(|i| format!("{name} imports {i}")));
            }
        }
    }
    found
}

#[test]
fn no_crate_imports_from_its_own_floor_or_above() {
    let imports = imports(&metadata());
    assert!(imports.contains_key("supervisor") && imports.contains_key("model"), "the workspace was read");
    assert_eq!(violations(&imports), Vec::<String>::new());
}

#[test]
fn one_file_alone_names_the_simulator() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut naming = Vec::new();
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if std::fs::read_to_string(&entry).expect("a source").lines().any(names_sim) {
                naming.push(entry.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default());
            }
        }
    }
    assert_eq!(naming, ["simulated.rs"]);
}

/// Whether a line of code, not of a comment, has a path that begins with the simulator.
fn names_sim(line: &str) -> bool {
    let starts = |(at, _): (usize, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    !line.trim_start().starts_with("//") && line.match_indices("sim::").any(starts)
}

#[test]
fn a_climbing_import_and_a_crate_without_a_floor_are_found() {
    let one = |name: &str, imported: &str| BTreeMap::from([(name.to_owned(), BTreeSet::from([imported.to_owned()]))]);
    assert_eq!(violations(&one("stratum", "algorithm")), ["stratum imports algorithm"]);
    assert_eq!(violations(&one("rig", "board")), ["rig imports board"]);
    assert_eq!(violations(&one("helpers", "model")), ["helpers has no floor"]);
}
