//! The log: what a logger measured, kept in NAND until its memory is needed again.
//!
//! [`recorder`] gathers records into segments and decides when one is written; [`ring`] keeps segments in a ring of NAND
//! blocks and finds them again after a power cut. How it is kept, and what is promised, is in docs/data.md.
//!
//! Nothing that was written is ever lost to a cut, and nothing is ever written twice into the same place. This crate knows
//! neither a clock nor a setting: the application tells it both.

#![no_std]
#![forbid(unsafe_code)]

pub mod recorder;
pub mod ring;
