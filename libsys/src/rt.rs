//! The start and the end of a program.

use crate::proto::{control, program};
use crate::syscall::{self, Slot};
use crate::{lease::Lease, object::OWN_TABLE};
use core::fmt::{self, Display, Write};
use program::ProgramInfo;
use spin::Once;

/// Makes `$start` (a `fn()` or `fn() -> Result<(), impl Display>`) the program.
///
/// Brings the entry point, the panic handler and the heap, so that the program itself can forbid unsafe code. On the
/// host it becomes a `main` that says what to type instead.
#[macro_export]
macro_rules! entry {
    ($start:path) => {
        $crate::entry_point!($start);

        #[cfg(target_os = "none")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::rt::panic(info)
        }

        #[cfg(target_os = "none")]
        #[global_allocator]
        static HEAP: $crate::heap::Heap = $crate::heap::heap();
    };
}

/// The entry point alone, for a program (root) with a panic handler and a heap of its own.
#[macro_export]
macro_rules! entry_point {
    ($start:path) => {
        #[cfg(target_os = "none")]
        core::arch::global_asm!(
            // The kernel enters with RSP at the top of the thread's area and every other register zero.
            ".pushsection .text._start, \"ax\"",
            ".globl _start",
            "_start:",
            "xor ebp, ebp",
            "and rsp, -16",
            "call postern_main",
            "ud2",
            ".popsection",
        );

        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "C" fn postern_main() -> ! {
            $crate::rt::run($start)
        }

        #[cfg(not(target_os = "none"))]
        fn main() {
            $crate::rt::on_host($start)
        }
    };
}

/// What a program's start may return.
pub trait Outcome {
    /// Ends the program.
    fn end(self) -> !;
}

impl Outcome for () {
    fn end(self) -> ! {
        exit(0)
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn end(self) -> ! {
        match self {
            Ok(()) => exit(0),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Runs a program from its first to its last instruction.
pub fn run<O: Outcome>(start: fn() -> O) -> ! {
    start().end()
}

/// Refuses to run a program of Postern on the host.
#[cfg(not(target_os = "none"))]
pub fn on_host<O: Outcome>(_start: fn() -> O) -> ! {
    eprintln!(
        "This is a program of Postern and runs under its kernel. Type `cargo run` in the workspace's root."
    );
    std::process::exit(2)
}

static INFO: Once<ProgramInfo> = Once::new();

/// What root told this program.
///
/// # Panics
/// The page is damaged (root did not start this program).
pub fn info() -> &'static ProgramInfo {
    INFO.call_once(|| {
        let page: *const u8 = core::ptr::with_exposed_provenance(program::INFO as usize);
        // SAFETY: root maps this page readable before it starts the program, and nobody writes it.
        let bytes = unsafe { core::slice::from_raw_parts(page, abi::PAGE as usize) };
        match postcard::take_from_bytes(bytes) {
            Ok((info, _)) => info,
            Err(error) => panic!("program information: {error}"),
        }
    })
}

/// The slot of the endpoint that the manifest lists under `needs` by this name.
pub fn endpoint(name: &str) -> Option<Slot> {
    let (_, slot) = info().endpoints.iter().find(|(known, _)| known == name)?;
    Some(Slot(*slot))
}

/// The argument that follows the argument `name`.
pub fn argument(name: &str) -> Option<&'static str> {
    let mut from = info().args.iter().skip_while(|word| *word != name);
    from.nth(1).map(|word| word.as_str())
}

/// The number that follows the argument `name`; `None` if none does.
pub fn number(name: &str) -> Option<u64> {
    argument(name)?.parse().ok()
}

/// The value of a variable of the environment.
pub fn variable(name: &str) -> Option<&'static str> {
    let (_, value) = info().env.iter().find(|(known, _)| known == name)?;
    Some(value)
}

/// The endpoint this program receives from.
pub const ENDPOINT: Slot = Slot(program::ENDPOINT);

/// The endpoint of root, the giver of memory, which every program may call.
pub const MEMORY: Slot = Slot(program::MEMORY);

/// Ends the program with a status (0 = success).
pub fn exit(status: u32) -> ! {
    let _ = syscall::call(MEMORY, control::EXIT, [status as u64, 0, 0, 0]);
    trap()
}

/// Writes a line into the kernel's log (`dmesg`), with this program's name in front: what a server has to say about itself.
pub fn say(arguments: fmt::Arguments<'_>) {
    let mut text = Text {
        bytes: [0; 512],
        length: 0,
    };
    let _ = text.write_fmt(arguments);
    let line = Lease::read(&text.bytes[..text.length]);
    let _ = syscall::call_lending(MEMORY, control::SAY, [0; 4], line);
}

/// Reports a panic to root, with its message, and ends the program. Needs no heap.
pub fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut text = Text {
        bytes: [0; 512],
        length: 0,
    };
    let _ = write!(text, "{info}");
    let message = Lease::read(&text.bytes[..text.length]);
    let _ = syscall::call_lending(MEMORY, control::PANIC, [0; 4], message);
    trap()
}

/// Stops by a fault, which root sees even if no message reaches it.
fn trap() -> ! {
    // SAFETY: an invalid instruction has no effect but the exception.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}

/// Text that stops growing when it is full.
struct Text {
    bytes: [u8; 512],
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let count = text.len().min(self.bytes.len() - self.length);
        self.bytes[self.length..self.length + count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

/// Empties a slot of the program's own table; a slot that is empty already is fine.
pub(crate) fn delete(slot: Slot) {
    let _ = OWN_TABLE.delete(slot);
}
