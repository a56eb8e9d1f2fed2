//! Into the kernel and back.

use crate::{kernel, told};
use linux_raw_sys::general::__NR_getppid;
use measure::Failure;
use measure::clock::{self, Samples};

/// System calls in one sample, as in the suite.
const BATCH: u64 = 16;
/// A number that no system call has, nor will have soon.
const NONE: u32 = 5000;
/// ENOSYS of errno.h.
const NO_SUCH_CALL: u64 = 38;

/// getppid(2), the usual call that does nothing (lmbench's `lat_syscall null`): libraries do not remember its answer.
///
/// # Errors
/// What Linux says.
pub fn null(samples: usize) -> Result<Samples, Failure> {
    clock::loops(samples, BATCH, || {
        kernel::ask(__NR_getppid).map(drop).map_err(told)
    })
}

/// A call that does not exist: the way in and out, and nothing else.
///
/// # Errors
/// There is such a call.
pub fn invalid(samples: usize) -> Result<Samples, Failure> {
    clock::loops(samples, BATCH, || match kernel::ask(NONE) {
        Err(kernel::Errno(NO_SUCH_CALL)) => Ok(()),
        Err(other) => Err(told(other)),
        Ok(_) => Err("there is such a call".into()),
    })
}
