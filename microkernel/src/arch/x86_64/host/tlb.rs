//! A TLB for tests on a host, at its worst: it remembers every translation until it is told to forget it, tagged with
//! PCIDs if the machine has them. (QEMU's emulation has none, and Bochs forgets all at every load of CR3.)

use std::collections::BTreeMap;

use super::super::{features::Features, host};

/// See the module.
#[derive(Debug)]
pub struct Tlb {
    loaded: u64,
    /// Frame by PCID and page.
    entries: BTreeMap<(u64, u64), u64>,
}

impl Tlb {
    /// An empty one.
    pub const fn new() -> Self {
        Self { loaded: 0, entries: BTreeMap::new() }
    }

    fn pcid(&self) -> u64 {
        self.loaded & 0xfff
    }

    /// What the program in use sees at `page`, if the tables say `frame`.
    pub fn translate(&mut self, page: u64, frame: Option<u64>) -> Option<u64> {
        let key = (self.pcid(), page);
        if let Some(frame) = frame {
            self.entries.entry(key).or_insert(frame);
        }
        self.entries.get(&key).copied()
    }

    /// MOV to CR3 (SDM 3A 4.10.4.1).
    pub fn load(&mut self, cr3: u64) {
        let keep = cr3 >> 63 == 1;
        if host::machine().features.contains(Features::PCID) {
            self.loaded = cr3 & !(1 << 63);
        } else {
            assert!(!keep, "CR3 bit 63 is reserved without PCIDs");
            self.loaded = cr3 & !0xfff;
        }
        if !keep {
            let pcid = self.pcid();
            self.entries.retain(|key, _| key.0 != pcid);
        }
    }

    /// INVLPG.
    pub fn invalidate_page(&mut self, address: u64) {
        self.entries.remove(&(self.pcid(), address));
    }

    /// INVPCID: kind 0, one address; 1, one PCID.
    pub fn invalidate_pcid(&mut self, kind: u64, [pcid, address]: [u64; 2]) {
        let features = host::machine().features;
        assert!(features.contains(Features::INVPCID), "#UD");
        self.entries.retain(|key, _| key.0 != pcid || (kind == 0 && key.1 != address));
    }
}

impl Default for Tlb {
    fn default() -> Self {
        Self::new()
    }
}
