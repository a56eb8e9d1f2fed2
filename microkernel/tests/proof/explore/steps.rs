//! What may happen in a state, and doing it.

use abi::{
    Op, Tag,
    object::{captable, irq, thread},
    tag::Flags,
};
use microkernel::{
    arch::host,
    thread::{ThreadRef, ThreadState},
};

use super::*;

impl Explorer {
    /// Everything that may happen in this state.
    pub fn possible(&self) -> Vec<Step> {
        let mut steps = vec![Step::Raise];
        let mut timed = false;
        for number in 0..THREADS {
            let Some(thread) = self.thread(number) else {
                continue;
            };
            timed |= thread.timer.is_linked();
            steps.push(Step::Kill(number));
            match thread.state() {
                ThreadState::Inactive => steps.push(Step::Start(number)),
                ThreadState::Ready => {
                    steps.push(Step::Suspend(number));
                    for endpoint in 0..2 {
                        let slot = OWN_ENDPOINT + endpoint;
                        steps.extend([
                            Step::Call(number, slot),
                            Step::CallTimed(number, slot),
                            Step::Recv(number, slot),
                            Step::RecvTimed(number, slot),
                            Step::RecvVia(number, slot),
                            Step::ReplyRecv(number, slot),
                            Step::ReplyRecvVia(number, slot),
                        ]);
                    }
                    steps.extend([
                        Step::Reply(number),
                        Step::ReplyVia(number),
                        Step::Defer(number),
                        Step::Acknowledge(number),
                        Step::Trap(number),
                    ]);
                }
                _ => steps.extend([Step::Cancel(number), Step::Suspend(number)]),
            }
        }
        for (object, slot) in
            [(self.endpoints[0], ENDPOINT), (self.endpoints[1], ENDPOINT + 1), (self.irq, IRQ)]
        {
            if self.alive(object) {
                steps.push(Step::Delete(slot));
            }
        }
        if self.alive(self.reply) {
            steps.push(Step::Delete(REPLY));
        }
        // Two firings that wait are as good as many.
        if !self.alive(self.irq) || at::<Irq>(self.irq).count.get() >= 2 {
            steps.remove(0);
        }
        if timed {
            steps.push(Step::Expire);
        }
        steps
    }

    /// Lets others run until it is this thread's turn.
    fn turn(&mut self, thread: ThreadRef) {
        let mut left = 5;
        while self.world.current() != Some(thread) {
            assert!(left > 0, "{thread:?} is ready and never runs");
            left -= 1;
            let rax = Op::Yield as u64;
            let call = Call { rax, ..Call::default() };
            self.world.step(&Event::Call(call));
        }
    }

    fn call(&mut self, thread: ThreadRef, call: Call) -> u8 {
        self.turn(thread);
        self.world.step(&Event::Call(call));
        Tag(thread.frame().rax.get()).status()
    }

    /// The supervisor invokes an object until it is done.
    fn supervise(&mut self, slot: u64, label: u32, words: [u64; 4]) {
        let call = Call {
            rax: Tag::new(Op::Call, label, 0, Flags::empty()).0,
            rdi: slot,
            words,
            ..Call::default()
        };
        while self.call(self.root, call) == abi::Error::Again as u8 {}
    }

