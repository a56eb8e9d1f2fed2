//! What a client asks for. The head's lines are `httparse`'s.

use crate::response::Status;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest head of a request in bytes.
pub const HEAD: usize = 8 << 10;
/// Header fields at most.
const FIELDS: usize = 64;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The path, decoded: begins with `/`, and no part of it is `..`.
    pub path: String,
    /// Only the head is wanted.
    pub head_only: bool,
    /// The value of the `Range` field.
    pub range: Option<Vec<u8>>,
    /// Whether the connection stays for more.
    pub keep_alive: bool,
}

/// Understands the first request in `bytes`, if it is complete: the request, and its length.
///
/// # Errors
/// What the client is told instead. The connection must end, as it is not known where the next request begins.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Status> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLong),
        Err(_) => return Err(Status::BadRequest),
    };
    let all = |name: &'static str| {
        let named = head
            .headers
            .iter()
            .filter(move |f| f.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii())
    };
    let field = |name| all(name).next();
    let modern = head.version == Some(1);
    if modern && all("host").count() != 1 {
        return Err(Status::BadRequest);
    }
    // Content is not expected, and would be taken for the next request.
    if field("transfer-encoding").is_some() || all("content-length").any(|length| length != b"0") {
        return Err(Status::BadRequest);
    }
    let head_only = match head.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Status::MethodNotAllowed),
    };
    let path = path(head.path.unwrap_or_default()).ok_or(Status::BadRequest)?;
    let option = |option: &[u8]| {
        let mut words = all("connection").flat_map(|value| value.split(|byte| *byte == b','));
        words.any(|word| word.trim_ascii().eq_ignore_ascii_case(option))
    };
    let keep_alive = !option(b"close") && (modern || option(b"keep-alive"));
    // Nothing here tells versions of a file apart, so no condition on one holds.
    let range = field("range").filter(|_| field("if-range").is_none());
    let request = Request {
        path,
        head_only,
        range: range.map(Into::into),
        keep_alive,
    };
    Ok(Some((request, length)))
}

/// The path of a request's target, decoded (RFC 3986, 2.1 and 3.3).
fn path(target: &str) -> Option<String> {
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let path = path.split(['?', '#']).next()?;
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, others) = rest.split_at_checked(2)?;
        let digits = str::from_utf8(digits)
            .ok()
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = others;
    }
    let path = String::from_utf8(bytes).ok()?;
    let good = path.starts_with('/') && !path.contains(|c: char| c.is_control() || c == '\\');
    (good && path.split('/').all(|part| part != "..")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Request, Status> {
        parse(text.as_bytes()).map(|found| found.expect("it is complete").0)
    }

    #[test]
    fn requests() {
        let text = "GET /a%20b?q HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\nGET";
        let (request, length) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len() - 3);
        assert_eq!(
            (request.path.as_str(), request.head_only, request.keep_alive),
            ("/a b", false, true)
        );
        assert_eq!(request.range.as_deref(), Some(&b"bytes=0-1"[..]));
        for end in 0..length {
            assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "{end}");
        }
        assert!(
            of("HEAD http://x/y HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap()
                .head_only
        );
        assert_eq!(
            of("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().path,
            "/"
        );
        let keeps = |text| of(text).unwrap().keep_alive;
        assert!(!keeps(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: te, Close\r\n\r\n"
        ));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
        assert!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
        let conditional =
            "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nIf-Range: \"a\"\r\n\r\n";
        assert_eq!(of(conditional).unwrap().range, None);
        assert!(of("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").is_ok());
    }

    #[test]
    fn refusals() {
        for (text, status) in [
            ("nonsense\r\n\r\n", Status::BadRequest),
            ("\u{0}\u{1}\u{2}", Status::BadRequest),
            ("GET / HTTP/1.1\r\n\r\n", Status::BadRequest),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
                Status::BadRequest,
            ),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
                Status::BadRequest,
            ),
            (
                "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                Status::BadRequest,
            ),
            (
                "GET /%2e%2E/x HTTP/1.1\r\nHost: x\r\n\r\n",
                Status::BadRequest,
            ),
            (
                "GET /a/../b HTTP/1.1\r\nHost: x\r\n\r\n",
                Status::BadRequest,
            ),
            ("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest),
            ("GET /%f HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest),
            ("GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest),
            ("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest),
            ("GET a HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest),
            (
                "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
                Status::MethodNotAllowed,
            ),
        ] {
            assert_eq!(of(text), Err(status), "{text:?}");
        }
        let long = alloc::format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(HEAD));
        assert_eq!(parse(long.as_bytes()), Err(Status::HeadTooLong));
        assert_eq!(parse(&long.as_bytes()[..HEAD]), Err(Status::HeadTooLong));
        let many = alloc::format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "A: b\r\n".repeat(FIELDS)
        );
        assert_eq!(parse(many.as_bytes()), Err(Status::HeadTooLong));
    }
}
