//! The kernel's binary: boot order only, one line a step.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use microkernel::{
        arch::{self, apic, cpu, entry, gdt, idt, ioapic, mmio, port, serial},
        boot, log,
    };

    bootinfo::entry_point!(start, entry::POSTERN_STACK, entry::STACK);

    extern "C" fn start(info: *const u8, length: usize) -> ! {
        serial::init();
        // SAFETY: the loader passes the address and length of its postcard bytes, in the physical map.
        let bytes = unsafe { core::slice::from_raw_parts(info, length) };
        let info: bootinfo::BootInfo = match postcard::from_bytes(bytes) {
            Ok(info) => info,
            Err(error) => refuse(format_args!("boot information: {error:?}")),
        };
        if info.version != bootinfo::VERSION {
            let version = u64::from(info.version);
            refuse(format_args!("the loader speaks version {version} of boot information"));
        }
        gdt::init();
        idt::init(entry::stub_address);
        cpu::init();
        let root = mmio::build_root(info.kernel_virtual - info.kernel.start);
        arch::paging::load_root(root);
        apic::init(info.acpi.local_apic);
        ioapic::init(&info.acpi.io_apics);
        let tsc_hz = apic::calibrate();
        arch::protect(boot::protected(&info));
        let kernel = boot::kernel();
        kernel.fast_path = !boot::has_option(&info, boot::NO_FAST_PATH);
        cpu::set_fast_path(kernel.fast_path);
        kernel.begin(root, tsc_hz);
        boot::greet(kernel, &info);
        match boot::start_root(kernel, &info) {
            Ok(()) => entry::resume(),
            Err(reason) => refuse(format_args!("{}", log::Text(reason))),
        }
    }

    /// The machine or the archive is not fit for Postern: say so and stop.
    fn refuse(reason: core::fmt::Arguments) -> ! {
        log!("kernel: {reason}");
        port::end_machine(bootinfo::exit::LOADER_REFUSED)
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo) -> ! {
        arch::panic::panicked(info)
    }
}

/// On a host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This is the kernel: type `cargo run` in the workspace's folder to boot it.");
    std::process::exit(2);
}
