//! Model-specific registers that are not the guest's own (SDM 4, 2.1). All that are not named here do not exist: #GP.

/// IA32_APIC_BASE: the APIC that is not there.
const APIC_BASE: u32 = 0x1b;
const APIC_BASE_VALUE: u64 = 0xfee0_0900;
/// IA32_PAT, as after reset.
const PAT: u32 = 0x277;
/// See [`PAT`].
pub const PAT_VALUE: u64 = 0x0007_0406_0007_0406;
/// IA32_TSC_DEADLINE.
const TSC_DEADLINE: u32 = 0x6e0;
/// IA32_EFER: SYSCALL, long mode on, long mode active, no-execute.
const EFER: u32 = 0xc000_0080;
const EFER_CHANGEABLE: u64 = 1 | 1 << 11;

/// Reads a register; `None`: #GP. A deadline that is not set reads as 0 (SDM 3A 11.5.4.1).
pub fn read(register: u32, efer: u64, deadline: Option<u64>) -> Option<u64> {
    match register {
        APIC_BASE => Some(APIC_BASE_VALUE),
        PAT => Some(PAT_VALUE),
        TSC_DEADLINE => deadline.or(Some(0)),
        EFER => Some(efer),
        _ => None,
    }
}

/// Writes one; false: #GP. Long mode stays on: a kernel cannot turn its virtual memory off. Deadline 0 turns the timer off.
pub fn write(register: u32, value: u64, efer: &mut u64, deadline: &mut Option<u64>) -> bool {
    match register {
        TSC_DEADLINE => *deadline = (value != 0).then_some(value),
        EFER if (value ^ *efer) & !EFER_CHANGEABLE == 0 => *efer = value,
        PAT if value == PAT_VALUE => {}
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: u64 = 1 << 8 | 1 << 10;

    /// EFER and the deadline after a write, if it is none that is refused.
    fn after(register: u32, value: u64) -> Option<(u64, Option<u64>)> {
        let (mut efer, mut deadline) = (ON, Some(7));
        write(register, value, &mut efer, &mut deadline).then_some((efer, deadline))
    }

    #[test]
    fn long_mode_cannot_be_left() {
        assert_eq!(after(EFER, ON | 1 << 11), Some((ON | 1 << 11, Some(7))));
        for value in [0, 1 << 10, 1 << 8, ON | 1 << 12, u64::MAX] {
            assert_eq!(after(EFER, value), None, "{value:#x}");
        }
    }

    #[test]
    fn what_is_not_named_does_not_exist() {
        // VM_HSAVE_PA, IA32_FEATURE_CONTROL, IA32_VMX_BASIC, IA32_SMBASE.
        for register in [0xc001_0117, 0x3a, 0x480, 0x9e, 0, u32::MAX] {
            assert_eq!(read(register, 0, None), None);
            assert_eq!(after(register, 0), None);
        }
        assert_eq!(after(TSC_DEADLINE, 5), Some((ON, Some(5))));
        assert_eq!(after(TSC_DEADLINE, 0), Some((ON, None)));
        assert_eq!(read(TSC_DEADLINE, 0, Some(5)), Some(5));
        assert_eq!(read(TSC_DEADLINE, 0, None), Some(0));
        assert_eq!(after(PAT, PAT_VALUE), Some((ON, Some(7))));
        assert_eq!(after(PAT, 0), None);
    }
}
