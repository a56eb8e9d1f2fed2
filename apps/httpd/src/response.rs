//! What a client is told.

use alloc::format;
use alloc::string::String;

/// Status codes (RFC 9110, 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// All of it.
    Ok = 200,
    /// Part of it.
    Partial = 206,
    /// Not understood.
    BadRequest = 400,
    /// Not for this server.
    Forbidden = 403,
    /// Not there.
    NotFound = 404,
    /// Only GET and HEAD.
    MethodNotAllowed = 405,
    /// None of the bytes asked for are there.
    Unsatisfiable = 416,
    /// Too much before the content.
    HeadTooLong = 431,
    /// It is there, but cannot be read.
    Failed = 500,
    /// Not now.
    Busy = 503,
}

impl Status {
    const fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Partial => "Partial Content",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::Unsatisfiable => "Range Not Satisfiable",
            Self::HeadTooLong => "Request Header Fields Too Large",
            Self::Failed => "Internal Server Error",
            Self::Busy => "Service Unavailable",
        }
    }

    /// What a person sees.
    pub fn page(self) -> String {
        format!("{} {}\n", self as u16, self.reason())
    }
}

/// A head: its status, the content's type and length, further fields (whole lines), and whether the connection stays.
pub fn head(status: Status, kind: &str, length: u64, fields: &str, keep_alive: bool) -> String {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!(
        "HTTP/1.1 {} {}\r\nServer: Postern\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{fields}Connection: {connection}\r\n\r\n",
        status as u16,
        status.reason(),
    )
}

/// The type of a file, by its name.
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}
