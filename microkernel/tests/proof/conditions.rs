//! Exactly when the fast path is taken: in a world where it is, each condition is broken by itself, and it declines.

use abi::{Op, Tag, fault, object::*, tag::Flags};

use crate::{
    fast,
    pair::slots::*,
    scene::*,
    snapshot::Snapshot,
    world::{Call, Event},
};

#[test]
fn call_is_fast_exactly_when_nothing_is_unusual() {
    let ready = || {
        let mut scene = Scene::new().server_waits(receive());
        scene.start(0);
        scene
    };
    assert!(ready().takes(call_endpoint()));
    let mut long = call_endpoint();
    long.rax = tag(Op::Call, 116, Flags::empty());
    assert!(ready().takes(long), "116 words");
    long.rax = tag(Op::Call, 117, Flags::empty());
    assert!(!ready().takes(long), "117 words");
    for bit in (4..8).chain(15..32) {
        let mut call = call_endpoint();
        call.rax |= 1 << bit;
        assert!(!ready().takes(call), "tag bit {bit}");
    }
    for index in [0, 1, 4 + 64, 63, u64::MAX, 64, 1 << 59] {
        let mut call = call_endpoint();
        call.rdi = index;
        assert!(!ready().takes(call), "slot {index}");
    }
    let mut scene = Scene::new().server_waits(timed(receive()));
    scene.start(0);
    assert!(!scene.takes(call_endpoint()), "a receiver with a deadline");
    let mut scene = Scene::new().server_waits(with_slot(receive()));
    scene.start(0);
    assert!(!scene.takes(call_endpoint()), "a receiver with a receive slot");
    let mut scene = Scene::new();
    scene.start(0);
    assert!(!scene.takes(call_endpoint()), "no receiver");
    let mut scene = Scene::new().server_waits(receive());
    scene.acts(2, receive());
    scene.start(0);
    assert!(!scene.takes(call_endpoint()), "two receivers");
    let mut scene = Scene::new().server_waits(receive());
    scene.priority(3, 5);
    scene.start(0);
    assert!(!scene.takes(call_endpoint()), "a less urgent receiver");
    let mut scene = Scene::new().server_waits(receive());
    scene.priority(3, 10);
    scene.start(0);
    assert!(scene.takes(call_endpoint()), "an equal receiver");
    // Without the right to call.
    let mut scene = Scene::new();
    let words = [50, ENDPOINTS, endpoint::RECV as u64, 0];
    scene.0.done(TABLES, captable::DERIVE, words);
    let mut scene = scene.server_waits(receive());
    scene.start(0);
    let mut call = call_endpoint();
    call.rdi = 50;
    assert!(!scene.takes(call), "no right");
    // Without a table.
    let mut scene = Scene::new().server_waits(receive());
    let own_table = abi::root::TABLE as u64;
    scene.0.done(own_table, captable::REVOKE, [TABLES, 0, 0, 0]);
    scene.start(0);
    assert!(!scene.takes(call_endpoint()), "no table");
}

#[test]
fn reply_recv_is_fast_exactly_when_nothing_is_unusual() {
    let owes = || Scene::new().server_owes(call_endpoint());
    assert!(owes().takes(reply_recv()));
    let mut long = reply_recv();
    long.rax = tag(Op::ReplyRecv, 116, Flags::empty());
    assert!(owes().takes(long), "116 words");
    long.rax = tag(Op::ReplyRecv, 117, Flags::empty());
    assert!(!owes().takes(long), "117 words");
    for bit in [4, 6, 7].into_iter().chain(15..32) {
        let mut call = reply_recv();
        call.rax |= 1 << bit;
        assert!(!owes().takes(call), "tag bit {bit}");
    }
    for index in [0, 1, 4, 63, 64, u64::MAX] {
        let mut call = reply_recv();
        call.rdi = index;
        assert!(!owes().takes(call), "slot {index}");
    }
    for (call, what) in [
        (timed(call_endpoint()), "a caller with a deadline"),
        (with_slot(call_endpoint()), "a caller with a receive slot"),
    ] {
        assert!(!Scene::new().server_owes(call).takes(reply_recv()), "{what}");
    }
    let mut leases = call_endpoint();
    leases.rax |= Flags::LEASES.bits() as u64;
    assert!(!Scene::new().server_owes(leases).takes(reply_recv()), "four leases");
    // Nobody to answer: it received nothing.
    let mut scene = Scene::new();
    scene.start(3);
    assert!(!scene.takes(reply_recv()), "nothing owed");
    // Parked: answered through a Reply object only.
    let mut scene = owes();
    scene.0.done(REPLY, reply::DEFER, [0; 4]);
    assert!(!scene.takes(reply_recv()), "a parked caller");
    // An interrupt is owed.
    let mut scene = Scene::new().server_waits(receive());
    scene.0.done(IRQS + 2, irq::BIND, [ENDPOINTS, 9, 0, 0]);
    scene.0.done(IRQS + 2, irq::RAISE, [0; 4]);
    scene.runs(3);
    assert!(!scene.takes(reply_recv()), "an acknowledgement owed");
    // A call raised the server's priority.
    let mut scene = Scene::new().server_waits(receive());
    scene.priority(3, 5);
    scene.acts(0, call_endpoint());
    scene.runs(3);
    assert!(!scene.takes(reply_recv()), "a raised priority");
}

