//! One file a part. A driver reads a register and names a unit; it has no opinion. It never sleeps: what a protocol must wait
//! for is data of the part, handed back as the moment of its next turn, so that the same driver runs in virtual time.

pub mod bus;
pub mod chip;
pub mod eeprom;
pub mod fan;
pub mod input;
pub mod light;
pub mod power;
pub mod sensor;
