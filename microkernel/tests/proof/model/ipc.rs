//! The rendezvous and every way out of waiting: the table of KERNEL.md B4, row by row.

use abi::{Error, USER_END, fault, tag::Flags, tag::Transfer};

use super::{Address, Holder, Model, Owed, Part, Place, State, memory::Side};

/// A reply's choice of caller and what it brings.
#[derive(Clone, Copy)]
pub struct Reply {
    pub tag: u64,
    pub via: Option<Address>,
}

impl Model {
    /// Sets what a blocked or finished system call returns with.
    pub fn set_message(&mut self, thread: Address, tag: u64, badge: u64, r8: u64, words: [u64; 4]) {
        let r = &mut self.thread_mut(thread).registers;
        (r.rax, r.rdi, r.r8) = (tag, badge, r8);
        [r.r12, r.r13, r.r14, r.r15] = words;
    }

    pub fn words(&self, thread: Address) -> [u64; 4] {
        let r = &self.thread(thread).registers;
        [r.r12, r.r13, r.r14, r.r15]
    }

    /// A call or fault goes to the first receiver, or queues.
    pub fn send(&mut self, sender: Address, to: Address, until: Option<u64>) -> Result<(), Error> {
        if let Some(&receiver) = self.endpoints[&to].receivers.front() {
            self.leave(receiver);
            self.endpoints.get_mut(&to).expect("it").messages += 1;
            self.take(receiver, sender);
            self.thread_mut(receiver).state = State::Ready;
            if let Some(deadline) = until {
                self.arm(sender, deadline);
            }
            self.hand_over(receiver);
            return Ok(());
        }
        if until.is_some_and(|deadline| deadline <= self.now) {
            return Err(Error::TimedOut);
        }
        self.thread_mut(sender).state = State::Sending(to);
        self.endpoints.get_mut(&to).expect("it").senders.push_back(sender);
        if let Some(deadline) = until {
            self.arm(sender, deadline);
        }
        Ok(())
    }

    /// A server takes a sender's message and owes the answer.
    fn take(&mut self, server: Address, sender: Address) {
        self.thread_mut(sender).state = State::Awaiting(Holder::Thread(server));
        let client = self.thread(sender).clone();
        if client.fault {
            let all = client.shown_registers().to_words();
            for (index, word) in all[2..].iter().enumerate() {
                self.set_word(server, 4 + index, *word);
            }
            let low = (fault::EXTRA as u64) << 8 | Flags::FAULT.bits() as u64;
            let cause = client.vector & 0xff | client.error << 32;
            let words = [cause, client.fault_address, all[0], all[1]];
            self.set_message(server, low, client.badge, 0, words);
        } else {
            let tag = client.registers.rax;
            let mut low = tag & 0x7f00;
            self.copy_words(sender, server, (tag >> 8 & 0x7f) as usize);
            if tag & Flags::LEASES.bits() as u64 != 0 {
                low |= Flags::MORE_LEASES.bits() as u64;
            }
            if self.pass(sender, server) {
                low |= Flags::CAP_ARRIVED.bits() as u64;
            }
            let words = self.words(sender);
            let tag = tag >> 32 << 32 | low;
            self.set_message(server, tag, client.badge, client.leases[0].1, words);
        }
        let priority = self.thread(server).base.max(client.priority);
        self.set_priority(server, priority);
        let server = self.thread_mut(server);
        (server.owed, server.in_turn) = (Owed::Caller(sender), true);
    }

    fn copy_words(&mut self, from: Address, to: Address, count: usize) {
        for index in 4..4 + count {
            let word = self.word(from, index);
            self.set_word(to, index, word);
        }
    }

    /// A capability travels with the message, if both sides named a slot and it can.
    fn pass(&mut self, sender: Address, receiver: Address) -> bool {
        let offer = Transfer::from_bits(self.thread(sender).transfer);
        let wish = Transfer::from_bits(self.thread(receiver).transfer);
        if offer.pass == 0 || wish.receive == 0 {
            return false;
        }
        let from = self.own(sender, offer.pass as u64);
        let to = self.own(receiver, wish.receive as u64);
        let (Ok(from), Ok(to)) = (from, to) else {
            return false;
        };
        if self.usable(from).is_err() || !self.is_empty(to) {
            return false;
        }
        if offer.move_it {
            self.relocate(from, to);
            return true;
        }
        let rights = self.caps[&from].rights;
        self.derive(from, to, rights, 0).is_ok()
    }

