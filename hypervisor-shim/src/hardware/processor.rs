//! The shim's own processor state.

use microkernel::arch::features::{Features, features};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

/// Sets control registers: the floating-point registers are the guests' and can be saved; pages of programs, of which the shim
/// has none, can be neither executed nor touched.
pub fn init() {
    let mut cr4 =
        Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE;
    for (feature, flag) in [
        (Features::GLOBAL, Cr4Flags::PAGE_GLOBAL),
        (Features::SMEP, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (Features::SMAP, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (Features::XSAVE, Cr4Flags::OSXSAVE),
    ] {
        cr4.set(flag, features().contains(feature));
    }
    // SAFETY: paging stays on; CPUID announced the flags.
    unsafe {
        Cr0::write(
            Cr0Flags::PROTECTED_MODE_ENABLE
                | Cr0Flags::NUMERIC_ERROR
                | Cr0Flags::EXTENSION_TYPE
                | Cr0Flags::MONITOR_COPROCESSOR
                | Cr0Flags::WRITE_PROTECT
                | Cr0Flags::PAGING,
        );
        Cr4::write(cr4);
    }
}
