//! Every error there is, provoked; and ends that random operations seldom reach.

use std::collections::BTreeSet;

use abi::{Error, Kind, Op, Tag, object::*, root, tag::Flags};

use microkernel::{irq::Progress, thread::Owed};

use crate::{
    inspect::at,
    pair::{Pair, slots::*},
    scene::{Scene, call_endpoint, receive},
    world::{Call, Event},
};

const OWN: u64 = root::TABLE as u64;
const SYSTEM: u64 = root::SYSTEM as u64;

/// What has been provoked so far.
struct Provoked(BTreeSet<u8>);

impl Provoked {
    /// The call, made by whoever runs, must fail so.
    #[track_caller]
    fn by(&mut self, pair: &mut Pair, error: Error, slot: u64, label: u32, words: [u64; 4]) {
        let (status, _) = pair.invoke(slot, label, words);
        self.note(error, status);
        pair.compare().expect("a call that failed has changed nothing else");
    }

    #[track_caller]
    fn by_call(&mut self, pair: &mut Pair, error: Error, call: Call) {
        let thread = pair.world.current().expect("a thread runs");
        pair.step(&Event::Call(call));
        self.note(error, Tag(thread.frame().rax.get()).status());
    }

    #[track_caller]
    fn note(&mut self, error: Error, status: u8) {
        assert_eq!(Error::from_code(status), Some(error), "status {status:#x}");
        self.0.insert(status);
    }
}

#[test]
fn every_error_is_provoked() {
    let mut seen = Provoked(BTreeSet::new());
    of_objects(&mut seen);
    of_messages(&mut seen);
    let all: BTreeSet<u8> = Error::ALL.iter().map(|&error| error as u8).collect();
    assert_eq!(seen.0, all);
}

fn of_objects(seen: &mut Provoked) {
    let mut pair = Scene::new().0;
    let pair = &mut pair;
    let memory = pair.untyped(20);
    let retype = |kind, bits, count| untyped::retype_word(kind, bits, count);
    let unknown = Call { rax: 15, ..Call::default() };
    seen.by_call(pair, Error::InvalidTag, unknown);
    seen.by(pair, Error::InvalidOperation, memory, 99, [0; 4]);
    let none = [retype(Kind::Endpoint, 0, 0), OWN, 100, 0];
    seen.by(pair, Error::InvalidArgument, memory, untyped::RETYPE, none);
    seen.by(pair, Error::InvalidAddress, SPACES, space::MAP, [FRAMES + 5, 5, 1, 0]);
    seen.by(pair, Error::NoCapability, 99, 0, [0; 4]);
    let into_thread = [retype(Kind::Endpoint, 0, 1), THREADS, 100, 0];
    seen.by(pair, Error::WrongKind, memory, untyped::RETYPE, into_thread);
    let write_only = [100, TABLES, captable::WRITE as u64, 0];
    pair.done(OWN, captable::DERIVE, write_only);
    seen.by(pair, Error::MissingRight, 100, captable::IDENTIFY, [1, 0, 0, 0]);
    let occupied = [retype(Kind::Endpoint, 0, 1), OWN, ENDPOINTS, 0];
    seen.by(pair, Error::SlotOccupied, memory, untyped::RETYPE, occupied);
    pair.done(OWN, captable::DERIVE, [101, ENDPOINTS, endpoint::ALL as u64, 0]);
    for slot in 102..131 {
        let words = [slot, slot - 1, endpoint::ALL as u64, 0];
        pair.done(OWN, captable::DERIVE, words);
    }
    seen.by(pair, Error::TooDeep, OWN, captable::DERIVE, [131, 130, endpoint::ALL as u64, 0]);
    seen.by(pair, Error::NotDerivable, OWN, captable::DERIVE, [132, memory, 0, 0]);
    seen.by(pair, Error::AboveCeiling, THREADS, thread::PRIORITY, [256, 0, 0, 0]);
    seen.by(pair, Error::BadState, root::THREAD as u64, thread::START, [0; 4]);
    seen.by(pair, Error::Busy, SYSTEM, system::IRQ_ATTACH, [IRQS, system::MSI, 0, 0]);
    let huge = [retype(Kind::Untyped, 36, 1), OWN, 133, 0];
    seen.by(pair, Error::OutOfMemory, memory, untyped::RETYPE, huge);
    let far = |index: u64| index << 39;
    for index in 3..6 {
        pair.invoke(SPACES + 1, space::UNMAP, [FRAMES + index, 0, 0, 0]);
    }
    pair.done(SPACES + 1, space::MAP, [FRAMES + 3, far(1), 3, 0]);
    seen.by(pair, Error::OutOfTables, SPACES + 1, space::MAP, [FRAMES + 4, far(2), 3, 0]);
    seen.by(pair, Error::AlreadyMapped, SPACES + 1, space::MAP, [FRAMES + 3, far(1), 3, 0]);
    seen.by(pair, Error::NotMapped, SPACES + 1, space::UNMAP, [FRAMES + 5, 0, 0, 0]);
    seen.by(pair, Error::WriteAndExecute, SPACES + 1, space::MAP, [FRAMES + 5, far(1), 7, 0]);
    pair.make(memory, Kind::Irq, 0, 64, 200);
    pair.make(memory, Kind::Irq, 0, 64, 264);
    pair.make(memory, Kind::Irq, 0, 64, 328);
    for irq in 200..390 {
        pair.done(SYSTEM, system::IRQ_ATTACH, [irq, system::MSI, 0, 0]);
    }
    seen.by(pair, Error::OutOfIds, SYSTEM, system::IRQ_ATTACH, [390, system::MSI, 0, 0]);
    let table = [retype(Kind::CapTable, 12, 1), OWN, 400, 0];
    seen.by(pair, Error::Again, memory, untyped::RETYPE, table);
}

