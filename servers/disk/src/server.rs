//! The message loop around the drivers: `disk:0`, `disk:0p1` and so on. Shared with `disk-faulty`.

extern crate alloc;

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;
use disk::ata::Ata;
use disk::ata::identity::Absent;
use disk::ata::ports::{self as ata, Ports};
use disk::device::{Device, InitError, Operation, PIECES, Pieces};
use disk::driver::Disk;
use disk::gpt::{self, GptError};
use disk::jobs::Jobs;
use disk::jobs::step::{Caller, Finished, JobError, Kind, Moved, Task};
use disk::name;
use disk::range::{BUFFER, SECTOR, clip};
use disk::watchdog;
use libsys::object::Irq;
use libsys::proto::io::{self, IoError, Kind as NameKind, Stat};
use libsys::proto::program::PciDevice;
use libsys::rt;
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use libsys::thread::JoinHandle;
use libsys::time::Instant;
use virtio::program::{Attached, Program, connect, devices};
use virtio::transport::MsiX;

/// Called after each read was handed to the device, with the number of reads so far.
pub type OnRead = fn(u64);

/// A caller parked in a Reply object.
struct Waiting(Parked);

impl Caller for Waiting {
    fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), JobError> {
        self.0.copy_in(offset, bytes).map_err(|_| JobError::Memory)
    }

    fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), JobError> {
        self.0.copy_out(offset, bytes).map_err(|_| JobError::Memory)
    }

    fn finish(self, result: Result<usize, JobError>) {
        self.0.finish(result.map(Done::Count).map_err(told));
    }
}

/// What a caller is told of a failed job.
fn told(error: JobError) -> IoError {
    match error {
        JobError::Device => IoError::DeviceError,
        JobError::Memory => IoError::BadBuffer,
    }
}

/// Most bytes of a request with shared memory.
const MOST_SHARED: usize = 16 << 20;
/// How long opening a partition may wait for its table, in seconds.
const PATIENCE: u64 = 10;

/// A device and what it is doing.
struct Ready<D> {
    disk: D,
    jobs: Jobs<Waiting>,
}

impl<D: Device> Ready<D> {
    fn new(disk: D) -> Self {
        Self {
            disk,
            jobs: Jobs::new(),
        }
    }

    /// Reads whole sectors while the program waits. What others have asked for is done first.
    fn read_now(&mut self, sector: u64, bytes: &mut [u8]) -> Result<(), IoError> {
        let Self { disk, jobs } = self;
        let end = Instant::now().0 + PATIENCE * rt::info().tsc_hz;
        while !jobs.is_idle() {
            if let Some(finished) = jobs.advance(disk) {
                finished.answer(disk);
            }
            late(end)?;
        }
        for (index, piece) in bytes.chunks_mut(BUFFER).enumerate() {
            let sector = sector + (index * BUFFER / SECTOR) as u64;
            let sectors = piece.len() / SECTOR;
            disk.submit(0, Operation::Read { sector, sectors }, None);
            let done = loop {
                match disk.completed() {
                    Some((_, done)) => break done,
                    // A device that is so late keeps the slot until the program, and with it the device, is reset.
                    None => late(end)?,
                }
            };
            done.map_err(|_| IoError::DeviceError)?;
            piece.copy_from_slice(&disk.buffer(0)[..piece.len()]);
        }
        Ok(())
    }
}

fn late(end: u64) -> Result<(), IoError> {
    if Instant::now().0 > end {
        return Err(IoError::DeviceError);
    }
    Ok(())
}

/// What a name stands for: a whole disk, or a partition of it. Nothing outside can be reached.
struct Place {
    drive: usize,
    /// In bytes.
    start: u64,
    size: u64,
    /// Memory that the client shares with the device.
    buffer: Option<Rc<Attached>>,
}

impl Place {
    /// A task for bytes of it, which begin inside: so there is no overflow.
    fn task(&self, kind: Kind, offset: u64, length: usize) -> Task {
        Task {
            kind,
            offset: self.start + offset,
            length,
        }
    }

    /// The pieces of the client's buffer that a request names: at most `most` bytes of them.
    #[inline(always)]
    fn pieces(&self, words: [u64; PIECES], most: usize) -> Result<Pieces, IoError> {
        let buffer = self.buffer.as_ref().ok_or(IoError::BadBuffer)?;
        let pieces = words.map(|word| (word as u32, (word >> 32) as u32));
        if pieces
            .iter()
            .any(|(_, bytes)| !bytes.is_multiple_of(SECTOR as u32))
        {
            return Err(IoError::BadRequest);
        }
        Pieces::of(buffer, pieces, most as u32).ok_or(IoError::BadRequest)
    }
}

