//! Segments and the task state segment (SDM 3A 3.4, 8.7): flat, and the same for everybody.

use core::{cell::UnsafeCell, ptr};

use x86_64::{
    VirtAddr,
    instructions::{
        segmentation::{CS, DS, ES, FS, GS, SS, Segment},
        tables,
    },
    registers::segmentation::SegmentSelector,
    structures::{
        gdt::{Descriptor, DescriptorFlags, GlobalDescriptorTable},
        tss::TaskStateSegment,
    },
};

/// Selectors. SYSRET wants user data right before user code.
pub const KERNEL_CODE: u16 = 0x08;
/// See [`KERNEL_CODE`].
pub const KERNEL_DATA: u16 = 0x10;
/// See [`KERNEL_CODE`]; RPL 3.
pub const USER_DATA: u16 = 0x18 | 3;
/// See [`KERNEL_CODE`]; RPL 3.
pub const USER_CODE: u16 = 0x20 | 3;

/// Stacks of the exceptions that may strike anywhere, by IST number minus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Ist {
    /// Non-maskable interrupt.
    Nmi = 1,
    /// Double fault.
    DoubleFault = 2,
    /// Machine check.
    MachineCheck = 3,
    /// Debug exception.
    Debug = 4,
}

const IST_SIZE: usize = 4096;

#[repr(C, align(16))]
struct Stacks(UnsafeCell<[[u8; IST_SIZE]; 4]>);
// SAFETY: only the processor writes these stacks, each for one exception at a time.
unsafe impl Sync for Stacks {}
static STACKS: Stacks = Stacks(UnsafeCell::new([[0; IST_SIZE]; 4]));

/// The one CPU's task state segment. RSP0 is the end of the running thread's frame: "who runs" and "where are its
/// registers saved" are one word.
#[repr(transparent)]
pub struct Tss(UnsafeCell<TaskStateSegment>);
// SAFETY: one CPU, interrupts off in the kernel.
unsafe impl Sync for Tss {}

/// See [`Tss`].
#[unsafe(no_mangle)]
pub static POSTERN_TSS: Tss = Tss(UnsafeCell::new(TaskStateSegment::new()));

struct Gdt(UnsafeCell<GlobalDescriptorTable>);
// SAFETY: written once at boot.
unsafe impl Sync for Gdt {}
static GDT: Gdt = Gdt(UnsafeCell::new(GlobalDescriptorTable::new()));

/// Where the processor saves the registers of a trap from user mode.
#[inline]
pub fn set_trap_stack(address: u64) {
    // SAFETY: one CPU; the processor reads the field only at a trap from user mode. The structure is packed, hence
    // the raw write.
    unsafe {
        ptr::write_unaligned(
            &raw mut (*POSTERN_TSS.0.get()).privilege_stack_table[0],
            VirtAddr::new_unsafe(address),
        )
    };
}

/// What [`set_trap_stack`] wrote last.
#[inline]
pub fn trap_stack() -> u64 {
    // SAFETY: one CPU; the structure is packed, hence the raw read.
    unsafe { ptr::read_unaligned(&raw const (*POSTERN_TSS.0.get()).privilege_stack_table[0]) }
        .as_u64()
}

/// Loads segments, TSS and IST stacks.
pub fn init() {
    // SAFETY: called once at boot with interrupts off; table and segment are statics; the selectors are those of the
    // entries appended here, in this order.
    unsafe {
        let tss = POSTERN_TSS.0.get();
        for index in 0..4 {
            let top = STACKS.0.get() as u64 + ((index + 1) * IST_SIZE) as u64;
            ptr::write_unaligned(&raw mut (*tss).interrupt_stack_table[index], VirtAddr::new(top));
        }
        // No I/O bitmap: ports are used by invocation only.
        ptr::write_unaligned(&raw mut (*tss).iomap_base, size_of::<TaskStateSegment>() as u16);
        let gdt = &mut *GDT.0.get();
        gdt.append(Descriptor::kernel_code_segment());
        gdt.append(Descriptor::kernel_data_segment());
        gdt.append(Descriptor::UserSegment(DescriptorFlags::USER_DATA.bits()));
        gdt.append(Descriptor::UserSegment(DescriptorFlags::USER_CODE64.bits()));
        let task = gdt.append(Descriptor::tss_segment_unchecked(tss));
        gdt.load_unsafe();
        CS::set_reg(SegmentSelector(KERNEL_CODE));
        SS::set_reg(SegmentSelector(KERNEL_DATA));
        let null = SegmentSelector(0);
        DS::set_reg(null);
        ES::set_reg(null);
        FS::set_reg(null);
        GS::set_reg(null);
        tables::load_tss(task);
    }
}
