//! What a program can get wrong when it asks the monolith, and the error that it gets.

use crate::{Call, lend};
use libsys::proto::io::IoError;
use reader::trap;

/// Word of the command line that asks for this.
pub const WORD: &str = "mistakes=1";

/// Addresses of nobody, of this program's code, of the kernel, and beyond every address.
const NOWHERE: u64 = 0x1000;
const CODE: u64 = 0x40_0000;
const KERNEL: u64 = 0xffff_ffff_8000_0000;
const LAST: u64 = u64::MAX - 7;

/// Makes each of them.
///
/// # Errors
/// The monolith did not say what it should have said.
pub fn all() -> Result<(), &'static str> {
    let (disk, zero, null) = (2, 1, 0);
    let buffer = &mut [0; 512];
    let address = buffer.as_mut_ptr() as u64;
    let read = Call::Read as u64;
    let refused = [
        (read, [9, address, 512, 0], IoError::NoDevice),
        (read, [zero, NOWHERE, 512, 0], IoError::BadBuffer),
        (read, [zero, CODE, 512, 0], IoError::BadBuffer),
        (read, [zero, KERNEL, 512, 0], IoError::BadBuffer),
        (read, [zero, LAST, 512, 0], IoError::BadBuffer),
        (read, [disk, KERNEL, 512, 0], IoError::BadBuffer),
        (read, [disk, CODE, 512, 0], IoError::BadBuffer),
        (read, [disk, address, u64::MAX, 0], IoError::BadBuffer),
        (read, [disk, address, 512, u64::MAX], IoError::BeyondEnd),
        (
            Call::Write as u64,
            [disk, NOWHERE, 512, 0],
            IoError::BadBuffer,
        ),
        (
            Call::Write as u64,
            [disk, address, 512, 1],
            IoError::BadRequest,
        ),
        (Call::Print as u64, [KERNEL, 8, 0, 0], IoError::BadBuffer),
        (Call::Arguments as u64, [CODE, 8, 0, 0], IoError::BadBuffer),
        (Call::ReadWords as u64, [disk, 8, 0, 0], IoError::BadRequest),
        (Call::COUNT as u64, [0; 4], IoError::BadRequest),
        (u64::MAX, [0; 4], IoError::BadRequest),
    ];
    for (call, arguments, error) in refused {
        // SAFETY: what it names is this program's own buffer, or the monolith must refuse it.
        if unsafe { trap(call, arguments) } != Err(error) {
            return Err("the monolith did not refuse a mistake as it should");
        }
    }
    match lend(Call::Write, null, buffer, 0) {
        Ok(512) => Ok(()),
        _ => Err("the monolith does not go on"),
    }
}
