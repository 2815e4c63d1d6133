//! What is meant: the checked settings, from the tree of what was said and the table of keys.
//!
//! Every mistake is noted and reading goes on, so that a person mends a file in one go. Not here: whether a device exists.

use super::field::{Field, Kind, ROOT};
use super::said::{At, Node, Value, parse};
use super::word::{
    Meant, aim, boolean, celsius, duration, http_url, path, secret, socket, stratum_url, suggestion, task, text, time_of_day,
    utc_offset, whole, word,
};
use super::*;
use crate::{Hours, PowerPlan};
use std::collections::BTreeMap;

/// Most mistakes that are listed; beyond it somebody picked the wrong file.
const MAX_PROBLEMS: usize = 20;
/// Most upstreams: the first is used, the others are for when it fails.
const MAX_UPSTREAMS: usize = 16;
/// Most machines on one control board.
const MAX_DEVICES: usize = 16;
/// Most chains of one machine.
const MAX_TTYS: usize = 16;
/// Most hours of the day with a target of their own.
const MAX_HOURS: usize = 16;
/// Most coins of one pool.
const MAX_COINS: usize = 16;

pub(super) fn read(said: &str, known: &Known<'_>) -> Result<(Settings, Vec<Warning>), Vec<Problem>> {
    let root = parse(said).map_err(|p| vec![p])?;
    let mut reader = Reader { known, problems: Vec::new(), warnings: Vec::new() };
    let root = View { node: Some(&root), at: root.at, fields: ROOT };
    reader.keys(&root, "");
    let settings = reader.settings(&root);
    match settings {
        Some(settings) if reader.problems.is_empty() => {
            reader.warnings.sort_by_key(|w| (w.line, w.column));
            Ok((settings, reader.warnings))
        }
        _ => {
            reader.problems.sort_by_key(|p| (p.line, p.column));
            reader.problems.truncate(MAX_PROBLEMS);
            Err(reader.problems)
        }
    }
}

/// A section: what was said of it, where, and its keys.
#[derive(Clone, Copy)]
struct View<'a> {
    node: Option<&'a Node>,
    at: At,
    fields: &'static [Field],
}

impl<'a> View<'a> {
    fn field(&self, name: &str) -> &'static Field {
        self.fields.iter().find(|f| f.name == name).expect("readers ask for keys of the table, which the tests walk")
    }

    fn section(&self, name: &str) -> View<'a> {
        let Kind::Section(fields) = self.field(name).kind else { panic!("'{name}' is a section of the table") };
        let node = self.node.and_then(|n| n.get(name));
        View { node, at: node.map_or(self.at, |n| n.at), fields }
    }

    fn place(&self) -> Place {
        Place { line: self.at.line, column: self.at.column }
    }

    fn list(&self, name: &str) -> &'a [Node] {
        match self.node.and_then(|n| n.get(name)).map(|n| &n.value) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    /// The entries of a list of sections; words and what has the wrong shape are left out.
    fn entries(&self, name: &str) -> impl Iterator<Item = View<'a>> {
        let Kind::Entries { fields, .. } = self.field(name).kind else { panic!("'{name}' is a list of the table") };
        let list = self.list(name).iter().filter(|n| matches!(n.value, Value::Map(_)));
        list.map(move |node| View { node: Some(node), at: node.at, fields })
    }
}

