//! `run`: check, build, boot, and carry bytes until the machine ends.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::escape::{Escape, HELP, Key};
use crate::exec::{self, Filter};
use crate::machine::{Event, Machine};
use crate::progress::note;
use crate::qemu::{self, Options};
use crate::status::Status;
use crate::symbols::Symbols;
use crate::system::System;
use crate::terminal::Raw;
use crate::{disk, image, paths};

/// Lines of the log that are shown when a run ends badly.
const LAST_LINES: usize = 40;

/// A machine that has just been started.
pub struct Booted {
    /// The machine.
    pub machine: Machine,
    /// Symbols of its programs.
    pub symbols: Symbols,
    /// QEMU reads it at its start; it goes when the run does.
    _archive: tempfile::NamedTempFile,
}

/// How a run ended, and what it printed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// With `--exec`, what the commands printed.
    pub output: String,
    /// Everything on the serial line.
    pub log: String,
    /// Why it ended, if there is more to say than the status.
    pub explanation: Option<String>,
}

/// What `cargo run -- run` does.
///
/// # Errors
/// Whatever keeps the machine from starting, in words for the person.
pub fn run(options: &Options) -> Result<Status> {
    check(options)?;
    let system = System::load(&options.system)?;
    if options.display {
        note(
            "the window shows the screen only; keys typed there need the keyboard server, which comes later",
        );
    }
    let interactive = options.exec.is_empty();
    let mut stdout = std::io::stdout();
    let mut print = |bytes: &[u8]| stdout.write_all(bytes).and_then(|()| stdout.flush());
    let (outcome, symbols) = if interactive {
        attach(options, &system, &mut print)?
    } else {
        execute(options, &system, watch_signals, &mut print)?
    };
    report(&outcome, &symbols, interactive);
    Ok(outcome.status)
}

/// All that can be wrong with the options alone.
fn check(options: &Options) -> Result<()> {
    if options.flash.is_some() {
        bail!("--flash: the flash server comes with a later version");
    }
    if !options.forward.is_empty() {
        bail!("--forward: the network server comes with a later version");
    }
    if options.icount && options.accel == crate::accelerator::Accelerator::Kvm {
        bail!("--icount counts emulated instructions, so it cannot be used with --accel kvm");
    }
    options
        .disks
        .iter()
        .try_for_each(|file| disk::check(file, options.read_only))
}

/// Checks, builds and starts `system`.
pub fn boot(options: &Options, system: &System) -> Result<Booted> {
    boot_with(options, system, &[])
}

/// [`boot`], with arguments for QEMU beyond those of the options.
pub fn boot_with(options: &Options, system: &System, more: &[OsString]) -> Result<Booted> {
    check(options)?;
    system.check()?;
    qemu::ensure()?;
    let image = image::build(system)?;
    let mut archive =
        tempfile::NamedTempFile::new_in(paths::state()?).context("cannot write the archive")?;
    archive
        .write_all(&image.archive)
        .context("cannot write the archive")?;
    let mut command = qemu::command(options, &image.loader, archive.path())?;
    command.args(more);
    if options.gdb {
        let kernel = image.symbols.file(bootinfo::archive::KERNEL);
        note(&format!(
            "waiting for a debugger: gdb {} -ex 'target remote :1234'",
            kernel.display()
        ));
    }
    Ok(Booted {
        machine: Machine::start(command)?,
        symbols: image.symbols,
        _archive: archive,
    })
}

