    .pushsection .text.entry, "ax"

    // A system call: RAX = its number; RDI, RSI, RDX, R10 = its arguments; RCX and R11 = the user's RIP and RFLAGS. Interrupts
    // are off. There is one program and one processor: so one place for its stack pointer, and one kernel stack, which
    // is empty while the program runs.
    .global monolith_syscall
monolith_syscall:
    mov [rip + {user_stack}], rsp
    lea rsp, [rip + {stack} + {stack_size}]
    push rcx
    push r11
    mov rcx, r10
    cmp rax, {count}
    jae 3f
    lea r11, [rip + {calls}]
    call [r11 + 8 * rax]
    // What the function has left in registers is nobody's business.
2:  pop r11
    pop rcx
    xor edi, edi
    xor esi, esi
4:  xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    mov rsp, [rip + {user_stack}]
    sysretq
3:  mov rax, -{no_such_call}
    jmp 2b

    // The function of a call that answers in registers, too: two words on the stack, which then go into RDI and RSI.
    .global monolith_read_words
monolith_read_words:
    sub rsp, 24
    mov qword ptr [rsp], 0
    mov qword ptr [rsp + 8], 0
    mov rdx, rsp
    call {read_words}
    pop rdi
    pop rsi
    add rsp, 16
    pop r11
    pop rcx
    jmp 4b

    // extern "C" fn(entry: u64) -> !: the program begins, interrupts on, every register zero.
    .global monolith_enter
monolith_enter:
    mov rcx, rdi
    mov r11d, 0x202
    xor eax, eax
    xor edx, edx
    xor ebx, ebx
    xor ebp, ebp
    xor esi, esi
    xor edi, edi
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r12d, r12d
    xor r13d, r13d
    xor r14d, r14d
    xor r15d, r15d
    xor esp, esp
    sysretq
    .popsection
