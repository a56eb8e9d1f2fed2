//! Commands about the system, which ask root's supervisor.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use bootinfo::exit;
use core::fmt::Display;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use libsys::handle::IoError;
use libsys::lease::Lease;
use libsys::proto::control::{self, Ended, Holding, MemoryStatus, ProgramStatus, Status};
use libsys::syscall::{self, Words};
use libsys::time::{self, Instant};
use libsys::{print, println, rt};
use serde::de::DeserializeOwned;
use shell::arguments::{self, Top};
use shell::crash;

/// Room for an answer in postcard.
const ANSWER: usize = 16 << 10;

/// TSC ticks from reset to the first prompt.
static BOOT: AtomicU64 = AtomicU64::new(0);

/// The first prompt is shown: the machine has booted.
pub fn record_boot() {
    BOOT.store(Instant::now().0, Ordering::Relaxed);
}

/// Lists the programs.
pub fn ps(words: &[String]) -> Result<(), String> {
    arguments::none(words)?;
    let programs: vec::Vec<ProgramStatus> = ask(control::PS)?;
    println!(
        "{:>4} {:<12} {:>4} {:<10} {:>8} {:>7} {:>7} {:>7} {:>8}",
        "ID", "NAME", "PRIO", "STATE", "CPU ms", "KiB", "OF KiB", "MSG/s", "RESTARTS"
    );
    let (now, hz) = (Instant::now().0, rt::info().tsc_hz);
    for program in programs {
        let time = time::duration(program.time, hz);
        let lived = time::duration(now.saturating_sub(program.started), hz);
        println!(
            "{:>4} {:<12} {:>4} {:<10} {:>8} {:>7} {:>7} {:>7} {:>8}{}",
            program.id,
            program.name,
            program.priority,
            state(program.state),
            time.as_millis(),
            program.memory.0 >> 10,
            program.memory.1 >> 10,
            per_second(program.messages, lived),
            program.restarts,
            program.ended.map(ended).unwrap_or_default(),
        );
    }
    Ok(())
}

/// How many a second that were.
fn per_second(count: u64, time: Duration) -> u64 {
    count * 1000 / (time.as_millis() as u64).max(1)
}

/// Lists what the programs do, again and again.
pub fn top(words: &[String]) -> Result<(), String> {
    let Top { count, seconds } = Top::parse(words)?;
    let hz = rt::info().tsc_hz;
    let mut before: vec::Vec<ProgramStatus> = ask(control::PS)?;
    let mut then = Instant::now();
    for _ in 0..count {
        time::sleep(Duration::from_secs(seconds)).map_err(|error| format!("timer: {error}"))?;
        let mut programs: vec::Vec<ProgramStatus> = ask(control::PS)?;
        let now = Instant::now();
        let passed = (now - then).as_micros().max(1);
        let since = |program: &ProgramStatus, what: fn(&ProgramStatus) -> u64| {
            let earlier = before.iter().find(|other| other.id == program.id);
            what(program).saturating_sub(earlier.map_or(0, what))
        };
        let used = |program: &ProgramStatus| since(program, |program| program.time);
        programs.sort_by_key(|program| core::cmp::Reverse(used(program)));
        let mut text = format!(
            "{:>4} {:<16} {:>6} {:>8} {:>9}\n",
            "ID", "NAME", "CPU %", "MSG/s", "KiB"
        );
        for program in &programs {
            let tenths = time::duration(used(program), hz).as_micros() * 1000 / passed;
            text += &format!(
                "{:>4} {:<16} {:>4}.{} {:>8} {:>9}\n",
                program.id,
                program.name,
                tenths / 10,
                tenths % 10,
                per_second(since(program, |program| program.messages), now - then),
                program.memory.0 >> 10
            );
        }
        println!("{text}");
        (before, then) = (programs, now);
    }
    Ok(())
}

