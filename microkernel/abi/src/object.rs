//! Kernel objects: their kinds, their rights, and what each can be asked to do.
//!
//! Invoking a kernel object is a `call` to its capability: the label is the operation, words 0-3 (`w0`..`w3`) are
//! the arguments and results; it never blocks. Slot indices name slots of the caller's own table unless said otherwise.

/// What a capability names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// An empty slot.
    Empty = 0,
    /// Memory that may become objects.
    Untyped = 1,
    /// A table of capabilities.
    CapTable = 2,
    /// A thread of execution.
    Thread = 3,
    /// An address space.
    Space = 4,
    /// A page of memory or of device registers.
    Frame = 5,
    /// Where servers receive.
    Endpoint = 6,
    /// Where a server parks one caller.
    Reply = 7,
    /// An interrupt.
    Irq = 8,
    /// A range of I/O ports.
    IoPorts = 9,
    /// The machine.
    System = 10,
}

impl Kind {
    /// The kind with this number.
    pub const fn from_number(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Empty,
            1 => Self::Untyped,
            2 => Self::CapTable,
            3 => Self::Thread,
            4 => Self::Space,
            5 => Self::Frame,
            6 => Self::Endpoint,
            7 => Self::Reply,
            8 => Self::Irq,
            9 => Self::IoPorts,
            10 => Self::System,
            _ => return None,
        })
    }
}

/// Rights of a capability, a bit set whose meaning depends on the kind. `derive` can only remove them.
pub type Rights = u8;

/// Untyped: a watermark that only grows, and resets at the next `RETYPE` once nothing made from it is left.
/// Not derivable, only moved or split.
pub mod untyped {
    /// May become Frames and Untypeds.
    pub const MEMORY: u8 = 1;
    /// May become CapTables, Threads, Endpoints, Replies, Irqs.
    pub const OBJECTS: u8 = 2;
    /// May become Spaces.
    pub const SPACES: u8 = 4;
    /// Every right.
    pub const ALL: u8 = 7;

    /// `w0` = kind | size bits << 8 | count << 16, `w1` = CapTable, `w2` = first slot in it, `w3` = rights of a
    /// child Untyped. Size bits: Untyped 6.. (bytes 2^n), CapTable 4-16 (2^n slots), Space 15.. (bytes 2^n), Frame 12 or 21;
    /// ignored for the rest. Count is 1 to 64. All objects are zero.
    pub const RETYPE: u32 = 0;
    /// Returns `w0` = bytes free, `w1` = size in bytes.
    pub const INFO: u32 = 1;

    /// `w0` of [`RETYPE`].
    pub const fn retype_word(kind: super::Kind, size_bits: u8, count: u16) -> u64 {
        kind as u64 | (size_bits as u64) << 8 | (count as u64) << 16
    }
}

/// CapTable: slots of 32 bytes; slot 0 is the table's own.
pub mod captable {
    /// May be changed.
    pub const WRITE: u8 = 1;
    /// May be looked at.
    pub const INSPECT: u8 = 2;
    /// Every right.
    pub const ALL: u8 = 3;

    /// `w0` = slot in the invoked table, `w1` = source slot, `w2` = rights, `w3` = badge (Endpoint; 0 keeps it) or port range
    /// (IoPorts: base | count << 16; 0 keeps it).
    pub const DERIVE: u32 = 0;
    /// `w0` = slot in the invoked table, `w1` = source slot. The capability keeps its place in the tree.
    pub const MOVE: u32 = 1;
    /// `w0` = slot in the invoked table: it and all derived from it go.
    pub const DELETE: u32 = 2;
    /// `w0` = slot in the invoked table: all derived from it goes.
    pub const REVOKE: u32 = 3;
    /// `w0` = slot in the invoked table, `w1` = own Endpoint or 0. Returns `w0` = kind (of another endpoint than `w1`: still
    /// Endpoint), `w1` = rights, `w2` = badge (only if it is the endpoint of `w1`), `w3` = 1 if it is.
    pub const IDENTIFY: u32 = 4;
    /// `w0` = slot in the invoked table: an Endpoint (RECV). Returns `w0` = calls and faults that it has delivered to receivers.
    pub const MESSAGES: u32 = 5;
}

/// Thread.
pub mod thread {
    /// May be started, stopped and given a priority.
    pub const CONTROL: u8 = 1;
    /// Registers may be read and written.
    pub const REGISTERS: u8 = 2;
    /// Every right.
    pub const ALL: u8 = 3;

