//! A line of the CPU's cache: the unit of memory that algorithms work in.
//!
//! Memory is the caller's, so that it can be had in huge pages or on the right NUMA node; that it comes in lines keeps every
//! access within one of them. Not here: how much of it an algorithm wants, and what it means by the words.

/// 64 bytes on a cache line of their own. All zeros to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Line(pub(crate) [u32; 16]);

impl Line {
    /// A line to allocate memory of.
    pub const ZERO: Line = Line([0; 16]);
    /// Its size.
    pub const BYTES: u64 = 64;
}