/// Shows what a program holds.
pub fn caps(words: &[String]) -> Result<(), String> {
    let [name] = arguments::names(words)?;
    let programs: vec::Vec<ProgramStatus> = ask(control::PS)?;
    let program = programs.iter().find(|program| program.name == name);
    let program = program.ok_or_else(|| format!("{name}: no such program"))?;
    let held: vec::Vec<Holding> = ask_about(control::CAPS, program.id.into())?;
    let mut text = format!(
        "{:>4} {:<9} {:<24} {:<8} WHAT\n",
        "SLOT", "KIND", "RIGHTS", "FROM"
    );
    for held in &held {
        let kind = abi::Kind::from_number(held.kind);
        let kind = kind.map_or_else(|| "?".into(), |kind| format!("{kind:?}"));
        text += &format!(
            "{:>4} {kind:<9} {:<24} {:<8} {}\n",
            held.slot,
            rights(held),
            held.from,
            held.what
        );
    }
    print::write(text.as_bytes());
    Ok(())
}

/// The rights of a capability in words.
fn rights(held: &Holding) -> String {
    let names: &[&str] = match abi::Kind::from_number(held.kind) {
        Some(abi::Kind::Untyped) => &["MEMORY", "OBJECTS", "SPACES"],
        Some(abi::Kind::CapTable) => &["WRITE", "INSPECT"],
        Some(abi::Kind::Thread) => &["CONTROL", "REGISTERS"],
        Some(abi::Kind::Space) => &["MAP"],
        Some(abi::Kind::Frame) => &["READ", "WRITE", "EXEC", "ADDRESS"],
        Some(abi::Kind::Endpoint) => &["CALL", "RECV", "MINT", "GRANT"],
        Some(abi::Kind::Irq) => &["BIND", "ACK", "RAISE"],
        Some(abi::Kind::IoPorts) => &["IN", "OUT"],
        _ => &[],
    };
    let given = names
        .iter()
        .enumerate()
        .filter(|(bit, _)| held.rights & 1 << bit != 0);
    let given: vec::Vec<_> = given.map(|(_, name)| *name).collect();
    given.join(" ")
}

/// Ends a program.
pub fn kill(words: &[String]) -> Result<(), String> {
    let [name] = arguments::names(words)?;
    let programs: vec::Vec<ProgramStatus> = ask(control::PS)?;
    let named = programs.iter().find(|program| program.name == name);
    let id = name.parse().ok();
    let numbered = programs.iter().find(|program| Some(program.id) == id);
    let program = named
        .or(numbered)
        .ok_or_else(|| format!("{name}: no such program"))?;
    request(control::KILL, program.id.into(), &mut [])
        .map(drop)
        .map_err(|error| format!("{name}: {error}"))
}

/// Shows who has how much memory.
pub fn mem(words: &[String]) -> Result<(), String> {
    arguments::none(words)?;
    let memory: MemoryStatus = ask(control::MEM)?;
    println!("{:<12} {:>9} {:>9}", "PROGRAM", "KiB USED", "OF KiB");
    for (name, budget, used) in &memory.programs {
        println!("{name:<12} {:>9} {:>9}", used >> 10, budget >> 10);
    }
    println!(
        "{} KiB free of {} KiB",
        memory.free >> 10,
        memory.total >> 10
    );
    let (held, unused) = memory.root;
    println!("root holds {held} capabilities, and {unused} bytes for more objects of its own");
    Ok(())
}

/// Shows the time since reset.
pub fn uptime(words: &[String]) -> Result<(), String> {
    if arguments::switch(words, "boot")? {
        println!("{}", BOOT.load(Ordering::Relaxed));
    } else {
        let now = Instant::now();
        let up = time::duration(now.0, rt::info().tsc_hz);
        println!(
            "{}.{:03} s since reset, TSC {}",
            up.as_secs(),
            up.subsec_millis(),
            now.0
        );
    }
    Ok(())
}

