    // The least for what a kernel does with its objects: no check, no lookup, nothing but the stores that make it so. RDX says
    // which of two operations: 1 makes, 0 undoes.
    .pushsection .text.objects, "ax"

    // A page into the first space, and out of it: its entry in the table, and on the way out the translation.
    .global limits_enter_map
limits_enter_map:
    test edx, edx
    jz 2f
    mov rax, [rip + {entry}]
    mov [rip + {spaces} + {slot}], rax
    sysretq
2:  mov [rip + {spaces} + {slot}], rdx
    invlpg [{page}]
    sysretq

    // A capability, and its end: the object, and the rights with a badge.
    .global limits_enter_mint
limits_enter_mint:
    test edx, edx
    jz 2f
    lea rax, [rip + {arguments}]
    mov [rip + {words}], rax
    mov [rip + {words} + 8], rdx
    sysretq
2:  mov [rip + {words}], rdx
    sysretq

    // The end of 100 capabilities.
    .global limits_enter_revoke
limits_enter_revoke:
    mov rbx, rcx
    lea rdi, [rip + {words}]
    mov ecx, 100
    xor eax, eax
    rep stosq
    mov rcx, rbx
    sysretq

    // The end of an interrupt, told to its controller.
    .global limits_enter_acknowledge
limits_enter_acknowledge:
    mov rax, [rip + {eoi}]
    mov dword ptr [rax], 0
    sysretq

    // A thread's life. The client's SYSCALL makes one (RIP, RSP, space) and switches to it; the thread's own, its only call,
    // goes back, and nothing keeps the thread.
    .global limits_enter_life
limits_enter_life:
    test edx, edx
    jz 2f
    mov [rip + {thread_a}], rcx
    mov [rip + {thread_a} + 8], rsp
    mov rbx, [rip + {thread_a} + 24]
    mov rcx, [rip + {life}]
    mov [rbx], rcx
    mov qword ptr [rbx + 8], 0
    mov rax, [rip + {thread_a} + 32]
    mov [rbx + 32], rax
    xor esp, esp
    sysretq
2:  mov rcx, [rip + {thread_a}]
    mov rsp, [rip + {thread_a} + 8]
    sysretq

    // SYSCALL of that server, which will begin at the same place: back to what was interrupted.
    .global limits_enter_interrupted
limits_enter_interrupted:
    mov rax, [rip + {thread_a} + 32]
    mov cr3, rax
    lea rsp, [rip + {trap_stack} + 4096 - 40]
    iretq
    .popsection
