//! How capabilities and objects end.

use abi::{Error, Kind};

use super::{
    Address, Model, Owed, State,
    caps::{Part, Place},
};

/// What one entry may do.
pub struct Budget {
    work: u32,
}

/// What a capability counts, if an empty slot counts 1.
const CAPABILITY: u32 = 25;

impl Budget {
    pub fn new() -> Self {
        Self { work: 400 }
    }

    fn spend(&mut self, work: u32) -> Result<(), Error> {
        if self.work < work {
            return Err(Error::Again);
        }
        self.work -= work;
        Ok(())
    }
}

impl Model {
    /// The first capability to go when everything below `place` goes: down the youngest children.
    fn leaf_below(&self, place: Place) -> Option<Place> {
        let mut leaf = *self.caps[&place].children.first()?;
        while let Some(&child) = self.caps[&leaf].children.first() {
            leaf = child;
        }
        Some(leaf)
    }

    fn is_dying_table(&self, place: Place) -> bool {
        matches!(place, Place::Slot(_, 0))
    }

    pub fn delete(&mut self, place: Place) -> Result<(), Error> {
        let mut budget = Budget::new();
        self.remove(place, &mut budget)?;
        self.drain(&mut budget)
    }

    pub fn revoke(&mut self, place: Place) -> Result<(), Error> {
        let mut budget = Budget::new();
        while self.caps.contains_key(&place) {
            let Some(leaf) = self.leaf_below(place) else {
                break;
            };
            if self.is_dying_table(leaf) {
                self.drain(&mut budget)?;
            } else {
                self.destroy(leaf, &mut budget)?;
            }
        }
        self.drain(&mut budget)
    }

    fn remove(&mut self, place: Place, budget: &mut Budget) -> Result<(), Error> {
        let Some(cap) = self.caps.get_mut(&place) else {
            return Ok(());
        };
        cap.dying |= cap.original;
        while let Some(leaf) = self.leaf_below(place) {
            if self.is_dying_table(leaf) {
                self.become_elder_sibling(leaf, place);
            } else {
                self.destroy(leaf, budget)?;
            }
        }
        self.destroy(place, budget)
    }

    /// The node of a dying table outlives the Untyped it came from, and keeps the next one above busy.
    fn become_elder_sibling(&mut self, node: Place, place: Place) {
        let mut cap = self.caps[&node].clone();
        self.uproot(node);
        (cap.parent, cap.depth) = (self.caps[&place].parent, self.caps[&place].depth);
        let siblings = match cap.parent {
            Some(parent) => &mut self.caps.get_mut(&parent).expect("a parent").children,
            None => &mut self.roots,
        };
        let position = siblings.iter().position(|&other| other == place);
        siblings.insert(position.expect("listed"), node);
        self.caps.insert(node, cap);
    }

    /// Empties the tables that are going.
    fn drain(&mut self, budget: &mut Budget) -> Result<(), Error> {
        while let Some(&(table, index)) = self.dying.last() {
            if index >= 1 << self.tables[&table] {
                self.dying.pop();
                self.uproot(Place::Slot(table, 0));
                self.tables.remove(&table);
            } else if self.is_empty(Place::Slot(table, index)) {
                budget.spend(1)?;
                self.dying.last_mut().expect("listed").1 += 1;
            } else {
                self.remove(Place::Slot(table, index), budget)?;
            }
        }
        Ok(())
    }

    /// Destroys a capability without children; an original takes its object along.
    fn destroy(&mut self, place: Place, budget: &mut Budget) -> Result<(), Error> {
        budget.spend(CAPABILITY)?;
        let (kind, object, original) = {
            let cap = &self.caps[&place];
            (cap.kind, cap.object, cap.original)
        };
        match place {
            Place::Thread(thread, part) => self.unhook(thread, part),
            Place::Irq(irq) => self.unbind(irq),
            Place::Slot(..) => {
                if kind == Kind::Frame {
                    let _ = self.unmap_frame(place);
                }
                if original {
                    if kind == Kind::CapTable {
                        self.relocate(place, Place::Slot(object, 0));
                        let node = self.caps.get_mut(&Place::Slot(object, 0));
                        node.expect("moved").dying = true;
                        self.dying.push((object, 1));
                        return Ok(());
                    }
                    self.end_object(place, kind, object, budget)?;
                }
            }
        }
        self.uproot(place);
        Ok(())
    }

    fn end_object(
        &mut self,
        place: Place,
        kind: Kind,
        object: Address,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        match kind {
            Kind::Endpoint => {
                self.caps.get_mut(&place).expect("it").dying = true;
                loop {
                    let endpoint = &self.endpoints[&object];
                    let first = endpoint.senders.front().or(endpoint.receivers.front());
                    let Some(&waiter) = first else { break };
                    budget.spend(CAPABILITY)?;
                    self.cancel(waiter, Error::PartnerDied);
                }
                assert!(self.endpoints[&object].pending.is_empty());
                self.endpoints.remove(&object);
            }
            Kind::Thread => self.end_thread(object),
            Kind::Space => {
                self.spaces.remove(&object);
            }
            Kind::Reply => {
                if let Some(caller) = self.replies[&object] {
                    self.cancel(caller, Error::PartnerDied);
                }
                self.replies.remove(&object);
            }
            Kind::Irq => self.end_irq(object),
            Kind::Frame => {
                self.memory.remove(&object);
            }
            Kind::Empty | Kind::Untyped | Kind::CapTable | Kind::IoPorts | Kind::System => {}
        }
        Ok(())
    }

    /// A capability inside a thread was revoked.
    fn unhook(&mut self, thread: Address, part: Part) {
        match part {
            Part::Table => self.thread_mut(thread).table = None,
            Part::Space => {
                self.unmap_buffer(thread);
                self.thread_mut(thread).space = None;
            }
            Part::Fault => {}
        }
    }

    /// Takes away what CONFIGURE gave.
    pub fn unconfigure(&mut self, thread: Address) {
        self.unmap_buffer(thread);
        for part in [Part::Table, Part::Space, Part::Fault] {
            if !self.is_empty(Place::Thread(thread, part)) {
                self.uproot(Place::Thread(thread, part));
            }
        }
        let thread = self.thread_mut(thread);
        (thread.table, thread.space) = (None, None);
    }

    fn end_thread(&mut self, thread: Address) {
        self.leave(thread);
        self.make_unready(thread);
        self.thread_mut(thread).state = State::Inactive;
        if let Owed::Caller(caller) = self.thread(thread).owed {
            self.cancel(caller, Error::PartnerDied);
        }
        self.unconfigure(thread);
        self.forget(thread);
        self.memory.remove(&(thread + 4096));
        self.threads.remove(&thread);
    }
}
