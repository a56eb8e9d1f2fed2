//! The fast path's text as a function.

use super::*;
use crate::{arch::gdt, raw::Ref};
use std::sync::{Mutex, PoisonError};

/// RAX RCX RDX RBX RSP RBP RSI RDI R8 ... R15: the processor's own order.
pub type Registers = [u64; 16];

/// What the text works on, apart from threads and endpoints.
#[repr(C)]
struct State {
    registers: Registers,
    stack: u64,
    /// The space it loaded, 0 if none.
    loaded: u64,
    /// How it ended: 0 in user mode, 1 at the slow path, 2 where a frame is restored.
    end: u64,
    /// The kernel's address, and the time.
    kernel: u64,
    now: u64,
    ready_top: i32,
}

static mut STATE: State =
    State { registers: [0; 16], stack: 0, loaded: 0, end: 0, kernel: 0, now: 0, ready_top: -1 };
static LOCK: Mutex<()> = Mutex::new(());

/// How the fast path ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// In user mode.
    User {
        /// The registers there.
        registers: Registers,
        /// What it loaded into CR3, 0 if nothing.
        loaded: u64,
    },
    /// In user mode, with the registers of the running thread's frame.
    Trap {
        /// What it loaded into CR3, 0 if nothing.
        loaded: u64,
    },
    /// At the slow path, with these registers.
    Slow(Registers),
}

/// What the fast path does with a system call of the running thread.
pub fn enter(kernel: &mut Kernel, registers: Registers) -> Exit {
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    gdt::set_trap_stack(kernel.current().address());
    let state = &raw mut STATE;
    // SAFETY: the lock is held, so nobody else uses the statics. The text changes only objects of `kernel`, whose
    // words are Cells, and returns with the host's registers as they were.
    unsafe {
        (*state).registers = registers;
        (*state).loaded = 0;
        (*state).ready_top = kernel.ready.top();
        (*state).kernel = &raw mut *kernel as u64;
        (*state).now = crate::arch::cpu::now();
        postern_host_run();
        crate::arch::set_current(Ref::from_address(gdt::trap_stack()));
        let (registers, loaded) = ((*state).registers, (*state).loaded);
        match (*state).end {
            0 => Exit::User { registers, loaded },
            1 => Exit::Slow(registers),
            _ => Exit::Trap { loaded },
        }
    }
}

unsafe extern "C" {
    fn postern_host_run();
}

assemble!(
    r#"
.macro COMPARE_NOBODY base, offset, scratch
lea \scratch, [rip + {nobody}]
cmp [\base + \offset], \scratch
.endm
.macro SET_NOBODY base, offset, scratch
lea \scratch, [rip + {nobody}]
mov [\base + \offset], \scratch
.endm
.macro LOAD_KERNEL
mov rbp, [rip + {state} + {kernel}]
.endm
.macro NOW
mov rdx, [rip + {state} + {now}]
.endm
.macro LOAD_SPACE
mov [rip + {state} + {loaded}], rcx
.endm
.macro EXIT
jmp postern_host_exit
.endm
.macro EXIT_TRAP
jmp postern_host_trap
.endm
.macro EACH_REGISTER what
\what rax, 0
\what rcx, 8
\what rdx, 16
\what rbx, 24
\what rsp, 32
\what rbp, 40
\what rsi, 48
\what rdi, 56
\what r8, 64
\what r9, 72
\what r10, 80
\what r11, 88
\what r12, 96
\what r13, 104
\what r14, 112
\what r15, 120
.endm
.macro LOAD register, at
mov \register, [rip + {state} + \at]
.endm
.macro STORE register, at
mov [rip + {state} + \at], \register
.endm
.text
postern_host_run:
push rbx
push rbp
push r12
push r13
push r14
push r15
mov [rip + {state} + {saved}], rsp
EACH_REGISTER LOAD
jmp postern_syscall
postern_slow:
postern_slow_plain:
mov qword ptr [rip + {state} + {end}], 1
jmp 1f
postern_host_trap:
mov qword ptr [rip + {state} + {end}], 2
jmp 1f
postern_host_exit:
mov qword ptr [rip + {state} + {end}], 0
1:  EACH_REGISTER STORE
mov rsp, [rip + {state} + {saved}]
pop r15
pop r14
pop r13
pop r12
pop rbp
pop rbx
ret
"#,
    STATE,
    offset_of!(State, ready_top),
    state = sym STATE,
    saved = const offset_of!(State, stack),
    loaded = const offset_of!(State, loaded),
    end = const offset_of!(State, end),
    kernel = const offset_of!(State, kernel),
    now = const offset_of!(State, now),
);
