//! `blah:`, a text that everybody can read and write: a whole server, to be copied.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;
use alloc::{vec, vec::Vec};
use libsys::proto::io::{IoError, Stat};
use libsys::serve::{Done, Reaction, Request, Server, serve};

libsys::entry!(start);

struct Blah(Vec<u8>);

impl Server for Blah {
    // What the server keeps for each open name: nothing, because clients send their position with every request.
    type Session = ();

    // `name` is what followed `blah:`.
    fn open(&mut self, name: &str, _: &Request) -> Result<(), IoError> {
        match name {
            "" => Ok(()),
            _ => Err(IoError::NotFound),
        }
    }

    fn read(&mut self, _: &mut (), offset: u64, request: Request) -> Reaction<'_> {
        let rest = self.0.get(offset as usize..).ok_or(IoError::BeyondEnd)?;
        // The kernel copies the bytes into the client's buffer, together with the answer. None are the end.
        Ok(Done::Data(&rest[..rest.len().min(request.length())]))
    }

    fn write(&mut self, _: &mut (), offset: u64, request: Request) -> Reaction<'_> {
        let (start, count) = (offset as usize, request.length());
        // What a client sends is checked before anything changes: here the text has 4096 bytes at most.
        let end = start.saturating_add(count);
        if end > 4096 {
            return Err(IoError::NoSpace);
        }
        let mut bytes = vec![0; count];
        request.copy_in(0, &mut bytes)?;
        self.0.resize(self.0.len().max(end), b' ');
        self.0[start..end].copy_from_slice(&bytes);
        Ok(Done::Count(count))
    }

    fn stat(&mut self, _: &mut ()) -> Result<Stat, IoError> {
        Ok(Stat::block(self.0.len() as u64))
    }
}

fn start() {
    serve(&mut Blah(b"blah blah blah\n".to_vec()))
}
