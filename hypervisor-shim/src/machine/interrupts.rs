//! Interrupts of the machine, and whose they are.

use bootinfo::shim;
use loader::Physical;
use microkernel::arch::{apic, cpu, ioapic};
use microkernel::trap::{SPURIOUS_VECTOR, TIMER_VECTOR};

use super::{Flow, Machine, Route, SERIAL_VECTOR};
use crate::hardware::pci::write_entry;
use crate::instance::{NEVER, SERIAL_LINE};
use crate::vcpu::Vcpu;

impl<V: Vcpu> Machine<'_, V> {
    /// The instance sets one of its lines up, masks or unmasks it.
    pub(super) fn write_line(&mut self, value: u32) {
        let number = self.current;
        let instance = &mut self.instances[number];
        let Some(line) = instance.lines.write(value) else {
            return;
        };
        if instance.own_lines & 1 << line != 0
            && let Some(setting) = instance.lines.get(line).copied()
        {
            let known = self.routes.iter().position(|route| *route == Route::Line(number, line));
            if known.is_none() {
                let vector = self.allocate(Route::Line(number, line));
                ioapic::attach(line, vector, setting.level, setting.active_low);
            }
            ioapic::set_masked(line, setting.masked);
        }
        let instance = &mut self.instances[number];
        let waits = line == SERIAL_LINE && instance.uart.interrupting();
        if instance.lines.latched(line) || waits {
            instance.fire(line);
        }
    }

    /// A vector of the machine for a route. There are more than all instances can have lines and messages.
    pub(super) fn allocate(&mut self, route: Route) -> u8 {
        let vector = self.next_vector;
        self.next_vector += 1;
        self.routes[usize::from(vector)] = route;
        vector
    }

    /// Writes the MSI-X table of the instance's function `index`, as the instance wrote its own.
    pub(super) fn route_messages(&mut self, index: usize) {
        let number = self.current;
        let function = &self.instances[number].pci.functions[index];
        let Some((msix, shadow)) = function.msix.zip(function.shadow) else {
            return;
        };
        for entry in 0..msix.entries {
            let offset = msix.table % 4096 + entry as u64 * 16;
            let data = self.memory.read_u64(shadow + offset + 8).unwrap_or(0);
            let (vector, masked) = (data as u8, data >> 32 & 1 != 0);
            // What is not a vector of an interrupt stays masked.
            let masked = masked || vector < 32;
            let own = match msix.vectors[entry] {
                0 => self.allocate(Route::Nowhere),
                known => known,
            };
            if !masked {
                self.routes[usize::from(own)] = Route::Message(number, vector);
            }
            let function = &mut self.instances[number].pci.functions[index];
            if let Some(msix) = &mut function.msix {
                msix.vectors[entry] = own;
            }
            write_entry(msix.table, entry, message(own), masked);
        }
    }

    /// An interrupt of the machine.
    pub(super) fn interrupt(&mut self, vector: u8) -> Flow {
        if vector == SPURIOUS_VECTOR {
            return Flow::On;
        }
        apic::end_of_interrupt();
        match vector {
            TIMER_VECTOR => self.timer(),
            SERIAL_VECTOR => self.read_serial(),
            other => match self.routes[usize::from(other)] {
                Route::Nowhere => {}
                Route::Message(index, vector) => self.instances[index].pending.add(vector),
                Route::Line(index, line) => {
                    let instance = &mut self.instances[index];
                    if instance.lines.get(line).is_some_and(|line| line.level) {
                        ioapic::set_masked(line, true);
                    }
                    instance.fire(line);
                }
            },
        }
        self.wake()
    }

    /// What arrived on the serial line is its target's.
    pub(super) fn read_serial(&mut self) {
        while let Some(byte) = self.serial.receive() {
            let Some(byte) = self.console.receive(byte) else {
                continue;
            };
            if let Some(instance) = self.instances.get_mut(self.console.target) {
                instance.uart.receive(byte);
                if instance.uart.interrupting() {
                    instance.fire(SERIAL_LINE);
                }
            }
        }
    }

    pub(super) fn timer(&mut self) {
        let now = cpu::now();
        self.armed = NEVER;
        let mut next = if self.turn_end <= now { NEVER } else { self.turn_end };
        for instance in &mut self.instances {
            if instance.deadline <= now {
                instance.deadline = NEVER;
                instance.pending.add(shim::DEADLINE_VECTOR);
            }
            next = next.min(instance.deadline);
        }
        self.arm(next);
    }

    /// Instances with interrupts want to run.
    pub(super) fn wake(&mut self) -> Flow {
        for (index, instance) in self.instances.iter().enumerate() {
            if !instance.stopped && !instance.pending.is_empty() {
                self.scheduler.wake(index);
            }
        }
        let ended = self.turn_end <= cpu::now();
        // Somebody else woke while the turn had no end.
        if ended || (self.turn_end == NEVER && self.scheduler.contended()) {
            return Flow::Choose;
        }
        Flow::On
    }

    /// The machine's timer fires at `when`, or earlier.
    pub(super) fn arm(&mut self, when: u64) {
        if when < self.armed {
            self.armed = when;
            apic::set_timer(when);
        }
    }
}

/// Address and data of a message that arrives as `vector`.
fn message(vector: u8) -> (u64, u32) {
    let (address, data) = apic::message(vector);
    (address, data as u32)
}
