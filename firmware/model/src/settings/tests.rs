//! Tests of the settings as a whole: promised files, broken files with the place of each mistake, and arbitrary bytes.

use super::*;

fn refused(text: &str) -> Vec<Problem> {
    read(text).expect_err("must be refused")
}

#[test]
fn an_empty_file_is_all_defaults_and_binds_to_loopback() {
    let (s, warnings) = read("").expect("good");
    assert_eq!(warnings, []);
    assert_eq!((s.version, s.upstreams.len(), s.pool.coins.len(), s.pool.enable), (1, 0, 0, false));
    for address in [s.api.address, s.pool.address, s.monitoring.metrics.address, s.monitoring.health.address] {
        assert!(address.ip().is_loopback(), "{address}");
    }
    assert_eq!((s.api.address.port(), s.monitoring.health.address.port()), (8080, 8081));
}

#[test]
fn the_file_that_users_were_promised_passes_with_warnings() {
    let (s, warnings) = read(include_str!("fixtures/promised-config.yaml")).expect("promised");
    assert_eq!(s.pool.address.to_string(), "0.0.0.0:3333");
    assert_eq!(s.mining.asic.poll_interval, Duration::from_secs(5));
    let keys: Vec<&str> = warnings.iter().filter_map(|w| w.what.split('\'').nth(1)).collect();
    let waiting =
        ["mining.enable_gpu", "mining.cpu.priority", "mining.gpu", "pool", "pool.fee_percentage", "pool.rewards", "api.auth"];
    assert_eq!(keys, waiting);
    assert_eq!((warnings[0].line, warnings[0].column), (9, 3));
}

#[test]
fn a_full_file_means_what_it_says() {
    let text = "
mining:
  asic:
    devices:
      - {product: antminer-s19jpro, ttys: [/dev/pts/1], i2c: /run/i2c.sock, gpio: /run/gpio.sock, simulated: true}
upstreams:
  - {url: 'stratum+tcp://[::1]:3333', user: a.b}
  - {url: 'stratum+tcp://pool.example:25', user: a, password: ''}
pool:
  coins:
    - practice
    - {name: bitcoin, rpc: {url: 'http://127.0.0.1:18443/', user: u, password: 'p w'}, address: mabc, network: regtest}
state: /data
";
    let (s, _) = read(text).expect("good");
    assert_eq!(s.upstreams[0].url.to_string(), "[::1]:3333");
    assert_eq!(s.upstreams[0].password.reveal(), "x");
    assert_eq!(s.upstreams[1].password.reveal(), "");
    let Coin::Node(coin) = &s.pool.coins[1] else { panic!("a node's coin") };
    assert_eq!((coin.network, coin.rpc.url.port, s.pool.coins.len()), (Network::Regtest, 18443, 2));
    assert_eq!(s.state.as_deref(), Some(std::path::Path::new("/data")));
    assert!(!format!("{s:?}").contains("p w"), "a secret is never printed");
}

