//! Tab: what the last word could become.

use crate::{PROMPT, commands};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::{fs, handle};
use shell::line::Line;
use shell::syntax::{common, last_word};

/// Completes the word before the cursor; if it could become several, they are shown.
pub fn complete(line: &mut Line, before: &str, echo: &mut Vec<u8>) {
    let (word, first) = last_word(before);
    let mut found = if first {
        commands::names()
    } else {
        names(word)
    };
    found.retain(|name| name.starts_with(word));
    found.sort();
    let all = found.iter().map(|name| name.trim_end());
    let more = common(all).get(word.len()..).unwrap_or_default().into();
    match &found[..] {
        [only] => line.complete(&only[word.len()..], echo),
        _ if !String::is_empty(&more) => line.complete(&more, echo),
        [] => echo.push(7),
        _ => {
            echo.extend(format!("\n{}\n{PROMPT}", found.join(" ")).as_bytes());
            line.show_again(echo);
        }
    }
}

/// Names that may begin with `word`: prefixes of servers, or entries of the directory that it names.
fn names(word: &str) -> Vec<String> {
    let Some(end) = word.rfind(['/', ':']).map(|at| at + 1) else {
        return handle::prefixes();
    };
    let directory = match &word[..end] {
        "file:" => "file:/",
        directory => directory,
    };
    let entries = fs::list(directory).unwrap_or_default();
    let full = entries.iter().map(|entry| match entry.directory {
        true => format!("{directory}{}/", entry.name),
        false => format!("{directory}{} ", entry.name),
    });
    full.collect()
}
