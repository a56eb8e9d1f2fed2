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
    pub const fn new() -> Self {
        Self {
            previous: Cell::new(None),
            next: Cell::new(None),
        }
    }
}

impl<T> Default for Link<T> {
    fn default() -> Self {
        Self::new()
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
    pub const fn new() -> Self {
        Self {
            head: Cell::new(None),
            tail: Cell::new(None),
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
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
        self.head
            .get()
            .filter(|_| self.head.get() == self.tail.get())
    }

    /// Nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.get().is_none()
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
        self.remove(first);
        Some(first)
    }

    /// Takes a member out, wherever it stands. It must be in this queue.
    #[inline]
    pub fn remove(&self, member: Ref<T>) {
        let link = member.link();
        match link.previous.take() {
            Some(previous) => previous.link().next.set(link.next.get()),
            None => self.head.set(link.next.get()),
        }
        match link.next.take() {
            Some(next) => next.link().previous.set(link.previous.get()),
            None => self.tail.set(link.previous.get()),
        }
    }
}
