//! Whose port is whose, and what stands behind those that are nobody's own.

use bootinfo::{exit, shim};

/// What a port leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The emulated serial line, register 0 to 7.
    Serial(u16),
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
            (0x3f8..=0x3ff, 1) => Self::Serial(port - 0x3f8),
            (0x70, 1) => Self::ClockIndex,
            (0x71, 1) => Self::Clock,
            (0xcf8, 4) => Self::PciAddress,
            (0xcfc..=0xcff, _) if (port & 3) + u16::from(width) <= 4 => {
                Self::PciData(port as u8 & 3)
            }
            (shim::LINE_PORT, 4) => Self::Line,
            (shim::CONTROL_PORT, 4) => Self::Control,
            (port, 4) if port == shim::CONTROL_PORT + 4 => Self::ControlUpper,
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

/// Ports in a page of the bitmap.
const PORTS_IN_PAGE: u32 = 4096 * 8;

/// Clears the bits of the ports that an instance owns in page `index` of a bitmap of those that stop it.
pub fn own(page: &mut [u8], index: u32, base: u16, count: u16) {
    let ports = u32::from(base)..u32::from(base) + u32::from(count);
    for port in ports.filter(|port| port / PORTS_IN_PAGE == index) {
        if !watched(port as u16) {
            page[(port % PORTS_IN_PAGE) as usize / 8] &= !(1 << (port % 8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_ports_do_not_stop_a_guest_but_dangerous_ones_do() {
        let give = |bitmap: &mut [u8], base, count| {
            for (index, page) in bitmap.chunks_mut(4096).enumerate() {
                own(page, index as u32, base, count);
            }
        };
        let mut bitmap = vec![0xff; 8192];
        give(&mut bitmap, 0x60, 5);
        give(&mut bitmap, 0xfff8, 8);
        let stops = |port: usize| bitmap[port / 8] & 1 << (port % 8) != 0;
        for (port, expected) in [
            (0x5f, true),
            (0x60, false),
            (0x63, false),
            (0x64, true),
            (0x65, true),
            (0xfff7, true),
            (0xfff8, false),
            (0xffff, false),
        ] {
            assert_eq!(stops(port), expected, "{port:#x}");
        }
        let mut all = vec![0xff; 8192];
        give(&mut all, 0, 0xffff);
        for port in [0x64, 0x70, 0x71, 0x92, 0xf4, 0x3f8, 0xcf8, 0xcf9, 0xcfc, 0x5e0] {
            assert_ne!(all[port / 8] & 1 << (port % 8), 0, "{port:#x}");
        }
    }

    #[test]
    fn wide_accesses_lead_nowhere_they_should_not() {
        assert_eq!(Port::of(0x3f8, 4), Port::Foreign);
        assert_eq!(Port::of(0xcfe, 4), Port::Foreign);
        assert_eq!(Port::of(0xcfe, 2), Port::PciData(2));
        assert_eq!(Port::of(0xcf9, 1), Port::Reset);
        assert_eq!((ones(1), ones(2), ones(4)), (0xff, 0xffff, u32::MAX));
        assert!(resets(0xfe) && resets(0xd1) && !resets(0xd4) && !resets(0x20));
    }
}
