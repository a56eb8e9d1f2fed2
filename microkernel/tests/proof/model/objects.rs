//! What kernel objects answer.

use abi::{Error, Kind, object::*};

use super::{Address, Cap, Irq, Model, Owed, Part, Place, Progress, State, memory::Side};

/// What an invocation returns with: status and words.
pub type Answer = Result<(u64, [u64; 4]), Error>;

/// Success, with these words.
pub fn words(w0: u64, w1: u64, w2: u64, w3: u64) -> Answer {
    Ok((0, [w0, w1, w2, w3]))
}

/// Success, with nothing to say.
pub const DONE: Answer = Ok((0, [0; 4]));

impl Model {
    /// Invokes the object a slot names.
    pub fn invoke(&mut self, thread: Address, place: Place, label: u32) -> Answer {
        let cap = self.usable(place)?.clone();
        let w = self.words(thread);
        match cap.kind {
            Kind::Empty => unreachable!("no such capability"),
            Kind::Untyped => self.on_untyped(thread, place, &cap, label, w),
            Kind::CapTable => self.on_table(thread, place, &cap, label, w),
            Kind::Thread => self.on_thread(thread, &cap, label, w),
            Kind::Space => self.on_space(thread, &cap, label, w),
            Kind::Frame => {
                self.check(place, Kind::Frame, frame::ADDRESS)?;
                if label != frame::PHYSICAL {
                    return Err(Error::InvalidOperation);
                }
                words(cap.object, 0, 0, 0)
            }
            Kind::Endpoint => Err(Error::InvalidOperation),
            Kind::Reply => {
                if label == reply::DEFER {
                    self.defer(thread, cap.object)?;
                    return DONE;
                }
                let client = self.replies[&cap.object].ok_or(Error::NoCaller)?;
                self.on_caller(thread, client, label)
            }
            Kind::Irq => self.on_irq(thread, place, &cap, label, w),
            Kind::IoPorts => self.on_ports(place, &cap, label, w),
            Kind::System => self.on_system(thread, place, label, w),
        }
    }

    /// Leases of a caller.
    pub fn on_caller(&mut self, thread: Address, client: Address, label: u32) -> Answer {
        let [index, offset, own, length] = self.words(thread);
        match label {
            reply::LEASE_READ | reply::LEASE_WRITE => {
                let length = length.min(abi::COPY_LIMIT);
                let write = label == reply::LEASE_WRITE;
                let lent = self.lent(client, index, write, offset, length)?;
                let (mine, lender) = (self.thread(thread).space, self.thread(client).space);
                let ((moved, missing), lending) = if write {
                    (self.copy(mine, own, lender, lent, length), Side::To)
                } else {
                    (self.copy(lender, lent, mine, own, length), Side::From)
                };
                let status = match missing {
                    None => 0,
                    Some(side) if side == lending => Error::LeaseFault as u64,
                    Some(_) => Error::BadBuffer as u64,
                };
                Ok((status, [moved, 0, 0, 0]))
            }
            reply::LEASE_INFO => {
                let leases = &self.thread(client).leases;
                let lease = leases.get(index as usize).ok_or(Error::LeaseBounds)?;
                words(lease.1, 0, 0, 0)
            }
            _ => Err(Error::InvalidOperation),
        }
    }

    fn on_untyped(
        &mut self,
        thread: Address,
        place: Place,
        cap: &Cap,
        label: u32,
        w: [u64; 4],
    ) -> Answer {
        match label {
            untyped::INFO => {
                let used = if cap.children.is_empty() { 0 } else { cap.used };
                words((1 << cap.bits) - used, 1 << cap.bits, 0, 0)
            }
            untyped::RETYPE => {
                let table = self.own(thread, w[1])?;
                self.check(table, Kind::CapTable, captable::WRITE)?;
                self.retype(place, table, w)?;
                DONE
            }
            _ => Err(Error::InvalidOperation),
        }
    }

