//! Instructions that no compiler emits: all of this program's assembly and pointer work.
//!
//! The kernel must survive whatever a program executes, so some tests execute it. Each routine keeps what the System V ABI
//! wants kept, so that to Rust it is an ordinary function.

use abi::fault::Registers;
use core::arch::{asm, global_asm};
use core::mem::offset_of;

global_asm!(
    r#"
    .pushsection .text.ktest, "ax"

    // RDI = registers to load (not RIP, RSP). RSI = where STORE puts what they are afterwards.
    .macro LOAD
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    push rsi
    push qword ptr [rdi + {rflags}]
    mov rax, [rdi + {rax}]
    mov rcx, [rdi + {rcx}]
    mov rdx, [rdi + {rdx}]
    mov rbx, [rdi + {rbx}]
    mov rbp, [rdi + {rbp}]
    mov rsi, [rdi + {rsi}]
    mov r8, [rdi + {r8}]
    mov r9, [rdi + {r9}]
    mov r10, [rdi + {r10}]
    mov r11, [rdi + {r11}]
    mov r12, [rdi + {r12}]
    mov r13, [rdi + {r13}]
    mov r14, [rdi + {r14}]
    mov r15, [rdi + {r15}]
    mov rdi, [rdi + {rdi}]
    // Last, because TF would trap after any instruction between.
    popfq
    .endm

    .macro STORE
    pushfq
    cld
    push rsi
    mov rsi, [rsp + 16]
    mov [rsi + {rax}], rax
    mov [rsi + {rcx}], rcx
    mov [rsi + {rdx}], rdx
    mov [rsi + {rbx}], rbx
    mov [rsi + {rbp}], rbp
    mov [rsi + {rdi}], rdi
    mov [rsi + {r8}], r8
    mov [rsi + {r9}], r9
    mov [rsi + {r10}], r10
    mov [rsi + {r11}], r11
    mov [rsi + {r12}], r12
    mov [rsi + {r13}], r13
    mov [rsi + {r14}], r14
    mov [rsi + {r15}], r15
    mov rax, rsi
    pop rsi
    mov [rax + {rsi}], rsi
    pop qword ptr [rax + {rflags}]
    add rsp, 8
    // A user's NT or AC is not for the compiler's code.
    push 2
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
    .endm

    .global ktest_enter
ktest_enter:
    LOAD
    syscall
    .global ktest_entered
ktest_entered:
    STORE

    .global ktest_break
ktest_break:
    LOAD
    int3
    .global ktest_broken
ktest_broken:
    STORE

    // Until the word at R15 is not 0. Changes RCX alone, and no flag.
    .global ktest_spin
ktest_spin:
    LOAD
2:  mov rcx, [r15]
    jrcxz 2b
    STORE

    // What traps: NAME, NAME_at = the RIP the kernel must report, NAME_after = where to go on.
    .macro SNIPPET name, before, at, after
    .global ktest_\name
    .global ktest_\name\()_at
    .global ktest_\name\()_after
ktest_\name:
    \before
ktest_\name\()_at:
    \at
ktest_\name\()_after:
    \after
    ret
    .endm
    SNIPPET divide, "xor ecx, ecx; xor edx, edx", "div ecx", ""
    SNIPPET breakpoint, "int3", "", ""
    SNIPPET step, "pushfq; or qword ptr [rsp], 0x100; popfq; nop", "", "pushfq; and qword ptr [rsp], ~0x100; popfq"
    SNIPPET invalid, "", "ud2", ""
    SNIPPET int80, "", "int 0x80", ""
    SNIPPET x87, "", "fldz", ""
    SNIPPET sse, "", "xorps xmm0, xmm0", ""
    SNIPPET rdfsbase, "", "rdfsbase rax", ""
    SNIPPET wrgsbase, "", "wrgsbase rax", ""
    SNIPPET hlt, "", "hlt", ""
    SNIPPET cli, "", "cli", ""
    SNIPPET port, "", "in al, 0x60", ""
    SNIPPET rdmsr, "", "rdmsr", ""
    SNIPPET cr3, "", "mov rax, cr3", ""
    SNIPPET dr7, "", "mov dr7, rax", ""
    SNIPPET swapgs, "", "swapgs", ""
    SNIPPET sysret, "", "sysretq", ""
    SNIPPET lgdt, "", "lgdt [rsp]", ""
    SNIPPET noncanonical, "mov rax, 0x800000000000", "mov rax, [rax]", ""
    SNIPPET stack, "mov rcx, rbp; mov rbp, 0x800000000000", "mov rax, [rbp]", "mov rbp, rcx"
    SNIPPET load, "mov eax, 0x1000", "mov rax, [rax]", ""
    SNIPPET kernel, "mov rax, 0xffffffff80000000", "mov rax, [rax]", ""
    SNIPPET store, "lea rax, [rip + ktest_store]", "mov [rax], al", ""
    .global ktest_unaligned
ktest_unaligned:
    pushfq
    or qword ptr [rsp], 0x40000
    popfq
    mov rax, [rsp + 1]
    pushfq
    and qword ptr [rsp], ~0x40000
    popfq
    ret
    .popsection
    "#,
    rflags = const offset_of!(Registers, rflags),
    rax = const offset_of!(Registers, rax),
    rcx = const offset_of!(Registers, rcx),
    rdx = const offset_of!(Registers, rdx),
    rbx = const offset_of!(Registers, rbx),
    rbp = const offset_of!(Registers, rbp),
    rsi = const offset_of!(Registers, rsi),
    rdi = const offset_of!(Registers, rdi),
    r8 = const offset_of!(Registers, r8),
    r9 = const offset_of!(Registers, r9),
    r10 = const offset_of!(Registers, r10),
    r11 = const offset_of!(Registers, r11),
    r12 = const offset_of!(Registers, r12),
    r13 = const offset_of!(Registers, r13),
    r14 = const offset_of!(Registers, r14),
    r15 = const offset_of!(Registers, r15),
);

