//! Chips that hash: one folder a family, one file of constants a chip. Not here: who decides their clock, and whether a nonce
//! is right.

pub mod bm13xx;
