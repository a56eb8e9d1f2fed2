//! VT-x (SDM 3C, chapters 24 to 29).

mod controls;
mod entry;
mod state;
mod vmcs;

use core::arch::asm;

use bootinfo::Range;
use loader::memory::PAGE;
use loader::{Entry, Error, Map, Physical};
use microkernel::arch::cpu;
use microkernel::trap::SPURIOUS_VECTOR;
use x86_64::registers::control::{Cr4, Cr4Flags};

pub use self::controls::supported;
use self::controls::{ENTRY, EXIT, PIN, PRIMARY, SECONDARY, WINDOW};
use self::entry::enter;
use self::vmcs::field::*;
use self::vmcs::{clear, flush, load, read, write};
use super::{interrupts, registers::Kept};
use crate::exits::{Access, Exit};
use crate::nested::Format;
use crate::vcpu::{INTERRUPTS_ON, RSP, Registers, State, Vcpu};

/// Bits of extended page tables (29.3.2): read, write, execute; memory type write-back, of devices uncached.
const FORMAT: Format = Format { table: 0b111, memory: 0b111 | 6 << 3, device: 0b011, huge: true };
/// The pointer to them (25.6.11): write-back, 4 levels.
const EPT_POINTER: u64 = 6 | 3 << 3;

/// Where everything is loaded.
const LIMIT: u64 = 4 << 30;
/// Bytes of the bitmap of ports.
const PORTS: u64 = 2 * PAGE;

/// CR0 bits that a guest changes by itself: TS and MP.
const CR0_OWN: u64 = 1 << 3 | 1 << 1;
/// CR4 bits of that kind: global pages, FSGSBASE, PCID, XSAVE, SMEP, SMAP, UMIP, and the old ones. VMXE is on, and is never seen.
const CR4_OWN: u64 = 0x0037_0f9f & !(1 << 5);
const VMXE: u64 = 1 << 13;
/// #DB, #AC, #MC.
const EXCEPTIONS_STOP: u64 = 1 << 1 | 1 << 17 | 1 << 18;
/// Blocking by STI and by MOV SS (25.4.2).
const SHADOWS: u64 = 0b11;
/// An event is valid; it has an error code; it is a hardware exception (25.8.3).
const VALID: u64 = 1 << 31;
const WITH_ERROR: u64 = 1 << 11;
const EXCEPTION: u64 = 3 << 8;

/// MSRs that are the guest's own and that the processor switches: SYSENTER_CS, ESP, EIP, FS and GS base.
const SWITCHED: [u32; 5] = [0x174, 0x175, 0x176, 0xc000_0100, 0xc000_0101];
/// Those that the shim switches: STAR, LSTAR, CSTAR, SFMASK, kernel GS base.
const KEPT: [u32; 5] = [0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0102];

/// What all guests share.
#[derive(Debug)]
pub struct Host {
    /// The bitmap of MSRs.
    registers: u64,
    /// The preemption timer's period.
    period: u64,
}

/// Periods of the preemption timer in a second.
const PERIODS: u64 = 1000;

/// A guest's processor.
#[derive(Debug)]
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
    controls: u64,
    period: u64,
    registers: [u64; KEPT.len()],
    cr2: u64,
    kept: Kept,
}

impl Vmx {
    /// The port of an exit (SDM 3C table 28-5).
    fn access() -> Access {
        let about = read(QUALIFICATION);
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
        let event = read(EXIT_EVENT);
        match (event as u8, event >> 8 & 7) {
            (_, 2) => Exit::NonMaskable,
            (18, _) => Exit::Forbidden("a machine check"),
            (1, _) => {
                // What DR6 will say: the processor leaves that to us (SDM 3C 28.2.1, table 28-1).
                let causes = read(QUALIFICATION) & 0x600f | 0xffff_0ff0;
                // SAFETY: debug registers do nothing to the shim.
                unsafe { asm!("mov dr6, {}", in(reg) causes, options(nomem, nostack)) };
                Exit::Exception { vector: 1, error: None }
            }
            (vector, _) => Exit::Exception {
                vector,
                error: (event & WITH_ERROR != 0).then(|| read(EXIT_ERROR) as u32),
            },
        }
    }

    /// A write of a control register: CR8 is the APIC's, which is not there.
    fn control() -> Exit {
        match read(QUALIFICATION) & 0xf {
            0 => Exit::WriteCr0,
            4 => Exit::WriteCr4,
            _ => Exit::Undefined,
        }
    }

