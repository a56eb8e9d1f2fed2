//! One connection: bytes in, bytes out, one request after the other. It waits for nothing and nobody: whoever has the socket
//! feeds it and drains it.

use crate::range::{self, Range};
use crate::request::{self, Request};
use crate::response::{Status, content_type, head};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a file that are in memory at a time.
const PIECE: usize = 16 << 10;

/// Where files are.
pub trait Site {
    /// An open file.
    type File: File;

    /// Opens the file of a path.
    ///
    /// # Errors
    /// What the client is told instead.
    fn open(&self, path: &str) -> Result<Self::File, Status>;
}

/// A file.
pub trait File {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Reads bytes from an offset on; `None`: it cannot, or there are none.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Option<usize>;
}

/// What is left of a file to be sent.
struct Rest<F> {
    file: F,
    offset: u64,
    length: u64,
}

/// A connection.
pub struct Connection<F> {
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of `output` that have left.
    sent: usize,
    rest: Option<Rest<F>>,
    /// No further request is answered.
    last: bool,
}

impl<F: File> Default for Connection<F> {
    fn default() -> Self {
        Self {
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            rest: None,
            last: false,
        }
    }
}

impl<F: File> Connection<F> {
    /// Whether it has something to send. Until it has not, it should not be fed.
    pub fn has_output(&self) -> bool {
        self.sent < self.output.len() || self.rest.is_some()
    }

    /// Whether all is said: nothing left to send, and no further request will be answered.
    pub fn is_over(&self) -> bool {
        self.last && !self.has_output()
    }

    /// Takes bytes that the client has sent, and answers the first request among them if it is complete.
    pub fn feed(&mut self, bytes: &[u8], site: &impl Site<File = F>) {
        self.input.extend_from_slice(bytes);
        self.answer(site);
    }

    /// The bytes to send next; none if there are none for now. [`Connection::sent`] says how many have left.
    pub fn output(&mut self) -> &[u8] {
        if self.sent == self.output.len() {
            self.refill();
        }
        &self.output[self.sent..]
    }

    /// So many bytes of [`Connection::output`] have left. Then the next request may be answered.
    pub fn sent(&mut self, count: usize, site: &impl Site<File = F>) {
        self.sent += count;
        if !self.has_output() {
            self.answer(site);
        }
    }

    /// Takes the next piece of the file.
    fn refill(&mut self) {
        (self.sent, self.output) = (0, Vec::new());
        let Some(rest) = &mut self.rest else {
            return;
        };
        let mut piece = vec![0; usize::try_from(rest.length).map_or(PIECE, |left| left.min(PIECE))];
        match rest.file.read_at(rest.offset, &mut piece) {
            Some(count @ 1..) if count <= piece.len() => {
                piece.truncate(count);
                self.output = piece;
                rest.offset += count as u64;
                rest.length -= count as u64;
                if rest.length == 0 {
                    self.rest = None;
                }
            }
            // The client has been promised more: that it does not come is all it can be told.
            _ => (self.rest, self.last) = (None, true),
        }
    }

    /// Answers the first request of the input, if it is complete.
    fn answer(&mut self, site: &impl Site<File = F>) {
        if self.last || self.has_output() {
            return;
        }
        match request::parse(&self.input) {
            Ok(None) => {}
            Ok(Some((request, length))) => {
                self.input.drain(..length);
                self.last = !request.keep_alive;
                match site.open(&request.path) {
                    Ok(file) => self.send(&request, file),
                    Err(status) => self.refuse(status, request.head_only, ""),
                }
            }
            Err(status) => {
                self.last = true;
                let allow = if status == Status::MethodNotAllowed {
                    "Allow: GET, HEAD\r\n"
                } else {
                    ""
                };
                self.refuse(status, false, allow);
            }
        }
    }

    fn send(&mut self, request: &Request, file: F) {
        let size = file.size();
        let range = request
            .range
            .as_deref()
            .map_or(Range::All, |field| range::parse(field, size));
        let (status, offset, length, field) = match range {
            Range::All => (Status::Ok, 0, size, "Accept-Ranges: bytes\r\n".into()),
            Range::Part(first, last) => {
                let field = format!("Content-Range: bytes {first}-{last}/{size}\r\n");
                (Status::Partial, first, last - first + 1, field)
            }
            Range::Unsatisfiable => {
                let field = format!("Content-Range: bytes */{size}\r\n");
                return self.refuse(Status::Unsatisfiable, request.head_only, &field);
            }
        };
        let kind = content_type(&request.path);
        self.begin(head(status, kind, length, &field, !self.last).into_bytes());
        if !request.head_only && length > 0 {
            self.rest = Some(Rest {
                file,
                offset,
                length,
            });
        }
    }

    fn refuse(&mut self, status: Status, head_only: bool, fields: &str) {
        let page = status.page();
        let mut output =
            head(status, "text/plain", page.len() as u64, fields, !self.last).into_bytes();
        if !head_only {
            output.extend_from_slice(page.as_bytes());
        }
        self.begin(output);
    }

