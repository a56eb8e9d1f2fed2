//! What the loader tells the kernel: one postcard value, and the state of the machine at the hand-over.
//!
//! # Hand-over
//! The loader enters the kernel at its ELF entry point with
//! - RDI = address of the postcard bytes (in the physical map), RSI = their length;
//! - long mode, interrupts off, direction flag clear, CR0.WP and EFER.NXE set;
//! - paging: all physical memory up to the end of the last [`MemoryKind::Usable`], `Loaded` or `Acpi` range at
//!   [`PHYSICAL_MAP`] (never executable, and writable but for the kernel's read-only segments), the kernel's segments at
//!   their linked addresses with their own rights (never writable and executable), both marked global, and the identity
//!   map of the low 4 GiB that the loader itself runs in;
//! - no usable stack: the kernel brings its own.
#![no_std]
#![forbid(unsafe_code)]

pub mod cycles;
pub mod pixels;
pub mod relay;
pub mod shim;

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// The ELF entry point of whatever the loader starts, or of a program that brings its own stack: takes its own stack, `$size` bytes at `$stack`, and calls `$start`, an
/// `extern "C" fn(info: *const u8, length: usize) -> !`, with the loader's registers (RDI = postcard bytes, RSI = their length).
/// Without `$stack`, one is made.
#[macro_export]
macro_rules! entry_point {
    ($start:path, $size:expr) => {
        #[repr(C, align(4096))]
        struct Stack(core::cell::UnsafeCell<[u8; $size]>);
        // SAFETY: only the stack pointer uses it.
        unsafe impl Sync for Stack {}
        static STACK_AREA: Stack = Stack(core::cell::UnsafeCell::new([0; $size]));
        $crate::entry_point!($start, STACK_AREA, $size);
    };
    ($start:path, $stack:path, $size:expr) => {
        core::arch::global_asm!(
            ".pushsection .text.start, \"ax\"",
            ".global _start",
            "_start:",
            "lea rsp, [rip + {stack} + {size}]",
            "xor ebp, ebp",
            "call {start}",
            ".popsection",
            stack = sym $stack,
            size = const $size,
            start = sym $start,
        );
    };
}

/// Virtual address at which physical address 0 appears in the kernel half of every space (PML4 entry 256 on).
pub const PHYSICAL_MAP: u64 = 0xffff_8000_0000_0000;

/// Lowest linked address of a kernel image (the top 2 GiB, as the `kernel` code model demands).
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// Version of [`BootInfo`]; the kernel refuses any other.
pub const VERSION: u32 = 1;

/// Everything the kernel learns about the machine. Addresses are physical unless they say otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BootInfo<'a> {
    /// [`VERSION`].
    pub version: u32,
    /// The words after the kernel's name (QEMU's `-append`, multiboot2's command line), and the loader's own ([`pixels`]).
    pub command_line: &'a str,
    /// Sorted by address, page aligned, not overlapping, neighbours of one kind merged; page 0 is never Usable. What
    /// no range names is not memory; memory above 512 GiB is left out.
    pub memory: Vec<MemoryRange, 64>,
    /// Where the kernel's image lies: one contiguous piece, linked at `kernel_virtual`.
    pub kernel: Range,
    /// Linked address of the first byte of `kernel`.
    pub kernel_virtual: u64,
    /// The first program, laid out page by page and ready to map.
    pub root: Image,
    /// The tar archive with the system's programs and its manifest.
    pub archive: Range,
    /// What ACPI says about interrupt controllers.
    pub acpi: Acpi,
}

/// A piece of physical memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
}

/// A piece of physical memory and what it is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryRange {
    /// First byte, a multiple of 4096.
    pub start: u64,
    /// Length in bytes, a multiple of 4096.
    pub size: u64,
    /// What it is good for.
    pub kind: MemoryKind,
}

/// What a range of physical memory is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemoryKind {
    /// Free: becomes Untyped.
    Usable,
    /// Holds what the loader placed: page tables, kernel, root, archive, this information.
    Loaded,
    /// ACPI tables.
    Acpi,
    /// Memory or address space that firmware keeps; never handed out as RAM.
    Reserved,
}

