//! `cargo image`: makes what a control board boots, from Debian's kernel source and this tree: kernel, program, root file
//! system, disk. It runs on the host that builds, never on the miner.
//!
//! Every step is a file here and can be called alone. What is slow is kept in the cache by the hash of what went into it.
//! Not here: decisions of the running machine, which are the program's.

pub mod command;
pub mod kernel;
pub mod place;
pub mod process;
pub mod program;
pub mod qemu;
pub mod simulated;
