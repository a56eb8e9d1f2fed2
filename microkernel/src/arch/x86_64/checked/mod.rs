//! The checking build (feature `check-fast-path`): a system call that the fast path takes is made once more by the slow path,
//! from the same state, and both must end in the same one. The program goes on with what the slow path made.
//!
//! What the fast path may change is saved before it runs: the threads and the endpoint it may find. The text is the same;
//! only its ends lead here instead of to user mode.

mod compare;

use core::{cell::UnsafeCell, mem::offset_of};

use abi::Tag;

use super::{
    entry::{self, POSTERN_STACK, STACK},
    paging,
};
use crate::{
    arch, boot,
    endpoint::{self, Endpoint, Reply},
    irq,
    kernel::Turn,
    log, object,
    raw::Ref,
    syscall::{self, Operation},
    thread::{self, Owed, ThreadRef, busy, nobody},
};

/// RAX RCX RDX RBX RSP RBP RSI RDI R8 ... R15: the processor's own order.
type Registers = [u64; 16];
const RAX: usize = 0;
const RSI: usize = 6;
const RDI: usize = 7;

const THREAD_WORDS: usize = thread::SIZE as usize / 8;
const ENDPOINT_WORDS: usize = endpoint::SIZE as usize / 8;
const REPLY_WORDS: usize = size_of::<Reply>() / 8;
const IRQ_WORDS: usize = irq::SIZE as usize / 8;

/// An object, as it was before, and as the fast path left it.
struct Object<const WORDS: usize> {
    address: u64,
    before: [u64; WORDS],
    after: [u64; WORDS],
}

impl<const WORDS: usize> Object<WORDS> {
    const NONE: Self = Self { address: 0, before: [0; WORDS], after: [0; WORDS] };

    fn words(&self) -> Option<*mut [u64; WORDS]> {
        (self.address != 0).then_some(self.address as *mut _)
    }

    fn save(&mut self, address: Option<u64>) {
        self.address = address.unwrap_or(0);
        if let Some(words) = self.words() {
            // SAFETY: a living object of this size; nothing else runs.
            self.before = unsafe { words.read_volatile() };
        }
    }

    /// Puts back what was before, and keeps what is.
    fn undo(&mut self) {
        if let Some(words) = self.words() {
            // SAFETY: as in `save`; what was there before was sound.
            unsafe {
                self.after = words.read_volatile();
                words.write_volatile(self.before);
            }
        }
    }
}

/// One system call.
struct Check {
    /// Registers at SYSCALL.
    before: Registers,
    /// Registers with which the fast path left.
    after: Registers,
    /// The running thread, the endpoint's receiver, the caller that is owed a reply, and the one in the Reply object.
    threads: [Object<THREAD_WORDS>; 4],
    endpoint: Object<ENDPOINT_WORDS>,
    reply: Object<REPLY_WORDS>,
    irq: Object<IRQ_WORDS>,
    /// Whose turn it was.
    turn: Turn,
    /// Calls checked so far.
    count: u64,
}

#[repr(transparent)]
struct Global(UnsafeCell<Check>);
// SAFETY: one CPU, interrupts off in the kernel, entries do not nest.
unsafe impl Sync for Global {}
static CHECK: Global = Global(UnsafeCell::new(Check {
    before: [0; 16],
    after: [0; 16],
    threads: [Object::NONE; 4],
    endpoint: Object::NONE,
    reply: Object::NONE,
    irq: Object::NONE,
    turn: Turn { payer: nobody(), began: 0, over: false },
    count: 0,
}));

