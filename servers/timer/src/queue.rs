//! Who waits until when.

use alloc::vec::Vec;

/// Sleepers in order of their deadlines.
#[derive(Debug)]
pub struct Queue<T> {
    /// The latest deadline first; of equal ones, who came last first.
    sleepers: Vec<(u64, T)>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            sleepers: Vec::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Adds a sleeper.
    pub fn insert(&mut self, deadline: u64, sleeper: T) {
        let place = self
            .sleepers
            .partition_point(|&(other, _)| other > deadline);
        self.sleepers.insert(place, (deadline, sleeper));
    }

    /// The next deadline.
    pub fn next(&self) -> Option<u64> {
        self.sleepers.last().map(|&(deadline, _)| deadline)
    }

    /// Takes the first sleeper whose time has come; of equal deadlines, who came first.
    pub fn pop_due(&mut self, now: u64) -> Option<T> {
        self.sleepers
            .pop_if(|&mut (deadline, _)| deadline <= now)
            .map(|(_, sleeper)| sleeper)
    }

    /// Drops the sleepers that do not wait any more.
    pub fn retain(&mut self, waits: impl Fn(&T) -> bool) {
        self.sleepers.retain(|(_, sleeper)| waits(sleeper));
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn in_order_of_deadline_then_arrival() {
        let mut queue = Queue::default();
        for (deadline, sleeper) in [(30, 'c'), (10, 'a'), (20, 'b'), (10, 'A'), (u64::MAX, 'z')] {
            queue.insert(deadline, sleeper);
        }
        assert_eq!(queue.next(), Some(10));
        assert_eq!(queue.pop_due(9), None);
        let mut due = Vec::new();
        while let Some(sleeper) = queue.pop_due(25) {
            due.push(sleeper);
        }
        assert_eq!(due, ['a', 'A', 'b']);
        queue.retain(|&sleeper| sleeper != 'c');
        assert_eq!(queue.next(), Some(u64::MAX));
        assert_eq!(queue.pop_due(u64::MAX), Some('z'));
        assert_eq!(queue.next(), None);
    }
}
