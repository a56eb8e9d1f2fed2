//! `run`: check, build, boot, and carry bytes until the machine ends. [`ended`] says how it did.

mod ended;

use std::any::Any;
use std::ffi::OsString;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use ended::report;

use crate::debugger::Debugger;
use crate::exec::{self, Filter};
use crate::instances::{Demultiplexer, View};
use crate::machine::{Event, Machine};
use crate::progress::note;
use crate::qemu::{self, Emulator, Options};
use crate::status::Status;
use crate::symbols::{Annotator, Symbols};
use crate::system::System;
use crate::terminal::Raw;
use crate::{bochs, disk, flash, from_image, image, instances, iso, network, paths, trace, typing};

/// How long a machine that hangs may take to report where.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A machine that has just been started.
pub struct Booted {
    /// The machine.
    pub machine: Machine,
    /// Symbols of its programs.
    pub symbols: Symbols,
    /// What the emulator reads: it goes with this value.
    pub files: Files,
}

/// Files of a run: the system's archive or image, media that were made for this run, what a debugger or Bochs needs.
pub struct Files(pub(crate) Vec<Box<dyn Any>>);

/// How a run ended, and what it printed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// With `--exec`, what the commands printed.
    pub output: String,
    /// With `--trace-json` or `--trace-svg`, what the shell's `trace` told ([`crate::trace`]).
    pub traced: Vec<String>,
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
    if let Some(image) = &options.iso {
        let booted = from_image::boot(options, image, &[])?;
        return follow(options, booted, None);
    }
    let mut system = System::load(&options.system)?;
    system.choose(options.vm)?;
    let served = disk::served(&system.hardware());
    if options.disks.len() > served {
        note(&format!(
            "{} disks, but system {} serves only {served}",
            options.disks.len(),
            system.manifest.name
        ));
    }
    if options.exec.is_empty() {
        let view = (!system.instances.is_empty()).then(|| View::new(options.vm));
        return follow(options, boot(options, &system)?, view);
    }
    let mut stdout = std::io::stdout();
    let mut print = |bytes: &[u8]| stdout.write_all(bytes).and_then(|()| stdout.flush());
    let (outcome, symbols) = execute(options, &system, watch_signals, &mut print)?;
    report(&outcome, &symbols, false);
    trace::write(options, &outcome.traced)?;
    Ok(outcome.status)
}

/// A machine with the person's standard input and output as its serial line, to its end. `view`: several systems share the line.
fn follow(options: &Options, booted: Booted, mut view: Option<View>) -> Result<Status> {
    let mut stdout = std::io::stdout();
    let mut print = |bytes: &[u8]| stdout.write_all(bytes).and_then(|()| stdout.flush());
    let (outcome, symbols) = attach(options, booted, view.as_mut(), &mut print)?;
    report(&outcome, &symbols, true);
    Ok(outcome.status)
}

