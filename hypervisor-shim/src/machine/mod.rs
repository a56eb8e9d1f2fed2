//! All instances, and the answer to every exit.

mod channels;
mod endings;
mod interrupts;
mod ports;

use bootinfo::{BootInfo, shim};
use heapless::Vec;
use microkernel::arch::{cpu, ioapic};

use crate::channel::Channel;
use crate::console::Console;
use crate::exits::Exit;
use crate::hardware::{Serial, registers};
use crate::instance::{Instance, NEVER, SERIAL_LINE};
use crate::nested::Nested;
use crate::pci::{ENTRIES, FUNCTIONS};
use crate::pool::Pool;
use crate::sched::Scheduler;
use crate::vcpu::{INTERRUPTS_ON, RAX, RBX, RCX, RDX, Vcpu};
use crate::{INSTANCES, cpuid, decode, msr};

/// Vectors of the machine: lines, by number; messages, by instance, function and entry; the serial line.
const LINE_VECTORS: usize = 48;
const MESSAGE_VECTORS: usize = LINE_VECTORS + shim::LINES as usize;
const SERIAL_VECTOR: u8 = 239;
const _: () = assert!(MESSAGE_VECTORS + INSTANCES * FUNCTIONS * ENTRIES <= SERIAL_VECTOR as usize);
/// Turns in a second.
const TURNS: u64 = 500;
/// #UD.
const UNDEFINED: u8 = 6;
/// CR4 bits that a guest may have: all but VMXE, SMXE, LA57, keys, CET, and what is reserved. PAE must stay.
const CR4_ALLOWED: u64 = 0x0037_0fff & !(1 << 12);
const CR4_NEEDED: u64 = 1 << 5;

/// Where an interrupt of the machine goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Nowhere,
    /// A line of an instance.
    Line(usize, u32),
    /// A vector of an instance.
    Message(usize, u8),
}

/// Whether the instance goes on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    /// It may not be its turn any more.
    Choose,
}

/// Everything.
pub struct Machine<'a, V> {
    /// What the loader says about it.
    pub info: &'a BootInfo<'a>,
    /// By number.
    pub instances: Vec<Instance<V>, INSTANCES>,
    /// By number.
    pub channels: Vec<Channel, { shim::CHANNELS }>,
    /// Who is next.
    pub scheduler: Scheduler,
    /// The machine's memory.
    pub pool: Pool,
    console: Console<Serial>,
    routes: [Route; 256],
    /// The one that runs, or ran last.
    current: usize,
    turn: u64,
    turn_end: u64,
    armed: u64,
    khz: u32,
    primary: usize,
    /// When the last instance stopped that gave its turn to another.
    left: u64,
}

impl<'a, V: Vcpu> Machine<'a, V> {
    /// A machine without instances. The processor's clock runs at `hz`; the machine ends with instance `primary`.
    pub fn new(info: &'a BootInfo<'a>, pool: Pool, hz: u64, primary: usize) -> Self {
        Self {
            info,
            left: 0,
            instances: Vec::new(),
            channels: Vec::new(),
            scheduler: Scheduler::default(),
            pool,
            console: Console::new(Serial::default(), primary),
            routes: [Route::Nowhere; 256],
            current: usize::MAX,
            turn: hz / TURNS,
            turn_end: NEVER,
            armed: NEVER,
            khz: (hz / 1000) as u32,
            primary,
        }
    }

    /// Runs all instances, for ever.
    pub fn run(&mut self) -> ! {
        ioapic::attach(SERIAL_LINE, SERIAL_VECTOR, false, false);
        ioapic::set_masked(SERIAL_LINE, false);
        self.console.wire.listen();
        loop {
            match self.scheduler.next(self.current) {
                Some(next) => self.give_turn(next),
                None => {
                    if let Some(vector) = V::take_interrupt(true) {
                        self.interrupt(vector);
                    }
                    self.left = cpu::now();
                }
            }
        }
    }

    fn give_turn(&mut self, next: usize) {
        if next != self.current {
            if let Some(last) = self.instances.get_mut(self.current) {
                last.board.kept.save();
                last.vcpu.leave();
            }
            self.instances[next].board.kept.load();
            self.instances[next].vcpu.enter();
            self.current = next;
            self.instances[next].switch_ticks = cpu::now() - self.left;
        }
        let began = cpu::now();
        self.turn_end = NEVER;
        if self.scheduler.contended() {
            self.turn_end = began + self.turn;
            self.arm(self.turn_end);
        }
        while self.step() == Flow::On {}
        self.left = cpu::now();
        self.scheduler.charge(next, self.left - began);
    }

    /// Runs the current instance until it stops once, and answers.
    #[inline]
    fn step(&mut self) -> Flow {
        let instance = &mut self.instances[self.current];
        if let Some(vector) = instance.board.pending.first() {
            instance.board.offered = Some(vector);
            instance.vcpu.offer(vector);
        }
        let exit = instance.vcpu.run();
        if let Some(vector) = instance.board.offered
            && instance.vcpu.taken()
        {
            instance.board.offered = None;
            instance.board.pending.remove(vector);
        }
        instance.exits[exit.kind()] += 1;
        match exit {
            Exit::Call => {
                // No call but this one: is there a shim?
                instance.vcpu.registers()[RAX] = shim::SIGNATURE[0].into();
                instance.vcpu.skip();
                Flow::On
            }
            Exit::Identify => self.identify(),
            other => self.answer(other),
        }
    }