unsafe extern "C" {
    fn ktest_enter(input: *const Registers, output: *mut Registers);
    fn ktest_break(input: *const Registers, output: *mut Registers);
    fn ktest_spin(input: *const Registers, output: *mut Registers);
    fn ktest_unaligned();
    static ktest_entered: u8;
    static ktest_broken: u8;
    static image_text: u8;
    static image_rodata: u8;
    static image_data: u8;
    static image_end: u8;
}

/// Enters the kernel with these registers (all but RIP and RSP) and returns those it comes back with.
///
/// # Safety
/// The system call writes no memory that Rust relies on.
pub unsafe fn enter(input: &Registers) -> Registers {
    let mut output = Registers::default();
    // SAFETY: the routine keeps the ABI; what the kernel does is the caller's promise.
    unsafe { ktest_enter(input, &mut output) };
    output
}

/// RIP after the SYSCALL of [`enter`].
pub fn entered() -> u64 {
    &raw const ktest_entered as u64
}

/// Executes a breakpoint with these registers (all but RIP and RSP) and returns those it goes on with.
pub fn break_with(input: &Registers) -> Registers {
    let mut output = Registers::default();
    // SAFETY: the routine keeps the ABI, as long as whoever handles the breakpoint keeps RSP and goes on after it.
    unsafe { ktest_break(input, &mut output) };
    output
}

/// RIP after the breakpoint of [`break_with`].
pub fn broken() -> u64 {
    &raw const ktest_broken as u64
}

/// Spins with these registers (all but RIP, RSP and RCX) until the word at R15 is not 0; returns what they are then.
///
/// # Safety
/// R15 is the address of a word.
pub unsafe fn spin_with(input: &Registers) -> Registers {
    let mut output = Registers::default();
    // SAFETY: as the caller promises.
    unsafe { ktest_spin(input, &mut output) };
    output
}

/// A read across an alignment boundary with AC set, which traps only if the kernel allows it (CR0.AM).
pub fn unaligned() {
    // SAFETY: reads the stack, and leaves AC clear.
    unsafe { ktest_unaligned() }
}

/// An instruction that traps.
#[derive(Clone, Copy)]
pub struct Snippet {
    /// What it is.
    pub name: &'static str,
    run: unsafe extern "C" fn(),
    /// RIP the kernel must report.
    pub at: u64,
    /// Where it can go on.
    pub after: u64,
}

impl Snippet {
    /// Its first instruction.
    pub fn start(self) -> u64 {
        self.run as *const () as u64
    }

    /// Executes it. Whoever handles its fault makes it go on at [`Snippet::after`].
    pub fn run(self) {
        // SAFETY: each keeps the ABI and changes no memory.
        unsafe { (self.run)() }
    }
}

macro_rules! snippets {
    ($($name:ident $run:ident $at:ident $after:ident,)*) => {
        unsafe extern "C" { $(fn $run(); static $at: u8; static $after: u8;)* }
        $(
            #[doc = concat!("`", stringify!($name), "`, see the assembly above.")]
            pub fn $name() -> Snippet {
                Snippet {
                    name: stringify!($name),
                    run: $run,
                    at: &raw const $at as u64,
                    after: &raw const $after as u64,
                }
            }
        )*
    };
}

