//! The virtual machine control block (AMD APM 2, appendix B).

/// A segment register.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Access rights, packed to 12 bits.
    pub rights: u16,
    /// Limit.
    pub limit: u32,
    /// Base.
    pub base: u64,
}

/// All of it. Only fields that are used have names.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct Vmcb {
    /// Reads of CR0 to CR15, then writes.
    pub control_reads: u16,
    /// See [`Vmcb::control_reads`].
    pub control_writes: u16,
    debug: u32,
    /// Exceptions.
    pub exceptions: u32,
    /// Instructions and events.
    pub intercepts: u32,
    /// More instructions.
    pub more_intercepts: u32,
    _0: [u8; 0x40 - 0x14],
    /// Physical address of the bitmap of ports.
    pub ports: u64,
    /// Physical address of the bitmap of model-specific registers.
    pub registers: u64,
    tsc_offset: u64,
    /// Tag in the TLB, not 0.
    pub asid: u32,
    /// What VMRUN flushes.
    pub flush: u32,
    /// The virtual interrupt: V_IRQ and the like.
    pub interrupt: u32,
    /// Its vector.
    pub interrupt_vector: u32,
    /// Bit 0: the guest is in an interrupt's shadow.
    pub shadow: u64,
    /// Why it stopped.
    pub exit: u64,
    /// Details.
    pub info1: u64,
    /// More details.
    pub info2: u64,
    /// What was being delivered.
    pub exit_event: u64,
    /// Nested paging.
    pub nested: u64,
    _1: [u8; 0xa8 - 0x98],
    /// What to deliver.
    pub event: u64,
    /// Physical address of the nested page tables.
    pub nested_root: u64,
    _2: [u8; 0x400 - 0xb8],
    /// ES, CS, SS, DS, FS, GS.
    pub segments: [Segment; 6],
    /// GDTR, LDTR, IDTR, TR.
    pub tables: [Segment; 4],
    _3: [u8; 0x4cb - 0x4a0],
    cpl: u8,
    _4: u32,
    /// EFER.
    pub efer: u64,
    _5: [u8; 0x548 - 0x4d8],
    /// CR4.
    pub cr4: u64,
    /// CR3.
    pub cr3: u64,
    /// CR0.
    pub cr0: u64,
    /// DR7.
    pub dr7: u64,
    /// DR6.
    pub dr6: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// RIP.
    pub rip: u64,
    _6: [u8; 0x5d8 - 0x580],
    /// RSP.
    pub rsp: u64,
    _7: [u8; 0x5f8 - 0x5e0],
    /// RAX.
    pub rax: u64,
    _8: [u8; 0x668 - 0x600],
    /// PAT.
    pub pat: u64,
    _9: [u8; 0x1000 - 0x670],
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Vmcb>() == 4096);
    assert!(offset_of!(Vmcb, nested_root) == 0xb0 && offset_of!(Vmcb, segments) == 0x400);
    assert!(offset_of!(Vmcb, rip) == 0x578 && offset_of!(Vmcb, pat) == 0x668);
};
