//! A disk whose power can fail after any sector write, and the host's view of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;

use fs::disk::{Disk, DiskError, SECTOR};

use crate::fat;

/// A sector's bytes.
pub type Sector = [u8; SECTOR];

/// What a machine's disk holds: an image, and the sectors written since. Clones share the image, not the sectors.
#[derive(Clone)]
pub struct Medium {
    /// What was there at first.
    pub image: Rc<Vec<u8>>,
    /// What has certainly reached the medium.
    pub written: BTreeMap<u64, Sector>,
    /// Written since the last flush, in this order.
    pub pending: Vec<(u64, Sector)>,
    /// Sector writes until the power fails.
    pub power: u64,
    /// Sector writes so far.
    pub writes: u64,
}

impl Medium {
    /// A sector, as the machine sees it.
    pub fn sector(&self, number: u64) -> Sector {
        let pending = self.pending.iter().rev();
        let mut pending = pending.filter(|(written, _)| *written == number);
        if let Some((_, sector)) = pending.next() {
            return *sector;
        }
        self.written.get(&number).copied().unwrap_or_else(|| {
            let start = number as usize * SECTOR;
            self.image[start..start + SECTOR]
                .try_into()
                .expect("a sector")
        })
    }

    /// The power is back; of the writes that were not flushed, those remain that `survives` says.
    pub fn restarted(mut self, mut survives: impl FnMut() -> bool) -> Self {
        for (number, sector) in std::mem::take(&mut self.pending) {
            if survives() {
                self.written.insert(number, sector);
            }
        }
        (self.power, self.writes) = (u64::MAX, 0);
        self
    }
}

/// The machine's way to it.
#[derive(Clone)]
pub struct Bus(pub Rc<RefCell<Medium>>);

impl Bus {
    /// The way to this medium.
    pub fn to(medium: Medium) -> Self {
        Self(Rc::new(RefCell::new(medium)))
    }
}

impl Disk for Bus {
    fn sectors(&self) -> u64 {
        (self.0.borrow().image.len() / SECTOR) as u64
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn read(&mut self, sector: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        for (number, bytes) in (sector..).zip(bytes.chunks_mut(SECTOR)) {
            bytes.copy_from_slice(&self.0.borrow().sector(number));
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut medium = self.0.borrow_mut();
        for (number, bytes) in (sector..).zip(bytes.chunks(SECTOR)) {
            if medium.writes == medium.power {
                return Err(DiskError);
            }
            medium.writes += 1;
            let sector = bytes.try_into().expect("whole sectors");
            medium.pending.push((number, sector));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let mut medium = self.0.borrow_mut();
        if medium.writes == medium.power && !medium.pending.is_empty() {
            return Err(DiskError);
        }
        let pending = std::mem::take(&mut medium.pending);
        medium.written.extend(pending);
        Ok(())
    }
}

/// A volume made by the host, and the host's check of what became of it.
pub struct Host {
    folder: tempfile::TempDir,
    image: Rc<Vec<u8>>,
}

impl Host {
    /// A volume of `bits` bits on a disk of `size` bytes.
    pub fn new(bits: u8, size: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fat::make(&folder.path().join("image"), bits, size);
        let image = std::fs::read(folder.path().join("image")).expect("it can be read");
        Self {
            folder,
            image: image.into(),
        }
    }

    /// Its image.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// A machine's disk with this volume.
    pub fn medium(&self) -> Medium {
        Medium {
            image: self.image.clone(),
            written: BTreeMap::new(),
            pending: Vec::new(),
            power: u64::MAX,
            writes: 0,
        }
    }

    /// What `fsck.fat -n` says about a medium without power. Errors: all of it.
    pub fn check(&self, medium: &Medium) -> Result<(), String> {
        let file = File::options()
            .write(true)
            .open(self.path())
            .expect("it opens");
        let number = |sector: &u64| sector * SECTOR as u64;
        let touched: BTreeSet<u64> = medium.written.keys().copied().collect();
        for sector in &touched {
            let bytes = medium.sector(*sector);
            file.write_all_at(&bytes, number(sector))
                .expect("it can be written");
        }
        let result = fat::check(&self.path());
        for sector in &touched {
            let bytes = &self.image[number(sector) as usize..][..SECTOR];
            file.write_all_at(bytes, number(sector))
                .expect("it can be written");
        }
        result
    }
}
