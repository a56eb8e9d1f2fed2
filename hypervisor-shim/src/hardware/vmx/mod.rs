//! VT-x (SDM 3C, chapters 24 to 29).

pub mod controls;
mod entry;
mod state;
mod vmcs;

use core::arch::asm;

use loader::memory::PAGE;
use loader::{Entry, Error, Physical};
use microkernel::arch::cpu;
use x86::msr::{IA32_FEATURE_CONTROL, IA32_VMX_MISC};
use x86::vmx::vmcs::{control, guest, ro};
use x86_64::registers::control::{Cr2, Cr4, Cr4Flags};

use self::controls::{GROUPS, LOCKED, VMX_ON, WINDOW};
use self::entry::enter;
use self::vmcs::{clear, flush, load, read, write};
use super::interrupts;
use super::processor::{Identity, Real};
use super::registers::OWN;
use crate::bits;
use crate::exits::{Access, Exit, PROTECTION_OFF, TRIPLE_FAULT};
use crate::nested::Format;
use crate::pool::Pool;
use crate::vcpu::{self, Guest, INTERRUPTS_ON, RSP, Registers, State, Vcpu};

/// Bits of extended page tables (29.3.2): read, write, execute; memory type write-back, of devices uncached.
const FORMAT: Format = Format { table: 0b111, memory: 0b111 | 6 << 3, device: 0b011 };
/// The pointer to them (25.6.11): write-back, 4 levels.
const EPT_POINTER: u64 = 6 | 3 << 3;

/// CR0 bits that a guest changes by itself: TS, MP and AM.
const CR0_OWN: u64 = bits(&[1, 3, 18]);
/// CR4 bits of that kind: global pages, FSGSBASE, PCID, XSAVE, SMEP, SMAP, UMIP, and the old ones. VMXE is on, and is never seen.
const CR4_OWN: u64 = 0x0037_0f9f & !(1 << 5);
const VMXE: u64 = 1 << 13;
/// #DB, #AC, #MC.
const EXCEPTIONS_STOP: u64 = bits(&[1, 17, 18]);
/// Blocking by STI and by MOV SS (25.4.2).
const SHADOWS: u64 = 0b11;
/// An event is valid; it has an error code; it is a hardware exception (25.8.3).
const VALID: u64 = 1 << 31;
const WITH_ERROR: u64 = 1 << 11;
const EXCEPTION: u64 = 3 << 8;

/// Of the guest's own MSRs ([`OWN`]) the first are the processor's to switch, and the rest the shim's.
const SWITCHED: usize = 5;

/// What all guests share.
#[derive(Debug)]
pub struct Host {
    /// The bitmap of MSRs.
    registers: u64,
    /// The preemption timer's period, and what of it an exit takes.
    period: u64,
    exit: u64,
}

/// Periods of the preemption timer in a second.
const PERIODS: u64 = 1000;
/// TSC ticks that an exit takes from the period: the timer counts only while the guest runs, and so would let a storm of exits go on.
const EXIT_TICKS: u64 = 200;

/// A guest's processor.
#[repr(C)]
pub struct Vmx {
    general: Registers,
    /// Physical address of the VMCS.
    block: u64,
    launched: bool,
    /// What was offered was injected.
    injected: bool,
    /// The guest exits when it can take an interrupt.
    window: bool,
    period: u64,
    exit: u64,
    registers: [u64; OWN.len() - SWITCHED],
    cr2: u64,
}

impl Vmx {
    /// The port of an exit (SDM 3C table 28-5).
    fn access() -> Access {
        let about = read(ro::EXIT_QUALIFICATION);
        Access {
            port: (about >> 16) as u16,
            width: (about & 7) as u8 + 1,
            input: about & 1 << 3 != 0,
            string: about & 1 << 4 != 0,
            repeat: about & 1 << 5 != 0,
        }
    }

    /// An exception or a non-maskable interrupt.
    fn event() -> Exit {
        let event = read(ro::VMEXIT_INTERRUPTION_INFO);
        match (event as u8, event >> 8 & 7) {
            (_, 2) => Exit::NonMaskable,
            (18, _) => Exit::Stop("a machine check"),
            (1, _) => {
                // What DR6 will say: the processor leaves that to us (SDM 3C 28.2.1, table 28-1).
                let causes = read(ro::EXIT_QUALIFICATION) & 0x600f | 0xffff_0ff0;
                // SAFETY: debug registers do nothing to the shim.
                unsafe { asm!("mov dr6, {}", in(reg) causes, options(nomem, nostack)) };
                Exit::Exception { vector: 1, error: None }
            }
            (vector, _) => Exit::Exception {
                vector,
                error: (event & WITH_ERROR != 0)
                    .then(|| read(ro::VMEXIT_INTERRUPTION_ERR_CODE) as u32),
            },
        }
    }