    /// `w0` = CapTable, `w1` = Space, `w2` = fault Endpoint (CALL) or 0, `w3` = user address of its message buffer. Only while
    /// Inactive.
    pub const CONFIGURE: u32 = 0;
    /// `w0` = priority, `w1` = ceiling; neither above the caller's ceiling.
    pub const PRIORITY: u32 = 1;
    /// Makes an Inactive thread Ready.
    pub const START: u32 = 2;
    /// Makes it Inactive; what it waited for is cancelled.
    pub const SUSPEND: u32 = 3;
    /// Ends what it waits for with `Cancelled`.
    pub const CANCEL: u32 = 4;
    /// Registers into the caller's message buffer, in the layout of [`crate::fault::Registers`].
    pub const READ_REGISTERS: u32 = 5;
    /// Registers from the caller's message buffer. Only while Inactive.
    pub const WRITE_REGISTERS: u32 = 6;
    /// `w0` = 1: it may use the floating-point registers (x87, SSE, AVX), which start in their initial state; 0: touching them
    /// is exception 7. `w1` = 1: it is traced (no system call of it takes the fast path, which records nothing). Only while
    /// Inactive.
    pub const FLAGS: u32 = 7;
    /// Returns `w0` = [`State`], `w1` = paid time in TSC ticks, `w2` = vector | 1 << 8 of the exception that stopped
    /// it, 0 if none did.
    pub const INFO: u32 = 8;

    /// What a thread does (`INFO`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[repr(u8)]
    pub enum State {
        /// Stopped.
        Inactive = 0,
        /// Running or able to.
        Ready = 1,
        /// Queued at an endpoint.
        Sending = 2,
        /// Waiting for a message.
        Receiving = 3,
        /// Waiting for a reply.
        AwaitingReply = 4,
    }
}

/// Space: an address space with its pool of page tables inside.
pub mod space {
    /// Mappings may be changed.
    pub const MAP_RIGHT: u8 = 1;
    /// Every right.
    pub const ALL: u8 = 1;

    /// `w0` = Frame slot, `w1` = address, `w2` = Frame rights (READ, WRITE, EXEC) | cache << 8.
    pub const MAP: u32 = 0;
    /// `w0` = Frame slot.
    pub const UNMAP: u32 = 1;
    /// Returns `w0` = page tables free.
    pub const INFO: u32 = 2;

    /// Cache: write-back.
    pub const WRITE_BACK: u64 = 0;
    /// Cache: uncacheable, for device registers.
    pub const UNCACHED: u64 = 1;
}

/// Frame: a page. One mapping per slot; to map it twice, derive it.
pub mod frame {
    /// May be mapped readable.
    pub const READ: u8 = 1;
    /// May be mapped writable.
    pub const WRITE: u8 = 2;
    /// May be mapped executable.
    pub const EXEC: u8 = 4;
    /// Its physical address may be asked for.
    pub const ADDRESS: u8 = 8;
    /// Every right.
    pub const ALL: u8 = 15;

    /// Returns `w0` = physical address. Needs ADDRESS.
    pub const PHYSICAL: u32 = 0;
}

/// Endpoint: a CALL to it is a message; the kernel answers nothing.
pub mod endpoint {
    /// May be called.
    pub const CALL: u8 = 1;
    /// May be received from.
    pub const RECV: u8 = 2;
    /// `DERIVE` may set the badge, if it is 0.
    pub const MINT: u8 = 4;
    /// Capabilities may be passed with a call.
    pub const GRANT: u8 = 8;
    /// Every right.
    pub const ALL: u8 = 15;
}

/// Reply: a parked caller. Index 0 stands for the current caller. Not derivable, only moved.
pub mod reply {
    /// Parks the current caller here.
    pub const DEFER: u32 = 0;
    /// `w0` = lease index, `w1` = offset, `w2` = own address, `w3` = length: copies from the lease. Returns `w0` = bytes moved,
    /// also with `LeaseFault`.
    pub const LEASE_READ: u32 = 1;
    /// The same, into the lease.
    pub const LEASE_WRITE: u32 = 2;
    /// `w0` = lease index. Returns `w0` = length | rights ([`crate::tag::LeaseBits`]).
    pub const LEASE_INFO: u32 = 3;
}

