//! Every way into the kernel and out of it, but the fast path (`fastpath.s`): all the other assembly.
//!
//! One stack. A thread's registers are saved in its own [`Frame`], never on the kernel's stack: by the processor and
//! `postern_trap` for traps (TSS.RSP0 is the end of the frame), by `postern_syscall` for system calls. So every exit
//! is "restore that frame", whichever thread it belongs to.

use core::{arch::global_asm, mem::offset_of};

use abi::Tag;

use super::{
    cpu,
    fastpath::saved,
    frame::{self, Frame},
    gdt::POSTERN_TSS,
    panic,
};
use crate::{
    boot,
    syscall::{self, Exit, Operation},
    trap,
};

/// Bytes of the kernel's stack.
pub const STACK: usize = 32 << 10;

/// The kernel's stack, for panics to know its bounds.
#[repr(C, align(4096))]
pub struct Stack(core::cell::UnsafeCell<[u8; STACK]>);
// SAFETY: only the CPU's stack pointer uses it.
unsafe impl Sync for Stack {}

/// See [`Stack`].
#[unsafe(no_mangle)]
pub static POSTERN_STACK: Stack = Stack(core::cell::UnsafeCell::new([0; STACK]));

global_asm!(
    r#"
    .pushsection .text.entry, "ax"

    // A system call that the fast path (`fastpath.s`) did not take: RCX = user RIP, RSP = the user's, R11 = the running
    // thread. RFLAGS is not kept: a system call returns with 0x202. The frame's vector already says SYSCALL: it does
    // whenever a thread runs in user mode.
    .global postern_slow
    .global postern_slow_plain
    .global postern_resume
    .global postern_resume_zeros
    .balign 64
postern_slow:
    mov [r11 + {e_rsi}], rsi
    mov [r11 + {e_r9}], r9
    mov [r11 + {e_r10}], r10
postern_slow_plain: // without what a plain message does not use
    mov [r11 + {e_rip}], rcx
    mov [r11 + {e_rsp}], rsp
    mov [r11 + {e_rax}], rax
    mov [r11 + {e_rdx}], rdx
    mov [r11 + {e_rbx}], rbx
    mov [r11 + {e_rbp}], rbp
    mov [r11 + {e_rdi}], rdi
    mov [r11 + {e_r8}], r8
    mov [r11 + {e_r12}], r12
    mov [r11 + {e_r13}], r13
    mov [r11 + {e_r14}], r14
    mov [r11 + {e_r15}], r15
    // As if called from nowhere: an entry does not return.
    lea rsp, [rip + {stack} + {stack_size} - 8]
    xor ebp, ebp
    and eax, {operation}
    jmp [rax * 8 + {syscalls}]

    // Goes on with the thread that TSS.RSP0 names: its frame ends there.
postern_resume:
    mov rax, [rip + {tss} + 4]
    cmp qword ptr [rax + {e_vector}], {syscall_vector}
    jne 2f
    // Back from a system call: what the ABI returns, and zero in every other register.
    mov rcx, [rax + {e_rip}]
    mov rsp, [rax + {e_rsp}]
    mov rbx, [rax + {e_rbx}]
    mov rbp, [rax + {e_rbp}]
    mov rdi, [rax + {e_rdi}]
    mov r8, [rax + {e_r8}]
    mov r12, [rax + {e_r12}]
    mov r13, [rax + {e_r13}]
    mov r14, [rax + {e_r14}]
    mov r15, [rax + {e_r15}]
    mov rax, [rax + {e_rax}]
    mov r11d, {flags}
    xor edx, edx
    xor esi, esi
    xor r9d, r9d
    xor r10d, r10d
    sysretq
    // The same thread goes on after a system call that returns nothing: all zeros.
postern_resume_zeros:
    mov rax, [rip + {tss} + 4]
    mov rcx, [rax + {e_rip}]
    mov rsp, [rax + {e_rsp}]
    mov rbx, [rax + {e_rbx}]
    mov rbp, [rax + {e_rbp}]
    mov r11d, {flags}
    .irp register, eax, edx, esi, edi, r8d, r9d, r10d, r12d, r13d, r14d, r15d
    xor \register, \register
    .endr
    sysretq
2:  cmp qword ptr [rax + {e_vector}], {idle_vector}
    je 4f
    // Back from a trap: everything as it was.
    mov qword ptr [rax + {e_vector}], {syscall_vector}
    lea rsp, [rax - {frame_size}]
3:  .irp register, r15,r14,r13,r12,r11,r10,r9,r8,rdi,rsi,rbp,rbx,rdx,rcx,rax
    pop \register
    .endr
    add rsp, 16
    iretq
4:  // Idle. The interrupt that ends it arrives at `postern_interrupt` from kernel mode and never comes back here.
    lea rsp, [rip + {stack} + {stack_size}]
    sti
    hlt
    jmp 4b

    // Traps. The processor pushed SS, RSP, RFLAGS, CS, RIP and perhaps an error code; the stub added 0 for a missing
    // one, and the vector. From user mode RSP is inside the thread's frame, from idle or a kernel bug on the
    // kernel's stack, for NMI, #DB, #DF and #MC on a stack of their own.
    .macro SAVE_ALL
    .irp register, rax,rcx,rdx,rbx,rbp,rsi,rdi,r8,r9,r10,r11,r12,r13,r14,r15
    push \register
    .endr
    cld
    .endm
postern_interrupt:
    test byte ptr [rsp + 16], 3              // CS, behind the vector and RIP: from idle, which has no registers to keep?
    jz 6f
    push qword ptr [rsp]
postern_trap:
    SAVE_ALL
    test byte ptr [rsp + {cs}], 3
    jz 5f
    mov rdi, [rsp + {vector}]
    lea rsp, [rip + {stack} + {stack_size}]
    xor ebp, ebp
    call {on_trap}
5:  mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call {on_kernel_trap}
6:  mov rdi, [rsp]
    lea rsp, [rip + {stack} + {stack_size}]
    xor ebp, ebp
    call {on_trap}
postern_ist_trap:
    SAVE_ALL
    mov rdi, rsp
    and rsp, -16
    call {on_ist_trap}
    mov rsp, rax
    jmp 3b

    // Where the processor enters: 32 exceptions of 16 bytes, then interrupts of 8. An interrupt's vector is pushed as a
    // signed byte, once more for the error code it does not have.
    .global postern_stubs
    .balign 16
postern_stubs:
    .irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    .balign 16
    .if (\vector != 8) && (\vector < 10 || \vector > 14) && (\vector != 17) && (\vector != 21) && (\vector != 29) && (\vector != 30)
    push 0
    .endif
    push \vector
    .if (\vector == 1) || (\vector == 2) || (\vector == 8) || (\vector == 18)
    jmp postern_ist_trap
    .else
    jmp postern_trap
    .endif
    .endr
    .balign 16
    .irp high, 2,3,4,5,6,7,8,9,a,b,c,d,e,f
    .irp low, 0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f
    .balign 8
    .if 0x\high\low < 128
    push 0x\high\low
    .else
    push 0x\high\low - 256
    .endif
    jmp postern_interrupt
    .endr
    .endr
    .popsection
    "#,
    stack = sym POSTERN_STACK,
    stack_size = const STACK,
    syscall_vector = const frame::SYSCALL,
    flags = const frame::FLAGS,
    operation = const SYSCALLS.len() - 1,
    syscalls = sym SYSCALLS,
    on_trap = sym on_trap,
    on_kernel_trap = sym on_kernel_trap,
    on_ist_trap = sym on_ist_trap,
    e_rip = const saved(offset_of!(Frame, rip)),
    e_rsp = const saved(offset_of!(Frame, rsp)),
    e_rax = const saved(offset_of!(Frame, rax)),
    e_rdx = const saved(offset_of!(Frame, rdx)),
    e_rbx = const saved(offset_of!(Frame, rbx)),
    e_rbp = const saved(offset_of!(Frame, rbp)),
    e_rsi = const saved(offset_of!(Frame, rsi)),
    e_rdi = const saved(offset_of!(Frame, rdi)),
    e_r8 = const saved(offset_of!(Frame, r8)),
    e_r9 = const saved(offset_of!(Frame, r9)),
    e_r10 = const saved(offset_of!(Frame, r10)),
    e_r12 = const saved(offset_of!(Frame, r12)),
    e_r13 = const saved(offset_of!(Frame, r13)),
    e_r14 = const saved(offset_of!(Frame, r14)),
    e_r15 = const saved(offset_of!(Frame, r15)),
    e_vector = const saved(offset_of!(Frame, vector)),
    vector = const offset_of!(Frame, vector),
    cs = const offset_of!(Frame, cs),
    frame_size = const size_of::<Frame>(),
    idle_vector = const frame::IDLE,
    tss = sym POSTERN_TSS,
);

