//! Capabilities as a plain tree: every node knows its parent and its children, the youngest first.

use abi::{Error, Kind, object::endpoint, object::untyped as untyped_right};

use super::{Address, Model};

/// Where a capability lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// In a table, at an index. Index 0 is the table's own node while it is emptied.
    Slot(Address, u64),
    /// Inside a thread.
    Thread(Address, Part),
    /// Inside an Irq.
    Irq(Address),
}

/// Which capability inside a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Table,
    Space,
    Fault,
}

/// A capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cap {
    pub kind: Kind,
    pub object: Address,
    pub rights: u8,
    pub original: bool,
    pub dying: bool,
    pub device: bool,
    pub large: bool,
    /// Size, as a power of two (Untyped, Space: bytes; CapTable: slots).
    pub bits: u32,
    pub badge: u64,
    /// Port range: first, count.
    pub ports: (u64, u64),
    /// Untyped: bytes used, and how far its memory is known to be zero.
    pub used: u64,
    pub zeroed: u64,
    /// Frame: Space, its serial, address.
    pub mapped: Option<(Address, u64, u64)>,
    pub depth: u32,
    pub parent: Option<Place>,
    pub children: Vec<Place>,
}

impl Cap {
    pub fn new(kind: Kind, object: Address, rights: u8, bits: u32) -> Self {
        Self {
            kind,
            object,
            rights,
            original: false,
            dying: false,
            device: false,
            large: false,
            bits,
            badge: 0,
            ports: (0, 0),
            used: 0,
            zeroed: 0,
            mapped: None,
            depth: 0,
            parent: None,
            children: Vec::new(),
        }
    }
}

impl Model {
    /// The usable capability at a place.
    pub fn usable(&self, place: Place) -> Result<&Cap, Error> {
        match self.caps.get(&place) {
            Some(cap) if !cap.dying => Ok(cap),
            _ => Err(Error::NoCapability),
        }
    }

    /// The same, of one kind and with rights.
    pub fn check(&self, place: Place, kind: Kind, rights: u8) -> Result<&Cap, Error> {
        let cap = self.usable(place)?;
        if cap.kind != kind {
            Err(Error::WrongKind)
        } else if cap.rights & rights != rights {
            Err(Error::MissingRight)
        } else {
            Ok(cap)
        }
    }

    /// A slot of a thread's own table.
    pub fn own(&self, thread: Address, index: u64) -> Result<Place, Error> {
        let table = self.thread(thread).table.ok_or(Error::NoCapability)?;
        let slots = 1u64 << self.tables[&table];
        if index == 0 || index >= slots {
            return Err(Error::NoCapability);
        }
        Ok(Place::Slot(table, index))
    }

    /// A slot of the table that a capability names.
    pub fn slot_in(&self, table: Place, index: u64) -> Result<Place, Error> {
        let cap = &self.caps[&table];
        if index == 0 || index >= 1 << cap.bits {
            return Err(Error::NoCapability);
        }
        Ok(Place::Slot(cap.object, index))
    }

    pub fn is_empty(&self, place: Place) -> bool {
        !self.caps.contains_key(&place)
    }

    /// No capability lies deeper than 31.
    pub fn check_depth(&self, parent: Place) -> Result<(), Error> {
        if self.caps[&parent].depth + 1 < 32 { Ok(()) } else { Err(Error::TooDeep) }
    }

    /// Adds a youngest child.
    pub fn adopt(&mut self, parent: Place, place: Place, mut cap: Cap) {
        let above = self.caps.get_mut(&parent).expect("a parent");
        cap.depth = above.depth + 1;
        cap.parent = Some(parent);
        above.children.insert(0, place);
        let previous = self.caps.insert(place, cap);
        assert_eq!(previous, None, "the slot is taken");
    }

    /// Moves a capability; its place in the tree stays.
    pub fn relocate(&mut self, from: Place, to: Place) {
        let cap = self.caps.remove(&from).expect("a capability");
        for child in &cap.children {
            self.caps.get_mut(child).expect("a child").parent = Some(to);
        }
        let siblings = match cap.parent {
            Some(parent) => &mut self.caps.get_mut(&parent).expect("a parent").children,
            None => &mut self.roots,
        };
        let position = siblings.iter().position(|&place| place == from);
        siblings[position.expect("listed")] = to;
        self.caps.insert(to, cap);
    }

    /// Takes a capability without children out.
    pub fn uproot(&mut self, place: Place) {
        let cap = self.caps.remove(&place).expect("a capability");
        assert!(cap.children.is_empty());
        let siblings = match cap.parent {
            Some(parent) => &mut self.caps.get_mut(&parent).expect("a parent").children,
            None => &mut self.roots,
        };
        siblings.retain(|&other| other != place);
    }

    /// A copy with fewer rights, or a badge, or fewer ports.
    pub fn derived(&self, from: Place, rights: u8, word: u64) -> Result<Cap, Error> {
        let cap = self.usable(from)?;
        if matches!(cap.kind, Kind::Untyped | Kind::Reply | Kind::System) {
            return Err(Error::NotDerivable);
        }
        if rights & !cap.rights != 0 {
            return Err(Error::MissingRight);
        }
        let mut new = Cap::new(cap.kind, cap.object, rights, cap.bits);
        (new.badge, new.ports) = (cap.badge, cap.ports);
        (new.device, new.large) = (cap.device, cap.large);
        if word != 0 && cap.kind == Kind::Endpoint {
            if cap.rights & endpoint::MINT == 0 || cap.badge != 0 {
                return Err(Error::MissingRight);
            }
            new.badge = word;
        }
        if word != 0 && cap.kind == Kind::IoPorts {
            let (base, count) = (word & 0xffff, word >> 16);
            if count == 0 || base < cap.ports.0 || base + count > cap.ports.0 + cap.ports.1 {
                return Err(Error::InvalidArgument);
            }
            new.ports = (base, count);
        }
        Ok(new)
    }

    pub fn derive(&mut self, from: Place, to: Place, rights: u8, word: u64) -> Result<(), Error> {
        let cap = self.derived(from, rights, word)?;
        if !self.is_empty(to) {
            return Err(Error::SlotOccupied);
        }
        self.check_depth(from)?;
        self.adopt(from, to, cap);
        Ok(())
    }

    /// Derives with all rights into a thread or an Irq.
    pub fn embed(&mut self, from: Place, to: Place, badge: Option<u64>) {
        let cap = &self.caps[&from];
        let mut new = Cap::new(cap.kind, cap.object, cap.rights, cap.bits);
        new.badge = badge.unwrap_or(cap.badge);
        self.adopt(from, to, new);
    }

    /// What RETYPE's kind needs of the Untyped.
    pub fn retype_right(kind: Kind) -> u8 {
        match kind {
            Kind::Space => untyped_right::SPACES,
            Kind::Frame | Kind::Untyped => untyped_right::MEMORY,
            _ => untyped_right::OBJECTS,
        }
    }
}
