//! Start, exceptions, and the end.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;

use bootinfo::{BootInfo, exit, shim};
use microkernel::arch::{gdt, port, serial};
use microkernel::log;
use x86_64::VirtAddr;

use crate::{attacks, channels, fuzz, measure, roles};

/// #DB and #AC.
pub const DEBUG: u8 = 1;
/// See [`DEBUG`].
pub const ALIGNMENT: u8 = 17;

/// IA32_TSC_DEADLINE.
pub const DEADLINE: u32 = 0x6e0;

/// Bytes of the stack.
pub const STACK: usize = 32 << 10;

/// Memory that is nobody else's.
#[repr(C, align(4096))]
pub struct Own<T>(pub UnsafeCell<T>);
// SAFETY: one CPU, and no reference outlives the statement that makes it.
unsafe impl<T> Sync for Own<T> {}

static STACK_AREA: Own<[u8; STACK]> = Own(UnsafeCell::new([0; STACK]));

bootinfo::entry_point!(start, STACK_AREA, STACK);

global_asm!(
    ".pushsection .text.stubs, \"ax\"",
    // Every exception and interrupt, vectors of 8 bytes each: the stack it finds may be nonsense.
    ".global hostile_stubs",
    ".balign 16",
    "hostile_stubs:",
    ".irp high, 0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f",
    ".irp low, 0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f",
    ".balign 8",
    "push 0x\\high\\low",
    "jmp 1f",
    ".endr",
    ".endr",
    // Those that do nothing: without an error code, and with one.
    ".global hostile_return, hostile_return_with_error",
    "hostile_return_with_error: add rsp, 8",
    "hostile_return: iretq",
    // RDI: the vector, RSI: where it was, RDX: when. The stack was empty and aligned, so that its address tells whether there is an
    // error code.
    "1: rdtsc",
    "shl rdx, 32",
    "or rdx, rax",
    "pop rdi",
    "test spl, 8",
    "jnz 2f",
    "add rsp, 8",
    "2: mov rsi, [rsp]",
    "lea rsp, [rip + {stack} + {size}]",
    "cld",
    "call {trapped}",
    ".popsection",
    stack = sym STACK_AREA,
    size = const STACK,
    trapped = sym trapped,
);

unsafe extern "C" {
    fn hostile_stubs();
    fn hostile_return();
    fn hostile_return_with_error();
}

static TABLE: Own<[[u64; 2]; 256]> = Own(UnsafeCell::new([[0; 2]; 256]));

/// Segments, and a table in which every vector leads to [`trapped`], on a stack of its own where the processor can be told so.
pub fn catch_all() {
    // SAFETY: interrupts are off; the stubs are this program's.
    unsafe {
        let table = &mut *TABLE.0.get();
        for (vector, entry) in table.iter_mut().enumerate() {
            *entry = gate(hostile_stubs as *const () as u64 + 8 * vector as u64);
        }
        x86_64::instructions::tables::lidt(&x86_64::structures::DescriptorTablePointer {
            limit: 256 * 16 - 1,
            base: VirtAddr::new(TABLE.0.get() as u64),
        });
    }
}

/// A gate to an address, on a stack of its own.
fn gate(address: u64) -> [u64; 2] {
    const GATE: u64 = 0x8e00 << 32 | (gdt::Ist::DoubleFault as u64) << 32;
    let low = address & 0xffff | u64::from(gdt::KERNEL_CODE) << 16 | GATE;
    [low | (address >> 16 & 0xffff) << 48, address >> 32]
}

/// An exception or interrupt does nothing.
pub fn ignore(vector: u8) {
    let stub = match vector {
        ALIGNMENT => hostile_return_with_error as *const (),
        _ => hostile_return as *const (),
    };
    // SAFETY: the table is loaded; the processor reads the gate only when that happens.
    unsafe { (*TABLE.0.get())[usize::from(vector)] = gate(stub as u64) };
}

extern "C" fn start(info: *const u8, length: usize) -> ! {
    serial::init();
    gdt::init();
    catch_all();
    // SAFETY: the loader passes the address and length of its postcard bytes, in the physical map.
    let bytes = unsafe { core::slice::from_raw_parts(info, length) };
    let info = postcard::from_bytes::<BootInfo>(bytes).ok();
    let words = info.as_ref().map_or("", |info| info.command_line);
    let memory = info.as_ref().map_or(&[][..], |info| &info.memory);
    let starts = core::arch::x86_64::__cpuid(shim::INSTANCE_LEAF).ebx;
    let asked = |what| words.split_whitespace().any(|word| word == what);
    if let Some(seed) = fuzz_seed(words) {
        // Each start another one.
        fuzz::run(seed.wrapping_mul(u64::from(starts) + 1) | 1);
    }
    if asked("channels") {
        channels::attack(None);
    }
    if let Some(list) = words
        .split_whitespace()
        .find_map(|word| word.strip_prefix("roles="))
    {
        roles::play(list);
    }
    if asked("measure") {
        let mut words = words.split_whitespace();
        let (nonce, samples) = (
            words.next(),
            words.next().and_then(|word| word.parse().ok()),
        );
        measure::run(nonce.unwrap_or_default(), samples.unwrap_or(0), memory);
        end();
    }
    attacks::run(starts as usize, memory);
    survived()
}

/// The seed of random instructions, if these are asked for: `fuzz=`, and a hexadecimal number.
fn fuzz_seed(words: &str) -> Option<u64> {
    let mut words = words.split_whitespace();
    let seed = words.find_map(|word| word.strip_prefix("fuzz="))?;
    u64::from_str_radix(seed.trim_start_matches("0x"), 16).ok()
}

/// Whether the processor is AMD's: "Auth" of "AuthenticAMD".
pub fn is_amd() -> bool {
    core::arch::x86_64::__cpuid(0).ebx == u32::from_le_bytes(*b"Auth")
}

/// Calls the shim, with numbers that mean nothing.
pub fn call(value: u64) {
    // SAFETY: a call of the shim changes RAX only.
    unsafe {
        if is_amd() {
            asm!("vmmcall", inout("rax") value => _, in("rcx") value >> 7, in("rdx") value >> 9);
        } else {
            asm!("vmcall", inout("rax") value => _, in("rcx") value >> 7, in("rdx") value >> 9);
        }
    }
}

/// The attack went on to its end.
pub fn survived() -> ! {
    log!("survived");
    end()
}

/// An exception or interrupt at `rip`, TSC ticks `now`.
extern "C" fn trapped(vector: u8, rip: u64, now: u64) -> ! {
    if fuzz::running() {
        fuzz::trapped(vector, rip, now);
    }
    log!("exception {vector}");
    end()
}

/// The instance is done.
pub fn end() -> ! {
    port::end_machine(exit::SUCCESS)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    // What a block of random instructions wrecked. (And QEMU's clock of instructions stands still in the PAUSE loop of a lock.)
    if fuzz::running() {
        fuzz::trapped(0, 0, 0);
    }
    log!("panic: {info}");
    end()
}
