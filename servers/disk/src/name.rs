//! Names of disks and partitions: what stands behind `disk:`.

/// Which disk a name means, and which partition of it, counted from 1: `0` is the first disk, `0p1` its first partition.
pub fn parse(name: &str) -> Option<(usize, Option<u32>)> {
    let number = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let plain = plain && (digits == "0" || !digits.starts_with('0'));
        plain.then(|| digits.parse().ok()).flatten()
    };
    let disk = |digits| number(digits).map(|disk: u32| disk as usize);
    match name.split_once('p') {
        None => Some((disk(name)?, None)),
        Some((name, partition)) => {
            let partition = number(partition).filter(|number| *number != 0);
            Some((disk(name)?, Some(partition?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn disks_and_partitions() {
        assert_eq!(parse("0"), Some((0, None)));
        assert_eq!(parse("12"), Some((12, None)));
        assert_eq!(parse("3p128"), Some((3, Some(128))));
        for bad in [
            "",
            "p",
            "p1",
            "0p",
            "0p0",
            "0p01",
            "00",
            "01",
            "-1",
            "+1",
            "0p1p2",
            "0x1",
            "4294967296",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
