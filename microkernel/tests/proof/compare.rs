//! Is the kernel in the state that the model says?

use std::collections::BTreeSet;

use abi::Kind;
use microkernel::{
    arch::{host, paging},
    endpoint::{Endpoint, Reply},
    irq::{Irq, Progress},
    slot::{Flags, SlotRef},
    space::Space,
    thread::{Holder, Owed, Thread, ThreadRef, ThreadState},
};

use crate::{
    inspect::{Census, Complaint, at, at_slot, demand, name},
    model::{self, Model, Part, Place, State},
    world::World,
};

/// The kernel's slot for a place of the model.
pub fn slot(place: Place) -> SlotRef {
    match place {
        Place::Slot(table, index) => at_slot(table + 32 * index),
        Place::Thread(thread, Part::Table) => at::<Thread>(thread).table_slot(),
        Place::Thread(thread, Part::Space) => at::<Thread>(thread).space_slot(),
        Place::Thread(thread, Part::Fault) => at::<Thread>(thread).fault_slot(),
        Place::Irq(irq) => at::<Irq>(irq).endpoint_slot(),
    }
}

/// Compares everything, and checks the invariants on the way.
pub fn compare(world: &mut World, model: &Model) -> Result<(), Complaint> {
    let Some(&first) = model.roots.first() else {
        return Err("nothing is left of the tree".into());
    };
    let census = Census::take(slot(first))?;
    let kernel = world.kernel();
    census.check_tree(kernel)?;
    census.check_ipc(kernel)?;
    tree(&census, model)?;
    let current = (kernel.current() != kernel.idle).then(|| name(kernel.current()));
    demand!(current == model.current, "{current:x?} runs, expected {:x?}", model.current);
    for priority in 0..=255 {
        let actual = kernel.ready.members(priority).map(name);
        let expected = model.ready.get(&(priority as i32)).into_iter().flatten();
        demand!(
            actual.eq(expected.copied()),
            "the order of the threads ready at {priority} differs"
        );
    }
    demand!(
        census.threads.len() == model.threads.len(),
        "{} threads, expected {}",
        census.threads.len(),
        model.threads.len()
    );
    for (&address, expected) in &model.threads {
        thread(at(address), expected).map_err(|text| format!("thread {address:#x}: {text}"))?;
    }
    endpoints(&census, model)?;
    for (&address, expected) in &model.irqs {
        let irq = at::<Irq>(address);
        let progress = match expected.progress {
            model::Progress::Idle => Progress::Idle,
            model::Progress::Pending => Progress::Pending,
            model::Progress::Delivered => Progress::Delivered,
        };
        let actual = (irq.progress.get(), irq.count.get());
        demand!(
            actual == (progress, expected.count),
            "irq {address:#x}: {actual:?}, expected {expected:?}"
        );
    }
    for (&address, expected) in &model.spaces {
        let actual = at::<Space>(address).tables_free() as u64;
        demand!(
            actual == expected.free,
            "space {address:#x}: {actual} tables left, expected {}",
            expected.free
        );
    }
    let machine = host::machine();
    demand!(
        (machine.masked, machine.written) == (model.masked, model.written),
        "lines or ports: {machine:x?}"
    );
    let next = model.timed.first().map(|timed| timed.0);
    let wanted = next.into_iter().chain(model.turn_end).min();
    demand!(
        wanted.is_none_or(|wanted| machine.timer <= wanted),
        "the timer is set to {}, wanted {wanted:?}",
        machine.timer
    );
    Ok(())
}

/// Compares the contents of frames and buffers, and what is mapped where: slower, so not after every step.
pub fn compare_memory(world: &World, model: &Model) -> Result<(), Complaint> {
    for (&page, expected) in &model.memory {
        demand!(world.page(page) == **expected, "the page at {page:#x} differs");
    }
    let spaces = model.spaces.values();
    let used: BTreeSet<u64> = spaces.flat_map(|space| space.pages.keys().copied()).collect();
    for (&space, expected) in &model.spaces {
        for &address in &used {
            for write in [false, true] {
                let root = at::<Space>(space).root();
                let actual = paging::translate(root, address, write).map(|piece| piece.physical);
                let page = expected.pages.get(&address);
                let usable = page.filter(|page| !page.device && (page.write || !write));
                demand!(
                    actual == usable.map(|page| page.physical),
                    "space {space:#x}, address {address:#x}, writing {write}: {actual:x?}"
                );
            }
        }
    }
    Ok(())
}

