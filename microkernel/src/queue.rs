//! First in, first out: a doubly linked queue whose links lie in its members.

use core::cell::Cell;

use crate::raw::Ref;

/// The links of a member; it is in at most one queue.
pub struct Link<T> {
    previous: Cell<Option<Ref<T>>>,
    next: Cell<Option<Ref<T>>>,
}

impl<T> Link<T> {
    /// In no queue.
    pub(crate) const fn new() -> Self {
        Self { previous: Cell::new(None), next: Cell::new(None) }
    }
}

/// Something that can be queued.
pub trait Linked: Sized {
    /// Its links.
    fn link(&self) -> &Link<Self>;
}

/// The queue.
pub struct Queue<T> {
    head: Cell<Option<Ref<T>>>,
    tail: Cell<Option<Ref<T>>>,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        Self { head: Cell::new(None), tail: Cell::new(None) }
    }
}

impl<T: Linked> Queue<T> {
    /// The first member.
    #[inline]
    pub fn first(&self) -> Option<Ref<T>> {
        self.head.get()
    }

    /// The member, if it is the only one.
    pub fn only(&self) -> Option<Ref<T>> {
        self.head.get().filter(|_| self.head.get() == self.tail.get())
    }

    /// Nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_none()
    }

    /// The members, first to last.
    pub fn members(&self) -> impl Iterator<Item = Ref<T>> + '_ {
        core::iter::successors(self.first(), |member| member.link().next.get())
    }

    /// Adds a member at the end.
    #[inline]
    pub fn push_back(&self, member: Ref<T>) {
        let link = member.link();
        link.previous.set(self.tail.get());
        link.next.set(None);
        match self.tail.get() {
            Some(tail) => tail.link().next.set(Some(member)),
            None => self.head.set(Some(member)),
        }
        self.tail.set(Some(member));
    }

    /// Adds a member at the front.
    pub fn push_front(&self, member: Ref<T>) {
        let link = member.link();
        link.previous.set(None);
        link.next.set(self.head.get());
        match self.head.get() {
            Some(head) => head.link().previous.set(Some(member)),
            None => self.tail.set(Some(member)),
        }
        self.head.set(Some(member));
    }

    /// Takes the first member out.
    #[inline]
    pub fn pop_front(&self) -> Option<Ref<T>> {
        let first = self.head.get()?;
        let next = first.link().next.take();
        self.head.set(next);
        match next {
            Some(next) => next.link().previous.set(None),
            None => self.tail.set(None),
        }
        Some(first)
    }

    /// Takes a member out, wherever it stands. It must be in this queue.
    #[inline]
    pub fn remove(&self, member: Ref<T>) {
        let link = member.link();
        let (previous, next) = (link.previous.take(), link.next.take());
        match previous {
            Some(previous) => previous.link().next.set(next),
            None => self.head.set(next),
        }
        match next {
            Some(next) => next.link().previous.set(previous),
            None => self.tail.set(previous),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    struct Member(Link<Member>);

    impl Linked for Member {
        fn link(&self) -> &Link<Self> {
            &self.0
        }
    }

    fn members(queue: &Queue<Member>) -> VecDeque<Ref<Member>> {
        core::iter::successors(queue.first(), |member| member.link().next.get()).collect()
    }

    /// Every member taken out at every place of queues of up to four, and another put in afterwards.
    #[test]
    fn taking_out_keeps_the_others() {
        for length in 1..=4 {
            for place in 0..length {
                let queue = Queue::new();
                let mut model: VecDeque<_> = (0..length)
                    .map(|_| Ref::from_static(Box::leak(Box::new(Member(Link::new())))))
                    .inspect(|&member| queue.push_back(member))
                    .collect();
                let taken = model.remove(place).expect("the place is inside");
                queue.remove(taken);
                assert_eq!(members(&queue), model);
                queue.push_back(taken);
                model.push_back(taken);
                assert_eq!(members(&queue), model);
                while let Some(last) = model.pop_back() {
                    queue.remove(last);
                    assert_eq!(members(&queue), model);
                    queue.push_front(last);
                    queue.remove(last);
                    assert_eq!(members(&queue), model);
                }
            }
        }
    }
}
