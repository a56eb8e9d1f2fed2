//! What the hypervisor shim and the kernels above it agree on, and what the host tool tells the shim.
//!
//! A kernel finds the shim by CPUID. From then on its interrupt controllers are:
//! - the deadline: IA32_TSC_DEADLINE, as on a processor that has it; it arrives at [`DEADLINE_VECTOR`];
//! - the lines: a 32-bit write to [`LINE_PORT`]. There is no end of interrupt.
//!
//! A port and not VMCALL, because it is the same instruction on both vendors' processors, the processor itself refuses it to
//! programs, and a kernel can lend it to one of them as an ordinary capability.

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// CPUID leaf: EAX = highest leaf of the shim, EBX, ECX, EDX = [`SIGNATURE`].
pub const LEAF: u32 = 0x4000_0000;
/// "PosternShim " in the order of the registers.
pub const SIGNATURE: [u32; 3] = [
    u32::from_le_bytes(*b"Post"),
    u32::from_le_bytes(*b"ernS"),
    u32::from_le_bytes(*b"him "),
];
/// CPUID leaf: EAX = number of this instance, EBX = how often it was restarted.
pub const INSTANCE_LEAF: u32 = 0x4000_0001;
/// CPUID leaf: EAX = kHz of the TSC.
pub const CLOCK_LEAF: u32 = 0x4000_0010;

/// Vector at which the deadline arrives.
pub const DEADLINE_VECTOR: u8 = 240;

/// Port of the interrupt lines. Bits 24-31: an IO-APIC's register number (0x10 + 2 * line); bits 0-7: vector, 0 keeps it; bit
/// 13: active low; bit 15: level triggered; bit 16: masked.
pub const LINE_PORT: u16 = 0x5e0;
/// First register number of [`LINE_PORT`].
pub const LINE_TABLE: u32 = 0x10;
/// Lines of an instance.
pub const LINES: u32 = 24;

/// Port of the control of instances, for the one that owns it. A 32-bit write of `operation << 24 | instance << 16 | argument`; the
/// answer is read from here (lower half) and from [`CONTROL_PORT`] + 4. [`NO_ANSWER`]: there is no such thing.
pub const CONTROL_PORT: u16 = 0x5e4;
/// Ports of it.
pub const CONTROL_PORTS: u16 = 8;
/// Operation: reads. The argument is an index of [`EXITS`], or one of the following.
pub const READ: u32 = 0;
/// Operation: stops an instance, but not the one that the machine ends with. Answers 0.
pub const KILL: u32 = 1;
/// Operation: starts an instance anew. Answers 0.
pub const RESTART: u32 = 2;
/// Argument: 0 = it runs, 1 = it was stopped.
pub const STOPPED: u32 = 0x100;
/// Argument: bytes of its memory.
pub const MEMORY: u32 = 0x101;
/// Argument: accesses to ports that are not its own.
pub const FOREIGN: u32 = 0x102;
/// Argument: how often it was restarted.
pub const RESTARTS: u32 = 0x103;
/// Argument: TSC ticks of the last switch to it, from the last instruction of another instance to its next.
pub const SWITCH_TICKS: u32 = 0x104;
/// See [`CONTROL_PORT`].
pub const NO_ANSWER: u64 = u64::MAX;

/// Most channels: memory that two instances share, with a bell at each end.
pub const CHANNELS: usize = 4;
/// Port of channel 0's bell; the next one's is 4 further. A 32-bit write rings at the other end. A 32-bit read says who is there:
/// [`BELL_SECOND`], [`BELL_RUNS`], and from bit 2 on how often it was started anew. [`NO_BELL`]: there is no such channel.
pub const BELL_PORT: u16 = 0x5f0;
/// The reader is the second of the two instances.
pub const BELL_SECOND: u32 = 1;
/// The other instance runs.
pub const BELL_RUNS: u32 = 2;
/// See [`BELL_PORT`]; also what the port says on a machine without a shim.
pub const NO_BELL: u32 = u32::MAX;
/// Line at which channel 0's bell rings, edge triggered; the next one's is the next. It rings, too, when the other instance stops
/// and when it starts anew.
pub const BELL_LINE: u32 = 16;
/// Guest-physical address of channel 0's memory; the next one's is [`CHANNEL_STEP`] further. (No machine has anything there: it
/// lies between the local APIC and the firmware.)
pub const CHANNEL_MEMORY: u64 = 0xfef0_0000;
/// Bytes of a channel's memory.
pub const CHANNEL_SIZE: u64 = 18 * 4096;
/// See [`CHANNEL_MEMORY`].
pub const CHANNEL_STEP: u64 = 0x2_0000;

/// Why a guest stops: names of the counters.
pub const EXITS: [&str; 18] = [
    "interrupt",
    "call",
    "cpuid",
    "halt",
    "port",
    "read-msr",
    "write-msr",
    "cr4",
    "xsetbv",
    "memory",
    "exception",
    "nmi",
    "window",
    "undefined",
    "stop",
    "refused",
    "cache",
    "slice",
];

/// Most instances.
pub const INSTANCES: usize = 4;

/// Begins a switch of the serial line's source or target. An instance's number as a digit, or [`SHIM`], follows; or the same
/// byte again, which then stands for itself.
pub const SWITCH: u8 = 0x10;
/// Source of the shim's own lines.
pub const SHIM: u8 = b's';

/// All instances, as the file [`crate::archive::INSTANCES`] has them in postcard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instances<'a> {
    /// The machine ends when this one does. It gets the serial line's input first.
    pub primary: u8,
    /// In order of their numbers.
    #[serde(borrow)]
    pub instances: Vec<Instance<'a>, INSTANCES>,
    /// The two instances at each channel's ends.
    pub channels: Vec<[u8; 2], CHANNELS>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance<'a> {
    /// The file in the shim's archive that is its archive.
    pub archive: &'a str,
    /// Bytes of its memory, a multiple of 2 MiB.
    pub memory: u64,
    /// Its share of the processor, 1 to 100, in proportion to the others'.
    pub share: u8,
    /// Hardware that is its own.
    pub devices: Vec<Device, 32>,
}

/// A piece of hardware. One owner each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// The index-th PCI function with these ids on bus 0.
    Pci {
        /// Vendor id.
        vendor: u16,
        /// Any of these device ids.
        device: Vec<u16, 4>,
        /// Which of the matching functions.
        index: u8,
    },
    /// I/O ports.
    Ports {
        /// First port.
        base: u16,
        /// How many.
        count: u16,
    },
    /// An ISA interrupt line.
    Irq {
        /// 0 to 15.
        isa: u8,
    },
    /// Memory of a device that no bus lists.
    Memory {
        /// Physical address, a multiple of 4096.
        base: u64,
        /// Bytes, a multiple of 4096.
        size: u64,
    },
}