/// A program laid out in physical memory, each segment page aligned and contiguous.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// What to map where.
    pub segments: Vec<Segment, 8>,
}

/// One mapping of an [`Image`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Virtual address, a multiple of 4096.
    pub address: u64,
    /// Physical address, a multiple of 4096.
    pub physical: u64,
    /// Length in bytes, a multiple of 4096 (the tail is zero).
    pub size: u64,
    /// May be written (then it may not be executed).
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

/// Interrupt controllers, from the MADT (ACPI 6.5, 5.2.12).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acpi {
    /// The root pointer (RSDP), 0 if there is none. A multiboot2 loader gives a copy, in a `Loaded` range.
    pub rsdp: u64,
    /// The local APIC's registers (0xfee0_0000 if ACPI does not say).
    pub local_apic: u64,
    /// Every IO-APIC.
    pub io_apics: Vec<IoApic, 4>,
    /// ISA lines that are not wired one to one.
    pub overrides: Vec<Override, 16>,
    /// Port of PM1a_CNT (FADT), for power-off; 0 if unknown.
    pub pm1a_control: u16,
}

/// One IO-APIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoApic {
    /// Its registers.
    pub address: u64,
    /// The first global system interrupt it serves.
    pub gsi_base: u32,
}

/// An ISA interrupt that arrives at another global system interrupt, or with other polarity or trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// ISA line, 0 to 15.
    pub isa: u8,
    /// Global system interrupt.
    pub gsi: u32,
    /// Asserted when low.
    pub active_low: bool,
    /// Level triggered.
    pub level: bool,
}

/// How a run ends: the value written to QEMU's `isa-debug-exit` port. QEMU's own status is `2 * value + 1`.
///
/// Where that does not end the machine, the guest writes [`MARK`](exit::MARK), the value in decimal and a line end to the serial line,
/// waits until the last byte has left, and then writes [`BOCHS_OFF`](exit::BOCHS_OFF).
pub mod exit {
    /// I/O port of the device (`-device isa-debug-exit,iobase=0xf4,iosize=4`).
    pub const PORT: u16 = 0xf4;
    /// Everything asked for succeeded.
    pub const SUCCESS: u8 = 0x10;
    /// A command failed.
    pub const COMMAND_FAILED: u8 = 0x11;
    /// The kernel panicked.
    pub const KERNEL_PANIC: u8 = 0x20;
    /// The loader refused to start.
    pub const LOADER_REFUSED: u8 = 0x30;
    /// Root, the first program, could not build the system.
    pub const ROOT_FAILED: u8 = 0x31;

    /// How the last line on the serial line begins on a machine without that port.
    pub const MARK: &str = "\x1epostern exit ";
    /// I/O port at which Bochs takes [`BOCHS_OFF`]; nobody's elsewhere.
    pub const BOCHS_PORT: u16 = 0x8900;
    /// Written byte by byte, it ends Bochs.
    pub const BOCHS_OFF: &[u8; 8] = b"Shutdown";

    /// QEMU's exit status for a value.
    pub const fn status(value: u8) -> i32 {
        2 * value as i32 + 1
    }
}

/// Names of the files in the archive.
pub mod archive {
    /// The kernel's ELF file.
    pub const KERNEL: &str = "kernel";
    /// The first program's ELF file.
    pub const ROOT: &str = "root";
    /// The manifest, in postcard (crate `manifest`).
    pub const MANIFEST: &str = "manifest";
    /// In an archive with kernels that boot one after the other: a line for each, with the folder of its files [`KERNEL`] and [`ROOT`]
    /// (none if it starts no program), and words for it after those that firmware gives. The last line's folder is `.`: that one's
    /// files are the archive's own. All others end by [`crate::relay`].
    pub const STAGES: &str = "stages";
    /// In the hypervisor shim's archive: its instances ([`crate::shim::Instances`], in postcard). There is no first program
    /// then.
    pub const INSTANCES: &str = "instances";
}
