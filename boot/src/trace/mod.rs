//! What the shell's `trace COMMAND` found, written as a file: [`json`] for a trace viewer, [`svg`] as a picture.
//!
//! The shell tells it in lines of fields separated by tabs (`apps/shell/src/tracing.rs`): `of`, ticks per second, the command;
//! then for each message its kind, ticks from the first event to its sending and its arrival, sender, receiver, text.

pub mod json;
pub mod svg;

use std::path::Path;

pub use abi::trace::{KERNEL, Kind};
use anyhow::{Context, Result, bail};

use crate::paths;
use crate::qemu::Options;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The command.
    pub command: String,
    /// Ticks per second.
    pub hz: u64,
    /// Its messages, in the order of their arrival.
    pub steps: Vec<Step>,
}

impl Trace {
    /// From the shell's lines.
    ///
    /// # Errors
    /// They tell of no trace, or of several, or are not what the shell writes.
    pub fn parse(lines: &[String]) -> Result<Trace> {
        let (first, rest) = lines
            .split_first()
            .context("nothing was traced: give one --exec 'trace COMMAND'")?;
        let mut fields = first.splitn(3, '\t');
        let (Some("of"), Some(Ok(hz @ 1..)), Some(command)) =
            (fields.next(), fields.next().map(str::parse), fields.next())
        else {
            bail!("not the beginning of a trace: {first:?}");
        };
        let steps = rest.iter().map(|line| step(line)).collect::<Result<_>>()?;
        Ok(Trace {
            command: command.into(),
            hz,
            steps,
        })
    }

    /// The programs, in the order in which they take part; the kernel last.
    pub fn lanes(&self) -> Vec<&str> {
        let mut lanes: Vec<&str> = Vec::new();
        for name in self.steps.iter().flat_map(|step| [&step.from, &step.to]) {
            if !lanes.contains(&name.as_str()) {
                lanes.push(name);
            }
        }
        lanes.sort_by_key(|name| *name == KERNEL);
        lanes
    }
}

fn step(line: &str) -> Result<Step> {
    if line.starts_with("of\t") {
        bail!("several commands were traced, and a file holds one trace");
    }
    let fields: Vec<&str> = line.splitn(6, '\t').collect();
    let [kind, sent, time, from, to, text] = fields[..] else {
        bail!("not a message of a trace: {line:?}");
    };
    let Some(kind) = Kind::from_name(kind) else {
        bail!("not a message of a trace: {line:?}");
    };
    let ticks = |text: &str| {
        text.parse()
            .with_context(|| format!("not a time: {text:?}"))
    };
    Ok(Step {
        kind,
        sent: ticks(sent)?,
        time: ticks(time)?,
        from: from.into(),
        to: to.into(),
        text: text.into(),
    })
}

/// Writes the files that `options` ask for.
///
/// # Errors
/// As [`Trace::parse`], or a file cannot be written.
pub fn write(options: &Options, lines: &[String]) -> Result<()> {
    if let Some(file) = &options.trace_json {
        paths::write(file, json::json(&Trace::parse(lines)?).as_bytes())?;
    }
    if let Some(file) = &options.trace_svg {
        paths::write(file, svg::svg(&Trace::parse(lines)?).as_bytes())?;
    }
    Ok(())
}

/// Whether the files that `options` ask for can be written, which is better known before the machine boots.
///
/// # Errors
/// The folder of one is not there.
pub fn check(options: &Options) -> Result<()> {
    for file in [&options.trace_json, &options.trace_svg]
        .into_iter()
        .flatten()
    {
        let folder = file.parent().filter(|folder| *folder != Path::new(""));
        if folder.is_some_and(|folder| !folder.is_dir()) || file.is_dir() {
            bail!("cannot write {}", file.display());
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A trace with all kinds of messages.
    pub(crate) fn example() -> Trace {
        let lines = [
            "of\t1000000\tread <disk:0> & more",
            "call\t0\t10\tshell\tdisk\tread",
            "call\t12\t14\tshell 2\tdisk\twrite",
            "interrupt\t500\t500\tkernel\tdisk\tinterrupt",
            "reply\t600\t600\tdisk\tshell\tok",
            "reply\t700\t700\tdisk\tshell 2\tread-only",
            "fault\t800\t810\tshell\troot\texception 14",
        ];
        Trace::parse(&lines.map(String::from)).expect("it is a trace")
    }

    #[test]
    fn lines_become_a_trace() {
        let trace = example();
        assert_eq!((trace.hz, trace.steps.len()), (1_000_000, 6));
        assert_eq!(trace.command, "read <disk:0> & more");
        assert_eq!(trace.lanes(), ["shell", "disk", "shell 2", "root", KERNEL]);
    }

    #[test]
    fn anything_else_is_refused() {
        let parse = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
            Trace::parse(&lines).unwrap_err().to_string()
        };
        assert!(parse(&[]).contains("nothing was traced"));
        assert!(parse(&["of\t0\tx"]).contains("beginning"));
        assert!(parse(&["of\t1\tx", "of\t1\ty"]).contains("several"));
        assert!(parse(&["of\t1\tx", "call\t1\t2\ta\tb"]).contains("not a message"));
        assert!(parse(&["of\t1\tx", "call\t1\tz\ta\tb\tc"]).contains("not a time"));
    }
}
