//! Model-specific registers that are not the guest's own (SDM 4, 2.1). All that are not named here do not exist: #GP.

/// IA32_APIC_BASE: the APIC that is not there.
const APIC_BASE: u32 = 0x1b;
const APIC_BASE_VALUE: u64 = 0xfee0_0900;
/// IA32_PAT, as after reset.
const PAT: u32 = 0x277;
const PAT_VALUE: u64 = 0x0007_0406_0007_0406;
/// IA32_TSC_DEADLINE.
const TSC_DEADLINE: u32 = 0x6e0;
/// IA32_EFER: SYSCALL, long mode on, long mode active, no-execute.
const EFER: u32 = 0xc000_0080;
const EFER_CHANGEABLE: u64 = 1 | 1 << 11;

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The deadline is set.
    Deadline(u64),
    /// EFER is set.
    Efer(u64),
    /// Nothing.
    Nothing,
    /// #GP.
    Refused,
}

/// Reads a register; `None`: #GP.
pub fn read(register: u32, efer: u64, deadline: u64) -> Option<u64> {
    match register {
        APIC_BASE => Some(APIC_BASE_VALUE),
        PAT => Some(PAT_VALUE),
        TSC_DEADLINE => Some(deadline),
        EFER => Some(efer),
        _ => None,
    }
}

/// Writes one. Long mode stays on: a kernel cannot turn its virtual memory off.
pub fn write(register: u32, value: u64, efer: u64) -> Write {
    match register {
        TSC_DEADLINE => Write::Deadline(value),
        EFER if (value ^ efer) & !EFER_CHANGEABLE == 0 => Write::Efer(value),
        PAT if value == PAT_VALUE => Write::Nothing,
        _ => Write::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_mode_cannot_be_left() {
        const ON: u64 = 1 << 8 | 1 << 10;
        assert_eq!(write(EFER, ON | 1 << 11, ON), Write::Efer(ON | 1 << 11));
        for value in [0, 1 << 10, 1 << 8, ON | 1 << 12, u64::MAX] {
            assert_eq!(write(EFER, value, ON), Write::Refused, "{value:#x}");
        }
    }

    #[test]
    fn what_is_not_named_does_not_exist() {
        // VM_HSAVE_PA, IA32_FEATURE_CONTROL, IA32_VMX_BASIC, IA32_SMBASE.
        for register in [0xc001_0117, 0x3a, 0x480, 0x9e, 0, u32::MAX] {
            assert_eq!(read(register, 0, 0), None);
            assert_eq!(write(register, 0, 0), Write::Refused);
        }
        assert_eq!(write(TSC_DEADLINE, 5, 0), Write::Deadline(5));
        assert_eq!(read(TSC_DEADLINE, 0, 5), Some(5));
        assert_eq!(write(PAT, 0, 0), Write::Refused);
    }
}
