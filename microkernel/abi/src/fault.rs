//! Fault messages: what a thread's fault endpoint receives when it traps.
//!
//! Word 0 = vector | error code << 32, word 1 = address (CR2, page faults), word 2 = RIP, word 3 = RSP; then
//! [`EXTRA`] words in the message buffer, in the order in which the kernel saves them: R15..R8, RDI, RSI, RBP, RBX, RDX,
//! RCX, RAX, RFLAGS.
//! The reply's label is [`RESUME`] or [`STOP`]; with [`EXTRA`] extra words it sets all registers.

/// Words in the message buffer.
pub const EXTRA: usize = 16;
/// Reply label: go on (at RIP: a faulting instruction is tried again).
pub const RESUME: u32 = 0;
/// Reply label: the thread becomes Inactive.
pub const STOP: u32 = 1;

/// Vector of a page fault (SDM 3A 6.15).
pub const PAGE_FAULT: u64 = 14;

/// All registers, in the order of words 2 to 19. `READ_REGISTERS` and `WRITE_REGISTERS` use words 4 to 21
/// of the message buffer in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the field names are the architecture's")]
pub struct Registers {
    pub rip: u64,
    pub rsp: u64,
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rax: u64,
    pub rflags: u64,
}

impl Registers {
    /// Number of words.
    pub const WORDS: usize = 18;

    /// As words, in order.
    pub const fn to_words(&self) -> [u64; Self::WORDS] {
        let r = self;
        [
            r.rip, r.rsp, r.r15, r.r14, r.r13, r.r12, r.r11, r.r10, r.r9, r.r8, r.rdi, r.rsi,
            r.rbp, r.rbx, r.rdx, r.rcx, r.rax, r.rflags,
        ]
    }

    /// From words, in order.
    pub const fn from_words(w: [u64; Self::WORDS]) -> Self {
        let [
            rip,
            rsp,
            r15,
            r14,
            r13,
            r12,
            r11,
            r10,
            r9,
            r8,
            rdi,
            rsi,
            rbp,
            rbx,
            rdx,
            rcx,
            rax,
            rflags,
        ] = w;
        Self {
            rip,
            rsp,
            r15,
            r14,
            r13,
            r12,
            r11,
            r10,
            r9,
            r8,
            rdi,
            rsi,
            rbp,
            rbx,
            rdx,
            rcx,
            rax,
            rflags,
        }
    }
}
