//! The nouns of the trade. Every other crate speaks in these words; this one imports nothing of ours.
//!
//! One pipeline of five nouns: [`Job`] (what a pool offers) → [`Work`] (one header space for one hand) → [`Nonce`] (what a hand
//! found) → [`Share`] (verified, meets a target) → [`Verdict`]. Not here: decisions (`control`), wire formats (`stratum`), I/O.

mod care;
mod command;
mod fault;
mod hash;
mod header;
mod job;
mod machine;
mod part;
mod power;
pub mod settings;
mod share;
mod status;
mod target;
mod time;
mod unit;

pub use care::{Bounds, Care, Cooling, CoolingError, CoolingMode, Measured, Preheat};
pub use command::Command;
pub use fault::{Fault, FaultCode, Severity};
pub use hash::{Hash, sha256d};
pub use header::Header;
pub use job::{CoinbaseJob, Job, JobBody, JobError, JobId, UpstreamId, Work, WorkId};
pub use machine::{
    Attachment, Buttons, ChainId, ChainLayout, ChainLine, ChipAt, ChipModel, ControlBoard, FanId, Hashboard, Leds, Limits,
    Product, SensorId, SensorPlace, SensorSpot, Slot, Tier, UsbIdentity,
};
pub use part::{
    ApwCurve, Diode, DiodeTune, DspicFraming, FanPart, GpioLine, Level, MeterPart, PwmFans, RegulatorPart, SensorPart, SupplyPart,
};
pub use power::{Aim, ChainProfile, DAY_MINUTES, Hours, PowerPlan, Profile, ProfileError, Task};
pub use share::{Nonce, Reject, Share, ShareId, Verdict};
pub use status::{
    ChainState, ChainStatus, CpuStatus, FanStatus, FaultStatus, PausedBy, SensorStatus, ShareCounts, Status, UpstreamStatus,
    WorkerStatus,
};
pub use target::{Difficulty, DifficultyError, Target};
pub use time::{Reading, Time};
pub use unit::{Ampere, Baud, Celsius, Hashrate, JoulePerTerahash, Megahertz, Percent, Rpm, Volt, Watt};
