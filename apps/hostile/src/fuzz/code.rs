//! Random instructions: most of them valid, in slots whose instructions can be counted.

use bootinfo::{PHYSICAL_MAP, shim};

use super::tables::{OPERATIONS, Operand, Operation, PORTS, PRIVILEGED, REGISTERS};
use crate::attacks::Random;
use crate::bare::DEADLINE;

/// Bytes of a slot.
pub const SLOT: usize = 64;
/// The end of a slot: `add qword ptr [rip + …], …`.
const END: usize = 11;
/// The longest that is written at once.
const LONGEST: usize = 24;

/// General registers, by number: those that hold addresses of memory to work on, and those that are changed.
const POINTERS: [u8; 4] = [3, 6, 7, 13];
const CHANGED: [u8; 11] = [0, 1, 2, 5, 8, 9, 10, 11, 12, 14, 15];

/// Of 256: instructions that are not of [`OPERATIONS`]; Of 65536: instructions that an instance seldom survives.
const SPECIAL: u64 = 12;
const FATAL: u64 = 1;

/// A slot. It is entered at its beginning, and ends by adding [`Slot::counted`] to a counter.
pub struct Slot {
    /// Its bytes.
    pub code: [u8; SLOT],
    /// Bit n: an instruction begins at byte n.
    pub starts: u64,
    /// Instructions that are executed when its end is reached, at least.
    counted: u32,
    length: usize,
}

impl Slot {
    /// A slot that does nothing but trap.
    pub fn end() -> Slot {
        let mut slot = Slot {
            code: [0x90; SLOT],
            starts: 0,
            counted: 0,
            length: 0,
        };
        slot.put(&[0x0f, 0x0b]);
        slot
    }

    /// One with random instructions. `counter` is how far the counter is from its beginning; what is added is shifted by 16.
    pub fn random(random: &mut Random, counter: i32) -> Slot {
        let mut slot = Slot::end();
        (slot.length, slot.starts, slot.counted) = (0, 0, 0);
        while slot.length + LONGEST + END <= SLOT {
            slot.next(random);
        }
        // What is left is jumped over.
        slot.code[slot.length] = 0xeb;
        slot.code[slot.length + 1] = (SLOT - END - slot.length - 2) as u8;
        let (end, added) = (SLOT - END, slot.counted << 16 | 1);
        slot.code[end..end + 3].copy_from_slice(&[0x48, 0x81, 0x05]);
        slot.code[end + 3..end + 7].copy_from_slice(&(counter - SLOT as i32).to_le_bytes());
        slot.code[end + 7..].copy_from_slice(&added.to_le_bytes());
        slot
    }

    /// Random bytes. How many instructions they are nobody knows: they count as none.
    pub fn raw(random: &mut Random) -> Slot {
        let mut slot = Slot::end();
        slot.starts = 0;
        for bytes in slot.code.chunks_exact_mut(8) {
            bytes.copy_from_slice(&random.next().to_le_bytes());
        }
        // STI and NOP: many of these are endless loops, which the timer ends. (In QEMU 7.2 STI keeps interrupts off until after the first
        // instruction that is no jump.)
        slot.code[..2].copy_from_slice(&[0xfb, 0x90]);
        for index in 2..SLOT {
            let rare = random.next() >> 30 & 0x3f == 0;
            match slot.code[index] {
                // CLI and POPF, and OUT to a number, which may be a reset, would end most lives early.
                0xfa | 0x9d | 0xe6 | 0xe7 if !rare => slot.code[index] = 0x90,
                // LTR of nothing: a real processor refuses it, and QEMU 7.2 ends at the next exception.
                0x00 if slot.code[index - 1] == 0x0f => slot.code[index] = 0xff,
                _ => {}
            }
        }
        slot
    }