snippets! {
    divide ktest_divide ktest_divide_at ktest_divide_after,
    breakpoint ktest_breakpoint ktest_breakpoint_at ktest_breakpoint_after,
    step ktest_step ktest_step_at ktest_step_after,
    invalid ktest_invalid ktest_invalid_at ktest_invalid_after,
    int80 ktest_int80 ktest_int80_at ktest_int80_after,
    x87 ktest_x87 ktest_x87_at ktest_x87_after,
    sse ktest_sse ktest_sse_at ktest_sse_after,
    rdfsbase ktest_rdfsbase ktest_rdfsbase_at ktest_rdfsbase_after,
    wrgsbase ktest_wrgsbase ktest_wrgsbase_at ktest_wrgsbase_after,
    hlt ktest_hlt ktest_hlt_at ktest_hlt_after,
    cli ktest_cli ktest_cli_at ktest_cli_after,
    port ktest_port ktest_port_at ktest_port_after,
    rdmsr ktest_rdmsr ktest_rdmsr_at ktest_rdmsr_after,
    cr3 ktest_cr3 ktest_cr3_at ktest_cr3_after,
    dr7 ktest_dr7 ktest_dr7_at ktest_dr7_after,
    swapgs ktest_swapgs ktest_swapgs_at ktest_swapgs_after,
    sysret ktest_sysret ktest_sysret_at ktest_sysret_after,
    lgdt ktest_lgdt ktest_lgdt_at ktest_lgdt_after,
    noncanonical ktest_noncanonical ktest_noncanonical_at ktest_noncanonical_after,
    stack ktest_stack ktest_stack_at ktest_stack_after,
    load ktest_load ktest_load_at ktest_load_after,
    kernel ktest_kernel ktest_kernel_at ktest_kernel_after,
    store ktest_store ktest_store_at ktest_store_after,
}

/// A piece of this program's memory.
pub struct Segment {
    /// First byte, page aligned.
    pub start: u64,
    /// Behind the last.
    pub end: u64,
    /// Rights it is mapped with ([`abi::object::frame`]).
    pub rights: u8,
}

/// This program's own code and data, as its linker script lays it out.
pub fn image() -> [Segment; 3] {
    use abi::object::frame::{EXEC, READ, WRITE};
    let text = &raw const image_text as u64;
    let rodata = &raw const image_rodata as u64;
    let data = &raw const image_data as u64;
    let end = &raw const image_end as u64;
    let piece = |start, end, rights| Segment { start, end, rights };
    [
        piece(text, rodata, READ | EXEC),
        piece(rodata, data, READ),
        piece(data, end, READ | WRITE),
    ]
}

/// Where tests map pages of their own: address space that neither root nor Rust uses.
pub const WINDOW: u64 = 0x4000_0000_0000;
const WINDOW_END: u64 = 0x5000_0000_0000;

/// The word at an address of the window. If nothing is mapped there the thread faults.
///
/// # Panics
/// The address lies outside.
pub fn read(address: u64) -> u64 {
    assert!((WINDOW..WINDOW_END).contains(&address));
    let pointer = core::ptr::with_exposed_provenance::<u64>(address as usize);
    // SAFETY: no Rust object lies in the window; an address that is not mapped there is a fault, which is a test's aim.
    unsafe { pointer.read_volatile() }
}

/// Writes the word at an address of the window, as [`read`].
///
/// # Panics
/// The address lies outside.
pub fn write(address: u64, value: u64) {
    assert!((WINDOW..WINDOW_END).contains(&address));
    let pointer = core::ptr::with_exposed_provenance_mut::<u64>(address as usize);
    // SAFETY: as in `read`.
    unsafe { pointer.write_volatile(value) }
}

/// Copies a page of this program's image to a page of the window.
pub fn copy_page(segment: &Segment, offset: u64, to: u64) {
    let words: *const u64 = core::ptr::with_exposed_provenance(segment.start as usize);
    for word in (offset / 8)..(offset + abi::PAGE) / 8 {
        // SAFETY: root mapped whole pages of the image. Another thread may write meanwhile; any value will do.
        write(to + word * 8 - offset, unsafe {
            words.add(word as usize).read_volatile()
        });
    }
}

/// Calls code at an address; whoever handles its fault makes it go on at `after`.
pub fn execute(address: u64) {
    // SAFETY: the address cannot be executed: the call faults, and the handler returns as if the callee had.
    unsafe {
        asm!("call {}", in(reg) address, clobber_abi("C"));
    }
}

/// The word on top of the stack of one of this program's threads, which stands still.
pub fn top_of_stack(registers: &Registers) -> u64 {
    let pointer = core::ptr::with_exposed_provenance::<u64>(registers.rsp as usize);
    // SAFETY: a thread that called `execute` has its return address there, and waits in a fault.
    unsafe { pointer.read_volatile() }
}

/// A trap the kernel reports, or that ends the thread if nobody wants to hear of it.
pub fn stop() -> ! {
    // SAFETY: an invalid instruction has no effect but the exception.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}
