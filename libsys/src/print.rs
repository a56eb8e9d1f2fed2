//! `print!` and `println!`: to where the environment says (`OUTPUT`), or to the console; `eprintln!` always to the console.

use crate::handle::Handle;
use crate::proto::io::IoError;
use crate::{fs, rt, syscall};
use alloc::string::String;
use core::fmt::{Arguments, Write};
use embedded_io::SeekFrom;
use spin::Mutex;

/// The variable of the environment that names what the program reads, if it is not told otherwise.
pub const INPUT: &str = "INPUT";
/// The variable of the environment that names where what it prints goes; the console if there is none.
pub const OUTPUT: &str = "OUTPUT";
/// The variable that says to print behind the end of what is there.
pub const APPEND: &str = "APPEND";

/// Opened at the first use; opened anew when the console was restarted.
static CONSOLE: Mutex<Option<Handle>> = Mutex::new(None);
/// Opened at the first use.
static ELSEWHERE: Mutex<Option<Handle>> = Mutex::new(None);

/// Writes text, as one message, so that lines of several programs do not mix.
pub fn print(arguments: Arguments<'_>) {
    let mut text = String::new();
    if text.write_fmt(arguments).is_ok() {
        write(text.as_bytes());
    }
}

/// [`print`], to the console whatever the environment says. A program without a console says nothing.
pub fn complain(arguments: Arguments<'_>) {
    let mut text = String::new();
    if text.write_fmt(arguments).is_ok() {
        write_to_console(text.as_bytes());
    }
}

/// Writes bytes, in one message if they are all taken. A program that cannot write where it was told to has nothing left to do:
/// it ends with status 1.
pub fn write(bytes: &[u8]) {
    let Some(name) = rt::variable(OUTPUT) else {
        return write_to_console(bytes);
    };
    if let Err(error) = write_elsewhere(name, bytes) {
        // Who reads a pipe may have enough of it.
        if error != IoError::Reset {
            complain(format_args!("{}: {name}: {error}\n", rt::info().name));
        }
        rt::exit(1);
    }
}

/// Opens what [`OUTPUT`] names, if it is set. A program that cannot ends with status 1.
pub fn prepare() {
    write(&[]);
}

fn write_elsewhere(name: &str, mut bytes: &[u8]) -> Result<(), IoError> {
    let mut place = ELSEWHERE.lock();
    let handle = match place.take() {
        Some(handle) => handle,
        None => {
            let handle = fs::open_or_create(name)?;
            if rt::variable(APPEND).is_some() {
                handle.seek(SeekFrom::End(0))?;
            }
            handle
        }
    };
    let handle = place.insert(handle);
    while !bytes.is_empty() {
        match handle.write(bytes)? {
            0 => return Err(IoError::NoSpace),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

fn write_to_console(mut bytes: &[u8]) {
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

/// Waits until everything printed has left the machine, or is on its medium.
///
/// # Errors
/// It is not there.
pub fn flush() -> Result<(), IoError> {
    if let Some(console) = CONSOLE.lock().as_ref() {
        let _ = console.sync();
    }
    ELSEWHERE.lock().as_ref().map_or(Ok(()), Handle::sync)
}

/// Writes formatted text.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::print::print(::core::format_args!($($argument)*)) };
}

/// Writes a formatted line.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($argument:tt)*) => { $crate::print!("{}\n", ::core::format_args!($($argument)*)) };
}

/// Writes a formatted line to the console.
#[macro_export]
macro_rules! eprintln {
    ($($argument:tt)*) => { $crate::print::complain(::core::format_args!("{}\n", ::core::format_args!($($argument)*))) };
}
