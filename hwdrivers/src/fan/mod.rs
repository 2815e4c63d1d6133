//! Fan controllers, one file a part.

pub mod emc2305;
