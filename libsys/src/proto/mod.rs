//! The wire protocols: one file per interface.
pub mod control;
pub mod memory;
pub mod program;
