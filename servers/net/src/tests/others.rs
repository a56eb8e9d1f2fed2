//! UDP, names, echoes and frames.

use crate::fake::{Client, World};
use crate::session::Work;
use crate::stack::Answer;
use libsys::proto::io::IoError;
use libsys::proto::net::Peer;
use smoltcp::time::Duration;

#[test]
fn datagrams() {
    let mut world = World::new();
    let server = world.open(1, "udp:listen:53").unwrap();
    assert_eq!(world.open(1, "udp:listen:53"), Err(IoError::InUse));
    let client = world.open(0, "udp:10.0.0.2:53").unwrap();
    assert_eq!(world.write(0, client, b"question"), Ok(8));
    let small = Client::new(&[0; 13]);
    assert_eq!(
        world.ask(1, server, Work::Read, &small),
        Err(IoError::BadBuffer),
        "and it is kept"
    );
    let question = world.read(1, server, 100).unwrap();
    let peer = Peer::from_bytes(question[..6].try_into().unwrap());
    assert_eq!(
        (peer.address, &question[6..]),
        ([10, 0, 0, 1], &b"question"[..])
    );
    // From another port of the same host: not the peer.
    let stranger = world.open(1, "udp:listen:54").unwrap();
    let to = |text: &[u8]| [&peer.to_bytes()[..], text].concat();
    assert_eq!(world.write(1, stranger, &to(b"wrong")), Ok(11));
    assert_eq!(world.write(1, server, &to(b"answer")), Ok(12));
    assert_eq!(world.read(0, client, 100), Ok(b"answer".to_vec()));
    assert_eq!(
        world.write(1, server, b"short"),
        Err(IoError::BadRequest),
        "no address"
    );
    assert_eq!(
        world.write(1, server, &[0; 6]),
        Err(IoError::BadRequest),
        "nobody's address"
    );
    assert_eq!(
        world.write(0, client, &[0; 1473]),
        Err(IoError::BadRequest),
        "too long for a frame"
    );
    assert_eq!(world.write(0, client, &[7; 1472]), Ok(1472));
    assert_eq!(world.read(1, server, 2000).unwrap().len(), 1478);
}

/// Answers the next question that DNS server `server` reads: with an address, or that there is no such name.
fn answer_dns(world: &mut World, server: u32, address: Option<[u8; 4]>) -> Vec<u8> {
    let question = world.read(1, server, 600).unwrap();
    let (peer, question) = question.split_at(Peer::SIZE);
    let mut answer = question.to_vec();
    // A response, recursion available, and NXDOMAIN if there is no address (RFC 1035, 4.1.1).
    (answer[2], answer[3]) = (0x81, if address.is_some() { 0x80 } else { 0x83 });
    if let Some(address) = address {
        answer[7] = 1;
        // The name at offset 12, type A, class IN, an hour, 4 bytes (RFC 1035, 4.1.3).
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4]);
        answer.extend_from_slice(&address);
    }
    world.write(1, server, &[peer, &answer].concat()).unwrap();
    question[12..].to_vec()
}

#[test]
fn names_are_looked_up() {
    let mut world = World::new();
    let server = world.open(1, "udp:listen:53").unwrap();
    let listener = world.open(1, "tcp:listen:80").unwrap();
    let near = world.open(0, "tcp:www.example:80").unwrap();
    let question = answer_dns(&mut world, server, Some([10, 0, 0, 2]));
    assert!(question.starts_with(b"\x03www\x07example\0"));
    let far = world.accept(1, listener).unwrap();
    world.write(1, far, b"found").unwrap();
    assert_eq!(world.read(0, near, 9), Ok(b"found".to_vec()));
    let missing = world.open(0, "tcp:missing.example:80").unwrap();
    answer_dns(&mut world, server, None);
    assert_eq!(world.read(0, missing, 9), Err(IoError::NotFound));
    // Closed while it is asked: the answer finds nobody, and nothing breaks.
    let impatient = world.open(0, "udp:slow.example:80").unwrap();
    world.stacks[0].close(impatient, world.now);
    answer_dns(&mut world, server, Some([10, 0, 0, 2]));
    // A name server that never answers.
    world.stacks[1].close(server, world.now);
    let unknown = world.open(0, "tcp:www.example:80").unwrap();
    assert_eq!(world.read(0, unknown, 9), Err(IoError::NotFound));
}

#[test]
fn echoes() {
    let mut world = World::new();
    let ping = |world: &mut World, host: &str| {
        let client = Client::new(&[]);
        let host = crate::name::Host::parse(host).unwrap();
        let until = world.now + Duration::from_secs(1);
        world.stacks[0].ping(1, client.clone(), host, until, world.now);
        world.pass(Duration::from_secs(2));
        client.answer().expect("answered")
    };
    assert!(matches!(
        ping(&mut world, "10.0.0.2"),
        Ok(Answer::Echo(_, [10, 0, 0, 2]))
    ));
    assert_eq!(ping(&mut world, "10.0.0.9"), Err(IoError::TimedOut));
    assert_eq!(ping(&mut world, "slow.example"), Err(IoError::TimedOut));
}

#[test]
fn raw_frames() {
    let mut world = World::new();
    let near = world.open(0, "net:").unwrap();
    let far = world.open(1, "net:").unwrap();
    let frame = [
        &[2, 0, 0, 0, 0, 2][..],
        &[2, 0, 0, 0, 0, 1],
        &[0x88, 0xb5],
        b"experimental",
    ]
    .concat();
    assert_eq!(world.write(0, near, &frame), Ok(frame.len() as u64));
    assert_eq!(
        world.ask(1, far, Work::Read, &Client::new(&[0; 20])),
        Err(IoError::BadBuffer),
        "and it is kept"
    );
    assert_eq!(world.read(1, far, 1514), Ok(frame));
    for wrong in [0, 1, 13, 1515, 70_000] {
        assert_eq!(
            world.write(0, near, &vec![0; wrong]),
            Err(IoError::BadRequest),
            "{wrong}"
        );
    }
    world.stacks[1].close(far, world.now);
    assert_eq!(world.read(1, far, 1514), Err(IoError::BadRequest));
}
