//! What the README shows is what a person gets: its examples are run, and their output is compared.

use std::process::Command;

use postern::qemu::Options;
use postern::status::Status;
use tests::session::{PROMPT, Session};
use tests::tool::run;
use tests::{default_system, seat};

/// The lines of the README's fenced blocks of this language.
fn blocks(language: &str) -> Vec<Vec<String>> {
    let file = postern::paths::root().join("README.md");
    let text = std::fs::read_to_string(file).expect("there is a README");
    let fence = format!("```{language}\n");
    let pieces = text.split(&fence).skip(1);
    let block = |piece: &str| {
        let (block, _) = piece.split_once("```").expect("the block ends");
        block.lines().map(String::from).collect()
    };
    pieces.map(block).collect()
}

/// The words of a command line whose only quotes are single ones around a whole word.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    quoted
        .flat_map(|(index, piece)| match index % 2 {
            0 => piece.split_whitespace().map(String::from).collect(),
            _ => vec![piece.to_string()],
        })
        .collect()
}

#[test]
fn the_examples_are_true() {
    let examples = blocks("console");
    let [command, session] = &examples[..] else {
        panic!("not two examples: {examples:?}")
    };
    run_command(command);
    run_session(session);
}

fn run_command(lines: &[String]) {
    let [command, output @ ..] = lines else {
        panic!("an empty example")
    };
    let words = words(command.strip_prefix("$ cargo ").expect("a cargo command"));
    let _seat = seat();
    let mut cargo = Command::new(env!("CARGO"));
    let ended = run(cargo.args(&words).current_dir(postern::paths::root()));
    assert_eq!(ended.status, 0);
    assert_eq!(ended.output, output.join("\n") + "\n");
}

fn run_session(lines: &[String]) {
    let [command, dialogue @ ..] = lines else {
        panic!("an empty example")
    };
    assert_eq!(command, "$ cargo run");
    let (off, dialogue) = dialogue.split_last().expect("a dialogue");
    assert_eq!(off, &format!("{PROMPT}poweroff"));
    let mut session = Session::boot(&Options::default(), &default_system());
    session.expect(PROMPT);
    let mut real = Vec::new();
    for typed in dialogue.iter().filter_map(|line| line.strip_prefix(PROMPT)) {
        real.push(format!("{PROMPT}{typed}"));
        real.extend(session.command(typed).lines().map(String::from));
    }
    assert!(real.len() > 2);
    assert_eq!(dialogue, real, "in the README, and really");
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}