core::arch::global_asm!(
    r#"
    .macro EACH_REGISTER what, at
    \what rax, \at, 0
    \what rcx, \at, 8
    \what rdx, \at, 16
    \what rbx, \at, 24
    \what rsp, \at, 32
    \what rbp, \at, 40
    \what rsi, \at, 48
    \what rdi, \at, 56
    \what r8, \at, 64
    \what r9, \at, 72
    \what r10, \at, 80
    \what r11, \at, 88
    \what r12, \at, 96
    \what r13, \at, 104
    \what r14, \at, 112
    \what r15, \at, 120
    .endm
    .macro LOAD register, at, offset
    mov \register, [rip + {check} + \at + \offset]
    .endm
    .macro STORE register, at, offset
    mov [rip + {check} + \at + \offset], \register
    .endm
    .pushsection .text.entry, "ax"
    .global postern_checked
    .global postern_checked_exit
    .global postern_checked_trap
postern_checked:
    EACH_REGISTER STORE, {before}
    lea rsp, [rip + {stack} + {stack_size}]
    call {save}
    EACH_REGISTER LOAD, {before}
    jmp postern_syscall
postern_checked_exit:
    EACH_REGISTER STORE, {after}
    xor edi, edi
    jmp 1f
postern_checked_trap:
    EACH_REGISTER STORE, {after}
    mov edi, 1
1:  lea rsp, [rip + {stack} + {stack_size}]
    call {again}
    .popsection
    "#,
    check = sym CHECK,
    before = const offset_of!(Check, before),
    after = const offset_of!(Check, after),
    stack = sym POSTERN_STACK,
    stack_size = const STACK,
    save = sym save,
    again = sym again,
);

/// Before the fast path: keeps what it may change.
extern "C" fn save() {
    let kernel = boot::kernel();
    // SAFETY: see `Global`.
    let check = unsafe { &mut *CHECK.0.get() };
    let thread = kernel.current();
    let slot = thread.any_slot(check.before[RDI]).ok();
    let endpoint: Option<Ref<Endpoint>> = slot.and_then(object::of);
    let receiver = endpoint.map(|endpoint| endpoint.fast());
    let receiver = receiver.filter(|&receiver| receiver != nobody() && receiver != busy());
    let slot = thread.any_slot(check.before[RSI]).ok();
    let reply: Option<Ref<Reply>> = slot.and_then(object::of);
    let parked = reply.and_then(|reply| reply.caller.get());
    let threads = [Some(thread), receiver, thread.caller(), parked];
    for (object, thread) in check.threads.iter_mut().zip(threads) {
        object.save(thread.map(|thread| thread.address() - thread::OFFSET));
    }
    check.endpoint.save(endpoint.map(|endpoint| endpoint.address()));
    check.reply.save(reply.map(|reply| reply.address()));
    check.irq.save(match thread.debt() {
        Owed::Irq(irq) => Some(irq.address()),
        _ => None,
    });
    check.turn = kernel.turn;
}

/// The fast path took the call, and left with a trap's registers or a system call's: the slow path does the same again.
extern "C" fn again(trap: bool) -> ! {
    let kernel = boot::kernel();
    // SAFETY: see `Global`.
    let check = unsafe { &mut *CHECK.0.get() };
    // What the next entry would do first.
    let runs = kernel.enter();
    assert_eq!(paging::current_root(), runs.cr3.get() & paging::ADDRESS, "the fast path's space");
    check.threads.iter_mut().for_each(Object::undo);
    check.endpoint.undo();
    check.reply.undo();
    check.irq.undo();
    let payer = kernel.turn.payer;
    kernel.turn = check.turn;
    // SAFETY: the thread that made the call runs, as it did then.
    let thread: ThreadRef = unsafe { Ref::from_address(check.threads[0].address + thread::OFFSET) };
    arch::set_current(thread);
    paging::load_root(thread.cr3.get());
    compare::enter_frame(thread.frame(), &check.before);
    let exit = syscall::handle(kernel, Operation::of(Tag(check.before[RAX])));
    let fast = if trap { Ok(runs) } else { Err(runs) };
    assert_eq!(payer, kernel.turn.payer, "whose turn it is");
    compare::paths(check, fast, kernel.current(), exit);
    check.count += 1;
    if check.count.is_power_of_two() {
        log!("fast path: {} calls by both paths, no difference", check.count);
    }
    entry::leave(exit)
}
