//! The lowest power for what a machine is aimed at: rail and clock of each chip, found by measuring and never beyond the board's limits.

pub mod chain;
pub mod judge;
pub mod power;

use model::Megahertz;

/// One step of a clock: the grid that all chips of the tables have in common.
pub const STEP: Megahertz = Megahertz(6.25);
