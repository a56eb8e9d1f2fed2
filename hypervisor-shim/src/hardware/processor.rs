//! The shim's own processor: what it says about itself, and its state.

use core::arch::asm;

use loader::Entry;
use microkernel::arch::cpu;
use microkernel::arch::features::{self, Features};
use x86_64::registers::control::{Cr0, Cr0Flags};

/// What a processor says about itself. In tests, numbers.
pub trait Identity {
    /// EAX, EBX, ECX, EDX.
    fn cpuid(&self, leaf: u32) -> [u32; 4];
    /// A model-specific register, which exists.
    fn msr(&self, register: u32) -> u64;
}

/// The one that this runs on.
pub struct Real;

impl Identity for Real {
    fn cpuid(&self, leaf: u32) -> [u32; 4] {
        let real = core::arch::x86_64::__cpuid(leaf);
        [real.eax, real.ebx, real.ecx, real.edx]
    }

    fn msr(&self, register: u32) -> u64 {
        // SAFETY: the caller knows that it exists; else the shim ends with an exception.
        unsafe { cpu::read_msr(register) }
    }
}

/// Sets control registers as the kernel does: pages of programs, of which the shim has none, can be neither executed nor touched,
/// and read-only ones bind it, too. No PCIDs: guests have the TLB's tags.
pub fn init() {
    cpu::set_control_registers(features::detect() - Features::PCID);
    // SAFETY: the floating-point registers are the guests', and the shim saves them.
    unsafe { Cr0::update(|cr0| cr0.remove(Cr0Flags::TASK_SWITCHED)) };
}

/// Leaves the machine to a kernel; `offset` is what to subtract from an address in the shim's image to get a physical one.
///
/// # Safety
/// The page tables are still those that the loader made, by which the low 4 GiB have their own addresses, as they have by the
/// kernel's; and nothing else runs.
pub unsafe fn enter(entry: &Entry, offset: u64) -> ! {
    // SAFETY: the caller keeps both tables, and the jump leads to the same code at its physical address.
    unsafe {
        asm!(
            "lea rax, [rip + 2f]",
            "sub rax, rcx",
            "jmp rax",
            "2: mov cr3, rdx",
            "jmp r8",
            in("rcx") offset,
            in("rdx") entry.page_tables,
            in("r8") entry.kernel,
            in("rdi") entry.boot_info,
            in("rsi") entry.boot_info_size,
            options(noreturn),
        )
    }
}
