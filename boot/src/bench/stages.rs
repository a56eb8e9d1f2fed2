//! The stages of the kernel's way from one partner of a message to the other, told apart by what its instructions do. Each border
//! is the first instruction that does what the stage is for; a trace in which one is missing is refused.

use anyhow::{Context, Result};
use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

/// Names of the stages, in order.
pub const NAMES: [&str; 5] = ["entry", "lookup", "rendezvous", "switch", "exit"];

/// Instructions of each stage.
pub type Stages = [u64; NAMES.len()];

/// Splits the kernel's part of a message, from its SYSCALL to its SYSRET.
///
/// # Errors
/// A border is missing.
pub fn of(kernel: &[Instruction]) -> Result<Stages> {
    type Border<'a> = (&'a str, fn(&Instruction) -> bool);
    let borders: [Border; 4] = [
        ("the kernel looks at the capability", looks_at_capability),
        ("an object is loaded from the capability", loads_object),
        ("another thread becomes the current one", sets_current),
        ("the partner's stack pointer is loaded", loads_stack),
    ];
    let mut stages = [0; NAMES.len()];
    let mut rest = kernel;
    for (index, (what, is)) in borders.into_iter().enumerate() {
        let border = rest.iter().position(is);
        let border = border.with_context(|| format!("the trace does not show where {what}"))?;
        // The load is the last of its stage; all others are the first of the next.
        let border = border + usize::from(index == 1);
        stages[index] = border as u64;
        rest = &rest[border..];
    }
    stages[borders.len()] = rest.len() as u64;
    Ok(stages)
}

/// Reads RDI, where the ABI has the capability's index.
fn looks_at_capability(instruction: &Instruction) -> bool {
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(instruction).used_registers();
    let reads = |access| matches!(access, OpAccess::Read | OpAccess::ReadWrite);
    used.iter()
        .any(|used| used.register() == Register::RDI && reads(used.access()))
}

/// A register from the slot, whose address has replaced the index.
fn loads_object(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_register().is_gpr64()
        && instruction.memory_base() == Register::RDI
}

/// Writes the one word that says whose trap frame is in use: it belongs to the processor, so that its address is fixed.
fn sets_current(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_base() == Register::RIP
}

fn loads_stack(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Mov && instruction.op0_register() == Register::RSP
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions};

    /// syscall; mov r11, [rip]; cmp rdi, [r11]; add rdi, [r11]; mov rsi, [rdi]; mov r9, [rsi]; mov [rip], r9; mov rcx, [r9]; mov cr3,
    /// rcx; mov rsp, [r9]; sysretq.
    const CODE: &[&[u8]] = &[
        &[0x0f, 0x05],
        &[0x4c, 0x8b, 0x1d, 0, 0, 0, 0],
        &[0x49, 0x3b, 0x3b],
        &[0x49, 0x03, 0x3b],
        &[0x48, 0x8b, 0x37],
        &[0x4c, 0x8b, 0x0e],
        &[0x4c, 0x89, 0x0d, 0, 0, 0, 0],
        &[0x49, 0x8b, 0x09],
        &[0x0f, 0x22, 0xd9],
        &[0x49, 0x8b, 0x21],
        &[0x48, 0x0f, 0x07],
    ];

    #[test]
    fn stages_are_told_apart() {
        let decode = |bytes: &&[u8]| Decoder::new(64, bytes, DecoderOptions::NONE).decode();
        let code: Vec<Instruction> = CODE.iter().map(decode).collect();
        assert_eq!(of(&code).expect("it has all borders"), [2, 3, 1, 3, 2]);
        let error = of(&code[..6]).unwrap_err().to_string();
        assert!(error.contains("another thread"), "{error}");
    }
}
