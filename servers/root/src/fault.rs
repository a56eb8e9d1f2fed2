//! What a fault message says, in words, and where the program was.

use abi::fault::{EXTRA, PAGE_FAULT, Registers};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::syscall::{Words, word};

/// Most frames of a backtrace.
const FRAMES: usize = 24;

/// A trap of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Exception vector (SDM 3A 6.15).
    pub vector: u8,
    /// Its error code.
    pub error: u32,
    /// Address of a page fault.
    pub address: u64,
    /// Registers at the trap.
    pub registers: Registers,
}

impl Fault {
    /// The fault message just received: its words, and what is still in the message buffer.
    pub fn received(words: Words) -> Self {
        let mut extra = [0; EXTRA];
        for (i, value) in extra.iter_mut().enumerate() {
            *value = word(4 + i);
        }
        Self::new(words, extra)
    }

    fn new([what, address, rip, rsp]: Words, extra: [u64; EXTRA]) -> Self {
        let mut registers = [rip; Registers::WORDS];
        registers[1] = rsp;
        registers[2..].copy_from_slice(&extra);
        let registers = Registers::from_words(registers);
        Self {
            vector: what as u8,
            error: (what >> 32) as u32,
            address,
            registers,
        }
    }

    /// One line.
    pub fn describe(&self) -> String {
        let rip = self.registers.rip;
        if self.vector as u64 == PAGE_FAULT {
            // SDM 3A 4.7: bit 1 = write, bit 4 = instruction fetch.
            let access = match self.error {
                e if e & 1 << 4 != 0 => "execution",
                e if e & 1 << 1 != 0 => "write",
                _ => "read",
            };
            return format!(
                "page fault at {:#x}, rip {rip:#x} ({access} of {:#x})",
                self.address, self.address
            );
        }
        let name = match self.vector {
            0 => "division error",
            1 => "debug exception",
            3 => "breakpoint",
            6 => "invalid instruction",
            7 => "floating point is off",
            12 => "stack fault",
            13 => "general protection fault",
            16 | 19 => "floating-point error",
            17 => "alignment check",
            _ => "exception",
        };
        format!(
            "{name} (vector {}, error {:#x}), rip {rip:#x}",
            self.vector, self.error
        )
    }

    /// The addresses of the calls that led here, innermost first: RIP, then the chain of frame pointers as far as `read` can
    /// follow it.
    pub fn backtrace(&self, mut read: impl FnMut(u64) -> Option<u64>) -> Vec<u64> {
        let mut addresses = Vec::from([self.registers.rip]);
        let mut frame = self.registers.rbp;
        while addresses.len() < FRAMES {
            let Some((next, address)) = read(frame).zip(frame.checked_add(8).and_then(&mut read))
            else {
                break;
            };
            if address == 0 {
                break;
            }
            addresses.push(address);
            // Frames lie upwards; anything else is not a chain.
            if next <= frame {
                break;
            }
            frame = next;
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(vector: u64, error: u64, rbp: u64) -> Fault {
        let registers = Registers {
            rbp,
            ..Registers::default()
        };
        let mut extra = [0; EXTRA];
        extra.copy_from_slice(&registers.to_words()[2..]);
        Fault::new([vector | error << 32, 0xdead, 0x40_1000, 0x7000], extra)
    }

    #[test]
    fn words_become_registers() {
        let fault = fault(14, 4, 0x99);
        assert_eq!(
            (
                fault.registers.rip,
                fault.registers.rsp,
                fault.registers.rbp
            ),
            (0x40_1000, 0x7000, 0x99)
        );
        assert_eq!((fault.vector, fault.error, fault.address), (14, 4, 0xdead));
    }

    #[test]
    fn descriptions() {
        assert_eq!(
            fault(14, 4, 0).describe(),
            "page fault at 0xdead, rip 0x401000 (read of 0xdead)"
        );
        assert_eq!(
            fault(14, 6, 0).describe(),
            "page fault at 0xdead, rip 0x401000 (write of 0xdead)"
        );
        assert_eq!(
            fault(14, 0x14, 0).describe(),
            "page fault at 0xdead, rip 0x401000 (execution of 0xdead)"
        );
        assert_eq!(
            fault(6, 0, 0).describe(),
            "invalid instruction (vector 6, error 0x0), rip 0x401000"
        );
    }

    #[test]
    fn backtraces_follow_frame_pointers_and_end() {
        let stack = [
            (0x100, 0x200),
            (0x108, 0x40_2000),
            (0x200, 0x300),
            (0x208, 0x40_3000),
            (0x300, 0),
            (0x308, 0),
        ];
        let read = |address| {
            stack
                .iter()
                .find(|(at, _)| *at == address)
                .map(|(_, value)| *value)
        };
        assert_eq!(
            fault(6, 0, 0x100).backtrace(read),
            [0x40_1000, 0x40_2000, 0x40_3000]
        );
        assert_eq!(fault(6, 0, u64::MAX).backtrace(read), [0x40_1000]);
        assert_eq!(fault(6, 0, 8).backtrace(|_| Some(8)).len(), 2, "a loop");
        assert_eq!(
            fault(6, 0, 8).backtrace(|address| Some(address + 16)).len(),
            FRAMES
        );
    }
}
