//! The machine's interrupts while the shim runs: off, but for a moment when one is to be taken. And the shim's own faults.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use microkernel::arch::{gdt, idt, port};
use microkernel::log;

global_asm!(
    r#"
    .pushsection .text.shim_stubs, "ax"
    // An exception: no way back. Vectors of 8 bytes each.
    .global shim_stubs
    .balign 16
shim_stubs:
    .irp high, 0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f
    .irp low, 0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f
    .balign 8
    .if 0x\high\low < 128
    push 0x\high\low
    .else
    push 0x\high\low - 256
    .endif
    .if 0x\high\low < 32
    jmp 1f
    .else
    jmp 2f
    .endif
    .endr
    .endr
1:  mov rdi, [rsp]
    mov rsi, [rsp + 8]
    mov rdx, [rsp + 16]
    and rsp, -16
    call {fault}
    // An interrupt: its vector is kept, and interrupts are off when what it interrupted goes on.
2:  pop [rip + {arrived}]
    and dword ptr [rsp + 16], ~0x200
    iretq
    .popsection
    "#,
    fault = sym fault,
    arrived = sym ARRIVED,
);

unsafe extern "C" {
    fn shim_stubs();
}

/// The last interrupt's vector, as a signed byte; [`NONE`]: none.
static ARRIVED: AtomicU64 = AtomicU64::new(NONE);
const NONE: u64 = 1 << 32;

/// An exception in the shim, or a non-maskable interrupt. With an error code the first word is that.
extern "C" fn fault(vector: u64, first: u64, second: u64) -> ! {
    log!("KERNEL PANIC: shim: exception {vector} at {first:#x} {second:#x}");
    log!("KERNEL PANIC END");
    port::end_machine(bootinfo::exit::KERNEL_PANIC)
}

/// Segments, and the table of interrupts. Once, at boot, with interrupts off.
pub fn init() {
    gdt::init();
    idt::init(|vector| shim_stubs as *const () as u64 + 8 * u64::from(vector));
}

/// Takes the interrupt that waits; with `idle`, waits for one first. `None`: it is gone.
pub fn take(idle: bool) -> Option<u8> {
    ARRIVED.store(NONE, Relaxed);
    // SAFETY: the stub keeps the vector and turns interrupts off again; it changes nothing else.
    unsafe {
        match idle {
            true => asm!("sti", "hlt", "cli"),
            false => asm!("sti", "nop", "cli"),
        }
    };
    let arrived = ARRIVED.load(Relaxed);
    (arrived != NONE).then_some(arrived as u8)
}
