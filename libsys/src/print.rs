//! `print!` and `println!`, to the console server.

use crate::handle::Handle;
use crate::proto::io::IoError;
use crate::{rt, syscall};
use alloc::string::String;
use core::fmt::{Arguments, Write};
use spin::Mutex;

/// Opened at the first use; opened anew when the console was restarted.
static CONSOLE: Mutex<Option<Handle>> = Mutex::new(None);

/// Writes text to the console, as one message, so that lines of several programs do not mix. A program without a
/// console says nothing.
pub fn print(arguments: Arguments<'_>) {
    let mut text = String::new();
    if text.write_fmt(arguments).is_ok() {
        write(text.as_bytes());
    }
}

/// Writes bytes to the console, in one message if the console takes them all.
pub fn write(mut bytes: &[u8]) {
    let Some(server) = rt::endpoint("console") else {
        return;
    };
    let mut console = CONSOLE.lock();
    // A console that was restarted gets the text once more; one that dies of it does not.
    let mut again = true;
    while !bytes.is_empty() {
        if console.is_none() {
            *console = Handle::open_at(server, "").ok();
        }
        let Some(handle) = console.as_ref() else {
            return;
        };
        match handle.write(bytes) {
            Ok(count) if count > 0 => bytes = &bytes[count..],
            // So many writers wait that the console cannot make even this one wait.
            Err(IoError::WouldBlock) => syscall::yield_now(),
            Err(IoError::ServerDied { .. }) if again => {
                again = false;
                *console = None;
            }
            _ => return,
        }
    }
}

/// Waits until everything printed has left the machine.
pub fn flush() {
    if let Some(console) = CONSOLE.lock().as_ref() {
        let _ = console.sync();
    }
}

/// Writes formatted text to the console server.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::print::print(::core::format_args!($($argument)*)) };
}

/// Writes a formatted line to the console server.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($argument)*)) };
}
