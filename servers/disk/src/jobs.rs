//! Reads and writes of any byte range, made of requests for whole sectors.
//!
//! A job occupies one slot of the driver until it is done, one request after the other. Bytes are copied between the
//! slot's buffer and the caller's memory, which the caller lends until it is answered. A write that begins or ends inside a
//! sector first reads what it must not change; writes that overlap therefore wait for each other.

use crate::driver::{DeviceError, Disk, Operation, SLOTS};
use crate::range::Chunk;
use alloc::collections::VecDeque;
use virtio::platform::Platform;
use virtio_drivers::transport::Transport;

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

/// The device under the jobs.
pub trait Medium {
    /// As [`Disk::buffer`].
    fn buffer(&mut self, slot: usize) -> &mut [u8];
    /// As [`Disk::submit`].
    fn submit(&mut self, slot: usize, operation: Operation);
    /// As [`Disk::completed`].
    fn completed(&mut self) -> Option<(usize, Result<(), DeviceError>)>;
}

impl<P: Platform, T: Transport> Medium for Disk<P, T> {
    fn buffer(&mut self, slot: usize) -> &mut [u8] {
        self.buffer(slot)
    }
    fn submit(&mut self, slot: usize, operation: Operation) {
        self.submit(slot, operation)
    }
    fn completed(&mut self) -> Option<(usize, Result<(), DeviceError>)> {
        self.completed()
    }
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

struct Job<C> {
    caller: C,
    kind: Kind,
    /// Where on the device, in bytes; and how many.
    offset: u64,
    length: usize,
    done: usize,
    /// A write whose sectors are being read, because the chunk does not cover them.
    filling: bool,
}

impl<C> Job<C> {
    fn chunk(&self) -> Chunk {
        Chunk::first(self.offset + self.done as u64, self.length - self.done)
    }

    fn overlaps(&self, other: &Self) -> bool {
        // In sectors, because a write rewrites whole ones.
        let sectors = |job: &Self| {
            (
                job.offset / 512,
                (job.offset + job.length as u64).div_ceil(512),
            )
        };
        let (own, others) = (sectors(self), sectors(other));
        self.kind == Kind::Write
            && other.kind == Kind::Write
            && own.0 < others.1
            && others.0 < own.1
    }
}

/// All jobs, running and waiting.
pub struct Jobs<C> {
    running: [Option<Job<C>>; SLOTS],
    waiting: VecDeque<Job<C>>,
}

impl<C: Caller> Jobs<C> {
    /// None.
    pub const fn new() -> Self {
        Self {
            running: [const { None }; SLOTS],
            waiting: VecDeque::new(),
        }
    }

    /// Adds a job for bytes that lie on the device (not 0 of them, unless it is a [`Kind::Sync`]) and starts what can run.
    pub fn add(
        &mut self,
        medium: &mut impl Medium,
        caller: C,
        kind: Kind,
        offset: u64,
        length: usize,
    ) {
        self.waiting.push_back(Job {
            caller,
            kind,
            offset,
            length,
            done: 0,
            filling: false,
        });
        self.start(medium);
    }

    /// Goes on with every job whose request the device has finished. To be called after each interrupt.
    pub fn advance(&mut self, medium: &mut impl Medium) {
        while let Some((slot, result)) = medium.completed() {
            let job = self.running[slot].take();
            // A slot's request is always its job's.
            let Some(mut job) = job else { continue };
            match complete(medium, slot, &mut job, result) {
                Ok(true) => job.caller.finish(Ok(job.done)),
                Ok(false) => self.running[slot] = Some(job),
                Err(error) => job.caller.finish(Err(error)),
            }
        }
        self.start(medium);
    }

    /// Whether no job runs or waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.iter().all(Option::is_none)
    }

    fn start(&mut self, medium: &mut impl Medium) {
        while let Some(slot) = self.running.iter().position(Option::is_none) {
            let free = |job: &Job<C>| {
                !self
                    .running
                    .iter()
                    .flatten()
                    .any(|running| running.overlaps(job))
            };
            let Some(next) = self.waiting.iter().position(free) else {
                return;
            };
            let Some(mut job) = self.waiting.remove(next) else {
                return;
            };
            match submit_next(medium, slot, &mut job) {
                Ok(()) => self.running[slot] = Some(job),
                Err(error) => job.caller.finish(Err(error)),
            }
        }
    }
}

