//! TCP.

use super::Random;
use crate::fake::{Client, World};
use crate::session::Work;
use crate::{frames, tcp, udp};
use libsys::proto::io::IoError;
use libsys::proto::net::Source;
use smoltcp::time::Duration;

#[test]
fn arguments_count_when_no_dhcp_server_answers() {
    let mut world = World::new();
    let status = world.stacks[0].status();
    assert_eq!(status.source, Source::Arguments);
    assert_eq!(status.address, Some(([10, 0, 0, 1], 24)));
    assert_eq!(
        (status.gateway, status.dns),
        (Some([10, 0, 0, 2]), vec![[10, 0, 0, 2]])
    );
    assert!(status.frames.1 > 0, "it has asked");
}

#[test]
fn a_long_transfer_is_whole() {
    let mut world = World::new();
    let (near, far) = world.connected();
    let sent: Vec<u8> = (0..300_000u32).map(|i| (i ^ i >> 8) as u8).collect();
    let (mut random, mut at, mut received) = (Random(99), 0, Vec::new());
    let mut blocked = 0;
    while received.len() < sent.len() {
        if at < sent.len() {
            let end = (at + 1 + random.below(20_000)).min(sent.len());
            let writer = Client::new(&sent[at..end]);
            match world.stacks[0].attempt(near, Work::Write, &writer, world.now) {
                Some(result) => at += result.unwrap() as usize,
                None => blocked += 1,
            }
        }
        world.settle();
        if random.below(3) == 0 || at == sent.len() {
            let most = 1 + random.below(30_000);
            received.extend(world.read(1, far, most).unwrap());
        }
        if at == sent.len() {
            // Once only, and it changes nothing for what is on its way.
            let _ = world.stacks[0].finish(near, world.now);
        }
    }
    assert!(received == sent && blocked > 0, "{blocked}");
    assert_eq!(world.read(1, far, 10), Ok(vec![]), "the end");
    assert_eq!(
        world.write(0, near, b"more"),
        Err(IoError::BadRequest),
        "it said that no more comes"
    );
    assert_eq!(
        world.write(1, far, b"answer"),
        Ok(6),
        "the other half is open"
    );
    assert_eq!(world.read(0, near, 10), Ok(b"answer".to_vec()));
}

#[test]
fn failures_have_names() {
    let mut world = World::new();
    let refused = world.open(0, "tcp:10.0.0.2:81").unwrap();
    assert_eq!(world.read(0, refused, 10), Err(IoError::Refused));
    assert_eq!(
        world.write(0, refused, b"x"),
        Err(IoError::Refused),
        "and stays so"
    );
    let silent = world.open(0, "tcp:10.0.0.77:80").unwrap();
    assert_eq!(world.read(0, silent, 10), Err(IoError::TimedOut));
    let nowhere = world.open(0, "tcp:0.0.0.0:80").unwrap();
    assert_eq!(world.read(0, nowhere, 10), Err(IoError::NotFound));
    let (near, far) = world.connected();
    world.write(0, near, b"never read").unwrap();
    world.stacks[1].close(far, world.now);
    assert_eq!(
        world.read(0, near, 10),
        Err(IoError::Reset),
        "closed with unread bytes"
    );
    for name in ["tcp:nonsense", "ftp:a:1", "tcp:accepted:7"] {
        assert_eq!(world.open(0, name), Err(IoError::NotFound), "{name}");
    }
    assert_eq!(
        world.read(0, 12_345, 10),
        Err(IoError::BadRequest),
        "no session"
    );
}

#[test]
fn many_connect_at_once() {
    let mut world = World::new();
    let listener = world.open(1, "tcp:listen:80").unwrap();
    assert_eq!(world.open(1, "tcp:listen:80"), Err(IoError::InUse));
    let near: Vec<u32> = (0..60)
        .map(|_| {
            world.stacks[0]
                .open("tcp:10.0.0.2:80", 1, world.now)
                .unwrap()
        })
        .collect();
    world.settle();
    let far: Vec<u32> = near
        .iter()
        .map(|_| world.accept(1, listener).unwrap())
        .collect();
    for (number, session) in near.iter().enumerate() {
        assert_eq!(world.write(0, *session, &[number as u8]), Ok(1));
    }
    let mut seen: Vec<u8> = far
        .iter()
        .map(|session| world.read(1, *session, 9).unwrap()[0])
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..60).collect::<Vec<u8>>());
    // Another program does not get what this one has accepted.
    let one_more = world.open(0, "tcp:10.0.0.2:80").unwrap();
    let name = String::from_utf8(world.read(1, listener, 64).unwrap()).unwrap();
    assert_eq!(
        world.stacks[1].open(&name, 2, world.now),
        Err(IoError::NotFound)
    );
    let accepted = world.open(1, &name).unwrap();
    assert_eq!(world.open(1, &name), Err(IoError::NotFound), "once only");
    assert_eq!(world.write(1, accepted, b"hello"), Ok(5));
    assert_eq!(world.read(0, one_more, 5), Ok(b"hello".to_vec()));
    // All of it comes back.
    for (near, far) in near.into_iter().zip(far) {
        world.stacks[0].close(near, world.now);
        world.stacks[1].close(far, world.now);
    }
    for (stack, session) in [(0, one_more), (1, accepted), (1, listener)] {
        world.stacks[stack].close(session, world.now);
    }
    world.pass(Duration::from_secs(60));
    for stack in &mut world.stacks {
        assert_eq!(stack.status().sessions, (0, 0));
    }
}

#[test]
fn sockets_run_out_and_come_back() {
    let mut world = World::new();
    let open = |world: &mut World| world.stacks[0].open("tcp:10.0.0.2:9", 1, world.now);
    let all: Vec<u32> = (0..tcp::MOST).map(|_| open(&mut world).unwrap()).collect();
    assert_eq!(open(&mut world), Err(IoError::OutOfMemory));
    assert_eq!(world.open(0, "tcp:listen:80"), Err(IoError::OutOfMemory));
    world.stacks[0].close(all[0], world.now);
    world.settle();
    open(&mut world).expect("there is room again");
}

#[test]
fn what_one_client_takes_another_still_gets() {
    const CLIENTS: usize = 3;
    let mut world = World::shared_by(CLIENTS);
    let mut first = Vec::new();
    for (name, most) in [
        ("tcp:10.0.0.2:9", tcp::MOST),
        ("udp:10.0.0.2:9", udp::MOST),
        ("net:", frames::MOST),
    ] {
        let share = most / CLIENTS;
        for client in 1..=CLIENTS as u32 {
            let opened: Vec<u32> = (0..share)
                .map(|_| world.stacks[0].open(name, client, world.now).unwrap())
                .collect();
            let more = world.stacks[0].open(name, client, world.now);
            assert_eq!(more, Err(IoError::OutOfMemory), "{name}");
            // What lingers is its own, too, and makes room.
            world.stacks[0].close(opened[0], world.now);
            let again = world.stacks[0].open(name, client, world.now).unwrap();
            if client == 1 {
                first.extend_from_slice(&opened[1..]);
                first.push(again);
            }
        }
    }
    // A program that is no more leaves connections that linger; its successor has another number.
    for session in first {
        world.stacks[0].close(session, world.now);
    }
    for _ in 0..tcp::MOST / CLIENTS {
        world.stacks[0]
            .open("tcp:10.0.0.2:9", 4, world.now)
            .unwrap();
    }
}
