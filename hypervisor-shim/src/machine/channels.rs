//! Bells: how instances at the two ends of a channel wake each other, and learn of each other's end.

use bootinfo::shim;

use super::{Flow, Machine};
use crate::vcpu::Vcpu;

impl<V: Vcpu> Machine<'_, V> {
    /// Which end of a channel the current instance has, and who is at the other.
    fn other_end(&self, channel: u8) -> Option<(u32, usize)> {
        self.channels.get(usize::from(channel))?.end(self.current)
    }

    /// What the current instance reads at a bell.
    pub(super) fn who_is_there(&mut self, channel: u8) -> u32 {
        let Some((end, other)) = self.other_end(channel) else {
            self.instances[self.current].foreign += 1;
            return shim::NO_BELL;
        };
        let other = &self.instances[other];
        let runs = if other.board.stopped { 0 } else { shim::BELL_RUNS };
        // The count is cut before the answer could pass for "no bell".
        (other.restarts as u32 & 0xfff_ffff) << 2 | runs | end
    }

    /// The current instance rings: one interrupt at the other end, however often it rings before that is taken.
    pub(super) fn ring(&mut self, channel: u8) -> Flow {
        let Some((_, other)) = self.other_end(channel) else {
            self.instances[self.current].foreign += 1;
            return Flow::On;
        };
        self.instances[other].fire(shim::BELL_LINE + u32::from(channel));
        self.wake()
    }

    /// An instance stopped, or starts anew: all its bells ring at the other ends.
    pub(super) fn ring_all(&mut self, number: usize) {
        for (line, channel) in (shim::BELL_LINE..).zip(&self.channels) {
            if let Some((_, other)) = channel.end(number) {
                self.instances[other].fire(line);
            }
        }
    }
}
