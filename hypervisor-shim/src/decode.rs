//! The guest's memory as its own page tables show it, and the one instruction that must be decoded: a write of CR4, for which
//! AMD's processors give no help.

use loader::Physical;

use crate::vcpu::Registers;

const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Longest instruction.
const LONGEST: usize = 15;

/// Where a linear address lies (SDM 3A 4.5, four levels). The guest may change its tables meanwhile: it gets what it deserves,
/// from its own partition.
pub fn translate(memory: &impl Physical, cr3: u64, linear: u64) -> Option<u64> {
    let mut table = cr3 & ADDRESS;
    for level in (0..4).rev() {
        let shift = 12 + 9 * level;
        let entry = memory.read_u64(table + (linear >> shift & 0x1ff) * 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 0 || (level < 3 && entry & LARGE != 0) {
            let size = 1u64 << shift;
            return Some((entry & ADDRESS & !(size - 1)) | (linear & (size - 1)));
        }
        table = entry & ADDRESS;
    }
    None
}

/// Reads bytes at a linear address. Returns how many could be read.
pub fn read(memory: &impl Physical, cr3: u64, linear: u64, buffer: &mut [u8]) -> usize {
    for (index, byte) in buffer.iter_mut().enumerate() {
        let physical = translate(memory, cr3, linear.wrapping_add(index as u64));
        let mut one = [0];
        if !physical.is_some_and(|address| memory.read(address, &mut one)) {
            return index;
        }
        *byte = one[0];
    }
    buffer.len()
}

/// The value that the instruction at `rip` writes to CR4, and its length.
pub fn cr4_write(
    memory: &impl Physical,
    cr3: u64,
    rip: u64,
    registers: &Registers,
) -> Option<(u64, u64)> {
    let mut bytes = [0; LONGEST];
    let length = read(memory, cr3, rip, &mut bytes);
    let (register, size) = decode(&bytes[..length])?;
    Some((registers[register], size))
}

/// MOV CR4, register (SDM 2B, "MOV to control registers"): which register, and the length.
fn decode(bytes: &[u8]) -> Option<(usize, u64)> {
    const PREFIXES: [u8; 10] = [0x66, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x67];
    let mut at = bytes.iter().take_while(|byte| PREFIXES.contains(byte)).count();
    let rex = bytes.get(at).copied().filter(|byte| byte & 0xf0 == 0x40);
    at += usize::from(rex.is_some());
    let rex = rex.unwrap_or(0);
    let [0x0f, 0x22, modrm] = *bytes.get(at..at + 3)? else {
        return None;
    };
    let control = (modrm >> 3 & 7) | (rex & 4) << 1;
    let register = (modrm & 7) | (rex & 1) << 3;
    (control == 4).then_some((usize::from(register), at as u64 + 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bytes;

    #[test]
    fn only_writes_of_cr4_are_decoded() {
        assert_eq!(decode(&[0x0f, 0x22, 0xe0]), Some((0, 3)));
        assert_eq!(decode(&[0x66, 0x41, 0x0f, 0x22, 0xe7, 0x90]), Some((15, 5)));
        for other in [
            &[0x0f, 0x22, 0xc0][..],
            &[0x44, 0x0f, 0x22, 0xe0],
            &[0x0f, 0x20, 0xe0],
            &[0x0f, 0x22],
            &[],
            &[0x66; 15],
        ] {
            assert_eq!(decode(other), None, "{other:x?}");
        }
    }

    /// Page tables at 0x1000 that map 0x20_0000 to a large page at 0, and 0x40_0000 to the page at 0x5000.
    fn guest() -> Bytes {
        let mut memory = Bytes::new(0x8000);
        for (at, entry) in [
            (0x1000, 0x2003u64),
            (0x2000, 0x3003),
            (0x3008, 0x83),
            (0x3010, 0x4003),
            (0x4000, 0x5003),
            (0x3018, 1 << 40 | 3),
        ] {
            memory.write(at, &entry.to_le_bytes());
        }
        memory
    }

    #[test]
    fn addresses_are_translated() {
        let memory = guest();
        let at = |linear| translate(&memory, 0x1000, linear);
        assert_eq!(at(0x20_5008), Some(0x5008));
        assert_eq!(at(0x40_0008), Some(0x5008));
        assert_eq!(at(0x40_1000), None);
        assert_eq!(at(0x60_0000), None, "a table beyond the partition");
        assert_eq!(at(1 << 39), None);
        assert_eq!(translate(&memory, 0xffff_f000, 0), None);
    }

    #[test]
    fn instructions_may_end_with_the_memory() {
        let mut memory = guest();
        memory.write(0x5ffd, &[0x0f, 0x22, 0xe1]);
        let mut registers = [0; 16];
        registers[1] = 0x20;
        let write = |rip| cr4_write(&memory, 0x1000, rip, &registers);
        assert_eq!(write(0x40_0ffd), Some((0x20, 3)));
        assert_eq!(write(0x40_0ffe), None);
        assert_eq!(write(u64::MAX), None);
    }
}
