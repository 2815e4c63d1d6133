//! The settings file: what was said, and what it means.
//!
//! [`read`] goes from text to [`Settings`] in two stages: `said` is YAML with its places, `meant` is checked and typed. A file
//! with a mistake gives no settings at all, so that a bad file never replaces a good one. Secrets never reach a log: [`Secret`]
//! does not print. Not here: opening files and devices, and whether a product exists (the caller hands in the [`Known`] names).

mod cooling;
mod example;
mod field;
mod meant;
mod said;
#[cfg(test)]
mod tests;
mod word;

pub use cooling::Cooling;
pub use example::example;
pub use said::MAX_BYTES;

use crate::CoolingMode;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Reads a settings file; names of products and coins are taken as they come.
///
/// # Errors
/// Every mistake with its place, at most 20, in the order of the file.
pub fn read(text: &str) -> Result<(Settings, Vec<Warning>), Vec<Problem>> {
    meant::read(text, &Known::default())
}

/// Reads a settings file for a program that knows these products and coins.
///
/// # Errors
/// As [`read`], and names that are not known.
pub fn read_known(text: &str, known: &Known<'_>) -> Result<(Settings, Vec<Warning>), Vec<Problem>> {
    meant::read(text, known)
}

/// Names that live in crates above this one. `None` takes any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Names of products.
    pub products: Option<&'a [&'a str]>,
    /// Names of coins, but for `practice`.
    pub coins: Option<&'a [&'a str]>,
}

/// A mistake and its place, both numbers from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
    /// What is wrong, and what was perhaps meant.
    pub what: String,
}

/// Where in the file something was said, both numbers from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl Place {
    /// A mistake here.
    #[must_use]
    pub fn problem(self, what: impl Into<String>) -> Problem {
        Problem { line: self.line, column: self.column, what: what.into() }
    }
}

/// What is accepted and yet worth a word, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
    /// What to know.
    pub what: String,
}

/// A text that is never shown: its `Debug` is a row of stars whatever it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    #[must_use]
    pub fn new(text: &str) -> Secret {
        Secret(text.to_owned())
    }
    /// The text, for the wire that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The whole file, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Version of the file's format.
    pub version: u32,
    /// The machine as a whole.
    pub app: App,
    /// What mines.
    pub mining: Mining,
    /// Pools to mine for, the preferred first.
    pub upstreams: Vec<Upstream>,
    /// Being a pool.
    pub pool: Pool,
    /// How hashboards are cooled.
    pub cooling: Cooling,
    /// What hashboards are tuned for, and when.
    pub power: crate::PowerPlan,
    /// The page and its interface.
    pub api: Listen,
    /// What other programs may watch.
    pub monitoring: Monitoring,
    /// Folder for what must survive a restart; `None` is the folder of the file.
    pub state: Option<PathBuf>,
}

/// The machine as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// What the machine is called.
    pub name: String,
    /// How it is run.
    pub mode: Mode,
}

/// How the machine is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As usual.
    Production,
    /// With a log that tells more.
    Development,
}

/// A proof of work that this version can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256 twice.
    Sha256d,
}

impl Algorithm {
    /// The word used in settings and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Algorithm::Sha256d => "sha256d",
        }
    }
}

/// What mines.
#[derive(Clone, Debug, PartialEq)]
pub struct Mining {
    /// The proof of work.
    pub algorithm: Algorithm,
    /// Whether the processor mines.
    pub enable_cpu: bool,
    /// Whether hashboards mine.
    pub enable_asic: bool,
    /// The processor.
    pub cpu: Cpu,
    /// Hashboards.
    pub asic: Asic,
}

/// The processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Mining threads; 0 takes what the machine has.
    pub threads: u32,
}

/// Hashboards.
#[derive(Clone, Debug, PartialEq)]
pub struct Asic {
    /// What is connected; empty means detect.
    pub devices: Vec<Device>,
    /// How often sensors and fans are read.
    pub poll_interval: Duration,
}

/// One connected machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The product's name.
    pub product: String,
    /// The line of each chain, chain 0 first: serial, or an SPI device.
    pub ttys: Vec<PathBuf>,
    /// The I²C bus: a device, or the socket of a simulation.
    pub i2c: PathBuf,
    /// The GPIO lines: a device, or the socket of a simulation.
    pub gpio: PathBuf,
    /// The PWM outputs of its fans, a chip's folder in sysfs or the socket of a simulation; `None` where no fan hangs on one.
    pub pwm: Option<PathBuf>,
    /// The control board's name; `None` where hashboards are wired by hand, as the product's own data say.
    pub control_board: Option<String>,
    /// Whether its chips are simulated. Never inferred.
    pub simulated: bool,
    /// Where it was said.
    pub place: Place,
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port, above 0.
    pub port: u16,
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A pool to mine for, over Stratum v1 on TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub url: HostPort,
    /// The worker's name there.
    pub user: String,
    /// Its password there.
    pub password: Secret,
}

/// Being a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Whether other miners are let in.
    pub enable: bool,
    /// Where it listens.
    pub address: SocketAddr,
    /// Most miners at once.
    pub max_connections: u32,
    /// What is mined. Without upstreams the machine itself mines it too.
    pub coins: Vec<Coin>,
}

/// What a pool mines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coin {
    /// The practice chain of this machine alone.
    Practice,
    /// A coin whose node answers over RPC.
    Node(NodeCoin),
}

/// A coin and its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCoin {
    /// The coin's name.
    pub name: String,
    /// Its node.
    pub rpc: Rpc,
    /// Where the reward goes; whether it is one of the coin's is checked by `pool`.
    pub address: String,
    /// Which of the coin's networks.
    pub network: Network,
    /// Where it was said.
    pub place: Place,
}

/// A node's RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpc {
    /// Where it answers, over HTTP.
    pub url: HostPort,
    /// Its user.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

/// A coin's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The one that counts.
    Main,
    /// The public test network.
    Testnet,
    /// The signed test network.
    Signet,
    /// One's own.
    Regtest,
}

impl Network {
    /// All of them.
    pub const ALL: [Network; 4] = [Network::Main, Network::Testnet, Network::Signet, Network::Regtest];

    /// The word used in settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Network::Main => "main",
            Network::Testnet => "testnet",
            Network::Signet => "signet",
            Network::Regtest => "regtest",
        }
    }
}

/// A listener that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Whether it listens.
    pub enable: bool,
    /// Where.
    pub address: SocketAddr,
}

/// What other programs may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitoring {
    /// Prometheus metrics.
    pub metrics: Listen,
    /// Health.
    pub health: Listen,
}
