//! Counting instructions one by one: the guest is single-stepped between two marks, which are system calls that do nothing,
//! with a label.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use iced_x86::{
    Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register,
};

use super::gdb::Gdb;
use super::stages::{self, Stages};

/// Label of the mark before round trips. `apps/crossings/src/traced.rs` has the same.
pub const ROUND_TRIPS: u32 = 0x7ace_0001;
/// Label of the mark before an interrupt.
pub const INTERRUPT: u32 = 0x7ace_0002;
/// Label of the mark after each.
pub const END: u32 = 0x7ace_0003;
/// Label of the mark before an exception.
pub const FAULT: u32 = 0x7ace_0004;

/// A mark comes again after fewer steps.
const MOST_STEPS: usize = 200_000;
/// Longest instruction (SDM 2A 2.3.11).
const LONGEST: u64 = 15;
/// System call operations (`abi::tag::Op`): bits 0-3 of RAX.
const CALL: u64 = 0;
const REPLY_RECV: u64 = 1;

/// An instruction that was executed.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    rip: u64,
    /// RAX before it.
    rax: u64,
    instruction: Instruction,
}

impl Step {
    fn in_kernel(&self) -> bool {
        self.rip >> 63 == 1
    }

    fn is(&self, mnemonic: Mnemonic) -> bool {
        self.instruction.mnemonic() == mnemonic
    }

    /// The system call that begins here, by its operation.
    fn enters(&self, operation: u64) -> bool {
        !self.in_kernel() && self.is(Mnemonic::Syscall) && self.rax & 0xf == operation
    }

    /// The mark that is set here.
    fn mark(&self) -> Option<u32> {
        let label = (self.rax >> 32) as u32;
        let known = [ROUND_TRIPS, INTERRUPT, FAULT, END].contains(&label);
        (!self.in_kernel() && self.is(Mnemonic::Syscall) && known).then_some(label)
    }
}

/// What a stretch of instructions costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Instructions, iterations of repeated ones counted singly.
    pub instructions: u64,
    /// Loads and stores they name; one that does both counts twice.
    pub memory: u64,
    /// Those that cost a processor tens of cycles or more, by name.
    pub expensive: Vec<String>,
}

impl Cost {
    fn of(steps: &[Step]) -> Cost {
        let mut factory = InstructionInfoFactory::new();
        let mut cost = Cost::default();
        for step in steps {
            cost.instructions += 1;
            for used in factory.info(&step.instruction).used_memory() {
                cost.memory += match used.access() {
                    OpAccess::Read | OpAccess::CondRead | OpAccess::Write | OpAccess::CondWrite => {
                        1
                    }
                    OpAccess::ReadWrite | OpAccess::ReadCondWrite => 2,
                    OpAccess::None | OpAccess::NoMemAccess => 0,
                };
            }
            cost.expensive.extend(expensive(&step.instruction));
        }
        cost
    }
}

/// The name of an instruction that serialises, changes privilege or the address space, or leaves the processor.
fn expensive(instruction: &Instruction) -> Option<String> {
    use Mnemonic::*;
    let mnemonic = instruction.mnemonic();
    let name = format!("{mnemonic:?}").to_lowercase();
    match mnemonic {
        Syscall | Sysretq | Sysret | Sysenter | Sysexit | Iretq | Iretd | Int | Int3 | Swapgs
        | Wrmsr | Rdmsr | Wrfsbase | Rdfsbase | Wrgsbase | Rdgsbase | Invlpg | Invpcid | Cpuid
        | Clts | In | Out | Xsave | Xsaveopt | Xsavec | Xrstor | Fxsave | Fxrstor | Lgdt | Lidt
        | Ltr | Hlt | Wbinvd => Some(name),
        Mov => {
            let mut operands = [instruction.op0_register(), instruction.op1_register()].into_iter();
            let special =
                operands.find(|register| register.is_cr() || register.is_segment_register())?;
            (special != Register::None).then(|| format!("mov {special:?}").to_lowercase())
        }
        _ => None,
    }
}

