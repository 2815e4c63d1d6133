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

/// A header's hash, for what does not look at it.
const ONES: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// Litecoin's first block; blocks of chfast/ethash's and Ravencoin's test vectors, within the first epoch, which is built soon.
/// Etchash is Ethash there.
#[test]
fn hash_prints_published_digests_and_mixes_of_the_other_algorithms() {
    let litecoin = "010000000000000000000000000000000000000000000000000000000000000000000000d9ced4ed1130f7b7faad9be25323ffaf\
        a33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c";
    let o = otedama(&["hash", "scrypt", litecoin]);
    assert_eq!(out(&o), "001e67b013726fd7382e9acb69165b4b6316227fb3156b5b414ba6340c050000\n", "{}", err(&o));

    let ethash = ("2", "100cbec5e5ef82991290d0d93d758f19082e71f234cf479192a8b94df6da6bfe", "307692cf71b12f6d");
    let of_ethash = "ab9b13423cface72cbec8424221651bc2e384ef0f7a560e038fc68c8d8684829";
    let mix_of_ethash = "e55d02c555a7969361cf74a9ec6211d8c14e4517930a00442f171bdb1698d175";
    let kawpow = ("49", "63155f732f2bf556967f906155b510c917e48e99685ead76ea83f4eca03ab12b", "7073c07");
    let of_kawpow = "e7ced124598fd2500a55ad9f9f48e3569327fe50493c77a4ac9799b96efb9463";
    let mix_of_kawpow = "d36f7e815ee09e74eceb9c96993a3d681edf2bf0921fc7bb710364042db99777";
    for (algorithm, (height, header, nonce), mix, said) in [
        ("ethash", ethash, false, format!("{of_ethash}\n")),
        ("etchash", ethash, true, format!("{of_ethash} {mix_of_ethash}\n")),
        ("kawpow", kawpow, true, format!("{of_kawpow} {mix_of_kawpow}\n")),
    ] {
        let mut args = vec!["hash", algorithm, "--height", height, "--header", header, "--nonce", nonce];
        args.extend(mix.then_some("--mix"));
        let o = otedama(&args);
        assert_eq!((o.status.code(), out(&o)), (Some(0), said), "{algorithm}: {}", err(&o));
        assert!(err(&o).contains("building the cache of epoch 0 (16 MiB)"), "{algorithm}: {}", err(&o));
    }
}