#[test]
fn power_is_asked_for_in_its_units_and_by_the_hour() {
    use crate::{Aim, Hashrate, Hours, JoulePerTerahash, Task, Watt};
    for (said, aim) in [
        ("3000W", Aim::Power(Watt(3000.0))),
        ("3.2kW", Aim::Power(Watt(3200.0))),
        ("100TH/s", Aim::Rate(Hashrate(1e14))),
        ("500 GH/s", Aim::Rate(Hashrate(5e11))),
        ("29.5J/TH", Aim::Efficiency(JoulePerTerahash(29.5))),
    ] {
        let (s, warnings) = read(&format!("power: {{target: {said}}}")).expect("good");
        assert_eq!((s.power.aim, warnings.len()), (Some(aim), 0), "{said}");
    }
    let text = "power:\n  utc_offset: \"-03:30\"\n  schedule:\n    - {from: \"22:00\", to: \"06:00\", target: 2000W}\n    \
                - {from: \"12:00\", to: \"13:30\", target: pause}\n";
    let (s, _) = read(text).expect("good");
    let cheap = Hours { from: 1320, to: 360, task: Task::Aim(Some(Aim::Power(Watt(2000.0)))) };
    assert_eq!(s.power.hours, [cheap, Hours { from: 720, to: 810, task: Task::Pause }]);
    assert_eq!((s.power.aim, s.power.ahead_minutes), (None, -210));
    for (said, part) in [
        ("target: 3000", "3000W"),
        ("target: 3000V", "3000W"),
        ("target: -5W", "3000W"),
        ("target: 1e9W", "3000W"),
        ("target: 900000W", "nothing that one machine"),
        ("target: 100J/GH", "29J/TH"),
        ("target: pause", "3000W"),
        ("utc_offset: \"+15:00\"", "-12:00 to +14:00"),
        ("utc_offset: 2", "+02:00"),
        ("utc_offset: \"é1:00\"", "+02:00"),
        ("schedule: [{from: \"24:00\", to: \"06:00\", target: pause}]", "22:00"),
        ("schedule: [{from: \"6:00\", to: \"06:00\", target: pause}]", "22:00"),
        ("schedule: [{from: \"06:60\", to: \"06:00\", target: pause}]", "22:00"),
        ("schedule: [{from: \"06:00\", to: \"07:00\", target: paus}]", "`pause`"),
        ("schedule: [{from: \"06:00\", target: pause}]", "'to' is missing"),
    ] {
        let problems = refused(&format!("power: {{{said}}}"));
        assert!(problems[0].what.contains(part), "{said}: {problems:?}");
    }
}

/// Broken files: the text, then line, column and a part of what is said.
const BROKEN: &[(&str, u64, u64, &str)] = &[
    ("mnining:\n  algorithm: sha256d\n", 1, 1, "did you mean 'mining'?"),
    ("mining:\n  cpu:\n    treads: 4\n", 3, 5, "did you mean 'threads'?"),
    ("mining:\n  algorithm: sha256\n", 2, 14, "did you mean 'sha256d'?"),
    ("mining:\n  algorithm: scrypt\n", 2, 14, "cannot do it yet"),
    ("mining:\n  enable_cpu: yes\n", 2, 15, "expected true or false"),
    ("mining:\n  asic:\n    poll_interval: 5 sec\n", 3, 20, "expected a duration"),
    ("upstreams:\n  - url: stratum+tpc://a.b:1\n    user: x\n", 2, 10, "did you mean 'stratum+tcp'?"),
    ("upstreams:\n  - url: stratum+tls://a.b:1\n    user: x\n", 2, 10, "stratum+tcp:// only"),
    ("upstreams:\n  - url: stratum+tcp://a.b:1\n", 2, 5, "'user' is missing"),
    ("api:\n  address: localhost\n", 2, 12, "an IP address and a port"),
    ("pool:\n  max_connections: 0\n", 2, 20, "from 1 to 100000"),
    ("pool:\n  coins: [practise]\n", 2, 11, "did you mean 'practice'?"),
    ("app: {name: a}\napp: {name: b}\n", 2, 1, "duplicate"),
    ("app:\n  name: [\n", 2, 9, "unclosed bracket"),
    ("api: 8080\n", 1, 6, "'api' is a section"),
    ("upstreams: none\n", 1, 12, "is a list"),
    ("api:\n  address: 127.0.0.1:9090\n", 1, 1, "already does"),
    ("app:\n  name: 12\n", 2, 9, "put 12 in quotes"),
    ("state: here\n", 1, 8, "a path from the root"),
    ("cooling:\n  mode: manuel\n", 2, 9, "did you mean 'manual'?"),
    ("cooling:\n  duty: 101\n", 2, 9, "from 0 to 100"),
    ("cooling:\n  danger: 300\n", 2, 11, "from 20 to 125"),
    ("cooling:\n  target: .nan\n", 2, 11, "non-finite"),
    ("cooling:\n  hot: warm\n", 2, 8, "degrees Celsius"),
    ("version: 2\n", 1, 10, "from 1 to 1"),
    ("just words\n", 1, 1, "a section of keys"),
];