/// The same capabilities in the same order at the same depths.
fn tree(census: &Census, model: &Model) -> Result<(), Complaint> {
    let mut expected = Vec::new();
    let mut left: Vec<Place> = model.roots.iter().rev().copied().collect();
    while let Some(place) = left.pop() {
        expected.push(place);
        left.extend(model.caps[&place].children.iter().rev());
    }
    let slots: Vec<SlotRef> = expected.iter().map(|&place| slot(place)).collect();
    demand!(slots == census.slots, "the tree differs: {:?}, expected {slots:?}", census.slots);
    for (&place, slot) in expected.iter().zip(slots) {
        let cap = &model.caps[&place];
        let (actual, flags) = (slot.get(), slot.flags());
        let same = actual.kind == cap.kind
            && actual.object == cap.object
            && actual.rights == cap.rights
            && slot.depth() as u32 == cap.depth
            && flags.contains(Flags::ORIGINAL) == cap.original
            && flags.contains(Flags::DYING) == cap.dying
            && flags.contains(Flags::DEVICE) == cap.device
            && flags.contains(Flags::LARGE) == cap.large
            && flags.contains(Flags::EMBEDDED) != matches!(place, Place::Slot(..));
        let word = match cap.kind {
            Kind::Endpoint => Some(cap.badge),
            Kind::IoPorts => Some(cap.ports.0 | cap.ports.1 << 16),
            Kind::Untyped => Some((cap.used / 64) | ((cap.zeroed / 64) << 32)),
            _ => None,
        };
        demand!(
            same && word.is_none_or(|word| word == actual.data),
            "{place:x?} holds {actual:x?} at depth {}, expected {cap:x?}",
            slot.depth()
        );
    }
    Ok(())
}

fn thread(actual: ThreadRef, expected: &model::Thread) -> Result<(), Complaint> {
    let state = match actual.state() {
        ThreadState::Inactive => State::Inactive,
        ThreadState::Ready => State::Ready,
        ThreadState::Sending { to } => State::Sending(to.address()),
        ThreadState::Receiving { from } => State::Receiving(from.address()),
        ThreadState::AwaitingReply { from } => State::Awaiting(match from {
            Holder::Thread(server) => model::Holder::Thread(name(server)),
            Holder::Reply(reply) => model::Holder::Reply(reply.address()),
        }),
    };
    let owed = match actual.owed() {
        Owed::Nothing => model::Owed::Nothing,
        Owed::Caller(caller) => model::Owed::Caller(name(caller)),
        Owed::Irq(irq) => model::Owed::Irq(irq.address()),
    };
    demand!(
        (state, owed) == (expected.state, expected.owed),
        "{state:x?} owing {owed:x?}, expected {:x?} owing {:x?}",
        expected.state,
        expected.owed
    );
    let numbers = |priority, base, ceiling, stopped_by, paid, deadline, buffer| {
        (priority, base, ceiling, stopped_by, paid, deadline, buffer)
    };
    let actual_numbers = numbers(
        actual.priority.get(),
        actual.base.get(),
        actual.ceiling.get(),
        actual.stopped_by.get(),
        actual.paid.get(),
        actual.timer.deadline(),
        actual.buffer.get(),
    );
    let expected_numbers = numbers(
        expected.priority,
        expected.base,
        expected.ceiling,
        expected.stopped_by,
        expected.paid,
        expected.deadline,
        expected.buffer.unwrap_or(0),
    );
    demand!(
        actual_numbers == expected_numbers,
        "(priority, base, ceiling, stopped by, paid, deadline, buffer) {actual_numbers:?}, expected {expected_numbers:?}"
    );
    let (frame, r) = (actual.frame(), &expected.registers);
    let registers = frame.registers();
    demand!(
        registers == expected.shown_registers(),
        "{registers:x?}, expected {:x?}",
        expected.shown_registers()
    );
    // Inside a system call these come back, too.
    let message = (frame.rax.get(), frame.rdi.get(), frame.r8.get());
    demand!(
        message == (r.rax, r.rdi, r.r8),
        "(tag, badge, lease) {message:x?}, expected {:x?}",
        (r.rax, r.rdi, r.r8)
    );
    // Whichever vector it was, what counts is whether it goes on as from a system call.
    demand!(
        (frame.is_syscall(), frame.error.get()) == (expected.vector == 0x100, expected.error),
        "entered by {:#x}",
        frame.vector.get()
    );
    Ok(())
}

fn endpoints(census: &Census, model: &Model) -> Result<(), Complaint> {
    demand!(
        census.endpoints.len() == model.endpoints.len()
            && census.replies.len() == model.replies.len()
            && census.irqs.len() == model.irqs.len(),
        "the number of endpoints, replies or interrupts differs"
    );
    for (&address, expected) in &model.endpoints {
        let actual = at::<Endpoint>(address);
        let same = actual.senders().map(name).eq(expected.senders.iter().copied())
            && actual.receivers().map(name).eq(expected.receivers.iter().copied())
            && actual.pending().map(|irq| irq.address()).eq(expected.pending.iter().copied());
        demand!(same, "the queues of endpoint {address:#x} differ from {expected:x?}");
        let messages = actual.messages();
        demand!(messages == expected.messages, "endpoint {address:#x} counts {messages}");
    }
    for (&address, expected) in &model.replies {
        let actual = at::<Reply>(address).caller.get().map(name);
        demand!(actual == *expected, "reply {address:#x} holds {actual:x?}");
    }
    Ok(())
}
