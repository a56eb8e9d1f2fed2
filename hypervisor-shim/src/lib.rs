//! A placeholder: there is no shim yet.
//!
//! It will be a thin layer under several kernels (VT-x, and AMD-V behind the same small trait): booted by the same loader in
//! the kernel's place, it gives each instance a partition of memory through nested page tables, intercepts what would turn
//! protection off, and stays out of everything else.
#![no_std]
#![forbid(unsafe_code)]
