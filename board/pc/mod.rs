//! An ordinary PC (or a virtual machine): processors and graphics cards, no hash connector. Facts only; see the README here.

use model::{ControlBoard, Tier};

/// The PC.
pub const CONTROL_BOARD: ControlBoard = ControlBoard { name: "pc", tier: Tier::BootsInQemu, architecture: "x86_64" };