/// Serves devices of a kind: `TIMED` if they have deadlines.
struct DiskServer<D, const TIMED: bool> {
    /// The devices, or what opening each says.
    drives: Vec<Result<Ready<D>, IoError>>,
    reads: u64,
    on_read: OnRead,
}

impl<D: Device, const TIMED: bool> DiskServer<D, TIMED> {
    fn drive(&mut self, index: usize) -> Result<&mut Ready<D>, IoError> {
        let drive = self.drives.get_mut(index).ok_or(IoError::NoDevice)?;
        drive.as_mut().map_err(|error| *error)
    }

    /// Parks the caller and makes its request a job.
    #[inline(always)]
    fn work(
        &mut self,
        place: &Place,
        request: Request,
        task: Task,
        pieces: Option<Pieces>,
    ) -> Reaction<'static> {
        let Ready { disk, jobs } = self.drive(place.drive)?;
        let caller = Waiting(request.park()?);
        jobs.add(disk, caller, task, pieces);
        Ok(Done::Later)
    }
}

impl<D: Device, const TIMED: bool> Server for DiskServer<D, TIMED> {
    type Session = Place;
    const TIMED: bool = TIMED;

    fn open(&mut self, name: &str, _: &Request) -> Result<Place, IoError> {
        let (drive, partition) = name::parse(name).ok_or(IoError::NotFound)?;
        let ready = self.drive(drive)?;
        let size = ready.disk.size();
        let Some(partition) = partition else {
            return Ok(Place {
                drive,
                start: 0,
                size,
                buffer: None,
            });
        };
        let range = gpt::partition(size / SECTOR as u64, partition, |sector, bytes| {
            ready.read_now(sector, bytes)
        });
        let range = range.map_err(|error| match error {
            GptError::NoTable | GptError::NoPartition => IoError::NoDevice,
            GptError::BadTable => IoError::BadPartitions,
            GptError::Disk(error) => error,
        })?;
        Ok(Place {
            drive,
            start: range.start * SECTOR as u64,
            size: (range.end - range.start) * SECTOR as u64,
            buffer: None,
        })
    }

    fn read(&mut self, place: &mut Place, offset: u64, request: Request) -> Reaction<'_> {
        let length = clip(offset, request.length(), place.size).ok_or(IoError::BeyondEnd)?;
        if length == 0 {
            return Ok(Done::Count(0));
        }
        let reaction = self.work(place, request, place.task(Kind::Read, offset, length), None);
        self.reads += 1;
        (self.on_read)(self.reads);
        reaction
    }

    fn write(&mut self, place: &mut Place, offset: u64, request: Request) -> Reaction<'_> {
        if self.drive(place.drive)?.disk.is_read_only() {
            return Err(IoError::ReadOnly);
        }
        let length = clip(offset, request.length(), place.size).ok_or(IoError::BeyondEnd)?;
        match (length, request.length()) {
            (_, 0) => Ok(Done::Count(0)),
            // Writing at the end would otherwise "succeed" without progress.
            (0, _) => Err(IoError::BeyondEnd),
            _ => self.work(
                place,
                request,
                place.task(Kind::Write, offset, length),
                None,
            ),
        }
    }

    fn shared(&mut self, place: &mut Place, label: u32, request: Request) -> Reaction<'_> {
        let [offset, pieces @ ..] = request.words;
        let kind = match label {
            io::READ_SHARED => Kind::Read,
            io::WRITE_SHARED if self.drive(place.drive)?.disk.is_read_only() => {
                return Err(IoError::ReadOnly);
            }
            io::WRITE_SHARED => Kind::Write,
            _ => {
                let buffer = Attached::new(offset, request.client());
                place.buffer = Some(Rc::new(buffer.ok_or(IoError::NotPermitted)?));
                return Ok(Done::Count(0));
            }
        };
        let most = clip(offset, MOST_SHARED, place.size).ok_or(IoError::BeyondEnd)?;
        if !offset.is_multiple_of(SECTOR as u64) {
            return Err(IoError::BadRequest);
        }
        if most == 0 {
            return match kind {
                Kind::Read => Ok(Done::Count(0)),
                _ => Err(IoError::BeyondEnd),
            };
        }
        let pieces = place.pieces(pieces, most)?;
        let task = place.task(kind, offset, pieces.bytes());
        self.work(place, request, task, Some(pieces))
    }

    fn stat(&mut self, place: &mut Place) -> Result<Stat, IoError> {
        Ok(Stat {
            size: place.size,
            block_size: SECTOR as u32,
            kind: NameKind::Block,
        })
    }

    fn sync(&mut self, place: &mut Place, request: Request) -> Reaction<'_> {
        if !self.drive(place.drive)?.disk.has_flush() {
            return Ok(Done::Count(0));
        }
        self.work(place, request, place.task(Kind::Sync, 0, 0), None)
    }

    #[inline(always)]
    fn interrupt_with_answer<T>(
        &mut self,
        drive: u64,
        _: u64,
        answer: impl FnOnce(Parked, Reaction<'_>) -> T,
    ) -> Option<T> {
        let Ready { disk, jobs } = self.drive(drive as usize).ok()?;
        let Finished { caller, result } = jobs.advance(disk)?;
        let done = result.map(|moved| match moved {
            Moved::Count(count) => Done::Count(count),
            Moved::Buffer { slot, skip, bytes } => {
                Done::Data(&disk.buffer(slot)[skip..skip + bytes])
            }
        });
        Some(answer(caller.0, done.map_err(told)))
    }

    fn deadline(&self) -> Option<u64> {
        let drives = self.drives.iter().flatten();
        drives.filter_map(|ready| ready.disk.deadline()).min()
    }

    fn expired(&mut self) {
        for Ready { disk, jobs } in self.drives.iter_mut().flatten() {
            if let Some(finished) = jobs.advance(disk) {
                finished.answer(disk);
            }
        }
    }
}

