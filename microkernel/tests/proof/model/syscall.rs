//! System calls: which row of the IPC table, which object, and what comes back.

use abi::{Error, Kind, Op, object::endpoint, tag::Transfer};

use super::{Address, Model, Place, State, ipc::Reply};
use crate::world::Call;

// Bits of the tag going in.
const TIMED: u64 = 1 << 4;
const PAYLOAD: u64 = 1 << 5;
const CAP: u64 = 1 << 6;
const LEASES: u64 = 1 << 7;
const VIA: u64 = 1 << 15;

/// What comes back at once.
enum Outcome {
    /// This.
    Now(u64, [u64; 4]),
    /// What the partner wrote, or will write.
    Written,
}

impl Model {
    pub fn system_call(&mut self, call: &Call) {
        let thread = self.current.expect("a thread runs");
        let state = self.thread_mut(thread);
        state.vector = 0x100;
        let r = &mut state.registers;
        (r.rax, r.rdi, r.rsi, r.rdx) = (call.rax, call.rdi, call.rsi, call.rdx);
        (r.r8, r.r9, r.r10) = (call.r8, call.r9, call.r10);
        [r.r12, r.r13, r.r14, r.r15] = call.words;
        let outcome = self.dispatch(thread, call);
        if self.current == Some(thread) {
            match outcome {
                Ok(Outcome::Now(status, words)) => self.set_message(thread, status, 0, 0, words),
                Ok(Outcome::Written) => {}
                Err(error) => self.set_message(thread, error as u64, 0, 0, [0; 4]),
            }
        }
        self.finish();
    }

    fn dispatch(&mut self, thread: Address, call: &Call) -> Result<Outcome, Error> {
        let tag = call.rax;
        let (op, allowed) = match tag & 15 {
            0 => (Op::Call, TIMED | CAP | LEASES),
            1 => (Op::ReplyRecv, TIMED | PAYLOAD | CAP | VIA),
            2 => (Op::Recv, TIMED | CAP | VIA),
            3 => (Op::Reply, PAYLOAD | CAP | VIA),
            4 => (Op::Yield, 0),
            5 => (Op::Nop, 0),
            _ => return Err(Error::InvalidTag),
        };
        if tag & 0xffff_80f0 & !allowed != 0 || tag >> 8 & 0x7f > 116 {
            return Err(Error::InvalidTag);
        }
        self.thread_mut(thread).transfer = if tag & CAP != 0 { call.r9 } else { 0 };
        let until = (tag & TIMED != 0).then_some(call.r10);
        match op {
            Op::Call => self.call(thread, call, until),
            Op::Recv => {
                let from = self.endpoint_to_receive(thread, call)?;
                if tag & VIA != 0 {
                    let reply = self.reply_object(thread, call)?;
                    self.defer(thread, reply)?;
                }
                self.may_receive(thread)?;
                self.receive(thread, from, until)?;
                Ok(Outcome::Written)
            }
            Op::Reply => {
                let reply = self.decode_reply(thread, call)?;
                if let Some(client) = self.reply(thread, reply) {
                    self.make_ready(client);
                }
                Ok(Outcome::Now(0, [0; 4]))
            }
            Op::ReplyRecv => {
                let from = self.endpoint_to_receive(thread, call)?;
                if tag & VIA != 0 {
                    self.may_receive(thread)?;
                }
                let reply = self.decode_reply(thread, call)?;
                let in_turn = tag & VIA == 0 && self.thread(thread).in_turn;
                let client = self.reply(thread, reply);
                let received = self.receive(thread, from, until);
                if let Some(client) = client {
                    if self.thread(thread).state == State::Ready {
                        self.make_ready(client);
                    } else {
                        self.hand_back(client, in_turn);
                    }
                }
                received.map(|()| Outcome::Written)
            }
            Op::Yield => {
                self.set_message(thread, 0, 0, 0, [0; 4]);
                self.rotate();
                Ok(Outcome::Written)
            }
            Op::Nop => Ok(Outcome::Now(0, [0; 4])),
        }
    }

    fn call(&mut self, thread: Address, call: &Call, until: Option<u64>) -> Result<Outcome, Error> {
        let label = (call.rax >> 32) as u32;
        if call.rdi == 0 {
            let super::Owed::Caller(client) = self.thread(thread).owed else {
                return Err(Error::NoCaller);
            };
            let (status, words) = self.on_caller(thread, client, label)?;
            return Ok(Outcome::Now(status, words));
        }
        let place = self.own(thread, call.rdi)?;
        if self.caps.get(&place).is_none_or(|cap| cap.kind != Kind::Endpoint) {
            let (status, words) = self.invoke(thread, place, label)?;
            return Ok(Outcome::Now(status, words));
        }
        let cap = self.check(place, Kind::Endpoint, endpoint::CALL)?;
        let (to, badge, grant) = (cap.object, cap.badge, cap.rights & endpoint::GRANT != 0);
        self.may_pass(thread, grant)?;
        let mut leases = vec![(call.rdx, call.r8)];
        if call.rax & LEASES != 0 {
            for index in 1..4 {
                let word = (0x3c0 + 16 * (index - 1)) / 8;
                leases.push((self.word(thread, word), self.word(thread, word + 1)));
            }
        }
        let state = self.thread_mut(thread);
        (state.leases, state.badge, state.fault) = (leases, badge, false);
        self.send(thread, to, until)?;
        Ok(Outcome::Written)
    }

    fn endpoint_to_receive(&self, thread: Address, call: &Call) -> Result<Address, Error> {
        let place = self.own(thread, call.rdi)?;
        Ok(self.check(place, Kind::Endpoint, endpoint::RECV)?.object)
    }

    fn reply_object(&self, thread: Address, call: &Call) -> Result<Address, Error> {
        let place = self.own(thread, call.rsi)?;
        Ok(self.check(place, Kind::Reply, 0)?.object)
    }

    fn may_receive(&self, thread: Address) -> Result<(), Error> {
        match self.thread(thread).owed {
            super::Owed::Caller(_) => Err(Error::OwesReply),
            _ => Ok(()),
        }
    }

    /// A capability to pass must exist; a call needs GRANT.
    fn may_pass(&self, thread: Address, grant: bool) -> Result<(), Error> {
        let offer = Transfer::from_bits(self.thread(thread).transfer);
        if offer.pass == 0 {
            return Ok(());
        }
        let place: Place = self.own(thread, offer.pass as u64)?;
        self.usable(place)?;
        if grant { Ok(()) } else { Err(Error::MissingRight) }
    }

    /// Everything a reply can be refused for; the payload is copied.
    fn decode_reply(&mut self, thread: Address, call: &Call) -> Result<Reply, Error> {
        let tag = call.rax;
        let via = if tag & VIA != 0 { Some(self.reply_object(thread, call)?) } else { None };
        self.may_pass(thread, true)?;
        let target = self.answered(thread, via);
        self.check_fault_answer(thread, target, tag)?;
        if tag & PAYLOAD != 0 {
            self.payload(thread, target)?;
        }
        Ok(Reply { tag, via })
    }
}