fn of_messages(seen: &mut Provoked) {
    let lend =
        |base: u64, length: u64| Call { rdx: base, r8: length | (3 << 62), ..call_endpoint() };
    let read = |lent: u64, own| [0, lent, own, 8];
    let mut pair = Scene::new().server_owes(lend(0x50_0000, 64)).0;
    seen.by_call(&mut pair, Error::OwesReply, receive());
    seen.by(&mut pair, Error::LeaseBounds, 0, reply::LEASE_READ, read(60, 0x1_0000));
    seen.by(&mut pair, Error::LeaseFault, 0, reply::LEASE_READ, read(0, 0x1_0000));
    let mut pair = Scene::new().server_owes(lend(0x1_0000, 64)).0;
    seen.by(&mut pair, Error::BadBuffer, 0, reply::LEASE_READ, read(0, 0x50_0000));
    let mut pair = Scene::new().0;
    seen.by(&mut pair, Error::NoCaller, 0, reply::LEASE_READ, [0; 4]);
    let poll =
        Call { rax: Tag::new(Op::Recv, 0, 0, Flags::TIMED).0, rdi: ENDPOINTS, ..Call::default() };
    seen.by_call(&mut pair, Error::TimedOut, poll);
    // A receiver that root cancels, and one whose endpoint root deletes.
    for (error, slot, label, words) in [
        (Error::Cancelled, THREADS + 3, thread::CANCEL, [0; 4]),
        (Error::PartnerDied, OWN, captable::DELETE, [ENDPOINTS, 0, 0, 0]),
    ] {
        let mut pair = Scene::new().server_waits(receive()).0;
        pair.done(slot, label, words);
        let waiter = pair.world.current().expect("the receiver runs");
        seen.note(error, Tag(waiter.frame().rax.get()).status());
        pair.compare().expect("the model says the same");
    }
}

/// A thread that trapped without a fault endpoint and was started again calls like any other, with its leases.
#[test]
fn a_thread_that_stopped_at_a_trap_calls_like_any_other() {
    let mut pair = Scene::new().0;
    let buffer = 0x4_0000;
    let words = [TABLES, SPACES, 0, buffer];
    pair.done(THREADS, thread::CONFIGURE, words);
    pair.done(THREADS, thread::START, [0; 4]);
    pair.step(&Event::Trap { vector: 6, error: 0, address: 0, registers: Default::default() });
    let state = pair.done(THREADS, thread::INFO, [0; 4]);
    assert_eq!(state, [0, state[1], 6 | 1 << 8, 0]);
    let lent = Call { rdx: 0x1_0000, r8: 64 | (3 << 62), ..call_endpoint() };
    let mut scene = Scene(pair).server_waits(receive());
    scene.acts(0, lent);
    let server = scene.0.world.current().expect("the server runs");
    assert_eq!(server, at(scene.0.model.current.expect("it runs")));
    let info = scene.0.done(0, reply::LEASE_INFO, [0; 4]);
    assert_eq!(info[0], lent.r8);
    scene.0.compare().expect("the model says the same");
}

/// An interrupt whose receiver is killed before it acknowledges it stays unacknowledged, and can be delivered again afterwards.
#[test]
fn the_receiver_of_an_interrupt_dies() {
    let mut pair = Scene::new().server_waits(receive()).0;
    pair.done(IRQS + 2, irq::BIND, [ENDPOINTS, 7, 0, 0]);
    pair.invoke(IRQS + 2, irq::RAISE, [0; 4]);
    let receiver = pair.world.current().expect("the receiver runs");
    let irq = match receiver.owed() {
        Owed::Irq(irq) => irq,
        other => panic!("it owes {other:?}"),
    };
    // It stops, so that root runs, and is still indebted when it dies.
    pair.invoke(13, thread::SUSPEND, [0; 4]);
    pair.done(OWN, captable::DELETE, [THREADS + 3, 0, 0, 0]);
    pair.compare().expect("the model says the same");
    pair.done(IRQS + 2, irq::RAISE, [0; 4]);
    assert_eq!((irq.progress.get(), irq.count.get()), (Progress::Delivered, 1));
    let dead = receiver.address() & !4095;
    let before = pair.world.page(dead);
    pair.done(IRQS + 2, irq::ACK, [0; 4]);
    assert_eq!(irq.progress.get(), Progress::Pending);
    assert!(pair.world.page(dead) == before, "the dead thread's memory changed");
    pair.compare().expect("the model says the same");
}

/// An interrupt that waits at an endpoint leaves it when its binding is revoked, and may be bound anew.
#[test]
fn a_binding_is_revoked_with_the_interrupt_pending() {
    let mut pair = Scene::new().0;
    let derived = [100, ENDPOINTS, endpoint::ALL as u64, 0];
    pair.done(OWN, captable::DERIVE, derived);
    pair.done(IRQS + 2, irq::BIND, [100, 7, 0, 0]);
    pair.done(IRQS + 2, irq::RAISE, [0; 4]);
    let again = [ENDPOINTS + 1, 8, 0, 0];
    let (status, _) = pair.invoke(IRQS + 2, irq::BIND, again);
    assert_eq!(Error::from_code(status), Some(Error::BadState));
    pair.done(OWN, captable::REVOKE, [100, 0, 0, 0]);
    pair.compare().expect("the model says the same");
    pair.done(IRQS + 2, irq::BIND, again);
    pair.compare().expect("the model says the same");
}