/// One round trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundTrip {
    /// The client's loop, without its SYSCALL.
    pub client: u64,
    /// From the client's SYSCALL to the server.
    pub call: Cost,
    /// The same, by stage.
    pub call_stages: Stages,
    /// The server's loop, without its SYSCALL.
    pub server: u64,
    /// From the server's SYSCALL to the client.
    pub reply_recv: Cost,
    /// The same, by stage.
    pub reply_recv_stages: Stages,
}

/// Steps the guest from the next mark `from` on to [`END`].
///
/// # Errors
/// The mark does not come, or the guest cannot be stepped.
pub fn record(gdb: &mut Gdb, from: u32) -> Result<Vec<Step>> {
    let mut known: HashMap<u64, Instruction> = HashMap::new();
    let mut steps = Vec::new();
    let mut begun = false;
    for _ in 0..MOST_STEPS {
        let registers = gdb.registers()?;
        let instruction = match known.get(&registers.rip) {
            Some(instruction) => *instruction,
            None => {
                let bytes = gdb.memory(registers.rip, LONGEST)?;
                let instruction =
                    Decoder::with_ip(64, &bytes, registers.rip, DecoderOptions::NONE).decode();
                ensure!(
                    !instruction.is_invalid(),
                    "no instruction at {:#x}: {bytes:x?}",
                    registers.rip
                );
                known.insert(registers.rip, instruction);
                instruction
            }
        };
        let step = Step {
            rip: registers.rip,
            rax: registers.rax,
            instruction,
        };
        match step.mark() {
            Some(mark) if mark == from => begun = true,
            Some(END) if begun => return Ok(steps),
            _ if begun => steps.push(step),
            _ => {}
        }
        gdb.step()?;
    }
    bail!("the mark {from:#x} did not come in {MOST_STEPS} instructions")
}

/// The last whole round trip among `steps`.
///
/// # Errors
/// There is none.
pub fn round_trip(steps: &[Step]) -> Result<RoundTrip> {
    let calls: Vec<_> = (0..steps.len())
        .filter(|at| steps[*at].enters(CALL))
        .collect();
    let [.., first, next] = calls.as_slice() else {
        bail!("no two calls in the trace")
    };
    let steps = &steps[*first..*next];
    let reply = steps.iter().position(|step| step.enters(REPLY_RECV));
    let reply = reply.context("no reply in the trace")?;
    let (there, back) = steps.split_at(reply);
    let (there, server) = one_way(there)?;
    let (back, client) = one_way(back)?;
    let stages = |steps: &[Step]| {
        let steps: Vec<Instruction> = steps.iter().map(|step| step.instruction).collect();
        stages::of(&steps)
    };
    Ok(RoundTrip {
        client,
        call: Cost::of(there),
        call_stages: stages(there)?,
        server,
        reply_recv: Cost::of(back),
        reply_recv_stages: stages(back)?,
    })
}

/// Splits what begins with a SYSCALL: the kernel's part, that SYSCALL included, and the number of user instructions after it.
fn one_way(steps: &[Step]) -> Result<(&[Step], u64)> {
    let user = steps[1..].iter().position(|step| !step.in_kernel());
    let (kernel, user) = steps.split_at(1 + user.context("the kernel does not return")?);
    ensure!(
        user.iter().all(|step| !step.in_kernel()),
        "something came between: the trace is of no use"
    );
    Ok((kernel, user.len() as u64))
}

