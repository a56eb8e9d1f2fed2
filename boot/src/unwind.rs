//! Who called whom in the kernel, found from its registers, its stack and the debug information of its file (DWARF 5, 6.4). The
//! kernel itself keeps no frame pointers and prints only what it sees.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use gimli::{
    BaseAddresses, CfaRule, DebugFrame, LittleEndian, Register, RegisterRule, Section,
    UnwindContext, UnwindSection, X86_64,
};
use object::{Object, ObjectSection};

/// Most callers.
const DEPTH: usize = 64;

/// The registers that a function keeps for its caller, by their names in a report.
const KEPT: [(&str, Register); 7] = [
    ("rsp", X86_64::RSP),
    ("rbp", X86_64::RBP),
    ("rbx", X86_64::RBX),
    ("r12", X86_64::R12),
    ("r13", X86_64::R13),
    ("r14", X86_64::R14),
    ("r15", X86_64::R15),
];

/// What a report said so far.
#[derive(Debug, Default)]
pub struct Report {
    registers: HashMap<String, u64>,
    /// Words of the stack by their addresses.
    stack: HashMap<u64, u64>,
}

impl Report {
    /// Takes a line: `stack ADDRESS: WORD…`, `registers:`, or pairs of a register's name and its value. Others say nothing.
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some((at, words)) = line
            .strip_prefix("stack ")
            .and_then(|rest| rest.split_once(": "))
        {
            let Some(at) = number(at) else { return };
            let words = words.split(' ').map_while(number);
            self.stack.extend((at..).step_by(8).zip(words));
        } else if line == "registers:" {
            *self = Self::default();
        } else {
            let words: Vec<&str> = line.split(' ').collect();
            for pair in words.chunks_exact(2) {
                if let Some(value) = number(pair[1]) {
                    self.registers.entry(pair[0].into()).or_insert(value);
                }
            }
        }
    }

    /// Where it was, and the return addresses of all callers, innermost first, as far as file and stack tell.
    ///
    /// # Errors
    /// The report has no registers, or the file no debug information.
    pub fn backtrace(&self, file: &Path) -> Result<Vec<u64>> {
        let bytes =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let elf = object::File::parse(bytes.as_slice()).context("it is no ELF file")?;
        let section = elf
            .section_by_name(DebugFrame::<gimli::EndianSlice<LittleEndian>>::section_name())
            .context("it has no debug information")?;
        let mut frames = DebugFrame::new(section.data()?, LittleEndian);
        frames.set_address_size(8);

        let mut at = *self.registers.get("rip").context("no registers")?;
        let mut kept: HashMap<Register, u64> = KEPT
            .iter()
            .filter_map(|(name, register)| Some((*register, *self.registers.get(*name)?)))
            .collect();
        let mut context = UnwindContext::new();
        let mut found = vec![at];
        while found.len() < DEPTH {
            // A return address may be the first byte of the next function; where it was itself is not.
            let inside = if found.len() == 1 { at } else { at - 1 };
            let Ok(row) = frames.unwind_info_for_address(
                &BaseAddresses::default(),
                &mut context,
                inside,
                DebugFrame::cie_from_offset,
            ) else {
                break;
            };
            let CfaRule::RegisterAndOffset { register, offset } = *row.cfa() else {
                break;
            };
            let Some(frame) = kept
                .get(&register)
                .map(|base| base.wrapping_add_signed(offset))
            else {
                break;
            };
            let saved = |register| match row.register(register) {
                Some(RegisterRule::Offset(offset)) => {
                    self.stack.get(&frame.wrapping_add_signed(offset)).copied()
                }
                _ => None,
            };
            let Some(caller) = saved(X86_64::RA).filter(|address| *address != 0) else {
                break;
            };
            for (_, register) in KEPT {
                if let Some(value) = saved(register) {
                    kept.insert(register, value);
                }
            }
            kept.insert(X86_64::RSP, frame);
            at = caller;
            found.push(at);
        }
        Ok(found)
    }
}

/// A number as the kernel prints it: `0x…`.
pub fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let mut report = Report::default();
        for line in [
            "registers:",
            "  rip 0x10 rsp 0x20 r15 0x30\r",
            "stack 0x20: 0x1 0x2",
            "stack 0x30: 0x3",
            "thread 0x55, badge of its faults 0x7",
            "  rip 0x99 rsp 0x98 r15 0x97",
        ] {
            report.line(line);
        }
        assert_eq!(report.registers["rip"], 0x10, "the first registers count");
        assert_eq!(report.registers["r15"], 0x30);
        let mut stack: Vec<_> = report.stack.iter().map(|(at, word)| (*at, *word)).collect();
        stack.sort_unstable();
        assert_eq!(stack, [(0x20, 1), (0x28, 2), (0x30, 3)]);
        report.line("registers:");
        assert!(report.registers.is_empty() && report.stack.is_empty());
    }

    #[test]
    fn without_registers_there_is_no_backtrace() {
        let own = std::env::current_exe().expect("a test knows its file");
        assert!(Report::default().backtrace(&own).is_err());
    }
}
