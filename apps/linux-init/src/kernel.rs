//! Linux's system calls on x86-64: the number in RAX, arguments in RDI, RSI, RDX, R10, R8 and R9. RAX comes back; RCX and R11
//! are the instruction's (System V ABI, AMD64 supplement, A.2.1). Of each call, what is written in its manual page.

mod fd;

use core::arch::asm;
use core::ffi::CStr;
use core::fmt;
use core::ptr;
use core::sync::atomic::AtomicU32;
pub use fd::Fd;
use linux_raw_sys::general as linux;

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// A number of errno(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub u64);

impl fmt::Display for Errno {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Linux says error {} (errno.h)", self.0)
    }
}

/// What RAX says: the last page of numbers are errors.
#[inline(always)]
fn decode(value: u64) -> Result<u64, Errno> {
    match value {
        0xffff_ffff_ffff_f001.. => Err(Errno(value.wrapping_neg())),
        _ => Ok(value),
    }
}

/// Asks for something that has no arguments.
///
/// # Errors
/// What Linux says.
#[inline(always)]
pub fn ask(number: u32) -> Result<u64, Errno> {
    let value: u64;
    // SAFETY: without an argument there is no memory that Linux could touch; FORK and EXIT are not among those asked for so.
    unsafe {
        asm!("syscall", inlateout("rax") u64::from(number) => value, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    decode(value)
}

/// Asks for something with up to four arguments.
///
/// # Safety
/// The memory that they name is the caller's, and may be read or written as this call does.
#[inline(always)]
unsafe fn ask4(number: u32, [a, b, c, d]: [u64; 4]) -> Result<u64, Errno> {
    let value: u64;
    // SAFETY: as the caller promises; Linux changes no other registers.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") u64::from(number) => value,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    decode(value)
}

/// Asks for something with up to six arguments.
///
/// # Safety
/// As [`ask4`].
unsafe fn ask6(number: u32, [a, b, c, d, e, f]: [u64; 6]) -> Result<u64, Errno> {
    let value: u64;
    // SAFETY: as the caller promises; Linux changes no other registers.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") u64::from(number) => value,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    decode(value)
}

/// mount(2) of a file system that has no device.
///
/// # Errors
/// What Linux says.
pub fn mount(kind: &CStr, folder: &CStr) -> Result<(), Errno> {
    let [kind, folder] = [kind, folder].map(|text| text.as_ptr().addr() as u64);
    // SAFETY: it reads the names, to their zeros.
    unsafe { ask6(linux::__NR_mount, [kind, folder, kind, 0, 0, 0]) }.map(drop)
}

/// ioperm(2): this process may use a port.
///
/// # Errors
/// What Linux says.
pub fn allow_port(port: u16) -> Result<(), Errno> {
    // SAFETY: it names no memory.
    unsafe { ask4(linux::__NR_ioperm, [port.into(), 1, 1, 0]) }.map(drop)
}

/// exit_group(2).
pub fn exit() -> ! {
    loop {
        // SAFETY: it names no memory, and nothing of the process is needed any more.
        let _ = unsafe { ask4(linux::__NR_exit_group, [1, 0, 0, 0]) };
    }
}

/// Another process, killed at its end.
#[derive(Debug)]
pub struct Child(u64);

impl Child {
    /// fork(2). The child does `work` over and over, and nothing else: it must not allocate, for another thread of a host's program may
    /// have held the lock.
    ///
    /// # Errors
    /// What Linux says.
    pub fn new(mut work: impl FnMut() -> Result<(), Errno>) -> Result<Child, Errno> {
        // SAFETY: the child has its own copy of all memory, and never leaves this function.
        match unsafe { ask4(linux::__NR_fork, [0; 4]) }? {
            0 => {
                while work().is_ok() {}
                exit()
            }
            child => Ok(Child(child)),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: it names no memory; WAIT4 is told that nobody wants the status.
        unsafe {
            let _ = ask4(linux::__NR_kill, [self.0, linux::SIGKILL.into(), 0, 0]);
            let _ = ask4(linux::__NR_wait4, [self.0, 0, 0, 0]);
        }
    }
}

/// A word to wait at, in memory that all later children share.
#[derive(Debug)]
pub struct Word(&'static AtomicU32);

impl Word {
    /// Two of them in a page, which is never given back.
    ///
    /// # Errors
    /// What Linux says.
    pub fn pair() -> Result<[Word; 2], Errno> {
        let words = map(linux::MAP_SHARED)?.cast::<[AtomicU32; 2]>();
        // SAFETY: a new page of zeros, which stays for good, and which only atomic accesses name.
        let [one, other] = unsafe { &*words };
        Ok([Word(one), Word(other)])
    }

    /// Its value.
    pub fn value(&self) -> &AtomicU32 {
        self.0
    }

    /// futex(2): wakes who waits at it.
    ///
    /// # Errors
    /// What Linux says.
    #[inline(always)]
    pub fn wake(&self) -> Result<(), Errno> {
        self.futex(linux::FUTEX_WAKE, 1).map(drop)
    }

    /// futex(2): waits until somebody wakes it, or not at all if it does not have this value. Either is no error.
    #[inline(always)]
    pub fn wait(&self, value: u32) {
        let _ = self.futex(linux::FUTEX_WAIT, value);
    }

    #[inline(always)]
    fn futex(&self, operation: u32, value: u32) -> Result<u64, Errno> {
        let arguments = [
            self.0.as_ptr().addr() as u64,
            operation.into(),
            value.into(),
            0,
        ];
        // SAFETY: it reads the word, which stays for good. No time is given.
        unsafe { ask4(linux::__NR_futex, arguments) }
    }
}

/// mmap(2): a page of zeros, private or shared.
fn map(sharing: u32) -> Result<*mut u8, Errno> {
    let rights = linux::PROT_READ | linux::PROT_WRITE;
    let flags = sharing | linux::MAP_ANONYMOUS;
    let arguments = [0, PAGE as u64, rights.into(), flags.into(), u64::MAX, 0];
    // SAFETY: Linux chooses an address that was nobody's.
    let address = unsafe { ask6(linux::__NR_mmap, arguments) }?;
    Ok(ptr::with_exposed_provenance_mut(address as usize))
}

/// A page of zeros that is not there until it is touched.
#[derive(Debug)]
pub struct Lazy(*mut u8);

impl Lazy {
    /// A new one, never given back.
    ///
    /// # Errors
    /// What Linux says.
    pub fn new() -> Result<Lazy, Errno> {
        map(linux::MAP_PRIVATE).map(Lazy)
    }

    /// madvise(2): takes it away, until it is touched again.
    ///
    /// # Errors
    /// What Linux says.
    pub fn take(&self) -> Result<(), Errno> {
        let arguments = [
            self.0.addr() as u64,
            PAGE as u64,
            linux::MADV_DONTNEED.into(),
            0,
        ];
        // SAFETY: the page is this value's, and nothing points into it.
        unsafe { ask4(linux::__NR_madvise, arguments) }.map(drop)
    }

    /// Writes it.
    #[inline(always)]
    pub fn write(&self) {
        // SAFETY: the page is this value's.
        unsafe { self.0.write_volatile(1) };
    }

    /// Reads it.
    #[inline(always)]
    pub fn read(&self) -> u8 {
        // SAFETY: the page is this value's.
        unsafe { self.0.read_volatile() }
    }
}

core::arch::global_asm!(
    ".pushsection .text.linux_signal, \"ax\"",
    // A handler: RDX points to the ucontext; it goes on behind UD2, which has two bytes.
    "linux_signal_handler:",
    "add qword ptr [rdx + {rip}], 2",
    "ret",
    // Where it returns to: rt_sigreturn(2).
    "linux_signal_return:",
    "mov eax, {rt_sigreturn}",
    "syscall",
    ".popsection",
    // uc_flags, uc_link and uc_stack, then sixteen registers before RIP (asm/ucontext.h, asm/sigcontext.h).
    rip = const 8 + 8 + 24 + 16 * 8,
    rt_sigreturn = const linux::__NR_rt_sigreturn,
);

unsafe extern "C" {
    fn linux_signal_handler();
    fn linux_signal_return();
}

/// SIGILL from now on means: go on behind the UD2.
///
/// # Errors
/// What Linux says.
pub fn skip_undefined() -> Result<(), Errno> {
    // struct sigaction of the kernel: handler, flags, where it returns to, signals that are blocked meanwhile.
    let flags = u64::from(linux::SA_SIGINFO | linux::SA_RESTORER);
    let [handler, back] = [
        linux_signal_handler as *const () as u64,
        linux_signal_return as *const () as u64,
    ];
    let action = [handler, flags, back, 0];
    let arguments = [
        linux::SIGILL.into(),
        action.as_ptr().addr() as u64,
        0,
        size_of::<u64>() as u64,
    ];
    // SAFETY: it reads `action`; the handler changes nothing but the place where the program goes on.
    unsafe { ask4(linux::__NR_rt_sigaction, arguments) }.map(drop)
}

/// Executes UD2. [`skip_undefined`] was called before.
#[inline(always)]
pub fn undefined() {
    // SAFETY: the handler goes on behind it.
    unsafe { asm!("ud2", options(nostack, nomem)) };
}