    fn set_window(&mut self, on: bool) {
        if on != self.window {
            self.window = on;
            write(CONTROLS, self.controls | if on { WINDOW } else { 0 });
        }
    }
}

impl Vcpu for Vmx {
    type Host = Host;
    const FORMAT: Format = FORMAT;

    /// SDM 3C 24.7.
    fn host(map: &mut Map, memory: &mut impl Physical, hz: u64) -> Result<Host, Error> {
        let region = map.take(PAGE, LIMIT, "VT-x")?;
        memory.clear(region, PAGE);
        memory.write(region, &controls::revision().to_le_bytes());
        let registers = map.take(PAGE, LIMIT, "VT-x")?;
        memory.clear(registers, PAGE);
        for word in 0..PAGE / 8 {
            memory.write(registers + word * 8, &[0xff; 8]);
        }
        for register in SWITCHED.into_iter().chain(KEPT) {
            // A bit a register: reads of low and of high ones, then writes (SDM 3C 25.6.9).
            let half = if register < 0x2000 { 0 } else { 0x400 };
            for base in [0, 0x800] {
                let at = registers + base + half + u64::from(register & 0x1fff) / 8;
                let mut byte = [0];
                memory.read(at, &mut byte);
                byte[0] &= !(1 << (register % 8));
                memory.write(at, &byte);
            }
        }
        // SAFETY: VMX exists and is not locked off (`supported`); the region is the processor's from now on.
        unsafe {
            Cr4::update(|cr4| cr4.insert(Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS));
            asm!("vmxon [{}]", in(reg) &raw const region, options(nostack));
        }
        let period = (hz / PERIODS) >> controls::timer_shift();
        Ok(Host { registers, period })
    }

    fn wait() -> Option<u8> {
        interrupts::wait()
    }

    fn poll() -> Option<u8> {
        interrupts::take()
    }

    fn new(
        host: &Host,
        number: usize,
        nested: u64,
        map: &mut Map,
        memory: &mut impl Physical,
    ) -> Result<(Self, Range), Error> {
        let block = map.take(PAGE, LIMIT, "a guest's state")?;
        memory.clear(block, PAGE);
        memory.write(block, &controls::revision().to_le_bytes());
        let ports = Range { start: map.take(PORTS, LIMIT, "a guest's ports")?, size: PORTS };
        for word in 0..PORTS / 8 {
            memory.write(ports.start + word * 8, &[0xff; 8]);
        }
        // `supported` has seen that there are values.
        let value = |group: controls::Group| group.value().unwrap_or(0);
        clear(block);
        load(block);
        let controls = value(PRIMARY);
        write(PIN_CONTROLS, value(PIN));
        write(CONTROLS, controls);
        write(MORE_CONTROLS, value(SECONDARY));
        write(EXIT_CONTROLS, value(EXIT));
        write(ENTRY_CONTROLS, value(ENTRY));
        write(EXCEPTIONS, EXCEPTIONS_STOP);
        write(VPID, number as u64 + 1);
        write(EPT, nested | EPT_POINTER);
        write(PORTS_LOW, ports.start);
        write(PORTS_HIGH, ports.start + PAGE);
        write(REGISTERS, host.registers);
        write(LINK, u64::MAX);
        write(TIMER, host.period);
        write(CR0_MASK, !CR0_OWN);
        write(CR4_MASK, !CR4_OWN);
        state::write_host();
        let vmx = Self {
            general: [0; 16],
            block,
            launched: false,
            injected: false,
            window: false,
            controls,
            period: host.period,
            registers: [0; KEPT.len()],
            cr2: 0,
            kept: Kept::new(),
        };
        Ok((vmx, ports))
    }

    fn reset(&mut self, entry: &Entry) {
        load(self.block);
        self.general = [0; 16];
        self.general[7] = entry.boot_info;
        self.general[6] = entry.boot_info_size;
        self.registers = [0; KEPT.len()];
        self.cr2 = 0;
        self.kept = Kept::new();
        self.injected = false;
        state::write_guest(entry);
        flush();
    }

