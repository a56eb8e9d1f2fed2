//! The program of a Linux that has nothing else.

extern crate alloc;

use alloc::ffi::CString;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bootinfo::exit;
use core::arch::asm;
use core::fmt::Display;
use linux_init::Linux;
use linux_init::kernel::{self, Errno, Fd};
use linux_init::reads::Files;
use linux_raw_sys::general::{O_RDONLY, O_RDWR};
use measure::run;
use talc::{TalcLock, source::Claim};

const STACK: usize = 64 << 10;
const HEAP: usize = 4 << 20;

bootinfo::entry_point!(start, STACK);

#[global_allocator]
static ALLOCATOR: TalcLock<spin::Mutex<()>, Claim> = {
    static mut ARENA: [u8; HEAP] = [0; HEAP];
    // SAFETY: nothing else names the arena.
    TalcLock::new(unsafe { Claim::array(&raw mut ARENA) })
};

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    fail(info)
}

extern "C" fn start() -> ! {
    match measured() {
        Ok(()) => end(exit::SUCCESS),
        Err(why) => fail(why),
    }
}

fn measured() -> Result<(), String> {
    told("mount /dev", kernel::mount(c"devtmpfs", c"/dev"))?;
    let arguments = told("read /arguments", all(c"/arguments"))?;
    let arguments = String::from_utf8(arguments).map_err(|_| "/arguments is not text")?;
    let modules = arguments
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("module="));
    for module in modules {
        let path =
            CString::new(format!("/modules/{module}.ko")).map_err(|_| "a name with a zero")?;
        let file = Fd::open(&path, O_RDONLY);
        told(module, file.and_then(|file| file.load_module()))?;
    }
    let console = told("open the console", Fd::open(c"/dev/console", O_RDWR))?;
    let mut linux = Linux {
        files: Files::default(),
    };
    run::all(&arguments, &mut linux, |text| print(&console, text))?;
    Ok(())
}

/// All bytes of a file.
fn all(path: &core::ffi::CStr) -> Result<Vec<u8>, Errno> {
    let file = Fd::open(path, O_RDONLY)?;
    let (mut bytes, mut part) = (Vec::new(), [0; 1024]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&part[..count]),
        }
    }
}

/// Says what could not be done.
fn told<T>(what: &str, result: Result<T, Errno>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

fn print(console: &Fd, text: &str) {
    let mut left = text.as_bytes();
    while let Ok(count @ 1..) = console.write(left) {
        left = &left[count..];
    }
}

/// Says why it cannot go on, as far as there is a console to say it on, and ends the machine.
fn fail(why: impl Display) -> ! {
    if let Ok(console) = Fd::open(c"/dev/console", O_RDWR) {
        print(&console, &format!("linux-init: {why}\n"));
    }
    end(exit::COMMAND_FAILED)
}

/// Ends the machine, when all that was printed has left it. Where that cannot be done Linux does, for its first program has ended.
fn end(value: u8) -> ! {
    if let Ok(console) = Fd::open(c"/dev/console", O_RDWR) {
        console.drain();
    }
    if kernel::allow_port(exit::PORT).is_ok() {
        // SAFETY: a byte to a port whose device ends the machine.
        unsafe { asm!("out dx, al", in("dx") exit::PORT, in("al") value, options(nostack, nomem)) };
    }
    kernel::exit()
}