    fn retype(&mut self, place: Place, table: Place, w: [u64; 4]) -> Result<(), Error> {
        let [what, _, first, child_rights] = w;
        let kind = Kind::from_number(what as u8).ok_or(Error::InvalidArgument)?;
        let (bits, count) = (what >> 8 & 0xff, what >> 16);
        if count == 0 || count > 64 {
            return Err(Error::InvalidArgument);
        }
        let cap = self.check(place, Kind::Untyped, Self::retype_right(kind))?.clone();
        let child_rights = child_rights as u8;
        if kind == Kind::Untyped && child_rights & !cap.rights != 0 {
            return Err(Error::MissingRight);
        }
        let size = match kind {
            Kind::Untyped if (6..=36).contains(&bits) => 1 << bits,
            Kind::CapTable if (4..=16).contains(&bits) => 32 << bits,
            Kind::Space if (15..=24).contains(&bits) => 1 << bits,
            Kind::Frame if bits == 12 || bits == 21 => 1 << bits,
            Kind::Thread => 8192,
            Kind::Endpoint | Kind::Reply => 64,
            Kind::Irq => 128,
            _ => return Err(Error::InvalidArgument),
        };
        self.check_depth(place)?;
        for index in 0..count {
            let index = first.checked_add(index).ok_or(Error::NoCapability)?;
            if !self.is_empty(self.slot_in(table, index)?) {
                return Err(Error::SlotOccupied);
            }
        }
        if kind == Kind::Space && count > 1 {
            return Err(Error::InvalidArgument);
        }
        let (used, mut zeroed) = if !cap.children.is_empty() {
            (cap.used, cap.zeroed)
        } else if cap.used == 0 {
            (0, cap.zeroed)
        } else {
            (0, 0)
        };
        let start = (cap.object + used).div_ceil(size) * size - cap.object;
        let end = start as u128 + size as u128 * count as u128;
        if end > 1 << cap.bits {
            return Err(Error::OutOfMemory);
        }
        let end = end as u64;
        if kind != Kind::Untyped && zeroed < end {
            let from = zeroed.max(used);
            zeroed = end.min(from + (64 << 10));
            self.mark(place, used, zeroed);
            if zeroed < end || count > 32 {
                return Err(Error::Again);
            }
        }
        for index in 0..count {
            let at = cap.object + start + index * size;
            let mut new = Cap::new(kind, at, Self::full_rights(kind), 0);
            new.original = true;
            if matches!(kind, Kind::Untyped | Kind::CapTable | Kind::Space) {
                new.bits = bits as u32;
            }
            new.large = kind == Kind::Frame && bits == 21;
            match kind {
                Kind::Untyped => {
                    new.rights = child_rights;
                    if zeroed >= start + (index + 1) * size {
                        new.zeroed = size;
                    }
                }
                Kind::CapTable => _ = self.tables.insert(at, bits as u32),
                Kind::Thread => self.new_thread(at),
                Kind::Space => self.new_space(at, bits as u32),
                Kind::Frame => _ = self.memory.insert(at, Box::new([0; 4096])),
                Kind::Endpoint => _ = self.endpoints.insert(at, Default::default()),
                Kind::Reply => _ = self.replies.insert(at, None),
                Kind::Irq => {
                    let irq = Irq { progress: Progress::Idle, count: 0, vector: None, line: None };
                    self.irqs.insert(at, irq);
                }
                Kind::Empty | Kind::IoPorts | Kind::System => unreachable!("refused"),
            }
            let slot = self.slot_in(table, first + index)?;
            self.adopt(place, slot, new);
        }
        self.mark(place, end, zeroed);
        Ok(())
    }

    fn mark(&mut self, untyped: Place, used: u64, zeroed: u64) {
        let cap = self.caps.get_mut(&untyped).expect("it");
        (cap.used, cap.zeroed) = (used, zeroed.max(used));
    }

    fn full_rights(kind: Kind) -> u8 {
        match kind {
            Kind::CapTable | Kind::Thread => 3,
            Kind::Space => 1,
            Kind::Frame | Kind::Endpoint => 15,
            Kind::Irq | Kind::Untyped => 7,
            _ => 0,
        }
    }

    fn on_table(
        &mut self,
        thread: Address,
        place: Place,
        cap: &Cap,
        label: u32,
        w: [u64; 4],
    ) -> Answer {
        let looks = [captable::IDENTIFY, captable::MESSAGES].contains(&label);
        let right = if looks { captable::INSPECT } else { captable::WRITE };
        if cap.rights & right == 0 {
            return Err(Error::MissingRight);
        }
        let slot = self.slot_in(place, w[0])?;
        match label {
            captable::DERIVE => {
                let from = self.own(thread, w[1])?;
                self.derive(from, slot, w[2] as u8, w[3])?;
            }
            captable::MOVE => {
                let from = self.own(thread, w[1])?;
                self.usable(from)?;
                if !self.is_empty(slot) {
                    return Err(Error::SlotOccupied);
                }
                self.relocate(from, slot);
            }
            captable::DELETE => self.delete(slot)?,
            captable::REVOKE => self.revoke(slot)?,
            captable::IDENTIFY => {
                let mut mine = None;
                if w[1] != 0 {
                    let own = self.own(thread, w[1])?;
                    mine = Some(self.check(own, Kind::Endpoint, endpoint::RECV)?.object);
                }
                let cap = self.caps.get(&slot).ok_or(Error::NoCapability)?;
                let same = cap.kind == Kind::Endpoint && mine == Some(cap.object);
                let badge = if same { cap.badge } else { 0 };
                return words(cap.kind as u64, cap.rights as u64, badge, same as u64);
            }
            captable::MESSAGES => {
                let endpoint = self.check(slot, Kind::Endpoint, endpoint::RECV)?.object;
                return words(self.endpoints[&endpoint].messages, 0, 0, 0);
            }
            _ => return Err(Error::InvalidOperation),
        }
        DONE
    }