/// Irq: an interrupt, with a hardware source or raised by software.
pub mod irq {
    /// May be bound to an endpoint.
    pub const BIND_RIGHT: u8 = 1;
    /// May be acknowledged by `ACK`.
    pub const ACK_RIGHT: u8 = 2;
    /// May be raised.
    pub const RAISE_RIGHT: u8 = 4;
    /// Every right.
    pub const ALL: u8 = 7;

    /// `w0` = Endpoint (RECV), `w1` = badge.
    pub const BIND: u32 = 0;
    /// Acknowledges, as replying to it does.
    pub const ACK: u32 = 1;
    /// Fires it.
    pub const RAISE: u32 = 2;
    /// Returns `w0` = MSI address, `w1` = MSI data (both 0 if it is not an MSI).
    pub const INFO: u32 = 3;
}

/// IoPorts: a range of I/O ports, used by invocation.
pub mod ioports {
    /// May be read.
    pub const IN_RIGHT: u8 = 1;
    /// May be written.
    pub const OUT_RIGHT: u8 = 2;
    /// Every right.
    pub const ALL: u8 = 3;

    /// `w0` = port (absolute), `w1` = width in bytes (1, 2, 4). Returns `w0` = value.
    pub const IN: u32 = 0;
    /// `w0` = port, `w1` = width, `w2` = value.
    pub const OUT: u32 = 1;
    /// `w0` = port, `w1` = width, `w2` = count: up to 512 bytes into the message buffer, from word 4 on.
    pub const IN_BLOCK: u32 = 2;
    /// `w0` = port, `w1` = width, `w2` = count: up to 512 bytes from the message buffer, from word 4 on.
    pub const OUT_BLOCK: u32 = 3;
    /// Most bytes of a block.
    pub const BLOCK: usize = 512;
}

/// System: the machine itself; root holds the only one. What it makes is its child in the tree.
pub mod system {
    /// `w0` = Irq slot, `w1` = global system interrupt or [`MSI`], `w2` = [`LEVEL`] | [`ACTIVE_LOW`].
    pub const IRQ_ATTACH: u32 = 0;
    /// `w0` = physical address, `w1` = size bits (12 or 21), `w2` = slot. Refuses memory and interrupt controllers.
    pub const DEVICE_FRAME: u32 = 1;
    /// `w0` = first port, `w1` = count, `w2` = slot.
    pub const IO_PORTS: u32 = 2;
    /// `w0` = position in the kernel's log (bytes since boot). Returns up to 512 bytes in the message buffer from word 4 on,
    /// `w0` = their count, `w1` = the position of the first of them (later than asked if older ones are gone).
    pub const LOG: u32 = 3;
    /// The kernel's log leaves the serial line alone from now on (a driver owns it); a kernel panic still writes it.
    pub const LOG_QUIET: u32 = 4;
    /// Returns `w0` = TSC ticks per second, `w1` = TSC at boot, `w2` = ticks spent idle, `w3` = most
    /// ticks between a kernel entry and its exit (0 unless built with `longest-section`).
    pub const INFO: u32 = 5;
    /// `w0` = length, up to [`LOG_BLOCK`]; bytes in the message buffer from word 4 on: appends them to the kernel's log (and
    /// writes them to the serial line unless `LOG_QUIET`).
    pub const LOG_WRITE: u32 = 6;
    /// `w0` = position in the trace (events since boot). Returns events ([`crate::trace::Record`]) in the message buffer from
    /// word 4 on, `w0` = their count, at most [`TRACE_BLOCK`], `w1` = the position of the first of them (later than asked
    /// if older ones are gone).
    pub const TRACE: u32 = 7;
    /// `w0` = 1: tracing is on, and all calls take the slow path; 0: off.
    pub const TRACE_SWITCH: u32 = 8;
    /// `w0` = slot of a Thread. Returns `w0` = its number in the trace.
    pub const NUMBER: u32 = 9;
    /// Most events of one `TRACE`.
    pub const TRACE_BLOCK: usize = 29;
    /// Most bytes of `LOG` and `LOG_WRITE`.
    pub const LOG_BLOCK: usize = 512;

    /// `IRQ_ATTACH` source: a message-signalled interrupt.
    pub const MSI: u64 = u64::MAX;
    /// `IRQ_ATTACH` trigger: level.
    pub const LEVEL: u64 = 1;
    /// `IRQ_ATTACH` trigger: asserted when low.
    pub const ACTIVE_LOW: u64 = 2;
}
