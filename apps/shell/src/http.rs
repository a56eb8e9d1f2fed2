//! What `fetch` has to know of HTTP/1.1 (RFC 9112). The head's lines are `httparse`'s.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Header fields at most.
const FIELDS: usize = 64;
/// Longest line with a chunk's size.
const CHUNK_LINE: usize = 256;

/// `http://HOST[:PORT][/PATH]`
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// All of it.
    pub text: &'a str,
    /// The host.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// From the first `/` on.
    path: &'a str,
}

impl<'a> Url<'a> {
    /// Understands a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let wrong = || format!("{text}: not a URL such as http://10.0.2.2:8000/file");
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        // What follows `#` is for the reader alone.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest
            .find(['/', '?'])
            .map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let plain = |c: char| c.is_ascii_graphic() && c != ':' && c != '@';
        if host.is_empty()
            || port == 0
            || !host.chars().all(plain)
            || !path.chars().all(|c| c.is_ascii_graphic())
        {
            return Err(wrong());
        }
        Ok(Self {
            text,
            host,
            port,
            path,
        })
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The request for it. One is all: the server may close the connection.
    pub fn request(&self) -> String {
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        format!(
            "GET {slash}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Postern\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.path,
            self.authority()
        )
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With an empty chunk.
    Chunked,
    /// With the connection.
    Connection,
}

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// And what it means.
    pub reason: String,
    framing: Framing,
}

impl Response {
    /// Understands the head of a response, if it is complete: what it says, and its length.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(length)) => length,
            Err(error) => return Err(format!("the answer is no HTTP: {error}")),
        };
        let field = |name: &str| {
            let found = head
                .headers
                .iter()
                .find(|f| f.name.eq_ignore_ascii_case(name));
            found.map(|field| field.value.trim_ascii())
        };
        let status = head.code.unwrap_or_default();
        let framing = match (field("transfer-encoding"), field("content-length")) {
            _ if status / 100 == 1 || status == 204 || status == 304 => Framing::Length(0),
            (Some(encoding), _) if encoding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
            (Some(_), _) => {
                return Err("the answer is in a transfer encoding that is not known here".into());
            }
            (None, Some(length)) => {
                Framing::Length(decimal(length).ok_or("the answer has no good length")?)
            }
            (None, None) => Framing::Connection,
        };
        let reason = head.reason.unwrap_or_default().to_string();
        Ok(Some((
            Self {
                status,
                reason,
                framing,
            },
            length,
        )))
    }
}

/// A number of nothing but digits.
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits
        .then(|| str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}

/// A body as it arrives.
#[derive(Debug)]
pub struct Body {
    state: State,
    last: u8,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Bytes(u64),
    ToEnd,
    /// The line with a chunk's size, so far.
    Size(Vec<u8>),
    Chunk(u64),
    /// CR LF behind a chunk: bytes of it that are missing.
    Break(u8),
    /// Lines behind the last chunk: the present one has so many bytes.
    Trailer(usize),
    Complete,
}

impl Body {
    /// The body behind this head.
    pub fn new(response: &Response) -> Self {
        let state = match response.framing {
            Framing::Length(0) => State::Complete,
            Framing::Length(length) => State::Bytes(length),
            Framing::Chunked => State::Size(Vec::new()),
            Framing::Connection => State::ToEnd,
        };
        Self { state, last: b'\n' }
    }

