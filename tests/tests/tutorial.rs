//! The tutorial, done as it says: its commands are run in a copy of the workspace, and what it shows is compared.

use std::fs;
use std::path::PathBuf;

use postern::paths;
use tests::page::{blocks, is_shown, words};
use tests::workspace::copy;
use tests::{seat, tool};

/// Most lines of the server that the newcomer ends with.
const LINES: usize = 40;

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
