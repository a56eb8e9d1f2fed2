//! The tutorial, done as it says: its commands are run in a copy of the workspace, and what it shows is compared.

use std::fs;
use std::path::{Path, PathBuf};

use postern::paths;
use tests::page::{blocks, is_shown, words};
use tests::{seat, tool};

/// Most lines of the server that the newcomer ends with.
const LINES: usize = 40;

/// Makes `to` what `from` is, but for what cargo and git keep there. What is the same stays untouched, so that little is built.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("it can be read");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let own = |name: &std::ffi::OsString| name != "target" && name != ".git";
        names.filter(own).collect::<Vec<_>>()
    };
    for name in names(to) {
        let old = to.join(&name);
        match (from.join(&name).exists(), old.is_dir()) {
            (true, _) => {}
            (false, true) => fs::remove_dir_all(old).expect("it can be removed"),
            (false, false) => fs::remove_file(old).expect("it can be removed"),
        }
    }
    for name in names(from) {
        let (old, new) = (from.join(&name), to.join(&name));
        if old.is_dir() {
            copy(&old, &new);
        } else if fs::read(&old).ok() != fs::read(&new).ok() {
            fs::copy(&old, &new).expect("it can be copied");
        }
    }
}

/// The file that the text before a block names last.
fn file_named_before(page: &str, block: &str) -> PathBuf {
    let (before, _) = page.split_once(block).expect("the block is in the page");
    let named = before.rsplit('`').find(|word| word.ends_with(".rs"));
    named.expect("the text says where it goes").into()
}

#[test]
fn the_tutorial_does_what_it_says() {
    let page = fs::read_to_string(paths::root().join("docs/tutorial.md")).expect("it is there");
    // It stays, so that the next time only what has changed is built.
    let workspace = paths::root().join("target/tutorial");
    copy(&paths::root(), &workspace);
    let (mut commands, mut sources) = (0, 0);
    for (language, lines) in blocks(&page) {
        match language {
            "console" => {
                let (command, shown) = lines.split_first().expect("a command");
                let words = words(command.strip_prefix("$ cargo run -- ").expect("a command"));
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let _seat = seat();
                let run = tool::run(tool::command(&words).env(paths::ROOT, &workspace));
                // How far a build is goes to standard error, too.
                let told = run.messages.lines().filter(|line| line.contains("error: "));
                let real: Vec<&str> = run.output.lines().chain(told).collect();
                assert!(is_shown(shown, &real), "{command} shows {real:#?}");
                assert_eq!(
                    run.status == 0,
                    run.messages.find("error: ").is_none(),
                    "{command}"
                );
                commands += 1;
            }
            "rust" => {
                let block = lines.join("\n") + "\n";
                assert!(lines.len() <= LINES, "{} lines", lines.len());
                let file = workspace.join(file_named_before(&page, &block));
                assert!(
                    file.exists(),
                    "{} is not one of the newcomer's",
                    file.display()
                );
                fs::write(file, block).expect("it can be written");
                sources += 1;
            }
            other => panic!("a block of {other:?}"),
        }
    }
    assert!(commands > 6 && sources == 1);
}
