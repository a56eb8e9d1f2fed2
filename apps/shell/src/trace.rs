//! From the kernel's events to messages between programs, and to a picture of them in text.

use abi::tag::{Op, Tag};
pub use abi::trace::{KERNEL, Kind};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;
use libsys::proto::control::TRACE_SWITCH;
use libsys::proto::{operation, program};
use libsys::trace::{Event, Record};

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub kind: Kind,
    /// Ticks from the first event to its sending.
    pub sent: u64,
    /// Ticks from the first event to its arrival.
    pub time: u64,
    /// Who sent it.
    pub from: String,
    /// Who got it.
    pub to: String,
    /// What it asks for or answers.
    pub text: String,
}

/// What a command caused.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Its messages, in the order of their arrival.
    pub steps: Vec<Step>,
    /// Events that the kernel recorded meanwhile, of whatever program.
    pub events: usize,
    /// Of them, calls and faults that arrived.
    pub delivered: usize,
    /// Of them, system calls of the programs involved that the kernel itself answered.
    pub invocations: usize,
}

impl Trace {
    /// Finds what the thread `own` caused among `records`, which end after it switched tracing off. `whole`: none are lost, so
    /// they begin where it switched tracing on. `names` are the threads that have one.
    ///
    /// Caused by it are its own messages, those of the servers that took one of them, and their interrupts.
    pub fn new(records: &[Record], whole: bool, own: u64, names: &BTreeMap<u64, String>) -> Self {
        let records = between_switches(records, whole, own);
        let start = records.first().map_or(0, |record| record.time);
        let mut found = Self {
            events: records.len(),
            ..Self::default()
        };
        let mut involved = vec![own];
        let mut threads: BTreeMap<u64, Thread> = BTreeMap::new();
        for record in records {
            let (first, second, time) = (record.first, record.second, record.time - start);
            match record.event {
                Event::Call => {
                    let thread = threads.entry(first).or_default();
                    if thread.asks && involved.contains(&first) {
                        found.invocations += 1;
                    }
                    let tag = Tag(second);
                    *thread = Thread {
                        tag: second,
                        sent: time,
                        asks: tag.op() == Some(Op::Call),
                        trap: None,
                    };
                }
                Event::Trap => {
                    let thread = threads.entry(first).or_default();
                    (thread.trap, thread.sent) = (Some(second), time);
                }
                Event::Deliver => {
                    found.delivered += 1;
                    let thread = threads.entry(first).or_default();
                    thread.asks = false;
                    if !involved.contains(&first) {
                        continue;
                    }
                    if !involved.contains(&second) {
                        involved.push(second);
                    }
                    let to = name(names, second);
                    let (kind, text) = match thread.trap {
                        Some(vector) => (Kind::Fault, format!("exception {vector}")),
                        None => {
                            let label = Tag(thread.tag).label();
                            (Kind::Call, operation::request(&to, label))
                        }
                    };
                    found.add(kind, (thread.sent, time), name(names, first), to, text);
                }
                Event::Reply => {
                    let fault = threads
                        .get_mut(&second)
                        .is_some_and(|caller| caller.trap.take().is_some());
                    if !involved.contains(&second) {
                        continue;
                    }
                    let label = threads
                        .get(&first)
                        .map_or(0, |server| Tag(server.tag).label());
                    let from = name(names, first);
                    let text = match fault {
                        true => "resume".into(),
                        false => operation::answer(&from, label),
                    };
                    found.add(Kind::Reply, (time, time), from, name(names, second), text);
                }
                Event::Wake if involved.contains(&second) => {
                    let text = match first {
                        program::GONE => "a client ended",
                        _ => "interrupt",
                    };
                    let (from, to) = (KERNEL.into(), name(names, second));
                    found.add(Kind::Interrupt, (time, time), from, to, text.into());
                }
                Event::Wake | Event::Switch | Event::Interrupt | Event::None => {}
            }
        }
        found
    }

    fn add(
        &mut self,
        kind: Kind,
        (sent, time): (u64, u64),
        from: String,
        to: String,
        text: String,
    ) {
        self.steps.push(Step {
            kind,
            sent,
            time,
            from,
            to,
            text,
        });
    }

    /// How many messages of this kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.steps.iter().filter(|step| step.kind == kind).count()
    }

    /// The programs, in the order in which they take part; the kernel last.
    pub fn lanes(&self) -> Vec<&str> {
        let mut lanes = Vec::new();
        for step in &self.steps {
            for name in [step.from.as_str(), step.to.as_str()] {
                if !lanes.contains(&name) && name != KERNEL {
                    lanes.push(name);
                }
            }
        }
        if self.steps.iter().any(|step| step.from == KERNEL) {
            lanes.push(KERNEL);
        }
        lanes
    }

    /// A sequence diagram: a column for each program, a line for each message.
    pub fn diagram(&self) -> String {
        let lanes = self.lanes();
        let width = (COLUMNS - TIME) / lanes.len().max(1);
        let width = width.clamp(NARROWEST, WIDEST);
        let mut text = format!("{:>TIME$}", "ticks ");
        for lane in &lanes {
            let _ = write!(text, "{lane:<width$.*}", width - 1);
        }
        let mut text = text.trim_end().to_string() + "\n";
        let column = |name: &str| lanes.iter().position(|lane| *lane == name).unwrap_or(0);
        for step in &self.steps {
            let (from, to) = (column(&step.from) * width, column(&step.to) * width);
            let mut line: Vec<u8> = (0..lanes.len() * width)
                .map(|at| if at % width == 0 { b'|' } else { b' ' })
                .collect();
            let (left, right) = (from.min(to), from.max(to));
            line[left + 1..right].fill(b'-');
            match from < to {
                true => line[right - 1] = b'>',
                false => line[left + 1] = b'<',
            }
            // The kernel's reports of what a program does to itself have no way to go.
            let room = (right - left).saturating_sub(5);
            let label = step.text.bytes().take(room);
            for (at, byte) in label.enumerate() {
                line[left + 3 + at] = byte;
            }
            let line = String::from_utf8_lossy(&line);
            let _ = writeln!(text, "{:>1$} {2}", step.time, TIME - 1, line.trim_end());
        }
        text
    }
}

/// Most characters in a line of a diagram.
const COLUMNS: usize = 96;
/// Characters for the time, and the space behind it.
const TIME: usize = 10;
/// Least and most characters from one program's line to the next.
const NARROWEST: usize = 9;
const WIDEST: usize = 17;

/// What is known of a thread.
#[derive(Default)]
struct Thread {
    /// Of its last system call.
    tag: u64,
    /// When that was, or its trap.
    sent: u64,
    /// It called, and nobody has taken the call.
    asks: bool,
    /// The exception that it has not come back from.
    trap: Option<u64>,
}

fn name(names: &BTreeMap<u64, String>, thread: u64) -> String {
    let known = names.get(&thread).cloned();
    known.unwrap_or_else(|| format!("{thread:x}"))
}

/// Without the answer to the switching on, and from the call that switches off.
fn between_switches(records: &[Record], whole: bool, own: u64) -> &[Record] {
    let answered = |record: &Record| record.event == Event::Reply && record.second == own;
    let begins = match whole {
        true => records.iter().position(answered).map_or(0, |at| at + 1),
        false => 0,
    };
    let switches_off = |record: &Record| {
        let is_call = record.event == Event::Call && record.first == own;
        is_call && Tag(record.second).label() == TRACE_SWITCH
    };
    let ends = records.iter().rposition(switches_off);
    records
        .get(begins..ends.unwrap_or(records.len()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
