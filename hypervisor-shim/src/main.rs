//! The shim's binary: boot order only, one line a step.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use bootinfo::{BootInfo, exit};
    use hypervisor_shim::hardware::memory::AllMemory;
    use hypervisor_shim::hardware::svm::{self, Svm};
    use hypervisor_shim::hardware::vmx::{self, Vmx};
    use hypervisor_shim::hardware::{interrupts, processor};
    use hypervisor_shim::setup;
    use hypervisor_shim::vcpu::Vcpu;
    use loader::Map;
    use microkernel::arch::{apic, features, ioapic, mmio, paging, port, serial};
    use microkernel::log;

    /// Bytes of the stack.
    const STACK: usize = 128 << 10;
    #[repr(C, align(4096))]
    struct Stack(core::cell::UnsafeCell<[u8; STACK]>);
    // SAFETY: only the stack pointer uses it.
    unsafe impl Sync for Stack {}
    static STACK_AREA: Stack = Stack(core::cell::UnsafeCell::new([0; STACK]));

    bootinfo::entry_point!(start, STACK_AREA, STACK);

    extern "C" fn start(info: *const u8, length: usize) -> ! {
        serial::init();
        // SAFETY: the loader passes the address and length of its postcard bytes, in the physical map.
        let bytes = unsafe { core::slice::from_raw_parts(info, length) };
        let info: BootInfo = match postcard::from_bytes(bytes) {
            Ok(info) => info,
            Err(error) => refuse(format_args!("boot information: {error}")),
        };
        features::detect();
        interrupts::init();
        processor::init();
        let root = mmio::build_root(info.kernel_virtual - info.kernel.start);
        paging::load_root(root);
        apic::init(info.acpi.local_apic);
        ioapic::init(&info.acpi.io_apics);
        let hz = apic::calibrate();
        match (svm::supported(), vmx::supported()) {
            (Ok(()), _) => run::<Svm>(&info, hz),
            (_, Ok(())) => run::<Vmx>(&info, hz),
            (Err(svm), Err(vmx)) => refuse(format_args!("{svm}, and {vmx}")),
        }
    }

    fn run<V: Vcpu>(info: &BootInfo, hz: u64) -> ! {
        let mut map = Map::new();
        for range in &info.memory {
            let piece = bootinfo::Range { start: range.start, size: range.size };
            if let Err(error) = map.add(piece, range.kind) {
                refuse(format_args!("{error}"));
            }
        }
        // SAFETY: the loader mapped all that its memory map names, and nothing is in use of what the map calls Usable.
        let memory = unsafe { AllMemory::new(map.memory_end()) };
        match setup::build::<V>(info, map, memory, hz) {
            Ok(mut machine) => machine.run(),
            Err(problem) => refuse(format_args!("{problem}")),
        }
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
