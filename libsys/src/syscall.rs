//! Every system call, and nothing else: the registers of `abi`, given names.

use abi::tag::{Flags, LeaseBits, Op, Tag, Transfer};
use abi::{Error, buffer};
use core::arch::asm;

/// Index of a slot in the program's own CapTable. 0 stands for the current caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// The current caller, where a Reply object is expected.
pub const CALLER: Slot = Slot(0);

/// Four message words.
pub type Words = [u64; 4];

/// What goes into the kernel, by register.
#[derive(Clone, Copy)]
pub struct Input {
    /// RAX.
    pub tag: Tag,
    /// RDI: the capability called or received from.
    pub target: Slot,
    /// RSI: the Reply object of VIA.
    pub via: Slot,
    /// RDX: base of lease 0, or source of the payload.
    pub base: u64,
    /// R8: length (and rights) of lease 0, or length of the payload.
    pub length: u64,
    /// R9: capability transfer.
    pub transfer: Transfer,
    /// R10: deadline, absolute TSC.
    pub deadline: u64,
    /// R12-R15.
    pub words: Words,
}

impl Input {
    /// A call or receive with nothing but words.
    pub const fn new(tag: Tag, target: Slot, words: Words) -> Self {
        Self {
            tag,
            target,
            via: Slot(0),
            base: 0,
            length: 0,
            transfer: Transfer { pass: 0, move_it: false, receive: 0 },
            deadline: 0,
            words,
        }
    }
}

/// What comes out of the kernel, by register.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// RAX.
    pub tag: Tag,
    /// RDI: the badge of the capability the caller used (0 on a reply).
    pub badge: u64,
    /// R8: what the caller lends as lease 0.
    pub lease: LeaseBits,
    /// R12-R15.
    pub words: Words,
}

impl Output {
    /// The message, or why there is none.
    #[inline(always)]
    pub fn check(self) -> Result<Self, Error> {
        match self.tag.status() {
            0 => Ok(self),
            code => Err(Error::from_code(code).unwrap_or(Error::InvalidTag)),
        }
    }
}

/// Enters the kernel.
#[inline(always)]
pub fn enter(input: Input) -> Output {
    let [mut w0, mut w1, mut w2, mut w3] = input.words;
    let (mut tag, mut badge, mut lease) = (input.tag.0, input.target.0 as u64, input.length);
    // SAFETY: the kernel preserves RSP, RBX, RBP and writes no memory but the message buffer and what the leases
    // lend; the callers in this module keep the borrows of what they lend alive across the call.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") tag,
            inlateout("rdi") badge,
            inlateout("rsi") input.via.0 as u64 => _,
            inlateout("rdx") input.base => _,
            inlateout("r8") lease,
            inlateout("r9") input.transfer.to_bits() => _,
            inlateout("r10") input.deadline => _,
            inlateout("r12") w0,
            inlateout("r13") w1,
            inlateout("r14") w2,
            inlateout("r15") w3,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    Output { tag: Tag(tag), badge, lease: LeaseBits::from_bits_retain(lease), words: [w0, w1, w2, w3] }
}