#[test]
fn reply_recv_is_fast_only_if_nobody_waits_for_the_server_or_the_processor() {
    // Another caller queues, another receiver waits, an interrupt is pending.
    let mut scene = Scene::new().server_waits(receive());
    scene.priority(3, 10);
    scene.acts(0, call_endpoint());
    scene.runs(3);
    // The server starts thread 2, which is more urgent, and calls: it queues.
    scene.0.done(12, thread::START, [0; 4]);
    scene.runs(2);
    scene.0.step(&Event::Call(call_endpoint()));
    scene.runs(3);
    assert!(!scene.takes(reply_recv()), "a queued caller");

    let mut scene = Scene::new().server_owes(call_endpoint());
    scene.0.done(13, thread::PRIORITY, [20, 40, 0, 0]);
    scene.0.done(12, thread::PRIORITY, [25, 40, 0, 0]);
    scene.0.done(12, thread::START, [0; 4]);
    scene.runs(2);
    scene.0.step(&Event::Call(receive()));
    scene.runs(3);
    assert!(!scene.takes(reply_recv()), "another receiver");

    let mut scene = Scene::new().server_owes(call_endpoint());
    scene.0.done(11, irq::BIND, [ENDPOINT, 9, 0, 0]);
    scene.0.done(11, irq::RAISE, [0; 4]);
    assert!(!scene.takes(reply_recv()), "a pending interrupt");

    // Somebody between client and server is ready: the reply must not switch to the client.
    for (priority, fast) in [(9, true), (10, true), (11, false)] {
        let mut scene = Scene::new().server_owes(call_endpoint());
        scene.0.done(12, thread::PRIORITY, [priority, 40, 0, 0]);
        scene.0.done(12, thread::START, [0; 4]);
        assert_eq!(scene.takes(reply_recv()), fast, "ready at {priority}, client at 10");
    }
}

#[test]
fn an_answer_to_a_fault_is_fast_if_it_resumes_with_all_registers() {
    const FAULTS: u64 = 7;
    let faulted = || {
        let mut scene = Scene::new();
        let receive = Call { rdi: FAULTS, ..receive() };
        scene.acts(3, receive);
        scene.start(0);
        scene.0.step(&Event::Trap {
            vector: 6,
            error: 0,
            address: 0,
            registers: Default::default(),
        });
        scene.runs(3);
        scene
    };
    let answer = |label, extra, rip| Call {
        rax: Tag::new(Op::ReplyRecv, label, extra, Flags::empty()).0,
        rdi: FAULTS,
        words: [0, 0, rip, 0x7000],
        ..Call::default()
    };
    let all = answer(fault::RESUME, fault::EXTRA, 0x40_0000);
    assert!(faulted().takes(all));
    let others = [
        (answer(fault::STOP, fault::EXTRA, 0x40_0000), "stop"),
        (answer(fault::RESUME, 0, 0x40_0000), "no registers"),
        (answer(fault::RESUME, fault::EXTRA - 1, 0x40_0000), "too few"),
        (answer(fault::RESUME, fault::EXTRA, abi::USER_END), "no user address"),
        (Call { rdi: ENDPOINT + 1, ..all }, "no right to receive"),
    ];
    for (call, what) in others {
        assert!(!faulted().takes(call), "{what}");
    }
    // Somebody more urgent than the faulted thread is ready.
    let mut scene = faulted();
    scene.0.done(12, thread::PRIORITY, [11, 40, 0, 0]);
    scene.0.done(12, thread::START, [0; 4]);
    assert!(!scene.takes(all), "somebody ready");
    // A long reply to a call is none to a fault.
    let mut scene = Scene::new().server_owes(call_endpoint());
    let reply = Call { rdi: ENDPOINT, ..all };
    let client = scene.0.model.payer;
    assert!(scene.takes(reply));
    assert_eq!(scene.0.world.current().map(crate::inspect::name), client);
}

