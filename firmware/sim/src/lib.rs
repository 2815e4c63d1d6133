//! A miner and a coin that are not there, and that really hash.
//!
//! Everything plugs in at the bus and the wire: `machine` has the traits of `hwdrivers::bus` for simulated chips and parts,
//! so real drivers and real controllers run on it in virtual time. Not here: decisions of any kind.

pub mod air;
pub mod bench_socket;
mod chain_line;
pub mod chip;
pub mod chip_spi;
pub mod fault;
mod fitted;
mod handles;
pub mod heat;
pub mod link;
pub mod machine;
mod overload;
pub mod parts;
pub mod practice;
pub mod pty;
pub mod real_time;
pub mod scale;
pub mod serial_line;
pub mod simulation;
pub mod socket_file;
pub mod strain;
pub mod tuned;
pub mod usb_board;
pub mod usb_redir;
pub mod vhost_user;
pub mod watch;

pub use chip::SimChain;
pub use machine::{Buses, World, buses, lock};
pub use practice::PracticeNode;
pub use real_time::RealTime;
pub use serial_line::SerialLine;
pub use usb_board::UsbBoard;
