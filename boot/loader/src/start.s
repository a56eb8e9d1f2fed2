# From the firmware's hand-over to `loader_main` in long mode: all of the loader's assembly.
#
# Two ways in, both with A20 open, interrupts off, flat 32-bit segments, paging off and no stack:
#   start_pvh         EBX = hvm_start_info (Xen, "x86/HVM direct boot ABI"); QEMU's -kernel comes here
#   start_multiboot2  EAX = 0x36d76289, EBX = boot information (Multiboot2, 3.3 "I386 machine state"); GRUB comes here
#
# `loader_main(magic, info)` then runs with paging on: the low 4 GiB at their own addresses in 2 MiB pages. CR0.WP,
# EFER.NXE and the like come later, in Rust, once the processor was seen to have them.

.set PVH_MAGIC, 0x336ec578              # hvm_start_info's own; here it also says which way we came
.set MULTIBOOT2_HEADER, 0xe85250d6
.set PAGE_TABLE, 0x3                    # present, writable
.set PAGE_2M, 0x83                      # present, writable, large
.set CR0_PE_PG, 0x80000001
.set CR4_PAE, 1 << 5
.set MSR_EFER, 0xc0000080
.set EFER_LME, 1 << 8
.set EFLAGS_ID, 1 << 21
.set SCREEN, 0xb8000                    # VGA text, 80 by 25 cells
.set WHITE_ON_BLACK, 0x0f00
.set SERIAL, 0x3f8
.set LINE_CONTROL, SERIAL + 3
.set EIGHT_BITS, 3
.set LINE_STATUS, SERIAL + 5
.set LINE_STATUS_ROOM, 0x20             # the next byte may be written
.set LINE_STATUS_EMPTY, 0x40            # the last byte has left
.set TRIES, 0x10000                     # bounded: there may be no serial port

.section .multiboot2, "a"
.align 8
header:
    .long MULTIBOOT2_HEADER, 0, header_end - header, -(MULTIBOOT2_HEADER + (header_end - header))
    .short 5, 1                         # framebuffer tag, optional: where there is no text, pixels are welcome
    .long 20, 0, 0, 32                  # its size; width and height do not matter; bits of a pixel
    .align 8
    .short 0, 0                         # end tag
    .long 8
header_end:

.section .note.pvh, "a", @note
.align 4
    .long 4, 8, 18                      # name size, descriptor size (QEMU reads 8), XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad start_pvh

.text
.code32
.global start_pvh, start_multiboot2
start_pvh:
    mov $PVH_MAGIC, %eax
start_multiboot2:
    cli
    cld
    mov $stack_top, %esp
    mov %eax, %ebp                      # EBP = which way, EBX = information, until `loader_main`

    # Is there a long mode? First: is there CPUID (EFLAGS.ID can be changed; SDM 3A 2.3)?
    pushf
    pop %eax
    mov %eax, %ecx
    xor $EFLAGS_ID, %eax
    push %eax
    popf
    pushf
    pop %eax
    cmp %eax, %ecx
    je no_long_mode
    push %ebx                           # CPUID writes EBX
    mov $0x80000000, %eax
    cpuid
    cmp $0x80000001, %eax
    jb no_long_mode
    mov $0x80000001, %eax
    cpuid
    bt $29, %edx                        # LM
    jnc no_long_mode
    pop %ebx

    # The low 4 GiB at their own addresses. The tables are zero (.bss).
    mov $pdpt + PAGE_TABLE, %eax
    mov %eax, pml4
    mov $directories + PAGE_TABLE, %eax
    mov $pdpt, %edi
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $4096, %eax
    add $8, %edi
    loop 1b
    mov $PAGE_2M, %eax
    mov $directories, %edi
    mov $2048, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b

    # SDM 3A 10.8.5: PAE, CR3, LME, then PG.
    mov %cr4, %eax
    or $CR4_PAE, %eax
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    or $CR0_PE_PG, %eax
    mov %eax, %cr0
    lgdt gdt_pointer                    # compatibility mode until CS is a 64-bit segment
    ljmp $8, $long_mode

# One line on the serial port (at the speed the firmware or its reset left) and the VGA text screen, then out: the same as
# `machine::console::refuse` does for every other refusal.
no_long_mode:
    mov $SCREEN, %edi
    mov $WHITE_ON_BLACK | ' ', %ax
    mov $80 * 25, %ecx
    rep stosw
    mov $LINE_CONTROL, %dx
    mov $EIGHT_BITS, %al
    outb %al, %dx
    mov $message, %esi
    mov $SCREEN, %edi
1:  lodsb
    test %al, %al
    jz 3f
    mov $LINE_STATUS, %dx
    mov %al, %cl
    mov $TRIES, %ebx
2:  inb %dx, %al
    dec %ebx
    jz 4f
    test $LINE_STATUS_ROOM, %al
    jz 2b
4:  mov $SERIAL, %dx
    mov %cl, %al
    outb %al, %dx
    cmp $' ', %al
    jb 1b                               # the line's end is for the serial port only
    mov $WHITE_ON_BLACK >> 8, %ah
    stosw
    jmp 1b
3:  mov $LINE_STATUS, %dx                # the last byte must leave before the machine ends
    mov $TRIES, %ebx
2:  inb %dx, %al
    dec %ebx
    jz 4f
    test $LINE_STATUS_EMPTY, %al
    jz 2b
4:  mov ${exit_port}, %dx
    mov ${refused}, %al
    outb %al, %dx
    mov ${bochs_port}, %dx
    mov $bochs_off, %esi
    mov $bochs_off_size, %ecx
    rep outsb
1:  hlt
    jmp 1b

.code64
long_mode:
    mov %ebp, magic
    mov %ebx, information
load_next:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $stack_top, %esp                # clears the upper half; 16-byte aligned before the call, as the ABI wants
    mov magic, %edi                     # first argument
    mov information, %esi               # second
    mov stage, %edx                     # third
    incl stage
    xor %ebp, %ebp                      # backtraces end here
    call loader_main
    ud2                                 # it never returns

# A kernel that another one follows comes here (`bootinfo::relay`), in 64-bit mode, on page tables with the loader at its own
# addresses. Everything that the firmware and GRUB left is still where it was, for kernels leave it alone.
.global resume
resume:
    cli
    cld
    mov $pml4, %eax
    mov %rax, %cr3
    mov $CR4_PAE, %eax                  # without PGE: what was global in the TLB is gone (SDM 3A 5.10.4.1)
    mov %rax, %cr4
    lgdt gdt_pointer
    mov $stack_top, %esp
    push $8
    push $load_next
    lretq

.section .rodata
message:
    .asciz "postern loader: the CPU has no 64-bit long mode; use a 64-bit one (QEMU: -cpu max or -cpu qemu64)\r\n"
bochs_off:
    .ascii "Shutdown"                   # `exit::BOCHS_OFF`
.set bochs_off_size, . - bochs_off
.align 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff            # 0x08: 64-bit code
    .quad 0x00cf93000000ffff            # 0x10: data
gdt_pointer:
    .short gdt_pointer - gdt - 1
    .quad gdt

.data
.align 4
magic:       .long 0                    # what came in EAX and EBX
information: .long 0
stage:       .long 0                    # how many kernels have been started

.bss
.align 4096
pml4:        .skip 4096
pdpt:        .skip 4096
directories: .skip 4 * 4096
             .skip 64 * 1024
stack_top:
.text
