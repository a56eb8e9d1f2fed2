//! Why a guest stopped running, in words that belong to no vendor.

/// An access to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// First port.
    pub port: u16,
    /// Bytes: 1, 2 or 4.
    pub width: u8,
    /// Reads.
    pub input: bool,
    /// INS or OUTS: memory at RDI or RSI.
    pub string: bool,
    /// RCX times.
    pub repeat: bool,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// An interrupt of the machine, which was acknowledged to the processor.
    Interrupt(u8),
    /// VMCALL or VMMCALL.
    Call,
    /// CPUID.
    Identify,
    /// HLT or MWAIT.
    Halt,
    /// A port that is not the instance's own.
    Port(Access),
    /// RDMSR of a register that is not the instance's own.
    ReadRegister,
    /// The same, WRMSR.
    WriteRegister,
    /// A write of CR0 that changes protection or paging.
    WriteCr0,
    /// A write of CR4.
    WriteCr4,
    /// XSETBV.
    SetComponents,
    /// A nested page fault.
    Memory {
        /// Guest-physical address.
        address: u64,
        /// It was a write.
        write: bool,
    },
    /// #DB or #AC, which can repeat without end inside the processor.
    Exception {
        /// 1 or 17.
        vector: u8,
        /// The error code of #AC.
        error: Option<u32>,
    },
    /// A triple fault.
    Shutdown,
    /// A non-maskable interrupt of the machine.
    NonMaskable,
    /// The guest can take the interrupt that waits.
    Window,
    /// An instruction that does not exist for a guest, VMRUN or VMXON: #UD.
    Undefined,
    /// One that no guest may use, by name.
    Forbidden(&'static str),
    /// The processor refuses the guest's state; its code for it.
    Refused(u64),
    /// INVD, which would lose what others wrote, or WBINVD.
    Cache,
}

impl Exit {
    /// Which of the counters (`bootinfo::shim::EXITS`).
    #[inline]
    pub fn kind(self) -> usize {
        match self {
            Exit::Interrupt(_) => 0,
            Exit::Call => 1,
            Exit::Identify => 2,
            Exit::Halt => 3,
            Exit::Port(_) => 4,
            Exit::ReadRegister => 5,
            Exit::WriteRegister => 6,
            Exit::WriteCr0 => 7,
            Exit::WriteCr4 => 8,
            Exit::SetComponents => 9,
            Exit::Memory { .. } => 10,
            Exit::Exception { .. } => 11,
            Exit::Shutdown => 12,
            Exit::NonMaskable => 13,
            Exit::Window => 14,
            Exit::Undefined => 15,
            Exit::Forbidden(_) => 16,
            Exit::Refused(_) => 17,
            Exit::Cache => 18,
        }
    }
}
