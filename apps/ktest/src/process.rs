//! Programs that a test makes: threads in spaces of their own, with a copy of this program's image.

use crate::lab::{Lab, MEMORY, SPARE, VAULT};
use crate::outcome::{Failure, Outcome};
use crate::place::{self, Entry, Place};
use crate::raw::{self, WINDOW};
use abi::object::{frame, space, untyped};
use abi::{Kind, PAGE, Rights};
use libsys::object::{CapTable, Frame, OWN_TABLE, Space, Thread};
use libsys::syscall::Slot;

/// A thread in a space of its own.
#[derive(Clone, Copy)]
pub struct Process {
    /// Its thread.
    pub thread: Thread,
    /// Its space.
    pub space: Space,
    /// Its table.
    pub table: CapTable,
}

impl Lab {
    /// Starts a thread in a new space of its own with a copy of this program's image, at `entry`. It has `capabilities` in
    /// slots 1.. of a table of its own, and its faults go to `fault`.
    pub fn process(
        &mut self,
        entry: Entry,
        argument: u64,
        priority: u8,
        capabilities: &[(Slot, Rights, u64)],
        fault: Slot,
    ) -> Result<Process, Failure> {
        let space = Space(self.make(Kind::Space, 16)?);
        let table = self.table(6)?;
        let thread = Thread(self.make(Kind::Thread, 0)?);
        self.copy_image(space)?;
        for (slot, (source, rights, badge)) in (1..).zip(capabilities) {
            table.derive(Slot(slot), *source, *rights, *badge)?;
        }
        let process = Process {
            thread,
            space,
            table,
        };
        self.start_in(&process, thread, 0, entry, argument, priority, fault)?;
        Ok(process)
    }

    /// Starts another thread in a process, in thread area `index` (not 0).
    pub fn process_thread(
        &mut self,
        process: &Process,
        index: u64,
        entry: Entry,
        argument: u64,
        priority: u8,
        fault: Slot,
    ) -> Result<Thread, Failure> {
        let thread = Thread(self.make(Kind::Thread, 0)?);
        self.start_in(process, thread, index, entry, argument, priority, fault)?;
        Ok(thread)
    }

    #[expect(clippy::too_many_arguments, reason = "all that makes a thread")]
    fn start_in(
        &mut self,
        process: &Process,
        thread: Thread,
        index: u64,
        entry: Entry,
        argument: u64,
        priority: u8,
        fault: Slot,
    ) -> Outcome {
        let area = place::area(index);
        self.stack(process.space, area)?;
        let place = Place {
            table: process.table,
            space: process.space,
            fault,
            area,
        };
        place::prepare(thread, place, entry, argument)?;
        thread.priority(priority, priority)?;
        Ok(thread.start()?)
    }

    /// Fills a space with a copy of this program's code and data.
    fn copy_image(&mut self, space: Space) -> Outcome {
        for segment in raw::image() {
            for offset in (0..segment.end - segment.start).step_by(PAGE as usize) {
                MEMORY.retype(Kind::Frame, 12, 1, OWN_TABLE, SPARE, untyped::ALL)?;
                let page = Frame(SPARE);
                let rights = frame::READ | frame::WRITE;
                self.space.map(page, WINDOW, rights, space::WRITE_BACK)?;
                raw::copy_page(&segment, offset, WINDOW);
                self.space.unmap(page)?;
                let address = segment.start + offset;
                space.map(page, address, segment.rights, space::WRITE_BACK)?;
                VAULT.move_from(Slot(self.kept), SPARE)?;
                self.kept += 1;
            }
        }
        Ok(())
    }
}
