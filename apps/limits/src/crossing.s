    .pushsection .text.start, "ax"

    // The loader's registers: RDI = postcard bytes, RSI = their length.
    .global _start
_start:
    lea rsp, [rip + {stack} + {stack_size}]
    xor ebp, ebp
    call {start}

    // extern "C" fn(user: u64, buffer: u64, samples: u64): runs user code, interrupts off, until its UD2.
    .global limits_run
limits_run:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [rip + {thread_a} + 16], rsp
    mov rcx, rdi
    mov rdi, rsi
    mov rsi, rdx
    mov r11d, 2
    sysretq

    // #UD of the user code: `limits_run` returns. The processor's frame, on another stack, is of no use.
    .global limits_done
limits_done:
    mov rsp, [rip + {thread_a} + 16]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

    // SYSCALL enters here for limit.crossing: nothing.
    .global limits_enter_bare
limits_enter_bare:
    sysretq

    // SYSCALL enters here for limit.roundtrip.cross: who runs, its RIP and RSP; the other's space, RIP and RSP.
    // RFLAGS (R11) are the same on both sides.
    .global limits_enter_switch
limits_enter_switch:
    mov rbx, [rip + {current}]
    mov [rbx], rcx
    mov [rbx + 8], rsp
    mov rbx, [rbx + 24]
    mov [rip + {current}], rbx
    mov rax, [rbx + 32]
    mov cr3, rax
    mov rcx, [rbx]
    mov rsp, [rbx + 8]
    sysretq
    .popsection

    // What runs in user mode: one page, mapped in both spaces. RDI = buffer for ticks, RSI = samples.
    .pushsection .text.user, "ax"
    .balign 4096
    .global limits_user
limits_user:
    .macro READ_CLOCK to
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov \to, rax
    .endm
    .macro KEEP_SAMPLE
    READ_CLOCK r10
    sub r10, r8
    mov [rdi], r10
    add rdi, 8
    dec rsi
    .endm
    // Two readings and nothing between.
    .global limits_user_clock
limits_user_clock:
    READ_CLOCK r8
    KEEP_SAMPLE
    jnz limits_user_clock
    ud2
    // The client: as many SYSCALLs as a batch has between two readings.
    .global limits_user_client
limits_user_client:
    READ_CLOCK r8
    mov r9d, {batch}
2:  syscall
    dec r9d
    jnz 2b
    KEEP_SAMPLE
    jnz limits_user_client
    ud2
    // The server in the other space.
    .global limits_user_server
limits_user_server:
    syscall
    jmp limits_user_server
    .balign 4096
    .popsection
