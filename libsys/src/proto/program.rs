//! What root tells a program it starts: one postcard page at [`INFO`], read-only.

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// Where the page is mapped.
pub const INFO: u64 = 0x1000_0000_0000;
/// Area of the first thread: message buffer, guard page, stack. Aligned to [`abi::buffer::AREA`].
pub const THREAD_AREA: u64 = 0x7000_0000_0000;
/// Pages of the first thread's stack, at the end of its area.
pub const STACK_PAGES: u64 = 16;
/// Address space that the heap may grow in.
pub const HEAP: u64 = 0x2000_0000_0000;
/// Address space for device registers and DMA memory, handed out by root upwards.
pub const DEVICES: u64 = 0x3000_0000_0000;
/// Address space for shared buffers: [`SHARED_SIZE`] for each program of the manifest, the same in both programs.
pub const SHARED: u64 = 0x4000_0000_0000;
/// Most bytes of a shared buffer.
pub const SHARED_SIZE: u64 = 16 << 20;

/// Slot of the program's own CapTable (WRITE, INSPECT).
pub const TABLE: u32 = 1;
/// Slot of the endpoint it receives from (all rights, badge 0).
pub const ENDPOINT: u32 = 2;
/// Slot of the program's `root.memory` endpoint (also listed in [`ProgramInfo::endpoints`]). It has a fixed place because
/// the heap needs it before the list can be decoded.
pub const MEMORY: u32 = 3;
/// Highest number of a facet: the lower half of the badge on an endpoint that root gave. 0 is the plain way in; the manifest
/// lists the server's further ones, numbered from 1 on. A session's number is above.
pub const LAST_FACET: u32 = 255;
/// Badge of the interrupt that root raises at a server when one of its clients is no more. (A program's ids are far below.)
pub const GONE: u64 = u64::MAX;
/// Slots from here on are as [`ProgramInfo`] lists them; those from [`ProgramInfo::free_slots`] on are empty.
pub const FIRST: u32 = 4;

/// The page's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramInfo {
    /// Unique since boot; the upper half of the badge on every capability the program got from root.
    pub id: u32,
    /// Its name in the manifest.
    pub name: String,
    /// Its ELF file.
    pub file: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment: names and values.
    pub env: Vec<(String, String)>,
    /// TSC ticks per second.
    pub tsc_hz: u64,
    /// Endpoints it may call, by the name under `needs` in the manifest (`root.memory`, `root.control`, `console` …).
    pub endpoints: Vec<(String, u32)>,
    /// Its Reply objects.
    pub replies: Vec<u32>,
    /// How many programs may call it: each has an equal share of the Reply objects, at least one.
    pub clients: u32,
    /// How many names each of them may have open.
    pub sessions: u16,
    /// What it can make kernel objects with, if the manifest gives it an Untyped.
    pub own: Option<Own>,
    /// Its hardware, in the order of the manifest.
    pub devices: Vec<Device>,
    /// The programs that it may start.
    pub binaries: Vec<String>,
    /// First slot that is free for the program's own use, and the number of slots of its table.
    pub free_slots: (u32, u32),
}

/// Slots of a program that makes kernel objects itself. Its table is at [`TABLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// An Untyped (all rights).
    pub untyped: u32,
    /// Its Space (MAP).
    pub space: u32,
    /// Its first Thread (all rights).
    pub thread: u32,
    /// The endpoint that its faults go to: root's. For further threads.
    pub fault: u32,
    /// Priority of its first thread.
    pub priority: u8,
}

/// A piece of hardware a program holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// A PCI function, or `None` if the machine has none like it.
    Pci(Option<PciDevice>),
    /// I/O ports: slot, first port, count.
    Ports {
        /// Slot of the IoPorts capability.
        slot: u32,
        /// First port.
        base: u16,
        /// How many.
        count: u16,
    },
    /// An ISA interrupt: slot of the Irq (attached, not bound).
    Irq {
        /// Slot of the Irq capability.
        slot: u32,
    },
    /// Memory of a device that no bus lists, or `None` if the machine has none like it.
    Memory(Option<MemoryDevice>),
    /// An end of a channel to another instance, or `None` if there is no such channel.
    Channel(Option<ChannelDevice>),
}

/// An end of a channel (`bootinfo::shim`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelDevice {
    /// Slot of the IoPorts capability to its bell.
    pub ports: u32,
    /// The bell's port.
    pub bell: u16,
    /// Slot of the Irq that the other end rings (attached, not bound).
    pub irq: u32,
    /// What both ends share, mapped for reading and writing.
    pub memory: MemoryDevice,
}

/// Device memory, mapped for reading and writing: uncached, but for a channel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryDevice {
    /// Where root mapped it.
    pub address: u64,
    /// Bytes, a multiple of 4096.
    pub size: u64,
}

/// A PCI function, its memory mapped and its interrupt attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciDevice {
    /// Configuration space as root left it (memory decoding and bus mastering on, MSI-X enabled with entry 0 set).
    pub config: Vec<u32>,
    /// Per BAR: size in bytes (0: absent, I/O, or upper half) and the address where root mapped it (0: not given).
    pub bars: [(u64, u64); 6],
    /// Slot of the Irq that MSI-X entry 0 fires (attached, not bound); `None` if the function has no MSI-X.
    pub irq: Option<u32>,
}
