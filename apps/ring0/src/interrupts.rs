//! Interrupts: acknowledged, and nothing else; whoever waits for a device looks at it when the processor wakes.

use crate::start;
use core::cell::UnsafeCell;
use microkernel::arch::{apic, gdt};
use microkernel::trap::SPURIOUS_VECTOR;
use x86_64::VirtAddr;
use x86_64::instructions::{interrupts, tables};
use x86_64::structures::DescriptorTablePointer;

/// Vector of the first device's interrupt.
pub const FIRST: u8 = 48;

/// Exceptions have the vectors below; each has a stub of so many bytes.
const EXCEPTIONS: usize = 32;
const STUB: u64 = 16;

core::arch::global_asm!(
    ".pushsection .text.entry, \"ax\"",
    // What a C function may change is saved; the processor has the rest.
    ".global ring0_interrupt",
    "ring0_interrupt:",
    "push rax; push rcx; push rdx; push rsi; push rdi; push r8; push r9; push r10; push r11",
    "cld",
    "call {acknowledge}",
    "pop r11; pop r10; pop r9; pop r8; pop rdi; pop rsi; pop rdx; pop rcx; pop rax",
    ".global ring0_spurious",
    "ring0_spurious:",
    "iretq",
    ".balign {size}",
    ".global ring0_exceptions",
    "ring0_exceptions:",
    ".irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    ".balign {size}",
    "mov edi, \\vector",
    "jmp 2f",
    ".endr",
    "2: mov rsi, rsp",
    "and rsp, -16",
    "call {exception}",
    ".popsection",
    acknowledge = sym acknowledge,
    exception = sym exception,
    size = const STUB,
);

unsafe extern "C" {
    fn ring0_interrupt();
    fn ring0_spurious();
    fn ring0_exceptions();
}

extern "C" fn acknowledge() {
    apic::end_of_interrupt();
}

/// Nobody handles exceptions: what the processor pushed is told, and the machine ends.
extern "C" fn exception(vector: u64, pushed: &[u64; 6]) -> ! {
    start::fail(format_args!("exception {vector}, pushed {pushed:#x?}"))
}

#[repr(C, align(16))]
struct Table(UnsafeCell<[[u64; 2]; 256]>);
// SAFETY: written once, before it is used.
unsafe impl Sync for Table {}
static TABLE: Table = Table(UnsafeCell::new([[0; 2]; 256]));

/// A 64-bit interrupt gate: interrupts stay off (SDM 3A 6.14.1).
fn gate(address: u64) -> [u64; 2] {
    const PRESENT: u64 = 0x8e00 << 32;
    let code = u64::from(gdt::KERNEL_CODE) << 16;
    let low = address & 0xffff | code | PRESENT | (address >> 16 & 0xffff) << 48;
    [low, address >> 32]
}

/// Fills and loads the table. Once.
pub fn init() {
    let address = |function: unsafe extern "C" fn()| function as *const () as u64;
    // SAFETY: interrupts are off, and every gate leads to a stub.
    unsafe {
        let table = &mut *TABLE.0.get();
        for (vector, entry) in table.iter_mut().enumerate() {
            *entry = gate(match vector {
                0..EXCEPTIONS => address(ring0_exceptions) + STUB * vector as u64,
                _ => address(ring0_interrupt),
            });
        }
        table[usize::from(SPURIOUS_VECTOR)] = gate(address(ring0_spurious));
        tables::lidt(&DescriptorTablePointer {
            limit: size_of::<Table>() as u16 - 1,
            base: VirtAddr::new(TABLE.0.get() as u64),
        });
    }
}

/// Waits for an interrupt, with interrupts off before and after. One that came before is not missed.
#[inline(always)]
pub fn wait() {
    interrupts::enable_and_hlt();
    interrupts::disable();
}
