//! `trace`.

use crate::commands;
use crate::system::{ask, request};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::proto::control;
use libsys::trace::{Record, from_bytes};
use libsys::{print, println, rt};
use shell::trace::{Kind, Trace};

/// Variable of the environment: the nonce of the host tool, if it wants what `trace` finds.
pub const NONCE: &str = "TRACE_NONCE";

/// Room for an answer with events.
const ANSWER: usize = 1 << 10;

/// Runs a command and shows the messages it caused.
pub fn trace(words: &[String]) -> Result<(), String> {
    match words.first() {
        None => return Err("give a command, such as: trace read disk:0 --size 512".into()),
        Some(word) if word == "trace" => return Err("a trace cannot be traced".into()),
        Some(_) => {}
    }
    let names: Vec<(u64, String)> = ask(control::THREADS)?;
    let own = &rt::info().name;
    // Another trace may run in the background; this one was started last.
    let this = names.iter().rfind(|(_, name)| name == own);
    let (this, _) = *this.ok_or("root does not know this program")?;
    let [begin, before, ..] = request(control::TRACE_SWITCH, 1, &mut [])?;
    let succeeded = commands::run_here(words);
    let [_, after, ..] = request(control::TRACE_SWITCH, 0, &mut [])?;
    // Without the one that switched tracing off.
    let counted = after - before - 1;
    let (records, lost) = read(begin)?;
    // A server that was started anew meanwhile has a thread of its own.
    let mut names: BTreeMap<_, _> = names.into_iter().collect();
    names.extend(ask::<Vec<(u64, String)>>(control::THREADS)?);
    let trace = Trace::new(&records, lost == 0, this, &names);
    show(&trace, (counted, lost), &words.join(" "));
    match succeeded {
        true => Ok(()),
        false => Err(format!("{}: it failed", words.join(" "))),
    }
}

/// The kernel's events from `begin` on, and how many of them are gone already.
fn read(begin: u64) -> Result<(Vec<Record>, u64), String> {
    let mut buffer = vec![0; ANSWER];
    let mut records = Vec::new();
    let (mut position, mut lost) = (begin, 0);
    loop {
        let [count, first, ..] = request(control::TRACE, position, &mut buffer)?;
        let bytes = buffer.get(..count as usize).ok_or("bad answer")?;
        if bytes.is_empty() {
            return Ok((records, lost));
        }
        lost += first - position;
        records.extend(from_bytes(bytes));
        position = first + (bytes.len() / size_of::<[u64; Record::WORDS]>()) as u64;
    }
}

fn show(trace: &Trace, (counted, lost): (u64, u64), command: &str) {
    if lost > 0 {
        println!("the first {lost} events are lost: the kernel keeps the last ones only");
    }
    print::write(trace.diagram().as_bytes());
    let [calls, replies, interrupts, faults] = Kind::ALL.map(|kind| trace.count(kind));
    println!(
        "{calls} calls, {replies} replies, {interrupts} interrupts, {faults} faults, {} calls answered by the kernel; {} events of the kernel's",
        trace.invocations, trace.events
    );
    println!(
        "{} messages to whatever program are in the trace, {counted} in the kernel's counters",
        trace.delivered
    );
    let Some(nonce) = rt::variable(NONCE) else {
        return;
    };
    // For the host tool, which takes these lines out of what it passes on.
    let hz = rt::info().tsc_hz;
    println!("\x1epostern {nonce} trace of\t{hz}\t{command}");
    for step in &trace.steps {
        println!(
            "\x1epostern {nonce} trace {}\t{}\t{}\t{}\t{}\t{}",
            step.kind.name(),
            step.sent,
            step.time,
            step.from,
            step.to,
            step.text
        );
    }
}
