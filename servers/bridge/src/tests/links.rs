//! The rings and the epochs.

use super::{Random, Words};
use crate::link::{Link, Message, Trouble};
use crate::memory::{DATA, SLOTS};

/// Two ends that have seen each other.
fn pair() -> [Link<Words>; 2] {
    let memory = Words::new();
    let mut ends = [0, 1].map(|end| Link::new(memory.clone(), end, 7 + end));
    while !ends.iter().all(Link::is_up) {
        ends.iter_mut().for_each(|end| {
            end.look();
        });
    }
    ends
}

fn message(id: u32, length: u32) -> Message {
    Message {
        id,
        session: !id,
        label: id ^ 0x55,
        length,
        words: [u64::from(id), 1, u64::MAX, 3],
    }
}

#[test]
fn messages_arrive_as_they_were_sent_and_in_order() {
    let [mut one, mut other] = pair();
    let mut bytes = [0; DATA];
    assert_eq!(other.receive(&mut bytes), Ok(None));
    for round in 0..5 * SLOTS {
        for part in 0..=round % SLOTS {
            let id = round << 8 | part;
            let data = vec![id as u8; id as usize % (DATA + 1)];
            one.send(&message(id, data.len() as u32), &data).unwrap();
        }
        for part in 0..=round % SLOTS {
            let id = round << 8 | part;
            let length = id % (DATA as u32 + 1);
            assert_eq!(other.receive(&mut bytes), Ok(Some(message(id, length))));
            assert!(
                bytes[..length as usize]
                    .iter()
                    .all(|&byte| byte == id as u8)
            );
        }
        assert_eq!(other.receive(&mut bytes), Ok(None));
    }
}

#[test]
fn a_ring_has_so_many_slots() {
    let [mut one, mut other] = pair();
    for id in 0..SLOTS {
        one.send(&message(id, 0), &[]).unwrap();
    }
    assert_eq!(one.send(&message(9, 0), &[]), Err(Trouble::Full));
    other.receive(&mut [0; DATA]).unwrap().unwrap();
    assert_eq!(one.send(&message(9, 0), &[]), Ok(()));
}

#[test]
fn an_end_that_is_alone_waits() {
    let memory = Words::new();
    let mut one = Link::new(memory.clone(), 0, 1);
    assert_eq!(one.look(), Default::default());
    assert!(!one.is_up());
    // A predecessor's number, and what it has seen, are still there.
    let mut other = Link::new(memory.clone(), 1, 2);
    other.look();
    assert!(one.look().ring && one.is_up());
    other.look();
    drop(other);
    one.restart();
    one.look();
    assert!(!one.is_up(), "nobody is there who could have seen it");
    let mut other = Link::new(memory, 1, 3);
    other.look();
    assert!(one.look().ring && one.is_up());
}

/// Ends that begin anew at any moment never get what was meant for others, and lose nothing else.
#[test]
fn nobody_reads_what_was_meant_for_a_predecessor() {
    for mut random in Random::seeds(200) {
        let memory = Words::new();
        let mut epoch = 1;
        let mut ends = [0, 1].map(|end| Link::new(memory.clone(), end, epoch));
        // Who began how often, and what each has sent since it came up, and received.
        let (mut lives, mut sent, mut received) = ([0u64; 2], [0u64; 2], [0u64; 2]);
        let mut partners = [None; 2];
        for _ in 0..2000 {
            let end = random.below(2);
            let other = 1 - end;
            match random.below(20) {
                0 => {
                    // Beginning anew by itself, an end counts on.
                    epoch += 10_000;
                    ends[end] = Link::new(memory.clone(), end as u32, epoch);
                    lives[end] += 1;
                    partners[end] = None;
                }
                1 => {
                    ends[end].restart();
                    lives[end] += 1;
                    partners[end] = None;
                }
                2..8 => {
                    let was_up = ends[end].is_up();
                    let change = ends[end].look();
                    assert!(!change.lost || was_up);
                    if ends[end].is_up() && (!was_up || change.lost) {
                        (sent[end], received[end]) = (0, 0);
                        partners[end] = Some(lives[other]);
                    }
                }
                8..14 if ends[end].is_up() => {
                    let text = Message {
                        words: [lives[end], partners[end].unwrap(), sent[end], 0],
                        ..Message::default()
                    };
                    // An end that has begun anew and was not looked at since has wild counters.
                    if ends[end].send(&text, &[]) == Ok(()) {
                        sent[end] += 1;
                    }
                }
                _ if ends[end].is_up() => {
                    let got = ends[end].receive(&mut [0; DATA]);
                    if let Ok(Some(message)) = got {
                        let [from, to, number, _] = message.words;
                        assert_eq!((Some(from), to), (partners[end], lives[end]));
                        assert_eq!(number, received[end]);
                        received[end] += 1;
                    }
                }
                _ => {}
            }
        }
        // Left alone, they find each other.
        for _ in 0..4 {
            ends.iter_mut().for_each(|end| {
                end.look();
            });
        }
        assert!(ends.iter().all(Link::is_up));
        let [one, other] = &mut ends;
        while one.receive(&mut [0; DATA]).unwrap().is_some() {}
        while other.receive(&mut [0; DATA]).unwrap().is_some() {}
        one.send(&message(1, 3), &[1, 2, 3]).unwrap();
        assert_eq!(other.receive(&mut [0; DATA]), Ok(Some(message(1, 3))));
    }
}

/// Both ends at once, each in a thread of its own, one of which begins anew now and then.
#[test]
fn two_threads() {
    const MESSAGES: u32 = 20_000;
    let memory = Words::new();
    let theirs = memory.clone();
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || {
            let mut link = Link::new(theirs, 1, 1);
            let mut bytes = [0; DATA];
            loop {
                link.look();
                match if link.is_up() {
                    link.receive(&mut bytes)
                } else {
                    Ok(None)
                } {
                    Ok(Some(message)) if message.label == 1 => return,
                    Ok(Some(message)) => {
                        if link.send(&message, &bytes).is_err() {
                            link.restart();
                        }
                    }
                    Ok(None) => std::thread::yield_now(),
                    Err(_) => link.restart(),
                }
            }
        });
        let mut link = Link::new(memory.clone(), 0, 1);
        let (mut next, mut awaited, mut epoch) = (0, 0, 1);
        let mut bytes = [0; DATA];
        while awaited < MESSAGES {
            if link.look().lost {
                awaited = next;
            }
            if !link.is_up() {
                std::thread::yield_now();
                continue;
            }
            let data = [next as u8; 100];
            let text = Message {
                id: next,
                length: next % 100,
                ..Message::default()
            };
            // The other end has broken off only if this one has.
            match link.send(&text, &data) {
                Ok(()) => next += 1,
                Err(Trouble::Full) => std::thread::yield_now(),
                Err(Trouble::Broken) => continue,
            }
            if let Ok(Some(answer)) = link.receive(&mut bytes) {
                assert_eq!((answer.id, answer.length), (awaited, awaited % 100));
                let data = &bytes[..answer.length as usize];
                assert!(data.iter().all(|&byte| byte == awaited as u8));
                awaited += 1;
            }
            if next.is_multiple_of(1000) {
                epoch += 1;
                link = Link::new(memory.clone(), 0, epoch);
                (awaited, next) = (next + 1, next + 1);
            }
        }
        let last = Message {
            label: 1,
            ..Message::default()
        };
        loop {
            link.look();
            while link.is_up() && matches!(link.receive(&mut bytes), Ok(Some(_))) {}
            if link.is_up() && link.send(&last, &[]).is_ok() {
                break;
            }
        }
        echo.join().unwrap();
    });
}
