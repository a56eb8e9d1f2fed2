//! The way into a guest and back: all of the assembly.

use core::arch::naked_asm;
use core::mem::offset_of;

use super::Svm;

/// Runs the guest until it stops. Global interrupts are off before and after.
#[unsafe(naked)]
pub extern "C" fn enter(svm: *mut Svm) {
    naked_asm!(
        "push rbx; push rbp; push r12; push r13",
        "push r14; push r15; push rdi",
        "mov rax, [rdi + {block}]",
        "mov rcx, [rdi + 8]; mov rdx, [rdi + 16]; mov rbx, [rdi + 24]; mov rbp, [rdi + 40]",
        "mov rsi, [rdi + 48]; mov r8, [rdi + 64]; mov r9, [rdi + 72]; mov r10, [rdi + 80]",
        "mov r11, [rdi + 88]; mov r12, [rdi + 96]; mov r13, [rdi + 104]; mov r14, [rdi + 112]",
        "mov r15, [rdi + 120]; mov rdi, [rdi + 56]",
        // With interrupts on, those of the machine stop the guest.
        "vmload rax",
        "sti",
        "vmrun rax",
        "cli",
        "vmsave rax",
        // RAX and RSP are the shim's again.
        "mov rax, [rsp]; mov [rax + 8], rcx; mov [rax + 16], rdx; mov [rax + 24], rbx",
        "mov [rax + 40], rbp; mov [rax + 48], rsi; mov [rax + 56], rdi; mov [rax + 64], r8",
        "mov [rax + 72], r9; mov [rax + 80], r10; mov [rax + 88], r11; mov [rax + 96], r12",
        "mov [rax + 104], r13; mov [rax + 112], r14; mov [rax + 120], r15",
        "mov rax, [rax + {own}]",
        "vmload rax",
        "pop rdi; pop r15; pop r14; pop r13",
        "pop r12; pop rbp; pop rbx",
        "ret",
        block = const offset_of!(Svm, block),
        own = const offset_of!(Svm, own),
    )
}

const _: () = assert!(offset_of!(Svm, general) == 0);