#[test]
fn broken_files_are_refused_with_line_column_and_the_nearest_word() {
    for (text, line, column, part) in BROKEN {
        let first = &refused(text)[0];
        let near = first.what.to_lowercase().contains(&part.to_lowercase());
        // A clash of two listeners is told at the second of them, wherever that stands.
        let placed = *part == "already does" || (first.line, first.column) == (*line, *column);
        assert!(near && placed, "{text:?} gave {first:?}");
    }
}

#[test]
fn cooling_is_read_with_its_places() {
    let (s, _) = read("cooling: {mode: manual, duty: 35, danger: 95}\n").expect("good");
    assert_eq!(s.cooling.mode, CoolingMode::Manual(35));
    assert_eq!(s.cooling.danger, Some((crate::Celsius(95.0), Place { line: 1, column: 43 })));
    assert_eq!((s.cooling.target, s.cooling.hot), (None, None));
    assert_eq!(read("").expect("good").0.cooling.mode, CoolingMode::Auto);
    assert_eq!(
        read("cooling: {mode: immersion, hot: 70.5}").expect("good").0.cooling.hot.map(|h| h.0),
        Some(crate::Celsius(70.5))
    );
}

#[test]
fn several_mistakes_are_listed_in_order_and_never_more_than_twenty() {
    let two = refused("mining: {enable_cpu: 1}\napi:\n  adress: 1.2.3.4:5\n");
    assert_eq!(two.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 3]);
    let many: String = (0..100).map(|i| format!("key{i}: 1\n")).collect();
    assert_eq!(refused(&many).len(), 20);
}

#[test]
fn products_and_coins_are_compared_with_what_the_program_knows() {
    let known = Known { products: Some(&["antminer-s19jpro"]), coins: Some(&["bitcoin"]) };
    let text = "mining: {asic: {devices: [{product: antminer-s19pro, ttys: [/dev/a], i2c: /dev/b, gpio: /dev/c}]}}";
    let problems = read_known(text, &known).expect_err("unknown product");
    assert!(problems[0].what.contains("did you mean 'antminer-s19jpro'?"), "{problems:?}");
    assert_eq!(problems[0].column, 37);
    assert!(read(text).is_ok());
}

#[test]
fn hostile_files_are_refused() {
    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\n{}",
        (0..9)
            .map(|i| format!(
                "{}: &{} [{}]\n",
                b"bcdefghij"[i] as char,
                b"bcdefghij"[i] as char,
                format!("*{},", b"abcdefghi"[i] as char).repeat(9)
            ))
            .collect::<String>()
    );
    for text in [
        bomb,
        "[".repeat(100_000),
        "a:\n ".to_owned(),
        "x: ".to_owned() + &"a".repeat(MAX_BYTES),
        "- ".repeat(5000),
        "<<: {a: 1}".into(),
    ] {
        assert!(!refused(&text).is_empty());
    }
    let upstream = "  - {url: 'stratum+tcp://a:1', user: a}\n";
    assert!(read(&format!("upstreams:\n{}", upstream.repeat(16))).is_ok());
    assert_eq!(refused(&format!("upstreams:\n{}", upstream.repeat(17)))[0].line, 18);
    assert!(refused("app: {name: \"a\\nb\"}")[0].what.contains("control"));
}

#[test]
fn a_refusal_never_shows_a_password() {
    for text in [
        "upstreams: [{url: 'stratum+tcp://a:1', user: a, password: 12345678}]",
        "pool: {coins: [{name: bitcoin, rpc: {url: 'http://u:12345678@h:1', user: u, password: [12345678]}, address: a}]}",
    ] {
        assert!(refused(text).iter().all(|p| !p.what.contains("12345678")), "{:?}", refused(text));
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*|[a-z:\\-\\[\\]{}&*!|>'\"#%@\n ]{0,200}") {
        let _ = read(&text);
    }
    #[test]
    fn a_file_with_one_byte_changed_never_panics_and_places_its_mistake_within(at in 0usize..4000, byte in 0x20u8..0x7f) {
        let mut text = example().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        if let Ok(text) = String::from_utf8(text) && let Err(problems) = read(&text) {
            let lines = text.lines().count() as u64;
            proptest::prop_assert!(problems.iter().all(|p| p.line >= 1 && p.line <= lines + 1 && p.column >= 1));
        }
    }
}
