//! Every way into the kernel, and nothing else: the registers of `abi`, given names.
//!
//! [`call`] and [`reply_recv`] are the hot ones: they set the registers the kernel looks at and no other. All stubs
//! pass all four words; what the kernel does with them is in [`abi::tag`]. Kernel objects are in [`crate::object`].

mod message;

use crate::lease::Lease;
use abi::tag::{Flags, LeaseBits, Op, Tag, Transfer};
use abi::{Error, buffer};
use core::arch::asm;
pub use message::{block, set_block, set_word, word};

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
            transfer: Transfer {
                pass: 0,
                move_it: false,
                receive: 0,
            },
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

    /// Of a failed call: whether a server had taken it, so that it may have acted.
    pub const fn delivered(self) -> bool {
        self.tag.flags().contains(Flags::DELIVERED)
    }
}

/// SYSCALL with the operands every operation shares; the caller adds RSI, RDX, R8 (into `$lease`), R9 and R10, as
/// inputs or as clobbers.
macro_rules! trap {
    ($tag:expr, $target:expr, $words:expr, $lease:ident, $($operand:tt)*) => {{
        let [mut w0, mut w1, mut w2, mut w3] = $words;
        let (mut tag, mut badge) = ($tag.0, $target.0 as u64);
        // SAFETY: the kernel preserves RSP, RBX, RBP and writes no memory but the message buffer, which no Rust
        // reference points to, and what a lease lends; the stubs hold the borrow of what they lend across the call.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") tag,
                inlateout("rdi") badge,
                inlateout("r12") w0,
                inlateout("r13") w1,
                inlateout("r14") w2,
                inlateout("r15") w3,
                lateout("rcx") _,
                lateout("r11") _,
                $($operand)*
                options(nostack),
            );
        }
        Output { tag: Tag(tag), badge, lease: LeaseBits::from_bits_retain($lease), words: [w0, w1, w2, w3] }
    }};
}

/// Enters the kernel with every register. The other stubs are this one with less to set.
#[inline(always)]
pub fn enter(input: Input) -> Output {
    let mut lease = input.length;
    trap!(input.tag, input.target, input.words, lease,
        inlateout("rsi") input.via.0 as u64 => _,
        inlateout("rdx") input.base => _,
        inlateout("r8") lease,
        inlateout("r9") input.transfer.to_bits() => _,
        inlateout("r10") input.deadline => _,
    )
}

/// Calls `target` and waits for its answer.
#[inline(always)]
pub fn call(target: Slot, label: u32, words: Words) -> Output {
    let mut lease = 0u64;
    trap!(Tag::new(Op::Call, label, 0, Flags::empty()), target, words, lease,
        lateout("rsi") _, inlateout("rdx") 0u64 => _, inlateout("r8") lease, lateout("r9") _, lateout("r10") _,
    )
}

/// Calls `target`, lending memory for as long as the call lasts.
#[inline(always)]
pub fn call_lending(target: Slot, label: u32, words: Words, lent: Lease<'_>) -> Output {
    let mut lease = lent.bits().bits();
    trap!(Tag::new(Op::Call, label, 0, Flags::empty()), target, words, lease,
        lateout("rsi") _, inlateout("rdx") lent.base() => _, inlateout("r8") lease, lateout("r9") _, lateout("r10") _,
    )
}

/// Calls `target`, giving up at `deadline` (absolute TSC) with `TimedOut`.
pub fn call_until(
    target: Slot,
    label: u32,
    words: Words,
    lent: Lease<'_>,
    deadline: u64,
) -> Output {
    enter(Input {
        base: lent.base(),
        length: lent.bits().bits(),
        deadline,
        ..Input::new(Tag::new(Op::Call, label, 0, Flags::TIMED), target, words)
    })
}

/// Calls `target`, passing a capability and/or receiving one with the answer.
pub fn call_transferring(
    target: Slot,
    label: u32,
    words: Words,
    lent: Lease<'_>,
    transfer: Transfer,
) -> Output {
    enter(Input {
        base: lent.base(),
        length: lent.bits().bits(),
        transfer,
        ..Input::new(Tag::new(Op::Call, label, 0, Flags::CAP), target, words)
    })
}

