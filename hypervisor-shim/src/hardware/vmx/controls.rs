//! What the processor must be able to do, and the controls of guests: every bit that is wanted is checked against the capability
//! registers (SDM 3D, appendix A).

use x86::msr::*;
use x86::vmx::vmcs::control;

use crate::bits;
use crate::hardware::processor::Identity;

/// IA32_FEATURE_CONTROL: locked, VMX outside of SMX.
pub const LOCKED: u64 = 1;
/// See [`LOCKED`].
pub const VMX_ON: u64 = 1 << 2;
/// IA32_VMX_BASIC: write-back memory, "true" controls (A.1).
const MEMORY_TYPE: u64 = 0xf << 50;
const WRITE_BACK: u64 = 6 << 50;
const TRUE_CONTROLS: u64 = 1 << 55;
/// IA32_VMX_EPT_VPID_CAP: 4 levels, write-back, pages of 2 MiB and 1 GiB, INVEPT, for all; INVVPID, for all (A.10).
const EPT_NEEDED: u64 = bits(&[6, 14, 16, 17, 20, 26, 32, 42]);

/// A group of controls: its field, its capability register, the "true" one, what is wanted, and what is missing without.
pub struct Group(pub u32, u32, u32, u64, &'static str);

/// Interrupt-window exiting, a bit of the second group.
pub const WINDOW: u64 = 1 << 2;
/// All groups.
pub const GROUPS: [Group; 5] = [
    // External interrupts and NMIs exit, and the preemption timer counts (SDM 3C 25.6.1).
    Group(
        control::PINBASED_EXEC_CONTROLS,
        IA32_VMX_PINBASED_CTLS,
        IA32_VMX_TRUE_PINBASED_CTLS,
        bits(&[0, 3, 6]),
        "the CPU's VT-x lacks a control (pin-based)",
    ),
    // HLT, MWAIT, RDPMC, CR8 both ways, MONITOR exit; bitmaps of ports and MSRs; secondary controls (25.6.2).
    Group(
        control::PRIMARY_PROCBASED_EXEC_CONTROLS,
        IA32_VMX_PROCBASED_CTLS,
        IA32_VMX_TRUE_PROCBASED_CTLS,
        bits(&[7, 10, 11, 19, 20, 25, 28, 29, 31]),
        "the CPU's VT-x lacks a control (processor-based)",
    ),
    // EPT, VPID; WBINVD exits.
    Group(
        control::SECONDARY_PROCBASED_EXEC_CONTROLS,
        IA32_VMX_PROCBASED_CTLS2,
        IA32_VMX_PROCBASED_CTLS2,
        bits(&[1, 5, 6]),
        "the CPU has VT-x, but no EPT or VPID",
    ),
    // The host is 64-bit; interrupts are acknowledged; PAT and EFER are saved and loaded; the preemption timer is saved (25.7.1).
    Group(
        control::VMEXIT_CONTROLS,
        IA32_VMX_EXIT_CTLS,
        IA32_VMX_TRUE_EXIT_CTLS,
        bits(&[9, 15, 18, 19, 20, 21, 22]),
        "the CPU's VT-x lacks a control (exit)",
    ),
    // The guest is 64-bit; PAT and EFER are loaded (25.8.1).
    Group(
        control::VMENTRY_CONTROLS,
        IA32_VMX_ENTRY_CTLS,
        IA32_VMX_TRUE_ENTRY_CTLS,
        bits(&[9, 14, 15]),
        "the CPU's VT-x lacks a control (entry)",
    ),
];

impl Group {
    /// The value for the VMCS: what is wanted and what must be 1 (A.2). Else: what is missing.
    pub fn value(&self, cpu: &impl Identity) -> Result<u64, &'static str> {
        let &Group(_, register, true_register, wanted, missing) = self;
        let allowed = match cpu.msr(IA32_VMX_BASIC) & TRUE_CONTROLS {
            0 => cpu.msr(register),
            _ => cpu.msr(true_register),
        };
        let value = wanted | allowed & 0xffff_ffff;
        if value & !(allowed >> 32) == 0 { Ok(value) } else { Err(missing) }
    }
}

