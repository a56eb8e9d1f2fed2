//! The commands: their names, what `help` says, and where they run.

use crate::jobs::Shell;
use crate::{bench, files, network, storage, system, tracing, vm};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::process;
use libsys::{eprintln, print, println, rt};
use shell::arguments::Program;

/// First argument of a shell that runs one command, the words behind it, and ends.
pub const SWITCH: &str = "--command";

/// A command.
pub struct Command {
    name: &'static str,
    /// Its arguments.
    usage: &'static str,
    /// What it does.
    help: &'static str,
    /// Where it runs.
    pub place: Place,
}

/// Where a command runs. Both take the words after the name; the error is the rest of a line that begins with the name.
pub enum Place {
    /// In a program of its own.
    Apart(Run),
    /// So, with `root.control`.
    Supervising(Run),
    /// In the shell if it is alone, else in a program of its own.
    Either(Run),
    /// In the shell, alone.
    Here(fn(&mut Shell, &[String]) -> Result<(), String>),
}

type Run = fn(&[String]) -> Result<(), String>;

use Place::{Apart, Either, Here, Supervising};

const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        usage: "[COMMAND]",
        help: "shows this",
        place: Either(help),
    },
    Command {
        name: "read",
        usage: "NAME [--offset N] [--size N] [--sha256]",
        help: "shows bytes of a device (512 if no size is given), or their digest (of the whole device)",
        place: Apart(storage::read),
    },
    Command {
        name: "write",
        usage: "NAME --offset N TEXT",
        help: "writes text to a device and waits until it is there",
        place: Apart(storage::write),
    },
    Command {
        name: "ls",
        usage: "NAME",
        help: "lists a directory, such as file:/ or flash:kv/",
        place: Apart(files::list),
    },
    Command {
        name: "cat",
        usage: "[NAME ...]",
        help: "shows the text of files, or of what is piped in",
        place: Apart(files::cat),
    },
    Command {
        name: "hexdump",
        usage: "[NAME ...]",
        help: "shows the bytes of files, or of what is piped in",
        place: Apart(files::hexdump),
    },
    Command {
        name: "sha256",
        usage: "[NAME ...]",
        help: "shows digests of files, or of what is piped in",
        place: Apart(files::sha256),
    },
    Command {
        name: "cp",
        usage: "FROM TO",
        help: "copies a file or device to another name",
        place: Apart(files::copy),
    },
    Command {
        name: "mv",
        usage: "FROM TO",
        help: "gives a file or directory another name",
        place: Apart(files::rename),
    },
    Command {
        name: "rm",
        usage: "NAME ...",
        help: "removes files and empty directories",
        place: Apart(files::remove),
    },
    Command {
        name: "mkdir",
        usage: "NAME ...",
        help: "makes directories",
        place: Apart(files::make_directory),
    },
    Command {
        name: "net",
        usage: "",
        help: "shows how the network is configured",
        place: Apart(network::status),
    },
    Command {
        name: "ping",
        usage: "HOST [--count N]",
        help: "asks a host for an echo",
        place: Apart(network::ping),
    },
    Command {
        name: "fetch",
        usage: "URL [--sha256]",
        help: "shows what an HTTP server has there, or its digest",
        place: Apart(network::fetch),
    },
    Command {
        name: "ps",
        usage: "",
        help: "lists the programs",
        place: Supervising(system::ps),
    },
    Command {
        name: "top",
        usage: "[--count N] [--seconds N]",
        help: "shows which programs use the processor, every second",
        place: Supervising(system::top),
    },
    Command {
        name: "caps",
        usage: "PROGRAM",
        help: "shows what a program holds, and who gave it",
        place: Supervising(system::caps),
    },
    Command {
        name: "kill",
        usage: "PROGRAM | ID | --background",
        help: "ends a program (a server is started anew), or all that runs in the background",
        // Even if as many programs run as may.
        place: Here(kill),
    },
    Command {
        name: "bench",
        usage: "",
        help: "measures what crossings cost here",
        place: Apart(bench::bench),
    },
    Command {
        name: "time",
        usage: "COMMAND ...",
        help: "shows how long a command takes",
        place: Here(|_, _| Err("give a command".into())),
    },
    Command {
        name: "spawn",
        usage: "COMMAND ...",
        help: "runs a command in the background, as `COMMAND &` does",
        place: Here(|_, _| Err("give a command".into())),
    },
    Command {
        name: "wait",
        usage: "",
        help: "waits for all that runs in the background",
        place: Here(|shell, words| shell::arguments::none(words).and_then(|()| shell.wait())),
    },
    Command {
        name: "run",
        usage: "NAME",
        help: "runs the lines of a file, up to the first that fails",
        place: Here(script),
    },
    Command {
        name: "history",
        usage: "",
        help: "shows the lines typed so far",
        place: Here(history),
    },
    Command {
        name: "date",
        usage: "",
        help: "shows date and time",
        place: Apart(system::date),
    },
    Command {
        name: "sleep",
        usage: "SECONDS",
        help: "waits",
        place: Apart(system::sleep),
    },
    Command {
        name: "mem",
        usage: "",
        help: "shows who has how much memory",
        place: Supervising(system::mem),
    },
    Command {
        name: "uptime",
        usage: "[--boot]",
        help: "shows the time since reset, or what passed of it before the first prompt (in TSC ticks)",
        place: Here(|_, words| system::uptime(words)),
    },
    Command {
        name: "echo",
        usage: "[WORD ...]",
        help: "shows its words",
        place: Either(echo),
    },
    Command {
        name: "dmesg",
        usage: "",
        help: "shows the kernel's log",
        place: Supervising(system::dmesg),
    },
    Command {
        name: "trace",
        usage: "COMMAND ...",
        help: "runs a command and shows the messages it caused",
        place: Supervising(tracing::trace),
    },
    Command {
        name: "vm",
        usage: "list | exits N | kill N | restart N",
        help: "shows and controls the instances above the hypervisor shim",
        place: Here(|_, words| vm::vm(words)),
    },
    Command {
        name: "poweroff",
        usage: "",
        help: "turns the machine off",
        place: Here(|_, words| system::poweroff(words)),
    },
];

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// What can stand at the beginning of a command.
pub fn names() -> Vec<String> {
    let commands = COMMANDS.iter().map(|command| format!("{} ", command.name));
    let binaries = rt::info().binaries.iter().filter(|binary| *binary != SHELL);
    commands
        .chain(binaries.map(|binary| format!("{binary} ")))
        .collect()
}

