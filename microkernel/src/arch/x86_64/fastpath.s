// The fast path: `call` and `reply_recv`, also VIA a Reply object, between two partners of whom nothing is unusual.
//
// SYSCALL left RCX = user RIP, R11 = user RFLAGS, RSP = the user's, interrupts off (FMASK). Registers come in as the
// ABI says (crate `abi`). Here
//     R11 = the running thread, later RFLAGS        RDI = capability index, then its slot, then the badge
//     R9  = the partner                             RSI = the endpoint
//     R10 = scratch                                 RCX = user RIP, then scratch, then the partner's RIP
// Nothing is written before the last check but the running thread's frame, as the slow path does. Whatever fails a check goes on at `postern_slow` with the registers it
// came with, or at `postern_slow_plain` without R9, R10 and RSI, which a plain message does not use.
//
// Everything unusual about threads and endpoints is kept in the words tested here by the rest of the kernel:
//     fast_slots    0 for a thread without a table, or one that uses the FPU or is traced
//     flags         FAST_CALL, FAST_RECV: a living Endpoint with the right to call or receive; FAST_REPLY (slot.rs)
//     endpoint      the one plain receiver, `nobody`, or `busy` (endpoint.rs)
//     Reply object  the plain caller parked there, or `nobody` (endpoint.rs)
//     fast_caller   the plain caller that is owed a reply, or `nobody` (Thread::set_owed)
//     fast_fault    the thread whose fault is owed an answer, if nothing else is unusual, or `nobody`
//     priority      less than every real one for `nobody` and `busy`

    .macro FIND right
    cmp rdi, [r11 + {fast_slots}]            // an index of its table?
    jae postern_slow_plain
    shl rdi, 5
    add rdi, [r11 + {table}]                 // the slot
    test byte ptr [rdi + {flags}], \right    // an Endpoint, with the right?
    jz postern_slow_undo
    mov rsi, [rdi + {object}]                // the endpoint
    .endm

    .macro SAVE
    mov [r11 + {rip}], rcx
    mov [r11 + {rsp}], rsp
    mov [r11 + {rbx}], rbx
    mov [r11 + {rbp}], rbp
    .endm

    // Copies the words beyond the first four; their number is in AH.
    .macro COPY
    mov r10, rdi
    movzx ecx, ah
    lea rsi, [r11 + {buffer}]
    lea rdi, [r9 + {buffer}]
    rep movsq
    mov rdi, r10
    .endm

    .macro SWITCH
    mov [rip + {tss} + 4], r9                // the partner runs: its traps are saved in its frame
    mov rcx, [r9 + {cr3}]
    cmp rcx, [r11 + {cr3}]                   // another space?
    je 1f
    LOAD_SPACE
1:  mov rcx, [r9 + {rip}]
    mov rsp, [r9 + {rsp}]
    mov rbx, [r9 + {rbx}]
    mov rbp, [r9 + {rbp}]
    mov r11d, {rflags}
    xor edx, edx                             // no register of the sender or the kernel leaks
    xor esi, esi
    xor r9d, r9d
    xor r10d, r10d
    .endm

    .macro CALL long
    FIND {fast_call}
    mov r9, [rsi]                            // the receiver
    mov r10d, [r11 + {priority}]
    cmp r10d, [r9 + {priority}]              // is there one, at least as urgent?
    jg postern_slow_undo
    SAVE
    mov [r11 + {lease}], rdx                 // lease 0
    mov [r11 + {lease} + 8], r8
    SET_NOBODY rsi, 0, r10                   // the endpoint has no receiver any more
    inc qword ptr [rsi + {messages}]         // it delivers one more
    mov [r9 + {fast_caller}], r11            // the server owes us
    mov [r11 + {wait}], r9                   // we await its reply
    mov rdi, [rdi + {badge}]
    .if \long
    COPY
    .endif
    SWITCH
    EXIT
    .endm

    .macro REPLY_RECV long, payload
    FIND {fast_recv}
    COMPARE_NOBODY rsi, 0, r10               // nobody queued at the endpoint?
    jne postern_slow_undo
    mov r9, [r11 + {fast_caller}]            // whom we owe
    mov r10d, [rip + {ready} + {top}]
    cmp r10d, [r9 + {priority}]              // is there one, as urgent as all who are ready?
    .if \long
    jg postern_reply_fault
    .else
    jg postern_slow_undo
    .endif
    SAVE
    .if \payload
    lea rsp, [rip + {stack} + {stack_size}]
    call postern_payload
postern_receive:
    .endif
    mov [rsi], r11                           // the endpoint's receiver
    mov [r11 + {wait}], rsi                  // we receive from it
    .if \long
    COPY
    .endif
    SWITCH
    xor al, al                               // the tag's operation becomes status 0
    xor edi, edi
    xor r8d, r8d
    EXIT
    .endm

    .pushsection .text.entry, "ax"
    .global postern_syscall
    .global postern_syscall_slow
    .balign 64
postern_syscall:
    mov r11, [rip + {tss} + 4]
    cmp eax, 1                               // the tag's low half: 0 call, 1 reply_recv, without anything else?
    jae 2f
    CALL 0
2:  jne 3f
    REPLY_RECV 0, 0
3:  test eax, {not_long}                     // the same two, with more words?
    jnz 5f
    cmp ah, {max_extra}
    ja postern_slow
    test al, 1
    jnz 4f
    CALL 1
4:  REPLY_RECV 1, 0
5:  cmp eax, {with_payload}                  // reply_recv with bytes for the caller's lease?
    jne 6f
    REPLY_RECV 0, 1