    /// One instruction that is executed once.
    fn put(&mut self, bytes: &[u8]) {
        self.starts |= 1 << self.length;
        self.counted += 1;
        self.code[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// The next one, with what prepares it.
    fn next(&mut self, random: &mut Random) {
        let dice = random.next() >> 17;
        match dice & 0xff {
            special if special < SPECIAL => self.special(random),
            below if below < SPECIAL + 12 => self.branch(random),
            below if below < SPECIAL + 18 => self.repeat(random),
            below if below < SPECIAL + 24 => self.string(random),
            _ if dice >> 8 & 0xffff < FATAL => self.fatal(random),
            _ => self.operation(random),
        }
    }

    /// An instruction that computes; one in 64 with any registers.
    fn operation(&mut self, random: &mut Random) {
        let any = random.next() >> 40 & 0x3f == 0;
        self.compute(random, if any { None } else { Some(&CHANGED) });
    }

    /// The same, which changes no register but `changed`.
    fn compute(&mut self, random: &mut Random, changed: Option<&[u8]>) {
        let number = random.next();
        let (prefix, opcode, field, operand, immediate): Operation = pick(OPERATIONS, number);
        let register = |number: u64| match changed {
            Some(registers) => pick(registers, number),
            None => (number & 15) as u8,
        };
        let field = field.unwrap_or(register(number >> 10));
        let in_memory = match operand {
            Operand::Register => false,
            Operand::Memory => true,
            Operand::Any => number >> 20 & 3 == 0,
        };
        let other = match (in_memory, changed) {
            (true, Some(_)) => pick(&POINTERS, number >> 22),
            _ => register(number >> 22),
        };
        let mut bytes = [0; 16];
        let mut length = 0;
        let mut push = |more: &[u8]| {
            bytes[length..length + more.len()].copy_from_slice(more);
            length += more.len();
        };
        if prefix != 0 {
            push(&[prefix]);
        }
        let wide = (number >> 30 & 1) as u8;
        push(&[0x40 | wide << 3 | field >> 3 << 2 | other >> 3]);
        push(opcode);
        let middle = (field & 7) << 3 | other & 7;
        match in_memory {
            false => push(&[0xc0 | middle]),
            // An offset of a byte; RSP and R12 need one byte more.
            true => {
                push(&[0x40 | middle]);
                if other & 7 == 4 {
                    push(&[0x24]);
                }
                push(&[(number >> 32) as u8]);
            }
        }
        push(&random.next().to_le_bytes()[..immediate]);
        self.put(&bytes[..length]);
    }

    /// A branch over one instruction, which does not count: nobody knows whether it is executed.
    fn branch(&mut self, random: &mut Random) {
        let condition = (random.next() >> 25 & 15) as u8;
        self.put(&[0x70 | condition, 0]);
        let (from, counted) = (self.length, self.counted);
        self.compute(random, Some(&CHANGED));
        self.code[from - 1] = (self.length - from) as u8;
        self.counted = counted;
    }

    /// A loop around one instruction, 2 to 9 times.
    fn repeat(&mut self, random: &mut Random) {
        let times = 2 + (random.next() >> 33 & 7) as u8;
        self.put(&[0x6a, times]);
        self.put(&[0x59]);
        let from = self.length;
        // None that changes RCX: R8 to R11, and R14.
        self.multiply(random);
        let back = from as i32 - (self.length as i32 + 2);
        self.put(&[0xe2, back as u8]);
        self.counted += u32::from(times - 1) * 2;
    }

    /// IMUL, ADD or XOR of two registers from R8 to R11.
    fn multiply(&mut self, random: &mut Random) {
        let number = random.next() >> 12;
        let registers = 0xc0 | (number & 3) as u8 | ((number >> 2 & 3) as u8) << 3;
        match number >> 4 & 3 {
            0 => self.put(&[0x4d, 0x0f, 0xaf, registers]),
            1 => self.put(&[0x4d, 0x01, registers]),
            _ => self.put(&[0x4d, 0x31, registers]),
        }
    }

    /// A repeated string instruction, as one: MOVS, CMPS, STOS, LODS, SCAS.
    fn string(&mut self, random: &mut Random) {
        let number = random.next() >> 19;
        self.put(&[0x6a, (number & 31) as u8]);
        self.put(&[0x59]);
        let repeat = [0xf3, 0xf2][(number >> 5 & 1) as usize];
        let opcode = pick(&[0xa4, 0xa5, 0xa6, 0xaa, 0xab, 0xad, 0xae], number >> 6);
        self.put(&[repeat, 0x48, opcode]);
    }

    /// One that is privileged, or traps.
    fn special(&mut self, random: &mut Random) {
        let number = random.next() >> 11;
        let more = number >> 8;
        match number & 15 {
            // RDMSR and WRMSR.
            0 | 1 => {
                let register = pick(REGISTERS, more).wrapping_add((more >> 9 & 0x1f == 0) as u32);
                self.load(1, register);
                self.put(&[0x0f, [0x30, 0x32][(more >> 16 & 1) as usize]]);
            }
            // IN and OUT.
            2 | 3 => {
                self.load(2, u32::from(pick(PORTS, more)));
                self.put(&[pick(&[0xec, 0xed, 0xef, 0xee], more >> 14)]);
            }
            // CPUID of a leaf.
            4 => {
                let base: u32 = pick(&[0, 0, 0x4000_0000, 0x8000_0000], more);
                self.load(0, base + (more >> 8 & 0x1f) as u32);
                self.put(&[0x0f, 0xa2]);
            }
            // A bit of CR4, or of CR0 that is the guest's, is changed; CR3 is written as it is.
            5 => match more & 3 {
                0 => self.put(&[0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8]),
                1 => self.control(0, 1 + (more >> 4 & 1) as u8 * 2),
                _ => self.control(4, (more >> 4 & 31) as u8),
            },
            6 => self.put(&[0xcd, more as u8]),
            // Where memory may be, or not.
            7 => {
                let (high, low) = (more >> 4 & 0xffff, random.next() >> 20);
                self.wide(pick(&[high << 48, low, low | high << 47], more) | 1 << 40);
                self.put(pick(
                    &[&[0x8a, 0x00], &[0x88, 0x00], &[0xff, 0xe0]],
                    more >> 20,
                ));
            }
            // A byte of the next slot is written, but not of its end, by which it is counted. Never one that makes LTR.
            8 => {
                let byte = pick(&[0x90, 0xcc, 0x48, 0xf4, 0x66], more >> 8);
                let there = SLOT - (self.length + 7) + (more % (SLOT - END) as u64) as usize;
                self.put(&[0xc6, 0x05, there as u8, 0, 0, 0, byte]);
            }
            // The timer fires at once.
            9 if more & 3 == 0 => {
                self.load(1, DEADLINE);
                self.put(&[0x0f, 0x31]);
                self.put(&[0x0f, 0x30]);
            }
            _ => self.put(pick(PRIVILEGED, more)),
        }
    }

    /// One that most often ends the instance: memory that is not its own, protection, its own tables, a reset.
    fn fatal(&mut self, random: &mut Random) {
        let number = random.next() >> 23;
        let more = number >> 3;
        match number & 7 {
            0 => self.control(0, (more & 31) as u8),
            1 => {
                self.wide(random.next() >> 24);
                self.put(&[0x0f, 0x22, 0xd8]);
            }
            2 => self.put(&[0x0f, 0x01, 0x1e]),
            3 => self.put(&[0x0f, 0x01, 0x16]),
            4 => {
                self.load(2, pick(&[0xcf9, 0x64, 0x92, 0xf4], more));
                self.put(&[0xee]);
            }
            5 => {
                self.put(&[0xfa]);
                self.put(&[0xf4]);
            }
            _ => {
                let there = [
                    more & 0xffff_ffff,
                    0xfee0_0000 + (more & 0xff0),
                    shim::CHANNEL_MEMORY + (more & 0xf_fff8),
                    more & 0xfff_ffff,
                ];
                self.wide(PHYSICAL_MAP + pick(&there, more >> 34));
                self.put(pick(&[&[0x8a, 0x00], &[0x88, 0x00]], more >> 36));
            }
        }
    }

    /// A bit of a control register is changed, by RAX.
    fn control(&mut self, register: u8, bit: u8) {
        self.put(&[0x0f, 0x20, 0xc0 | register << 3]);
        self.put(&[0x48, 0x0f, 0xba, 0xf8, bit]);
        self.put(&[0x0f, 0x22, 0xc0 | register << 3]);
    }

    /// MOV of a number to a register.
    fn load(&mut self, register: u8, value: u32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.put(&[0xb8 | register, a, b, c, d]);
    }

    /// MOV of a number to RAX.
    fn wide(&mut self, value: u64) {
        let mut bytes = [0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[2..].copy_from_slice(&value.to_le_bytes());
        self.put(&bytes);
    }
}

/// One of a list.
fn pick<T: Copy>(list: &[T], number: u64) -> T {
    list[(number % list.len() as u64) as usize]
}
