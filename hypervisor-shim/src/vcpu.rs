//! What the rest of the shim sees of a vendor's virtualization.

use bootinfo::Range;
use loader::{Entry, Error, Map, Physical};

use crate::exits::Exit;
use crate::nested::Format;

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

/// RFLAGS: interrupts are on.
pub const INTERRUPTS_ON: u64 = 1 << 9;

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

/// A guest's processor.
pub trait Vcpu: Sized {
    /// What all guests share.
    type Host;
    /// Bits of nested page tables.
    const FORMAT: Format;

    /// Turns virtualization on. Once; memory is taken from `map`, and the TSC runs at `hz`.
    fn host(map: &mut Map, memory: &mut impl Physical, hz: u64) -> Result<Self::Host, Error>;
    /// Waits for an interrupt of the machine while no guest runs, and takes it. `None`: it is gone.
    fn wait() -> Option<u8>;
    /// Takes an interrupt of the machine, if one waits.
    fn poll() -> Option<u8>;
    /// Guest `number`, whose nested page tables are at `nested`. Returns it, and its bitmap of ports, all of which stop it.
    fn new(
        host: &Self::Host,
        number: usize,
        nested: u64,
        map: &mut Map,
        memory: &mut impl Physical,
    ) -> Result<(Self, Range), Error>;
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
    /// A checked XCR0.
    fn set_components(&mut self, value: u64);
    /// Another instance is about to run: keeps what the processor does not keep itself.
    fn leave(&mut self);
    /// The opposite.
    fn enter(&mut self);
}
