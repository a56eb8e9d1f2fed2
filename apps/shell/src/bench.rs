//! `bench`: what asking the system costs here, in TSC ticks (guest instructions, if the emulator counts them).

use alloc::format;
use alloc::string::String;
use alloc::vec;
use libsys::handle::{Handle, IoError};
use libsys::time::Instant;
use libsys::{println, syscall};
use shell::arguments;

/// Measurements of each crossing; the middle one counts.
const ROUNDS: usize = 501;

/// Shows a table. The machine's timer interrupts some measurements, and the middle one does not care.
pub fn bench(words: &[String]) -> Result<(), String> {
    arguments::none(words)?;
    let empty = middle(|| Ok(())).map_err(failed("the clock"))?;
    println!("{:<44} {:>10}", "CROSSING", "TICKS");
    let row = |name: &str, ticks: u64| println!("{name:<44} {:>10}", ticks.saturating_sub(empty));
    let call = middle(|| {
        core::hint::black_box(function as fn(u64) -> u64)(1);
        Ok(())
    });
    row("function call", call.map_err(failed("a call"))?);
    let trap = middle(|| {
        syscall::nop();
        Ok(())
    });
    row(
        "trap: a system call that does nothing",
        trap.map_err(failed("a trap"))?,
    );
    let null = Handle::open("null:").map_err(failed("null:"))?;
    let message = middle(|| null.stat().map(drop));
    row(
        "message: null: says what it is",
        message.map_err(failed("null:"))?,
    );
    let zero = Handle::open("zero:").map_err(failed("zero:"))?;
    for size in [512, 4 << 10, 64 << 10] {
        let mut buffer = vec![0; size];
        let read = middle(|| zero.read(&mut buffer).map(drop));
        row(
            &format!("message: zero: fills {size} bytes"),
            read.map_err(failed("zero:"))?,
        );
    }
    Ok(())
}

#[inline(never)]
fn function(value: u64) -> u64 {
    core::hint::black_box(value)
}

/// The middle of the times that `work` takes, in ticks.
fn middle(mut work: impl FnMut() -> Result<(), IoError>) -> Result<u64, IoError> {
    let mut times = vec![0; ROUNDS];
    for time in &mut times {
        let start = Instant::now();
        work()?;
        *time = Instant::now().0 - start.0;
    }
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}

fn failed(what: &str) -> impl Fn(IoError) -> String {
    move |error| format!("{what}: {error}")
}
