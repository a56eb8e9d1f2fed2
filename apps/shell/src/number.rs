//! Numbers as a person types them.

/// A decimal or `0x` hexadecimal number with an optional suffix K, M or G (powers of 1024). `None`: it is none, or over
/// 64 bits.
pub fn parse(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hexadecimal.map_or((digits, 10), |digits| (digits, 16));
    // from_str_radix takes a sign, a size does not.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix)
        .ok()?
        .checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers() {
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("512"), Some(512));
        assert_eq!(parse("0x200"), Some(512));
        assert_eq!(parse("4K"), Some(4096));
        assert_eq!(parse("0x10m"), Some(16 << 20));
        assert_eq!(parse("1G"), Some(1 << 30));
        assert_eq!(parse("18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn nonsense() {
        for text in [
            "",
            "K",
            "0x",
            "-1",
            "+1",
            "1 ",
            "1.5K",
            "0x+1",
            "ten",
            "18446744073709551616",
            "17179869184G",
            "é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
