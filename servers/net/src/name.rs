//! What names mean.

use alloc::string::String;
use core::net::Ipv4Addr;
use libsys::proto::io::IoError;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// `net:`
    Frames,
    /// `tcp:HOST:PORT`
    Connect(Host, u16),
    /// `tcp:listen:PORT`
    Listen(u16),
    /// `tcp:accepted:NUMBER`
    Accepted(u32),
    /// `udp:HOST:PORT`
    Datagrams(Host, u16),
    /// `udp:listen:PORT`
    ListenDatagrams(u16),
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// By its address.
    Address(Ipv4Addr),
    /// By a name that DNS may know.
    Named(String),
}

impl Name {
    /// Understands a whole name, prefix included.
    ///
    /// # Errors
    /// `NotFound`: it means nothing.
    pub fn parse(name: &str) -> Result<Self, IoError> {
        let (kind, rest) = name.split_once(':').ok_or(IoError::NotFound)?;
        if (kind, rest) == ("net", "") {
            return Ok(Self::Frames);
        }
        let (host, number) = rest.rsplit_once(':').ok_or(IoError::NotFound)?;
        let port = || match digits(number) {
            Some(port @ 1..) => Ok(port),
            _ => Err(IoError::NotFound),
        };
        match (kind, host) {
            ("tcp", "listen") => Ok(Self::Listen(port()?)),
            ("tcp", "accepted") => Ok(Self::Accepted(digits(number).ok_or(IoError::NotFound)?)),
            ("tcp", _) => Ok(Self::Connect(Host::parse(host)?, port()?)),
            ("udp", "listen") => Ok(Self::ListenDatagrams(port()?)),
            ("udp", _) => Ok(Self::Datagrams(Host::parse(host)?, port()?)),
            _ => Err(IoError::NotFound),
        }
    }
}

impl Host {
    /// Understands an address or a name.
    ///
    /// # Errors
    /// `NotFound`: it can be neither (RFC 1123, 2.1; DNS itself would allow more).
    pub fn parse(text: &str) -> Result<Self, IoError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let good = |label: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
            (1..=63).contains(&label.len()) && label.chars().all(letter)
        };
        let labels = || text.strip_suffix('.').unwrap_or(text).split('.');
        // The last label of an address that is none, such as 10.0.2.256, is a number; that of a name never is.
        let is_number = labels()
            .next_back()
            .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if text.len() <= 253 && labels().all(good) && !is_number {
            return Ok(Self::Named(text.into()));
        }
        Err(IoError::NotFound)
    }
}

/// A decimal number without sign.
fn digits<T: core::str::FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let gateway = || Host::Address(Ipv4Addr::new(10, 0, 2, 2));
        let named = |name: &str| Host::Named(name.into());
        for (text, name) in [
            ("net:", Name::Frames),
            ("tcp:10.0.2.2:80", Name::Connect(gateway(), 80)),
            (
                "tcp:example.org:65535",
                Name::Connect(named("example.org"), 65535),
            ),
            ("tcp:listen:80", Name::Listen(80)),
            ("tcp:accepted:4000000000", Name::Accepted(4_000_000_000)),
            ("udp:10.0.2.2:53", Name::Datagrams(gateway(), 53)),
            ("udp:host.:53", Name::Datagrams(named("host."), 53)),
            ("udp:listen:53", Name::ListenDatagrams(53)),
        ] {
            assert_eq!(Name::parse(text), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_is_no_name() {
        for text in [
            "",
            "net",
            "net:x",
            "tcp:",
            "tcp:80",
            "tcp::80",
            "tcp:10.0.2.2",
            "tcp:10.0.2.2:",
            "tcp:10.0.2.2:0",
            "tcp:10.0.2.2:65536",
            "tcp:10.0.2.2:-1",
            "tcp:10.0.2.2:+80",
            "tcp:10.0.2.256:80",
            "tcp:1.2.3:80",
            "tcp:a b:80",
            "tcp:a..b:80",
            "tcp:ä:80",
            "tcp:listen:0",
            "tcp:accepted:4294967296",
            "udp:accepted:",
            "ftp:a:1",
            "udp:listen:x",
        ] {
            assert_eq!(Name::parse(text), Err(IoError::NotFound), "{text}");
        }
        let long = alloc::format!("tcp:{}:80", "a".repeat(64));
        assert_eq!(Name::parse(&long), Err(IoError::NotFound));
        let longer = alloc::format!("tcp:{}a:80", "a.".repeat(127));
        assert_eq!(Name::parse(&longer), Err(IoError::NotFound));
    }
}