    #[inline(never)]
    fn answer(&mut self, exit: Exit) -> Flow {
        let instance = &mut self.instances[self.current];
        match exit {
            Exit::Interrupt(vector) => return self.interrupt(vector),
            Exit::Slice => return self.take_interrupts(),
            Exit::Halt => {
                instance.vcpu.skip();
                if !instance.board.pending.is_empty() {
                    return Flow::On;
                }
                if instance.vcpu.state().flags & INTERRUPTS_ON == 0 {
                    return self.stop(format_args!("it halted with interrupts off"));
                }
                self.scheduler.sleep(self.current);
                return Flow::Choose;
            }
            Exit::Port(access) => return self.port(access),
            Exit::ReadRegister => {
                let register = instance.vcpu.registers()[RCX] as u32;
                match msr::read(register, instance.vcpu.state().efer, instance.board.deadline) {
                    Some(value) => {
                        let registers = instance.vcpu.registers();
                        registers[RAX] = value & 0xffff_ffff;
                        registers[RDX] = value >> 32;
                        instance.vcpu.skip();
                    }
                    None => self.refuse(format_args!("read of MSR {register:#x}")),
                }
            }
            Exit::WriteRegister => self.write_register(),
            Exit::WriteCr4 => return self.write_cr4(),
            Exit::SetComponents => {
                let registers = instance.vcpu.registers();
                let value = registers[RAX] & 0xffff_ffff | registers[RDX] << 32;
                if registers[RCX] as u32 == 0 && registers::legal(value) {
                    registers::set_components(value);
                    instance.vcpu.skip();
                } else {
                    self.refuse(format_args!("XSETBV of {value:#x}"));
                }
            }
            Exit::Exception { vector, error } => {
                instance.vcpu.throw(vector, error);
                // Where exceptions follow each other without an instruction between, Bochs stops the guest for no interrupt.
                return self.take_interrupts();
            }
            Exit::Undefined => {
                instance.vcpu.throw(UNDEFINED, None);
                self.report(format_args!("an instruction that no instance has: #UD"));
            }
            // Caches are coherent: there is nothing that a guest must flush.
            Exit::Cache => instance.vcpu.skip(),
            Exit::Window | Exit::Call | Exit::Identify => {}
            Exit::NonMaskable => self.last_words(),
            Exit::Memory { address, write } => {
                let mut nested = Nested::open(instance.nested, V::FORMAT, &mut self.pool);
                if nested.touch(instance.partition, address) == Ok(true) {
                    return Flow::On;
                }
                let verb = if write { "write" } else { "read" };
                let what = format_args!("{verb} of {address:#x}, which is not its memory");
                return self.stop(what);
            }
            Exit::Stop(what) => return self.stop(format_args!("{what}")),
            Exit::Refused(code) => {
                return self.stop(format_args!("the processor refuses its state ({code:#x})"));
            }
        }
        Flow::On
    }

    fn identify(&mut self) -> Flow {
        let (number, khz) = (self.current as u32, self.khz);
        let instance = &mut self.instances[self.current];
        let (restarts, cr4) = (instance.restarts as u32, instance.vcpu.state().cr4);
        let registers = instance.vcpu.registers();
        let (leaf, subleaf) = (registers[RAX] as u32, registers[RCX] as u32);
        let real = core::arch::x86_64::__cpuid_count(leaf, subleaf);
        let real = [real.eax, real.ebx, real.ecx, real.edx];
        let shown = cpuid::shown(leaf, subleaf, real, (number, restarts), cr4, khz);
        for (register, value) in [RAX, RBX, RCX, RDX].into_iter().zip(shown) {
            registers[register] = value.into();
        }
        instance.vcpu.skip();
        Flow::On
    }

    fn write_register(&mut self) {
        let instance = &mut self.instances[self.current];
        let registers = instance.vcpu.registers();
        let register = registers[RCX] as u32;
        let value = registers[RAX] & 0xffff_ffff | registers[RDX] << 32;
        let mut efer = instance.vcpu.state().efer;
        if msr::write(register, value, &mut efer, &mut instance.board.deadline) {
            instance.vcpu.set_efer(efer);
            instance.vcpu.skip();
            let deadline = instance.board.deadline.unwrap_or(NEVER);
            self.arm(deadline);
        } else {
            self.refuse(format_args!("write of {value:#x} to MSR {register:#x}"));
        }
    }

    fn write_cr4(&mut self) -> Flow {
        let instance = &mut self.instances[self.current];
        let state = instance.vcpu.state();
        let memory = self.pool.memory.only(instance.partition);
        let registers = instance.vcpu.registers();
        let Some((value, length)) = decode::cr4_write(&memory, state.cr3, state.rip, registers)
        else {
            return self.stop(format_args!("a write of CR4 that cannot be read"));
        };
        if value & !CR4_ALLOWED == 0 && value & CR4_NEEDED != 0 {
            instance.vcpu.set_cr4(value);
            instance.vcpu.skip_by(length);
        } else {
            self.refuse(format_args!("write of {value:#x} to CR4"));
        }
        Flow::On
    }
}
