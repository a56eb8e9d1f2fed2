//! The programs that the tests of the servers run inside the system. The first argument says which:
//! - `matrix --echo PORT`: every operation on every device, right and wrong; prints what comes of each. `matrix-open COLUMN`
//!   only opens them, and `matrix-killed ROWS` uses each until its server dies.
//! - `load`: works on all devices until the program `killer` has ended, and checks every byte; with `--echo PORT` also on TCP, and
//!   with `--keys` on keys (if the keyboard's server is told `strikes`).
//! - `killer --count N --seed N`: kills servers at random moments; with `--until PROGRAM` instead of a count, until that ends;
//!   with `--only SERVERS`, only these.
//! - `hostile --count N --seed N`: sends random messages to every server it may call.
//! - `parent --count N --seed N`: starts, ends and waits for programs as it may not.
//! - `shared DISK`: reads and writes a disk through memory shared with it, says what is wrong or that nothing is, and reads on.
//! - `blocked NAME`: reads a line of something that lets it wait.
//! - `greedy`: takes as many sessions as it is given and dies with them; `greedy --keep NAME...` keeps them.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

mod blocked;
mod gateway;
mod greedy;
mod hostile;
mod killer;
mod load;
mod matrix;
mod parent;
mod rows;
mod shared;

use alloc::format;
use alloc::string::String;
use libsys::rt;

libsys::entry!(start);

fn start() -> Result<(), String> {
    match rt::info().args.first().map(String::as_str) {
        Some("matrix") => matrix::run(number("--echo")?),
        Some("matrix-open") => matrix::open(word()?),
        Some("matrix-killed") => matrix::killed(),
        Some("load") => load::run()?,
        Some("killer") => killer::run(number("--seed")?)?,
        Some("hostile") => hostile::run(number("--count")?, number("--seed")?),
        Some("parent") => parent::run(number("--count")?, number("--seed")?)?,
        Some("blocked") => blocked::run(word()?),
        Some("greedy") => greedy::run()?,
        Some("shared") => shared::run(word()?)?,
        other => return Err(format!("{other:?}: not understood here")),
    }
    Ok(())
}

/// The second argument.
fn word() -> Result<&'static str, String> {
    let word = rt::info().args.get(1);
    word.map(String::as_str)
        .ok_or_else(|| "it needs a name".into())
}

/// The number behind an argument.
fn number(name: &str) -> Result<u64, String> {
    rt::number(name).ok_or_else(|| format!("{name} needs a number"))
}