/// Calls `target` with up to four leases (of which more than four are ignored).
pub fn call_lending_many(target: Slot, label: u32, words: Words, lent: &[Lease<'_>]) -> Output {
    let first = lent.first().copied().unwrap_or(Lease::NONE);
    for i in 1..4 {
        let lease = lent.get(i).copied().unwrap_or(Lease::NONE);
        set_word(buffer::lease(i) / 8, lease.base());
        set_word(buffer::lease(i) / 8 + 1, lease.bits().bits());
    }
    enter(Input {
        base: first.base(),
        length: first.bits().bits(),
        ..Input::new(Tag::new(Op::Call, label, 0, Flags::LEASES), target, words)
    })
}

/// Calls `target` with extra words, which the caller has put into the message buffer by [`set_word`] from word 4 on.
pub fn call_extra(target: Slot, label: u32, words: Words, extra: usize) -> Output {
    enter(Input::new(
        Tag::new(Op::Call, label, extra, Flags::empty()),
        target,
        words,
    ))
}

/// Waits for a message at `endpoint`. A received interrupt that is still owed is acknowledged.
#[inline(always)]
pub fn recv(endpoint: Slot) -> Output {
    let lease: u64;
    trap!(Tag::new(Op::Recv, 0, 0, Flags::empty()), endpoint, [0; 4], lease,
        lateout("rsi") _, lateout("rdx") _, lateout("r8") lease, lateout("r9") _, lateout("r10") _,
    )
}

/// Waits until `deadline` (absolute TSC; past = poll), then `TimedOut`.
pub fn recv_until(endpoint: Slot, deadline: u64) -> Output {
    let tag = Tag::new(Op::Recv, 0, 0, Flags::TIMED);
    enter(Input {
        deadline,
        ..Input::new(tag, endpoint, [0; 4])
    })
}

/// Waits for a message that may bring a capability into the empty slot `receive`.
pub fn recv_transferring(endpoint: Slot, receive: Slot) -> Output {
    let transfer = Transfer {
        receive: receive.0,
        ..Transfer::default()
    };
    let tag = Tag::new(Op::Recv, 0, 0, Flags::CAP);
    enter(Input {
        transfer,
        ..Input::new(tag, endpoint, [0; 4])
    })
}

/// Parks the current caller in the Reply object `via`, then waits for a message, until `deadline` (absolute TSC) if there
/// is one.
#[inline(always)]
pub fn recv_parking(endpoint: Slot, via: Slot, deadline: Option<u64>) -> Output {
    let tag = Tag::new(Op::Recv, 0, 0, Flags::VIA | timed(deadline));
    let lease: u64;
    trap!(tag, endpoint, [0; 4], lease,
        inlateout("rsi") via.0 as u64 => _, lateout("rdx") _, lateout("r8") lease, lateout("r9") _,
        inlateout("r10") deadline.unwrap_or(0) => _,
    )
}

/// The flag of an operation with a deadline.
fn timed(deadline: Option<u64>) -> Flags {
    if deadline.is_some() {
        Flags::TIMED
    } else {
        Flags::empty()
    }
}

/// An answer, as [`reply`] and [`reply_recv_with`] take it.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// Status, by agreement of the partners.
    pub label: u32,
    /// The words.
    pub words: Words,
    /// Bytes for lease 0, offset 0; empty = none.
    pub payload: &'a [u8],
    /// Capability to pass.
    pub transfer: Transfer,
    /// Words beyond the first four, put into the message buffer by [`set_word`] from word 4 on.
    pub extra: usize,
}

impl Answer<'_> {
    /// An answer of words.
    pub const fn new(label: u32, words: Words) -> Self {
        Self {
            label,
            words,
            payload: &[],
            transfer: Transfer {
                pass: 0,
                move_it: false,
                receive: 0,
            },
            extra: 0,
        }
    }

    #[inline(always)]
    fn input(&self, op: Op, more: Flags) -> Input {
        let mut flags = more;
        flags.set(Flags::PAYLOAD, !self.payload.is_empty());
        flags.set(Flags::CAP, self.transfer != Transfer::default());
        Input {
            base: self.payload.as_ptr() as u64,
            length: self.payload.len() as u64,
            transfer: self.transfer,
            ..Input::new(
                Tag::new(op, self.label, self.extra, flags),
                CALLER,
                self.words,
            )
        }
    }
}

/// Answers the current caller.
pub fn reply(answer: Answer<'_>) -> Output {
    enter(answer.input(Op::Reply, Flags::empty()))
}

