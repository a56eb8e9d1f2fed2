//! From the loader to the program.

use crate::{bus, interrupts, line, memory};
use bootinfo::{BootInfo, exit};
use core::cell::UnsafeCell;
use core::fmt::Display;
use microkernel::arch::{apic, cpu, gdt, ioapic, mmio, paging, port};

/// Makes `$start` (a `fn(&BootInfo) -> Result<(), impl Display>`) the program: entry point and panic handler.
#[macro_export]
macro_rules! entry {
    ($start:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "Rust" fn ring0_main(info: &bootinfo::BootInfo<'static>) -> ! {
            $crate::start::run(info, $start)
        }

        #[cfg(target_os = "none")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::start::fail(info)
        }

        #[cfg(not(target_os = "none"))]
        fn main() {
            $crate::start::on_host($start)
        }
    };
}

/// Bytes of the stack: drivers are made on it.
pub const STACK: usize = 128 << 10;

/// The only stack.
#[repr(C, align(4096))]
pub struct Stack(UnsafeCell<[u8; STACK]>);
// SAFETY: only the processor's stack pointer uses it.
unsafe impl Sync for Stack {}

/// See [`Stack`].
pub static STACK_MEMORY: Stack = Stack(UnsafeCell::new([0; STACK]));

#[cfg(target_os = "none")]
mod bare {
    use super::{BootInfo, STACK, STACK_MEMORY, fail};
    use microkernel::arch::serial;

    bootinfo::entry_point!(start, STACK_MEMORY, STACK);

    unsafe extern "Rust" {
        safe fn ring0_main(info: &BootInfo<'static>) -> !;
    }

    extern "C" fn start(info: *const u8, length: usize) -> ! {
        serial::init();
        // SAFETY: the loader passes the address and length of its postcard bytes, in the physical map, which nobody changes.
        let bytes = unsafe { core::slice::from_raw_parts(info, length) };
        match postcard::from_bytes::<BootInfo<'static>>(bytes) {
            Ok(info) if info.version == bootinfo::VERSION => ring0_main(&info),
            _ => fail("not this version's boot information"),
        }
    }
}

/// Sets the machine up and runs the program to its end, which is the machine's.
pub fn run<E: Display>(
    info: &BootInfo<'static>,
    start: fn(&BootInfo<'static>) -> Result<(), E>,
) -> ! {
    relay::init(info.command_line);
    gdt::init();
    interrupts::init();
    cpu::init();
    paging::load_root(mmio::build_root(info.kernel_virtual - info.kernel.start));
    apic::init(info.acpi.local_apic);
    ioapic::init(&info.acpi.io_apics);
    stop_timer();
    memory::init(info);
    match start(info) {
        Ok(()) => end(exit::SUCCESS),
        Err(why) => {
            line::print(format_args!("{why}\n"));
            end(exit::COMMAND_FAILED)
        }
    }
}

/// Refuses to run the program on a host.
#[cfg(not(target_os = "none"))]
pub fn on_host<E>(_start: fn(&BootInfo<'static>) -> Result<(), E>) -> ! {
    eprintln!(
        "This runs on a bare machine: type `cargo bench -- --only read` in the workspace's folder."
    );
    std::process::exit(2)
}

/// Stops channel 0 of the 8254, which nobody uses and firmware has left running: an emulator whose processor waits for a device
/// would jump to its next tick. Mode 0: it counts to 0 once, from a number in two bytes (8254 data sheet, "Control Word Format").
fn stop_timer() {
    for (number, value) in [(0x43, 0x30), (0x40, 1), (0x40, 0)] {
        port::write(number, 1, value);
    }
}

/// Where the stack begins: its end.
pub fn stack() -> u64 {
    STACK_MEMORY.0.get() as u64 + STACK as u64
}

/// Says why the machine cannot go on, and ends it.
pub fn fail(why: impl Display) -> ! {
    line::print(format_args!("{why}\n"));
    end(exit::KERNEL_PANIC)
}

/// Ends the machine; or, where another kernel follows, only this one.
pub fn end(value: u8) -> ! {
    bus::silence();
    relay::pass_on();
    port::end_machine(value)
}