    /// An interrupt, else a sender, else wait.
    pub fn receive(
        &mut self,
        server: Address,
        from: Address,
        until: Option<u64>,
    ) -> Result<(), Error> {
        if let Owed::Irq(irq) = self.thread(server).owed {
            self.acknowledge(irq);
        }
        let endpoint = self.endpoints.get_mut(&from).expect("it");
        if let Some(irq) = endpoint.pending.pop_front() {
            self.deliver_irq(irq, server);
        } else if let Some(sender) = endpoint.senders.pop_front() {
            endpoint.messages += 1;
            self.take(server, sender);
            self.thread_mut(server).in_turn = false;
        } else if until.is_some_and(|deadline| deadline <= self.now) {
            return Err(Error::TimedOut);
        } else {
            endpoint.receivers.push_back(server);
            self.thread_mut(server).state = State::Receiving(from);
            if let Some(deadline) = until {
                self.arm(server, deadline);
            }
        }
        Ok(())
    }

    /// Whom a reply answers.
    pub fn answered(&self, server: Address, via: Option<Address>) -> Owed {
        match via {
            Some(reply) => self.replies[&reply].map_or(Owed::Nothing, Owed::Caller),
            None => self.thread(server).owed,
        }
    }

    /// A reply to a fault must not send its thread out of user addresses.
    pub fn check_fault_answer(&self, server: Address, target: Owed, tag: u64) -> Result<(), Error> {
        let Owed::Caller(client) = target else {
            return Ok(());
        };
        let sets = (tag >> 8 & 0x7f) as usize == fault::EXTRA;
        if self.thread(client).fault && sets && self.thread(server).registers.r14 >= USER_END {
            return Err(Error::InvalidAddress);
        }
        Ok(())
    }

    /// Copies a reply's payload into lease 0.
    pub fn payload(&mut self, server: Address, target: Owed) -> Result<(), Error> {
        let Owed::Caller(client) = target else {
            return Ok(());
        };
        let (address, length) = {
            let r = &self.thread(server).registers;
            (r.rdx, r.r8)
        };
        if length > abi::COPY_LIMIT {
            return Err(Error::InvalidArgument);
        }
        let lent = self.lent(client, 0, true, 0, length)?;
        let (own, lender) = (self.thread(server).space, self.thread(client).space);
        match self.copy(own, address, lender, lent, length).1 {
            None => Ok(()),
            Some(Side::To) => Err(Error::LeaseFault),
            Some(Side::From) => Err(Error::BadBuffer),
        }
    }

    /// Answers; the client that became Ready comes back.
    pub fn reply(&mut self, server: Address, reply: Reply) -> Option<Address> {
        let client = match self.answered(server, reply.via) {
            Owed::Nothing => return None,
            Owed::Irq(irq) => {
                self.acknowledge(irq);
                return None;
            }
            Owed::Caller(client) => client,
        };
        self.release(client);
        self.disarm(client);
        if self.thread(client).fault {
            return self.answer_fault(server, client, reply.tag);
        }
        let mut low = reply.tag & 0x7f00;
        self.copy_words(server, client, (reply.tag >> 8 & 0x7f) as usize);
        if self.pass(server, client) {
            low |= Flags::CAP_ARRIVED.bits() as u64;
        }
        let words = self.words(server);
        self.set_message(client, reply.tag >> 32 << 32 | low, 0, 0, words);
        self.thread_mut(client).state = State::Ready;
        Some(client)
    }

    fn answer_fault(&mut self, server: Address, client: Address, tag: u64) -> Option<Address> {
        if (tag >> 32) as u32 != fault::RESUME {
            self.stop(client);
            return None;
        }
        if (tag >> 8 & 0x7f) as usize == fault::EXTRA {
            let mut words = [0; 18];
            let [_, _, rip, rsp] = self.words(server);
            (words[0], words[1]) = (rip, rsp);
            for (index, word) in words[2..].iter_mut().enumerate() {
                *word = self.word(server, 4 + index);
            }
            self.thread_mut(client).set_registers(words);
        }
        self.thread_mut(client).state = State::Ready;
        Some(client)
    }

