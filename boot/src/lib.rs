//! The host tool behind `cargo run`: finds what it needs, builds the guest's programs, packs them, runs the emulator.
//!
//! Read in this order: [`cli`] (what a person types), [`run`] (what `run` does), [`system`] and [`check`] (manifests),
//! [`image`] (build and pack), [`qemu`], [`bochs`], [`iso`] and [`from_image`] (boot images), [`machine`] and [`monitor`]
//! (the emulator), [`disk`] and [`flash`] (its media), [`exec`], [`escape`], [`symbols`] and [`trace`] (what happens to the
//! bytes that come and go), [`debugger`] (gdb), [`create`] (new programs), [`toolchain`], [`install`] and [`doctor`] (what has
//! to be there first).
//!
//! It is a library so that the tests and the benchmark suite boot systems the same way as a person does.
#![deny(unsafe_code)]

pub mod accelerator;
pub mod before;
pub mod bench;
pub mod bochs;
pub mod book;
pub mod check;
pub mod cli;
pub mod coverage;
pub mod create;
pub mod debugger;
pub mod disk;
pub mod doctor;
pub mod escape;
pub mod exec;
pub mod flash;
pub mod from_image;
pub mod graph;
pub mod image;
pub mod install;
pub mod instances;
pub mod iso;
pub mod lint;
pub mod machine;
pub mod monitor;
pub mod network;
pub mod paths;
pub mod progress;
pub mod qemu;
pub mod run;
pub mod size;
pub mod status;
pub mod symbols;
pub mod system;
pub mod terminal;
pub mod toolchain;
pub mod trace;
pub mod typing;
pub mod unwind;
