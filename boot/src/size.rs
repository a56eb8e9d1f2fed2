//! Sizes and port pairs as people type them.

/// Bytes from text such as `4096`, `64K`, `256M`, `1G` (powers of 1024).
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "`{text}` is not a size; write a number of bytes, or one with K, M or G, such as 256M"
        )
    };
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Memory of the machine: a size of whole mebibytes, 16 MiB to 1 TiB.
pub fn memory(text: &str) -> Result<u64, String> {
    let bytes = parse(text)?;
    if bytes % (1 << 20) != 0 || !(16 << 20..=1 << 40).contains(&bytes) {
        return Err(format!(
            "`{text}` is not whole mebibytes between 16M and 1024G"
        ));
    }
    Ok(bytes)
}

/// `HOST:GUEST`: two TCP ports, both 1 to 65535.
pub fn ports(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
    text.split_once(':')
        .and_then(|(host, guest)| Some((port(host)?, port(guest)?)))
        .ok_or_else(|| format!("`{text}` is not HOST:GUEST, two ports such as 8080:80"))
}

/// Seconds, more than 0.
pub fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is not a number of seconds above 0");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    let duration = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if duration.is_zero() {
        Err(wrong())
    } else {
        Ok(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("64K"), Ok(65536));
        assert_eq!(parse("256M"), Ok(256 << 20));
        assert_eq!(parse("1g"), Ok(1 << 30));
        for wrong in [
            "",
            "M",
            "-1",
            "1.5M",
            "12Q",
            "ä",
            "99999999999999999999",
            "18446744073709551615G",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(memory("64M"), Ok(64 << 20));
        assert_eq!(memory("16384K"), Ok(16 << 20));
        for wrong in ["0", "1M", "100000K", "2048G"] {
            assert!(memory(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn port_pairs() {
        assert_eq!(ports("8080:80"), Ok((8080, 80)));
        for wrong in ["80", "0:80", "80:0", "70000:80", "a:b", "1:2:3"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn time_limits() {
        assert_eq!(seconds("1.5"), Ok(std::time::Duration::from_millis(1500)));
        for wrong in ["0", "-1", "inf", "NaN", "soon"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