impl<C: Caller> Default for Jobs<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// Submits the first request of a job's next chunk.
fn submit_next<C: Caller>(
    medium: &mut impl Medium,
    slot: usize,
    job: &mut Job<C>,
) -> Result<(), JobError> {
    let chunk = match job.kind {
        Kind::Sync => {
            medium.submit(slot, Operation::Flush);
            return Ok(());
        }
        Kind::Read | Kind::Write => job.chunk(),
    };
    job.filling = job.kind == Kind::Write && !chunk.is_whole();
    if job.kind == Kind::Write && !job.filling {
        return store(medium, slot, job, chunk);
    }
    medium.submit(
        slot,
        Operation::Read {
            sector: chunk.sector,
            sectors: chunk.sectors,
        },
    );
    Ok(())
}

/// Takes a write's bytes from the caller and submits them.
fn store<C: Caller>(
    medium: &mut impl Medium,
    slot: usize,
    job: &Job<C>,
    chunk: Chunk,
) -> Result<(), JobError> {
    job.caller.copy_in(
        job.done,
        &mut medium.buffer(slot)[chunk.skip..chunk.skip + chunk.bytes],
    )?;
    medium.submit(
        slot,
        Operation::Write {
            sector: chunk.sector,
            sectors: chunk.sectors,
        },
    );
    Ok(())
}

