//! Temperature sensors, one file a part.

pub mod tmp75;
