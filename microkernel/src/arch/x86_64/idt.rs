//! The interrupt descriptor table (SDM 3A 6.10).

use core::cell::UnsafeCell;

use x86_64::{VirtAddr, instructions::tables, structures::DescriptorTablePointer};

use super::gdt;

#[repr(C, align(16))]
struct Idt(UnsafeCell<[[u64; 2]; 256]>);
// SAFETY: written once at boot.
unsafe impl Sync for Idt {}
static IDT: Idt = Idt(UnsafeCell::new([[0; 2]; 256]));

/// Present, 64-bit interrupt gate: interrupts stay off.
const GATE: u64 = 0x8e00 << 32;
/// A user program may use INT n here.
const USER: u64 = 0x6000 << 32;

fn gate(vector: u8, address: u64) -> [u64; 2] {
    let (stack, access) = match vector {
        1 => (gdt::Ist::Debug as u64, 0),
        2 => (gdt::Ist::Nmi as u64, 0),
        // INT3 and INTO are the program's own.
        3 | 4 => (0, USER),
        8 => (gdt::Ist::DoubleFault as u64, 0),
        18 => (gdt::Ist::MachineCheck as u64, 0),
        _ => (0, 0),
    };
    let low = address & 0xffff
        | (gdt::KERNEL_CODE as u64) << 16
        | GATE
        | access
        | stack << 32
        | (address >> 16 & 0xffff) << 48;
    [low, address >> 32]
}

/// Fills and loads the table: every vector leads to its `stub`.
pub fn init(stub: impl Fn(u8) -> u64) {
    // SAFETY: called once at boot with interrupts off; the table is static and every gate leads to a stub.
    unsafe {
        let table = &mut *IDT.0.get();
        for (vector, entry) in (0..=255).zip(table.iter_mut()) {
            *entry = gate(vector, stub(vector));
        }
        let limit = size_of::<Idt>() as u16 - 1;
        tables::lidt(&DescriptorTablePointer { limit, base: VirtAddr::new(IDT.0.get() as u64) });
    }
}
