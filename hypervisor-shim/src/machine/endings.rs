//! Refusals, ends and new starts of instances, and what the shim says about them.

use bootinfo::{exit, shim};
use core::fmt::{self, Write};
use microkernel::arch::{ioapic, port};
use microkernel::log;

use super::{Flow, Machine};
use crate::hardware::pci::Ports;
use crate::setup;
use crate::vcpu::{State, Vcpu};

/// #GP.
const PROTECTION: u8 = 13;

impl<V: Vcpu> Machine<'_, V> {
    /// Loads an instance anew.
    pub(super) fn restart(&mut self, index: usize) -> Result<(), loader::Error> {
        self.retire(index);
        let instance = &mut self.instances[index];
        let entry =
            setup::start(self.info, instance.partition, instance.archive, &self.pool.memory)?;
        instance.renew();
        instance.vcpu.reset(&entry);
        self.ring_all(index);
        self.scheduler.wake(index);
        Ok(())
    }

    /// The current instance did what it may not: #GP.
    pub(super) fn refuse(&mut self, what: fmt::Arguments) {
        self.instances[self.current].vcpu.throw(PROTECTION, Some(0));
        self.report(format_args!("{what}: #GP"));
    }

    /// The current instance ends by itself.
    pub(super) fn leave(&mut self, value: u8) -> Flow {
        let exits = Exits(self.instances[self.current].exits);
        self.end(value, format_args!(": it ended with {value:#x}; exits:{exits}"))
    }

    /// The current instance runs no more.
    pub(super) fn stop(&mut self, why: fmt::Arguments) -> Flow {
        let rip = self.instances[self.current].vcpu.state().rip;
        self.end(exit::KERNEL_PANIC, format_args!(" stopped: {why}; rip {rip:#x}"))
    }

    fn end(&mut self, value: u8, how: fmt::Arguments) -> Flow {
        let number = self.current;
        self.retire(number);
        self.say(format_args!("instance {number}{how}"));
        if number == self.primary {
            port::end_machine(value);
        }
        Flow::Choose
    }

    /// Takes the processor and all devices from an instance.
    pub(super) fn retire(&mut self, index: usize) {
        self.scheduler.sleep(index);
        let instance = &mut self.instances[index];
        instance.board.stopped = true;
        instance.board.deadline = None;
        for function in &instance.pci.functions {
            function.silence(&mut Ports);
        }
        for line in (0..32).filter(|line| instance.own_lines & 1 << line != 0) {
            ioapic::set_masked(line, true);
        }
        self.ring_all(index);
    }

    /// A non-maskable interrupt: whoever sends one wants to know where the machine hangs (the host tool, after `--timeout`).
    pub(super) fn last_words(&mut self) -> ! {
        log!("KERNEL PANIC: shim: non-maskable interrupt");
        for number in 0..self.instances.len() {
            let instance = &self.instances[number];
            let State { rip, flags, .. } = instance.vcpu.state();
            let exits = Exits(instance.exits);
            log!("instance {number}: rip {rip:#x}, flags {flags:#x}, exits:{exits}");
        }
        log!("instance {} runs", self.current);
        log!("KERNEL PANIC END");
        port::end_machine(exit::KERNEL_PANIC)
    }

    /// A line about the current instance, unless there were too many.
    pub(super) fn report(&mut self, what: fmt::Arguments) {
        let number = self.current;
        if self.instances[number].may_report() {
            self.say(format_args!("instance {number}: {what}"));
        }
    }

    /// A line of the shim.
    pub fn say(&mut self, what: fmt::Arguments) {
        // The serial line takes everything.
        let _ = write!(self.console, "shim: {what}\r\n");
        if self.console.wire.has_more() {
            self.read_serial();
            // Who woke has a turn at the next interrupt, which comes at once.
            self.wake();
            self.arm(0);
        }
    }
}

/// Counters of exits, those that are not 0.
struct Exits([u64; shim::EXITS.len()]);

impl fmt::Display for Exits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in shim::EXITS.iter().zip(self.0) {
            if count > 0 {
                write!(f, " {name} {count}")?;
            }
        }
        Ok(())
    }
}
