//! Whose port is whose, and what stands behind those that are nobody's own.

use bootinfo::{exit, shim};

/// The first port behind those of bells.
const BELLS_END: u16 = shim::BELL_PORT + 4 * shim::CHANNELS as u16;

/// What a port leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The emulated serial line, register 0 to 7.
    Serial(usize),
    /// The clock's index and data.
    ClockIndex,
    /// See [`Port::ClockIndex`].
    Clock,
    /// PCI: the address port; byte 0 to 3 of the data port.
    PciAddress,
    /// See [`Port::PciAddress`].
    PciData(u8),
    /// The interrupt lines.
    Line,
    /// The control of instances, and the upper half of its answer.
    Control,
    /// See [`Port::Control`].
    ControlUpper,
    /// The bell of a channel.
    Bell(u8),
    /// The end of the machine.
    Exit,
    /// The keyboard controller's command port, which can reset the machine.
    Keyboard,
    /// Other ports that reset a machine.
    Reset,
    /// Somebody else's, or nobody's.
    Foreign,
}

impl Port {
    /// What an access of `width` bytes at `port` leads to.
    pub fn of(port: u16, width: u8) -> Self {
        match (port, width) {
            (0x3f8..=0x3ff, 1) => Self::Serial(usize::from(port - 0x3f8)),
            (0x70, 1) => Self::ClockIndex,
            (0x71, 1) => Self::Clock,
            (0xcf8, 4) => Self::PciAddress,
            (0xcfc..=0xcff, _) if (port & 3) + u16::from(width) <= 4 => {
                Self::PciData(port as u8 & 3)
            }
            (shim::LINE_PORT, 4) => Self::Line,
            (shim::CONTROL_PORT, 4) => Self::Control,
            (port, 4) if port == shim::CONTROL_PORT + 4 => Self::ControlUpper,
            (shim::BELL_PORT..BELLS_END, 4) if port.is_multiple_of(4) => {
                Self::Bell(((port - shim::BELL_PORT) / 4) as u8)
            }
            (exit::PORT, _) => Self::Exit,
            (0x64, 1) => Self::Keyboard,
            (0x92 | 0xcf9, 1) => Self::Reset,
            _ => Self::Foreign,
        }
    }
}

/// All ones, in so many bytes.
pub fn ones(width: u8) -> u32 {
    u32::MAX >> (32 - 8 * u32::from(width.clamp(1, 4)))
}

/// Whether the keyboard controller's command leads to its output port, where the reset line is (8042: 0xd1 writes it, 0xf0 to
/// 0xff pulse it).
pub fn resets(command: u8) -> bool {
    matches!(command, 0xd1 | 0xf0..)
}

/// Ports that an instance may own, but that always stop it.
fn watched(port: u16) -> bool {
    let kinds = [1, 2, 4].map(|width| Port::of(port, width));
    kinds.iter().any(|&kind| kind != Port::Foreign)
}

/// Of the ports that an instance owns, those that do not stop it.
pub fn free(base: u16, count: u16) -> impl Iterator<Item = u16> {
    (base..=u16::MAX).take(count.into()).filter(|&port| !watched(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_ports_do_not_stop_a_guest_but_dangerous_ones_do() {
        let keyboard: std::vec::Vec<u16> = free(0x60, 5).collect();
        assert_eq!(keyboard, [0x60, 0x61, 0x62, 0x63]);
        let last: std::vec::Vec<u16> = free(0xfffe, 8).collect();
        assert_eq!(last, [0xfffe, 0xffff]);
        assert_eq!(free(5, 0).count(), 0);
        for port in [0x64, 0x70, 0x71, 0x92, 0xf4, 0x3f8, 0xcf8, 0xcf9, 0xcfc, 0x5e0, 0x5fc] {
            assert!(free(0, 0xffff).all(|free| free != port), "{port:#x}");
        }
    }

    #[test]
    fn wide_accesses_lead_nowhere_they_should_not() {
        assert_eq!(Port::of(0x3f8, 4), Port::Foreign);
        assert_eq!(Port::of(0xcfe, 4), Port::Foreign);
        assert_eq!(Port::of(0xcfe, 2), Port::PciData(2));
        assert_eq!(Port::of(0xcf9, 1), Port::Reset);
        assert_eq!(Port::of(0x5f4, 4), Port::Bell(1));
        assert_eq!(Port::of(0x5f2, 4), Port::Foreign);
        assert_eq!(Port::of(0x5f0, 2), Port::Foreign);
        assert_eq!(Port::of(0x600, 4), Port::Foreign);
        assert_eq!((ones(1), ones(2), ones(4)), (0xff, 0xffff, u32::MAX));
        assert!(resets(0xfe) && resets(0xd1) && !resets(0xd4) && !resets(0x20));
    }
}
