//! The wire protocols: one file per interface.
pub mod children;
pub mod console;
pub mod control;
pub mod file;
pub mod io;
pub mod memory;
pub mod names;
pub mod net;
pub mod operation;
pub mod program;
pub mod timer;
