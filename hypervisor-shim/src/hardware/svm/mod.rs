//! AMD-V (AMD APM 2, chapter 15).

mod entry;
mod vmcb;

use bootinfo::PHYSICAL_MAP;
use loader::memory::PAGE;
use loader::{Entry, Error};
use microkernel::arch::cpu;
use microkernel::trap::SPURIOUS_VECTOR;
use x86_64::registers::control::{Efer, EferFlags};

use self::entry::enter;
use self::vmcb::{Segment, Vmcb};
use super::interrupts;
use super::processor::Identity;
use super::registers::{CR0, CR4, EFER, OWN};
use crate::bits;
use crate::exits::{Access, Exit, PROTECTION_OFF, TRIPLE_FAULT};
use crate::msr::PAT_VALUE;
use crate::nested::Format;
use crate::pool::Pool;
use crate::vcpu::{self, Guest, RAX, RSP, Registers, State, Vcpu};

/// Bits of nested page tables: every access of a guest is a user's (APM 2, 15.25.5). Devices: uncached, never executed.
const FORMAT: Format = Format { table: 0b111, memory: 0b111, device: 1 << 63 | 0b11111 };

/// VM_CR, its bits "SVM is off" and "locked"; VM_HSAVE_PA.
const VM_CR: u32 = 0xc001_0114;
const SVM_OFF: u64 = 1 << 4;
const HOST_SAVE: u32 = 0xc001_0117;
/// EFER.SVME: VMRUN demands it of the guest too; it never sees it.
const SVME: u64 = 1 << 12;

/// Bytes of the bitmap of MSRs (APM 2, 15.11).
const REGISTERS: u64 = 2 * PAGE;

/// Intercepts: interrupts, NMI, INIT, a change of CR0 beyond TS and MP, RDPMC, CPUID, RSM, INVD, HLT, INVLPGA, ports, MSRs, task
/// switches, shutdown.
const INTERCEPTS: u32 = bits(&[0, 1, 3, 5, 15, 18, 19, 22, 24, 26, 27, 28, 29, 31]) as u32;
/// VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, RDTSCP, ICEBP, WBINVD (QEMU 7.2 takes INVD for it), MONITOR, MWAIT (both),
/// XSETBV.
const MORE_INTERCEPTS: u32 = 0x3fff;
/// Reads of CR8, which is the APIC's, which is not there; writes of it (QEMU 7.2 ends by an assertion if V_IRQ waits) and of CR4.
const CONTROL_READS: u16 = 1 << 8;
const CONTROL_WRITES: u16 = 1 << 8 | 1 << 4;
/// #DB, #AC, #MC.
const EXCEPTIONS: u32 = bits(&[1, 17, 18]) as u32;
/// V_INTR_MASKING: the host's interrupts do not depend on the guest's RFLAGS; V_IRQ; V_IGN_TPR.
const INTERRUPT: u32 = 1 << 24;
const V_IRQ: u32 = 1 << 8;
const V_IGN_TPR: u32 = 1 << 20;
/// Everything of this guest is forgotten.
const FLUSH_GUEST: u32 = 1;

/// Flat segments: 64-bit code; data; a busy TSS.
const CODE: Segment = segment(8, 0xa9b);
const DATA: Segment = segment(16, 0xc93);
const TASK: Segment = segment(0, 0x8b);
const NOTHING: Segment = segment(0, 0);

const fn segment(selector: u16, rights: u16) -> Segment {
    Segment { selector, rights, limit: if rights & 0x800 != 0 { u32::MAX } else { 0 }, base: 0 }
}

/// Whether the processor has it, with all that is needed, and firmware has not locked it off. Else: what is missing.
pub fn supported(cpu: &impl Identity) -> Result<(), &'static str> {
    if cpu.cpuid(0x8000_0000)[0] < 0x8000_000a || cpu.cpuid(0x8000_0001)[2] & 1 << 2 == 0 {
        return Err("the CPU has no AMD-V");
    }
    if cpu.cpuid(0x8000_000a)[3] & 1 == 0 {
        return Err("the CPU has AMD-V, but no nested paging");
    }
    // A processor with SVM has the register (APM 2, 15.30.1).
    if cpu.msr(VM_CR) & SVM_OFF != 0 {
        return Err("firmware has locked AMD-V off");
    }
    Ok(())
}

/// What all guests share.
#[derive(Debug)]
pub struct Host {
    /// Where VMLOAD finds the shim's own TR and the like.
    own: u64,
    registers: u64,
}

