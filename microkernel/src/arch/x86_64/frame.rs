//! The saved registers of a thread, laid out as the processor and the entry code push them.

use core::{cell::Cell, mem::offset_of};

use abi::{Error, USER_END, fault::Registers};

use super::{cpu, gdt};

/// [`Frame::vector`] of a thread that entered by SYSCALL: only what the ABI preserves is restored.
pub const SYSCALL: u64 = 0x100;

/// [`Frame::vector`] of the idle thread, which has no registers.
pub const IDLE: u64 = 0x101;

/// RFLAGS a user program may choose: CF PF AF ZF SF TF DF OF RF AC ID. IF is always set.
pub const USER_FLAGS: u64 = 0x0025_0dd5;
/// RFLAGS after a system call: IF and the bit that is always 1.
pub const FLAGS: u64 = 0x202;

/// Saved registers. The last five fields are pushed by the processor (SDM 3A 6.14.2).
#[repr(C, align(16))]
#[expect(missing_docs, reason = "the field names are the architecture's")]
pub struct Frame {
    pub r15: Cell<u64>,
    pub r14: Cell<u64>,
    pub r13: Cell<u64>,
    pub r12: Cell<u64>,
    pub r11: Cell<u64>,
    pub r10: Cell<u64>,
    pub r9: Cell<u64>,
    pub r8: Cell<u64>,
    pub rdi: Cell<u64>,
    pub rsi: Cell<u64>,
    pub rbp: Cell<u64>,
    pub rbx: Cell<u64>,
    pub rdx: Cell<u64>,
    pub rcx: Cell<u64>,
    pub rax: Cell<u64>,
    /// Vector of the trap, or [`SYSCALL`].
    pub vector: Cell<u64>,
    pub error: Cell<u64>,
    pub rip: Cell<u64>,
    pub cs: Cell<u64>,
    pub rflags: Cell<u64>,
    pub rsp: Cell<u64>,
    pub ss: Cell<u64>,
}

/// Number of registers before [`Frame::vector`].
pub const GENERAL: usize = offset_of!(Frame, vector) / 8;
const _: () = assert!(GENERAL + 1 == abi::fault::EXTRA);
/// Those that a system call keeps or returns: R15 to R12, RBP, RBX.
const LIVE: [usize; 6] = [0, 1, 2, 3, 10, 11];

impl Frame {
    /// User mode, everything else zero.
    pub(crate) const fn new() -> Self {
        const fn zero() -> Cell<u64> {
            Cell::new(0)
        }
        Self {
            r15: zero(),
            r14: zero(),
            r13: zero(),
            r12: zero(),
            r11: zero(),
            r10: zero(),
            r9: zero(),
            r8: zero(),
            rdi: zero(),
            rsi: zero(),
            rbp: zero(),
            rbx: zero(),
            rdx: zero(),
            rcx: zero(),
            rax: zero(),
            vector: zero(),
            error: zero(),
            rip: zero(),
            cs: Cell::new(gdt::USER_CODE as u64),
            rflags: Cell::new(FLAGS),
            rsp: zero(),
            ss: Cell::new(gdt::USER_DATA as u64),
        }
    }

    /// Words 0-3.
    #[inline]
    pub fn words(&self) -> [u64; 4] {
        [self.r12.get(), self.r13.get(), self.r14.get(), self.r15.get()]
    }

    /// Changes words 0-3.
    #[inline]
    pub fn set_words(&self, [w0, w1, w2, w3]: [u64; 4]) {
        self.r12.set(w0);
        self.r13.set(w1);
        self.r14.set(w2);
        self.r15.set(w3);
    }

    /// What a blocked system call returns with: tag, badge, lease 0, words. The rest is zero.
    #[inline]
    pub fn set_message(&self, tag: u64, badge: u64, lease: u64, words: [u64; 4]) {
        self.rax.set(tag);
        self.rdi.set(badge);
        self.r8.set(lease);
        self.set_words(words);
    }

    /// What an operation that ended without a message returns with.
    #[inline]
    pub fn set_status(&self, tag: u64) {
        self.set_message(tag, 0, 0, [0; 4]);
    }

    /// It entered by SYSCALL: only RIP, RSP, RBX, RBP and the message are live.
    pub fn is_syscall(&self) -> bool {
        self.vector.get() == SYSCALL
    }

    /// The general registers, from R15 to RAX: the order of [`Registers`] too.
    fn general(&self) -> &[Cell<u64>; GENERAL] {
        // SAFETY: the frame begins with so many cells.
        unsafe { &*(&raw const *self).cast() }
    }

    /// All registers. A thread inside a system call shows only what is live.
    #[inline(never)]
    pub fn registers(&self) -> Registers {
        let mut words = [0; Registers::WORDS];
        let all = !self.is_syscall();
        words[0] = self.rip.get();
        words[1] = self.rsp.get();
        for (index, cell) in self.general().iter().enumerate() {
            if all || LIVE.contains(&index) {
                words[2 + index] = cell.get();
            }
        }
        words[2 + GENERAL] = if all { self.rflags.get() } else { FLAGS };
        Registers::from_words(words)
    }

    /// Writes the registers of a fault message, from R15 to RAX and RFLAGS, to [`abi::fault::EXTRA`] words at `address`. They
    /// are those of a trap: all of them are live.
    pub fn store_registers(&self, address: u64) {
        // SAFETY: the frame begins with these registers; the caller gives a message buffer, which Rust never borrows.
        unsafe {
            cpu::copy_words(&raw const self.r15 as u64, address, GENERAL);
            ((address as *mut u64).add(GENERAL)).write_volatile(self.rflags.get());
        }
    }

    /// Sets all registers from the answer to a fault: the reverse. `rip` was checked.
    pub fn load_registers(&self, rip: u64, rsp: u64, address: u64) {
        debug_assert!(rip < USER_END && !self.is_syscall());
        // SAFETY: as in `store_registers`; the frame's fields are Cells.
        let rflags = unsafe {
            cpu::copy_words(address, &raw const self.r15 as u64, GENERAL);
            ((address as *const u64).add(GENERAL)).read_volatile()
        };
        self.rip.set(rip);
        self.rsp.set(rsp);
        self.rflags.set(rflags & USER_FLAGS | FLAGS);
    }

    /// Sets all registers; the thread goes on at RIP with exactly these. RFLAGS is reduced to what a user may choose.
    pub fn set_registers(&self, registers: &Registers) -> Result<(), Error> {
        if registers.rip >= USER_END {
            return Err(Error::InvalidAddress);
        }
        self.rip.set(registers.rip);
        self.rsp.set(registers.rsp);
        self.rflags.set(registers.rflags & USER_FLAGS | FLAGS);
        for (cell, word) in self.general().iter().zip(&registers.to_words()[2..]) {
            cell.set(*word);
        }
        self.cs.set(gdt::USER_CODE as u64);
        self.ss.set(gdt::USER_DATA as u64);
        self.vector.set(0);
        Ok(())
    }
}
