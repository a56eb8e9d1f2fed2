//! The local APIC (SDM 3A chapter 11): end of interrupt, the timer, and the legacy controller switched off.
//!
//! Above the hypervisor shim there is none: the timer takes TSC values, and the registers are memory that does nothing.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use bootinfo::shim;

use super::{
    BARE, clock, cpu,
    features::{Features, features},
    mmio, port,
};
use crate::trap::{SPURIOUS_VECTOR, TIMER_VECTOR};

const ID: u64 = 0x20;
const TASK_PRIORITY: u64 = 0x80;
const END_OF_INTERRUPT: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
const TIMER: u64 = 0x320;
const LINT0: u64 = 0x350;
const LINT1: u64 = 0x360;
const ERROR: u64 = 0x370;
const INITIAL_COUNT: u64 = 0x380;
const CURRENT_COUNT: u64 = 0x390;
const DIVIDE: u64 = 0x3e0;

const MASKED: u32 = 1 << 16;
const NMI_DELIVERY: u32 = 4 << 8;
const TSC_DEADLINE_MODE: u32 = 2 << 17;
const DIVIDE_BY_1: u32 = 0xb;
const ENABLE: u32 = 1 << 8;
/// IA32_APIC_BASE, its global enable bit and its x2APIC bit; IA32_TSC_DEADLINE.
const APIC_BASE: u32 = 0x1b;
const APIC_ENABLE: u64 = 1 << 11;
const X2APIC_ENABLE: u64 = 1 << 10;
const TSC_DEADLINE: u32 = 0x6e0;

/// Where messages to the local APIC go (SDM 3A 11.11).
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

/// In x2APIC mode, the register at offset n of the page is this model-specific register + n / 16 (SDM 3A 11.12.1.2).
const X2APIC_REGISTERS: u32 = 0x800;

/// Address of the registers; 0 in x2APIC mode.
static REGISTERS: AtomicU64 = AtomicU64::new(0);
/// Timer ticks per TSC tick, in units of 2^-32; 0: the timer takes TSC values.
static RATE: AtomicU64 = AtomicU64::new(0);
/// The registers above the shim.
static NOTHING: [AtomicU32; CURRENT_COUNT as usize / 4] =
    [const { AtomicU32::new(0) }; CURRENT_COUNT as usize / 4];

fn read(register: u64) -> u32 {
    match REGISTERS.load(Relaxed) {
        // SAFETY: the register exists in x2APIC mode, which `init` turned on.
        0 => unsafe { cpu::read_msr(X2APIC_REGISTERS + register as u32 / 16) as u32 },
        page => mmio::read(page + register),
    }
}

fn write(register: u64, value: u32) {
    match REGISTERS.load(Relaxed) {
        // SAFETY: as in `read`; the values are those of the registers' definitions.
        0 => unsafe { cpu::write_msr(X2APIC_REGISTERS + register as u32 / 16, value as u64) },
        page => mmio::write(page + register, value),
    }
}

/// Switches the legacy controller off and the local APIC on.
pub fn init(physical: u64) {
    if features().contains(Features::SHIM) {
        return REGISTERS.store(NOTHING.as_ptr() as u64, Relaxed);
    }
    mask_legacy();
    let mut mode = APIC_ENABLE;
    if features().contains(Features::X2APIC) {
        mode |= X2APIC_ENABLE;
    } else {
        REGISTERS.store(mmio::map(0, physical), Relaxed);
    }
    // SAFETY: every processor the loader lets through has an APIC and this register; CPUID announced the mode.
    unsafe { cpu::write_msr(APIC_BASE, cpu::read_msr(APIC_BASE) | mode) };
    write(TASK_PRIORITY, 0);
    write(LINT0, MASKED);
    write(LINT1, NMI_DELIVERY);
    write(ERROR, MASKED);
    write(SPURIOUS, SPURIOUS_VECTOR as u32 | ENABLE);
}

/// The 8259 pair: moved to vectors 32-47 and masked, so that nothing of it arrives as an exception.
fn mask_legacy() {
    for (command, data, vector, cascade) in [(0x20, 0x21, 32, 4), (0xa0, 0xa1, 40, 2)] {
        port::write(command, 1, 0x11);
        port::write(data, 1, vector);
        port::write(data, 1, cascade);
        port::write(data, 1, 1);
        port::write(data, 1, 0xff);
    }
}

/// Finds out how fast the timer and the TSC run. Returns TSC ticks per second.
pub fn calibrate() -> u64 {
    if features().contains(Features::SHIM) {
        return core::arch::x86_64::__cpuid(shim::CLOCK_LEAF).eax as u64 * 1000;
    }
    write(DIVIDE, DIVIDE_BY_1);
    write(TIMER, MASKED | TIMER_VECTOR as u32);
    write(INITIAL_COUNT, u32::MAX);
    let (before, start) = (read(CURRENT_COUNT), cpu::now());
    let hz = clock::measure();
    let counted = before.wrapping_sub(read(CURRENT_COUNT)) as u64;
    let ticks = cpu::now() - start;
    write(INITIAL_COUNT, 0);
    if features().contains(Features::TSC_DEADLINE) {
        write(TIMER, TIMER_VECTOR as u32 | TSC_DEADLINE_MODE);
        // The mode must be set before the first deadline is (SDM 3A 11.5.4.1).
        cpu::fence();
        RATE.store(0, Relaxed);
    } else {
        write(TIMER, TIMER_VECTOR as u32);
        RATE.store(((counted << 32) / ticks.max(1)).max(1), Relaxed);
    }
    hz
}

/// The timer fires at `deadline` (TSC), or as late as it can if that is too far away: the kernel then sets it again.
pub fn set_timer(deadline: u64) {
    if !BARE {
        #[cfg(not(target_os = "none"))]
        super::host::set_machine(|machine| machine.timer = deadline);
        return;
    }
    match RATE.load(Relaxed) {
        0 => {
            // SAFETY: CPUID announced the register (`calibrate`).
            unsafe { cpu::write_msr(TSC_DEADLINE, deadline.max(1)) }
        }
        rate => {
            let left = deadline.saturating_sub(cpu::now());
            let count = (left as u128 * rate as u128) >> 32;
            // Rounded up: an interrupt before the deadline would have to be asked for twice.
            write(INITIAL_COUNT, (count + 1).min(u32::MAX as u128) as u32);
        }
    }
}

/// The interrupt was taken.
#[inline]
pub fn end_of_interrupt() {
    if BARE {
        write(END_OF_INTERRUPT, 0);
    }
}

/// Address and data of a message that arrives as `vector` (fixed delivery, edge, this CPU).
pub fn message(vector: u8) -> (u64, u64) {
    (MESSAGE_ADDRESS | (id() as u64) << 12, vector as u64)
}

/// This CPU's APIC id.
pub fn id() -> u8 {
    if !BARE {
        return 0;
    }
    // The whole register in x2APIC mode; the one CPU's number fits a byte.
    let shift = if features().contains(Features::X2APIC) { 0 } else { 24 };
    (read(ID) >> shift) as u8
}
