//! The way into a guest and back: all of the assembly.

use core::arch::naked_asm;
use core::mem::offset_of;

use x86::vmx::vmcs::host;

use super::Vmx;

/// Runs the guest until it stops; `launched`: it ran before. Returns 0, or 1 if the processor refuses.
#[unsafe(naked)]
pub extern "C" fn enter(vmx: *mut Vmx, launched: u64) -> u64 {
    naked_asm!(
        "push rbx; push rbp; push r12; push r13",
        "push r14; push r15; push rdi",
        "mov eax, {host_rsp}",
        "vmwrite rax, rsp",
        "test esi, esi",
        "mov rax, [rdi]; mov rcx, [rdi + 8]; mov rdx, [rdi + 16]; mov rbx, [rdi + 24]",
        "mov rbp, [rdi + 40]; mov rsi, [rdi + 48]; mov r8, [rdi + 64]; mov r9, [rdi + 72]",
        "mov r10, [rdi + 80]; mov r11, [rdi + 88]; mov r12, [rdi + 96]; mov r13, [rdi + 104]",
        "mov r14, [rdi + 112]; mov r15, [rdi + 120]; mov rdi, [rdi + 56]",
        "jnz 2f",
        "vmlaunch",
        "jmp 3f",
        "2: vmresume",
        "3: pop rdi",
        "mov eax, 1",
        "jmp 4f",
        // The processor comes back here, with this stack and the guest's registers.
        ".global postern_vmx_exit",
        "postern_vmx_exit:",
        "push rdi; mov rdi, [rsp + 8]; mov [rdi], rax; mov [rdi + 8], rcx",
        "mov [rdi + 16], rdx; mov [rdi + 24], rbx; mov [rdi + 40], rbp; mov [rdi + 48], rsi",
        "mov [rdi + 64], r8; mov [rdi + 72], r9; mov [rdi + 80], r10; mov [rdi + 88], r11",
        "mov [rdi + 96], r12; mov [rdi + 104], r13; mov [rdi + 112], r14; mov [rdi + 120], r15",
        "pop rax; mov [rdi + 56], rax; pop rdi",
        "xor eax, eax",
        "4: pop r15",
        "pop r14; pop r13; pop r12; pop rbp",
        "pop rbx",
        "ret",
        host_rsp = const host::RSP,
    )
}

const _: () = assert!(offset_of!(Vmx, general) == 0);

unsafe extern "C" {
    /// Where every exit comes back to.
    pub fn postern_vmx_exit();
}