/// Instructions from the first of an interrupt's or exception's vector to the first of the server that receives it.
///
/// # Errors
/// No interrupt is in the trace.
pub fn interrupt(steps: &[Step]) -> Result<Cost> {
    let enters = |at: &usize| {
        let (before, step) = (&steps[at - 1], &steps[*at]);
        let from_user = !before.in_kernel() && !before.is(Mnemonic::Syscall);
        step.in_kernel()
            && (from_user || before.is(Mnemonic::Sysretq) || before.is(Mnemonic::Iretq))
    };
    let first = (1..steps.len())
        .find(enters)
        .context("no interrupt in the trace")?;
    let length = steps[first..].iter().position(|step| !step.in_kernel());
    Ok(Cost::of(
        &steps[first..first + length.context("the kernel does not return")?],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: u64 = 0xffff_ffff_8000_0000;

    fn step(rip: u64, rax: u64, bytes: &[u8]) -> Step {
        let instruction = Decoder::with_ip(64, bytes, rip, DecoderOptions::NONE).decode();
        Step {
            rip,
            rax,
            instruction,
        }
    }

    const SYSCALL: &[u8] = &[0x0f, 0x05];
    const SYSRET: &[u8] = &[0x48, 0x0f, 0x07];
    const NOP: &[u8] = &[0x90];
    /// mov [rbx], rcx
    const STORE: &[u8] = &[0x48, 0x89, 0x0b];
    /// cmp rdi, [r11]
    const FIND: &[u8] = &[0x49, 0x3b, 0x3b];
    /// mov rsi, [rdi]
    const LOAD: &[u8] = &[0x48, 0x8b, 0x37];
    /// mov [rip], r9
    const SET: &[u8] = &[0x4c, 0x89, 0x0d, 0, 0, 0, 0];
    /// mov rsp, [r9]
    const STACK: &[u8] = &[0x49, 0x8b, 0x21];
    /// add [rbx], rcx
    const ADD: &[u8] = &[0x48, 0x01, 0x0b];
    /// mov cr3, rax
    const CR3: &[u8] = &[0x0f, 0x22, 0xd8];

    #[test]
    fn a_round_trip_falls_into_its_parts() {
        let kernel = |more: &[u8]| {
            [more, FIND, LOAD, SET, STACK, SYSRET].map(|bytes| step(KERNEL, 0, bytes))
        };
        let mut round = vec![step(1, CALL, SYSCALL)];
        round.extend(kernel(CR3));
        round.extend([step(9, 0, NOP), step(10, REPLY_RECV, SYSCALL)]);
        round.extend(kernel(ADD));
        round.extend([step(3, 0, NOP), step(4, 0, NOP)]);
        let steps: Vec<Step> = round.iter().chain(&round[..1]).copied().collect();
        let trip = round_trip(&steps).expect("it is whole");
        assert_eq!((trip.client, trip.server), (2, 1));
        let expensive = ["syscall", "mov cr3", "sysretq"].map(String::from).to_vec();
        assert_eq!(
            trip.call,
            Cost {
                instructions: 7,
                memory: 4,
                expensive
            }
        );
        assert_eq!(trip.call_stages, [2, 2, 0, 1, 2]);
        assert_eq!(
            (trip.reply_recv.instructions, trip.reply_recv.memory),
            (7, 6)
        );
        assert!(round_trip(&round).is_err());
        let mut interrupted = steps;
        interrupted.insert(16, step(KERNEL, 0, NOP));
        assert!(round_trip(&interrupted).is_err());
    }

    #[test]
    fn an_interrupt_is_found_wherever_it_strikes() {
        let vector = [
            step(KERNEL, 0, STORE),
            step(KERNEL, 0, SYSRET),
            step(7, 0, NOP),
        ];
        let call = [
            step(1, 0, SYSCALL),
            step(KERNEL, 0, NOP),
            step(KERNEL, 0, SYSRET),
        ];
        let after: Vec<Step> = call.iter().chain(&vector).copied().collect();
        assert_eq!(
            interrupt(&after)
                .expect("right after a system call")
                .instructions,
            2
        );
        let between: Vec<Step> = [step(1, 0, NOP)].iter().chain(&vector).copied().collect();
        assert_eq!(interrupt(&between).expect("in user mode").instructions, 2);
        assert!(interrupt(&call).is_err());
    }
}