/// This program's file.
const SHELL: &str = "shell";

/// The program that runs a command.
///
/// # Errors
/// It is none that a program can run.
pub fn program(words: &[String]) -> Result<process::Command, String> {
    let name = &words[0];
    let known = find(name).map(|command| &command.place);
    let mut program = match known {
        Some(Here(_)) => {
            return Err(format!(
                "{name}: it runs alone, without pipes and redirections"
            ));
        }
        Some(_) => process::Command::new(SHELL),
        // Both would take keys from the console, by turns.
        None if name == SHELL => return Err("shell: one is enough".into()),
        None => process::Command::new(name),
    };
    // What a person typed may be no name at all.
    let plain = |c: char| c.is_ascii_graphic();
    program.name(
        &name
            .chars()
            .filter(|c| plain(*c))
            .take(32)
            .collect::<String>(),
    );
    let (switch, arguments) = match known {
        Some(_) => (Some(SWITCH), words),
        None => (None, &words[1..]),
    };
    for word in switch
        .into_iter()
        .chain(arguments.iter().map(String::as_str))
    {
        program.arg(word);
    }
    if let Some(Supervising(_)) = known {
        program.with("root.control");
    }
    if let Ok(Program {
        nonce: Some(nonce),
        traces: true,
        ..
    }) = Program::parse(&rt::info().args)
    {
        program.env(tracing::NONCE, nonce);
    }
    Ok(program)
}

/// Runs a command in this program, which was started for it, and says whether it succeeded; an error is one line.
pub fn run_here(words: &[String]) -> bool {
    let Some((name, words)) = words.split_first() else {
        return false;
    };
    let result = match find(name).map(|command| &command.place) {
        Some(Apart(run) | Either(run) | Supervising(run)) => run(words),
        Some(Here(_)) => Err("it runs in the shell".into()),
        None => Err("no such command (try `help`)".into()),
    };
    let result = result.and_then(|()| print::flush().map_err(|error| format!("{error}")));
    if let Err(error) = &result {
        eprintln!("{name}: {error}");
    }
    result.is_ok()
}

fn kill(shell: &mut Shell, words: &[String]) -> Result<(), String> {
    match words {
        [word] if word == "--background" => shell.end_background(),
        _ => return system::kill(words),
    }
    Ok(())
}

fn script(shell: &mut Shell, words: &[String]) -> Result<(), String> {
    let [name] = shell::arguments::names(words)?;
    shell.script(name)
}

fn history(shell: &mut Shell, words: &[String]) -> Result<(), String> {
    shell::arguments::none(words)?;
    shell.history.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn help(words: &[String]) -> Result<(), String> {
    let asked = words.first();
    let mut found = false;
    for command in COMMANDS
        .iter()
        .filter(|command| asked.is_none_or(|name| name == command.name))
    {
        println!("{} {}\n    {}", command.name, command.usage, command.help);
        found = true;
    }
    match asked {
        Some(name) if !found => Err(alloc::format!("{name}: no such command")),
        Some(_) => Ok(()),
        None => {
            println!("{NOTES}");
            Ok(())
        }
    }
}

const NOTES: &str = "\
Programs, with their arguments, are commands as well; Tab shows them.
A | B      B reads what A writes        A < NAME   A reads NAME
A > NAME   NAME gets what A writes      A >> NAME  so, behind what is there
A; B       one after the other          A &        nobody waits for A
Ctrl-C ends what runs; Up and Down bring lines back; Tab completes.
Numbers are decimal or 0x hexadecimal, with K, M or G for powers of 1024.";

fn echo(words: &[String]) -> Result<(), String> {
    println!("{}", words.join(" "));
    Ok(())
}
