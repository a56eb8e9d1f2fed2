//! `bridge`: one end of a channel to another instance. Arguments: `export` and the names that the other instance may open here, or
//! `import` and the prefix of the names that programs here open there. With `measure N` in front an importer first says
//! what N round trips through the channel take.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

mod measure;
mod program;
mod servers;

use alloc::string::String;
use libsys::rt;
use libsys::serve::serve;

use program::Program;
use servers::{Exporting, Importing};

libsys::entry!(start);

fn start() -> Result<(), String> {
    let arguments = &rt::info().args;
    let mut words = arguments.iter().map(String::as_str);
    let mut end = program::end()?;
    let mut word = words.next();
    if word == Some("measure") {
        let count = words.next().and_then(|word| word.parse().ok());
        let count = count.ok_or("measure needs a number")?;
        if let Some(end) = &mut end {
            measure::run(end, count);
        }
        word = words.next();
    }
    match (word, words.next()) {
        (Some("export"), Some(first)) => {
            let names = [first].into_iter().chain(words).map(String::from);
            serve(&mut Exporting::new(end, names.collect()))
        }
        (Some("import"), Some(prefix)) => serve(&mut Importing::new(end, prefix)),
        _ => Err("its arguments are neither `export NAME…` nor `import PREFIX`".into()),
    }
}

/// The end of the channel that this program has.
type End = bridge::end::End<Program, program::Bell>;
