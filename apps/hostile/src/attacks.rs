//! The attacks. What each should come to is in tests/tests/hostile.rs.

use core::arch::asm;

use bootinfo::{MemoryRange, PHYSICAL_MAP, shim};
use microkernel::arch::{cpu, port};
use microkernel::log;

use crate::bare::{self, DEADLINE};
use crate::{channels, measure, user};

const EFER: u32 = 0xc000_0080;

macro_rules! instruction {
    ($($text:literal),+) => {
        // SAFETY: it is the attack.
        unsafe { asm!($($text),+, out("rax") _, out("rcx") _, out("rdx") _) }
    };
}

/// Attack, by its name.
type Attack = (&'static str, fn());

const ATTACKS: &[Attack] = &[
    ("paging off", || cr0(1 << 31)),
    ("protection off", || cr0(1)),
    ("write protection off", || cr0(1 << 16)),
    ("cache off", || cr0(0)),
    ("foreign page tables", foreign_tables),
    ("read page 0", || read(PHYSICAL_MAP + 8)),
    ("read the shim", || read(PHYSICAL_MAP + 0x10_0000)),
    ("read a neighbour", || read(PHYSICAL_MAP + 0x100_0000)),
    ("write a neighbour", || write(PHYSICAL_MAP + 0x100_0000)),
    ("execute a neighbour", execute),
    ("write the local APIC", || write(0xfee0_00b0)),
    ("read the IO-APIC", || read(0xfec0_0000)),
    ("write the screen", || write(0xb_8000)),
    ("read where nothing is", || read(0xe000_0000)),
    ("large page across the border", border),
    ("SVM's save area", || msr(0xc001_0117, 0x1000)),
    ("IA32_FEATURE_CONTROL", || msr(0x3a, 5)),
    ("IA32_VMX_BASIC", || {
        // SAFETY: it does not exist.
        let _ = unsafe { cpu::read_msr(0x480) };
    }),
    ("EFER.SVME", || efer(|efer| efer | 1 << 12)),
    ("long mode off", || efer(|efer| efer & !(1 << 8))),
    ("VMRUN", || instruction!("vmrun")),
    ("VMLOAD", || instruction!("vmload")),
    ("STGI", || instruction!("stgi")),
    ("VMXON", || instruction!("vmxon [rsp - 8]")),
    ("VMPTRST", || instruction!("vmptrst [rsp - 8]")),
    ("CR8 with an interrupt waiting", priority),
    ("INVD", || instruction!("invd")),
    ("VMXE", || cr4(1 << 13)),
    ("reserved bits of CR4", || cr4(1 << 31)),
    ("XCR0", || {
        // XSETBV exists only with CR4.OSXSAVE.
        cr4(1 << 18);
        instruction!("xor ecx, ecx", "xor edx, edx", "xor eax, eax", "xsetbv")
    }),
    ("reset by 0xcf9", || port::write(0xcf9, 1, 6)),
    ("reset by the keyboard controller", || {
        port::write(0x64, 1, 0xfe)
    }),
    ("reset by port 0x92", || port::write(0x92, 1, 1)),
    ("foreign ports", foreign_ports),
    ("foreign PCI functions", foreign_functions),
    ("string from nowhere", strings),
    ("halt for ever", || instruction!("cli", "hlt")),
    ("malformed calls", malformed),
    ("a storm of exits", storm),
    ("memory of no channel", || {
        read(shim::CHANNEL_MEMORY + 3 * shim::CHANNEL_STEP)
    }),
    ("nonsense through a channel", || {
        channels::attack(Some(200));
    }),
    ("a storm of bells", channels::storm),
    ("triple fault", triple_fault),
    ("stack of its own tables", nonsense_tables),
    ("debug exceptions without end", debug_loop),
    ("alignment exceptions without end", || {
        user::misaligned_for_ever()
    }),
    ("spin with interrupts off", || {
        instruction!("cli", "2: jmp 2b")
    }),
    ("pause with interrupts off", || {
        instruction!("cli", "2: pause", "jmp 2b")
    }),
    ("flood of output", flood),
];

/// Makes attack `index`; after the last one, measures, with `memory` that the loader has not used.
pub fn run(index: usize, memory: &[MemoryRange]) {
    match ATTACKS.get(index) {
        Some((name, attack)) => {
            log!("attack: {name}");
            attack();
        }
        None => {
            log!("no more attacks");
            measure::run("last", 100, memory);
        }
    }
}

/// Turns a bit of CR0 off, or the cache.
fn cr0(bit: u64) {
    // SAFETY: it is the attack.
    unsafe {
        let mut value: u64;
        asm!("mov {}, cr0", out(reg) value);
        value = if bit == 0 {
            value | 1 << 30
        } else {
            value & !bit
        };
        asm!("mov cr0, {}", in(reg) value);
    }
}

fn cr4(bits: u64) {
    // SAFETY: it is the attack.
    unsafe {
        let value: u64;
        asm!("mov {}, cr4", out(reg) value);
        asm!("mov cr4, {}", in(reg) value | bits);
    }
}

fn read(address: u64) {
    // SAFETY: it is the attack.
    let value = unsafe { (address as *const u64).read_volatile() };
    log!("read {value:#x}");
}

fn write(address: u64) {
    // SAFETY: it is the attack.
    unsafe { (address as *mut u64).write_volatile(0) };
    log!("written");
}

fn execute() {
    // SAFETY: it is the attack. (The low 4 GiB are executable at their own addresses: the loader ran there.)
    unsafe { asm!("jmp {}", in(reg) 0x100_0000u64) };
}

/// The interrupts' priority, which is the APIC's, is changed while an interrupt waits: QEMU 7.2 ends by an assertion of its own where nobody
/// intercepts that.
fn priority() {
    instruction!("cli");
    msr(DEADLINE, 1);
    // Milliseconds are enough for the timer.
    instruction!(
        "mov ecx, 10000000",
        "2: loop 2b",
        "xor eax, eax",
        "mov cr8, rax"
    );
}

fn msr(register: u32, value: u64) {
    // SAFETY: it is the attack.
    unsafe { cpu::write_msr(register, value) };
}

fn efer(change: fn(u64) -> u64) {
    // SAFETY: it is the attack.
    msr(EFER, change(unsafe { cpu::read_msr(EFER) }));
}

/// Tables where the shim, or nobody, has memory.
fn foreign_tables() {
    // SAFETY: it is the attack.
    unsafe { asm!("mov cr3, {}", in(reg) 0x10_0000u64) };
}

/// The first bytes after the partition: the tables map them, for they map large pages up to the end of memory and the low 4 GiB.
fn border() {
    let own = run as *const () as u64;
    log!("code at {own:#x}");
    // The stack is in the partition; a gigabyte further nothing is.
    for step in 1..64u64 {
        let address = 0x1000_0000 * step;
        // SAFETY: it is the attack.
        unsafe { (address as *const u8).read_volatile() };
    }
}

fn foreign_ports() {
    let mut others = 0;
    for port in 0..=u16::MAX {
        // The serial line, the clock, configuration space, and where reading has an effect on what follows.
        if !matches!(port, 0x3f8..=0x3ff | 0x70..=0x71 | 0xcf8..=0xcff)
            && port::read(port, 1) != 0xff
        {
            others += 1;
        }
    }
    for port in [0x20, 0x21, 0x40, 0x43, 0x60, 0x61, 0xa1, 0x1f0, 0x604] {
        port::write(port, 1, 0);
    }
    log!("{others} foreign ports answer");
}

fn foreign_functions() {
    let mut found = 0;
    for function in 0..=0xffffu64 {
        port::write(0xcf8, 4, 1 << 31 | function << 8);
        found += u32::from(port::read(0xcfc, 4) != 0xffff_ffff);
        // The command word, and the first base address: over the shim.
        port::write(0xcf8, 4, 1 << 31 | function << 8 | 4);
        port::write(0xcfc, 4, 7);
        port::write(0xcf8, 4, 1 << 31 | function << 8 | 0x10);
        port::write(0xcfc, 4, 0x10_0000);
    }
    log!("{found} functions");
}

fn strings() {
    // SAFETY: it is the attack.
    unsafe {
        asm!("rep outsb", in("dx") 0x3f8u16, inout("rsi") 0x7000_0000_0000u64 => _, inout("rcx") 100 => _)
    };
}

/// Numbers from a seed.
pub struct Random(pub u64);

impl Random {
    /// The next (xorshift, never 0).
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Everything that can be said to the shim, at random.
fn malformed() {
    let mut random = Random(0x5eed);
    for _ in 0..20_000 {
        let value = random.next();
        port::write(shim::LINE_PORT, 4, value);
        port::write(shim::CONTROL_PORT, 4, value >> 32);
        port::read(
            shim::CONTROL_PORT + (value >> 8 & 7) as u16,
            1 << (value & 1),
        );
        port::write(
            shim::LINE_PORT + (value >> 16 & 3) as u16,
            1 << (value & 1),
            value,
        );
        // Bells of channels that it has and of others, whole ports and parts.
        let bell = shim::BELL_PORT + (value >> 24 & 15) as u16;
        port::write(bell, 1 << (value >> 28 & 1), value);
        port::write(bell, 4, value);
        port::read(bell, 4);
        bare::call(value);
    }
}

fn storm() {
    for _ in 0..300_000 {
        core::hint::black_box(core::arch::x86_64::__cpuid(1));
    }
}

fn triple_fault() {
    let none = x86_64::structures::DescriptorTablePointer {
        limit: 0,
        base: x86_64::VirtAddr::new(0),
    };
    // SAFETY: it is the attack.
    unsafe { x86_64::instructions::tables::lidt(&none) };
    instruction!("ud2");
}

/// Page tables whose tables lie outside the partition are walked by the processor, and by the shim when it decodes.
fn nonsense_tables() {
    // SAFETY: it is the attack: the entry of the low 4 GiB is replaced while it is in use.
    unsafe {
        let root: u64;
        asm!("mov {}, cr3", out(reg) root);
        let entry = (PHYSICAL_MAP + root) as *mut u64;
        for value in [0x10_0003u64, 0x000f_ffff_ffff_f003, 3] {
            entry.write_volatile(value);
            asm!("mov cr3, {}", in(reg) root);
            // The shim walks these tables to find the bytes.
            asm!("outsb", in("dx") 0x3f8u16, inout("rsi") 0x1000u64 => _);
        }
    }
}

/// Every instruction traps, and nobody takes that back.
fn debug_loop() {
    bare::ignore(bare::DEBUG);
    instruction!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "2: jmp 2b");
}

fn flood() {
    loop {
        log!("flood");
    }
}
