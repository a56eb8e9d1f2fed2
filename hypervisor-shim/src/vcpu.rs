//! What the rest of the shim sees of a vendor's virtualization.

use loader::memory::PAGE;
use loader::{Entry, Error};

use crate::exits::Exit;
use crate::nested::Format;
use crate::pool::Pool;

/// General registers in the order of their encoding: RAX, RCX, RDX, RBX, RSP (read only), RBP, RSI, RDI, R8 to R15.
pub type Registers = [u64; 16];
/// Index in [`Registers`].
pub const RAX: usize = 0;
/// See [`RAX`].
pub const RCX: usize = 1;
/// See [`RAX`].
pub const RDX: usize = 2;
/// See [`RAX`].
pub const RBX: usize = 3;
/// See [`RAX`].
pub const RSP: usize = 4;
/// See [`RAX`].
pub const RSI: usize = 6;
/// See [`RAX`].
pub const RDI: usize = 7;

/// Those at a kernel's first instruction.
pub fn at_start(entry: &Entry) -> Registers {
    let mut registers = [0; 16];
    (registers[RDI], registers[RSI]) = (entry.boot_info, entry.boot_info_size);
    registers
}

/// RFLAGS: interrupts are on.
pub const INTERRUPTS_ON: u64 = 1 << 9;

/// Bytes of a bitmap of ports (AMD APM 2, 15.10.1; VT-x uses the first two pages).
pub const PORTS: u64 = 3 * PAGE;

/// What else there is to know of a stopped guest.
#[derive(Debug, Clone, Copy, Default)]
pub struct State {
    /// The instruction that it stopped at.
    pub rip: u64,
    /// RFLAGS.
    pub flags: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER, as the guest may see it.
    pub efer: u64,
}

/// What a guest's processor is made for.
pub struct Guest {
    /// The instance's.
    pub number: usize,
    /// Address of the nested page tables.
    pub nested: u64,
    /// Address of the bitmap of the ports that stop it ([`PORTS`] bytes).
    pub ports: u64,
}

/// A guest's processor.
pub trait Vcpu: Sized {
    /// What all guests share.
    type Host;
    /// Bits of nested page tables.
    const FORMAT: Format;

    /// Turns virtualization on. Once; the TSC runs at `hz`.
    fn host(pool: &mut Pool, hz: u64) -> Result<Self::Host, Error>;
    /// Takes an interrupt of the machine, if one waits; with `idle`, waits for one first. `None`: it is gone.
    fn take_interrupt(idle: bool) -> Option<u8>;
    /// A guest's processor.
    fn new(host: &Self::Host, guest: &Guest, pool: &mut Pool) -> Result<Self, Error>;
    /// Puts it into the state in which a loader enters a kernel.
    fn reset(&mut self, entry: &Entry);
    /// Runs the guest until it must stop.
    fn run(&mut self) -> Exit;
    /// Its general registers, while it is stopped.
    fn registers(&mut self) -> &mut Registers;
    /// The rest.
    fn state(&self) -> State;
    /// Goes on after the instruction that stopped it (CPUID, VMCALL, HLT, RDMSR, WRMSR, XSETBV, a port).
    fn skip(&mut self);
    /// Goes on after an instruction of `length` bytes.
    fn skip_by(&mut self, length: u64);
    /// Interrupts it with `vector` as soon as it takes interrupts.
    fn offer(&mut self, vector: u8);
    /// Whether it has taken what was offered.
    fn taken(&mut self) -> bool;
    /// An exception, before the next instruction.
    fn throw(&mut self, vector: u8, error: Option<u32>);
    /// A checked CR4.
    fn set_cr4(&mut self, value: u64);
    /// A checked EFER.
    fn set_efer(&mut self, value: u64);
    /// Another instance is about to run: keeps what the processor does not keep itself.
    fn leave(&mut self) {}
    /// The opposite.
    fn enter(&mut self) {}
}