/// Whether the processor has VT-x with all that is needed, and firmware has not locked it off. Else: what is missing.
pub fn supported(cpu: &impl Identity) -> Result<(), &'static str> {
    if cpu.cpuid(1)[2] & 1 << 5 == 0 {
        return Err("the CPU has no VT-x");
    }
    // A processor with VMX has these registers (A.1).
    if cpu.msr(IA32_FEATURE_CONTROL) & (LOCKED | VMX_ON) == LOCKED {
        return Err("firmware has locked VT-x off");
    }
    if cpu.msr(IA32_VMX_BASIC) & MEMORY_TYPE != WRITE_BACK {
        return Err("VT-x structures are not write-back memory");
    }
    // The register of the secondary controls exists only if the primary ones can turn them on, and the last one only if these
    // have EPT or VPID: in this order.
    for group in &GROUPS {
        group.value(cpu)?;
    }
    match cpu.msr(IA32_VMX_EPT_VPID_CAP) & EPT_NEEDED {
        EPT_NEEDED => Ok(()),
        _ => Err("the CPU's EPT lacks large pages or INVEPT"),
    }
}

/// The revision that VMX structures begin with (A.1).
pub fn revision(cpu: &impl Identity) -> [u8; 4] {
    (cpu.msr(IA32_VMX_BASIC) as u32 & 0x7fff_ffff).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Numbers;

    /// Tiger Lake, as Bochs 2.7 has it.
    fn tigerlake() -> Numbers {
        let mut cpu = Numbers::default();
        cpu.leaves.insert(1, [0, 0, 1 << 5, 0]);
        for (register, value) in [
            (IA32_FEATURE_CONTROL, LOCKED | VMX_ON),
            (IA32_VMX_BASIC, 0x01d8_1000_0000_0004),
            (IA32_VMX_PROCBASED_CTLS2, 0x0297_7fff_0000_0000),
            (IA32_VMX_EPT_VPID_CAP, 0x0000_0f01_06b3_4141),
            (IA32_VMX_TRUE_PINBASED_CTLS, 0x0000_007f_0000_0016),
            (IA32_VMX_TRUE_PROCBASED_CTLS, 0xfff9_fffe_0401_e172),
            (IA32_VMX_TRUE_EXIT_CTLS, 0x107f_ffff_0003_6dff),
            (IA32_VMX_TRUE_ENTRY_CTLS, 0x0010_ffff_0000_11ff),
        ] {
            cpu.registers.insert(register, value);
        }
        cpu
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(supported(&tigerlake()), Ok(()));
        let mut open = tigerlake();
        open.registers.insert(IA32_FEATURE_CONTROL, 0);
        assert_eq!(supported(&open), Ok(()), "the shim turns it on");
        let mut none = tigerlake();
        none.leaves.insert(1, [0; 4]);
        assert_eq!(supported(&none), Err("the CPU has no VT-x"));
        for (register, value, message) in [
            (IA32_FEATURE_CONTROL, LOCKED, "firmware has locked VT-x off"),
            (IA32_VMX_BASIC, 1 << 55, "VT-x structures are not write-back memory"),
            (IA32_VMX_PROCBASED_CTLS2, 0x40 << 32, "the CPU has VT-x, but no EPT or VPID"),
            (IA32_VMX_EPT_VPID_CAP, 0x4141, "the CPU's EPT lacks large pages or INVEPT"),
            (IA32_VMX_TRUE_PINBASED_CTLS, 0x3f << 32, "the CPU's VT-x lacks a control (pin-based)"),
        ] {
            let mut cpu = tigerlake();
            cpu.registers.insert(register, value);
            assert_eq!(supported(&cpu), Err(message));
        }
        // Without secondary controls their register does not exist, and is not asked for.
        let mut old = tigerlake();
        old.registers.insert(IA32_VMX_TRUE_PROCBASED_CTLS, 0x7ff9_fffe_0401_e172);
        old.registers.remove(&IA32_VMX_PROCBASED_CTLS2);
        assert_eq!(supported(&old), Err("the CPU's VT-x lacks a control (processor-based)"));
    }

    #[test]
    fn what_must_be_on_is_on() {
        let value = GROUPS[1].value(&tigerlake());
        assert_eq!(value, Ok(0x0401_e172 | bits(&[7, 10, 11, 19, 20, 25, 28, 29, 31])));
    }
}
