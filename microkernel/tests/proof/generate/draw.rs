//! Choices out of an action's few numbers, mostly such that something happens.

use abi::{Kind, Op, tag::Transfer};

use crate::{
    model::{Address, Model, Place},
    world::Call,
};

/// User pages that programs use.
pub const PAGES: u64 = 0x1_0000;
/// First page of a message buffer.
pub const BUFFERS: u64 = 0x4_0000;

/// Numbers for one action, taken one after the other.
pub struct Draw<'a> {
    pub model: &'a Model,
    pub thread: Address,
    pub numbers: [u16; 6],
    pub next: usize,
}

impl Draw<'_> {
    pub fn number(&mut self) -> u64 {
        let number = self.numbers[self.next % 6].rotate_left(5 * (self.next as u32 / 6));
        self.next += 1;
        number as u64
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A slot of the thread's own table that fits, mostly; else any.
    pub fn slot(&mut self, fits: impl Fn(&crate::model::Cap) -> bool) -> u64 {
        let table = self.model.thread(self.thread).table;
        let found: Vec<u64> = (1..64)
            .filter(|&index| {
                let place = table.map(|table| Place::Slot(table, index));
                place.is_some_and(|place| self.model.caps.get(&place).is_some_and(&fits))
            })
            .collect();
        if found.is_empty() || self.chance(4) {
            return self.below(66);
        }
        self.one(&found)
    }

    pub fn kind(&mut self, kind: Kind) -> u64 {
        self.slot(|cap| cap.kind == kind)
    }

    /// An empty slot of the table a capability names, or of the thread's own; mostly.
    pub fn empty(&mut self, table: Option<Address>) -> u64 {
        let free: Vec<u64> = (1..64)
            .filter(|&index| {
                table.is_some_and(|table| self.model.is_empty(Place::Slot(table, index)))
            })
            .take(6)
            .collect();
        if free.is_empty() || self.chance(4) {
            return self.below(66);
        }
        self.one(&free)
    }

    pub fn own_table(&self) -> Option<Address> {
        self.model.thread(self.thread).table
    }

    pub fn named_table(&self, slot: u64) -> Option<Address> {
        let cap = self.model.caps.get(&Place::Slot(self.own_table()?, slot))?;
        (cap.kind == Kind::CapTable).then_some(cap.object)
    }

    /// A user address, mostly one that may be mapped.
    pub fn address(&mut self) -> u64 {
        if self.chance(3) {
            return self.one(&[0, u64::MAX, abi::USER_END - 8, 1 << 63]);
        }
        PAGES + self.below(8) * 4096 + self.below(4096)
    }

    pub fn length(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => 1 << self.below(18),
            2 => u64::MAX >> self.below(8),
            3 => 4096 * self.below(3),
            _ => self.below(200),
        }
    }

    pub fn call(&mut self, op: Op, label: u32, low: u64) -> Call {
        Call { rax: op as u64 | low | (label as u64) << 32, ..Call::default() }
    }

    pub fn invoke(&mut self, slot: u64, label: u32, words: [u64; 4]) -> Call {
        Call { rdi: slot, words, ..self.call(Op::Call, label, 0) }
    }

    /// Deadline, capability and extra words of a message; root never waits for ever.
    pub fn dress(&mut self, call: &mut Call, blocking: bool) {
        let root = self.model.thread(self.thread).ceiling == 255;
        if blocking && (root || self.chance(25)) {
            call.rax |= 1 << 4;
            let now = self.model.now;
            call.r10 = match self.below(4) {
                0 => now.saturating_sub(self.below(100)),
                _ => now + self.below(3000),
            };
        }
        if self.chance(20) {
            call.rax |= 1 << 6;
            let pass =
                if self.chance(60) { self.slot(|cap| cap.kind != Kind::CapTable) } else { 0 };
            let receive = if self.chance(70) { self.empty(self.own_table()) } else { 0 };
            call.r9 =
                Transfer { pass: pass as u32, move_it: self.chance(30), receive: receive as u32 }
                    .to_bits();
        }
        let extra = self.one(&[0, 0, 0, 0, 1, 3, 16, 116]);
        call.rax |= extra << 8;
        call.words = [self.number(), self.number(), self.number(), self.number()];
    }
}
