//! What interrupts, ports and the machine answer.

use abi::{Error, Kind, object::*};

use super::{
    Address, Cap, Irq, Model, Place, Progress,
    objects::{Answer, DONE, words},
};

impl Model {
    pub fn on_irq(
        &mut self,
        thread: Address,
        place: Place,
        cap: &Cap,
        label: u32,
        w: [u64; 4],
    ) -> Answer {
        let right = match label {
            irq::BIND => irq::BIND_RIGHT,
            irq::ACK => irq::ACK_RIGHT,
            irq::RAISE => irq::RAISE_RIGHT,
            _ => 0,
        };
        self.check(place, Kind::Irq, right)?;
        match label {
            irq::BIND => {
                let slot = self.own(thread, w[0])?;
                self.check(slot, Kind::Endpoint, endpoint::RECV)?;
                if !self.is_empty(Place::Irq(cap.object)) {
                    return Err(Error::BadState);
                }
                self.check_depth(slot)?;
                self.embed(slot, Place::Irq(cap.object), Some(w[1]));
                if let Some((line, _)) = self.irqs[&cap.object].line {
                    self.masked &= !(1 << line);
                }
                let irq = &self.irqs[&cap.object];
                if irq.progress == Progress::Idle && irq.count > 0 {
                    self.announce(cap.object);
                }
            }
            irq::ACK => self.acknowledge(cap.object),
            irq::RAISE => self.fire(cap.object),
            irq::INFO => {
                let irq = &self.irqs[&cap.object];
                return match (irq.vector, irq.line) {
                    (Some(vector), None) => words(0xfee0_0000, vector as u64, 0, 0),
                    _ => DONE,
                };
            }
            _ => return Err(Error::InvalidOperation),
        }
        DONE
    }

    pub fn on_ports(&mut self, place: Place, cap: &Cap, label: u32, w: [u64; 4]) -> Answer {
        let right = if matches!(label, ioports::IN | ioports::IN_BLOCK) {
            ioports::IN_RIGHT
        } else {
            ioports::OUT_RIGHT
        };
        self.check(place, Kind::IoPorts, right)?;
        let [port, width, argument, _] = w;
        let end = port as u128 + width as u128;
        let (base, count) = cap.ports;
        if !matches!(width, 1 | 2 | 4) || port < base || end > (base + count) as u128 {
            return Err(Error::InvalidArgument);
        }
        match label {
            ioports::IN => return words(port & ((1 << (8 * width)) - 1), 0, 0, 0),
            ioports::OUT => self.written = Some((port as u16, width, argument)),
            ioports::IN_BLOCK | ioports::OUT_BLOCK => {
                if argument as u128 * width as u128 > 512 {
                    return Err(Error::InvalidArgument);
                }
            }
            _ => return Err(Error::InvalidOperation),
        }
        DONE
    }

    pub fn on_system(&mut self, thread: Address, place: Place, label: u32, w: [u64; 4]) -> Answer {
        match label {
            system::IRQ_ATTACH => {
                let slot = self.own(thread, w[0])?;
                let irq = self.check(slot, Kind::Irq, 0)?.object;
                self.attach(irq, w[1], w[2])?;
            }
            system::DEVICE_FRAME => {
                let slot = self.own(thread, w[2])?;
                if w[1] != 12 && w[1] != 21 {
                    return Err(Error::InvalidArgument);
                }
                let size = 1u64 << w[1];
                let end = w[0] as u128 + size as u128;
                if !w[0].is_multiple_of(size) || end > 1 << 52 || w[0] < 1 << 40 {
                    return Err(Error::InvalidAddress);
                }
                let mut cap = Cap::new(Kind::Frame, w[0], 11, 0);
                (cap.device, cap.large) = (true, w[1] == 21);
                self.make(place, slot, cap)?;
            }
            system::IO_PORTS => {
                if w[1] == 0 || w[0] as u128 + w[1] as u128 > 1 << 16 {
                    return Err(Error::InvalidArgument);
                }
                let slot = self.own(thread, w[2])?;
                let mut cap = Cap::new(Kind::IoPorts, 1, 3, 0);
                cap.ports = (w[0], w[1]);
                self.make(place, slot, cap)?;
            }
            system::INFO => return words(crate::world::HZ, 0, self.idle_paid, 0),
            // The log is the same for every world of this process: tests of its own look at it.
            _ => return Err(Error::InvalidOperation),
        }
        DONE
    }

    fn make(&mut self, system: Place, slot: Place, cap: Cap) -> Result<(), Error> {
        if !self.is_empty(slot) {
            return Err(Error::SlotOccupied);
        }
        self.check_depth(system)?;
        self.adopt(system, slot, cap);
        Ok(())
    }

    fn attach(&mut self, irq: Address, source: u64, trigger: u64) -> Result<(), Error> {
        if self.irqs[&irq].vector.is_some() {
            return Err(Error::Busy);
        }
        if trigger & !(system::LEVEL | system::ACTIVE_LOW) != 0 {
            return Err(Error::InvalidArgument);
        }
        let mut line = None;
        if source != system::MSI {
            if source >= 24 {
                return Err(Error::InvalidArgument);
            }
            let taken = |irq: &Irq| irq.line.is_some_and(|(line, _)| line as u64 == source);
            if self.irqs.values().any(taken) {
                return Err(Error::Busy);
            }
            line = Some((source as u32, trigger & system::LEVEL != 0));
        }
        let vector = (48..240).find(|vector| !self.vectors.contains_key(vector));
        let vector = vector.ok_or(Error::OutOfIds)?;
        self.vectors.insert(vector, irq);
        let object = self.irqs.get_mut(&irq).expect("it");
        (object.vector, object.line) = (Some(vector), line);
        let idle = object.progress != Progress::Delivered;
        if let Some((line, _)) = line
            && idle
            && !self.is_empty(Place::Irq(irq))
        {
            self.masked &= !(1 << line);
        }
        Ok(())
    }
}
