//! The program as people and scripts meet it: exit codes, what is on stdout and what on stderr.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The header of Bitcoin's first block, and its hash in computed order.
const GENESIS: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
const GENESIS_HASH: &str = "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000";

fn otedama(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_otedama")).args(args).output().expect("the program starts")
}

fn out(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned()
}

fn err(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("write into the tests' folder");
    path
}

fn check(path: &Path) -> Output {
    otedama(&["check", "--config", path.to_str().expect("a path of the tests is text")])
}

#[test]
fn the_example_and_the_promised_file_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let o = check(&root.join("config.example.yaml"));
    assert_eq!((o.status.code(), err(&o).as_str()), (Some(0), ""));
    let o = check(&root.join("firmware/model/src/settings/fixtures/promised-config.yaml"));
    assert_eq!(o.status.code(), Some(0), "{}", err(&o));
    assert!(err(&o).contains("promised-config.yaml:9:3: warning: 'mining.enable_gpu' waits"), "{}", err(&o));
}

#[test]
fn broken_files_end_with_2_and_name_file_line_column_and_the_nearest_word() {
    let table: &[(&str, &[u8], &str, &str)] = &[
        ("key.yaml", b"mining:\n  algorthm: sha256d\n", "2:3", "did you mean 'algorithm'?"),
        ("word.yaml", b"mining:\n  algorithm: sha256\n", "2:14", "did you mean 'sha256d'?"),
        (
            "product.yaml",
            b"mining: {asic: {devices: [{product: s19jpro, ttys: [/dev/a], i2c: /dev/b, gpio: /dev/c}]}}",
            "1:37",
            "did you mean 'antminer-s19jpro'?",
        ),
        // The parser names the place after the tab.
        ("yaml.yaml", b"app:\n\tname: x\n", "2:2", "tabs"),
        ("bytes.yaml", b"app:\n  name: \xff\n", "2:9", "not UTF-8"),
        ("huge.yaml", &[b'#'; 300_000], "1:1", "at most 262144 bytes"),
    ];
    for (name, bytes, place, part) in table {
        let path = file(name, bytes);
        let o = check(&path);
        let said = err(&o);
        assert_eq!(o.status.code(), Some(2), "{name}: {said}");
        assert!(said.starts_with(&format!("{}:{place}: ", path.display())) && said.contains(part), "{name}: {said}");
        assert_eq!(out(&o), "", "{name}");
    }
}

#[test]
fn a_missing_file_is_wrong_input() {
    let o = check(Path::new("/nowhere/config.yaml"));
    assert_eq!(o.status.code(), Some(2));
    assert!(err(&o).contains("/nowhere/config.yaml: cannot read the settings file"), "{}", err(&o));
}

#[test]
fn hash_prints_the_digest_in_computed_order() {
    assert_eq!(out(&otedama(&["hash", "sha256d", GENESIS])), format!("{GENESIS_HASH}\n"));
    // The empty input and three bytes, as any SHA-256 gives them when applied twice.
    let empty = "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456\n";
    assert_eq!(out(&otedama(&["hash", "sha256d", ""])), empty);
    let abc = "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358\n";
    assert_eq!(out(&otedama(&["hash", "sha256d", "616263"])), abc);
}

#[test]
fn bad_hex_ends_with_2_and_its_position() {
    for (hex, part) in [("00zz", "character 3"), ("000", "character 3"), ("0é", "character 2"), ("0x00", "character 2")] {
        let o = otedama(&["hash", "sha256d", hex]);
        assert_eq!(o.status.code(), Some(2), "{hex}");
        assert!(err(&o).contains(part), "{hex}: {}", err(&o));
    }
    assert_eq!(otedama(&["hash", "sha257d", "00"]).status.code(), Some(2));
}

#[test]
fn boards_lists_the_s19j_pro_and_the_pc() {
    let known: Value = serde_json::from_slice(&otedama(&["boards", "--json"]).stdout).expect("one JSON object");
    let s19 = known["products"].as_array().expect("a list").iter().find(|p| p["name"] == "antminer-s19jpro").expect("known");
    assert_eq!((&s19["algorithm"], &s19["chains"], &s19["chips"]), (&"sha256d".into(), &3.into(), &378.into()));
    assert!(known["control_boards"].as_array().expect("a list").iter().any(|b| b["name"] == "pc"));
    assert!(out(&otedama(&["boards"])).contains("antminer-s19jpro"));
}

#[test]
fn help_has_an_example_and_no_arguments_is_wrong_input() {
    for command in ["check", "hash", "bench", "boards"] {
        assert!(out(&otedama(&[command, "--help"])).contains(&format!("Example: otedama {command}")), "{command}");
    }
    assert_eq!(otedama(&[]).status.code(), Some(2));
    assert_eq!(otedama(&["chekc"]).status.code(), Some(2));
}

#[test]
fn a_product_on_spi_is_served_on_no_pty_and_says_so() {
    let o = otedama(&["simulate", "dragonmint-t1", "--pty"]);
    assert!(!o.status.success() && out(&o).is_empty());
    assert!(err(&o).contains("on SPI") && err(&o).contains("without --pty"), "{}", err(&o));
}

#[test]
fn bench_measures_and_refuses_what_it_cannot_do() {
    let o = otedama(&["bench", "sha256d", "--threads", "2", "--seconds", "0.1", "--json"]);
    assert_eq!(o.status.code(), Some(0), "{}", err(&o));
    let b: Value = serde_json::from_slice(&o.stdout).expect("one JSON object");
    assert_eq!((&b["algorithm"], &b["threads"]), (&"sha256d".into(), &2.into()));
    for number in ["page_size_bytes", "hashes_per_second", "hashes_per_cpu_second", "peak_rss_bytes"] {
        assert!(b[number].as_f64().is_some_and(|n| n > 0.0), "{number}: {b}");
    }
    for bad in [["--threads", "0"], ["--seconds", "-1"], ["--seconds", "nan"], ["--path", "warp"]] {
        assert_eq!(otedama(&["bench", "sha256d", bad[0], bad[1]]).status.code(), Some(2), "{bad:?}");
    }
}
