//! IO-APICs (Intel 82093AA): which line arrives at which vector. Above the hypervisor shim: one, behind a port, that can only be
//! written.

use bootinfo::{IoApic, shim};
use heapless::Vec;
use spin::Mutex;

use super::{
    BARE, apic,
    features::{Features, features},
    mmio, port,
};

const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const VERSION: u32 = 1;
const TABLE: u32 = 0x10;
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

struct Controller {
    /// Their address, 0: the shim's.
    registers: u64,
    first: u32,
    lines: u32,
}

static CONTROLLERS: Mutex<Vec<Controller, 4>> = Mutex::new(Vec::new());

impl Controller {
    fn read(&self, register: u32) -> u32 {
        if self.registers == 0 {
            return 0;
        }
        mmio::write(self.registers + SELECT, register);
        mmio::read(self.registers + WINDOW)
    }

    fn write(&self, register: u32, value: u32) {
        if self.registers == 0 {
            return port::write(shim::LINE_PORT, 4, (register << 24 | value & 0xff_ffff) as u64);
        }
        mmio::write(self.registers + SELECT, register);
        mmio::write(self.registers + WINDOW, value);
    }
}

/// Finds every line and masks it.
pub fn init(controllers: &[IoApic]) {
    let mut known = CONTROLLERS.lock();
    if features().contains(Features::SHIM) {
        let _ = known.push(Controller { registers: 0, first: 0, lines: shim::LINES });
    }
    for (index, info) in controllers.iter().enumerate() {
        // Page 0 of the window is the local APIC.
        let mut controller = Controller {
            registers: mmio::map(1 + index, info.address),
            first: info.gsi_base,
            lines: 0,
        };
        controller.lines = (controller.read(VERSION) >> 16 & 0xff) + 1;
        for line in 0..controller.lines {
            controller.write(TABLE + 2 * line, MASKED);
        }
        // At most four: BootInfo lists no more.
        let _ = known.push(controller);
    }
}

fn with<R>(gsi: u32, act: impl FnOnce(&Controller, u32) -> R) -> Option<R> {
    let controllers = CONTROLLERS.lock();
    let controller = controllers.iter().find(|c| gsi >= c.first && gsi - c.first < c.lines)?;
    Some(act(controller, TABLE + 2 * (gsi - controller.first)))
}

/// Whether there is such a line.
pub fn exists(gsi: u32) -> bool {
    #[cfg(not(target_os = "none"))]
    return gsi < super::host::LINES;
    #[cfg(target_os = "none")]
    with(gsi, |_, _| ()).is_some()
}

/// Routes a line to a vector of this CPU, masked.
pub fn attach(gsi: u32, vector: u8, level: bool, active_low: bool) {
    let mut low = vector as u32 | MASKED;
    if level {
        low |= LEVEL;
    }
    if active_low {
        low |= ACTIVE_LOW;
    }
    with(gsi, |controller, register| {
        controller.write(register + 1, (apic::id() as u32) << 24);
        controller.write(register, low);
    });
}

/// Masks or unmasks a line.
pub fn set_masked(gsi: u32, masked: bool) {
    if !BARE {
        #[cfg(not(target_os = "none"))]
        super::host::set_machine(|machine| machine.set_masked(gsi, masked));
        return;
    }
    with(gsi, |controller, register| {
        let low = controller.read(register) & !MASKED;
        controller.write(register, if masked { low | MASKED } else { low });
    });
}

/// The line goes nowhere any more.
pub fn detach(gsi: u32) {
    with(gsi, |controller, register| controller.write(register, MASKED));
}
