//! The shell: asks for commands, or (`--exec`) runs those it was started with.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

mod commands;
mod files;
mod network;
mod storage;
mod system;
mod tracing;

use alloc::vec::Vec;
use bootinfo::exit;
use commands::run;
use core::time::Duration;
use libsys::handle::{Handle, IoError};
use libsys::{print, println, rt, time};
use shell::arguments::Program;
use shell::line::{Event, Line};

libsys::entry!(start);

fn start() -> Result<(), &'static str> {
    match Program::parse(&rt::info().args) {
        Ok(program) if program.commands.is_empty() => interactive(),
        Ok(program) => execute(&program),
        Err(error) => {
            println!("shell: {error}");
            interactive()
        }
    }
}

/// Runs the commands between two marks that no command prints by accident, and turns the machine off.
fn execute(program: &Program) -> Result<(), &'static str> {
    let nonce = program.nonce.unwrap_or("0");
    println!("\x1epostern {nonce} begin");
    system::record_boot();
    let failures = program
        .commands
        .iter()
        .filter(|command| !run(command))
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
    let mut console = open_console()?;
    let mut line = Line::default();
    let mut echo = Vec::new();
    let mut log_seen = system::crashes(0);
    print!("{PROMPT}");
    system::record_boot();
    loop {
        let mut bytes = [0; 64];
        let count = match console.read(&mut bytes) {
            Ok(count) => count,
            Err(_) => {
                console = open_console()?;
                print!("{PROMPT}");
                0
            }
        };
        for &byte in &bytes[..count] {
            let event = line.input(byte, &mut echo);
            if event == Event::Typing {
                continue;
            }
            print::write(&echo);
            echo.clear();
            if let Event::Done(text) = event {
                run(&text);
                log_seen = system::crashes(log_seen);
            }
            print!("{PROMPT}");
        }
        print::write(&echo);
        echo.clear();
    }
}

const PROMPT: &str = "postern> ";

/// The console, which may just be starting anew.
fn open_console() -> Result<Handle, &'static str> {
    let server = rt::endpoint("console").ok_or("it has no console")?;
    for _ in 0..50 {
        match Handle::open_at(server, "") {
            Ok(console) => return Ok(console),
            Err(IoError::ServerDied { .. }) => {
                let _ = time::sleep(Duration::from_millis(100));
            }
            Err(_) => break,
        }
    }
    Err("the console does not answer")
}