#[test]
fn what_cannot_be_hashed_ends_with_2_and_says_what_is_wanted() {
    fn attempt<'a>(height: &'a str, header: &'a str, nonce: &'a str) -> Vec<&'a str> {
        vec!["ethash", "--height", height, "--header", header, "--nonce", nonce]
    }
    for (args, part) in [
        (vec!["scrypt", "00ff"], "80 bytes, 160 hex digits; here are 2 bytes"),
        (vec!["scrypt", "0x"], "leave the 0x out"),
        (vec!["sha257d", "00"], "'sha256d'"),
        (vec!["etash", "00"], "'ethash'"),
        (vec!["randomx-v2", "--key", "00", "00"], "randomx-v2 is reserved"),
        (vec!["ethash", "--height", "1", "--header", ONES], "--nonce"),
        (attempt("979200000", ONES, "0"), "heights end at 979199999"),
        (attempt("-1", ONES, "0"), "-1"),
        (attempt("1", "00ff", "0"), "--header: a header's hash has 32 bytes, 64 hex digits; here are 2 bytes"),
        (attempt("1", "0x00", "0"), "--header: character 2 is 'x', not a hex digit; leave the 0x out"),
        (attempt("1", ONES, ""), "--nonce: a nonce has 1 to 16 hex digits; here are 0"),
        (attempt("1", ONES, "00000000000000001"), "--nonce: a nonce has 1 to 16 hex digits; here are 17"),
        (attempt("1", ONES, "+1"), "--nonce: character 1 is '+', not a hex digit"),
    ] {
        let o = otedama(&[&["hash"], &args[..]].concat());
        assert_eq!((o.status.code(), out(&o).as_str()), (Some(2), ""), "{args:?}");
        assert!(err(&o).contains(part), "{args:?}: {}", err(&o));
    }
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
fn bench_measures_every_algorithm() {
    for args in [
        "sha256d --threads 2",
        "scrypt --threads 2 --path portable",
        "ethash --threads 2 --test-epoch",
        "etchash --threads 1 --test-epoch --height 24000000",
        "ethash --threads 2 --test-epoch --full",
        "kawpow --threads 1 --test-epoch",
        "kawpow --threads 2 --test-epoch --full",
    ] {
        let words: Vec<&str> = args.split(' ').collect();
        let o = otedama(&[&["bench"], &words[..], &["--seconds", "0.1", "--json"]].concat());
        assert_eq!(o.status.code(), Some(0), "{args}: {}", err(&o));
        let b: Value = serde_json::from_slice(&o.stdout).expect("one JSON object");
        assert_eq!((&b["algorithm"], b["threads"].to_string().as_str()), (&words[0].into(), words[2]), "{args}");
        for number in ["page_size_bytes", "hashes_per_second", "hashes_per_cpu_second", "peak_rss_bytes"] {
            assert!(b[number].as_f64().is_some_and(|n| n > 0.0), "{args}: {number}: {b}");
        }
        let mut keys: Vec<&str> = b.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        let promised =
            ["algorithm", "hashes_per_cpu_second", "hashes_per_second", "page_size_bytes", "path", "peak_rss_bytes", "threads"];
        assert_eq!(keys, promised, "{args}");
        for (wanted, part) in [("--test-epoch", "building the cache of epoch"), ("--full", "built the dataset of epoch")] {
            assert_eq!(err(&o).contains(part), words.contains(&wanted), "{args}: {}", err(&o));
        }
    }
    assert!(out(&otedama(&["bench", "scrypt", "--threads", "1", "--seconds", "0.1"])).starts_with("scrypt by "));
}

#[test]
fn bench_refuses_what_it_cannot_measure() {
    for (args, part) in [
        ("sha256d --threads 0", "--threads"),
        ("sha256d --seconds -1", "--seconds"),
        ("sha256d --seconds nan", "--seconds"),
        ("sha256d --path warp", "'warp' is no path by which this machine hashes sha256d; it has "),
        ("scrypt --path sha-ni", "'sha-ni' is no path by which this machine hashes scrypt; it has "),
        ("kawpow --path armv8", ", portable"),
        ("sha256d --height 1", "sha256d has no epochs; leave --height, --full and --test-epoch out"),
        ("scrypt --full", "scrypt has no epochs"),
        ("etchash --height 1958400000", "heights end at 1958399999"),
        ("scrpt", "'scrypt'"),
        ("randomx-v2", "randomx-v2 is reserved"),
    ] {
        let o = otedama(&[&["bench"], &args.split(' ').collect::<Vec<_>>()[..]].concat());
        assert_eq!((o.status.code(), out(&o).as_str()), (Some(2), ""), "{args}: {}", err(&o));
        // The portable path alone has no comma before it.
        let only = part == ", portable" && err(&o).contains("it has portable");
        assert!(err(&o).contains(part) || only, "{args}: {}", err(&o));
    }
}

/// The largest epoch there is: a machine for tests does not have 275 GB to spare, and the answer comes before anything is built.
#[test]
fn memory_that_is_not_there_is_not_asked_for() {
    let o = otedama(&["bench", "ethash", "--full", "--height", "979199999", "--seconds", "0.1"]);
    assert_eq!(o.status.code(), Some(1), "{}", err(&o));
    assert!(err(&o).contains("the dataset of epoch 32639") && err(&o).contains("MiB of memory are needed"), "{}", err(&o));
    assert!(err(&o).contains(", or leave --full out") && !err(&o).contains("building"), "{}", err(&o));
}
