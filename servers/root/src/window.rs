//! The only unsafe code of root: what lies at fixed addresses of its own Space.
//!
//! The kernel lays out the information page and the archive ([`abi::root`]); root itself maps
//! frames at [`WINDOW`] for as long as one function of this module's users needs them.
#![allow(unsafe_code)]

use crate::slots::BATCH;
use abi::PAGE;
use core::slice;

/// Where root maps frames of programs and pages of devices, up to [`BATCH`] at a time.
pub const WINDOW: u64 = 0x2000_0000_0000;

/// The information page.
pub fn info_page() -> &'static [u8] {
    // SAFETY: the kernel maps this page readable before root starts and nobody unmaps or writes it.
    unsafe { slice::from_raw_parts(abi::root::INFO as *const u8, PAGE as usize) }
}

/// The archive, `size` bytes as the information page says.
pub fn archive(size: u64) -> &'static [u8] {
    // SAFETY: the kernel maps `archive_size` bytes readable before root starts and nobody unmaps or writes them.
    unsafe { slice::from_raw_parts(abi::root::ARCHIVE as *const u8, size as usize) }
}

/// Copies `bytes` to offset `offset` of the window, whose first `pages` pages root has mapped writable.
pub fn write(pages: u32, offset: usize, bytes: &[u8]) {
    assert!(pages <= BATCH && offset + bytes.len() <= pages as usize * PAGE as usize);
    // SAFETY: inside the mapped pages by the assertion; no Rust reference to window memory is ever formed.
    unsafe {
        core::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            (WINDOW as usize + offset) as *mut u8,
            bytes.len(),
        )
    }
}

/// Reads a word at `offset` (a multiple of 8, in the first page) of the window.
pub fn read(offset: usize) -> u64 {
    assert!(offset.is_multiple_of(8) && offset < PAGE as usize);
    // SAFETY: aligned and inside the page that the caller has mapped; volatile, because others may write it.
    unsafe { ((WINDOW as usize + offset) as *const u64).read_volatile() }
}

/// Writes device registers: 32 bits at `offset` (a multiple of 4, in the first page) of the window.
pub fn write_register(offset: usize, value: u32) {
    assert!(offset.is_multiple_of(4) && offset < PAGE as usize);
    // SAFETY: aligned and inside the page that the caller has mapped; volatile, as device registers need.
    unsafe { ((WINDOW as usize + offset) as *mut u32).write_volatile(value) }
}

/// Writes a device register of one byte at `offset` of the window's first page, and reads it back.
pub fn exchange_byte(offset: usize, value: u8) -> u8 {
    assert!(offset < PAGE as usize);
    let register = (WINDOW as usize + offset) as *mut u8;
    // SAFETY: inside the page that the caller has mapped; volatile, as device registers need.
    unsafe {
        register.write_volatile(value);
        register.read_volatile()
    }
}
