//! The machine's interrupts while the shim runs: off, but for a moment when one is to be taken. And the shim's own faults.

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use microkernel::arch::{gdt, port};
use microkernel::log;
use x86_64::VirtAddr;

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

/// A table of all vectors.
#[repr(C, align(16))]
struct Table(core::cell::UnsafeCell<[[u64; 2]; 256]>);
// SAFETY: written once at boot.
unsafe impl Sync for Table {}
static TABLE: Table = Table(core::cell::UnsafeCell::new([[0; 2]; 256]));

/// Segments, and the table of interrupts. Once, at boot, with interrupts off.
pub fn init() {
    gdt::init();
    /// Present, 64-bit interrupt gate (SDM 3A 6.14.1).
    const GATE: u64 = 0x8e00 << 32;
    // SAFETY: called once with interrupts off; every gate leads to a stub.
    unsafe {
        let table = &mut *TABLE.0.get();
        for (vector, gate) in table.iter_mut().enumerate() {
            let address = shim_stubs as *const () as u64 + 8 * vector as u64;
            let low = address & 0xffff | u64::from(gdt::KERNEL_CODE) << 16 | GATE;
            *gate = [low | (address >> 16 & 0xffff) << 48, address >> 32];
        }
        x86_64::instructions::tables::lidt(&x86_64::structures::DescriptorTablePointer {
            limit: size_of::<Table>() as u16 - 1,
            base: VirtAddr::new(TABLE.0.get() as u64),
        });
    }
}

/// Takes the interrupt that waits. `None`: it is gone.
pub fn take() -> Option<u8> {
    ARRIVED.store(NONE, Relaxed);
    // SAFETY: the stub keeps the vector and turns interrupts off again; it changes nothing else.
    unsafe { asm!("sti", "nop", "cli") };
    arrived()
}

/// Waits for one.
pub fn wait() -> Option<u8> {
    ARRIVED.store(NONE, Relaxed);
    // SAFETY: as in `take`.
    unsafe { asm!("sti", "hlt", "cli") };
    arrived()
}

fn arrived() -> Option<u8> {
    match ARRIVED.load(Relaxed) {
        NONE => None,
        vector => Some(vector as u8),
    }
}
