//! The commands: their names, what `help` says, and how a line is run.

use crate::{files, network, storage, system, tracing};
use alloc::string::String;
use libsys::println;
use shell::arguments;

/// A command.
struct Command {
    name: &'static str,
    /// Its arguments.
    usage: &'static str,
    /// What it does.
    help: &'static str,
    run: Run,
}

/// Takes the words after the name; the error is the rest of a line that begins with the name.
type Run = fn(&[String]) -> Result<(), String>;

const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        usage: "[COMMAND]",
        help: "shows this",
        run: help,
    },
    Command {
        name: "read",
        usage: "NAME [--offset N] [--size N] [--sha256]",
        help: "shows bytes of a device (512 if no size is given), or their digest (of the whole device)",
        run: storage::read,
    },
    Command {
        name: "write",
        usage: "NAME --offset N TEXT",
        help: "writes text to a device and waits until it is there",
        run: storage::write,
    },
    Command {
        name: "ls",
        usage: "NAME",
        help: "lists a directory, such as file:/ or flash:kv/",
        run: files::list,
    },
    Command {
        name: "cat",
        usage: "NAME ...",
        help: "shows the text of files",
        run: files::cat,
    },
    Command {
        name: "cp",
        usage: "FROM TO",
        help: "copies a file or device to another name",
        run: files::copy,
    },
    Command {
        name: "mv",
        usage: "FROM TO",
        help: "gives a file or directory another name",
        run: files::rename,
    },
    Command {
        name: "rm",
        usage: "NAME ...",
        help: "removes files and empty directories",
        run: files::remove,
    },
    Command {
        name: "mkdir",
        usage: "NAME ...",
        help: "makes directories",
        run: files::make_directory,
    },
    Command {
        name: "net",
        usage: "",
        help: "shows how the network is configured",
        run: network::status,
    },
    Command {
        name: "ping",
        usage: "HOST [--count N]",
        help: "asks a host for an echo",
        run: network::ping,
    },
    Command {
        name: "fetch",
        usage: "URL [--sha256]",
        help: "shows what an HTTP server has there, or its digest",
        run: network::fetch,
    },
    Command {
        name: "ps",
        usage: "",
        help: "lists the programs",
        run: system::ps,
    },
    Command {
        name: "kill",
        usage: "PROGRAM",
        help: "ends a program; a server is started anew",
        run: system::kill,
    },
    Command {
        name: "date",
        usage: "",
        help: "shows date and time",
        run: system::date,
    },
    Command {
        name: "sleep",
        usage: "SECONDS",
        help: "waits",
        run: system::sleep,
    },
    Command {
        name: "mem",
        usage: "",
        help: "shows who has how much memory",
        run: system::mem,
    },
    Command {
        name: "uptime",
        usage: "[--boot]",
        help: "shows the time since reset, or what passed of it before the first prompt (in TSC ticks)",
        run: system::uptime,
    },
    Command {
        name: "echo",
        usage: "[WORD ...]",
        help: "shows its words",
        run: echo,
    },
    Command {
        name: "dmesg",
        usage: "",
        help: "shows the kernel's log",
        run: system::dmesg,
    },
    Command {
        name: "trace",
        usage: "COMMAND ...",
        help: "runs a command and shows the messages it caused",
        run: tracing::trace,
    },
    Command {
        name: "poweroff",
        usage: "",
        help: "turns the machine off",
        run: system::poweroff,
    },
];

/// Runs a line and says whether it succeeded; an error is one line.
pub fn run(line: &str) -> bool {
    let Some(words) = arguments::words(line) else {
        println!("shell: a quote is left open");
        return false;
    };
    run_words(&words)
}

/// [`run`], for a line that is split already.
pub fn run_words(words: &[String]) -> bool {
    let Some((name, words)) = words.split_first() else {
        return true;
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        println!("{name}: no such command (try `help`)");
        return false;
    };
    match (command.run)(words) {
        Ok(()) => true,
        Err(error) => {
            println!("{name}: {error}");
            false
        }
    }
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
            println!("Numbers are decimal or 0x hexadecimal, with K, M or G for powers of 1024.");
            Ok(())
        }
    }
}

fn echo(words: &[String]) -> Result<(), String> {
    println!("{}", words.join(" "));
    Ok(())
}
