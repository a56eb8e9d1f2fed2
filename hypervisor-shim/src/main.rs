//! The shim's binary: boot order only, one line a step.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use bootinfo::{BootInfo, Range, exit};
    use hypervisor_shim::hardware::interrupts;
    use hypervisor_shim::hardware::memory::Window;
    use hypervisor_shim::hardware::processor::{self, Real};
    use hypervisor_shim::hardware::svm::{self, Svm};
    use hypervisor_shim::hardware::vmx::{self, Vmx};
    use hypervisor_shim::pool::Pool;
    use hypervisor_shim::setup;
    use hypervisor_shim::vcpu::Vcpu;
    use loader::{Map, rights};
    use microkernel::arch::{apic, ioapic, mmio, paging, port, serial};
    use microkernel::{boot, log};

    /// Bytes of the stack.
    const STACK: usize = 128 << 10;
    bootinfo::entry_point!(start, STACK);

    extern "C" fn start(info: *const u8, length: usize) -> ! {
        serial::init();
        // SAFETY: the loader passes the address and length of its postcard bytes, in the physical map.
        let bytes = unsafe { core::slice::from_raw_parts(info, length) };
        let info: BootInfo = match postcard::from_bytes(bytes) {
            Ok(info) => info,
            Err(error) => refuse(format_args!("boot information: {error}")),
        };
        match (svm::supported(&Real), vmx::controls::supported(&Real)) {
            (Ok(()), _) => run::<Svm>(&info),
            (_, Ok(())) => run::<Vmx>(&info),
            (Err(svm), Err(vmx)) => without(&info, svm, vmx),
        }
    }

    fn run<V: Vcpu>(info: &BootInfo) -> ! {
        interrupts::init();
        processor::init();
        let root = mmio::build_root(info.kernel_virtual - info.kernel.start);
        paging::load_root(root);
        apic::init(info.acpi.local_apic);
        ioapic::init(&info.acpi.io_apics);
        let hz = apic::calibrate();
        let pool = memory(info);
        if let Some(page) = rights::writable_code(&pool.memory, root) {
            refuse(format_args!("the code at {page:#x} could be changed; make the loader anew"));
        }
        match setup::build::<V>(info, pool, hz) {
            Ok(mut machine) => machine.run(),
            Err((number, error)) => refuse(format_args!("instance {number}: {error}")),
        }
    }

    /// No virtualization: if the command line allows, one of the systems has the bare machine.
    fn without(info: &BootInfo, svm: &str, vmx: &str) -> ! {
        if !boot::has_option(info, setup::OPTIONAL) {
            refuse(format_args!(
                "{svm}, and {vmx}; use one that has (QEMU: -cpu max), or add {} to the command line to boot one system alone",
                setup::OPTIONAL
            ));
        }
        match setup::bare(info, &mut memory(info)) {
            Ok((number, entry)) => {
                log!("shim: {svm}, and {vmx}: instance {number} has the bare machine");
                // SAFETY: the tables are the loader's, and nothing of them has changed.
                unsafe { processor::enter(&entry, info.kernel_virtual - info.kernel.start) }
            }
            Err(error) => refuse(format_args!("{error}")),
        }
    }

    fn memory(info: &BootInfo) -> Pool {
        let mut map = Map::new();
        for range in &info.memory {
            // It came from such a map: there is room.
            let _ = map.add(Range { start: range.start, size: range.size }, range.kind);
        }
        // SAFETY: the loader mapped all that its memory map names, and nothing is in use of what the map calls Usable.
        let memory = unsafe { Window::new(Range { start: 0, size: map.memory_end() }) };
        Pool::new(map, memory)
    }

    /// The machine or the archive is not fit: say so and stop.
    fn refuse(reason: core::fmt::Arguments) -> ! {
        log!("shim: {reason}");
        port::end_machine(exit::LOADER_REFUSED)
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo) -> ! {
        log!("KERNEL PANIC: shim: {info}");
        log!("KERNEL PANIC END");
        port::end_machine(exit::KERNEL_PANIC)
    }
}

/// On a host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This is the hypervisor shim: `cargo run -- run --system vms2` boots it.");
    std::process::exit(2);
}
