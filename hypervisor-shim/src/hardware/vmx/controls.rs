//! What the processor must be able to do, and the controls of guests: every bit that is wanted is checked against the capability
//! registers (SDM 3D, appendix A).

use microkernel::arch::cpu;

/// IA32_FEATURE_CONTROL: locked, VMX outside of SMX.
const FEATURE_CONTROL: u32 = 0x3a;
const LOCKED: u64 = 1;
const VMX_ON: u64 = 1 << 2;
/// IA32_VMX_BASIC: write-back memory, "true" controls (A.1).
const BASIC: u32 = 0x480;
const MEMORY_TYPE: u64 = 0xf << 50;
const WRITE_BACK: u64 = 6 << 50;
const TRUE_CONTROLS: u64 = 1 << 55;
/// IA32_VMX_EPT_VPID_CAP: 4 levels, write-back, pages of 2 MiB and 1 GiB, INVEPT, for all; INVVPID, for all (A.10).
const EPT_CAPABILITIES: u32 = 0x48c;
const EPT_NEEDED: u64 =
    1 << 6 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 20 | 1 << 26 | 1 << 32 | 1 << 42;

/// A group of controls: its capability register, the "true" one, and what is wanted.
pub struct Group {
    register: u32,
    true_register: u32,
    wanted: u32,
    name: &'static str,
}

/// External interrupts and NMIs exit, and the preemption timer counts (SDM 3C 25.6.1).
pub const PIN: Group = Group {
    register: 0x481,
    true_register: 0x48d,
    wanted: 1 | 1 << 3 | 1 << 6,
    name: "the CPU's VT-x lacks a control (pin-based)",
};
/// HLT, MWAIT, RDPMC, CR8 both ways, MONITOR exit; bitmaps of ports and MSRs; secondary controls (25.6.2).
pub const PRIMARY: Group = Group {
    register: 0x482,
    true_register: 0x48e,
    wanted: 1 << 7 | 1 << 10 | 1 << 11 | 1 << 19 | 1 << 20 | 1 << 25 | 1 << 28 | 1 << 29 | 1 << 31,
    name: "the CPU's VT-x lacks a control (processor-based)",
};
/// Interrupt-window exiting, a bit of [`PRIMARY`].
pub const WINDOW: u64 = 1 << 2;
/// EPT, VPID; WBINVD exits.
pub const SECONDARY: Group = Group {
    register: 0x48b,
    true_register: 0x48b,
    wanted: 1 << 1 | 1 << 5 | 1 << 6,
    name: "the CPU's VT-x lacks a control (secondary)",
};
/// The host is 64-bit; interrupts are acknowledged; PAT and EFER are saved and loaded; the preemption timer is saved (25.7.1).
pub const EXIT: Group = Group {
    register: 0x483,
    true_register: 0x48f,
    wanted: 1 << 9 | 1 << 15 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21 | 1 << 22,
    name: "the CPU's VT-x lacks a control (exit)",
};
/// The guest is 64-bit; PAT and EFER are loaded (25.8.1).
pub const ENTRY: Group = Group {
    register: 0x484,
    true_register: 0x490,
    wanted: 1 << 9 | 1 << 14 | 1 << 15,
    name: "the CPU's VT-x lacks a control (entry)",
};

impl Group {
    /// The value for the VMCS: what is wanted and what must be 1; `None`: something that is wanted must be 0 (A.2).
    pub fn value(&self) -> Option<u64> {
        // SAFETY: a processor with VMX has these registers; the true ones if IA32_VMX_BASIC says so.
        let allowed = unsafe {
            match cpu::read_msr(BASIC) & TRUE_CONTROLS {
                0 => cpu::read_msr(self.register),
                _ => cpu::read_msr(self.true_register),
            }
        };
        let (must, may) = (allowed as u32, (allowed >> 32) as u32);
        let value = self.wanted | must;
        (value & !may == 0).then_some(value.into())
    }
}

/// Whether the processor has VT-x with all that is needed, and firmware has not locked it off. Else: what is missing.
pub fn supported() -> Result<(), &'static str> {
    if core::arch::x86_64::__cpuid(1).ecx & 1 << 5 == 0 {
        return Err("the CPU has no VT-x");
    }
    // SAFETY: a processor with VMX has these registers (A.1); an unlocked one may be written once (24.7).
    let (basic, capabilities) = unsafe {
        let control = cpu::read_msr(FEATURE_CONTROL);
        if control & LOCKED == 0 {
            cpu::write_msr(FEATURE_CONTROL, control | LOCKED | VMX_ON);
        } else if control & VMX_ON == 0 {
            return Err("firmware has locked VT-x off");
        }
        if SECONDARY.value().is_none() {
            return Err("the CPU has VT-x, but no EPT or VPID");
        }
        (cpu::read_msr(BASIC), cpu::read_msr(EPT_CAPABILITIES))
    };
    if basic & MEMORY_TYPE != WRITE_BACK {
        return Err("VT-x structures are not write-back memory");
    }
    if capabilities & EPT_NEEDED != EPT_NEEDED {
        return Err("the CPU's EPT lacks large pages or INVEPT");
    }
    for group in [PIN, PRIMARY, EXIT, ENTRY] {
        if group.value().is_none() {
            return Err(group.name);
        }
    }
    Ok(())
}

/// The revision that VMX structures begin with (A.1).
pub fn revision() -> u32 {
    // SAFETY: VMX exists.
    unsafe { cpu::read_msr(BASIC) as u32 & 0x7fff_ffff }
}

/// The preemption timer counts down by one every 2^n TSC ticks (IA32_VMX_MISC, A.6).
pub fn timer_shift() -> u64 {
    // SAFETY: VMX exists.
    unsafe { cpu::read_msr(0x485) & 0x1f }
}