    /// A write of a control register: CR8 is the APIC's, which is not there.
    fn control() -> Exit {
        match read(ro::EXIT_QUALIFICATION) & 0xf {
            0 => Exit::Stop(PROTECTION_OFF),
            4 => Exit::WriteCr4,
            _ => Exit::Undefined,
        }
    }

    fn set_window(&mut self, on: bool) {
        if on != self.window {
            self.window = on;
            let controls = read(control::PRIMARY_PROCBASED_EXEC_CONTROLS) & !WINDOW;
            let window = if on { WINDOW } else { 0 };
            write(control::PRIMARY_PROCBASED_EXEC_CONTROLS, controls | window);
        }
    }
}

impl Vcpu for Vmx {
    type Host = Host;
    const FORMAT: Format = FORMAT;

    /// SDM 3C 24.7.
    fn host(pool: &mut Pool, hz: u64) -> Result<Host, Error> {
        let region = pool.take(PAGE, "VT-x")?;
        pool.memory.write(region, &controls::revision(&Real));
        let registers = pool.take_ones(PAGE, "VT-x")?;
        for register in OWN {
            // A bit a register: reads of low and of high ones, then writes (SDM 3C 25.6.9).
            let bit = u64::from(register & 0x1fff) + if register < 0x2000 { 0 } else { 0x2000 };
            pool.clear_bit(registers, bit);
            pool.clear_bit(registers, bit + 0x4000);
        }
        let feature_control = Real.msr(IA32_FEATURE_CONTROL);
        // SAFETY: VMX exists and is not locked off (`supported`); an unlocked register may be written once; the region is the
        // processor's from now on.
        unsafe {
            if feature_control & LOCKED == 0 {
                cpu::write_msr(IA32_FEATURE_CONTROL, feature_control | LOCKED | VMX_ON);
            }
            Cr4::update(|cr4| cr4.insert(Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS));
            asm!("vmxon [{}]", in(reg) &raw const region, options(nostack));
        }
        // The preemption timer counts down by one every 2^n TSC ticks (A.6).
        let shift = Real.msr(IA32_VMX_MISC) & 0x1f;
        Ok(Host { registers, period: (hz / PERIODS) >> shift, exit: EXIT_TICKS >> shift })
    }

    fn take_interrupt(idle: bool) -> Option<u8> {
        interrupts::take(idle)
    }

    fn new(host: &Host, guest: &Guest, pool: &mut Pool) -> Result<Self, Error> {
        let block = pool.take(PAGE, "a guest's state")?;
        pool.memory.write(block, &controls::revision(&Real));
        clear(block);
        load(block);
        for group in &GROUPS {
            // `supported` has seen that there is a value.
            write(group.0, group.value(&Real).unwrap_or(0));
        }
        write(control::EXCEPTION_BITMAP, EXCEPTIONS_STOP);
        write(control::VPID, guest.number as u64 + 1);
        write(control::EPTP_FULL, guest.nested | EPT_POINTER);
        write(control::IO_BITMAP_A_ADDR_FULL, guest.ports);
        write(control::IO_BITMAP_B_ADDR_FULL, guest.ports + PAGE);
        write(control::MSR_BITMAPS_ADDR_FULL, host.registers);
        write(guest::LINK_PTR_FULL, u64::MAX);
        write(guest::VMX_PREEMPTION_TIMER_VALUE, host.period);
        write(control::CR0_GUEST_HOST_MASK, !CR0_OWN);
        write(control::CR4_GUEST_HOST_MASK, !CR4_OWN);
        state::write_host();
        Ok(Self {
            general: [0; 16],
            block,
            launched: false,
            injected: false,
            window: false,
            period: host.period,
            exit: host.exit,
            registers: Default::default(),
            cr2: 0,
        })
    }

    fn reset(&mut self, entry: &Entry) {
        load(self.block);
        self.general = vcpu::at_start(entry);
        self.registers = Default::default();
        self.cr2 = 0;
        self.injected = false;
        state::write_guest(entry);
        flush();
    }

