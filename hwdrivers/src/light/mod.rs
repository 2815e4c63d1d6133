//! Lights: one file for what they show, one for each way of driving them.

pub mod led;
pub mod pattern;
pub mod rgb;
