//! The monolith's system calls: their numbers, for both sides, and the user's stubs.
//!
//! The number goes into RAX, arguments into RDI, RSI, RDX and R10. RAX comes back: a count, or the negative code of an
//! [`IoError`]. RCX and R11 are the instruction's; all other registers that a C function may change come back as zeros, but
//! for those of [`Call::ReadWords`].
#![cfg_attr(target_os = "none", no_std)]

use libsys::proto::io::IoError;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Call {
    /// Device, address, bytes, offset: reads into memory, which the device writes itself if it can.
    Read,
    /// The same, always copied.
    ReadCopied,
    /// Device, address, bytes, offset: writes memory, which the device reads itself if it can.
    Write,
    /// The same, always copied.
    WriteCopied,
    /// Device, bytes: reads a device without hardware into RDI and RSI, which come back with up to 16 bytes.
    ReadWords,
    /// Device: returns when there is something to read.
    Wait,
    /// Address, bytes: the command line into memory; returns its length.
    Arguments,
    /// Address, bytes: to the serial line.
    Print,
    /// Whether all went well (0): the machine ends.
    Exit,
}

impl Call {
    /// How many there are.
    pub const COUNT: usize = Self::Exit as usize + 1;
}

/// What comes back.
pub fn encode(result: Result<usize, IoError>) -> i64 {
    match result {
        Ok(count) => count as i64,
        Err(error) => -i64::from(error.code()),
    }
}

/// What came back.
///
/// # Errors
/// What the monolith says.
pub fn decode(value: i64) -> Result<usize, IoError> {
    let error = |_| IoError::from_code(value.unsigned_abs() as u32);
    usize::try_from(value).map_err(error)
}

/// Asks the monolith.
///
/// # Errors
/// What it says.
///
/// # Safety
/// The memory that `arguments` name is the caller's, and may be read or written as `call` does.
#[cfg(target_os = "none")]
#[inline(always)]
pub unsafe fn trap(call: u64, arguments: [u64; 4]) -> Result<usize, IoError> {
    let [first, second, third, fourth] = arguments;
    let value: i64;
    // SAFETY: as the caller promises; the monolith changes nothing else but these registers.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") call => value,
            inlateout("rdi") first => _,
            inlateout("rsi") second => _,
            inlateout("rdx") third => _,
            inlateout("r10") fourth => _,
            lateout("rcx") _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    decode(value)
}

/// Reads into registers ([`Call::ReadWords`]).
///
/// # Errors
/// As the monolith says.
#[cfg(target_os = "none")]
#[inline(always)]
pub fn read_words(device: u64, length: usize) -> Result<[u64; 2], IoError> {
    let (mut value, mut first, mut second) = (Call::ReadWords as i64, device, length as u64);
    // SAFETY: it names no memory; the monolith changes nothing else but these registers.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") value,
            inlateout("rdi") first,
            inlateout("rsi") second,
            lateout("rcx") _,
            lateout("rdx") _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
            options(nostack, nomem),
        );
    }
    decode(value).map(|_| [first, second])
}

/// Asks nobody: a host has no monolith.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "none"))]
pub fn read_words(_device: u64, _length: usize) -> Result<[u64; 2], IoError> {
    Err(IoError::NoDevice)
}

/// Asks nobody: a host has no monolith.
///
/// # Errors
/// Always.
///
/// # Safety
/// Nothing is touched.
#[cfg(not(target_os = "none"))]
pub unsafe fn trap(_call: u64, _arguments: [u64; 4]) -> Result<usize, IoError> {
    Err(IoError::NoDevice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_survive_the_way() {
        for count in [0, 1, usize::MAX >> 1] {
            assert_eq!(decode(encode(Ok(count))), Ok(count));
        }
        for error in IoError::ALL {
            assert_eq!(decode(encode(Err(*error))), Err(*error));
        }
    }
}