    /// Passes on what of `bytes` is content.
    ///
    /// # Errors
    /// The chunks are damaged.
    pub fn feed(&mut self, mut bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<(), String> {
        while let (Some(&first), false) = (bytes.first(), self.is_complete()) {
            let mut taken = 1;
            match &mut self.state {
                State::Bytes(left) | State::Chunk(left) => {
                    taken =
                        usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= taken as u64;
                }
                State::ToEnd => taken = bytes.len(),
                State::Size(line) => line.push(first),
                State::Break(missing) => *missing -= 1,
                State::Trailer(length) => *length += usize::from(first != b'\r'),
                State::Complete => {}
            }
            if matches!(self.state, State::Bytes(_) | State::Chunk(_) | State::ToEnd) {
                content(&bytes[..taken]);
                self.last = bytes[taken - 1];
            }
            self.next(first)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Changes the state after a byte, if it is time.
    fn next(&mut self, byte: u8) -> Result<(), String> {
        let damaged = || Err("the answer's chunks are damaged".to_string());
        match &self.state {
            State::Bytes(0) => self.state = State::Complete,
            State::Chunk(0) => self.state = State::Break(2),
            State::Break(left) => {
                if byte != [b'\n', b'\r'][usize::from(*left)] {
                    return damaged();
                }
                if *left == 0 {
                    self.state = State::Size(Vec::new());
                }
            }
            State::Size(line) if byte == b'\n' => match httparse::parse_chunk_size(line) {
                Ok(httparse::Status::Complete((_, 0))) => self.state = State::Trailer(0),
                Ok(httparse::Status::Complete((_, size))) => self.state = State::Chunk(size),
                _ => return damaged(),
            },
            State::Size(line) if line.len() > CHUNK_LINE => return damaged(),
            State::Trailer(1) if byte == b'\n' => self.state = State::Complete,
            State::Trailer(_) if byte == b'\n' => self.state = State::Trailer(0),
            _ => {}
        }
        Ok(())
    }

    /// Whether all of it has arrived.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// Something is missing.
    pub fn end(&self) -> Result<(), String> {
        match self.state {
            State::ToEnd | State::Complete => Ok(()),
            _ => Err("the connection ended before the answer did".into()),
        }
    }

    /// Whether the content so far ends with a line, or is empty.
    pub fn ends_line(&self) -> bool {
        self.last == b'\n'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = Url::parse("http://10.0.2.2:8000/a?b#c").unwrap();
        assert_eq!((url.host, url.port, url.path), ("10.0.2.2", 8000, "/a?b"));
        assert!(
            url.request()
                .starts_with("GET /a?b HTTP/1.1\r\nHost: 10.0.2.2:8000\r\n")
        );
        let plain = Url::parse("http://host").unwrap();
        assert_eq!((plain.host, plain.port), ("host", 80));
        assert!(plain.request().starts_with("GET / HTTP/1.1\r\n"));
        assert!(
            Url::parse("http://host?q")
                .unwrap()
                .request()
                .starts_with("GET /?q HTTP/1.1\r\n")
        );
        for bad in [
            "",
            "host",
            "https://host/",
            "http://",
            "http://:80/",
            "http://h:0/",
            "http://h:x/",
            "http://a b/",
            "http://h/\r\nX: y",
            "http://user@h/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    /// The body of an answer that arrives in pieces of this length.
    fn body(answer: &str, piece: usize) -> Result<String, String> {
        let (response, length) = Response::parse(answer.as_bytes())?.ok_or("partial")?;
        let (mut body, mut content) = (Body::new(&response), Vec::new());
        for bytes in answer.as_bytes()[length..].chunks(piece) {
            body.feed(bytes, |bytes| content.extend_from_slice(bytes))?;
        }
        body.end()?;
        Ok(String::from_utf8(content).unwrap())
    }

    #[test]
    fn bodies() {
        for piece in [1, 2, 3, 7, 1000] {
            let of = |answer| body(answer, piece);
            assert_eq!(
                of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, more"),
                Ok("hello".into())
            );
            assert_eq!(
                of("HTTP/1.0 200 OK\r\n\r\nto the end"),
                Ok("to the end".into())
            );
            assert_eq!(of("HTTP/1.1 204 No\r\n\r\n"), Ok(String::new()));
            let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, 10 bytes\r\n0\r\nT: x\r\n\r\nmore";
            assert_eq!(of(chunks), Ok("hello, 10 bytes".into()));
            assert!(of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell").is_err());
            assert!(
                of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n").is_err()
            );
            assert!(of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n").is_err());
            assert!(
                of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").is_err()
            );
        }
        assert!(body("SSH-2.0-x\r\n\r\n", 9).is_err());
        assert!(body("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", 9).is_err());
        assert!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 9).is_err());
        assert_eq!(Response::parse(b"HTTP/1.1 200 OK\r\nContent"), Ok(None));
    }
}
