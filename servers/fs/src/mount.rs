//! A volume that is mounted at its first use, and again after an error of its disk; and what is open on it meanwhile.

use crate::disk::Disk;
use crate::repair::Report;
use crate::volume::{Open, Volume};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use libsys::proto::io::IoError;

/// Mounts the volume.
type Mounter<D> = Box<dyn FnMut() -> Result<(Volume<D>, Option<Report>), IoError>>;

/// The volume, while it is mounted.
pub struct Mount<D: Disk> {
    mounter: Mounter<D>,
    volume: Option<Volume<D>>,
    /// How often it was mounted: what was opened before is not open any more.
    count: u32,
    /// How often a path may have come to mean something else.
    names: u64,
}

/// An open path, and what it stands for on the mounted volume.
pub struct Session {
    path: String,
    /// [`Mount::names`] when it was opened.
    names: u64,
    /// With the mount it belongs to.
    open: Option<(u32, Open)>,
}

impl<D: Disk> Mount<D> {
    /// Not mounted yet.
    pub fn new(
        mounter: impl FnMut() -> Result<(Volume<D>, Option<Report>), IoError> + 'static,
    ) -> Self {
        Self {
            mounter: Box::new(mounter),
            volume: None,
            count: 0,
            names: 0,
        }
    }

    /// The volume, mounted if it is not.
    ///
    /// # Errors
    /// As [`Volume::mount`].
    pub fn volume(&mut self) -> Result<&mut Volume<D>, IoError> {
        if let Some(ref mut volume) = self.volume {
            return Ok(volume);
        }
        let (volume, report) = (self.mounter)()?;
        // A repair may take names away, which then are free for others.
        self.names += u64::from(report.is_some_and(|report| report.entries > 0));
        self.count += 1;
        Ok(self.volume.insert(volume))
    }

    /// The volume, for something that takes a name away: whether it succeeds or not, an error of the disk leaves that open.
    ///
    /// # Errors
    /// As [`Mount::volume`].
    pub fn to_rename(&mut self) -> Result<&mut Volume<D>, IoError> {
        self.names += 1;
        self.volume()
    }

    /// Opens a path, as [`Volume::open`] does.
    ///
    /// # Errors
    /// As [`Volume::open`].
    pub fn open(&mut self, path: &str, create: bool, truncate: bool) -> Result<Session, IoError> {
        let opened = self.volume()?.open(path, create, truncate);
        let open = self.judge(opened)?;
        Ok(Session {
            path: path.to_string(),
            names: self.names,
            open: Some((self.count, open)),
        })
    }

    /// What a session has open, opened again if the volume was mounted anew.
    ///
    /// # Errors
    /// `Stale`: names have changed since it was opened, so its path may stand for something else by now.
    pub fn of<'a>(
        &'a mut self,
        session: &'a mut Session,
    ) -> Result<(&'a mut Volume<D>, &'a mut Open), IoError> {
        self.volume()?;
        let (Some(volume), count) = (&mut self.volume, self.count) else {
            return Err(IoError::DeviceError);
        };
        let is_open = |(mount, _): &(u32, Open)| *mount == count;
        if !session.open.as_ref().is_some_and(is_open) {
            if session.names != self.names {
                return Err(IoError::Stale);
            }
            session.open = Some((count, volume.open(&session.path, false, false)?));
        }
        let Some((_, open)) = &mut session.open else {
            return Err(IoError::DeviceError);
        };
        Ok((volume, open))
    }

    /// Gives back what a session has open.
    pub fn close(&mut self, session: Session) {
        let (Some(volume), Some((mount, open))) = (&mut self.volume, session.open) else {
            return;
        };
        if mount == self.count {
            let closed = volume.close(open);
            // Nobody is left to be told; if the volume needs it, it is mounted anew.
            let _ = self.judge(closed);
        }
    }

    /// After an error of the disk nobody knows what is on it: the next use mounts, and so repairs, the volume anew.
    ///
    /// # Errors
    /// That of `result`.
    pub fn judge<T>(&mut self, result: Result<T, IoError>) -> Result<T, IoError> {
        if let Err(IoError::DeviceError | IoError::Corrupt) = result {
            self.volume = None;
        }
        result
    }
}