/// Answers the caller parked in the Reply object `via`.
pub fn reply_via(via: Slot, answer: Answer<'_>) -> Output {
    enter(Input {
        via,
        ..answer.input(Op::Reply, Flags::VIA)
    })
}

/// Answers the current caller with words and waits for the next message.
#[inline(always)]
pub fn reply_recv(endpoint: Slot, label: u32, words: Words) -> Output {
    let lease: u64;
    trap!(Tag::new(Op::ReplyRecv, label, 0, Flags::empty()), endpoint, words, lease,
        lateout("rsi") _, lateout("rdx") _, lateout("r8") lease, lateout("r9") _, lateout("r10") _,
    )
}

/// Answers the current caller with one word and with bytes in the message from word 4 on, and waits for the next message.
///
/// # Panics
/// More bytes than a message has ([`Tag::MAX_EXTRA`] words).
#[inline(always)]
pub fn reply_recv_bytes(endpoint: Slot, word: u64, bytes: &[u8]) -> Output {
    let extra = bytes.len().div_ceil(8);
    assert!(extra <= Tag::MAX_EXTRA);
    set_block(bytes);
    let lease: u64;
    trap!(Tag::new(Op::ReplyRecv, 0, extra, Flags::empty()), endpoint, [word, 0, 0, 0], lease,
        lateout("rsi") _, lateout("rdx") _, lateout("r8") lease, lateout("r9") _, lateout("r10") _,
    )
}

/// Answers the current caller and waits for the next message, until `deadline` (absolute TSC) if there is one.
pub fn reply_recv_with(endpoint: Slot, answer: Answer<'_>, deadline: Option<u64>) -> Output {
    enter(Input {
        target: endpoint,
        deadline: deadline.unwrap_or(0),
        ..answer.input(Op::ReplyRecv, timed(deadline))
    })
}

/// Answers the caller parked in the Reply object `via` with words, and waits for the next message.
#[inline(always)]
pub fn reply_recv_via(endpoint: Slot, via: Slot, label: u32, words: Words) -> Output {
    let lease: u64;
    trap!(Tag::new(Op::ReplyRecv, label, 0, Flags::VIA), endpoint, words, lease,
        inlateout("rsi") via.0 as u64 => _, lateout("rdx") _, lateout("r8") lease, lateout("r9") _, lateout("r10") _,
    )
}

/// The same with bytes for its lease 0, and their number in word 0.
#[inline(always)]
pub fn reply_recv_via_with(endpoint: Slot, via: Slot, payload: &[u8]) -> Output {
    let mut lease = payload.len() as u64;
    let tag = Tag::new(Op::ReplyRecv, 0, 0, Flags::VIA.union(Flags::PAYLOAD));
    trap!(tag, endpoint, [lease, 0, 0, 0], lease,
        inlateout("rsi") via.0 as u64 => _,
        inlateout("rdx") payload.as_ptr().expose_provenance() as u64 => _,
        inlateout("r8") lease,
        lateout("r9") _, lateout("r10") _,
    )
}

/// Lets others of the same priority run.
pub fn yield_now() {
    enter(Input::new(
        Tag::new(Op::Yield, 0, 0, Flags::empty()),
        Slot(0),
        [0; 4],
    ));
}

/// Enters the kernel and does nothing: the price of a trap.
#[inline(always)]
pub fn nop() {
    let _lease: u64;
    trap!(Tag::new(Op::Nop, 0, 0, Flags::empty()), Slot(0), [0; 4], _lease,
        lateout("rsi") _, lateout("rdx") _, lateout("r8") _lease, lateout("r9") _, lateout("r10") _,
    );
}

/// Executes an invalid instruction: the thread's fault handler gets a message, and says how the thread goes on. To
/// return here it resumes it behind the two bytes of the instruction, with all other registers as they were.
#[inline(always)]
pub fn fault() {
    // SAFETY: the instruction itself does nothing. Who handles this program's faults could change any register of it at
    // any time, so trusting it to change only RIP here adds nothing.
    unsafe { asm!("ud2", options(nostack)) };
}

/// Asks a kernel object for operation `label`, as often as it says `Again`.
#[inline]
pub fn invoke(object: Slot, label: u32, words: Words) -> Result<Words, Error> {
    loop {
        match call(object, label, words).check() {
            Err(Error::Again) => {}
            Ok(output) => return Ok(output.words),
            Err(error) => return Err(error),
        }
    }
}
