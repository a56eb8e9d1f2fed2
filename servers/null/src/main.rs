//! `null:` has nothing to read and takes all that is written; started with the argument `zero` it is `zero:`, from which come
//! zeros without end.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libsys::proto::io::{IoError, Stat};
use libsys::rt;
use libsys::serve::{Done, Reaction, Request, Server, serve};

libsys::entry!(start);

/// Most zeros of one answer: the kernel copies no more with a reply.
const ZEROS: &[u8] = &[0; 64 << 10];

struct Null {
    /// What there is to read.
    bytes: &'static [u8],
}

impl Server for Null {
    type Session = ();

    fn open(&mut self, name: &str, _request: &Request) -> Result<(), IoError> {
        if name.is_empty() {
            Ok(())
        } else {
            Err(IoError::NotFound)
        }
    }

    fn read(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        let count = request.length().min(self.bytes.len());
        Ok(Done::Data(&self.bytes[..count]))
    }

    fn write(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        Ok(Done::Count(request.length()))
    }

    fn stat(&mut self, _session: &mut ()) -> Result<Stat, IoError> {
        Ok(Stat::stream())
    }
}

fn start() {
    let zero = rt::info().args.iter().any(|argument| argument == "zero");
    let bytes = if zero { ZEROS } else { &[] };
    serve(&mut Null { bytes })
}
