//! One snapshot of everything, published each tick. Its JSON form is the product's interface (`otedama status --json`).

use serde::Serialize;

/// Shares by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShareCounts {
    /// They count.
    pub accepted: u64,
    /// They do not.
    pub rejected: u64,
    /// Their job was superseded.
    pub stale: u64,
}

/// Where a chain is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainState {
    /// Rail off.
    #[default]
    Off,
    /// Rail on, chips being found and set up.
    Starting,
    /// Clock being raised.
    Ramping,
    /// At work.
    Hashing,
    /// Off because of heat, waiting to be cool.
    Cooling,
    /// Off until its cause ends or a person helps.
    Failed,
}

/// Who has a machine pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PausedBy {
    /// Somebody asked for it.
    Person,
    /// The hours of the settings.
    Hours,
}

/// One sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SensorStatus {
    /// `chain 0 inlet`.
    pub place: String,
    /// Null where unknown.
    pub celsius: Option<f64>,
}

/// One chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChainStatus {
    /// From 0.
    pub id: u8,
    /// Where it is in its life.
    pub state: ChainState,
    /// Chips that answered.
    pub chips: u32,
    /// Chips that should.
    pub chips_expected: u32,
    /// Clock now.
    pub clock_hertz: f64,
    /// Rail now.
    pub volts: f64,
    /// From verified nonces, over the last ten minutes.
    pub hashes_per_second: f64,
    /// What clock and chips promise.
    pub expected_hashes_per_second: f64,
    /// What its chips and its regulators take, as far as can be told; 0 while it does not hash.
    pub watts: f64,
    /// Where its tuning is: `off`, `cold`, `factory`, `step`, `measure` or `settled`.
    pub tuning: String,
    /// Estimated chip temperature; null where unknown.
    pub chip_celsius: Option<f64>,
    /// Its sensors.
    pub sensors: Vec<SensorStatus>,
    /// Verified nonces since start.
    pub nonces: u64,
    /// Its shares that a pool accepted since start.
    pub shares_accepted: u64,
    /// Wrong nonces since start.
    pub hardware_errors: u64,
    /// Frames with a wrong checksum since start.
    pub frame_errors: u64,
}

/// One mining thread of the processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CpuStatus {
    /// From 0; `cpu 0` where people read it.
    pub id: u8,
    /// Starting, hashing, or off.
    pub state: ChainState,
    /// From verified nonces, over the last ten minutes.
    pub hashes_per_second: f64,
    /// What was measured at the start, while it hashes.
    pub expected_hashes_per_second: f64,
    /// Verified nonces since start.
    pub nonces: u64,
    /// Its shares that a pool accepted since start.
    pub shares_accepted: u64,
    /// Wrong nonces since start.
    pub hardware_errors: u64,
}

/// One fan.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FanStatus {
    /// From 0.
    pub id: u8,
    /// What it was told, percent.
    pub duty_percent: f64,
    /// What it turns; null where unknown.
    pub rpm: Option<f64>,
}

/// One pool that we mine for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UpstreamStatus {
    /// As in the settings, without the password.
    pub url: String,
    /// Whether jobs come from it now.
    pub active: bool,
    /// `connected`, `connecting`, or what went wrong.
    pub state: String,
    /// Of its jobs, as decimal text.
    pub difficulty: String,
    /// Shares sent to it.
    pub shares: ShareCounts,
}

/// One fault that is there now.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FaultStatus {
    /// From the catalogue.
    pub code: String,
    /// `notice`, `warning`, `error` or `critical`.
    pub severity: String,
    /// In a few words.
    pub title: String,
    /// Which part.
    pub place: String,
    /// What was attempted and what came of it.
    pub detail: String,
    /// What to do now.
    pub advice: String,
}

impl From<&crate::Fault> for FaultStatus {
    fn from(f: &crate::Fault) -> FaultStatus {
        FaultStatus {
            code: f.code.code().to_owned(),
            severity: format!("{:?}", f.code.severity()).to_lowercase(),
            title: f.code.title().to_owned(),
            place: f.place.clone(),
            detail: f.detail.clone(),
            advice: f.code.advice().to_owned(),
        }
    }
}

/// One miner connected to our own pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// The name it authorised with.
    pub name: String,
    /// Its shares.
    pub shares: ShareCounts,
    /// As decimal text.
    pub difficulty: String,
}

/// One snapshot of everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// The product's name, empty where there is none.
    pub product: String,
    /// Whether any hash power is simulated.
    pub simulated: bool,
    /// Whether it is asked to mine.
    pub mining: bool,
    /// Whether it pauses: hashboards keep their power, at their lowest clock and without work.
    pub paused: bool,
    /// Who wants it so; null where it does not pause.
    pub paused_by: Option<PausedBy>,
    /// Since the program's start.
    pub uptime_seconds: u64,
    /// All chains and CPU threads.
    pub hashes_per_second: f64,
    /// What clocks and chips promise.
    pub expected_hashes_per_second: f64,
    /// All upstreams.
    pub shares: ShareCounts,
    /// Highest difficulty of any share, as decimal text.
    pub best_difficulty: String,
    /// The active one's URL, or null.
    pub upstream: Option<String>,
    /// All of them in order.
    pub upstreams: Vec<UpstreamStatus>,
    /// All chains.
    pub chains: Vec<ChainStatus>,
    /// All mining threads of the processor.
    pub cpus: Vec<CpuStatus>,
    /// All fans.
    pub fans: Vec<FanStatus>,
    /// What is wrong now.
    pub faults: Vec<FaultStatus>,
    /// Miners of our own pool; null where no pool runs.
    pub pool: Option<Vec<WorkerStatus>>,
}