/// All that can be wrong with the options alone.
pub(crate) fn check(options: &Options) -> Result<()> {
    if let Some(file) = &options.flash {
        flash::check(file)?;
    }
    network::check(&options.forward)?;
    trace::check(options)?;
    if options.icount && options.accel == crate::accelerator::Accelerator::Kvm {
        bail!("--icount counts emulated instructions, so it cannot be used with --accel kvm");
    }
    if options.emulator == Emulator::Bochs {
        bochs::check(options)?;
    }
    if options.ata || options.emulator == Emulator::Bochs {
        disk::check_ata(options)?;
    }
    options.iso.as_deref().map_or(Ok(()), iso::check)?;
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
    let hardware = system.hardware();
    let network = network::arguments(&options.forward, &hardware)?;
    // Its first chip would be the firmware's, and Bochs has none.
    let by_image = options.uefi || options.emulator == Emulator::Bochs;
    if !by_image {
        qemu::ensure()?;
    }
    let flash = match by_image {
        false => flash::prepare(options.flash.as_deref(), &hardware)?,
        true => None,
    };
    let mut system = system.clone();
    if options.icount {
        system.wait_for_devices();
    }
    if let Some(flash) = &flash {
        flash.place(&mut system.manifest);
        let inner = system.instances.iter_mut();
        inner.for_each(|inner| flash.place(&mut inner.manifest));
    }
    let image = image::build(&system)?;
    if by_image {
        let file = NamedTempFile::new_in(paths::state()?).context("cannot make an image")?;
        let content = iso::Content {
            system: &system.manifest.name,
            loader: &image.loader,
            archive: &image.archive,
            command_line: &options.append,
        };
        iso::build(content, file.path())?;
        let more: Vec<OsString> = network
            .iter()
            .map(OsString::from)
            .chain(more.to_vec())
            .collect();
        let mut booted = from_image::start(options, file.path(), &more)?;
        booted.symbols = image.symbols;
        booted.files.0.push(Box::new(file));
        return Ok(booted);
    }
    let mut archive = NamedTempFile::new_in(paths::state()?).context("cannot write the archive")?;
    archive
        .write_all(&image.archive)
        .context("cannot write the archive")?;
    let (options, disk) = disk::or_default(options)?;
    let mut command = qemu::command(&options, &image.loader, archive.path())?;
    if let Some(flash) = &flash {
        flash.arguments(&mut command);
    }
    command.args(network);
    command.args(more);
    let debugger = match options.gdb {
        true => Some(Debugger::prepare(&system.manifest, &image.symbols)?),
        false => None,
    };
    command.args(debugger.iter().flat_map(Debugger::arguments));
    let machine = Machine::start(command)?;
    if let Some(debugger) = &debugger {
        debugger.invite()?;
    }
    Ok(Booted {
        machine,
        symbols: image.symbols,
        files: Files(vec![Box::new((archive, disk)), Box::new((flash, debugger))]),
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
    if options.trace_json.is_some() || options.trace_svg.is_some() {
        system.tell_traces();
    }
    let Booted {
        mut machine,
        symbols,
        files: _files,
    } = boot(options, &system)?;
    prepare(&machine)?;
    let mut filter = Filter::new(&nonce);
    let mut annotator = Annotator::new(&symbols);
    let mut output = Vec::new();
    let mut line = Demultiplexer::new(system.primary);
    let mut outcome = attend(&mut machine, options, &mut |bytes| {
        let before = output.len();
        let own = line.only(&system, bytes);
        filter.feed(&own, &mut output);
        print(&annotator.feed(&output[before..]))
    })?;
    outcome.output = String::from_utf8_lossy(&output).into_owned();
    if !system.instances.is_empty() {
        outcome.log = instances::tagged(&outcome.log);
    }
    outcome.traced = filter.traced().to_vec();
    if outcome.status == Status::Success && filter.status() != Some(0) {
        outcome.status = Status::Refused;
        outcome.explanation = Some("the system ended before the shell had run all commands".into());
    }
    Ok((outcome, symbols))
}

/// Carries bytes between the person and a machine.
fn attach(
    options: &Options,
    booted: Booted,
    mut view: Option<&mut View>,
    print: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(Outcome, Symbols)> {
    let Booted {
        mut machine,
        symbols,
        files: _files,
    } = booted;
    watch_signals(&machine)?;
    let raw = Raw::enter()?;
    let guest = machine.take_input().context("the machine has no input")?;
    let target = view.as_ref().map(|view| view.target()).unwrap_or_default();
    let alive = typing::start(guest, raw.is_some(), target, machine.reporter());
    let mut annotator = Annotator::new(&symbols);
    let outcome = attend(&mut machine, options, &mut |bytes| {
        // Nobody listens after the first time.
        let _ = alive.send(());
        match &mut view {
            Some(view) => print(&annotator.feed(&view.feed(bytes))),
            None => print(&annotator.feed(bytes)),
        }
    });
    drop(raw);
    Ok((outcome?, symbols))
}

/// Turns the signals that ask a program to end into events, so that the emulator ends and the terminal is put back.
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
                break match options.emulator {
                    Emulator::Qemu => Status::of_qemu(code, &complaints),
                    Emulator::Bochs => Status::of_bochs(&log, &complaints),
                };
            }
            Some(Event::Leave) => break (Status::Success, None),
            Some(Event::Signal(signal)) => break (Status::Interrupted(signal), None),
            None => {
                log.extend_from_slice(&last_words(machine));
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
        traced: Vec::new(),
        log,
        explanation,
    })
}

/// Asks a machine that hangs where it hangs: what its kernel says to a non-maskable interrupt. Nothing, if there is no
/// kernel, or the hang is so bad that it cannot speak.
pub fn last_words(machine: &Machine) -> Vec<u8> {
    let mut words = Vec::new();
    if let Err(error) = machine.interrupt() {
        note(&format!("{error:#}"));
        return words;
    }
    let deadline = Instant::now() + LAST_WORDS;
    while let Some(event) = machine.next(Some(deadline)) {
        match event {
            Event::Output(bytes) => words.extend_from_slice(&bytes),
            Event::Ended => break,
            Event::Leave | Event::Signal(_) => {}
        }
    }
    words
}