    fn on_thread(&mut self, thread: Address, cap: &Cap, label: u32, w: [u64; 4]) -> Answer {
        let registers = matches!(label, thread::READ_REGISTERS | thread::WRITE_REGISTERS);
        let right = if registers { thread::REGISTERS } else { thread::CONTROL };
        if cap.rights & right == 0 {
            return Err(Error::MissingRight);
        }
        let target = cap.object;
        let inactive = self.thread(target).state == State::Inactive;
        match label {
            thread::CONFIGURE => self.configure(thread, target, w)?,
            thread::PRIORITY => {
                let limit = self.thread(thread).ceiling as u64;
                if w[0] > limit || w[1] > limit {
                    return Err(Error::AboveCeiling);
                }
                let served = match self.thread(target).owed {
                    Owed::Caller(client) => self.thread(client).priority,
                    _ => 0,
                };
                let state = self.thread_mut(target);
                (state.base, state.ceiling) = (w[0] as i32, w[1] as u8);
                self.set_priority(target, served.max(w[0] as i32));
            }
            thread::FLAGS if w[0] > 1 || w[1] > 1 => return Err(Error::InvalidArgument),
            thread::START | thread::WRITE_REGISTERS | thread::FLAGS if !inactive => {
                return Err(Error::BadState);
            }
            // What an unusual thread does is what others do; only the fast path is not for it.
            thread::FLAGS => {}
            thread::START => {
                let state = self.thread_mut(target);
                (state.state, state.stopped_by) = (State::Ready, 0);
                self.make_ready(target);
            }
            thread::SUSPEND => self.suspend(target),
            thread::CANCEL => self.cancel(target, Error::Cancelled),
            thread::READ_REGISTERS => {
                let shown = self.thread(target).shown_registers().to_words();
                for (index, word) in shown.into_iter().enumerate() {
                    self.set_word(thread, 4 + index, word);
                }
            }
            thread::WRITE_REGISTERS => {
                let new = std::array::from_fn(|index| self.word(thread, 4 + index));
                if new[0] >= abi::USER_END {
                    return Err(Error::InvalidAddress);
                }
                self.thread_mut(target).set_registers(new);
            }
            thread::INFO => {
                let target = self.thread(target);
                let number = match target.state {
                    State::Inactive => 0,
                    State::Ready => 1,
                    State::Sending(_) => 2,
                    State::Receiving(_) => 3,
                    State::Awaiting(_) => 4,
                };
                return words(number, target.paid, target.stopped_by, 0);
            }
            _ => return Err(Error::InvalidOperation),
        }
        DONE
    }

    fn configure(&mut self, thread: Address, target: Address, w: [u64; 4]) -> Result<(), Error> {
        if self.thread(target).state != State::Inactive {
            return Err(Error::BadState);
        }
        let table = self.own(thread, w[0])?;
        self.check(table, Kind::CapTable, 0)?;
        let space = self.own(thread, w[1])?;
        let space_object = self.check(space, Kind::Space, space::MAP_RIGHT)?.object;
        let mut fault = None;
        if w[2] != 0 {
            let slot = self.own(thread, w[2])?;
            self.check(slot, Kind::Endpoint, endpoint::CALL)?;
            self.check_depth(slot)?;
            fault = Some(slot);
        }
        self.check_depth(table)?;
        self.check_depth(space)?;
        self.unconfigure(target);
        self.map_buffer(space_object, target, w[3])?;
        self.embed(table, Place::Thread(target, Part::Table), None);
        self.embed(space, Place::Thread(target, Part::Space), None);
        if let Some(fault) = fault {
            self.embed(fault, Place::Thread(target, Part::Fault), None);
        }
        let table_object = self.caps[&table].object;
        let target = self.thread_mut(target);
        target.buffer = Some(w[3]);
        (target.table, target.space) = (Some(table_object), Some(space_object));
        Ok(())
    }

    fn on_space(&mut self, thread: Address, cap: &Cap, label: u32, w: [u64; 4]) -> Answer {
        if cap.rights & space::MAP_RIGHT == 0 {
            return Err(Error::MissingRight);
        }
        match label {
            space::MAP => {
                let frame = self.own(thread, w[0])?;
                self.map_frame(cap.object, frame, w[1], w[2])?;
            }
            space::UNMAP => {
                let frame = self.own(thread, w[0])?;
                self.check(frame, Kind::Frame, 0)?;
                if self.mapping(frame).is_none_or(|(space, _)| space != cap.object) {
                    return Err(Error::NotMapped);
                }
                self.unmap_frame(frame)?;
            }
            space::INFO => return words(self.spaces[&cap.object].free, 0, 0, 0),
            _ => return Err(Error::InvalidOperation),
        }
        DONE
    }
}
