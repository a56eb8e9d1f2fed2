//! `ls`, `cat`, `cp`, `mv`, `rm` and `mkdir`.

use crate::storage;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use libsys::handle::{Handle, IoError, Kind};
use libsys::{fs, print, println, rt};
use sha2::{Digest, Sha256};
use shell::{arguments, hexdump};

/// Bytes per message.
const PIECE: usize = 64 << 10;
/// Longest script in bytes.
const LONGEST_SCRIPT: usize = 64 << 10;

/// What went wrong with which name.
fn about(name: &str) -> impl Fn(IoError) -> String {
    move |error| format!("{name}: {error}")
}

/// The text of a script.
///
/// # Errors
/// It cannot be read, is too long, or no text.
pub fn text(name: &str) -> Result<String, String> {
    let file = Handle::open(name).map_err(about(name))?;
    // Nothing that could make the shell wait.
    if file.stat().map(|stat| stat.kind) != Ok(Kind::Block) {
        return Err(format!("{name}: not a file"));
    }
    let mut bytes = vec![0; LONGEST_SCRIPT + 1];
    let mut length = 0;
    loop {
        let count = file.read(&mut bytes[length..]);
        match count.map_err(about(name))? {
            0 => break,
            count => length += count,
        }
    }
    if length > LONGEST_SCRIPT {
        return Err(format!("{name}: longer than {LONGEST_SCRIPT} bytes"));
    }
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|_| format!("{name}: not a text"))
}

/// Lists a directory.
pub fn list(words: &[String]) -> Result<(), String> {
    let [name] = arguments::names(words)?;
    for entry in fs::list(name).map_err(about(name))? {
        match entry.directory {
            true => println!("{:>10}  {}/", "", entry.name),
            false => println!("{:>10}  {}", entry.size, entry.name),
        }
    }
    Ok(())
}

/// Shows files, or the input.
pub fn cat(words: &[String]) -> Result<(), String> {
    each_or_input(words, |name| {
        pieces(&Handle::open(name)?, |bytes| {
            print::write(bytes);
            Ok(())
        })
    })
}

/// Shows bytes of files, or of the input.
pub fn hexdump(words: &[String]) -> Result<(), String> {
    each_or_input(words, |name| {
        let (mut offset, mut part) = (0, vec![]);
        pieces(&Handle::open(name)?, |bytes| {
            // Only whole lines: a pipe brings what it has.
            part.extend_from_slice(bytes);
            let whole = part.len() / hexdump::LINE * hexdump::LINE;
            storage::show(offset, &part[..whole]);
            part.drain(..whole);
            offset += whole as u64;
            Ok(())
        })?;
        storage::show(offset, &part);
        Ok(())
    })
}

/// Shows digests of files, or of the input.
pub fn sha256(words: &[String]) -> Result<(), String> {
    each_or_input(words, |name| {
        let mut digest = Sha256::new();
        pieces(&Handle::open(name)?, |bytes| {
            digest.update(bytes);
            Ok(())
        })?;
        println!("{}  {name}", storage::hex(&digest.finalize()));
        Ok(())
    })
}

/// `work` with every name, or with the name of the program's input if there are none.
fn each_or_input(
    words: &[String],
    work: impl Fn(&str) -> Result<(), IoError>,
) -> Result<(), String> {
    match (words, rt::variable(print::INPUT)) {
        ([], Some(input)) => work(input).map_err(about(input)),
        _ => each(words, work),
    }
}

/// Copies a file.
pub fn copy(words: &[String]) -> Result<(), String> {
    let [from, to] = arguments::names(words)?;
    let source = Handle::open(from).map_err(about(from))?;
    let target = fs::create(to).map_err(about(to))?;
    let copied = pieces(&source, |mut bytes| {
        while !bytes.is_empty() {
            bytes = &bytes[target.write(bytes)?..];
        }
        Ok(())
    });
    copied
        .and_then(|()| target.sync())
        .map_err(|error| format!("{from} to {to}: {error}"))
}

/// Renames a file or directory.
pub fn rename(words: &[String]) -> Result<(), String> {
    let [from, to] = arguments::names(words)?;
    fs::rename(from, to).map_err(|error| format!("{from} to {to}: {error}"))
}

/// Removes files and empty directories.
pub fn remove(words: &[String]) -> Result<(), String> {
    each(words, fs::remove)
}

/// Makes directories.
pub fn make_directory(words: &[String]) -> Result<(), String> {
    each(words, fs::make_directory)
}

/// Does `work` with every name, up to the first that fails.
fn each(words: &[String], work: impl Fn(&str) -> Result<(), IoError>) -> Result<(), String> {
    let names = arguments::any_names(words)?;
    if names.is_empty() {
        return Err("give at least one name".into());
    }
    names
        .iter()
        .try_for_each(|name| work(name).map_err(about(name)))
}

/// Reads a file to its end.
fn pieces(
    file: &Handle,
    mut work: impl FnMut(&[u8]) -> Result<(), IoError>,
) -> Result<(), IoError> {
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => work(&buffer[..count])?,
        }
    }
}
