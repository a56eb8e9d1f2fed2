//! A monolith: a kernel with the drivers inside, whose `read` is a system call. It boots in the kernel's place (system
//! `monolith`), runs one user program in a space of its own, and is there for comparison only.
//!
//! It is made of the microkernel's library (descriptor tables, page tables, interrupt controllers) and of the servers' driver
//! crates. Read in this order: `syscall.s` (the way in and out), [`calls`] (what is asked for), [`user`] (the program, and its memory).
#![cfg_attr(target_os = "none", no_std, no_main)]

mod calls;
mod user;

use bootinfo::BootInfo;
use ring0::devices::Devices;

ring0::entry!(start);

fn start(info: &BootInfo<'static>) -> Result<(), &'static str> {
    let program = user::Program::new(info)?;
    calls::init(Devices::find(info)?, program.cr3(), info.command_line);
    program.run()
}