/// A guest's processor.
#[repr(C)]
pub struct Svm {
    general: Registers,
    /// Physical address of the VMCB, and of the shim's own state.
    block: u64,
    own: u64,
    vmcb: &'static mut Vmcb,
}

impl Svm {
    /// The port of an exit (APM 2, 15.10.2).
    fn access(&self) -> Access {
        let info = self.vmcb.info1;
        Access {
            port: (info >> 16) as u16,
            width: (info >> 4 & 7) as u8,
            input: info & 1 != 0,
            string: info & 4 != 0,
            repeat: info & 8 != 0,
        }
    }

    /// What was being delivered when the guest stopped is delivered again (APM 2, 15.7.2), but INT n is executed again.
    fn deliver_again(&mut self) {
        const VALID: u64 = 1 << 31;
        self.vmcb.event = match self.vmcb.exit_event {
            event if event & VALID != 0 && event >> 8 & 7 != 4 => event,
            _ => 0,
        };
    }
}

impl Vcpu for Svm {
    type Host = Host;
    const FORMAT: Format = FORMAT;

    /// AMD APM 2, 15.4.
    fn host(pool: &mut Pool, _hz: u64) -> Result<Host, Error> {
        let (save, own) = (pool.take(PAGE, "AMD-V")?, pool.take(PAGE, "AMD-V")?);
        let registers = pool.take_ones(REGISTERS, "AMD-V")?;
        for register in OWN {
            // Two bits a register: read, write (APM 2, 15.11).
            let base = if register < 0x2000 { 0 } else { 0x4000 };
            let bit = base + u64::from(register & 0x1fff) * 2;
            pool.clear_bit(registers, bit);
            pool.clear_bit(registers, bit + 1);
        }
        // SAFETY: SVM exists (`supported`); the pages are the processor's from now on. Global interrupts are off until one is
        // to be taken.
        unsafe {
            Efer::update(|efer| efer.insert(EferFlags::SECURE_VIRTUAL_MACHINE_ENABLE));
            cpu::write_msr(HOST_SAVE, save);
            core::arch::asm!("clgi", "vmsave rax", in("rax") own, options(nostack));
        }
        Ok(Host { own, registers })
    }

    fn take_interrupt(idle: bool) -> Option<u8> {
        // SAFETY: interrupts are off by RFLAGS but for the moment in `take`.
        unsafe { core::arch::asm!("stgi", options(nostack)) };
        let vector = interrupts::take(idle);
        // SAFETY: as before.
        unsafe { core::arch::asm!("clgi", options(nostack)) };
        vector
    }

    fn new(host: &Host, guest: &Guest, pool: &mut Pool) -> Result<Self, Error> {
        let block = pool.take(PAGE, "a guest's state")?;
        // SAFETY: a page of its own, zeroed, in the physical map; any bits are a valid Vmcb.
        let vmcb = unsafe { &mut *((PHYSICAL_MAP + block) as *mut Vmcb) };
        vmcb.control_reads = CONTROL_READS;
        vmcb.control_writes = CONTROL_WRITES;
        vmcb.exceptions = EXCEPTIONS;
        vmcb.intercepts = INTERCEPTS;
        vmcb.more_intercepts = MORE_INTERCEPTS;
        vmcb.ports = guest.ports;
        vmcb.registers = host.registers;
        vmcb.asid = guest.number as u32 + 1;
        vmcb.nested = 1;
        vmcb.nested_root = guest.nested;
        Ok(Self { general: [0; 16], block, own: host.own, vmcb })
    }

    fn reset(&mut self, entry: &Entry) {
        self.general = vcpu::at_start(entry);
        let vmcb = &mut *self.vmcb;
        vmcb.segments = [DATA, CODE, DATA, DATA, DATA, DATA];
        vmcb.tables = [NOTHING, NOTHING, NOTHING, TASK];
        vmcb.efer = EFER | SVME;
        vmcb.cr0 = CR0;
        vmcb.cr3 = entry.page_tables;
        vmcb.cr4 = CR4;
        vmcb.dr6 = 0xffff_0ff0;
        vmcb.dr7 = 0x400;
        vmcb.rflags = 2;
        vmcb.rip = entry.kernel;
        vmcb.rsp = 0;
        vmcb.pat = PAT_VALUE;
        vmcb.interrupt = INTERRUPT;
        vmcb.shadow = 0;
        vmcb.event = 0;
        vmcb.flush = FLUSH_GUEST;
    }

