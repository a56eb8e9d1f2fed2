//! Interrupts of the machine, and whose they are.

use bootinfo::shim;
use loader::Physical;
use microkernel::arch::{apic, cpu, ioapic};
use microkernel::trap::{SPURIOUS_VECTOR, TIMER_VECTOR};

use super::{Flow, LINE_VECTORS, MESSAGE_VECTORS, Machine, Route, SERIAL_VECTOR};
use crate::hardware::pci::write_entry;
use crate::instance::{NEVER, SERIAL_LINE};
use crate::pci::{ENTRIES, FUNCTIONS};
use crate::vcpu::Vcpu;

impl<V: Vcpu> Machine<'_, V> {
    /// The instance sets one of its lines up, masks or unmasks it.
    pub(super) fn write_line(&mut self, value: u32) {
        let number = self.current;
        let instance = &mut self.instances[number];
        let Some(line) = instance.board.lines.write(value) else {
            return;
        };
        if instance.own_lines & 1 << line != 0 {
            let (masked, level, active_low) = instance.board.lines.get(line);
            let vector = LINE_VECTORS + line as usize;
            let route = Route::Line(number, line);
            if core::mem::replace(&mut self.routes[vector], route) != route {
                ioapic::attach(line, vector as u8, level, active_low);
            }
            ioapic::set_masked(line, masked);
        }
        let instance = &mut self.instances[number];
        let waits = line == SERIAL_LINE && instance.board.uart.interrupting();
        if instance.board.lines.latched(line) || waits {
            instance.fire(line);
        }
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
            let data = self.pool.memory.read_u64(shadow + offset + 8).unwrap_or(0);
            // What is not a vector of an interrupt stays masked.
            let (theirs, masked) = (data as u8, data >> 32 & 1 != 0 || (data as u8) < 32);
            let own = MESSAGE_VECTORS + (number * FUNCTIONS + index) * ENTRIES + entry;
            if !masked {
                self.routes[own] = Route::Message(number, theirs);
            }
            write_entry(msix.table, entry, own as u8, masked);
        }
    }

    /// All interrupts of the machine that wait, at an exit that comes in their place: to take only the first, and the next at the next such
    /// exit, was once too slow for bytes that were typed.
    pub(super) fn take_interrupts(&mut self) -> Flow {
        while let Some(vector) = V::take_interrupt(false) {
            self.interrupt(vector);
        }
        self.wake()
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
                Route::Message(index, vector) => self.instances[index].board.pending.add(vector),
                Route::Line(index, line) => {
                    let instance = &mut self.instances[index];
                    let (_, level, _) = instance.board.lines.get(line);
                    if level {
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
        while let Some(byte) = self.console.receive() {
            if let Some(instance) = self.instances.get_mut(self.console.target) {
                instance.board.uart.receive(byte);
                if instance.board.uart.interrupting() {
                    instance.fire(SERIAL_LINE);
                }
            }
        }
        if core::mem::take(&mut self.console.wire.lost) {
            self.say(format_args!("input was lost: it came faster than it was taken"));
        }
    }

    pub(super) fn timer(&mut self) {
        let now = cpu::now();
        self.armed = NEVER;
        let mut next = if self.turn_end <= now { NEVER } else { self.turn_end };
        for instance in &mut self.instances {
            let board = &mut instance.board;
            if board.deadline.take_if(|deadline| *deadline <= now).is_some() {
                board.pending.add(shim::DEADLINE_VECTOR);
            }
            next = next.min(board.deadline.unwrap_or(NEVER));
        }
        self.arm(next);
    }

    /// Instances with interrupts want to run.
    pub(super) fn wake(&mut self) -> Flow {
        for (index, instance) in self.instances.iter().enumerate() {
            if !instance.board.stopped && !instance.board.pending.is_empty() {
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
