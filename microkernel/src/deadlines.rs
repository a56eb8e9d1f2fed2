//! Threads ordered by their deadlines: a leftist heap (Crane 1972; Knuth, TAOCP 3, 5.2.3) whose links lie in its members.
//!
//! No node's rank, the number of nodes on the way to the nearest missing child, is less to the left than to the right. So the
//! path along right children has at most log2(n + 1) nodes, and everything here takes so many steps.

use core::cell::Cell;

use crate::thread::ThreadRef;

/// The links of a member.
pub struct Node {
    parent: Cell<Option<ThreadRef>>,
    left: Cell<Option<ThreadRef>>,
    right: Cell<Option<ThreadRef>>,
    /// 0: not in the heap.
    rank: Cell<u32>,
    /// Among equal deadlines the one that was set first comes first.
    key: Cell<(u64, u64)>,
}

impl Node {
    /// In no heap.
    pub(crate) const fn new() -> Self {
        Self {
            parent: Cell::new(None),
            left: Cell::new(None),
            right: Cell::new(None),
            rank: Cell::new(0),
            key: Cell::new((0, 0)),
        }
    }

    /// The thread has a deadline.
    #[inline(always)]
    pub fn is_linked(&self) -> bool {
        self.rank.get() != 0
    }

    /// The deadline, absolute TSC.
    pub fn deadline(&self) -> Option<u64> {
        self.is_linked().then(|| self.key.get().0)
    }
}

/// The heap.
pub struct Deadlines {
    root: Option<ThreadRef>,
    /// Deadlines that were ever set.
    count: u64,
}

impl Deadlines {
    /// None.
    pub(crate) const fn new() -> Self {
        Self { root: None, count: 0 }
    }

    /// The thread whose deadline is first, and when that is.
    pub fn first(&self) -> Option<(ThreadRef, u64)> {
        self.root.map(|thread| (thread, thread.timer.key.get().0))
    }

    /// Adds a thread that is not in it.
    #[inline(never)]
    pub fn add(&mut self, thread: ThreadRef, deadline: u64) {
        self.count += 1;
        thread.timer.key.set((deadline, self.count));
        thread.timer.rank.set(1);
        self.root = merge(self.root, Some(thread));
    }

    /// Takes a member out.
    #[inline(never)]
    pub fn remove(&mut self, thread: ThreadRef) {
        let node = &thread.timer;
        let rest = merge(node.left.take(), node.right.take());
        let parent = node.parent.take();
        node.rank.set(0);
        if let Some(rest) = rest {
            rest.timer.parent.set(parent);
        }
        match parent {
            None => self.root = rest,
            Some(parent) if parent.timer.left.get() == Some(thread) => parent.timer.left.set(rest),
            Some(parent) => parent.timer.right.set(rest),
        }
        // A rank that changes is one more than that of the child that changed: the way up is no longer than a merge.
        let mut above = parent;
        while let Some(thread) = above.filter(|thread| balance(*thread)) {
            above = thread.timer.parent.get();
        }
    }
}

/// One heap of two.
fn merge(one: Option<ThreadRef>, other: Option<ThreadRef>) -> Option<ThreadRef> {
    let (Some(mut first), Some(mut second)) = (one, other) else {
        return one.or(other);
    };
    if second.timer.key.get() < first.timer.key.get() {
        (first, second) = (second, first);
    }
    let right = merge(first.timer.right.get(), Some(second));
    if let Some(right) = right {
        right.timer.parent.set(Some(first));
    }
    first.timer.right.set(right);
    first.timer.parent.set(None);
    balance(first);
    Some(first)
}

/// Puts the child of higher rank to the left. Says whether the node's own rank changed.
fn balance(thread: ThreadRef) -> bool {
    let rank = |child: Option<ThreadRef>| child.map_or(0, |child| child.timer.rank.get());
    let node = &thread.timer;
    if rank(node.left.get()) < rank(node.right.get()) {
        node.left.swap(&node.right);
    }
    let own = rank(node.right.get()) + 1;
    node.rank.replace(own) != own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::{Block, in_static};
    use proptest::prelude::*;

    /// Checks a heap's shape; returns its rank and how many members it has.
    fn check(thread: Option<ThreadRef>, parent: Option<ThreadRef>) -> (u32, usize) {
        let Some(thread) = thread else { return (0, 0) };
        let node = &thread.timer;
        assert_eq!(node.parent.get(), parent);
        assert!(parent.is_none_or(|parent| parent.timer.key.get() < node.key.get()));
        let (left, members) = check(node.left.get(), Some(thread));
        let (right, more) = check(node.right.get(), Some(thread));
        assert!(left >= right && node.rank.get() == right + 1);
        (right + 1, members + more + 1)
    }

    proptest! {
        /// Threads come and go, wherever they are in the heap; the first is always the one whose deadline is first, and of
        /// equals the one that came first.
        #[test]
        fn the_first_is_first(steps in prop::collection::vec((0..24usize, 0..8u64), 1..400)) {
            let threads: Vec<ThreadRef> =
                (0..24).map(|_| in_static(Box::leak(Box::new(Block::new(0))))).collect();
            let mut heap = Deadlines::new();
            let mut model: Vec<(u64, ThreadRef)> = Vec::new();
            for (index, deadline) in steps {
                let thread = threads[index];
                if thread.timer.is_linked() {
                    heap.remove(thread);
                    model.retain(|(_, member)| *member != thread);
                } else {
                    heap.add(thread, deadline);
                    let after = model.partition_point(|(other, _)| *other <= deadline);
                    model.insert(after, (deadline, thread));
                }
                prop_assert_eq!(check(heap.root, None).1, model.len());
                let first = model.first().map(|&(deadline, thread)| (thread, deadline));
                prop_assert_eq!(heap.first(), first);
            }
        }
    }
}