/// Goes on after a request. Says whether the job is done.
fn complete<C: Caller>(
    medium: &mut impl Medium,
    slot: usize,
    job: &mut Job<C>,
    result: Result<(), DeviceError>,
) -> Result<bool, JobError> {
    result.map_err(|DeviceError| JobError::Device)?;
    if job.kind == Kind::Sync {
        return Ok(true);
    }
    let chunk = job.chunk();
    if job.filling {
        job.filling = false;
        return store(medium, slot, job, chunk).map(|()| false);
    }
    if job.kind == Kind::Read {
        job.caller.copy_out(
            job.done,
            &medium.buffer(slot)[chunk.skip..chunk.skip + chunk.bytes],
        )?;
    }
    job.done += chunk.bytes;
    if job.done == job.length {
        return Ok(true);
    }
    submit_next(medium, slot, job).map(|()| false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::BUFFER;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Memory in a device's clothes; finishes requests in the opposite order.
    struct Ram {
        bytes: Vec<u8>,
        buffers: Vec<Vec<u8>>,
        requests: Vec<(usize, Operation)>,
        log: Vec<Operation>,
        broken: bool,
    }

    impl Ram {
        fn new(size: usize) -> Self {
            let bytes = (0..size).map(|i| (i / 7) as u8).collect();
            Self {
                bytes,
                buffers: vec![vec![0xee; BUFFER]; SLOTS],
                requests: vec![],
                log: vec![],
                broken: false,
            }
        }
    }

    impl Medium for Ram {
        fn buffer(&mut self, slot: usize) -> &mut [u8] {
            assert!(
                self.requests.iter().all(|(busy, _)| *busy != slot),
                "in flight"
            );
            &mut self.buffers[slot]
        }
        fn submit(&mut self, slot: usize, operation: Operation) {
            assert!(
                self.requests.iter().all(|(busy, _)| *busy != slot),
                "in flight"
            );
            self.requests.push((slot, operation));
            self.log.push(operation);
        }
        fn completed(&mut self) -> Option<(usize, Result<(), DeviceError>)> {
            let (slot, operation) = self.requests.pop()?;
            match operation {
                Operation::Read { sector, sectors } => {
                    self.buffers[slot][..sectors * 512]
                        .copy_from_slice(&self.bytes[sector as usize * 512..][..sectors * 512]);
                }
                Operation::Write { sector, sectors } => {
                    self.bytes[sector as usize * 512..][..sectors * 512]
                        .copy_from_slice(&self.buffers[slot][..sectors * 512]);
                }
                Operation::Flush => {}
            }
            Some((
                slot,
                if self.broken {
                    Err(DeviceError)
                } else {
                    Ok(())
                },
            ))
        }
    }

    #[derive(Clone)]
    struct Client(Rc<RefCell<(Vec<u8>, Answer)>>);

    type Answer = Option<Result<usize, JobError>>;

    impl Client {
        fn new(memory: Vec<u8>) -> Self {
            Self(Rc::new(RefCell::new((memory, None))))
        }
        fn result(&self) -> Answer {
            self.0.borrow().1
        }
        fn memory(&self) -> Vec<u8> {
            self.0.borrow().0.clone()
        }
    }

    impl Caller for Client {
        fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), JobError> {
            let memory = &self.0.borrow().0;
            bytes.copy_from_slice(
                memory
                    .get(offset..offset + bytes.len())
                    .ok_or(JobError::Memory)?,
            );
            Ok(())
        }
        fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), JobError> {
            let memory = &mut self.0.borrow_mut().0;
            memory
                .get_mut(offset..offset + bytes.len())
                .ok_or(JobError::Memory)?
                .copy_from_slice(bytes);
            Ok(())
        }
        fn finish(self, result: Result<usize, JobError>) {
            assert_eq!(self.0.borrow_mut().1.replace(result), None, "answered once");
        }
    }

    #[test]
    fn any_range_is_read() {
        let mut ram = Ram::new(512 * 400);
        let ranges = [
            (0, 512),
            (1, 1),
            (511, 2),
            (1000, 70_000),
            (512, 65_536),
            (3, 65_536),
            (204_799, 1),
        ];
        for (offset, length) in ranges {
            let (mut jobs, client) = (Jobs::new(), Client::new(vec![0; length]));
            jobs.add(&mut ram, client.clone(), Kind::Read, offset, length);
            jobs.advance(&mut ram);
            assert_eq!(client.result(), Some(Ok(length)));
            assert_eq!(
                client.memory(),
                ram.bytes[offset as usize..][..length],
                "{offset} {length}"
            );
            assert!(jobs.is_idle());
        }
    }

    #[test]
    fn any_range_is_written_and_nothing_else() {
        for (offset, length) in [
            (0usize, 512),
            (1, 1),
            (511, 2),
            (1000, 70_000),
            (512, 65_536),
            (204_799, 1),
        ] {
            let mut ram = Ram::new(512 * 400);
            let mut expected = ram.bytes.clone();
            expected[offset..offset + length].fill(0xaa);
            let (mut jobs, client) = (Jobs::new(), Client::new(vec![0xaa; length]));
            jobs.add(&mut ram, client.clone(), Kind::Write, offset as u64, length);
            jobs.advance(&mut ram);
            assert_eq!(client.result(), Some(Ok(length)));
            assert!(ram.bytes == expected, "{offset} {length}");
        }
    }

    #[test]
    fn whole_sectors_are_written_without_reading() {
        let mut ram = Ram::new(512 * 400);
        let mut jobs = Jobs::new();
        jobs.add(&mut ram, Client::new(vec![1; 1024]), Kind::Write, 512, 1024);
        jobs.advance(&mut ram);
        assert_eq!(
            ram.log,
            [Operation::Write {
                sector: 1,
                sectors: 2
            }]
        );
    }

    #[test]
    fn overlapping_writes_wait_for_each_other() {
        let mut ram = Ram::new(4096);
        ram.bytes.fill(0);
        let mut jobs = Jobs::new();
        let clients: Vec<Client> = (1..=8).map(|i| Client::new(vec![i; 64])).collect();
        for (i, client) in clients.iter().enumerate() {
            jobs.add(&mut ram, client.clone(), Kind::Write, 64 * i as u64, 64);
        }
        assert_eq!(ram.requests.len(), 1, "all are in one sector");
        while !jobs.is_idle() {
            jobs.advance(&mut ram);
        }
        assert!(clients.iter().all(|c| c.result() == Some(Ok(64))));
        let expected: Vec<u8> = (1..=8).flat_map(|i| [i; 64]).collect();
        assert_eq!(ram.bytes[..512], expected);
    }

    #[test]
    fn reads_run_side_by_side_and_the_rest_waits() {
        let mut ram = Ram::new(512 * 100);
        let mut jobs = Jobs::new();
        let clients: Vec<Client> = (0..10).map(|_| Client::new(vec![0; 512])).collect();
        for (i, client) in clients.iter().enumerate() {
            jobs.add(&mut ram, client.clone(), Kind::Read, 512 * i as u64, 512);
        }
        assert_eq!(ram.requests.len(), SLOTS);
        while !jobs.is_idle() {
            jobs.advance(&mut ram);
        }
        for (i, client) in clients.iter().enumerate() {
            assert_eq!(client.memory(), ram.bytes[512 * i..][..512]);
        }
    }

    #[test]
    fn failures_are_named_and_free_the_slot() {
        let mut ram = Ram::new(512 * 100);
        let mut jobs = Jobs::new();
        let short = Client::new(vec![0; 10]);
        jobs.add(&mut ram, short.clone(), Kind::Read, 0, 512);
        jobs.add(&mut ram, short.clone(), Kind::Sync, 0, 0);
        ram.requests.pop();
        jobs.advance(&mut ram);
        assert_eq!(short.result(), Some(Err(JobError::Memory)));
        ram.broken = true;
        for kind in [Kind::Read, Kind::Write, Kind::Sync] {
            let client = Client::new(vec![0; 100]);
            jobs.add(&mut ram, client.clone(), kind, 0, 100);
            jobs.advance(&mut ram);
            assert_eq!(client.result(), Some(Err(JobError::Device)), "{kind:?}");
        }
    }
}
