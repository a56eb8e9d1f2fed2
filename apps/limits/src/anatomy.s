    .pushsection .text.anatomy, "ax"

    // Eight functions, of which each returns another number.
    .macro FUNCTION number
limits_function_\number:
    mov eax, 100 + \number
    ret
limits_vector_\number:
    call limits_function_\number
    iretq
    .endm
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    FUNCTION \number
    .endr
    .balign 8
limits_functions:
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    .quad limits_function_\number
    .endr
    // Handlers of the vectors, one a function.
    .global limits_vectors
limits_vectors:
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7
    .quad limits_vector_\number
    .endr

    // The function whose number is in RAX.
    .macro DISPATCH
    cmp eax, 8
    jae limits_refuse
    lea rbx, [rip + limits_functions]
    call [rbx + rax * 8]
    .endm

    .global limits_enter_number
limits_enter_number:
    mov r10, rsp
    lea rsp, [rip + {trap_stack} + 4096]
    DISPATCH
    mov rsp, r10
    sysretq

    .global limits_int80
limits_int80:
    DISPATCH
    iretq

    // Wrong arguments: the result is none that is expected. Only SYSCALL comes here with any.
limits_refuse:
    xor eax, eax
    sysretq

    // The sum of four arguments, in RAX: in RDX, RBX, R12 and R13;
    .global limits_enter_registers
limits_enter_registers:
    lea rax, [rdx + rbx]
    add rax, r12
    add rax, r13
    sysretq

    .macro SUM at
    mov rax, [\at]
    add rax, [\at + 8]
    add rax, [\at + 16]
    add rax, [\at + 24]
    .endm

    // in the structure at the address that both sides know, in the kernel's own mapping;
    .global limits_enter_known
limits_enter_known:
    lea rbx, [rip + {arguments}]
    SUM rbx
    sysretq

    // where RDX points: page by page through the tables, as far as they are present and the user's; a structure within one
    // page;
    .macro LEVEL shift
    mov r13, rdx
    shr r13, \shift
    and r13d, 511
    mov rbx, [rbx + r13 * 8]
    mov eax, ebx
    and eax, 5
    cmp eax, 5
    jne limits_refuse
    and rbx, r12
    add rbx, [rip + {offset}]
    .endm
    .global limits_enter_walked
limits_enter_walked:
    mov r12, 0x000ffffffffff000
    mov eax, edx
    and eax, 4095
    cmp eax, 4096 - 32
    ja limits_refuse
    mov rbx, cr3
    and rbx, r12
    add rbx, [rip + {offset}]
    LEVEL 39
    LEVEL 30
    LEVEL 21
    LEVEL 12
    mov eax, edx
    and eax, 4095
    add rbx, rax
    SUM rbx
    sysretq

    // where RDX points, through the caller's own mapping, which is in use anyway. A page fault would have to be survived.
    .global limits_enter_direct
limits_enter_direct:
    mov rbx, 0x00007fffffffffe0
    cmp rdx, rbx
    ja limits_refuse
    stac
    SUM rdx
    clac
    sysretq

    // extern "C" fn(ticks: u64, samples: u64, one: u64, other: u64): ring 0 alone, on two addresses or two values of CR3, which
    // are in R11 and R9.
    .macro KERNEL name
    .global limits_kernel_\name
limits_kernel_\name:
    push r14
    push r15
    mov r14, rdi
    mov r15, rsi
    mov r11, rdx
    mov r9, rcx
    // User pages may be touched (RFLAGS.AC, with SMAP or without).
    pushfq
    or qword ptr [rsp], 1 << 18
    popfq
2:  READ_CLOCK r8
    BODY_\name
    KEEP_SAMPLE
    jnz 2b
    pushfq
    and qword ptr [rsp], ~(1 << 18)
    popfq
    pop r15
    pop r14
    ret
    .endm

    .macro BODY_clock
    .endm
    KERNEL clock

    .macro BODY_copy
    mov rsi, r11
    mov rdi, r9
    mov ecx, 512
    rep movsq
    .endm
    KERNEL copy

    .macro BODY_cr3
    .rept {batch} / 2
    mov cr3, r11
    mov cr3, r9
    .endr
    .endm
    KERNEL cr3

    .macro TOUCH
    .set page, 0
    .rept {pages}
    mov rax, [r9 + page]
    .set page, page + 4096
    .endr
    .endm

    .macro BODY_warm
    TOUCH
    .endm
    KERNEL warm

    .macro BODY_refill
    mov cr3, r11
    TOUCH
    .endm
    KERNEL refill
    .popsection

    // The end of the places where the clock is read.
    .pushsection .rodata.clocks, "a"
    .global limits_clocks_end
limits_clocks_end:
    .popsection