#[test]
fn an_answer_to_a_parked_caller_is_fast_exactly_when_nothing_is_unusual() {
    let woken = || Scene::server_woken(call_endpoint());
    let mut scene = woken();
    let client = scene.0.model.threads.iter().find(|(_, thread)| thread.base == 10);
    let client = client.map(|(&name, _)| name);
    assert!(scene.takes(reply_via()));
    assert_eq!(scene.0.world.current().map(crate::inspect::name), client);
    assert!(!scene.takes(reply_via()), "its turn: it has no right to receive");
    for bit in [4, 6, 7].into_iter().chain(8..15).chain(16..32) {
        let mut call = reply_via();
        call.rax |= 1 << bit;
        assert!(!woken().takes(call), "tag bit {bit}");
    }
    for index in [0, 1, 3, 63, 64, u64::MAX, 1 << 59] {
        assert!(!woken().takes(Call { rsi: index, ..reply_via() }), "Reply slot {index}");
        if index != ENDPOINT {
            assert!(!woken().takes(Call { rdi: index, ..reply_via() }), "slot {index}");
        }
    }
    assert!(!woken().takes(Call { rdi: 4, ..reply_via() }), "no right to receive");
    let mut leases = call_endpoint();
    leases.rax |= Flags::LEASES.bits() as u64;
    for (call, what) in [
        (timed(call_endpoint()), "a caller with a deadline"),
        (with_slot(call_endpoint()), "a caller with a receive slot"),
        (leases, "four leases"),
    ] {
        assert!(!Scene::server_woken(call).takes(reply_via()), "{what}");
    }
    // Nobody is parked any more.
    let mut scene = woken();
    scene.0.done(12, thread::PRIORITY, [10, 40, 0, 0]);
    scene.0.step(&Event::Call(Call { rax: tag(Op::Reply, 0, Flags::VIA), ..reply_via() }));
    assert!(!scene.takes(reply_via()), "an answered caller");
    // It fired again, or was acknowledged before.
    let mut scene = woken();
    scene.0.done(11, irq::RAISE, [0; 4]);
    assert!(!scene.takes(reply_via()), "another interrupt");
    let mut scene = woken();
    scene.0.done(11, irq::ACK, [0; 4]);
    assert!(scene.takes(reply_via()), "nothing owed");
    // A call is owed instead.
    let mut scene = woken();
    scene.0.step(&Event::Call(receive()));
    scene.acts(2, call_endpoint());
    scene.runs(3);
    assert!(!scene.takes(reply_via()), "a reply owed");
    // The same, by a call that took the fast path, which leaves the debt where only it looks.
    let mut scene = Scene::new().server_waits(receive());
    scene.acts(2, call_endpoint());
    scene.runs(3);
    scene.0.step(&Event::Call(park()));
    scene.start(0);
    assert!(scene.takes(call_endpoint()));
    assert!(!scene.takes(reply_via()), "a reply owed to a fast call");
    // The parked caller is itself in somebody's debt.
    let mut scene = Scene::new().server_waits(receive());
    scene.0.done(IRQS + 2, irq::BIND, [ENDPOINTS, 9, 0, 0]);
    let other = |call| Call { rdi: 5, ..call };
    scene.acts(2, other(receive()));
    scene.acts(0, other(call_endpoint()));
    scene.runs(2);
    scene.0.step(&Event::Call(call_endpoint()));
    scene.runs(3);
    scene.0.step(&Event::Call(park()));
    scene.raise();
    assert!(!scene.takes(reply_via()), "a caller that owes a reply");
    // Somebody waits for the server.
    let mut scene = woken();
    scene.0.done(11, irq::ACK, [0; 4]);
    scene.0.done(10, irq::BIND, [ENDPOINT, 8, 0, 0]);
    scene.0.done(10, irq::RAISE, [0; 4]);
    assert!(!scene.takes(reply_via()), "a pending interrupt");
    // The answered caller begins a turn, so nobody may be as urgent.
    for (priority, fast) in [(9, true), (10, false), (11, false)] {
        let mut scene = woken();
        scene.0.done(12, thread::PRIORITY, [priority, 40, 0, 0]);
        // A table of the other program has thread 2.
        scene.0.done(12, thread::START, [0; 4]);
        assert_eq!(scene.takes(reply_via()), fast, "ready at {priority}, client at 10");
    }
}

/// With bytes for the caller's lease, by both paths: as many as it lends, none, too many, from memory that is not there.
#[test]
fn an_answer_with_bytes_to_a_parked_caller() {
    const PAGE: u64 = 0x1_0000;
    let call = Call { rdx: PAGE + 100, r8: 300 | 2 << 62, ..call_endpoint() };
    let mut scene = Scene::server_woken(call);
    let mut before = Snapshot::take(&scene.0.world);
    for (address, length, fast) in [
        (PAGE + 4096, 300, true),
        (PAGE + 4000, 200, true),
        (PAGE, 0, true),
        (PAGE, 301, false),
        (0x7000, 8, false),
    ] {
        let rax = tag(Op::ReplyRecv, 0, Flags::VIA | Flags::PAYLOAD);
        let answer = Call { rax, rdx: address, r8: length, ..reply_via() };
        let taken = fast::both(&mut scene.0, &mut before, &answer).expect("both do the same");
        assert_eq!(taken, fast.then_some("via with payload"), "{length} bytes at {address:#x}");
        scene = Scene::server_woken(call);
        before.retake(&scene.0.world);
    }
}

/// The line of a level-triggered interrupt is masked until the acknowledgement, which the fast path does not give.
#[test]
fn an_answer_to_a_masked_line_is_slow() {
    let mut scene = Scene::new().server_waits(receive());
    scene.0.done(IRQS + 1, irq::BIND, [ENDPOINTS, 9, 0, 0]);
    scene.acts(0, call_endpoint());
    scene.runs(3);
    scene.0.step(&Event::Call(park()));
    let vector = scene.0.model.irqs.values().find_map(|irq| irq.line.map(|_| irq.vector));
    scene.0.step(&Event::Interrupt(vector.flatten().expect("a line")));
    scene.runs(3);
    assert!(!scene.takes(reply_via()));
}
