//! The table of keys: name, what it is for, default. The check of unknown keys, the defaults and the example file follow it.
//!
//! What a value means is in `meant`; a setting is one row here and one line there.

/// One key of a section.
pub(super) struct Field {
    pub name: &'static str,
    pub doc: &'static str,
    pub kind: Kind,
}

/// What stands behind a key.
pub(super) enum Kind {
    /// A value. Without a default it must be said; `shown` is what the example file shows.
    Value { default: Option<&'static str>, shown: &'static str },
    /// A value that may be left out.
    Optional { shown: &'static str },
    /// A section of keys.
    Section(&'static [Field]),
    /// A list whose entries are sections, or one of `words`. `live` is what the example file says; the empty text stands for
    /// one entry as its fields show it. Otherwise that entry follows as a comment.
    Entries { fields: &'static [Field], words: &'static [&'static str], live: &'static str },
    /// A known key whose feature this version lacks: accepted, with a warning.
    Waits(&'static str),
}

use Kind::{Entries, Optional, Section, Value, Waits};

const fn field(name: &'static str, doc: &'static str, kind: Kind) -> Field {
    Field { name, doc, kind }
}

const fn value(name: &'static str, doc: &'static str, default: &'static str) -> Field {
    field(name, doc, Value { default: Some(default), shown: default })
}

const fn required(name: &'static str, doc: &'static str, shown: &'static str) -> Field {
    field(name, doc, Value { default: None, shown })
}

const fn waits(name: &'static str, feature: &'static str) -> Field {
    field(name, "", Waits(feature))
}

pub(super) const ROOT: &[Field] = &[
    value("version", "The version of this file's format.", "1"),
    field("app", "The machine as a whole.", Section(APP)),
    field("mining", "What mines.", Section(MINING)),
    field(
        "upstreams",
        "Pools to mine for, in order of preference; at most 16. Without any, the machine mines for its own pool's coin.",
        Entries { fields: UPSTREAM, words: &[], live: "[]" },
    ),
    field("pool", "Being a pool for other miners.", Section(POOL)),
    field(
        "cooling",
        "How hashboards are cooled. It can only be stricter than the product: no limit is raised here.",
        Section(COOLING),
    ),
    field("power", "What hashboards are tuned for, and when.", Section(POWER)),
    field("api", "The page and its interface.", Section(API)),
    field("monitoring", "What other programs may watch.", Section(MONITORING)),
    field(
        "state",
        "Folder for what must survive a restart; without it, the folder of this file.",
        Optional { shown: "/data/otedama" },
    ),
    waits("network", "settings for the network"),
    waits("fleet", "fleets"),
    waits("update", "updates"),
    waits("federation", "federation"),
];

const APP: &[Field] = &[
    value("name", "What this machine is called on its page.", "Otedama"),
    value("mode", "`production`, or `development` for a log that tells more.", "production"),
];

const MINING: &[Field] = &[
    value("algorithm", "The proof of work.", "sha256d"),
    value("enable_cpu", "Mine on the processor.", "true"),
    value("enable_asic", "Mine on hashboards.", "true"),
    waits("enable_gpu", "mining on GPUs"),
    field("cpu", "The processor.", Section(CPU)),
    field("asic", "Hashboards.", Section(ASIC)),
    waits("gpu", "mining on GPUs"),
];

const CPU: &[Field] = &[
    value("threads", "How many threads mine; 0 takes what the machine has.", "0"),
    waits("priority", "priorities of mining threads"),
    waits("algorithm", "an algorithm for each kind of hardware"),
];

const ASIC: &[Field] = &[
    field("devices", "The machines that are connected; `[]` detects them.", Entries { fields: DEVICE, words: &[], live: "" }),
    value("poll_interval", "How often temperatures are read, 100ms to 10s; each second at least, whatever stands here.", "5s"),
    waits("algorithm", "an algorithm for each kind of hardware"),
];

const DEVICE: &[Field] = &[
    required("product", "What it is; `otedama boards` lists what is known.", "antminer-s19jpro"),
    required(
        "ttys",
        "The line of each chain, chain 0 first: serial, or /dev/spidevB.C where chips are on SPI.",
        "[/dev/ttyUSB0, /dev/ttyUSB1, /dev/ttyUSB2]",
    ),
    required("i2c", "The bus of its sensors, fans and supply.", "/dev/i2c-0"),
    required("gpio", "The lines of reset, plug and supply.", "/dev/gpiochip0"),
    field(
        "pwm",
        "The outputs of its fans, where its control board drives them itself.",
        Optional { shown: "/sys/class/pwm/pwmchip0" },
    ),
    field(
        "control_board",
        "What its hashboards are plugged into, where that is no PC or Raspberry Pi wired by hand; `otedama boards` lists them.",
        Optional { shown: "beaglebone-s19" },
    ),
    field("simulated", "Whether its chips are simulated; never guessed.", Value { default: Some("false"), shown: "true" }),
];

const UPSTREAM: &[Field] = &[
    required("url", "Where it listens.", "stratum+tcp://pool.example:3333"),
    required("user", "The worker's name there.", "wallet.worker"),
    value("password", "Most pools ignore it.", "x"),
    waits("algorithm", "an algorithm for each upstream"),
    waits("quota", "sharing hash power between upstreams"),
];

const POOL: &[Field] = &[
    field("enable", "Let other miners in.", Value { default: Some("false"), shown: "true" }),
    value("address", "Where it listens.", "127.0.0.1:3333"),
    value("max_connections", "Most miners at once, 1 to 100000.", "10000"),
    field(
        "coins",
        "What is mined; at most 16. `practice` is a chain of this machine alone, for trying things out.",
        Entries { fields: COIN, words: &["practice"], live: "[practice]" },
    ),
    waits("fee_percentage", "payouts"),
    waits("rewards", "payouts"),
];

const COOLING: &[Field] = &[
    value(
        "mode",
        "`auto` holds the target; `manual` turns fans at `duty` while nothing is hot; `immersion` needs no fan to turn.",
        "auto",
    ),
    value("duty", "What fans turn at in mode `manual`, 0 to 100 percent; never below the product's least.", "70"),
    field("target", "Chip temperature that fans hold, °C; without it, the product's.", Optional { shown: "65" }),
    field(
        "hot",
        "Chip temperature that sets fans full and lowers the clock, °C; without it, the product's.",
        Optional { shown: "80" },
    ),
    field("danger", "Chip temperature that cuts the power, °C; without it, the product's.", Optional { shown: "95" }),
];

const COIN: &[Field] = &[
    required("name", "Which coin.", "bitcoin"),
    field("rpc", "Its node.", Section(RPC)),
    required("address", "Where the reward goes.", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
    value("network", "`main`, `testnet`, `signet` or `regtest`; the address must belong to it.", "main"),
];

const RPC: &[Field] = &[
    required("url", "Where the node answers.", "http://127.0.0.1:8332"),
    required("user", "The node's `rpcuser`.", "otedama"),
    required("password", "The node's `rpcpassword`.", "\"change me\""),
];

const POWER: &[Field] = &[
    field(
        "target",
        "What the whole machine is tuned for: power (`3000W`), hash rate (`100TH/s`) or efficiency (`29J/TH`); without it, nothing is tuned.",
        Optional { shown: "3000W" },
    ),
    value("utc_offset", "What the clock on the wall is ahead of UTC, for `schedule`.", "\"+00:00\""),
    field(
        "schedule",
        "Hours of each day with a target of their own, or `pause`; at most 16, the first that matches counts.",
        Entries { fields: HOURS, words: &[], live: "[]" },
    ),
];

const HOURS: &[Field] = &[
    required("from", "First minute.", "\"22:00\""),
    required("to", "The minute after the last one; the next day's where it is not after `from`.", "\"06:00\""),
    required("target", "As above, or `pause`.", "2000W"),
];

const API: &[Field] = &[
    value("enable", "Serve the page.", "true"),
    value("address", "Where it listens; anybody who reaches it can start and stop mining.", "127.0.0.1:8080"),
    waits("auth", "signing in"),
];

const MONITORING: &[Field] = &[
    field("metrics", "Prometheus.", Section(METRICS)),
    field("health", "Whether the machine is well, for load balancers.", Section(HEALTH)),
];

const METRICS: &[Field] =
    &[value("enabled", "Serve them.", "true"), value("address", "Where they are served.", "127.0.0.1:9090")];

const HEALTH: &[Field] = &[value("enabled", "Serve it.", "true"), value("address", "Where it is served.", "127.0.0.1:8081")];
