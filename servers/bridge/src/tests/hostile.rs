//! Whoever is at the other end writes what it likes, where it likes, whenever it likes.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use libsys::proto::io::{CLOSE, OPEN, READ, STAT, SYNC, WRITE};

use super::requests::{Disk, program};
use super::{Counter, Random, Words};
use crate::end::End;
use crate::export::{ECHO, Exporter, SESSIONS};
use crate::import::Importer;
use crate::link::{Link, Message};
use crate::memory::{DATA, HALF, Memory, SLOTS, header};

/// Something that could be taken for a number of this protocol.
fn number(random: &mut Random) -> u32 {
    match random.below(6) {
        0 => random.next() as u32,
        1 => 0,
        2 => u32::MAX,
        3 => DATA as u32 + random.below(3) as u32,
        4 => random.below(40) as u32,
        _ => random.below(1000) as u32,
    }
}

/// Writes somewhere: most often where it matters.
fn scribble(memory: &mut Words, random: &mut Random) {
    let half = HALF * random.below(2);
    let at = match random.below(4) {
        0 => 4 * random.below(4),
        1 => 4 * random.below(HALF / 4),
        _ => header(random.below(SLOTS as usize) as u32) + 4 * random.below(12),
    };
    let value = match random.below(3) {
        // A counter that is nearly right.
        0 => memory.load(half + at).wrapping_add(random.below(10) as u32),
        _ => number(random),
    };
    memory.store(half + at, value);
}

/// A request, or an answer, that may make sense.
fn message(random: &mut Random) -> Message {
    let labels = [OPEN, READ, WRITE, STAT, SYNC, CLOSE, ECHO, number(random)];
    Message {
        id: number(random),
        session: number(random) % (SESSIONS as u32 + 3),
        label: labels[random.below(labels.len())],
        length: random.below(DATA + 1) as u32,
        words: [0; 4].map(|_: u64| number(random).into()),
    }
}

/// An end that knows the rules, and another that may not keep to them, do this many things.
const STEPS: usize = 3000;

#[test]
fn an_exporter_survives_and_then_serves() {
    for mut random in Random::seeds(40) {
        let mut memory = Words::new();
        let disk = Disk::new();
        let mut exporter = Exporter::new(disk.clone(), vec!["disk:0".into()]);
        let mut end = End::new(Link::new(memory.clone(), 0, 1), Counter::default());
        let mut hostile = Link::new(memory.clone(), 1, 1);
        for _ in 0..STEPS {
            match random.below(8) {
                0 => scribble(&mut memory, &mut random),
                1 => drop(hostile.look()),
                2 => hostile.restart(),
                3 => drop(hostile.receive(&mut [0; DATA])),
                4..6 => {
                    let mut bytes = [random.next() as u8; DATA];
                    bytes[..6].copy_from_slice(b"disk:0");
                    let mut text = message(&mut random);
                    if text.label == OPEN && random.below(2) == 0 {
                        text.length = 6;
                    }
                    let _ = hostile.send(&text, &bytes);
                }
                _ => end.attend(&mut exporter),
            }
            assert!(exporter.open_names() <= SESSIONS);
        }
        // Then somebody is there who keeps to the rules.
        let mut honest = End::new(Link::new(memory.clone(), 1, 1 << 31), Counter::default());
        let mut importer = Importer::new();
        let session = importer.open("disk:0".into(), 0).unwrap();
        let (caller, lent, answer) = program(&[0; 64]);
        importer.request(&session, READ, [1, 0, 0, 0], caller);
        for _ in 0..6 {
            end.attend(&mut exporter);
            honest.attend(&mut importer);
        }
        assert_eq!(answer.get(), Some(Ok([64, 0, 0, 0])));
        assert_eq!(lent.borrow()[..], disk.0.borrow()[1..65]);
        assert!(honest.link.is_up());
    }
}

#[test]
fn an_importer_survives_and_answers_everybody() {
    for mut random in Random::seeds(40) {
        let mut memory = Words::new();
        let bell = Counter::default();
        let mut importer = Importer::new();
        let mut end = End::new(Link::new(memory.clone(), 1, 1), bell.clone());
        let mut hostile = Link::new(memory.clone(), 0, 1);
        let mut sessions = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..STEPS {
            match random.below(10) {
                0 => scribble(&mut memory, &mut random),
                1 => drop(hostile.look()),
                2 => {
                    let _ = hostile.send(&message(&mut random), &[1; DATA]);
                }
                3 => bell.who.set(bell.who.get() + random.below(2) as u32),
                4..6 => {
                    if let Ok(Some(request)) = hostile.receive(&mut [0; DATA]) {
                        let mut answer = message(&mut random);
                        (answer.id, answer.label) = (request.id, random.below(2) as u32);
                        let _ = hostile.send(&answer, &[2; DATA]);
                    }
                }
                6 => sessions.extend(importer.open("disk:0".into(), 0)),
                7 if !sessions.is_empty() => {
                    let session = sessions[random.below(sessions.len())];
                    if importer.check(&session).is_ok() {
                        let labels = [READ, WRITE, STAT, SYNC];
                        let (caller, _, answer) = program(&vec![0; random.below(2 * DATA)]);
                        answers.push(answer);
                        importer.request(&session, labels[random.below(4)], [0; 4], caller);
                    }
                }
                8 if !sessions.is_empty() => {
                    importer.close(sessions.swap_remove(random.below(sessions.len())));
                }
                _ => end.attend(&mut importer),
            }
        }
        importer.fail(libsys::proto::io::IoError::PartnerDied);
        assert!(answers.iter().all(|answer| answer.get().is_some()));
        assert!(!importer.has_queue());
    }
}

/// The memory changes while it is read.
#[test]
fn an_attacker_with_a_processor_of_its_own() {
    let memory = Words::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (mut theirs, done) = (memory.clone(), &done);
        scope.spawn(move || {
            let mut random = Random(0x5eed);
            while !done.load(SeqCst) {
                scribble(&mut theirs, &mut random);
            }
        });
        let mut exporter = Exporter::new(Disk::new(), vec!["disk:0".into()]);
        let mut end = End::new(Link::new(memory.clone(), 0, 1), Counter::default());
        for _ in 0..20_000 {
            end.attend(&mut exporter);
        }
        assert!(exporter.open_names() <= SESSIONS);
        done.store(true, SeqCst);
    });
}
