//! Exceptions that the program or the kernel handles.

use crate::kernel::{self, Lazy};
use crate::told;
use measure::Failure;
use measure::clock::{self, Samples};

/// UD2s in one sample.
const BATCH: u64 = 1;

/// UD2, the signal's handler, and on behind it.
///
/// # Errors
/// What Linux says.
pub fn signal(samples: usize) -> Result<Samples, Failure> {
    kernel::skip_undefined().map_err(told)?;
    clock::loops(samples, BATCH, || {
        kernel::undefined();
        Ok(())
    })
}

/// The first access to a page of anonymous memory: a write gets a page of its own, a read the one that is all zeros.
///
/// # Errors
/// What Linux says.
pub fn page(samples: usize, write: bool) -> Result<Samples, Failure> {
    let page = Lazy::new().map_err(told)?;
    clock::singles(
        samples,
        || page.take().map_err(told),
        || {
            match write {
                true => page.write(),
                false => {
                    page.read();
                }
            }
            Ok(())
        },
    )
}
