//! The message loop around a volume, which is mounted at the first use. Shared with `fs-faulty`.

use crate::medium::Medium;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use fs::volume::{Open, Volume};
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

/// The volume, while it is mounted.
struct Mount {
    volume: Option<Volume<Medium>>,
    /// How often it was mounted: what was opened before is not open any more.
    count: u32,
}

struct Files {
    mount: Mount,
    piece: Vec<u8>,
    writes: u64,
    on_write: OnWrite,
}

/// An open path, and what it stands for on the mounted volume.
struct Session {
    path: String,
    /// With the mount it belongs to.
    open: Option<(u32, Open)>,
}

impl Mount {
    /// The volume, mounted if it is not.
    fn volume(&mut self) -> Result<&mut Volume<Medium>, IoError> {
        if let Some(ref mut volume) = self.volume {
            return Ok(volume);
        }
        let disk = rt::info().args.first().ok_or(IoError::NoDevice)?;
        let (volume, report) = Volume::mount(Medium::open(disk)?)?;
        if let Some(report) = report {
            rt::say(format_args!("{disk}: {report}"));
        }
        self.count += 1;
        Ok(self.volume.insert(volume))
    }

    /// What a session has open, opened again if the volume was mounted anew.
    fn of<'a>(
        &'a mut self,
        session: &'a mut Session,
    ) -> Result<(&'a mut Volume<Medium>, &'a mut Open), IoError> {
        self.volume()?;
        let (Some(volume), count) = (&mut self.volume, self.count) else {
            return Err(IoError::DeviceError);
        };
        if session
            .open
            .as_ref()
            .is_none_or(|(mount, _)| *mount != count)
        {
            session.open = Some((count, volume.open(&session.path, false, false)?));
        }
        let Some((_, open)) = &mut session.open else {
            return Err(IoError::DeviceError);
        };
        Ok((volume, open))
    }

    /// After an error of the disk nobody knows what is on it: the next use mounts, and so repairs, the volume anew.
    fn judge<T>(&mut self, result: Result<T, IoError>) -> Result<T, IoError> {
        if let Err(IoError::DeviceError | IoError::Corrupt) = result {
            self.volume = None;
        }
        result
    }
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
        let volume = self.mount.volume()?;
        match label {
            REMOVE => volume.remove(names),
            MAKE_DIRECTORY => volume.make_directory(names),
            RENAME => {
                let split = usize::try_from(request.words[0]).unwrap_or(usize::MAX);
                let (old, new) = names.split_at_checked(split).ok_or(IoError::BadRequest)?;
                volume.rename(old, new)
            }
            _ => Err(IoError::BadRequest),
        }
    }
}

impl Server for Files {
    type Session = Session;

    fn open(&mut self, name: &str, request: &Request) -> Result<Session, IoError> {
        let how = request.words[0];
        let volume = self.mount.volume()?;
        let opened = volume.open(name, how & CREATE != 0, how & TRUNCATE != 0);
        let open = self.mount.judge(opened)?;
        Ok(Session {
            path: name.to_string(),
            open: Some((self.mount.count, open)),
        })
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
        let (Some(volume), Some((mount, open))) = (&mut self.mount.volume, session.open) else {
            return;
        };
        if mount == self.mount.count {
            let closed = volume.close(open);
            // Nobody is left to be told; if the volume needs it, it is mounted anew.
            let _ = self.mount.judge(closed);
        }
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

/// Serves the volume for good.
pub fn run(on_write: OnWrite) {
    serve(&mut Files {
        mount: Mount {
            volume: None,
            count: 0,
        },
        piece: vec![0; PIECE],
        writes: 0,
        on_write,
    })
}