unsafe extern "C" {
    #[cfg_attr(all(feature = "check-fast-path", target_os = "none"), link_name = "postern_checked")]
    fn postern_syscall();
    fn postern_syscall_slow();
    fn postern_stubs();
    fn postern_resume() -> !;
    fn postern_resume_zeros() -> !;
}

/// Where SYSCALL enters, with the fast path or without it.
pub fn syscall_address(fast_path: bool) -> u64 {
    if fast_path {
        postern_syscall as *const () as u64
    } else {
        postern_syscall_slow as *const () as u64
    }
}

/// Where vector `vector` enters.
pub fn stub_address(vector: u8) -> u64 {
    const EXCEPTIONS: u64 = 32;
    let vector = vector as u64;
    let (exceptions, interrupts) = (vector.min(EXCEPTIONS), vector.saturating_sub(EXCEPTIONS));
    postern_stubs as *const () as u64 + 16 * exceptions + 8 * interrupts
}

/// Bounds of the kernel's stack.
pub fn stack_bounds() -> (u64, u64) {
    let start = POSTERN_STACK.0.get() as u64;
    (start, start + STACK as u64)
}

/// Leaves the kernel, to the thread that the processor's TSS names.
#[inline(always)]
pub fn resume() -> ! {
    // SAFETY: `postern_resume` needs nothing but the TSS; it does not return.
    unsafe { postern_resume() }
}