    #[inline]
    fn run(&mut self) -> Exit {
        self.vmcb.rax = self.general[RAX];
        enter(self);
        self.general[RAX] = self.vmcb.rax;
        self.general[RSP] = self.vmcb.rsp;
        self.vmcb.flush = 0;
        self.vmcb.event = 0;
        match self.vmcb.exit {
            0x81 => Exit::Call,
            0x72 => Exit::Identify,
            0x60 => {
                self.deliver_again();
                Exit::Interrupt(Self::take_interrupt(false).unwrap_or(SPURIOUS_VECTOR))
            }
            0x78 | 0x8b | 0x8c => Exit::Halt,
            0x7b => Exit::Port(self.access()),
            0x7c if self.vmcb.info1 != 0 => Exit::WriteRegister,
            0x7c => Exit::ReadRegister,
            0x65 => Exit::Stop(PROTECTION_OFF),
            0x14 => Exit::WriteCr4,
            0x8d => Exit::SetComponents,
            0x400 => {
                self.deliver_again();
                Exit::Memory { address: self.vmcb.info2, write: self.vmcb.info1 & 2 != 0 }
            }
            0x41 => Exit::Exception { vector: 1, error: None },
            0x51 => Exit::Exception { vector: 17, error: Some(self.vmcb.info1 as u32) },
            0x7f => Exit::Stop(TRIPLE_FAULT),
            0x61 => Exit::NonMaskable,
            0x08 | 0x18 | 0x80 | 0x82..=0x87 | 0x73 | 0x7a | 0x6f | 0x8a => Exit::Undefined,
            0x76 | 0x89 => Exit::Cache,
            0x7d => Exit::Stop("a task switch"),
            0x88 => Exit::Stop("ICEBP"),
            0x52 => Exit::Stop("a machine check"),
            0x63 => Exit::Stop("INIT"),
            other => Exit::Refused(other),
        }
    }

    #[inline]
    fn registers(&mut self) -> &mut Registers {
        &mut self.general
    }

    fn state(&self) -> State {
        State {
            rip: self.vmcb.rip,
            flags: self.vmcb.rflags,
            cr3: self.vmcb.cr3,
            cr4: self.vmcb.cr4,
            efer: self.vmcb.efer & !SVME,
        }
    }

    #[inline]
    fn skip(&mut self) {
        // There is no next-RIP field on every processor, but each of these has one length.
        let length = match self.vmcb.exit {
            0x78 => 1,
            0x72 | 0x7c | 0x76 | 0x89 => 2,
            0x7b => {
                self.vmcb.rip = self.vmcb.info2;
                0
            }
            _ => 3,
        };
        self.skip_by(length);
    }

    #[inline]
    fn skip_by(&mut self, length: u64) {
        self.vmcb.rip += length;
        self.vmcb.shadow = 0;
    }

    fn offer(&mut self, vector: u8) {
        self.vmcb.interrupt = INTERRUPT | V_IRQ | V_IGN_TPR;
        self.vmcb.interrupt_vector = vector.into();
    }

    fn taken(&mut self) -> bool {
        self.vmcb.interrupt & V_IRQ == 0
    }

    fn throw(&mut self, vector: u8, error: Option<u32>) {
        const EXCEPTION: u64 = 1 << 31 | 3 << 8;
        const WITH_ERROR: u64 = 1 << 11;
        let error = error.map_or(0, |error| WITH_ERROR | u64::from(error) << 32);
        self.vmcb.event = EXCEPTION | u64::from(vector) | error;
    }

    fn set_cr4(&mut self, value: u64) {
        self.vmcb.cr4 = value;
        // What the TLB knows may depend on it.
        self.vmcb.flush = FLUSH_GUEST;
    }

    fn set_efer(&mut self, value: u64) {
        self.vmcb.efer = value | SVME;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Numbers;

    #[test]
    fn what_is_missing_is_said() {
        let mut cpu = Numbers::default();
        assert_eq!(supported(&cpu), Err("the CPU has no AMD-V"));
        cpu.leaves.insert(0x8000_0000, [0x8000_000a, 0, 0, 0]);
        assert_eq!(supported(&cpu), Err("the CPU has no AMD-V"));
        cpu.leaves.insert(0x8000_0001, [0, 0, 1 << 2, 0]);
        assert_eq!(supported(&cpu), Err("the CPU has AMD-V, but no nested paging"));
        cpu.leaves.insert(0x8000_000a, [0, 0, 0, 1]);
        cpu.registers.insert(VM_CR, SVM_OFF);
        assert_eq!(supported(&cpu), Err("firmware has locked AMD-V off"));
        cpu.registers.insert(VM_CR, 0);
        assert_eq!(supported(&cpu), Ok(()));
    }
}
