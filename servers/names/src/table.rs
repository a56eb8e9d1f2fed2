//! The translation itself.

/// The program of the longest prefix of `name` in `table` (`PREFIX=PROGRAM` each), and where the rest of the name begins.
pub fn translate<'a, S: AsRef<str>>(table: &'a [S], name: &str) -> Option<(&'a str, usize)> {
    table
        .iter()
        .filter_map(|entry| entry.as_ref().split_once('='))
        .filter(|(prefix, _)| name.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(prefix, program)| (program, prefix.len()))
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn longest_prefix_wins() {
        let table = ["disk:=disk", "disk:9=other", "broken", "null:=null"];
        assert_eq!(translate(&table, "disk:0"), Some(("disk", 5)));
        assert_eq!(translate(&table, "disk:9p1"), Some(("other", 6)));
        assert_eq!(translate(&table, "null:"), Some(("null", 5)));
        assert_eq!(translate(&table, "disk"), None);
        assert_eq!(translate(&table, ""), None);
        assert_eq!(translate::<&str>(&[], "disk:0"), None);
    }
}
