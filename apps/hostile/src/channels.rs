//! Attacks on the bridges at the other ends of its channels (`servers/bridge`).

use bootinfo::shim;
use microkernel::arch::port;
use microkernel::log;

use crate::attacks::Random;

/// Half of a channel: each end's own. Offsets of words in it, of headers, and bytes of the data of a message (`bridge::memory`).
const HALF: u64 = shim::CHANNEL_SIZE / 2;
const EPOCH: u64 = 0;
const SEEN: u64 = 4;
const WRITTEN: u64 = 8;
const READ: u64 = 12;
const SLOTS: u32 = 8;
const HEADERS: u64 = 64;
const DATA: u64 = 4096;

/// Rounds after which there is a report.
const REPORT: u64 = 20;
/// Most reads of a word until the other end has had a turn.
const PATIENCE: u64 = 200_000;

/// Labels of messages that the other end knows, and some that it does not.
const LABELS: [u32; 12] = [0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 0x100, u32::MAX];

/// An end of a channel. The low 4 GiB are mapped at their own addresses: the loader ran there.
struct Channel {
    bell: u16,
    /// Addresses of its half and of the other's.
    own: u64,
    other: u64,
}

fn load(address: u64) -> u32 {
    // SAFETY: it is the attack.
    unsafe { (address as *const u32).read_volatile() }
}

fn store(address: u64, value: u32) {
    // SAFETY: it is the attack.
    unsafe { (address as *mut u32).write_volatile(value) };
}

/// The channels that there are.
fn all() -> impl Iterator<Item = Channel> {
    (0..shim::CHANNELS as u64).filter_map(|number| {
        let bell = shim::BELL_PORT + 4 * number as u16;
        let who = port::read(bell, 4) as u32;
        let memory = shim::CHANNEL_MEMORY + number * shim::CHANNEL_STEP;
        let halves = [memory, memory + HALF];
        let end = (who & shim::BELL_SECOND) as usize;
        (who != shim::NO_BELL).then_some(Channel {
            bell,
            own: halves[end],
            other: halves[1 - end],
        })
    })
}

/// A number that may be right.
fn number(random: &mut Random, right: u32) -> u32 {
    match random.next() >> 20 & 7 {
        0 => random.next() as u32,
        1 => u32::MAX,
        _ => right,
    }
}

impl Channel {
    fn ring(&self, times: u64) {
        (0..times).for_each(|_| port::write(self.bell, 4, 0));
    }

    /// Any words anywhere.
    fn scribble(&self, random: &mut Random) {
        for _ in 0..64 {
            let at = random.next();
            let half = if at & 1 == 0 { self.own } else { self.other };
            let offset = match at >> 1 & 3 {
                0 => at >> 8 & 3,
                1 => at >> 8 & 0xff,
                _ => (at >> 8) % (HALF / 4),
            };
            store(half + 4 * offset, random.next() as u32);
        }
    }

    /// Messages as of a bridge, nearly: requests for one that exports, and answers for one that imports.
    fn speak(&self, random: &mut Random) {
        let begins = load(self.own + EPOCH).wrapping_add(random.next() as u32 >> 4 & 1);
        store(self.own + EPOCH, begins);
        store(self.own + SEEN, load(self.other + EPOCH));
        let written = load(self.other + READ);
        let count = random.next() as u32 >> 9 & 7;
        for number in written..written.saturating_add(count) {
            self.write(random, number % SLOTS);
        }
        let end = number(random, written.wrapping_add(count));
        store(self.own + WRITTEN, end);
        let read = number(random, load(self.other + WRITTEN));
        store(self.own + READ, read);
        self.ring(1);
        let waits = |_: &u64| load(self.other + READ) == written;
        (0..PATIENCE).take_while(waits).for_each(drop);
    }

    fn write(&self, random: &mut Random, slot: u32) {
        let header = self.own + HEADERS * (1 + u64::from(slot));
        let value = random.next();
        let label = LABELS[(value >> 40) as usize % LABELS.len()];
        let length = [5, 5, 0, 16, DATA as u32][(value >> 50) as usize % 5];
        let words = [value as u32 & 15, value as u32 >> 4 & 3, label, length];
        for (index, word) in (0..).zip(words) {
            store(header + 4 * index, number(random, word));
        }
        for index in 4..12 {
            store(header + 4 * index, number(random, 8));
        }
        let data = self.own + DATA * (1 + u64::from(slot));
        store(data, u32::from_le_bytes(*b"zero"));
        store(data + 4, b':'.into());
    }
}

/// Some rounds; without a number, for ever.
pub fn attack(rounds: Option<u64>) {
    let mut random = Random(0x5eed);
    for round in 1..=rounds.unwrap_or(u64::MAX) {
        for channel in all() {
            match random.next() >> 30 & 7 {
                0 => channel.scribble(&mut random),
                1 => channel.ring(1000),
                _ => channel.speak(&mut random),
            }
            channel.ring(1);
        }
        if round.is_multiple_of(REPORT) {
            log!("channels: {REPORT} rounds");
        }
    }
}

/// Rings more often than anybody can listen.
pub fn storm() {
    all().for_each(|channel| channel.ring(200_000));
}