struct Reader<'k> {
    known: &'k Known<'k>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Reader<'_> {
    fn note(&mut self, at: At, what: impl Into<String>) {
        self.problems.push(at.problem(what));
    }

    fn warn(&mut self, at: At, what: String) {
        self.warnings.push(Warning { line: at.line, column: at.column, what });
    }

    /// Compares the keys that were said with the table, all the way down: unknown ones, waiting ones, wrong shapes.
    fn keys(&mut self, view: &View<'_>, path: &str) {
        let Some(node) = view.node else { return };
        let entries = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => return,
            _ => {
                let what = if path.is_empty() { "a settings file".to_owned() } else { format!("'{path}'") };
                return self.note(node.at, format!("{what} is a section of keys, `key: value` each on its line"));
            }
        };
        for (at, key, said) in entries {
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let Some(field) = view.fields.iter().find(|f| f.name == key) else {
                let names: Vec<&str> = view.fields.iter().map(|f| f.name).collect();
                let start: String = key.chars().take(64).collect();
                self.note(*at, format!("unknown key {start:?}{}", suggestion(key, &names)));
                continue;
            };
            match &field.kind {
                Kind::Waits(feature) => {
                    self.warn(*at, format!("'{inner}' waits for {feature}, which this version lacks; it has no effect yet"));
                }
                Kind::Section(fields) => self.keys(&View { node: Some(said), at: said.at, fields }, &inner),
                Kind::Entries { fields, words, .. } => self.entry_keys(said, fields, words, &inner),
                Kind::Value { .. } | Kind::Optional { .. } => {}
            }
        }
    }

    fn entry_keys(&mut self, said: &Node, fields: &'static [Field], words: &[&str], path: &str) {
        let list = match &said.value {
            Value::List(list) => list,
            Value::Null => return,
            _ => return self.note(said.at, format!("'{path}' is a list, each entry begun with a dash")),
        };
        for entry in list {
            match &entry.value {
                Value::Map(_) => self.keys(&View { node: Some(entry), at: entry.at, fields }, path),
                Value::Text(t) if words.contains(&t.as_str()) => {}
                other if !words.is_empty() => {
                    let refused = word(other, "entry", words, &[]).err().unwrap_or_default();
                    self.note(entry.at, format!("{refused} (or a section of keys)"));
                }
                _ => self.note(entry.at, format!("an entry of '{path}' is a section of keys")),
            }
        }
    }

    /// The value of a key, or its default; `None` where it is wrong, which is then noted.
    fn value<T>(&mut self, view: &View<'_>, name: &str, meaning: impl Fn(&Value) -> Meant<T>) -> Option<T> {
        let field = view.field(name);
        match view.node.and_then(|n| n.get(name)) {
            Some(node) => match meaning(&node.value) {
                Ok(value) => Some(value),
                Err(what) => {
                    self.note(node.at, format!("'{name}': {what}"));
                    None
                }
            },
            None => match field.kind {
                Kind::Value { default: Some(default), .. } => {
                    let said = parse(default).expect("the table's defaults are YAML");
                    Some(meaning(&said.value).expect("the table's defaults are good"))
                }
                _ => {
                    self.note(view.at, format!("'{name}' is missing"));
                    None
                }
            },
        }
    }

    fn optional<T>(&mut self, view: &View<'_>, name: &str, meaning: impl Fn(&Value) -> Meant<T>) -> Option<T> {
        view.node.and_then(|n| n.get(name))?;
        self.value(view, name, meaning)
    }

    fn settings(&mut self, root: &View<'_>) -> Option<Settings> {
        let version = self.value(root, "version", |v| whole(v, 1..=1));
        let app = self.app(&root.section("app"));
        let mining = self.mining(&root.section("mining"));
        let upstreams = self.each(root, "upstreams", MAX_UPSTREAMS, Self::upstream);
        let pool = self.pool(&root.section("pool"));
        let cooling = self.cooling(&root.section("cooling"));
        let power = self.power(&root.section("power"));
        let api = self.switch(&root.section("api"), "enable");
        let monitoring = root.section("monitoring");
        let metrics = self.switch(&monitoring.section("metrics"), "enabled");
        let health = self.switch(&monitoring.section("health"), "enabled");
        let state = self.optional(root, "state", path);
        let settings = Settings {
            version: version?,
            app: app?,
            mining: mining?,
            upstreams: upstreams?,
            pool: pool?,
            cooling: cooling?,
            power: power?,
            api: api?,
            monitoring: Monitoring { metrics: metrics?, health: health? },
            state,
        };
        self.addresses(root, &settings);
        Some(settings)
    }

    fn app(&mut self, app: &View<'_>) -> Option<App> {
        let name = self.value(app, "name", text);
        let mode = self.value(app, "mode", |v| word(v, "mode", &["production", "development"], &[]).map(str::to_owned));
        let mode = if mode? == "development" { Mode::Development } else { Mode::Production };
        Some(App { name: name?, mode })
    }

    fn mining(&mut self, mining: &View<'_>) -> Option<Mining> {
        let later = ["scrypt", "randomx", "ethash", "etchash", "kawpow"];
        let algorithm = self.value(mining, "algorithm", |v| {
            word(v, "algorithm", &[Algorithm::Sha256d.word()], &later).map(|_| Algorithm::Sha256d)
        });
        let enable_cpu = self.value(mining, "enable_cpu", boolean);
        let enable_asic = self.value(mining, "enable_asic", boolean);
        let threads = self.value(&mining.section("cpu"), "threads", |v| whole(v, 0..=1024));
        let asic = mining.section("asic");
        let devices = self.each(&asic, "devices", MAX_DEVICES, Self::device);
        let poll = Duration::from_millis(100)..=Duration::from_secs(10);
        let poll_interval = self.value(&asic, "poll_interval", |v| duration(v, poll.clone()));
        Some(Mining {
            algorithm: algorithm?,
            enable_cpu: enable_cpu?,
            enable_asic: enable_asic?,
            cpu: Cpu { threads: threads? },
            asic: Asic { devices: devices?, poll_interval: poll_interval? },
        })
    }

    fn device(&mut self, device: &View<'_>) -> Option<Device> {
        let products = self.known.products;
        let product = self.value(device, "product", |v| match products {
            Some(known) => word(v, "product", known, &[]).map(str::to_owned),
            None => text(v),
        });
        let ttys = self.value(device, "ttys", |v| match v {
            Value::List(list) if (1..=MAX_TTYS).contains(&list.len()) => list.iter().map(|n| path(&n.value)).collect(),
            _ => Err(format!("expected a list of 1 to {MAX_TTYS} serial lines")),
        });
        let i2c = self.value(device, "i2c", path);
        let gpio = self.value(device, "gpio", path);
        let pwm = self.optional(device, "pwm", path);
        let control_board = self.optional(device, "control_board", text);
        let simulated = self.value(device, "simulated", boolean);
        let ttys: Vec<PathBuf> = ttys?;
        if let Some(twice) = ttys.iter().enumerate().find(|(i, t)| ttys[..*i].contains(t)) {
            self.note(device.at, format!("'ttys': {} stands there twice", twice.1.display()));
        }
        Some(Device {
            product: product?,
            ttys,
            i2c: i2c?,
            gpio: gpio?,
            pwm,
            control_board,
            simulated: simulated?,
            place: device.place(),
        })
    }

    fn upstream(&mut self, upstream: &View<'_>) -> Option<Upstream> {
        let url = self.value(upstream, "url", stratum_url);
        let user = self.value(upstream, "user", text);
        let password = self.value(upstream, "password", secret);
        Some(Upstream { url: url?, user: user?, password: password? })
    }

    fn pool(&mut self, pool: &View<'_>) -> Option<Pool> {
        let listen = self.switch(pool, "enable");
        let max_connections = self.value(pool, "max_connections", |v| whole(v, 1..=100_000));
        let mut coins = self.each(pool, "coins", MAX_COINS, Self::coin);
        let practice = pool.list("coins").iter().filter(|n| matches!(&n.value, Value::Text(t) if t == "practice")).count();
        if let Some(coins) = coins.as_mut().filter(|_| practice > 0) {
            coins.insert(0, Coin::Practice);
        }
        let (listen, coins) = (listen?, coins?);
        if listen.enable && coins.is_empty() {
            self.warn(pool.at, "'pool' is on, but 'coins' names nothing to mine: it offers no jobs".into());
        }
        Some(Pool { enable: listen.enable, address: listen.address, max_connections: max_connections?, coins })
    }

    fn cooling(&mut self, view: &View<'_>) -> Option<Cooling> {
        let mode = self.value(view, "mode", |v| word(v, "mode", &["auto", "manual", "immersion"], &[]).map(str::to_owned));
        let duty = self.value(view, "duty", |v| whole(v, 0..=100));
        let mut bound = |key| {
            let at = view.node.and_then(|n| n.get(key)).map_or(view.at, |n| n.at);
            let place = Place { line: at.line, column: at.column };
            self.optional(view, key, celsius).map(|c| (c, place))
        };
        let (target, hot, danger) = (bound("target"), bound("hot"), bound("danger"));
        let duty = u8::try_from(duty?).expect("it was read from 0 to 100");
        let mode = match mode?.as_str() {
            "manual" => CoolingMode::Manual(duty),
            "immersion" => CoolingMode::Immersion,
            _ => CoolingMode::Auto,
        };
        Some(Cooling { mode, target, hot, danger, place: view.place() })
    }

    fn power(&mut self, power: &View<'_>) -> Option<PowerPlan> {
        let aim = self.optional(power, "target", aim);
        let ahead_minutes = self.value(power, "utc_offset", utc_offset);
        let hours = self.each(power, "schedule", MAX_HOURS, Self::hours);
        Some(PowerPlan { aim, hours: hours?, ahead_minutes: ahead_minutes? })
    }

    fn hours(&mut self, hours: &View<'_>) -> Option<Hours> {
        let from = self.value(hours, "from", time_of_day);
        let to = self.value(hours, "to", time_of_day);
        let task = self.value(hours, "target", task);
        Some(Hours { from: from?, to: to?, task: task? })
    }

    fn coin(&mut self, coin: &View<'_>) -> Option<Coin> {
        let coins = self.known.coins;
        let name = self.value(coin, "name", |v| match coins {
            Some(known) => word(v, "coin", known, &[]).map(str::to_owned),
            None => text(v),
        });
        let rpc = coin.section("rpc");
        let url = self.value(&rpc, "url", http_url);
        let user = self.value(&rpc, "user", text);
        let password = self.value(&rpc, "password", secret);
        let address = self.value(coin, "address", |v| {
            text(v).and_then(|a| match a.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':') && a.len() <= 128 {
                true => Ok(a),
                false => Err("expected an address of the coin: letters and digits only".into()),
            })
        });
        let network = self.value(coin, "network", |v| {
            let words = Network::ALL.map(Network::word);
            word(v, "network", &words, &[]).map(|w| Network::ALL.into_iter().find(|n| n.word() == w).unwrap_or(Network::Main))
        });
        let rpc = Rpc { url: url?, user: user?, password: password? };
        Some(Coin::Node(NodeCoin { name: name?, rpc, address: address?, network: network?, place: coin.place() }))
    }

    fn switch(&mut self, view: &View<'_>, enable: &str) -> Option<Listen> {
        let enable = self.value(view, enable, boolean);
        let address = self.value(view, "address", socket);
        Some(Listen { enable: enable?, address: address? })
    }

    fn each<T>(
        &mut self,
        view: &View<'_>,
        name: &str,
        most: usize,
        one: impl Fn(&mut Self, &View<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if let Some(beyond) = view.list(name).get(most) {
            self.note(beyond.at, format!("'{name}' takes at most {most} entries"));
            return None;
        }
        // All are read before the first wrong one ends it: each gets its mistakes noted.
        let read: Vec<Option<T>> = view.entries(name).map(|entry| one(self, &entry)).collect();
        read.into_iter().collect()
    }

    /// Two listeners cannot share a port.
    fn addresses(&mut self, root: &View<'_>, settings: &Settings) {
        let monitoring = root.section("monitoring");
        let pool = Listen { enable: settings.pool.enable, address: settings.pool.address };
        let listeners = [
            ("pool", root.section("pool"), pool),
            ("api", root.section("api"), settings.api),
            ("monitoring.metrics", monitoring.section("metrics"), settings.monitoring.metrics),
            ("monitoring.health", monitoring.section("health"), settings.monitoring.health),
        ];
        let mut taken: BTreeMap<SocketAddr, &str> = BTreeMap::new();
        for (name, view, listen) in listeners.iter().filter(|(_, _, l)| l.enable && l.address.port() != 0) {
            let at = view.node.and_then(|n| n.get("address")).map_or(view.at, |n| n.at);
            if let Some(other) = taken.insert(listen.address, name) {
                self.note(at, format!("'{name}' listens at {}, where '{other}' already does", listen.address));
            }
        }
    }
}
