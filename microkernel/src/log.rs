//! The kernel's log: a ring of text, copied to the serial line until a driver owns it.

use core::fmt;

use spin::Mutex;

use crate::arch;

/// Bytes kept.
const SIZE: usize = 16 << 10;
/// Most bytes one system call reads or appends.
pub const CHUNK: usize = abi::object::system::LOG_BLOCK;
/// Most bytes that a panic repeats of what the serial line has not seen.
const REPEATED: u64 = 2048;

struct Log {
    ring: [u8; SIZE],
    /// Bytes written since boot.
    written: u64,
    /// A driver owns the serial line since so many bytes were written.
    quiet_since: Option<u64>,
}

// The lock is never contended (one CPU, interrupts off) except by a panic inside `append`, which takes it by force.
static LOG: Mutex<Log> = Mutex::new(Log { ring: [0; SIZE], written: 0, quiet_since: None });

impl Log {
    fn push(&mut self, byte: u8) {
        self.ring[(self.written % SIZE as u64) as usize] = byte;
        self.written += 1;
        if self.quiet_since.is_none() {
            arch::serial::write(byte);
        }
    }
}

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

/// Text, printed as it is: a `str` can be padded, and that is much code.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Writes a line to the kernel's log.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}
pub use crate::log;

/// Writes a line.
#[inline(never)]
pub fn line(arguments: fmt::Arguments) {
    // The log never fails to take text.
    let _ = fmt::Write::write_fmt(&mut *LOG.lock(), format_args!("{arguments}\n"));
}

/// Reads up to [`CHUNK`] bytes from `position` (bytes since boot) as little-endian words. Returns their count and the
/// position of the first: later than asked, if older text is gone.
pub fn read(position: u64, mut store: impl FnMut(usize, u64)) -> (u64, u64) {
    let log = LOG.lock();
    let position = position.clamp(log.written.saturating_sub(SIZE as u64), log.written);
    let count = (log.written - position).min(CHUNK as u64);
    for word in 0..count.div_ceil(8) {
        let bytes = core::array::from_fn(|byte| {
            log.ring[((position + word * 8 + byte as u64) % SIZE as u64) as usize]
        });
        store(word as usize, u64::from_le_bytes(bytes));
    }
    (count, position)
}

/// Appends `length` bytes given as little-endian words; what is not printable text becomes `?`.
pub fn append(length: usize, word: impl Fn(usize) -> u64) {
    let mut log = LOG.lock();
    for index in 0..length.min(CHUNK) {
        let byte = (word(index / 8) >> (8 * (index % 8))) as u8;
        log.push(if matches!(byte, b'\n' | b' '..=b'~') { byte } else { b'?' });
    }
}

/// From now on the serial line belongs to a driver.
pub fn set_quiet() {
    let mut log = LOG.lock();
    log.quiet_since = log.quiet_since.or(Some(log.written));
}

/// The kernel is about to panic: the serial line is its own again, and so is the lock. What the log holds since a driver
/// took the line is shown now.
pub fn take_over() {
    // SAFETY: the CPU that held the lock is the one that panics; it never returns to the holder.
    unsafe { LOG.force_unlock() };
    arch::serial::take_over();
    let mut log = LOG.lock();
    let Some(since) = log.quiet_since.take() else {
        return;
    };
    // The driver's last line may be unfinished.
    arch::serial::write(b'\n');
    let start = since.max(log.written.saturating_sub(REPEATED));
    for position in start..log.written {
        arch::serial::write(log.ring[(position % SIZE as u64) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panic in the middle of a line, while a driver owns the serial line: the lock is free again, and nobody owns the line.
    #[test]
    fn a_panic_takes_the_log_from_whoever_holds_it() {
        set_quiet();
        line(format_args!("before"));
        core::mem::forget(LOG.lock());
        take_over();
        line(format_args!("after"));
        // A second panic finds nothing to repeat.
        take_over();
        let log = LOG.lock();
        assert_eq!(log.quiet_since, None);
        let end = log.written as usize;
        assert!(log.ring[..end].ends_with(b"before\nafter\n"));
    }
}