    /// Lets a step happen, and checks what it promises.
    pub fn take(&mut self, step: Step) -> Result<(), Complaint> {
        let act = |op, flags: Flags, rdi, rsi| Call {
            rax: Tag::new(op, 0, 0, flags).0,
            rdi,
            rsi,
            r10: 10,
            words: [7, 0, 0x1000, 0],
            ..Call::default()
        };
        let (none, timed, via) = (Flags::empty(), Flags::TIMED, Flags::VIA);
        let (number, call) = match step {
            Step::Call(number, slot) => (number, act(Op::Call, none, slot, 0)),
            // Each thread has a deadline of its own.
            Step::CallTimed(number, slot) => (number, act(Op::Call, timed, slot, 0)),
            Step::Recv(number, slot) => (number, act(Op::Recv, none, slot, 0)),
            Step::RecvTimed(number, slot) => (number, act(Op::Recv, timed, slot, 0)),
            Step::RecvVia(number, slot) => (number, act(Op::Recv, via, slot, OWN_REPLY)),
            Step::ReplyRecv(number, slot) => (number, act(Op::ReplyRecv, none, slot, 0)),
            Step::ReplyRecvVia(number, slot) => (number, act(Op::ReplyRecv, via, slot, OWN_REPLY)),
            Step::Reply(number) => (number, act(Op::Reply, none, 0, 0)),
            Step::ReplyVia(number) => (number, act(Op::Reply, via, 0, OWN_REPLY)),
            Step::Defer(number) => (number, act(Op::Call, none, OWN_REPLY, 0)),
            Step::Acknowledge(number) => {
                let mut call = act(Op::Call, none, OWN_IRQ, 0);
                call.rax |= (irq::ACK as u64) << 32;
                (number, call)
            }
            Step::Trap(number) => {
                let thread = at::<Thread>(self.threads[number]);
                self.turn(thread);
                self.world.step(&Event::Trap {
                    vector: 6,
                    error: 0,
                    address: 0,
                    registers: Default::default(),
                });
                return Ok(());
            }
            Step::Cancel(number) => return self.on_thread(number, thread::CANCEL),
            Step::Suspend(number) => return self.on_thread(number, thread::SUSPEND),
            Step::Start(number) => return self.on_thread(number, thread::START),
            Step::Kill(number) => {
                let slot = THREAD + number as u64;
                self.supervise(abi::root::TABLE as u64, captable::DELETE, [slot, 0, 0, 0]);
                demand!(!self.alive(self.threads[number]), "it lives");
                return Ok(());
            }
            Step::Delete(REPLY) => {
                self.supervise(TABLE, captable::DELETE, [OWN_REPLY, 0, 0, 0]);
                return Ok(());
            }
            Step::Delete(slot) => {
                self.supervise(abi::root::TABLE as u64, captable::DELETE, [slot, 0, 0, 0]);
                return Ok(());
            }
            Step::Raise => {
                self.supervise(IRQ, irq::RAISE, [0; 4]);
                return Ok(());
            }
            Step::Expire => {
                let threads = (0..THREADS).filter_map(|number| self.thread(number));
                let first = threads.filter_map(|thread| thread.timer.deadline()).min();
                host::set_machine(|machine| machine.now = first.expect("a deadline"));
                self.world.step(&Event::Timer);
                host::set_machine(|machine| machine.now = 0);
                return Ok(());
            }
        };
        let deadline = call.r10 + number as u64;
        self.thread_acts(at(self.threads[number]), step, Call { r10: deadline, ..call })
    }

    fn on_thread(&mut self, number: usize, label: u32) -> Result<(), Complaint> {
        self.supervise(THREAD + number as u64, label, [0; 4]);
        let state = at::<Thread>(self.threads[number]).state();
        let right = match label {
            thread::SUSPEND => state == ThreadState::Inactive,
            _ => state == ThreadState::Ready,
        };
        demand!(right, "then it is {state:?}");
        Ok(())
    }

    /// A thread makes a system call; whoever it answers is awake then, and nobody is answered twice.
    fn thread_acts(&mut self, thread: ThreadRef, step: Step, call: Call) -> Result<(), Complaint> {
        self.turn(thread);
        let owed = match step {
            Step::Reply(_) | Step::ReplyRecv(..) => thread.owed(),
            Step::ReplyVia(_) | Step::ReplyRecvVia(..) if self.alive(self.reply) => {
                let parked = at::<Reply>(self.reply).caller.get();
                parked.map_or(Owed::Nothing, Owed::Caller)
            }
            _ => Owed::Nothing,
        };
        let others: Vec<(ThreadRef, ThreadState)> = (0..THREADS)
            .filter_map(|number| self.thread(number))
            .filter(|&other| other != thread)
            .map(|other| (other, other.state()))
            .collect();
        self.world.step(&Event::Call(call));
        let refused =
            thread.state() == ThreadState::Ready && Tag(thread.frame().rax.get()).status() != 0;
        match (step, owed) {
            (_, Owed::Caller(client)) if !refused => {
                demand!(client.state() == ThreadState::Ready, "{client:?} was answered");
                demand!(thread.owed() != owed, "{client:?} is owed a second answer");
            }
            (Step::Reply(_) | Step::ReplyVia(_), Owed::Nothing) => {
                let same = others.iter().all(|(other, state)| other.state() == *state);
                demand!(same, "an answer to nobody woke somebody");
            }
            (Step::Recv(_, slot), _) if !refused => {
                let endpoint = at::<Endpoint>(self.endpoints[(slot - OWN_ENDPOINT) as usize]);
                let waits = |state| state == ThreadState::Sending { to: endpoint };
                let sent = others.iter().any(|(_, state)| waits(*state));
                demand!(
                    !sent || thread.state() == ThreadState::Ready,
                    "somebody waited to be received"
                );
            }
            _ => {}
        }
        Ok(())
    }
}
