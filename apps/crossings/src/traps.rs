//! Ids of traps.

use crate::clock::{self, Samples};
use crate::{Bench, Failure};
use libsys::syscall;

/// `trap.null`: the system call that does nothing.
pub fn null(bench: &Bench) -> Result<Samples, Failure> {
    clock::loops(bench.samples, 16, || {
        syscall::nop();
        Ok(())
    })
}
