    .pushsection .text.start, "ax"

    // The loader's registers: RDI = postcard bytes, RSI = their length.
    .global _start
_start:
    lea rsp, [rip + {stack} + {stack_size}]
    xor ebp, ebp
    call {start}

    // extern "C" fn(user: u64, buffer: u64, samples: u64) -> u64: runs user code, interrupts off, until its INT {end}; returns its RAX.
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
    mov r14, rsi
    mov r15, rdx
    mov r11d, 2
    sysretq

    // The user code's end: `limits_run` returns. The processor's frame, on another stack, is of no use.
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

    // SYSCALL enters here for limit.roundtrip: who runs, its RIP and RSP; words beyond the first four; the other's space, if it
    // is another, RIP and RSP. RFLAGS (R11) are the same on both sides.
    .macro TO_OTHER name, words, space
    .global limits_enter_\name
limits_enter_\name:
    mov rbx, [rip + {current}]
    mov [rbx], rcx
    mov [rbx + 8], rsp
    mov rbx, [rbx + 24]
    mov [rip + {current}], rbx
    .if \words
    lea rsi, [rip + {words}]
    lea rdi, [rip + {words} + 1024]
    mov ecx, \words
    rep movsq
    .endif
    .if \space
    mov rax, [rbx + 32]
    mov cr3, rax
    .endif
    mov rcx, [rbx]
    mov rsp, [rbx + 8]
    sysretq
    .endm
    TO_OTHER same, 0, 0
    TO_OTHER cross, 0, 1
    TO_OTHER cross_8, 4, 1
    TO_OTHER cross_32, 28, 1
    TO_OTHER cross_120, 116, 1

    // #UD of the user code enters here for limit.fault, an interrupt for limit.vector: the server's space, RIP and RSP. The frame stays
    // where the processor put it.
    .global limits_fault
limits_fault:
    mov rbx, [rip + {thread_a} + 24]
    mov rax, [rbx + 32]
    mov cr3, rax
    mov rcx, [rbx]
    mov rsp, [rbx + 8]
    mov r11d, 2
    sysretq

    // SYSCALL of the server: back behind the UD2.
    .global limits_enter_resume
limits_enter_resume:
    mov rbx, [rip + {thread_a} + 24]
    mov [rbx], rcx
    mov [rbx + 8], rsp
    mov rax, [rip + {thread_a} + 32]
    mov cr3, rax
    lea rsp, [rip + {trap_stack} + 4096 - 40]
    add qword ptr [rsp], 2
    iretq
    .popsection

    // Where the clock is read.
    .pushsection .rodata.clocks, "a"
    .balign 8
    .global limits_clocks
limits_clocks:
    .popsection

    // What runs in user mode: one page, mapped in both spaces. R14 = buffer for ticks, R15 = samples.
    .pushsection .text.user, "ax"
    .balign 4096
    .global limits_user
limits_user:
    // Reads the clock; changes RAX, RCX and RDX. `cycles.rs` makes the RDTSC an RDPMC of the counter in ECX, where that runs.
    .macro READ_CLOCK to
    mov ecx, {cycles}
771:
    rdtsc
    .pushsection .rodata.clocks, "a"
    .quad 771b
    .popsection
    shl rdx, 32
    or rax, rdx
    mov \to, rax
    .endm
    .macro KEEP_SAMPLE
    READ_CLOCK r10
    sub r10, r8
    mov [r14], r10
    add r14, 8
    dec r15
    .endm

    // Two readings and nothing between.
    .global limits_user_clock
limits_user_clock:
    READ_CLOCK r8
    KEEP_SAMPLE
    jnz limits_user_clock
    int {end}

    // As many crossings as a batch has between two readings. What the last one left in RAX is the result.
    .macro CLIENT name
    .global limits_user_\name
limits_user_\name:
    READ_CLOCK r8
    mov r9d, {batch}
2:  CROSS_\name
    dec r9d
    jnz 2b
    mov rbp, rax
    KEEP_SAMPLE
    jnz limits_user_\name
    mov rax, rbp
    int {end}
    .endm

    .macro CROSS_syscall
    syscall
    .endm
    CLIENT syscall

    .macro CROSS_fault
    ud2
    .endm
    CLIENT fault

    // A function by its number: through SYSCALL, through one vector for all, through a vector of its own.
    .macro CROSS_number
    mov eax, 3
    syscall
    .endm
    CLIENT number

    .macro CROSS_int80
    mov eax, 3
    int 0x80
    .endm
    CLIENT int80

    .macro CROSS_vector
    int {first_vector} + 3
    .endm
    CLIENT vector

    // Four arguments: in registers; in the structure that the kernel knows; in one that RDX points to.
    .macro CROSS_registers
    mov edx, 1
    mov ebx, 2
    mov r12d, 3
    mov r13d, 4
    syscall
    .endm
    CLIENT registers

    .macro CROSS_known
    mov qword ptr [{known}], 1
    mov qword ptr [{known} + 8], 2
    mov qword ptr [{known} + 16], 3
    mov qword ptr [{known} + 24], 4
    syscall
    .endm
    CLIENT known

    .macro CROSS_pointed
    mov qword ptr [{known}], 1
    mov qword ptr [{known} + 8], 2
    mov qword ptr [{known} + 16], 3
    mov qword ptr [{known} + 24], 4
    mov edx, {known}
    syscall
    .endm
    CLIENT pointed

    // Something is made, and undone.
    .macro CROSS_pair
    mov edx, 1
    syscall
    xor edx, edx
    syscall
    .endm
    CLIENT pair

    // The same where another thread undoes it.
    .macro CROSS_make
    mov edx, 1
    syscall
    .endm
    CLIENT make

    // That thread: one call.
    .global limits_user_once
limits_user_once:
    xor edx, edx
    syscall

    // An interrupt's way to its server, which reads the clock into R10 at its first instruction.
    .global limits_user_interrupt
limits_user_interrupt:
    READ_CLOCK r8
    int {interrupt}
    sub r10, r8
    mov [r14], r10
    add r14, 8
    dec r15
    jnz limits_user_interrupt
    int {end}

    .global limits_user_handler
limits_user_handler:
    READ_CLOCK r10
    syscall

    // The server in the other space.
    .global limits_user_server
limits_user_server:
    syscall
    jmp limits_user_server
    .balign 4096
    .popsection
