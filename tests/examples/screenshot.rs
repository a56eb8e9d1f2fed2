//! Makes the picture of the shell on the screen for the docs: `cargo run --package tests --example screenshot`

use postern::qemu::Options;
use serde_json::json;
use tests::session::{PROMPT, Session};
use tests::{default_system, screen};

fn main() {
    let folder = postern::paths::folder(postern::paths::root().join("docs/pictures"));
    let file = folder.expect("the folder can be made").join("screen.png");
    let mut session = Session::boot(&Options::default(), &default_system());
    session.expect(PROMPT);
    // More lines than the screen has: nothing else is to be seen.
    for command in ["read disk:0 --size 256", "ps", "date"] {
        screen::type_in(session.monitor(), &format!("{command}\n"));
        session.expect(&format!("{command}\n"));
        session.expect(PROMPT);
    }
    screen::wait_for(session.monitor(), |lines| {
        lines
            .iter()
            .rfind(|line| !line.is_empty())
            .is_some_and(|line| line == b"postern>")
    });
    let arguments = json!({"filename": file, "format": "png"});
    let made = session.monitor().execute("screendump", arguments);
    made.expect("QEMU makes pictures");
    println!("{}", file.display());
}
