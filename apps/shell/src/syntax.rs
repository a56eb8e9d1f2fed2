//! What a line says: pipelines of commands, with redirections.
//!
//! `COMMAND | COMMAND < NAME > NAME &`, several of them separated by `;`. `>>` writes behind the end. Quotes and backslashes are as
//! in a POSIX shell; `#` begins a comment.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Commands that run at the same time, each reading what the one before writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// The words of each command; at least one command, each of at least one word.
    pub commands: Vec<Vec<String>>,
    /// What the first reads.
    pub input: Option<String>,
    /// What the last writes to.
    pub output: Option<String>,
    /// It writes behind the end.
    pub append: bool,
    /// Nobody waits for it.
    pub background: bool,
}

enum Token {
    Word(String),
    Operator(&'static str),
}

/// The longer ones first.
const OPERATORS: [&str; 6] = [">>", "|", "<", ">", "&", ";"];

/// Understands a line; an empty one has no pipelines.
///
/// # Errors
/// What is wrong with it.
pub fn parse(line: &str) -> Result<Vec<Pipeline>, &'static str> {
    let mut pipelines = Vec::new();
    let (mut pipeline, mut command) = (Pipeline::default(), Vec::new());
    let mut tokens = tokens(line)?.into_iter();
    while let Some(token) = tokens.next() {
        let operator = match token {
            Token::Word(word) => {
                command.push(word);
                continue;
            }
            Token::Operator(operator) => operator,
        };
        match operator {
            "|" | "&" | ";" if command.is_empty() => {
                return Err("a command is missing before `|`, `&` or `;`");
            }
            "|" => pipeline.commands.push(core::mem::take(&mut command)),
            "&" | ";" => {
                pipeline.background = operator == "&";
                pipelines.push(finished(&mut pipeline, &mut command)?);
            }
            _ => {
                let Some(Token::Word(name)) = tokens.next() else {
                    return Err("a name is missing behind `<` or `>`");
                };
                let place = match operator {
                    "<" => &mut pipeline.input,
                    _ => &mut pipeline.output,
                };
                if place.replace(name).is_some() {
                    return Err("there is more than one `<` or `>`");
                }
                pipeline.append = operator == ">>";
            }
        }
    }
    if pipeline != Pipeline::default() || !command.is_empty() {
        pipelines.push(finished(&mut pipeline, &mut command)?);
    }
    Ok(pipelines)
}

fn finished(pipeline: &mut Pipeline, command: &mut Vec<String>) -> Result<Pipeline, &'static str> {
    if command.is_empty() {
        return Err("a command is missing");
    }
    pipeline.commands.push(core::mem::take(command));
    Ok(core::mem::take(pipeline))
}

fn tokens(line: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        if let Some(operator) = OPERATORS
            .into_iter()
            .find(|operator| rest.starts_with(operator))
        {
            tokens.push(Token::Operator(operator));
            rest = rest[operator.len()..].trim_start();
            continue;
        }
        let end = word_end(rest);
        // One word by what `word_end` says, unless a quote is open.
        let words = shlex::split(&rest[..end]).ok_or("a quote is left open")?;
        tokens.extend(words.into_iter().map(Token::Word));
        rest = rest[end..].trim_start();
    }
    Ok(tokens)
}

/// Where the word that `text` begins with ends.
fn word_end(text: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, '|' | '<' | '>' | '&' | ';') => return index,
            (None, space) if space.is_whitespace() => return index,
            _ => {}
        }
    }
    text.len()
}

/// The beginning of the last word of `line`, where completion happens, and whether it is a command's name.
pub fn last_word(line: &str) -> (&str, bool) {
    let start = line.rfind(|c: char| c.is_whitespace() || "|<>&;".contains(c));
    let start = start.map_or(0, |at| {
        at + line[at..].chars().next().map_or(0, char::len_utf8)
    });
    let before = line[..start].trim_end();
    let first = before.is_empty() || before.ends_with(['|', '&', ';']);
    (&line[start..], first)
}

/// The longest beginning that all `words` have in common.
pub fn common<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut words = words.into_iter();
    let first = words.next().unwrap_or_default();
    let length = words.fold(first.len(), |length, word| {
        let same = first.char_indices().zip(word.chars());
        let same = same.take_while(|((_, one), other)| one == other);
        let end = same.map(|((at, one), _)| at + one.len_utf8()).last();
        length.min(end.unwrap_or(0))
    });
    first[..length].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Pipeline {
        let mut all = parse(line).unwrap();
        assert_eq!(all.len(), 1, "{line}");
        all.remove(0)
    }

    #[test]
    fn words_and_operators() {
        assert_eq!(
            one("a 'b | c' d\\;e \"f > g\"").commands,
            [["a", "b | c", "d;e", "f > g"]]
        );
        let all = one("cat<file:/a|hexdump b>>file:/c&");
        assert_eq!(all.commands, [vec!["cat"], vec!["hexdump", "b"]]);
        assert_eq!(all.input.as_deref(), Some("file:/a"));
        assert_eq!((all.output.as_deref(), all.append), (Some("file:/c"), true));
        assert!(all.background);
        assert_eq!(parse("a; b ;c;").unwrap().len(), 3);
        assert_eq!(parse("  # nothing").unwrap(), []);
        assert_eq!(one("echo a#b '' # c").commands, [["echo", "a#b", ""]]);
    }

    #[test]
    fn mistakes() {
        for line in [
            "|",
            "a |",
            "; a",
            "a ;; b",
            "> x",
            "a >",
            "a > | b",
            "a < b < c",
            "'",
            "a \"b",
            "\\",
            "a & | b",
            "a | > b",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn last_words() {
        assert_eq!(last_word(""), ("", true));
        assert_eq!(last_word("re"), ("re", true));
        assert_eq!(last_word("read di"), ("di", false));
        assert_eq!(last_word("a | re"), ("re", true));
        assert_eq!(last_word("a >fi"), ("fi", false));
        assert_eq!(last_word("a é"), ("é", false));
        assert_eq!(common(["file:/abc", "file:/abd"]), "file:/ab");
        assert_eq!(
            (common(["a", "b"]), common([])),
            (String::new(), String::new())
        );
    }
}
