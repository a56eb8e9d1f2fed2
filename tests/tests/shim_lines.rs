//! The hypervisor shim stays small enough to be read: fewer lines than a limit, without blanks, comments and tests.

use std::path::Path;

use postern::paths;

/// Of `hypervisor-shim/src`.
const LIMIT: usize = 3000;

/// What is counted of a file: `docs/shim.md` says the same as a command. A file's tests are its end.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    code.filter(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with("//")
    })
}

/// Whether something follows a file's tests that is none.
fn continues(text: &str) -> bool {
    let tests = text.lines().skip_while(|line| *line != "#[cfg(test)]");
    let mut items = tests.filter(|line| line.starts_with(|first: char| first.is_alphabetic()));
    items.any(|line| {
        !["mod ", "extern crate std;"]
            .iter()
            .any(|test| line.starts_with(test))
    })
}

fn count(folder: &Path) -> usize {
    let mut lines = 0;
    for entry in std::fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            lines += count(&path);
        } else if name != "testing.rs" && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            assert!(
                !continues(&text),
                "{}: code after the tests",
                path.display()
            );
            lines += code(&text).count();
        }
    }
    lines
}

#[test]
fn the_shim_is_small() {
    let lines = count(&paths::root().join("hypervisor-shim/src"));
    println!("{lines} lines");
    assert!(lines < LIMIT, "{lines} lines are not fewer than {LIMIT}");
}

#[test]
fn lines_are_counted() {
    let text = "//! About.\n\nfn a() {\n    // why\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(code(text).count(), 3);
    assert!(!continues(text));
    assert!(continues(&format!("{text}pub mod more;\n")));
}
