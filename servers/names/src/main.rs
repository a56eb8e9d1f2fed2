//! `names`: translates `disk:0` into "program `disk`, its part `0`". Arguments: `PREFIX=PROGRAM` each, such as
//! `disk:=disk`. It hands out no authority: who may open is in the manifest.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libsys::proto::io::{IoError, NAME_MAX};
use libsys::proto::names::{PREFIX, TRANSLATE};
use libsys::rt;
use libsys::serve::{Done, Reaction, Request, Server, serve};
use names::table::{prefix, translate};

libsys::entry!(start);

struct Names;

impl Server for Names {
    type Session = ();

    fn other(&mut self, _session: Option<&mut ()>, label: u32, request: Request) -> Reaction<'_> {
        match label {
            TRANSLATE => {}
            PREFIX => {
                let prefix = prefix(&rt::info().args, request.words[0]);
                return Ok(Done::Data(prefix.unwrap_or_default().as_bytes()));
            }
            _ => return Err(IoError::BadRequest),
        }
        let mut name = [0; NAME_MAX];
        let name = name
            .get_mut(..request.words[0] as usize)
            .ok_or(IoError::BadRequest)?;
        request.copy_in(0, name)?;
        let name = str::from_utf8(name).map_err(|_| IoError::BadRequest)?;
        let (program, rest) = translate(&rt::info().args, name).ok_or(IoError::NotFound)?;
        request.copy_out(0, program.as_bytes())?;
        Ok(Done::Words([program.len() as u64, rest as u64, 0, 0]))
    }
}

fn start() {
    serve(&mut Names)
}
