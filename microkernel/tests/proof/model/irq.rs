//! Interrupts as messages.

use abi::tag::Flags;

use super::{Address, Model, Owed, Place, Progress, State};

impl Model {
    /// An interrupt fired.
    pub fn fire(&mut self, irq: Address) {
        let object = self.irqs.get_mut(&irq).expect("it");
        object.count += 1;
        if let Some((line, level)) = object.line
            && (level || object.count >= 64)
        {
            self.masked |= 1 << line;
        }
        if self.irqs[&irq].progress == Progress::Idle {
            self.announce(irq);
        }
    }

    pub fn announce(&mut self, irq: Address) {
        let Some(endpoint) = self.caps.get(&Place::Irq(irq)).map(|cap| cap.object) else {
            return;
        };
        if let Some(&receiver) = self.endpoints[&endpoint].receivers.front() {
            self.leave(receiver);
            self.deliver_irq(irq, receiver);
            self.thread_mut(receiver).state = State::Ready;
            self.make_ready(receiver);
        } else {
            self.irqs.get_mut(&irq).expect("it").progress = Progress::Pending;
            let endpoint = self.endpoints.get_mut(&endpoint).expect("it");
            endpoint.pending.push_back(irq);
        }
    }

    pub fn deliver_irq(&mut self, irq: Address, receiver: Address) {
        let badge = self.caps[&Place::Irq(irq)].badge;
        let object = self.irqs.get_mut(&irq).expect("it");
        object.progress = Progress::Delivered;
        let count = std::mem::take(&mut object.count);
        self.thread_mut(receiver).owed = Owed::Irq(irq);
        let kind = Flags::INTERRUPT.bits() as u64;
        self.set_message(receiver, kind, badge, 0, [count, 0, 0, 0]);
    }

    /// Whoever received it need not acknowledge it any more.
    pub fn settle_debt(&mut self, irq: Address) {
        for thread in self.threads.values_mut() {
            if thread.owed == Owed::Irq(irq) {
                thread.owed = Owed::Nothing;
            }
        }
    }

    pub fn acknowledge(&mut self, irq: Address) {
        if self.irqs[&irq].progress != Progress::Delivered {
            return;
        }
        self.settle_debt(irq);
        let bound = !self.is_empty(Place::Irq(irq));
        let object = self.irqs.get_mut(&irq).expect("it");
        object.progress = Progress::Idle;
        if bound && let Some((line, _)) = object.line {
            self.masked &= !(1 << line);
        }
        if self.irqs[&irq].count > 0 {
            self.announce(irq);
        }
    }

    /// Its endpoint goes: unbound and masked.
    pub fn unbind(&mut self, irq: Address) {
        let object = self.irqs.get_mut(&irq).expect("it");
        if let Some((line, _)) = object.line {
            self.masked |= 1 << line;
        }
        if object.progress == Progress::Pending {
            object.progress = Progress::Idle;
            for endpoint in self.endpoints.values_mut() {
                endpoint.pending.retain(|&other| other != irq);
            }
        }
    }

    pub fn end_irq(&mut self, irq: Address) {
        self.unbind(irq);
        self.settle_debt(irq);
        if !self.is_empty(Place::Irq(irq)) {
            self.uproot(Place::Irq(irq));
        }
        let object = self.irqs.remove(&irq).expect("it");
        if let Some(vector) = object.vector {
            self.vectors.remove(&vector);
        }
    }
}
