//! One job, step by step.

use crate::device::{Device, DeviceError, Operation, Pieces};
use crate::range::{Chunk, SECTOR};

/// Why a job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobError {
    /// The device.
    Device,
    /// The caller's memory is not there (any more).
    Memory,
}

/// Whoever waits for a job, and lends memory to it.
pub trait Caller {
    /// Copies from its memory.
    fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), JobError>;
    /// Copies into its memory.
    fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), JobError>;
    /// Answers it with the number of bytes moved.
    fn finish(self, result: Result<usize, JobError>);
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Device to caller.
    Read,
    /// Caller to device.
    Write,
    /// Flush; moves nothing.
    Sync,
}

/// What is to be done.
pub struct Task {
    /// What.
    pub kind: Kind,
    /// Where on the device, in bytes.
    pub offset: u64,
    /// How many bytes: not 0, unless it is a [`Kind::Sync`], and none behind the device's end.
    pub length: usize,
}

impl Task {
    /// Whether it and another one, both of them writes, would write the same sectors.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        // In sectors, because a write rewrites whole ones.
        let sectors = |Task { offset, length, .. }: &Task| {
            let end = offset + *length as u64;
            (offset / SECTOR as u64, end.div_ceil(SECTOR as u64))
        };
        let (own, others) = (sectors(self), sectors(other));
        let writes = self.kind == Kind::Write && other.kind == Kind::Write;
        writes && own.0 < others.1 && others.0 < own.1
    }
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes.
    Count(usize),
    /// All that was wanted: these bytes of the slot's buffer are not copied yet.
    Buffer {
        /// The slot.
        slot: usize,
        /// Where they begin.
        skip: usize,
        /// How many.
        bytes: usize,
    },
}

/// A caller that is to be answered.
#[must_use]
pub struct Finished<C> {
    /// Who.
    pub caller: C,
    /// With what.
    pub result: Result<Moved, JobError>,
}

impl<C: Caller> Finished<C> {
    /// Answers.
    pub fn answer(self, device: &mut impl Device) {
        let result = self.result.and_then(|moved| match moved {
            Moved::Count(count) => Ok(count),
            Moved::Buffer { slot, skip, bytes } => {
                let buffer = &device.buffer(slot)[skip..skip + bytes];
                self.caller.copy_out(0, buffer).map(|()| bytes)
            }
        });
        self.caller.finish(result);
    }
}

/// A job that runs or waits.
pub(super) struct Job<C> {
    caller: C,
    task: Task,
    done: usize,
    /// A write whose sectors are being read, because the chunk does not cover them.
    filling: bool,
}

impl<C: Caller> Job<C> {
    #[inline(always)]
    pub(super) fn new(caller: C, task: Task) -> Self {
        Self {
            caller,
            task,
            done: 0,
            filling: false,
        }
    }

    #[inline(always)]
    pub(super) fn into_caller(self) -> C {
        self.caller
    }

    pub(super) fn task(&self) -> &Task {
        &self.task
    }

    fn chunk(&self) -> Chunk {
        let Task { offset, length, .. } = self.task;
        Chunk::first(offset + self.done as u64, length - self.done)
    }

    /// Submits the first request of all, or of the next chunk.
    #[inline(always)]
    pub(super) fn submit_next(
        &mut self,
        device: &mut impl Device,
        slot: usize,
        pieces: Option<Pieces>,
    ) -> Result<(), JobError> {
        let kind = self.task.kind;
        if kind == Kind::Sync {
            device.submit(slot, Operation::Flush, None);
            return Ok(());
        }
        if let Some(pieces) = pieces {
            let sector = self.task.offset / SECTOR as u64;
            let sectors = self.task.length / SECTOR;
            let operation = match kind {
                Kind::Write => Operation::Write { sector, sectors },
                _ => Operation::Read { sector, sectors },
            };
            self.done = self.task.length;
            device.submit(slot, operation, Some(pieces));
            return Ok(());
        }
        let chunk = self.chunk();
        let Chunk {
            sector, sectors, ..
        } = chunk;
        self.filling = kind == Kind::Write && !chunk.is_whole();
        if kind == Kind::Write && !self.filling {
            return self.store(device, slot, chunk);
        }
        device.submit(slot, Operation::Read { sector, sectors }, None);
        Ok(())
    }

    /// Takes a write's bytes from the caller and submits them.
    fn store(
        &mut self,
        device: &mut impl Device,
        slot: usize,
        chunk: Chunk,
    ) -> Result<(), JobError> {
        let Chunk {
            sector,
            sectors,
            skip,
            bytes,
        } = chunk;
        let buffer = &mut device.buffer(slot)[skip..skip + bytes];
        self.caller.copy_in(self.done, buffer)?;
        device.submit(slot, Operation::Write { sector, sectors }, None);
        Ok(())
    }

    /// Goes on after a request. `Some`: the job is done.
    #[inline(always)]
    pub(super) fn complete(
        &mut self,
        device: &mut impl Device,
        slot: usize,
        result: Result<(), DeviceError>,
    ) -> Option<Result<Moved, JobError>> {
        let next = match result {
            Ok(()) => self.go_on(device, slot),
            Err(DeviceError) => Err(JobError::Device),
        };
        next.transpose()
    }

    #[inline(always)]
    fn go_on(&mut self, device: &mut impl Device, slot: usize) -> Result<Option<Moved>, JobError> {
        let length = self.task.length;
        if self.task.kind == Kind::Sync || self.done == length {
            return Ok(Some(Moved::Count(self.done)));
        }
        if self.filling {
            self.filling = false;
            return self.store(device, slot, self.chunk()).map(|()| None);
        }
        let Chunk { skip, bytes, .. } = self.chunk();
        if self.task.kind == Kind::Read {
            if bytes == length {
                return Ok(Some(Moved::Buffer { slot, skip, bytes }));
            }
            let buffer = &device.buffer(slot)[skip..skip + bytes];
            self.caller.copy_out(self.done, buffer)?;
        }
        self.done += bytes;
        if self.done == length {
            return Ok(Some(Moved::Count(length)));
        }
        self.submit_next(device, slot, None).map(|()| None)
    }
}