// The entries do not return: there is nothing on the stack to go back to, so nothing need be kept on it either.

/// What a system call does, by bits 0-3 of its tag.
static SYSCALLS: [extern "C" fn() -> !; 16] = {
    let mut entries = [on_other as extern "C" fn() -> !; 16];
    let mut number = 0;
    while number < entries.len() {
        entries[number] = match Operation::of(Tag(number as u64)) {
            Operation::Call => on_call,
            Operation::Recv => on_recv,
            Operation::Reply => on_reply,
            Operation::Other => on_other,
        };
        number += 1;
    }
    entries
};

extern "C" fn on_call() -> ! {
    on_syscall(Operation::Call)
}
extern "C" fn on_reply() -> ! {
    on_syscall(Operation::Reply)
}
extern "C" fn on_recv() -> ! {
    on_syscall(Operation::Recv)
}
extern "C" fn on_other() -> ! {
    on_syscall(Operation::Other)
}

#[inline(always)]
fn on_syscall(operation: Operation) -> ! {
    let start = section_start();
    let exit = syscall::handle(boot::kernel(), operation);
    section_end(start);
    leave(exit)
}

/// Leaves the kernel after a system call.
#[inline(always)]
pub fn leave(exit: Exit) -> ! {
    if exit == Exit::Zeros {
        // SAFETY: as in `resume`; the running thread is inside a system call.
        unsafe { postern_resume_zeros() }
    }
    resume()
}

extern "C" fn on_trap(vector: u64) -> ! {
    let start = section_start();
    trap::handle(boot::kernel(), vector as u8);
    section_end(start);
    resume()
}

/// When an entry began, if the kernel was built to measure the longest section.
#[inline(always)]
fn section_start() -> Option<u64> {
    cfg!(feature = "longest-section").then(cpu::now)
}

/// The entry that began then ends.
#[inline(always)]
fn section_end(start: Option<u64>) {
    if let Some(start) = start {
        let kernel = boot::kernel();
        kernel.longest_section = kernel.longest_section.max(cpu::now() - start);
    }
}

/// An exception in kernel mode: a bug.
extern "C" fn on_kernel_trap(frame: &Frame) -> ! {
    panic::exception(frame)
}

/// NMI, #DB, #DF, #MC, from anywhere. Returns the frame to go back to.
extern "C" fn on_ist_trap(frame: &Frame) -> *const Frame {
    const DEBUG: u64 = 1;
    let from_user = frame.cs.get() & 3 != 0;
    match frame.vector.get() {
        DEBUG if from_user => {
            let own = boot::kernel().current().frame();
            // Its frame was pushed here instead of there.
            // SAFETY: both are valid frames of Cells; the thread's own is not in use while it runs.
            unsafe {
                core::ptr::copy_nonoverlapping(frame, core::ptr::from_ref(own).cast_mut(), 1)
            };
            on_trap(DEBUG)
        }
        // A MOV SS before SYSCALL delays the trap to the kernel's first instruction (CVE-2018-8897): nothing to do.
        DEBUG if [true, false].map(syscall_address).contains(&frame.rip.get()) => frame,
        // An NMI as well: whoever sends one wants to know where the machine hangs (the host tool, after `--timeout`).
        _ => panic::exception(frame),
    }
}
