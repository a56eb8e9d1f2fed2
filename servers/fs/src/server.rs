//! The message loop around a volume, which is mounted at the first use. Shared with `fs-faulty`.

use crate::medium::Medium;
use alloc::vec;
use alloc::vec::Vec;
use fs::mount::{Mount, Session};
use fs::repair::Report;
use fs::volume::Volume;
use libsys::proto::file::{LIST, MAKE_DIRECTORY, Page, REMOVE, RENAME, SET_SIZE};
use libsys::proto::io::{APPEND, CREATE, IoError, Kind, NAME_MAX, Stat, TRUNCATE};
use libsys::rt;
use libsys::serve::{Done, Reaction, Request, Server, serve};

/// Bytes that are copied at once.
const PIECE: usize = 64 << 10;
/// Reads up to this many bytes are answered with the reply: one kernel entry less, for one copy more.
const SMALL: usize = 256;

/// Called when a write has reached the disk and is not answered yet, with the number of writes so far.
pub type OnWrite = fn(u64);

struct Files {
    mount: Mount<Medium>,
    piece: Vec<u8>,
    writes: u64,
    on_write: OnWrite,
}

impl Files {
    /// Bytes of a file into the lease, or (a few) into `piece`.
    fn copy_out(
        &mut self,
        session: &mut Session,
        offset: u64,
        request: &Request,
    ) -> Result<usize, IoError> {
        let (volume, open) = self.mount.of(session)?;
        let small = request.length() <= SMALL;
        let piece = &mut self.piece;
        volume.read(open, offset, request.length(), |at, bytes| match small {
            true => {
                piece[at..at + bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            false => request.copy_out(at, bytes),
        })
    }

    fn copy_in(
        &mut self,
        session: &mut Session,
        offset: u64,
        request: &Request,
    ) -> Result<usize, IoError> {
        let (volume, open) = self.mount.of(session)?;
        let offset = match offset {
            APPEND => volume.size(open)?,
            offset => offset,
        };
        let mut done = 0;
        while done < request.length() {
            let piece = &mut self.piece[..PIECE.min(request.length() - done)];
            request.copy_in(done, piece)?;
            match volume.write(open, Some(offset + done as u64), piece) {
                // What was written stays.
                Err(IoError::NoSpace) if done > 0 => break,
                written => done += written?,
            }
        }
        Ok(done)
    }

    /// A page of a directory, as long as the lease at most.
    fn list(&mut self, session: &mut Session, request: &Request) -> Result<usize, IoError> {
        let (volume, open) = self.mount.of(session)?;
        let mut page = Page {
            entries: Vec::new(),
            next: Some(request.words[0]),
        };
        let mut bytes = Vec::new();
        while let Some(at) = page.next {
            let (entries, next) = volume.list(open, at, 1)?;
            page.entries.extend(entries);
            page.next = next;
            let longer = postcard::to_allocvec(&page).map_err(|_| IoError::OutOfMemory)?;
            if longer.len() > request.length() {
                break;
            }
            bytes = longer;
        }
        if bytes.is_empty() {
            return Err(IoError::BadBuffer);
        }
        request.copy_out(0, &bytes)?;
        Ok(bytes.len())
    }

    fn on_names(&mut self, label: u32, request: &Request) -> Result<(), IoError> {
        let mut names = [0; 2 * NAME_MAX];
        let names = names
            .get_mut(..request.length())
            .ok_or(IoError::BadRequest)?;
        request.copy_in(0, names)?;
        let names = str::from_utf8(names).map_err(|_| IoError::BadRequest)?;
        match label {
            REMOVE => self.mount.to_rename()?.remove(names),
            MAKE_DIRECTORY => self.mount.volume()?.make_directory(names),
            RENAME => {
                let split = usize::try_from(request.words[0]).unwrap_or(usize::MAX);
                let (old, new) = names.split_at_checked(split).ok_or(IoError::BadRequest)?;
                self.mount.to_rename()?.rename(old, new)
            }
            _ => Err(IoError::BadRequest),
        }
    }
}

impl Server for Files {
    type Session = Session;

    fn open(&mut self, name: &str, request: &Request) -> Result<Session, IoError> {
        let how = request.words[0];
        self.mount
            .open(name, how & CREATE != 0, how & TRUNCATE != 0)
    }

    fn read(&mut self, session: &mut Session, offset: u64, request: Request) -> Reaction<'_> {
        let copied = self.copy_out(session, offset, &request);
        let count = self.mount.judge(copied)?;
        if request.length() <= SMALL {
            Ok(Done::Data(&self.piece[..count]))
        } else {
            Ok(Done::Count(count))
        }
    }

    fn write(&mut self, session: &mut Session, offset: u64, request: Request) -> Reaction<'_> {
        let copied = self.copy_in(session, offset, &request);
        self.writes += 1;
        (self.on_write)(self.writes);
        self.mount.judge(copied).map(Done::Count)
    }

    fn stat(&mut self, session: &mut Session) -> Result<Stat, IoError> {
        let stat = self.mount.of(session).and_then(|(volume, open)| {
            let kind = if open.is_directory() {
                Kind::Directory
            } else {
                Kind::Block
            };
            Ok(Stat {
                size: volume.size(open)?,
                block_size: volume.cluster_size(),
                kind,
            })
        });
        self.mount.judge(stat)
    }

    fn sync(&mut self, _: &mut Session, _: Request) -> Reaction<'_> {
        let synced = self.mount.volume()?.sync();
        self.mount.judge(synced).map(|()| Done::Count(0))
    }

    fn close(&mut self, session: Session) {
        self.mount.close(session);
    }

    fn other(
        &mut self,
        session: Option<&mut Session>,
        label: u32,
        request: Request,
    ) -> Reaction<'_> {
        let done = match (label, session) {
            (LIST, Some(session)) => self.list(session, &request),
            (SET_SIZE, Some(session)) => self
                .mount
                .of(session)
                .and_then(|(volume, open)| volume.set_size(open, request.words[0]))
                .map(|()| 0),
            (_, None) => self.on_names(label, &request).map(|()| 0),
            _ => Err(IoError::BadRequest),
        };
        self.mount.judge(done).map(Done::Count)
    }
}

/// Mounts the volume on the disk that the argument names, and says what was repaired.
fn mount() -> Result<(Volume<Medium>, Option<Report>), IoError> {
    let disk = rt::info().args.first().ok_or(IoError::NoDevice)?;
    let (volume, report) = Volume::mount(Medium::open(disk)?)?;
    if let Some(report) = &report {
        rt::say(format_args!("{disk}: {report}"));
    }
    Ok((volume, report))
}

/// Serves the volume for good.
pub fn run(on_write: OnWrite) {
    serve(&mut Files {
        mount: Mount::new(mount),
        piece: vec![0; PIECE],
        writes: 0,
        on_write,
    })
}