6:  cmp eax, {nop}
    jne 7f
    xor eax, eax
    mov r11d, {rflags}
    EXIT
7:  cmp eax, {via}                           // reply_recv to a parked caller?
    je postern_reply_via
    cmp eax, {via_with_payload}
    jne postern_slow

    // An answer to the caller in the Reply object that RSI names, whose turn begins. Whoever gives it owes nothing, or the
    // acknowledgement of an interrupt, which it thereby gives. Here also
    //     R10 = the Reply object        RBX = the interrupt, or 0        RBP = the kernel's state
postern_reply_via:
    mov [r11 + {e_rsi}], rsi                 // where the slow path looks for it
    FIND {fast_recv}
    COMPARE_NOBODY rsi, 0, r10               // nobody queued at the endpoint?
    jne postern_slow_undo
    mov r10, [r11 + {e_rsi}]
    cmp r10, [r11 + {fast_slots}]            // an index of its table?
    jae postern_slow_undo
    shl r10, 5
    add r10, [r11 + {table}]
    test byte ptr [r10 + {flags}], {fast_reply}
    jz postern_slow_undo
    mov r10, [r10 + {object}]
    mov r9, [r10]                            // who is parked there
    SAVE
    LOAD_KERNEL
    mov ecx, [rbp + {ready_top}]
    cmp ecx, [r9 + {priority}]               // is there one, more urgent than all who are ready?
    jge postern_undo_all
    cmp qword ptr [r11 + {owed}], {owes_irq}
    jne 2f
    mov rbx, [r11 + {owed} + 8]
    cmp qword ptr [rbx + {irq_count}], 0     // did it fire again?
    jne postern_undo_all
    cmp byte ptr [rbx + {irq_masked}], 0
    jne postern_undo_all
1:  test eax, {has_payload}
    jz 3f
    lea rsp, [rip + {stack} + {stack_size}]
    call postern_payload
3:  SET_NOBODY r10, 0, rcx                   // the Reply object holds nobody
    mov qword ptr [r10 + {caller}], 0
    test rbx, rbx
    jz 4f
    mov byte ptr [rbx + {irq_progress}], {idle}
    mov qword ptr [rbx + {irq_owner}], 0
    mov qword ptr [r11 + {owed}], {owes_nothing}
4:  mov rdi, rax
    xor di, di                               // the caller sees nothing of VIA
    NOW
    mov rax, rdi
    mov rcx, rdx                             // who paid so far did it until now
    sub rcx, [rbp + {turn_began}]
    mov rdi, [rbp + {payer}]
    add [rdi + {paid}], rcx
    mov [rbp + {payer}], r9
    mov [rbp + {turn_began}], rdx
    mov byte ptr [rbp + {turn_over}], 0
    mov qword ptr [rbp + {turn_end}], -1
    jmp postern_receive

2:  cmp qword ptr [r11 + {owed}], {owes_nothing}
    jne postern_undo_all
    COMPARE_NOBODY r11, {fast_caller}, rcx   // nor to a caller that the fast path took?
    jne postern_undo_all
    xor ebx, ebx
    jmp 1b

    // Copies R8 bytes at RDX to the partner's lease 0, on the kernel's stack. If that fails, the slow path finds out why.
postern_payload:
    .irp register, rax, rdi, rdx, r8, r9, r10, r11
    push \register
    .endr
    mov rdi, r11
    mov rsi, r9
    mov rcx, r8
    call {payload}
    mov ecx, eax
    .irp register, r11, r10, r9, r8, rdx, rdi, rax
    pop \register
    .endr
    test cl, cl
    jz postern_undo_all
    mov rsi, [rdi + {object}]
    ret

    // A long REPLY_RECV that owes no plain call: perhaps a fault, whose answer sets all registers? R10 = the highest ready
    // priority, and the rest as in REPLY_RECV.
postern_reply_fault:
    cmp rax, {resume}
    jne postern_slow_undo
    mov r9, [r11 + {fast_fault}]
    cmp r10d, [r9 + {priority}]
    jg postern_slow_undo
    mov r10, {user_end}
    cmp r14, r10                             // its RIP
    jae postern_slow_undo
    SAVE
    mov [rsi], r11
    mov [r11 + {wait}], rsi
    SET_NOBODY r11, {fast_fault}, r10
    mov word ptr [r9 + {request}], 1         // one lease, a call: as for any other thread
    mov [r9 + {rip}], r14
    mov [r9 + {rsp}], r15
    lea rsi, [r11 + {buffer}]
    lea rdi, [r9 - {frame_size}]
    mov ecx, {general}
    rep movsq
    mov rcx, [rsi]
    and ecx, {user_flags}
    or ecx, {rflags}
    mov [r9 + {e_rflags}], rcx
    mov [rip + {tss} + 4], r9
    mov rcx, [r9 + {cr3}]
    cmp rcx, [r11 + {cr3}]
    je 1f
    LOAD_SPACE
1:  EXIT_TRAP

    // Where SYSCALL enters while the fast path is off.
postern_syscall_slow:
    mov r11, [rip + {tss} + 4]
    jmp postern_slow
postern_undo_all:
    mov rcx, [r11 + {rip}]
    mov rsp, [r11 + {rsp}]
    mov rbx, [r11 + {rbx}]
    mov rbp, [r11 + {rbp}]
postern_slow_undo:
    sub rdi, [r11 + {table}]
    shr rdi, 5
    jmp postern_slow_plain
    .popsection
