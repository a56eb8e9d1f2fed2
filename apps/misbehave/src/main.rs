//! A program that misbehaves on request, for tests of everybody else. Its arguments say how, one after the other:
//! `--lines N` prints N numbered lines, `--panic` panics, `--fault` reads address 0, `--spin` never gives way,
//! `--yield` asks the kernel for others' turns without end.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]
extern crate alloc;

use alloc::string::String;
use libsys::{println, rt, syscall};

libsys::entry!(start);

fn start() -> Result<(), String> {
    let mut arguments = rt::info().args.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--lines" => lines(arguments.next().and_then(|count| count.parse().ok())),
            "--panic" => panic!("on request"),
            "--fault" => read_nothing(),
            "--spin" => spin(),
            "--yield" => loop {
                syscall::yield_now();
            },
            other => return Err(alloc::format!("{other}: not understood here")),
        }
    }
    Ok(())
}

fn lines(count: Option<u32>) {
    let name = &rt::info().name;
    for number in 0..count.unwrap_or(0) {
        println!("{name} says line {number}");
    }
}

#[inline(never)]
#[expect(unsafe_code, reason = "it is the misbehaviour that was asked for")]
fn read_nothing() {
    // SAFETY: nothing is mapped at address 0, so the access traps, which is what the test wants.
    unsafe { core::arch::asm!("mov {0}, [{0}]", inout(reg) 0u64 => _, options(nostack)) }
}

#[inline(never)]
fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
