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

/// [`Exit::Stop`]: a write of CR0 that changes protection or paging.
pub const PROTECTION_OFF: &str = "it turned protection or paging off";
/// [`Exit::Stop`]: an exception while a double fault was delivered.
pub const TRIPLE_FAULT: &str = "a triple fault";

/// Why; in the order of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumDiscriminants)]
#[strum_discriminants(name(Kind), vis())]
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
    /// A write of CR4.
    WriteCr4,
    /// XSETBV.
    SetComponents,
    /// A nested page fault: memory of the instance that it touches for the first time, or not its memory.
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
    /// A non-maskable interrupt of the machine.
    NonMaskable,
    /// The guest can take the interrupt that waits.
    Window,
    /// An instruction that does not exist for a guest, VMRUN or VMXON: #UD.
    Undefined,
    /// What no guest may do, in words.
    Stop(&'static str),
    /// The processor refuses the guest's state; its code for it.
    Refused(u64),
    /// INVD, which would lose what others wrote, or WBINVD.
    Cache,
    /// It ran for as long as it may without stopping (VT-x's preemption timer).
    Slice,
}

impl Exit {
    /// Which of the counters (`bootinfo::shim::EXITS`).
    #[inline]
    pub fn kind(self) -> usize {
        Kind::from(self) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootinfo::shim::EXITS;

    #[test]
    fn every_kind_has_its_counter() {
        let access = Access { port: 0, width: 1, input: true, string: false, repeat: false };
        for (exit, name) in [
            (Exit::Interrupt(0), "interrupt"),
            (Exit::Port(access), "port"),
            (Exit::WriteRegister, "write-msr"),
            (Exit::Window, "window"),
            (Exit::Stop(TRIPLE_FAULT), "stop"),
            (Exit::Slice, "slice"),
        ] {
            assert_eq!(EXITS[exit.kind()], name);
        }
        assert_eq!(Exit::Slice.kind(), EXITS.len() - 1);
    }
}