/// Boots `system`, runs the commands of `--exec` at its shell and passes on what they print.
///
/// `prepare` sees the machine before the first event.
pub fn execute(
    options: &Options,
    system: &System,
    prepare: impl FnOnce(&Machine) -> Result<()>,
    print: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(Outcome, Symbols)> {
    let nonce = exec::nonce();
    let mut system = system.clone();
    system.execute(&nonce, &options.exec)?;
    let Booted {
        mut machine,
        symbols,
        _archive,
    } = boot(options, &system)?;
    prepare(&machine)?;
    let mut filter = Filter::new(&nonce);
    let mut output = Vec::new();
    let mut outcome = attend(&mut machine, options, &mut |bytes| {
        let before = output.len();
        filter.feed(bytes, &mut output);
        print(&output[before..])
    })?;
    outcome.output = String::from_utf8_lossy(&output).into_owned();
    if outcome.status == Status::Success && filter.status() != Some(0) {
        outcome.status = Status::Refused;
        outcome.explanation = Some("the system ended before the shell had run all commands".into());
    }
    Ok((outcome, symbols))
}

/// Boots `system` with the person's standard input and output as its serial line.
fn attach(
    options: &Options,
    system: &System,
    print: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(Outcome, Symbols)> {
    let Booted {
        mut machine,
        symbols,
        _archive,
    } = boot(options, system)?;
    watch_signals(&machine)?;
    let raw = Raw::enter()?;
    let (input, reporter) = (
        machine.take_input().context("QEMU has no input")?,
        machine.reporter(),
    );
    let escapes = raw.is_some();
    std::thread::spawn(move || type_in(input, escapes, &reporter));
    let outcome = attend(&mut machine, options, print);
    drop(raw);
    Ok((outcome?, symbols))
}

/// Carries standard input to the guest. Its end is not the run's end: the guest decides.
fn type_in(mut guest: impl Write, escapes: bool, reporter: &std::sync::mpsc::Sender<Event>) {
    let mut escape = Escape::default();
    let mut buffer = [0; 512];
    let mut stdin = std::io::stdin();
    while let Ok(length @ 1..) = stdin.read(&mut buffer) {
        let mut typed = Vec::new();
        for byte in &buffer[..length] {
            match if escapes {
                escape.feed(*byte)
            } else {
                Key::Send(*byte)
            } {
                Key::Send(byte) => typed.push(byte),
                Key::Nothing => {}
                Key::Help => eprint!("{HELP}"),
                Key::Leave => {
                    // If nobody listens any more, the run has ended by itself.
                    let _ = reporter.send(Event::Leave);
                    return;
                }
            }
        }
        if guest
            .write_all(&typed)
            .and_then(|()| guest.flush())
            .is_err()
        {
            return;
        }
    }
}

/// Turns the signals that ask a program to end into events, so that QEMU ends and the terminal is put back.
fn watch_signals(machine: &Machine) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let reporter = machine.reporter();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if reporter.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Follows a machine to its end, or ends it.
///
/// # Errors
/// QEMU cannot be waited for, or `on_output` failed.
pub fn attend(
    machine: &mut Machine,
    options: &Options,
    on_output: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<Outcome> {
    let deadline = options.timeout.map(|limit| Instant::now() + limit);
    let mut log = Vec::new();
    let (status, explanation) = loop {
        match machine.next(deadline) {
            Some(Event::Output(bytes)) => {
                log.extend_from_slice(&bytes);
                on_output(&bytes).context("cannot print what the guest printed")?;
            }
            Some(Event::Ended) => {
                let (code, complaints) = machine.wait()?;
                let (status, explanation) = Status::of_qemu(code);
                let own = status == Status::Refused && !complaints.is_empty();
                break (
                    status,
                    if own {
                        Some(complaints.trim_end().to_string())
                    } else {
                        explanation
                    },
                );
            }
            Some(Event::Leave) => break (Status::Success, None),
            Some(Event::Signal(signal)) => break (Status::Interrupted(signal), None),
            None => {
                let seconds = options.timeout.unwrap_or_default().as_secs_f32();
                break (Status::Timeout, Some(format!("not done after {seconds} s")));
            }
        }
    };
    machine.kill();
    let log = String::from_utf8_lossy(&log).replace("\r\n", "\n");
    Ok(Outcome {
        status,
        output: String::new(),
        log,
        explanation,
    })
}

/// Tells the person why a run ended badly.
fn report(outcome: &Outcome, symbols: &Symbols, log_seen: bool) {
    if matches!(
        outcome.status,
        Status::Success | Status::CommandFailed | Status::Interrupted(_)
    ) {
        return;
    }
    let lines: Vec<&str> = outcome.log.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    let annotated = symbols.annotate(&last);
    // A person at the terminal has seen the log, but not what its addresses mean.
    if !last.is_empty()
        && (!log_seen
            || outcome.status == Status::Timeout
            || annotated.trim_end() != last.trim_end())
    {
        eprint!("--- the last lines of the log\n{annotated}---\n");
    }
    if let Some(explanation) = &outcome.explanation {
        note(explanation);
    }
}
