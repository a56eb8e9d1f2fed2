//! What the integration tests in `tests/tests/` share.
#![forbid(unsafe_code)]

pub mod browser;
pub mod echo;
pub mod fat;
pub mod instances;
pub mod medium;
pub mod page;
pub mod screen;
pub mod session;
pub mod tool;
pub mod web;
pub mod workload;
pub mod workspace;

use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

use manifest::Program;
use postern::qemu::Options;
use postern::run::{self, Outcome};
use postern::system::System;

/// Most emulators that run at once, over all test programs: as many as the smallest machine has cores.
const SEATS: usize = 2;

/// No healthy run takes longer. It only ends runs that hang; no test waits for it.
pub const LIMIT: Duration = Duration::from_secs(300);

/// The right to run an emulator, until it is dropped.
pub struct Seat(#[expect(dead_code, reason = "the lock lives as long as the file")] File);

/// Waits for a free seat.
pub fn seat() -> Seat {
    let folder = postern::paths::state().expect("target/postern can be created");
    let mut files: Vec<File> = (0..SEATS)
        .map(|number| File::create(folder.join(format!("seat-{number}"))))
        .collect::<Result<_, _>>()
        .expect("a seat's file can be created");
    let free = files.iter().position(|file| file.try_lock().is_ok());
    let file = files.swap_remove(free.unwrap_or(std::process::id() as usize % SEATS));
    if free.is_none() {
        file.lock().expect("a seat's file can be locked");
    }
    Seat(file)
}

/// Boots the system that `options` name, runs the commands of `options.exec` at its shell and returns how it ended.
///
/// # Panics
/// The machine could not be started.
pub fn execute(options: &Options) -> Outcome {
    let system = System::load(&options.system).expect("the manifest passes its checks");
    execute_system(options, &system)
}

/// [`execute`], with a manifest made by the test.
///
/// # Panics
/// As [`execute`].
pub fn execute_system(options: &Options, system: &System) -> Outcome {
    let _seat = seat();
    let mut options = options.clone();
    options.timeout.get_or_insert(LIMIT);
    let (outcome, symbols) =
        run::execute(&options, system, |_| Ok(()), &mut |_| Ok(())).expect("the machine starts");
    println!("{}", symbols.annotate(&outcome.log));
    if let Some(explanation) = &outcome.explanation {
        println!("{explanation}");
    }
    outcome
}

/// Boots a system that powers off by itself, with `more` arguments for QEMU, and returns how it ended.
///
/// # Panics
/// The machine could not be started.
pub fn follow(options: &Options, system: &System, more: &[OsString]) -> Outcome {
    let _seat = seat();
    let mut options = options.clone();
    options.timeout.get_or_insert(LIMIT);
    let mut booted = run::boot_with(&options, system, more).expect("the machine starts");
    let outcome = run::attend(&mut booted.machine, &options, &mut |_| Ok(()));
    let outcome = outcome.expect("the machine can be followed");
    println!("{}", booted.symbols.annotate(&outcome.log));
    println!("{:?}: {:?}", outcome.status, outcome.explanation);
    outcome
}

/// The system that comes with Postern, for a test to change.
///
/// # Panics
/// It breaks its own rules.
pub fn default_system() -> System {
    System::load("default").expect("the default system passes its checks")
}

/// A program that does as `arguments` say (see `apps/prober`) and may call `servers`.
///
/// # Panics
/// Never: the entry is a good one.
pub fn probing(name: &str, priority: u8, arguments: &str, servers: &[&str]) -> Program {
    let mut program = misbehaving(name, priority, &[]);
    program.binary = "prober".into();
    program.memory = 1 << 20;
    program.args = arguments.split_whitespace().map(str::to_string).collect();
    program.needs = ["root.memory"]
        .iter()
        .chain(servers)
        .map(|need| need.to_string())
        .collect();
    program
}

/// What root's log says when every program of `system` runs.
pub fn all_started(system: &System) -> String {
    let count = system.manifest.programs.len();
    format!("{count} of {count} programs started")
}

/// A program that misbehaves as `arguments` say (see `apps/misbehave`).
///
/// # Panics
/// Never: the entry is a good one.
pub fn misbehaving(name: &str, priority: u8, arguments: &[&str]) -> Program {
    let mut program: Program = toml::from_str(
        "name = 'misbehaving'\nbinary = 'misbehave'\nrank = 10\npriority = 1\nmemory = 0x40000\n\
         needs = ['root.memory', 'console']\n",
    )
    .expect("it is an entry of a manifest");
    program.name = name.into();
    program.priority = priority;
    program.args = arguments.iter().map(|word| word.to_string()).collect();
    program
}

/// A digest as the shell prints it.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
