//! What feeds the chips: rail controllers and supplies, one file a part. Both parts talk in requests and late answers, which
//! [`exchange`] times.

pub mod apw12;
pub mod dspic;
pub mod exchange;

pub use exchange::PowerError;
