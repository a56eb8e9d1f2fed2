//! An app: it runs when the system starts, says its words, and ends.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;
use libsys::{println, rt};

libsys::entry!(start);

fn start() -> Result<(), &'static str> {
    // What it may call stands under `needs` in the manifest: open `disk:0` with libsys::handle::Handle once `names` and `disk`
    // are there, too.
    println!("Hello from {}.", rt::info().name);
    Ok(())
}
