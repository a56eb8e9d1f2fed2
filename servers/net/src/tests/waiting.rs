//! Who waits, and for what; and what comes that nobody waited for.

use super::Random;
use crate::fake::{Client, World};
use crate::name::Host;
use crate::ping;
use crate::session::Work;
use crate::stack::Answer;
use libsys::proto::io::{IoError, READABLE, WRITABLE};
use smoltcp::time::Duration;

#[test]
fn readiness() {
    let mut world = World::new();
    let (near, far) = world.connected();
    assert_eq!(
        world.ask(0, near, Work::Wait(READABLE | WRITABLE), &Client::new(&[])),
        Ok(WRITABLE)
    );
    world.stacks[1].subscribe(far, 42, READABLE);
    let events = Client::new(&[0; 32]);
    world.stacks[1].wait_for_events(1, None, events.clone(), world.now);
    world.pass(Duration::from_secs(10));
    assert_eq!(events.answer(), None);
    world.write(0, near, b"x").unwrap();
    assert_eq!(events.answer(), Some(Ok(Answer::Count(1))));
    assert_eq!(
        events.memory()[..16],
        [&42u64.to_le_bytes()[..], &READABLE.to_le_bytes()].concat()
    );
    assert_eq!(
        world.stacks[1].events(1, &Client::new(&[0; 16])),
        Ok(1),
        "told again"
    );
    assert_eq!(
        world.stacks[1].events(2, &Client::new(&[0; 16])),
        Ok(0),
        "another client's are not"
    );
    assert_eq!(
        world.stacks[1].events(1, &Client::new(&[0; 15])),
        Err(IoError::BadBuffer)
    );
    world.read(1, far, 9).unwrap();
    let timed = Client::new(&[0; 32]);
    let until = world.now + Duration::from_secs(1);
    world.stacks[1].wait_for_events(1, Some(until), timed.clone(), world.now);
    world.pass(Duration::from_secs(1));
    assert_eq!(timed.answer(), Some(Ok(Answer::Count(0))));
    // The end counts as readable.
    world.stacks[0].close(near, world.now);
    world.settle();
    assert_eq!(world.stacks[1].events(1, &Client::new(&[0; 16])), Ok(1));
    world.stacks[1].subscribe(far, 42, 0);
    assert_eq!(world.stacks[1].events(1, &Client::new(&[0; 16])), Ok(0));
}

#[test]
fn memory_that_is_not_there_loses_nothing() {
    let mut world = World::new();
    let (near, far) = world.connected();
    assert_eq!(
        world.ask(0, near, Work::Write, &Client::broken(10)),
        Err(IoError::BadBuffer)
    );
    world.write(0, near, b"kept").unwrap();
    assert_eq!(
        world.ask(1, far, Work::Read, &Client::broken(10)),
        Err(IoError::BadBuffer)
    );
    assert_eq!(world.read(1, far, 10), Ok(b"kept".to_vec()));
}

#[test]
fn those_who_wait_are_told_or_forgotten() {
    let mut world = World::new();
    let (near, far) = world.connected();
    let waits: Vec<Client> = (0..32).map(|_| Client::new(&[0; 8])).collect();
    for client in &waits {
        world.stacks[0].wait(near, Work::Read, client.clone(), world.now);
    }
    waits[0].die();
    world.stacks[0].forget_dead();
    world.write(1, far, b"x").unwrap();
    assert_eq!(waits[1].answer(), Some(Ok(Answer::Count(1))));
    world.stacks[0].close(near, world.now);
    assert!(
        waits[2..]
            .iter()
            .all(|client| client.answer() == Some(Err(IoError::BadRequest)))
    );
}

#[test]
fn echoes_for_the_dead_are_forgotten() {
    let mut world = World::new();
    let until = world.now + Duration::from_secs(1_000_000);
    let clients: Vec<Client> = (0..ping::MOST).map(|_| Client::new(&[])).collect();
    for (client, host) in clients
        .iter()
        .zip(["10.0.0.9", "slow.example"].iter().cycle())
    {
        let host = Host::parse(host).unwrap();
        world.stacks[0].ping(1, client.clone(), host, until, world.now);
    }
    assert!(!world.stacks[0].may_ping(1));
    clients[1..].iter().for_each(Client::die);
    world.stacks[0].forget_dead();
    assert!(world.stacks[0].may_ping(1));
    world.pass(Duration::from_secs(1_000_001));
    assert_eq!(clients[0].answer(), Some(Err(IoError::TimedOut)));
    assert!(clients[1..].iter().all(|client| client.answer().is_none()));
}

#[test]
fn a_full_device_is_waited_for() {
    let mut world = World::new();
    let (near, far) = world.connected();
    world.pass(Duration::from_secs(1));
    world.out[0].room.set(0);
    assert_eq!(world.write(0, near, b"later"), Ok(5), "into the buffer");
    let deadline = world.stacks[0].deadline();
    assert!(
        deadline.is_none_or(|deadline| deadline > world.now),
        "it does not spin"
    );
    world.out[0].room.set(usize::MAX);
    assert_eq!(world.read(1, far, 9), Ok(b"later".to_vec()));
}

#[test]
fn garbage_from_the_network_harms_nobody() {
    let mut world = World::new();
    let tap = world.open(1, "net:").unwrap();
    let (near, far) = world.connected();
    world.write(0, near, b"a frame to be spoilt").unwrap();
    let mut frames = Vec::new();
    while let Some(Ok(count)) = {
        let client = Client::new(&[0; 1514]);
        let result = world.stacks[1].attempt(tap, Work::Read, &client, world.now);
        result.map(|result| result.map(|count| client.memory()[..count as usize].to_vec()))
    } {
        frames.push(count);
    }
    assert!(frames.len() > 3, "{}", frames.len());
    let mut random = Random(0xfeed);
    for _ in 0..20_000 {
        let mut frame = frames[random.below(frames.len())].clone();
        match random.below(3) {
            0 => frame.truncate(random.below(frame.len() + 1)),
            1 => frame.extend((0..random.below(200)).map(|i| i as u8)),
            _ => {}
        }
        // Behind the Ethernet addresses, so that it is looked at.
        for _ in 0..random.below(4) {
            if frame.len() > 12 {
                let at = 12 + random.below(frame.len() - 12);
                frame[at] = random.below(256) as u8;
            }
        }
        world.inject(1, &frame);
        world.settle();
    }
    world.stacks[1].close(tap, world.now);
    // A spoilt segment may have broken the connection, as on any network without cryptography; others are fine.
    world.stacks[0].close(near, world.now);
    world.stacks[1].close(far, world.now);
    world.pass(Duration::from_secs(100));
    let (near, far) = world.connected();
    world.write(0, near, b"alive").unwrap();
    assert_eq!(world.read(1, far, 9), Ok(b"alive".to_vec()));
}
