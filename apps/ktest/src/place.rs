//! Threads that a program makes itself, out of an Untyped of its own.
//!
//! A thread's memory is an area of [`buffer::AREA`] bytes, aligned to that: the message buffer, a guard page, and the
//! stack at its end ([`abi::buffer`]). The kernel maps the buffer when the thread is configured; [`map_stack`] maps the
//! stack, and [`prepare`] does the rest, so that START lets the thread run.

use abi::fault::Registers;
use abi::object::{frame, space, untyped};
use abi::{Error, Kind, PAGE, buffer};
use libsys::object::{CapTable, Frame, OWN_TABLE, Space, Thread, Untyped};
use libsys::proto::program::THREAD_AREA;
use libsys::syscall::Slot;

/// What a thread runs. It cannot return: nobody called it.
pub type Entry = extern "C" fn(u64) -> !;

/// Address of a program's `index`-th thread area; 0 is its first thread's, which root made.
pub const fn area(index: u64) -> u64 {
    THREAD_AREA + index * buffer::AREA
}

/// Where a thread lives.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its capabilities.
    pub table: CapTable,
    /// Its address space.
    pub space: Space,
    /// Where its faults are messages; `Slot(0)`: nowhere, a fault stops it.
    pub fault: Slot,
    /// Its thread area in that space.
    pub area: u64,
}

/// Maps `pages` (1 to 62) zeroed pages of stack at the end of `area`, made from `memory`. Each passes through the empty
/// slot `spare` of the program's own table and is kept in `keep.0`, from slot `keep.1` on.
///
/// # Errors
/// The kernel's. The pages made until then stay; one may lie in `spare`.
pub fn map_stack(
    memory: Untyped,
    space: Space,
    area: u64,
    pages: u64,
    spare: Slot,
    keep: (CapTable, Slot),
) -> Result<(), Error> {
    let bottom = area + buffer::AREA - pages * PAGE;
    for page in 0..pages {
        memory.retype(Kind::Frame, 12, 1, OWN_TABLE, spare, untyped::ALL)?;
        let rights = frame::READ | frame::WRITE;
        let address = bottom + page * PAGE;
        space.map(Frame(spare), address, rights, space::WRITE_BACK)?;
        keep.0.move_from(Slot(keep.1.0 + page as u32), spare)?;
    }
    Ok(())
}

/// Gives an inactive thread its place, and the registers with which START lets it run `entry(argument)`.
pub fn prepare(thread: Thread, place: Place, entry: Entry, argument: u64) -> Result<(), Error> {
    thread.configure(place.table, place.space, place.fault, place.area)?;
    thread.write_registers(&registers(place.area, entry as *const () as u64, argument))
}

/// Registers of a thread that begins `entry(argument)` with an empty stack in `area`.
pub fn registers(area: u64, entry: u64, argument: u64) -> Registers {
    Registers {
        rip: entry,
        // As after a call: the System V ABI wants RSP + 8 aligned to 16 (section 3.2.2).
        rsp: area + buffer::AREA - 8,
        rflags: 0x202,
        rdi: argument,
        ..Registers::default()
    }
}
