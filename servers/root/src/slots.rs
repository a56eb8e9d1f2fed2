//! What lies in which slot of root's own table (2^[`abi::root::TABLE_BITS`] slots).

use abi::root::{FIRST_UNTYPED, TABLE_BITS};
use libsys::object::{CapTable, Frame, IoPorts, Irq, Space, System, Thread, Untyped};
use libsys::proto::program::STACK_PAGES;
use libsys::syscall::Slot;

/// Root's own table.
pub const TABLE: CapTable = CapTable(Slot(abi::root::TABLE));
/// Root's own space.
pub const SPACE: Space = Space(Slot(abi::root::SPACE));
/// Root's own thread.
pub const THREAD: Thread = Thread(Slot(abi::root::THREAD));
/// The machine.
pub const SYSTEM: System = System(Slot(abi::root::SYSTEM));

/// Root's own Untyped, for the few objects that belong to no program.
pub const OWN_MEMORY: Untyped = Untyped(Slot(140));
/// The endpoint root receives from.
pub const ENDPOINT: Slot = Slot(141);
/// I/O ports: PCI configuration (0xcf8 to 0xcff).
pub const PCI_PORTS: IoPorts = IoPorts(Slot(142));
/// I/O ports: the serial line, for root's last words only.
pub const SERIAL_PORTS: IoPorts = IoPorts(Slot(143));
/// I/O ports: QEMU's exit device.
pub const EXIT_PORTS: IoPorts = IoPorts(Slot(144));
/// I/O ports: where Bochs is ended.
pub const BOCHS_PORTS: IoPorts = IoPorts(Slot(146));
/// I/O ports: ACPI's PM1a control register.
pub const ACPI_PORTS: IoPorts = IoPorts(Slot(145));

/// The first of [`BATCH`] slots for capabilities on their way into a program. All are empty between two operations.
pub const SCRATCH: Slot = scratch(0);
/// Most frames made at once (the kernel's limit for RETYPE).
pub const BATCH: u32 = 64;

/// Slot `i` (below [`BATCH`]) of those that begin at [`SCRATCH`].
pub const fn scratch(i: u32) -> Slot {
    Slot(192 + i)
}

/// Empties the first `count` slots that begin at [`SCRATCH`], after an operation that failed half-way.
pub fn clear_scratch(count: u32) {
    for i in 0..count {
        // A slot that is empty already is fine.
        let _ = TABLE.delete(scratch(i));
    }
}

/// First slot of the first program.
const PROGRAMS: u32 = 512;
/// Slots kept for each program.
const PER_PROGRAM: u32 = 64;
/// Most programs of a system.
pub const MAX_PROGRAMS: usize = (((1 << TABLE_BITS) - PROGRAMS) / PER_PROGRAM) as usize;

const _: () = assert!(FIRST_UNTYPED + 128 <= OWN_MEMORY.0.0);

/// The slots of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramSlots(u32);

impl ProgramSlots {
    /// Those of the program at `index` of the manifest, below [`MAX_PROGRAMS`].
    pub const fn new(index: usize) -> Self {
        Self(PROGRAMS + index as u32 * PER_PROGRAM)
    }
    /// Its budget: the Untyped from which everything it has is made.
    pub const fn budget(self) -> Untyped {
        Untyped(Slot(self.0))
    }
    /// Its address space.
    pub const fn space(self) -> Space {
        Space(Slot(self.0 + 1))
    }
    /// Its own table.
    pub const fn table(self) -> CapTable {
        CapTable(Slot(self.0 + 2))
    }
    /// The table that keeps its frames; it never gets a capability to it.
    pub const fn vault(self) -> CapTable {
        CapTable(Slot(self.0 + 3))
    }
    /// Its first thread.
    pub const fn thread(self) -> Thread {
        Thread(Slot(self.0 + 4))
    }
    /// The endpoint it receives from.
    pub const fn endpoint(self) -> Slot {
        Slot(self.0 + 5)
    }
    /// Root's endpoint with the badge that says: a fault of this program.
    pub const fn fault(self) -> Slot {
        Slot(self.0 + 6)
    }
    /// The Untyped of its own, on its way into its table.
    pub const fn untyped(self) -> Untyped {
        Untyped(Slot(self.0 + 7))
    }
    /// The interrupt, raised by root, that tells it that a client is no more.
    pub const fn gone(self) -> Irq {
        Irq(Slot(self.0 + 8))
    }
    /// The Reply object in which it waits for the end of a child, if it may have any.
    pub const fn waiter(self) -> Slot {
        Slot(self.0 + 9)
    }
    /// Page `i` of its stack, lowest address first, kept at hand for backtraces.
    pub const fn stack(self, i: u64) -> Frame {
        Frame(Slot(self.0 + STACK + i as u32))
    }
    /// What it makes a shared buffer of.
    pub const fn pool(self) -> Untyped {
        Untyped(Slot(self.0 + STACK + STACK_PAGES as u32))
    }
    /// The table that keeps the buffer's frames.
    pub const fn shared(self) -> CapTable {
        CapTable(Slot(self.0 + STACK + STACK_PAGES as u32 + 1))
    }
    /// Piece `i` (below [`PIECES`]) of the memory of its heap.
    pub const fn piece(self, i: u32) -> Untyped {
        Untyped(Slot(self.0 + PER_PROGRAM - PIECES + i))
    }
}

/// Most pieces of a heap.
pub const PIECES: u32 = 32;
/// Slots below those of the stack.
const STACK: u32 = 10;

const _: () = assert!(STACK as u64 + STACK_PAGES + 2 <= (PER_PROGRAM - PIECES) as u64);
