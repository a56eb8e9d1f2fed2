//! Both ends with their requests: a program here reads and writes a disk there.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use libsys::proto::io::{CLOSE, IoError, READ, STAT, SYNC, Stat, WRITE};
use libsys::serve::{Done, Reaction};

use super::{Counter, Words};
use crate::end::End;
use crate::export::{ECHO, Exporter, Names, Open, SESSIONS};
use crate::import::{Caller, Importer};
use crate::link::{Link, Message};
use crate::memory::{DATA, SLOTS};

/// A disk of this many bytes.
pub const SIZE: usize = 3 * DATA;

/// A disk, by the name `disk:0`.
#[derive(Clone)]
pub struct Disk(pub Rc<RefCell<Vec<u8>>>);

impl Disk {
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(
            (0..SIZE).map(|at| at as u8).collect(),
        )))
    }
}

impl Names for Disk {
    type Open = Disk;

    fn open(&mut self, name: &str, how: u64) -> Result<Disk, IoError> {
        assert!(how <= 3);
        match name {
            "disk:0" => Ok(self.clone()),
            "disk:1" => Err(IoError::NoDevice),
            _ => panic!("{name} is not exported"),
        }
    }
}

impl Open for Disk {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, IoError> {
        let disk = self.0.borrow();
        let from = disk.get(offset as usize..).ok_or(IoError::BeyondEnd)?;
        let count = bytes.len().min(from.len());
        bytes[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, IoError> {
        let mut disk = self.0.borrow_mut();
        let to = disk.get_mut(offset as usize..);
        let to = to.ok_or(IoError::BeyondEnd)?;
        let count = bytes.len().min(to.len());
        to[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn stat(&self) -> Result<Stat, IoError> {
        Ok(Stat::block(SIZE as u64))
    }

    fn sync(&self) -> Result<(), IoError> {
        Ok(())
    }
}

/// What a caller was answered.
pub type Answer = Rc<Cell<Option<Result<[u64; 4], IoError>>>>;

/// A caller with its memory.
pub struct Program {
    pub memory: Rc<RefCell<Vec<u8>>>,
    pub answer: Answer,
    pub alive: Rc<Cell<bool>>,
}

impl Caller for Program {
    fn length(&self) -> usize {
        self.memory.borrow().len()
    }

    fn copy_in(&self, bytes: &mut [u8]) -> Result<(), IoError> {
        bytes.copy_from_slice(&self.memory.borrow()[..bytes.len()]);
        Ok(())
    }

    fn copy_out(&self, bytes: &[u8]) -> Result<(), IoError> {
        self.memory.borrow_mut()[..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn is_alive(&self) -> bool {
        self.alive.get()
    }

    fn finish(self, reaction: Reaction<'_>) {
        let words = reaction.map(|done| match done {
            Done::Count(count) => [count as u64, 0, 0, 0],
            Done::Words(words) => words,
            other => panic!("{other:?}"),
        });
        assert_eq!(self.answer.replace(Some(words)), None, "answered twice");
    }
}

/// A caller that lends these bytes, and where to see what becomes of it.
pub fn program(bytes: &[u8]) -> (Program, Rc<RefCell<Vec<u8>>>, Answer) {
    let memory = Rc::new(RefCell::new(bytes.to_vec()));
    let answer = Answer::default();
    let program = Program {
        memory: memory.clone(),
        answer: answer.clone(),
        alive: Rc::new(Cell::new(true)),
    };
    (program, memory, answer)
}

/// Both ends.
struct Both {
    memory: Words,
    bells: [Counter; 2],
    exporting: End<Words, Counter>,
    exporter: Exporter<Disk>,
    importing: End<Words, Counter>,
    importer: Importer<Program>,
    disk: Disk,
    epoch: u32,
}

impl Both {
    fn new() -> Self {
        let memory = Words::new();
        let bells = [Counter::default(), Counter::default()];
        let disk = Disk::new();
        Self {
            exporting: End::new(Link::new(memory.clone(), 0, 1), bells[0].clone()),
            exporter: exporter(&disk),
            importing: End::new(Link::new(memory.clone(), 1, 1), bells[1].clone()),
            importer: Importer::new(),
            memory,
            bells,
            disk,
            epoch: 1,
        }
    }

    /// Both are attended to as long as either rings: a bell that is not rung when it should be shows.
    fn settle(&mut self) {
        let rings = |bells: &[Counter; 2]| [0, 1].map(|end| bells[end].rings.get());
        self.importing.attend(&mut self.importer);
        let mut before = [0; 2];
        loop {
            let now = rings(&self.bells);
            if now == before {
                return;
            }
            if now[1] > before[1] {
                self.exporting.attend(&mut self.exporter);
            }
            if now[0] > before[0] {
                self.importing.attend(&mut self.importer);
            }
            before = now;
        }
    }

    /// The exporting program is killed and started anew.
    fn new_exporter(&mut self) {
        self.epoch += 1;
        let link = Link::new(self.memory.clone(), 0, self.epoch);
        self.exporting = End::new(link, self.bells[0].clone());
        self.exporter = exporter(&self.disk);
    }
}

fn exporter(disk: &Disk) -> Exporter<Disk> {
    Exporter::new(disk.clone(), vec!["disk:0".into(), "disk:1".into()])
}

#[test]
fn a_disk_there_is_a_disk_here() {
    let mut both = Both::new();
    let disk = both.importer.open("disk:0".into(), 0).unwrap();
    let (caller, memory, answer) = program(&[0; SIZE]);
    both.importer
        .request(&disk, READ, [DATA as u64 + 3, 0, 0, 0], caller);
    both.settle();
    // No more than fits into a message, as if the disk had read less.
    assert_eq!(answer.get(), Some(Ok([DATA as u64, 0, 0, 0])));
    assert_eq!(
        memory.borrow()[..DATA],
        both.disk.0.borrow()[DATA + 3..][..DATA]
    );

    let (caller, _, answer) = program(b"text");
    both.importer.request(&disk, WRITE, [5, 0, 0, 0], caller);
    both.settle();
    assert_eq!(answer.get(), Some(Ok([4, 0, 0, 0])));
    assert_eq!(both.disk.0.borrow()[4..10], *b"\x04text\x09");

    for (label, offset, expected) in [
        (STAT, 0, Ok(Stat::block(SIZE as u64).to_words())),
        (SYNC, 0, Ok([0; 4])),
        (READ, SIZE as u64, Ok([0; 4])),
        (READ, u64::MAX, Err(IoError::BeyondEnd)),
        (WRITE, SIZE as u64 + 1, Err(IoError::BeyondEnd)),
        (ECHO + 1, 0, Err(IoError::BadRequest)),
    ] {
        let (caller, _, answer) = program(b"text");
        both.importer
            .request(&disk, label, [offset, 0, 0, 0], caller);
        both.settle();
        assert_eq!(answer.get(), Some(expected), "{label} at {offset}");
    }
    assert_eq!((both.exporting.broken(), both.importing.broken()), (0, 0));
}

#[test]
fn what_cannot_be_opened_says_so_at_the_first_request() {
    let mut both = Both::new();
    let long = "x".repeat(DATA + 1);
    for (name, error) in [
        ("disk:1", IoError::NoDevice),
        ("disk:2", IoError::NotFound),
        ("", IoError::NotFound),
        (&long, IoError::BadRequest),
    ] {
        let session = both.importer.open(name.into(), u64::MAX).unwrap();
        let (caller, _, answer) = program(&[0; 8]);
        both.importer.request(&session, READ, [0; 4], caller);
        both.settle();
        assert_eq!(answer.get(), Some(Err(error)), "{name}");
        both.importer.close(session);
        both.settle();
    }
}

#[test]
fn sessions_are_numbered_as_long_as_there_are_numbers() {
    let mut both = Both::new();
    for _ in 0..3 {
        let open = |_| both.importer.open("disk:0".into(), 0).unwrap();
        let sessions: Vec<_> = (0..SESSIONS).map(open).collect();
        assert_eq!(
            both.importer.open("disk:0".into(), 0),
            Err(IoError::TooManySessions)
        );
        both.settle();
        assert_eq!(both.exporter.open_names(), SESSIONS);
        for session in sessions {
            both.importer.close(session);
        }
        // A number is in use until the other end says that it is not.
        assert_eq!(
            both.importer.open("disk:0".into(), 0),
            Err(IoError::TooManySessions)
        );
        both.settle();
        assert_eq!(both.exporter.open_names(), 0);
    }
}

/// More requests than a ring has slots, of callers some of which die.
#[test]
fn every_caller_is_answered_once() {
    let mut both = Both::new();
    let disk = both.importer.open("disk:0".into(), 0).unwrap();
    let mut callers = Vec::new();
    for index in 0..5 * SLOTS as usize {
        let (caller, memory, answer) = program(&[0; 7]);
        callers.push((memory, answer, caller.alive.clone()));
        both.importer
            .request(&disk, READ, [index as u64, 0, 0, 0], caller);
    }
    both.importing.attend(&mut both.importer);
    for (_, _, alive) in callers.iter().step_by(3) {
        alive.set(false);
    }
    both.importer.forget_dead();
    both.settle();
    for (index, (memory, answer, alive)) in callers.iter().enumerate() {
        if alive.get() {
            assert_eq!(answer.get(), Some(Ok([7, 0, 0, 0])));
            assert_eq!(memory.borrow()[..], both.disk.0.borrow()[index..index + 7]);
        } else {
            assert_eq!(answer.get(), None);
        }
    }
    assert!(!both.importer.has_queue());
}

/// The exporting program, or its instance, is no more; and then there is another one.
#[test]
fn a_dead_partner_is_noticed_and_a_new_one_serves() {
    for instance_dies in [false, true] {
        let mut both = Both::new();
        let disk = both.importer.open("disk:0".into(), 0).unwrap();
        both.settle();
        let (caller, _, answer) = program(&[0; 8]);
        both.importer.request(&disk, READ, [0; 4], caller);
        both.importing.attend(&mut both.importer);
        assert_eq!(answer.get(), None);
        if instance_dies {
            both.bells[1].who.set(1);
            both.importing.attend(&mut both.importer);
            assert_eq!(answer.get(), Some(Err(IoError::PartnerDied)));
            // Its end in memory looks as if it were alive.
            both.importing.attend(&mut both.importer);
            assert!(!both.importing.link.is_up());
        }
        both.new_exporter();
        both.settle();
        assert_eq!(answer.get(), Some(Err(IoError::PartnerDied)));
        assert_eq!(both.importer.check(&disk), Err(IoError::PartnerDied));
        both.importer.close(disk);

        let disk = both.importer.open("disk:0".into(), 0).unwrap();
        let (caller, _, answer) = program(&[0; 8]);
        both.importer.request(&disk, READ, [0; 4], caller);
        both.settle();
        assert_eq!(answer.get(), Some(Ok([8, 0, 0, 0])));
        assert_eq!(both.exporter.open_names(), 1);
    }
}

/// The importing program is no more: nothing of it stays open.
#[test]
fn sessions_end_with_their_importer() {
    let mut both = Both::new();
    both.importer.open("disk:0".into(), 0).unwrap();
    both.settle();
    assert_eq!(both.exporter.open_names(), 1);
    both.importing = End::new(Link::new(both.memory.clone(), 1, 99), both.bells[1].clone());
    both.importer = Importer::new();
    both.settle();
    both.exporting.attend(&mut both.exporter);
    assert_eq!(both.exporter.open_names(), 0);
}

/// Requests that wait for a partner which does not come can be given up.
#[test]
fn waiting_can_end() {
    let memory = Words::new();
    let mut end = End::new(Link::new(memory, 1, 1), Counter::default());
    let mut importer = Importer::new();
    let session = importer.open("disk:0".into(), 0).unwrap();
    let (caller, _, answer) = program(&[0; 8]);
    importer.request(&session, READ, [0; 4], caller);
    end.attend(&mut importer);
    assert!(importer.has_queue() && answer.get().is_none());
    importer.fail(IoError::TimedOut);
    assert_eq!(answer.get(), Some(Err(IoError::TimedOut)));
    assert!(!importer.has_queue());
}

/// Answers that cannot be are not passed on.
#[test]
fn answers_are_checked() {
    /// What is done to a good answer.
    type Spoil = fn(&mut Message);
    let nonsense: [(u32, Spoil); 6] = [
        (READ, |answer| answer.id += 1),
        (READ, |answer| answer.id = u32::MAX),
        (READ, |answer| answer.length = 9),
        (WRITE, |answer| answer.words[0] = 9),
        (WRITE, |answer| answer.words[0] = 0),
        (WRITE, |answer| answer.words[0] = u64::MAX),
    ];
    for (label, change) in nonsense {
        let memory = Words::new();
        let mut end = End::new(Link::new(memory.clone(), 1, 1), Counter::default());
        let mut importer = Importer::new();
        let mut other = Link::new(memory, 0, 1);
        other.look();
        end.attend(&mut importer);
        other.look();
        let session = importer.open("disk:0".into(), 0).unwrap();
        let (caller, _, answer) = program(&[0; 8]);
        importer.request(&session, label, [0; 4], caller);
        end.attend(&mut importer);
        let mut bytes = [0; DATA];
        for _ in 0..2 {
            let request = other.receive(&mut bytes).unwrap().unwrap();
            assert_ne!(request.label, CLOSE);
            let mut reply = Message {
                label: 0,
                length: 0,
                words: [8, 0, 0, 0],
                ..request
            };
            if request.label == label {
                change(&mut reply);
            }
            other.send(&reply, &bytes).unwrap();
        }
        end.attend(&mut importer);
        assert_eq!(answer.get(), Some(Err(IoError::PartnerDied)));
        assert_eq!(end.broken(), 1);
    }
}
