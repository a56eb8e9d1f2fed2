//! The translation itself.

/// The program of the longest prefix of `name` in `table` (`PREFIX=PROGRAM` each), and where that program's part of the
/// name begins: behind the prefix, or, if it answers for several prefixes, at the beginning.
pub fn translate<'a, S: AsRef<str>>(table: &'a [S], name: &str) -> Option<(&'a str, usize)> {
    let entries = || {
        table
            .iter()
            .filter_map(|entry| entry.as_ref().split_once('='))
    };
    let (prefix, program) = entries()
        .filter(|(prefix, _)| name.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())?;
    let several = entries().filter(|(_, other)| *other == program).count() > 1;
    Some((program, if several { 0 } else { prefix.len() }))
}

/// The prefix of entry `index`.
pub fn prefix<S: AsRef<str>>(table: &[S], index: u64) -> Option<&str> {
    let entry = table.get(usize::try_from(index).ok()?)?.as_ref();
    entry.split_once('=').map(|(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use super::{prefix, translate};

    #[test]
    fn longest_prefix_wins() {
        let table = ["disk:=disk", "disk:9=other", "broken", "null:=null"];
        assert_eq!(translate(&table, "disk:0"), Some(("disk", 5)));
        assert_eq!(translate(&table, "disk:9p1"), Some(("other", 6)));
        assert_eq!(translate(&table, "null:"), Some(("null", 5)));
        let several = ["tcp:=net", "udp:=net"];
        assert_eq!(translate(&several, "udp:a:1"), Some(("net", 0)));
        assert_eq!(translate(&table, "disk"), None);
        assert_eq!(translate(&table, ""), None);
        assert_eq!(translate::<&str>(&[], "disk:0"), None);
    }

    #[test]
    fn prefixes_are_listed() {
        let table = ["disk:=disk", "file:=fs"];
        assert_eq!(prefix(&table, 1), Some("file:"));
        assert_eq!((prefix(&table, 2), prefix(&table, u64::MAX)), (None, None));
    }
}
