//! Further threads of a program: made from its own Untyped, started and stopped at will.
//!
//! Only programs whose manifest gives them `untyped` can make any.

use crate::object::{Frame, OWN_TABLE, Space, Thread, Untyped};
use crate::proto::program::Own;
use crate::slots;
use crate::syscall::Slot;
use abi::fault::Registers;
use abi::object::{frame, space, untyped};
use abi::{Error, Kind, PAGE, buffer};
use core::sync::atomic::{AtomicU64, Ordering};

/// Where the areas of further threads lie, one behind the other.
const AREAS: u64 = 0x6000_0000_0000;
/// Size bits of a Thread object.
const THREAD_BITS: u8 = 13;

/// The next area's address.
static NEXT: AtomicU64 = AtomicU64::new(AREAS);

/// What a thread runs: it gets the argument of [`Worker::start`], and never returns.
pub type Entry = extern "C" fn(u64) -> !;

/// Room for one thread at a time: memory for its object, its message buffer and its stack.
#[derive(Debug)]
pub struct Worker {
    memory: Untyped,
    thread: Thread,
    space: Space,
    area: u64,
}

impl Worker {
    /// Makes the room, with `stack` pages of stack.
    ///
    /// # Errors
    /// `OutOfMemory`, `OutOfTables`: the program's Untyped or Space is used up. `NoCapability`: its table is.
    pub fn new(own: &Own, stack: u64) -> Result<Self, Error> {
        let (source, space) = (Untyped(Slot(own.untyped)), Space(Slot(own.space)));
        let slot = || slots::allocate().ok_or(Error::NoCapability);
        let (memory, thread) = (Untyped(slot()?), Thread(slot()?));
        let size = THREAD_BITS;
        source.retype(Kind::Untyped, size, 1, OWN_TABLE, memory.0, untyped::ALL)?;
        let area = NEXT.fetch_add(buffer::AREA, Ordering::Relaxed);
        for page in 1..=stack {
            let slot = slot()?;
            source.retype(Kind::Frame, 12, 1, OWN_TABLE, slot, untyped::ALL)?;
            let rights = frame::READ | frame::WRITE;
            let address = area + buffer::AREA - page * PAGE;
            space.map(Frame(slot), address, rights, space::WRITE_BACK)?;
        }
        Ok(Self {
            memory,
            thread,
            space,
            area,
        })
    }

    /// Makes a thread and starts it. Its faults go to `fault` (`Slot(0)`: they stop it).
    ///
    /// # Errors
    /// `SlotOccupied`: a thread runs here already. `AboveCeiling`: `priority` is above this program's.
    pub fn start(
        &self,
        entry: Entry,
        argument: u64,
        priority: u8,
        fault: Slot,
    ) -> Result<(), Error> {
        let thread = self.thread;
        self.memory
            .retype(Kind::Thread, 0, 1, OWN_TABLE, thread.0, untyped::ALL)?;
        thread.configure(OWN_TABLE, self.space, fault, self.area)?;
        thread.write_registers(&Registers {
            rip: entry as *const () as u64,
            // As after a call: 8 below a multiple of 16.
            rsp: self.area + buffer::AREA - 8,
            rflags: 0x202,
            rdi: argument,
            ..Registers::default()
        })?;
        thread.priority(priority, priority)?;
        thread.start()
    }

    /// Stops its thread and takes it back.
    ///
    /// # Errors
    /// `NoCapability`: none runs here.
    pub fn stop(&self) -> Result<(), Error> {
        self.thread.suspend()?;
        OWN_TABLE.delete(self.thread.0)
    }
}