/// Serves the program's devices for good: virtio's, or ATA's where there is none.
pub fn run(on_read: OnRead) {
    if devices().all(|device| device.is_none()) {
        let drives = ata::channels().enumerate().map(|(index, channel)| {
            start_ata(channel, index as u64).map_err(|absent| match absent {
                Absent::NoDevice => IoError::NoDevice,
                Absent::Unsupported(why) => out_of_order(index, why),
            })
        });
        serve(&mut DiskServer::<_, true> {
            drives: drives.collect(),
            reads: 0,
            on_read,
        })
    }
    let drives = devices().enumerate().map(|(index, device)| {
        let device = device.ok_or(IoError::NoDevice)?;
        start(device, index as u64).map_err(|why| out_of_order(index, why))
    });
    let drives: Vec<_> = drives.collect();
    let _watchdog = watch(&drives);
    serve(&mut DiskServer::<_, false> {
        drives,
        reads: 0,
        on_read,
    })
}

/// Lets a thread see whether the devices answer within `--patience SECONDS`, if the manifest says so.
fn watch(drives: &[Result<Ready<Disk<Program, MsiX>>, IoError>]) -> Option<JoinHandle<()>> {
    let patience = Duration::from_secs(rt::number("--patience").filter(|&seconds| seconds > 0)?);
    let ready = drives.iter().enumerate();
    let ready = ready.filter_map(|(index, drive)| Some((index, drive.as_ref().ok()?.disk.watch())));
    let started = watchdog::start(ready.collect(), patience);
    started
        .inspect_err(|error| rt::say(format_args!("nobody watches the disks: {error:?}")))
        .ok()
}

/// Says why a device cannot be used.
fn out_of_order(index: usize, why: &str) -> IoError {
    libsys::println!("disk: {index}: {why}");
    IoError::DeviceError
}

/// Starts the driver, its interrupt bound to the program's endpoint with this badge.
fn start(
    device: &'static PciDevice,
    badge: u64,
) -> Result<Ready<Disk<Program, MsiX>>, &'static str> {
    let disk = Disk::new(connect(device, badge)?).map_err(|error| match error {
        InitError::Unsupported => "not a modern virtio block device",
        InitError::OutOfMemory => "too little memory for DMA",
    })?;
    Ok(Ready::new(disk))
}

/// The same for the first disk of an ATA channel.
fn start_ata((ports, irq): (Ports, Irq), badge: u64) -> Result<Ready<Ata<Ports>>, Absent> {
    irq.bind(rt::ENDPOINT, badge)
        .map_err(|_| Absent::Unsupported("its interrupt cannot be bound"))?;
    let report = move |trouble| libsys::println!("disk: {badge}: {trouble}");
    Ata::new(ports, rt::info().tsc_hz, report).map(Ready::new)
}