    fn begin(&mut self, output: Vec<u8>) {
        (self.sent, self.output) = (0, output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// `/N` is a file of N bytes; `/short` breaks off; all else is not there.
    struct Numbers;
    struct Bytes(u64, u64);

    fn byte(offset: u64) -> u8 {
        (offset / 3 + offset) as u8
    }

    impl Site for Numbers {
        type File = Bytes;
        fn open(&self, path: &str) -> Result<Bytes, Status> {
            if path == "/short" {
                return Ok(Bytes(100, 50));
            }
            let size = path[1..].parse().map_err(|_| Status::NotFound)?;
            Ok(Bytes(size, size))
        }
    }

    impl File for Bytes {
        fn size(&self) -> u64 {
            self.0
        }
        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Option<usize> {
            // Never all that is asked for, as files may.
            let count = buffer
                .len()
                .min(7000)
                .min((self.1.checked_sub(offset)?) as usize);
            (offset..)
                .zip(&mut buffer[..count])
                .for_each(|(at, b)| *b = byte(at));
            Some(count)
        }
    }

    /// Sends a connection bytes in pieces, and takes what it says in pieces: head and content of each answer.
    fn talk(input: &[u8], piece: usize) -> (Vec<(String, Vec<u8>)>, bool) {
        let mut connection = Connection::default();
        let mut output = Vec::new();
        for bytes in input.chunks(piece) {
            connection.feed(bytes, &Numbers);
            while connection.has_output() {
                let count = connection.output().len().min(piece);
                output.extend_from_slice(&connection.output()[..count]);
                connection.sent(count, &Numbers);
            }
        }
        let mut answers = Vec::new();
        while !output.is_empty() {
            let end = output
                .windows(4)
                .position(|w| w == b"\r\n\r\n")
                .expect("a head")
                + 4;
            let head = String::from_utf8(output.drain(..end).collect()).unwrap();
            let length = head
                .split("Content-Length: ")
                .nth(1)
                .unwrap()
                .split("\r\n")
                .next()
                .unwrap();
            let length = if head.contains("X-Head") {
                0
            } else {
                length.parse::<usize>().unwrap()
            };
            let length = length.min(output.len());
            answers.push((head, output.drain(..length).collect()));
        }
        (answers, connection.is_over())
    }

    #[test]
    fn one_request_after_the_other() {
        let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
        let input = [
            get("/5", ""),
            get("/100000", ""),
            get("/0", ""),
            get("/100000", "Range: bytes=50000-80000\r\n"),
            get("/10", "Range: bytes=10-\r\n"),
            get("/missing", ""),
            get("/3", "Connection: close\r\n"),
            get("/4", ""),
        ];
        for piece in [1, 10, 1000, 1_000_000] {
            let (answers, over) = talk(input.concat().as_bytes(), piece);
            let bytes = |range: core::ops::Range<u64>| range.map(byte).collect::<Vec<u8>>();
            let expected = [
                ("200 OK", bytes(0..5)),
                ("200 OK", bytes(0..100_000)),
                ("200 OK", vec![]),
                ("206 Partial Content", bytes(50_000..80_001)),
                (
                    "416 Range Not Satisfiable",
                    b"416 Range Not Satisfiable\n".to_vec(),
                ),
                ("404 Not Found", b"404 Not Found\n".to_vec()),
                ("200 OK", bytes(0..3)),
            ];
            assert!(over);
            assert_eq!(answers.len(), expected.len(), "nothing after `close`");
            for ((head, content), (status, wanted)) in answers.iter().zip(expected) {
                assert!(
                    head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                    "{head}"
                );
                assert!(*content == wanted, "{head}");
            }
            assert!(
                answers[3]
                    .0
                    .contains("Content-Range: bytes 50000-80000/100000\r\n")
            );
            assert!(answers[4].0.contains("Content-Range: bytes */10\r\n"));
            assert!(answers[5].0.contains("Connection: keep-alive\r\n"));
            assert!(answers[6].0.contains("Connection: close\r\n"));
        }
    }

    #[test]
    fn heads_alone_have_the_length() {
        let mut connection = Connection::default();
        connection.feed(b"HEAD /77 HTTP/1.1\r\nHost: x\r\n\r\n", &Numbers);
        let output = String::from_utf8(connection.output().to_vec()).unwrap();
        assert!(output.contains("Content-Length: 77\r\n") && output.ends_with("\r\n\r\n"));
        connection.sent(output.len(), &Numbers);
        assert!(!connection.has_output() && !connection.is_over());
    }

    #[test]
    fn what_goes_wrong_ends_it() {
        let (answers, over) = talk(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n", 1000);
        assert!(
            over && answers[0].1.len() == 50,
            "less than promised, and the end"
        );
        let (answers, over) = talk(
            b"PUT / HTTP/1.1\r\nHost: x\r\n\r\nGET /5 HTTP/1.1\r\nHost: x\r\n\r\n",
            1000,
        );
        assert!(over && answers.len() == 1);
        assert!(
            answers[0].0.contains("405 Method Not Allowed")
                && answers[0].0.contains("Allow: GET, HEAD\r\n")
        );
        let (answers, over) = talk(&[0xff; 20], 3);
        assert!(over && answers[0].0.contains("400 Bad Request"));
    }
}