    fn stop(&mut self, thread: Address) {
        let thread = self.thread_mut(thread);
        thread.state = State::Inactive;
        thread.stopped_by = thread.vector & 0xff | 1 << 8;
    }

    /// Parks the current caller.
    pub fn defer(&mut self, server: Address, reply: Address) -> Result<(), Error> {
        let client = match self.thread(server).owed {
            Owed::Irq(_) => return Err(Error::BadState),
            Owed::Nothing => return Err(Error::NoCaller),
            Owed::Caller(client) => client,
        };
        if self.replies[&reply].is_some() {
            return Err(Error::Busy);
        }
        self.thread_mut(client).state = State::Awaiting(Holder::Reply(reply));
        self.replies.insert(reply, Some(client));
        self.thread_mut(server).owed = Owed::Nothing;
        let base = self.thread(server).base;
        self.set_priority(server, base);
        Ok(())
    }

    /// Nobody owes this thread an answer any more.
    fn release(&mut self, client: Address) {
        match self.thread(client).state {
            State::Awaiting(Holder::Thread(server)) => {
                self.thread_mut(server).owed = Owed::Nothing;
                let base = self.thread(server).base;
                self.set_priority(server, base);
            }
            State::Awaiting(Holder::Reply(reply)) => {
                self.replies.insert(reply, None);
            }
            _ => {}
        }
    }

    /// Leaves whatever it waits in.
    pub fn leave(&mut self, thread: Address) {
        match self.thread(thread).state {
            State::Inactive | State::Ready => return,
            State::Sending(to) => {
                let queue = &mut self.endpoints.get_mut(&to).expect("it").senders;
                queue.retain(|&member| member != thread);
            }
            State::Receiving(from) => {
                let queue = &mut self.endpoints.get_mut(&from).expect("it").receivers;
                queue.retain(|&member| member != thread);
            }
            State::Awaiting(_) => self.release(thread),
        }
        self.disarm(thread);
    }

    /// Ends what a thread waits for. A fault is tried again, or stops for good when its partner died.
    pub fn cancel(&mut self, thread: Address, error: Error) {
        let state = self.thread(thread).state;
        if matches!(state, State::Inactive | State::Ready) {
            return;
        }
        self.leave(thread);
        let receiving = matches!(state, State::Receiving(_));
        if self.thread(thread).fault && !receiving {
            if error == Error::PartnerDied {
                self.thread_mut(thread).state = State::Inactive;
                return;
            }
        } else {
            let mut status = error as u64;
            if matches!(state, State::Awaiting(_)) {
                status |= Flags::DELIVERED.bits() as u64;
            }
            self.set_message(thread, status, 0, 0, [0; 4]);
        }
        self.thread_mut(thread).state = State::Ready;
        self.make_ready(thread);
    }

    pub fn suspend(&mut self, thread: Address) {
        self.cancel(thread, Error::Cancelled);
        self.make_unready(thread);
        self.thread_mut(thread).state = State::Inactive;
    }

    /// The running thread trapped.
    pub fn trap(&mut self, vector: u8, error: u64, address: u64, registers: &fault::Registers) {
        let current = self.current.expect("a thread runs");
        let slot = Place::Thread(current, Part::Fault);
        let handler = self.check(slot, abi::Kind::Endpoint, abi::object::endpoint::CALL);
        let handler = handler.map(|cap| (cap.object, cap.badge)).ok();
        let thread = self.thread_mut(current);
        thread.set_registers(registers.to_words());
        (thread.vector, thread.error) = (vector as u64, error);
        thread.fault_address = if vector as u64 == fault::PAGE_FAULT { address } else { 0 };
        thread.fault = true;
        thread.leases.clear();
        thread.transfer = 0;
        match handler {
            Some((endpoint, badge)) => {
                thread.badge = badge;
                self.send(current, endpoint, None).expect("no deadline");
            }
            None => self.stop(current),
        }
        self.finish();
    }
}