/// Shows date and time.
pub fn date(words: &[String]) -> Result<(), String> {
    arguments::none(words)?;
    let seconds = time::unix_time().map_err(|error| format!("timer: {error}"))?;
    let now = i64::try_from(seconds).ok();
    let now = now.and_then(|now| ::time::OffsetDateTime::from_unix_timestamp(now).ok());
    let now = now.ok_or("the clock is wrong")?;
    let ((year, month, day), (hour, minute, second)) = (now.to_calendar_date(), now.to_hms());
    let (weekday, month) = (now.weekday(), month as u8);
    println!("{weekday} {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC");
    Ok(())
}

/// Waits.
pub fn sleep(words: &[String]) -> Result<(), String> {
    let [seconds] = arguments::names(words)?;
    let time = seconds.parse().ok();
    let time = time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.ok_or_else(|| format!("{seconds}: not a number of seconds"))?;
    time::sleep(time).map_err(|error| format!("timer: {error}"))
}

/// Shows the kernel's log.
pub fn dmesg(words: &[String]) -> Result<(), String> {
    arguments::none(words)?;
    each_piece(0, print::write).map(drop)
}

/// Shows which programs have crashed since the log was at `seen`. Returns where it is now.
pub fn crashes(seen: u64) -> u64 {
    let mut log = vec::Vec::new();
    // A prompt without news is better than none.
    let end = each_piece(seen, |piece| log.extend_from_slice(piece)).unwrap_or(seen);
    print::write(crash::reports(&String::from_utf8_lossy(&log)).as_bytes());
    end
}

/// The kernel's log from `position` on, piece by piece. Returns where it ends.
fn each_piece(mut position: u64, mut piece: impl FnMut(&[u8])) -> Result<u64, String> {
    let mut buffer = vec![0; ANSWER];
    loop {
        let [count, first, ..] = request(control::LOG, position, &mut buffer)?;
        let text = buffer.get(..count as usize).ok_or("bad answer")?;
        if text.is_empty() {
            return Ok(position);
        }
        piece(text);
        position = first + count;
    }
}

/// Turns the machine off.
pub fn poweroff(words: &[String]) -> Result<(), String> {
    arguments::none(words)?;
    power_off(exit::SUCCESS)
}

/// Turns the machine off, once all output has left it. `value` is one of [`exit`].
pub fn power_off(value: u8) -> Result<(), String> {
    let _ = print::flush();
    request(control::POWER_OFF, value.into(), &mut []).map(drop)
}

/// Calls the supervisor.
pub fn request(label: u32, argument: u64, buffer: &mut [u8]) -> Result<Words, String> {
    let failed = |why: &dyn Display| format!("root.control: {why}");
    let supervisor = rt::endpoint("root.control").ok_or_else(|| failed(&IoError::NotPermitted))?;
    let output =
        syscall::call_lending(supervisor, label, [argument, 0, 0, 0], Lease::write(buffer));
    let reply = output
        .check()
        .map_err(|error| failed(&format_args!("{error:?}")))?;
    match Status::from_label(reply.tag.label()) {
        None => Ok(reply.words),
        Some(status) => Err(failed(&status)),
    }
}

/// Calls the supervisor for an answer in postcard.
pub fn ask<T: DeserializeOwned>(label: u32) -> Result<T, String> {
    ask_about(label, 0)
}

/// [`ask`], about something.
fn ask_about<T: DeserializeOwned>(label: u32, argument: u64) -> Result<T, String> {
    let mut buffer = vec![0; ANSWER];
    let [count, ..] = request(label, argument, &mut buffer)?;
    let answer = buffer.get(..count as usize).ok_or("bad answer")?;
    postcard::from_bytes(answer).map_err(|error| format!("bad answer: {error}"))
}

fn state(state: u8) -> &'static str {
    match state {
        0 => "inactive",
        1 => "ready",
        2 => "sending",
        3 => "receiving",
        4 => "waiting",
        255 => "ended",
        _ => "?",
    }
}

fn ended(ended: Ended) -> String {
    match ended {
        Ended::Exit(status) => format!("  exit {status}"),
        Ended::Panic => "  panic".into(),
        Ended::Fault(vector, address, rip) => {
            format!("  fault {vector} at {address:#x}, RIP {rip:#x}")
        }
        Ended::Killed => "  killed".into(),
    }
}
