//! Pages of the documentation that a test does what they say.

/// A fenced block: its language, and its lines.
pub type Block<'a> = (&'a str, Vec<&'a str>);

/// The fenced blocks of a page, in order.
///
/// # Panics
/// One does not end.
pub fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language, block));
        }
    }
    blocks
}

/// Whether `real` is what `shown` shows, whose lines `...` stand for any lines.
pub fn is_shown(shown: &[&str], real: &[&str]) -> bool {
    match (shown, real) {
        ([], []) => true,
        (["...", rest @ ..], _) => (0..=real.len()).any(|from| is_shown(rest, &real[from..])),
        ([line, rest @ ..], [first, others @ ..]) => line == first && is_shown(rest, others),
        _ => false,
    }
}

/// The words of a command line, quotes as in a POSIX shell.
///
/// # Panics
/// A quote is left open.
pub fn words(line: &str) -> Vec<String> {
    shlex::split(line).expect("quotes are closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_out_lines_match_any() {
        assert!(is_shown(&["a", "...", "d"], &["a", "b", "c", "d"]));
        assert!(is_shown(&["...", "d", "..."], &["d"]));
        assert!(!is_shown(&["a"], &["a", "b"]));
        assert!(!is_shown(&["...", "x"], &["a", "b"]));
    }

    #[test]
    fn blocks_have_a_language() {
        let page = "text\n```rust\ncode\n\nmore\n```\n```\nplain\n```\n";
        assert_eq!(
            blocks(page),
            [("rust", vec!["code", "", "more"]), ("", vec!["plain"])]
        );
    }
}
