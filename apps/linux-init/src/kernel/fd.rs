//! Open files.

use super::{Errno, ask4};
use core::ffi::CStr;
use linux_raw_sys::general as linux;

/// An open file, closed at its end.
#[derive(Debug)]
pub struct Fd(u64);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: it names no memory. A file that cannot be closed is nobody's loss here.
        let _ = unsafe { ask4(linux::__NR_close, [self.0, 0, 0, 0]) };
    }
}

impl Fd {
    /// open(2), with flags of fcntl.h.
    ///
    /// # Errors
    /// What Linux says.
    pub fn open(path: &CStr, flags: u32) -> Result<Fd, Errno> {
        let arguments = [path.as_ptr().addr() as u64, flags.into(), 0, 0];
        // SAFETY: it reads the path, to its zero.
        unsafe { ask4(linux::__NR_open, arguments) }.map(Fd)
    }

    /// pipe2(2): the end that is read, and the one that is written.
    ///
    /// # Errors
    /// What Linux says.
    pub fn pipe() -> Result<[Fd; 2], Errno> {
        let mut ends = [0_u32; 2];
        // SAFETY: it writes two numbers into `ends`.
        unsafe {
            ask4(
                linux::__NR_pipe2,
                [ends.as_mut_ptr().addr() as u64, 0, 0, 0],
            )
        }?;
        Ok(ends.map(|end| Fd(end.into())))
    }

    /// socketpair(2): two ends of a stream in the Unix domain.
    ///
    /// # Errors
    /// What Linux says.
    pub fn sockets() -> Result<[Fd; 2], Errno> {
        // AF_UNIX and SOCK_STREAM of sys/socket.h.
        let (domain, kind) = (1, 1);
        let mut ends = [0_u32; 2];
        let arguments = [domain, kind, 0, ends.as_mut_ptr().addr() as u64];
        // SAFETY: it writes two numbers into `ends`.
        unsafe { ask4(linux::__NR_socketpair, arguments) }?;
        Ok(ends.map(|end| Fd(end.into())))
    }

    /// eventfd2(2): a counter, 0 at first.
    ///
    /// # Errors
    /// What Linux says.
    pub fn event() -> Result<Fd, Errno> {
        // SAFETY: it names no memory.
        unsafe { ask4(linux::__NR_eventfd2, [0, 0, 0, 0]) }.map(Fd)
    }

    /// read(2).
    ///
    /// # Errors
    /// What Linux says.
    #[inline(always)]
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, Errno> {
        let arguments = [
            self.0,
            bytes.as_mut_ptr().addr() as u64,
            bytes.len() as u64,
            0,
        ];
        // SAFETY: it writes at most these bytes, which are borrowed.
        let count = unsafe { ask4(linux::__NR_read, arguments) };
        count.map(|count| count as usize)
    }

    /// write(2).
    ///
    /// # Errors
    /// What Linux says.
    #[inline(always)]
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let arguments = [self.0, bytes.as_ptr().addr() as u64, bytes.len() as u64, 0];
        // SAFETY: it reads these bytes, which are borrowed.
        let count = unsafe { ask4(linux::__NR_write, arguments) };
        count.map(|count| count as usize)
    }

    /// pread(2), from a place of the file.
    ///
    /// # Errors
    /// What Linux says.
    #[inline(always)]
    pub fn read_at(&self, bytes: &mut [u8], offset: usize) -> Result<usize, Errno> {
        let (address, length) = (bytes.as_mut_ptr().addr() as u64, bytes.len() as u64);
        // SAFETY: it writes at most these bytes, which are borrowed.
        let count = unsafe {
            ask4(
                linux::__NR_pread64,
                [self.0, address, length, offset as u64],
            )
        };
        count.map(|count| count as usize)
    }

    /// pwrite(2), to a place of the file.
    ///
    /// # Errors
    /// What Linux says.
    #[inline(always)]
    pub fn write_at(&self, bytes: &[u8], offset: usize) -> Result<usize, Errno> {
        let (address, length) = (bytes.as_ptr().addr() as u64, bytes.len() as u64);
        // SAFETY: it reads these bytes, which are borrowed.
        let count = unsafe {
            ask4(
                linux::__NR_pwrite64,
                [self.0, address, length, offset as u64],
            )
        };
        count.map(|count| count as usize)
    }

    /// tcdrain(3): waits until a terminal has sent all that was written.
    pub fn drain(&self) {
        // TCSBRK of asm-generic/ioctls.h, with an argument that is not 0.
        let (drain, wait) = (0x5409, 1);
        // SAFETY: it names no memory. What is no terminal has nothing to send.
        let _ = unsafe { ask4(linux::__NR_ioctl, [self.0, drain, wait, 0]) };
    }

    /// finit_module(2): the file is a kernel module, which takes its usual parameters.
    ///
    /// # Errors
    /// What Linux says.
    pub fn load_module(&self) -> Result<(), Errno> {
        let none = c"".as_ptr().addr() as u64;
        // SAFETY: it reads the parameters, to their zero.
        unsafe { ask4(linux::__NR_finit_module, [self.0, none, 0, 0]) }.map(drop)
    }
}
