//! The message buffer: what a message has beyond four words, and blocks of kernel objects.

use abi::buffer;
use core::arch::asm;

/// This thread's message buffer ([`abi::buffer`]).
#[inline(always)]
fn message_buffer() -> *mut u64 {
    let rsp: u64;
    // SAFETY: only reads RSP.
    unsafe { asm!("mov {}, rsp", out(reg) rsp, options(nomem, nostack, preserves_flags)) };
    core::ptr::with_exposed_provenance_mut((rsp & !(buffer::AREA - 1)) as usize)
}

/// Word `i` (4 to 119) of the message buffer, as the last message left it.
///
/// # Panics
/// `i` lies outside the buffer.
#[inline(always)]
pub fn word(i: usize) -> u64 {
    assert!(i < 512);
    // SAFETY: every thread's stack lies in an area that begins with its message buffer (root and `thread` keep that), and
    // `i` lies in that page; nothing forms references to it.
    unsafe { message_buffer().add(i).read_volatile() }
}

/// Sets word `i` (4 to 119) of the message buffer for the next message.
///
/// # Panics
/// `i` lies outside the buffer.
#[inline(always)]
pub fn set_word(i: usize, value: u64) {
    assert!(i < 512);
    // SAFETY: as in `word`.
    unsafe { message_buffer().add(i).write_volatile(value) };
}

/// Bytes from word 4 of the message buffer on, where kernel objects put blocks.
///
/// # Panics
/// More bytes than fit (464 words' worth).
#[inline(always)]
pub fn block(bytes: &mut [u8]) {
    assert!(bytes.len() <= BLOCK_MOST);
    // SAFETY: inside the message buffer (as in `word`) and the slice.
    unsafe {
        copy(
            message_buffer().add(4).cast(),
            bytes.as_mut_ptr(),
            bytes.len(),
        )
    };
}

/// Puts bytes into the message buffer from word 4 on, where kernel objects take blocks. What is left of the last word is 0.
///
/// # Panics
/// More bytes than fit.
#[inline(always)]
pub fn set_block(bytes: &[u8]) {
    assert!(bytes.len() <= BLOCK_MOST);
    if !bytes.len().is_multiple_of(8) {
        set_word(4 + bytes.len() / 8, 0);
    }
    // SAFETY: as in `block`.
    unsafe { copy(bytes.as_ptr(), message_buffer().add(4).cast(), bytes.len()) };
}

/// Bytes of the message buffer from word 4 on.
const BLOCK_MOST: usize = abi::PAGE as usize - buffer::word(4);

/// Copies to or from the message buffer, which no Rust reference points to: words first.
///
/// # Safety
/// Both are valid for so many bytes.
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, count: usize) {
    // SAFETY: as the caller promises; the direction flag is clear, as the ABI has it.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) count & 7,
            inout("rcx") count >> 3 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}
