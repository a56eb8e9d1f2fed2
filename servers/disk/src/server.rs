//! The message loop around the driver: `disk:0`. Shared with `disk-faulty`.

use disk::device::{Device, InitError};
use disk::driver::Disk;
use disk::jobs::Jobs;
use disk::jobs::step::{Caller, Finished, JobError, Kind, Moved, Task};
use disk::range::{SECTOR, clip};
use libsys::proto::io::{IoError, Kind as NameKind, Stat};
use libsys::proto::program::PciDevice;
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use virtio::program::{Program, connect, device};
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

/// The device and what it is doing.
struct Ready {
    disk: Disk<Program, MsiX>,
    jobs: Jobs<Waiting>,
}

struct DiskServer {
    /// The device, or what opening it says.
    device: Result<Ready, IoError>,
    reads: u64,
    on_read: OnRead,
}

impl DiskServer {
    fn ready(&mut self) -> Result<&mut Ready, IoError> {
        self.device.as_mut().map_err(|error| *error)
    }

    /// Parks the caller and makes its request a job.
    fn work(
        &mut self,
        request: Request,
        kind: Kind,
        offset: u64,
        length: usize,
    ) -> Reaction<'static> {
        let Ready { disk, jobs } = self.ready()?;
        let caller = Waiting(request.park()?);
        let task = Task {
            kind,
            offset,
            length,
            pieces: None,
        };
        jobs.add(disk, caller, task);
        Ok(Done::Later)
    }
}

impl Server for DiskServer {
    type Session = ();

    fn open(&mut self, name: &str, _: &Request) -> Result<(), IoError> {
        match name.parse::<u8>() {
            Ok(0) => self.ready().map(drop),
            Ok(_) => Err(IoError::NoDevice),
            Err(_) => Err(IoError::NotFound),
        }
    }

    fn read(&mut self, _: &mut (), offset: u64, request: Request) -> Reaction<'_> {
        let length =
            clip(offset, request.length(), self.ready()?.disk.size()).ok_or(IoError::BeyondEnd)?;
        if length == 0 {
            return Ok(Done::Count(0));
        }
        let reaction = self.work(request, Kind::Read, offset, length);
        self.reads += 1;
        (self.on_read)(self.reads);
        reaction
    }

    fn write(&mut self, _: &mut (), offset: u64, request: Request) -> Reaction<'_> {
        let disk = &self.ready()?.disk;
        if disk.is_read_only() {
            return Err(IoError::ReadOnly);
        }
        let length = clip(offset, request.length(), disk.size()).ok_or(IoError::BeyondEnd)?;
        match (length, request.length()) {
            (_, 0) => Ok(Done::Count(0)),
            // Writing at the end would otherwise "succeed" without progress.
            (0, _) => Err(IoError::BeyondEnd),
            _ => self.work(request, Kind::Write, offset, length),
        }
    }

    fn stat(&mut self, _: &mut ()) -> Result<Stat, IoError> {
        let size = self.ready()?.disk.size();
        Ok(Stat {
            size,
            block_size: SECTOR as u32,
            kind: NameKind::Block,
        })
    }

    fn sync(&mut self, _: &mut (), request: Request) -> Reaction<'_> {
        if !self.ready()?.disk.has_flush() {
            return Ok(Done::Count(0));
        }
        self.work(request, Kind::Sync, 0, 0)
    }

    fn interrupt_with_answer(&mut self, _: u64, _: u64) -> Option<(Parked, Reaction<'_>)> {
        let Ready { disk, jobs } = self.device.as_mut().ok()?;
        let Finished { caller, result } = jobs.advance(disk)?;
        let done = result.map(|moved| match moved {
            Moved::Count(count) => Done::Count(count),
            Moved::Buffer { slot, skip, bytes } => {
                Done::Data(&disk.buffer(slot)[skip..skip + bytes])
            }
        });
        Some((caller.0, done.map_err(told)))
    }
}

/// Serves the program's device for good.
pub fn run(on_read: OnRead) {
    let device = match device() {
        None => Err(IoError::NoDevice),
        Some(device) => start(device).map_err(|why| {
            libsys::println!("disk: {}", why);
            IoError::DeviceError
        }),
    };
    serve(&mut DiskServer {
        device,
        reads: 0,
        on_read,
    })
}

/// Starts the driver, its interrupt bound to the program's endpoint.
fn start(device: &PciDevice) -> Result<Ready, &'static str> {
    let disk = Disk::new(connect(device)?).map_err(|error| match error {
        InitError::Unsupported => "not a modern virtio block device",
        InitError::OutOfMemory => "too little memory for DMA",
    })?;
    Ok(Ready {
        disk,
        jobs: Jobs::new(),
    })
}
