use super::step::{JobError, Kind, Task};
use super::*;
use crate::device::{DeviceError, Operation, Pieces};
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

impl Device for Ram {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn is_read_only(&self) -> bool {
        false
    }
    fn has_flush(&self) -> bool {
        true
    }

    fn buffer(&mut self, slot: usize) -> &mut [u8] {
        assert!(
            self.requests.iter().all(|(busy, _)| *busy != slot),
            "in flight"
        );
        &mut self.buffers[slot]
    }
    fn submit(&mut self, slot: usize, operation: Operation, _: Option<Pieces>) {
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

fn task(kind: Kind, offset: u64, length: usize) -> Task {
    Task {
        kind,
        offset,
        length,
    }
}

/// Goes on, and answers whoever is done.
fn advance(jobs: &mut Jobs<Client>, ram: &mut Ram) {
    if let Some(finished) = jobs.advance(ram) {
        finished.answer(ram);
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
        jobs.add(
            &mut ram,
            client.clone(),
            task(Kind::Read, offset, length),
            None,
        );
        advance(&mut jobs, &mut ram);
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
        jobs.add(
            &mut ram,
            client.clone(),
            task(Kind::Write, offset as u64, length),
            None,
        );
        advance(&mut jobs, &mut ram);
        assert_eq!(client.result(), Some(Ok(length)));
        assert!(ram.bytes == expected, "{offset} {length}");
    }
}

#[test]
fn whole_sectors_are_written_without_reading() {
    let mut ram = Ram::new(512 * 400);
    let mut jobs = Jobs::new();
    jobs.add(
        &mut ram,
        Client::new(vec![1; 1024]),
        task(Kind::Write, 512, 1024),
        None,
    );
    advance(&mut jobs, &mut ram);
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
        jobs.add(
            &mut ram,
            client.clone(),
            task(Kind::Write, 64 * i as u64, 64),
            None,
        );
    }
    assert_eq!(ram.requests.len(), 1, "all are in one sector");
    while !jobs.is_idle() {
        advance(&mut jobs, &mut ram);
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
        jobs.add(
            &mut ram,
            client.clone(),
            task(Kind::Read, 512 * i as u64, 512),
            None,
        );
    }
    assert_eq!(ram.requests.len(), SLOTS);
    while !jobs.is_idle() {
        advance(&mut jobs, &mut ram);
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
    jobs.add(&mut ram, short.clone(), task(Kind::Read, 0, 512), None);
    jobs.add(&mut ram, short.clone(), task(Kind::Sync, 0, 0), None);
    ram.requests.pop();
    advance(&mut jobs, &mut ram);
    assert_eq!(short.result(), Some(Err(JobError::Memory)));
    ram.broken = true;
    for kind in [Kind::Read, Kind::Write, Kind::Sync] {
        let client = Client::new(vec![0; 100]);
        jobs.add(&mut ram, client.clone(), task(kind, 0, 100), None);
        advance(&mut jobs, &mut ram);
        assert_eq!(client.result(), Some(Err(JobError::Device)), "{kind:?}");
    }
}
