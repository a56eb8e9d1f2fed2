//! What the system calls do.

use crate::user::UserMemory;
use bootinfo::exit;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use libsys::proto::io::IoError;
use reader::{Call, encode};
use ring0::caller::{put, take};
use ring0::devices::{Devices, How, Name};
use ring0::line;
use ring0::start::{self, STACK, STACK_MEMORY};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::LStar;

/// Bytes that are printed at once.
const PIECE: usize = 256;

/// What the monolith knows.
struct State {
    devices: Devices,
    /// The program's space.
    cr3: u64,
    command_line: &'static str,
}

struct Global<T>(UnsafeCell<T>);
// SAFETY: one processor, interrupts off in the kernel but while it waits, and interrupts use none of it.
unsafe impl<T> Sync for Global<T> {}

/// Written before the first system call ([`init`]).
static STATE: Global<MaybeUninit<State>> = Global(UnsafeCell::new(MaybeUninit::uninit()));
/// The program's stack pointer during a system call.
static USER_STACK: Global<u64> = Global(UnsafeCell::new(0));

/// A system call: arguments to what comes back.
type Function = unsafe extern "C" fn(u64, u64, u64, u64) -> i64;

/// All, by their numbers.
static CALLS: [Function; Call::COUNT] = [
    on_read,
    on_read_copied,
    on_write,
    on_write_copied,
    monolith_read_words,
    on_wait,
    on_arguments,
    on_print,
    on_exit,
];

core::arch::global_asm!(
    include_str!("syscall.s"),
    user_stack = sym USER_STACK,
    stack = sym STACK_MEMORY,
    stack_size = const STACK,
    calls = sym CALLS,
    read_words = sym on_read_words,
    count = const Call::COUNT,
    no_such_call = const IoError::BadRequest.code(),
);

unsafe extern "C" {
    fn monolith_syscall();
    fn monolith_enter(entry: u64) -> !;
    fn monolith_read_words(_: u64, _: u64, _: u64, _: u64) -> i64;
}

/// Begins to take system calls.
pub fn init(devices: Devices, cr3: u64, command_line: &'static str) {
    let state = State {
        devices,
        cr3,
        command_line,
    };
    // SAFETY: no system call has come yet, so nobody has borrowed it.
    unsafe { (*STATE.0.get()).write(state) };
    LStar::write(VirtAddr::new(monolith_syscall as *const () as u64));
}

/// Runs the program in the space that is loaded.
pub fn enter(entry: u64) -> ! {
    // SAFETY: the address is a user's; whatever the program does, it comes back by a system call or an exception.
    unsafe { monolith_enter(entry) }
}

/// The state, and the memory that the caller names.
#[inline(always)]
fn named(address: u64, length: u64) -> Result<(&'static mut State, UserMemory), IoError> {
    // SAFETY: system calls come after `init`, do not nest, and each borrows it once.
    let state = unsafe { (*STATE.0.get()).assume_init_mut() };
    let memory = UserMemory::new(state.cr3, address, length).ok_or(IoError::BadBuffer)?;
    Ok((state, memory))
}

#[inline(always)]
fn read(how: How, device: u64, [address, length, offset]: [u64; 3]) -> Result<usize, IoError> {
    let (state, memory) = named(address, length)?;
    let name = Name::of(device).ok_or(IoError::NoDevice)?;
    state.devices.read(name, how, offset, &memory)
}

#[inline(always)]
fn write(how: How, device: u64, [address, length, offset]: [u64; 3]) -> Result<usize, IoError> {
    let (state, memory) = named(address, length)?;
    let name = Name::of(device).ok_or(IoError::NoDevice)?;
    state.devices.write(name, how, offset, &memory)
}

fn read_words(device: u64, length: usize, words: &mut [u64; 2]) -> Result<usize, IoError> {
    let (state, _) = named(0, 0)?;
    if Name::of(device) != Some(Name::Zero) {
        return Err(IoError::BadRequest);
    }
    let length = length.min(size_of_val(words));
    *words = state.devices.read_words(length);
    Ok(length)
}

fn wait(device: u64) -> Result<usize, IoError> {
    let (state, _) = named(0, 0)?;
    let name = Name::of(device).ok_or(IoError::NoDevice)?;
    state.devices.wait(name).map(|()| 0)
}

fn arguments(address: u64, length: u64) -> Result<usize, IoError> {
    let (state, memory) = named(address, length)?;
    let line = state.command_line.as_bytes();
    if line.len() as u64 > length {
        return Err(IoError::BadBuffer);
    }
    put(&memory, 0, line)
}

fn print(address: u64, length: u64) -> Result<usize, IoError> {
    let (_, memory) = named(address, length)?;
    let (mut piece, length) = ([0; PIECE], length as usize);
    for done in (0..length).step_by(PIECE) {
        let piece = &mut piece[..PIECE.min(length - done)];
        take(&memory, done, piece)?;
        let text = str::from_utf8(piece).map_err(|_| IoError::BadRequest)?;
        line::print(format_args!("{text}"));
    }
    Ok(length)
}

extern "C" fn on_read(device: u64, address: u64, length: u64, offset: u64) -> i64 {
    encode(read(How::Direct, device, [address, length, offset]))
}

extern "C" fn on_read_copied(device: u64, address: u64, length: u64, offset: u64) -> i64 {
    encode(read(How::Copied, device, [address, length, offset]))
}

extern "C" fn on_write(device: u64, address: u64, length: u64, offset: u64) -> i64 {
    encode(write(How::Direct, device, [address, length, offset]))
}

extern "C" fn on_write_copied(device: u64, address: u64, length: u64, offset: u64) -> i64 {
    encode(write(How::Copied, device, [address, length, offset]))
}

/// Bytes for RDI and RSI. Returns how many may count.
extern "C" fn on_read_words(device: u64, length: u64, words: &mut [u64; 2]) -> i64 {
    encode(read_words(device, length as usize, words))
}

extern "C" fn on_wait(device: u64, _: u64, _: u64, _: u64) -> i64 {
    encode(wait(device))
}

extern "C" fn on_arguments(address: u64, length: u64, _: u64, _: u64) -> i64 {
    encode(arguments(address, length))
}

extern "C" fn on_print(address: u64, length: u64, _: u64, _: u64) -> i64 {
    encode(print(address, length))
}

extern "C" fn on_exit(failed: u64, _: u64, _: u64, _: u64) -> i64 {
    start::end(if failed == 0 {
        exit::SUCCESS
    } else {
        exit::COMMAND_FAILED
    })
}
