//! The first and only program of a Linux that is measured (`cargo bench -- --peer linux`): it loads the modules that it is told of,
//! measures, prints, and ends the machine. Its file `/arguments` is a command line of [`measure::run`], with words `module=NAME`.
#![cfg_attr(target_os = "none", no_std, no_main)]

/// Entry point, stack, heap, and how it ends: they are the program's own.
#[cfg(target_os = "none")]
mod bare;

/// A host's Linux needs no other first program.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This is a Linux's first program: type `cargo bench -- --peer linux`.");
    std::process::exit(2);
}