    #[inline]
    fn run(&mut self) -> Exit {
        load(self.block);
        if enter(self, self.launched.into()) != 0 {
            return Exit::Refused(read(ro::VM_INSTRUCTION_ERROR));
        }
        self.launched = true;
        let left = read(guest::VMX_PREEMPTION_TIMER_VALUE);
        write(guest::VMX_PREEMPTION_TIMER_VALUE, left.saturating_sub(self.exit));
        let reason = read(ro::EXIT_REASON);
        let vectoring = read(ro::IDT_VECTORING_INFO);
        if vectoring & VALID != 0 {
            // What was being delivered is delivered again, unless the answer is another event (SDM 3C 28.2.4).
            write(control::VMENTRY_INTERRUPTION_INFO_FIELD, vectoring & !(1 << 12));
            write(control::VMENTRY_EXCEPTION_ERR_CODE, read(ro::IDT_VECTORING_ERR_CODE));
            write(control::VMENTRY_INSTRUCTION_LEN, read(ro::VMEXIT_INSTRUCTION_LEN));
        }
        match reason {
            18 => Exit::Call,
            10 => Exit::Identify,
            1 => Exit::Interrupt(read(ro::VMEXIT_INTERRUPTION_INFO) as u8),
            // For a guest that keeps interrupts off: Bochs 2.7 does not stop it for one, whatever the controls say.
            52 => {
                write(guest::VMX_PREEMPTION_TIMER_VALUE, self.period);
                Exit::Slice
            }
            12 | 36 => Exit::Halt,
            30 => Exit::Port(Self::access()),
            31 => Exit::ReadRegister,
            32 => Exit::WriteRegister,
            28 => Self::control(),
            55 => Exit::SetComponents,
            48 | 49 => Exit::Memory {
                address: read(ro::GUEST_PHYSICAL_ADDR_FULL),
                write: reason == 48 && read(ro::EXIT_QUALIFICATION) & 2 != 0,
            },
            0 => Self::event(),
            2 => Exit::Stop(TRIPLE_FAULT),
            7 => {
                self.set_window(false);
                Exit::Window
            }
            15 | 19..=27 | 39 | 50 | 53 => Exit::Undefined,
            13 | 54 => Exit::Cache,
            9 => Exit::Stop("a task switch"),
            3 => Exit::Stop("INIT"),
            other => Exit::Refused(other),
        }
    }

    #[inline]
    fn registers(&mut self) -> &mut Registers {
        load(self.block);
        self.general[RSP] = read(guest::RSP);
        &mut self.general
    }

    fn state(&self) -> State {
        load(self.block);
        State {
            rip: read(guest::RIP),
            flags: read(guest::RFLAGS),
            cr3: read(guest::CR3),
            cr4: read(guest::CR4) & !VMXE,
            efer: read(guest::IA32_EFER_FULL),
        }
    }

    #[inline]
    fn skip(&mut self) {
        self.skip_by(read(ro::VMEXIT_INSTRUCTION_LEN));
    }

    #[inline]
    fn skip_by(&mut self, length: u64) {
        write(guest::RIP, read(guest::RIP) + length);
        write(guest::INTERRUPTIBILITY_STATE, read(guest::INTERRUPTIBILITY_STATE) & !SHADOWS);
    }

    fn offer(&mut self, vector: u8) {
        load(self.block);
        let open = read(guest::RFLAGS) & INTERRUPTS_ON != 0
            && read(guest::INTERRUPTIBILITY_STATE) & SHADOWS == 0;
        let free = read(control::VMENTRY_INTERRUPTION_INFO_FIELD) & VALID == 0;
        self.injected = open && free;
        if self.injected {
            write(control::VMENTRY_INTERRUPTION_INFO_FIELD, VALID | u64::from(vector));
        }
        self.set_window(!self.injected);
    }

    fn taken(&mut self) -> bool {
        core::mem::take(&mut self.injected)
    }

    fn throw(&mut self, vector: u8, error: Option<u32>) {
        let with_error = if error.is_some() { WITH_ERROR } else { 0 };
        write(
            control::VMENTRY_INTERRUPTION_INFO_FIELD,
            VALID | EXCEPTION | with_error | u64::from(vector),
        );
        write(control::VMENTRY_EXCEPTION_ERR_CODE, error.unwrap_or(0).into());
    }

    fn set_cr4(&mut self, value: u64) {
        write(guest::CR4, value | VMXE);
        write(control::CR4_READ_SHADOW, value);
        flush();
    }

    fn set_efer(&mut self, value: u64) {
        write(guest::IA32_EFER_FULL, value);
    }

    fn leave(&mut self) {
        for (value, register) in self.registers.iter_mut().zip(&OWN[SWITCHED..]) {
            *value = Real.msr(*register);
        }
        self.cr2 = Cr2::read_raw();
    }

    fn enter(&mut self) {
        for (value, register) in self.registers.iter().zip(&OWN[SWITCHED..]) {
            // SAFETY: the values are those that a guest wrote and the processor accepted; the shim uses none of them.
            unsafe { cpu::write_msr(*register, *value) };
        }
        // SAFETY: CR2 means nothing to the shim, which has no page faults.
        unsafe { asm!("mov cr2, {}", in(reg) self.cr2, options(nomem, nostack)) };
    }
}
