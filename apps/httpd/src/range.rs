//! Ranges of bytes (RFC 9110, 14).

/// The part of a file that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// All of it: nothing else was asked for, or nothing that is understood here.
    All,
    /// From this byte to that, both included.
    Part(u64, u64),
    /// Nothing that the file has.
    Unsatisfiable,
}

/// What the value of a `Range` field means for a file of `size` bytes. Several ranges at once mean all of it, which a server
/// is free to send.
pub fn parse(field: &[u8], size: u64) -> Range {
    let text = str::from_utf8(field).unwrap_or_default().trim();
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Range::All;
    };
    match (first, number(first), last, number(last)) {
        ("", _, _, Some(count)) => match count.min(size) {
            0 => Range::Unsatisfiable,
            count => Range::Part(size - count, size - 1),
        },
        (_, Some(first), "", _) if first < size => Range::Part(first, size - 1),
        (_, Some(first), _, Some(last)) if first <= last && first < size => {
            Range::Part(first, last.min(size - 1))
        }
        (_, Some(first), _, Some(last)) if first > last => Range::All,
        (_, Some(_), "", _) | (_, Some(_), _, Some(_)) => Range::Unsatisfiable,
        _ => Range::All,
    }
}

/// A number of nothing but digits; one too large to count is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (field, range) in [
            ("bytes=0-0", Range::Part(0, 0)),
            ("bytes=10-19", Range::Part(10, 19)),
            ("bytes=90-", Range::Part(90, 99)),
            ("bytes=90-1000", Range::Part(90, 99)),
            ("bytes=0-99999999999999999999999", Range::Part(0, 99)),
            ("bytes=-1", Range::Part(99, 99)),
            ("bytes=-1000", Range::Part(0, 99)),
            ("bytes=100-", Range::Unsatisfiable),
            ("bytes=100-200", Range::Unsatisfiable),
            ("bytes=99999999999999999999999-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=20-10", Range::All),
            ("bytes=0-1,5-6", Range::All),
            ("bytes=-", Range::All),
            ("bytes=+1-2", Range::All),
            ("bytes=1", Range::All),
            ("lines=1-2", Range::All),
            ("", Range::All),
        ] {
            assert_eq!(parse(field.as_bytes(), 100), range, "{field}");
        }
        assert_eq!(parse(b"bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(parse(b"bytes=-5", 0), Range::Unsatisfiable);
        assert_eq!(parse(b"\xff", 5), Range::All);
    }
}
