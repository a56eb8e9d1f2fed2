//! `null:` has nothing to read and takes all that is written; started with the argument `zero` it is `zero:`, from which come
//! zeros without end.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libsys::proto::io::{IoError, Stat};
use libsys::rt;
use libsys::serve::{Done, Reaction, Request, Server, serve};
use null::{Null, READ_WORDS};

libsys::entry!(start);

struct NullServer(Null);

impl Server for NullServer {
    type Session = ();

    fn open(&mut self, name: &str, _request: &Request) -> Result<(), IoError> {
        if name.is_empty() {
            Ok(())
        } else {
            Err(IoError::NotFound)
        }
    }

    fn read(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        Ok(Done::Data(self.0.read(request.length())))
    }

    fn write(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        Ok(Done::Count(self.0.write(request.length())))
    }

    fn other(&mut self, _session: Option<&mut ()>, label: u32, request: Request) -> Reaction<'_> {
        match label {
            READ_WORDS => Ok(Done::Words(self.0.read_words(request.words[0] as usize))),
            _ => Err(IoError::BadRequest),
        }
    }

    fn stat(&mut self, _session: &mut ()) -> Result<Stat, IoError> {
        Ok(Stat::stream())
    }
}

fn start() {
    let zero = rt::info().args.iter().any(|argument| argument == "zero");
    serve(&mut NullServer(if zero {
        Null::ZEROS
    } else {
        Null::EMPTY
    }))
}
