//! `relayed:`, the text that kernels left which ran before this one (`bootinfo::relay`); empty if there were none.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

use alloc::vec::Vec;
use bootinfo::relay::HEADER;
use libsys::proto::io::{IoError, Stat};
use libsys::registers::Registers;
use libsys::serve::{Done, Reaction, Request, Server, serve};

libsys::entry!(start);

struct Relayed(Vec<u8>);

impl Server for Relayed {
    type Session = ();

    fn open(&mut self, name: &str, _request: &Request) -> Result<(), IoError> {
        match name {
            "" => Ok(()),
            _ => Err(IoError::NotFound),
        }
    }

    fn read(&mut self, _session: &mut (), offset: u64, request: Request) -> Reaction<'_> {
        let rest = self.0.get(offset as usize..).ok_or(IoError::BeyondEnd)?;
        Ok(Done::Data(&rest[..rest.len().min(request.length())]))
    }

    fn stat(&mut self, _session: &mut ()) -> Result<Stat, IoError> {
        Ok(Stat::block(self.0.len() as u64))
    }
}

/// The text: its length in a word, and the bytes.
fn text(memory: &Registers) -> Vec<u8> {
    let header = HEADER as usize;
    let length = (0..header).rfold(0, |length, at| length << 8 | usize::from(memory.read(at)));
    let end = header + length.min(memory.size() - header);
    (header..end).map(|at| memory.read(at)).collect()
}

fn start() {
    let memory = Registers::take();
    serve(&mut Relayed(memory.as_ref().map(text).unwrap_or_default()))
}