    #[inline]
    fn run(&mut self) -> Exit {
        load(self.block);
        if enter(self, self.launched.into()) != 0 {
            return Exit::Refused(read(INSTRUCTION_ERROR));
        }
        self.launched = true;
        let reason = read(EXIT_REASON);
        let vectoring = read(VECTORING_EVENT);
        if vectoring & VALID != 0 {
            // What was being delivered is delivered again, unless the answer is another event (SDM 3C 28.2.4).
            write(ENTRY_EVENT, vectoring & !(1 << 12));
            write(ENTRY_ERROR, read(VECTORING_ERROR));
            write(ENTRY_LENGTH, read(EXIT_LENGTH));
        }
        match reason {
            18 => Exit::Call,
            10 => Exit::Identify,
            1 => Exit::Interrupt(read(EXIT_EVENT) as u8),
            // Only for a guest that keeps interrupts off: Bochs 2.7 does not stop it for one, whatever the controls say.
            52 => {
                write(TIMER, self.period);
                Exit::Interrupt(Self::poll().unwrap_or(SPURIOUS_VECTOR))
            }
            12 | 36 => Exit::Halt,
            30 => Exit::Port(Self::access()),
            31 => Exit::ReadRegister,
            32 => Exit::WriteRegister,
            28 => Self::control(),
            55 => Exit::SetComponents,
            48 | 49 => Exit::Memory {
                address: read(GUEST_PHYSICAL),
                write: reason == 48 && read(QUALIFICATION) & 2 != 0,
            },
            0 => Self::event(),
            2 => Exit::Shutdown,
            7 => {
                self.set_window(false);
                Exit::Window
            }
            15 | 19..=27 | 39 | 50 | 53 => Exit::Undefined,
            13 | 54 => Exit::Cache,
            9 => Exit::Forbidden("a task switch"),
            3 => Exit::Forbidden("INIT"),
            other => Exit::Refused(other),
        }
    }

    #[inline]
    fn registers(&mut self) -> &mut Registers {
        load(self.block);
        self.general[RSP] = read(GUEST_RSP);
        &mut self.general
    }

    fn state(&self) -> State {
        load(self.block);
        State {
            rip: read(GUEST_RIP),
            flags: read(GUEST_RFLAGS),
            cr3: read(GUEST_CR3),
            cr4: read(GUEST_CR4) & !VMXE,
            efer: read(GUEST_EFER),
        }
    }

    #[inline]
    fn skip(&mut self) {
        self.skip_by(read(EXIT_LENGTH));
    }

    #[inline]
    fn skip_by(&mut self, length: u64) {
        write(GUEST_RIP, read(GUEST_RIP) + length);
        write(GUEST_SHADOW, read(GUEST_SHADOW) & !SHADOWS);
    }

    fn offer(&mut self, vector: u8) {
        load(self.block);
        let open = read(GUEST_RFLAGS) & INTERRUPTS_ON != 0 && read(GUEST_SHADOW) & SHADOWS == 0;
        let free = read(ENTRY_EVENT) & VALID == 0;
        self.injected = open && free;
        if self.injected {
            write(ENTRY_EVENT, VALID | u64::from(vector));
        }
        self.set_window(!self.injected);
    }

    fn taken(&mut self) -> bool {
        core::mem::take(&mut self.injected)
    }

    fn throw(&mut self, vector: u8, error: Option<u32>) {
        let with_error = if error.is_some() { WITH_ERROR } else { 0 };
        write(ENTRY_EVENT, VALID | EXCEPTION | with_error | u64::from(vector));
        write(ENTRY_ERROR, error.unwrap_or(0).into());
    }

    fn set_cr4(&mut self, value: u64) {
        write(GUEST_CR4, value | VMXE);
        write(CR4_SHADOW, value);
        flush();
    }

    fn set_efer(&mut self, value: u64) {
        write(GUEST_EFER, value);
    }

    fn set_components(&mut self, value: u64) {
        self.kept.set_components(value);
    }

    fn leave(&mut self) {
        self.kept.save();
        // SAFETY: these registers exist in long mode.
        self.registers = KEPT.map(|register| unsafe { cpu::read_msr(register) });
        // SAFETY: CR2 means nothing to the shim, which has no page faults.
        unsafe { asm!("mov {}, cr2", out(reg) self.cr2, options(nomem, nostack)) };
    }

    fn enter(&mut self) {
        self.kept.load();
        for (register, value) in KEPT.into_iter().zip(self.registers) {
            // SAFETY: the values are those that a guest wrote and the processor accepted; the shim uses none of them.
            unsafe { cpu::write_msr(register, value) };
        }
        // SAFETY: as in `leave`.
        unsafe { asm!("mov cr2, {}", in(reg) self.cr2, options(nomem, nostack)) };
    }
}
