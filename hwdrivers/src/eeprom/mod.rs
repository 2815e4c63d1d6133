//! What a hashboard says that it is: its EEPROM, read and never written. One file for the part, one for what its maker put into it.

pub mod at24c02;
pub mod identity;
