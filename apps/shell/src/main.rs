//! The shell: asks for commands, or (`--exec`) runs those it was started with. Most commands are programs of their own: this one
//! again, started with `--command`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

mod bench;
mod commands;
mod complete;
mod files;
mod input;
mod jobs;
mod network;
mod storage;
mod system;
mod tracing;
mod vm;

use alloc::vec::Vec;
use bootinfo::exit;
use input::{Event, Input};
use jobs::Shell;
use libsys::{eprintln, print, println, rt};
use shell::arguments::Program;
use shell::line::{self, Line};

libsys::entry!(start);

const PROMPT: &str = "postern> ";

fn start() -> Result<(), &'static str> {
    let words = &rt::info().args;
    if let Some((first, words)) = words.split_first()
        && first == commands::SWITCH
    {
        rt::exit(u32::from(!commands::run_here(words)));
    }
    match Program::parse(words) {
        Ok(program) if program.commands.is_empty() => interactive(),
        Ok(program) => execute(&program),
        Err(error) => {
            eprintln!("shell: {error}");
            interactive()
        }
    }
}

/// Runs the commands between two marks that no command prints by accident, and turns the machine off.
fn execute(program: &Program) -> Result<(), &'static str> {
    let nonce = program.nonce.unwrap_or("0");
    let mut shell = Shell::new(Input::new(false)?);
    println!("\x1epostern {nonce} begin");
    system::record_boot();
    let failures = program
        .commands
        .iter()
        .filter(|command| !shell.run(command))
        .count();
    println!("\x1epostern {nonce} end {}", u8::from(failures > 0));
    let value = if failures == 0 {
        exit::SUCCESS
    } else {
        exit::COMMAND_FAILED
    };
    system::power_off(value).map_err(|_| "it cannot turn the machine off")
}

/// Asks for commands for good.
fn interactive() -> Result<(), &'static str> {
    let mut shell = Shell::new(Input::new(true)?);
    let mut line = Line::default();
    let mut echo = Vec::new();
    let mut log_seen = system::crashes(0);
    print!("{PROMPT}");
    system::record_boot();
    while let Some(event) = shell.input.next() {
        match event {
            Event::Byte(byte) => match line.input(byte, &mut echo) {
                line::Event::Typing => {}
                line::Event::Cancelled => echo.extend(PROMPT.as_bytes()),
                line::Event::Complete(before) => complete::complete(&mut line, &before, &mut echo),
                line::Event::Done(text) => {
                    print::write(&core::mem::take(&mut echo));
                    shell.history = line.history().map(Into::into).collect();
                    input::was_interrupted();
                    shell.run(&text);
                    log_seen = system::crashes(log_seen);
                    shell.input.settle();
                    print!("{PROMPT}");
                }
            },
            Event::Flush => {}
            Event::Reopened => {
                echo.extend(PROMPT.as_bytes());
                line.show_again(&mut echo);
            }
            Event::Ended(child, ended) => {
                println!();
                shell.ended(child, ended);
                echo.extend(PROMPT.as_bytes());
                line.show_again(&mut echo);
            }
        }
        // What is typed in one go is shown in one go.
        if !shell.input.has_more() {
            print::write(&core::mem::take(&mut echo));
        }
    }
    Err("nothing is left to wait for")
}
