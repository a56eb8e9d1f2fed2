//! Waiting for other threads of this program: a semaphore made of messages, and a mutex and a channel made of semaphores.
//!
//! Who needs not wait makes no system call. Who does *calls* an endpoint that nobody serves; who lets it go on *receives* that call
//! and *replies*. So waiters are woken in the order in which they came, by the kernel's own queue.
//!
//! A thread that owes a reply cannot receive (`OwesReply`), and so must not wake anybody: a server's thread releases what it shares
//! with other threads before it takes the next request, or after it has answered.

use crate::cap::{Cap, Endpoint};
use crate::syscall;
use abi::Error;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use spin::Once;

/// Endpoints of semaphores that are no more: at each, nobody waits.
static SPARE: spin::Mutex<Vec<Cap<Endpoint>>> = spin::Mutex::new(Vec::new());

/// A number that is never below 0: who would make it so waits.
#[derive(Debug)]
pub struct Semaphore {
    /// The number; below 0, how many wait.
    count: AtomicI64,
    /// Where they wait: made when the first does.
    gate: Once<Cap<Endpoint>>,
}

impl Semaphore {
    /// Starts at `count`.
    pub const fn new(count: u32) -> Self {
        Self {
            count: AtomicI64::new(count as i64),
            gate: Once::new(),
        }
    }

    /// Takes one away, and waits until there is one.
    ///
    /// # Panics
    /// It has to wait, and the program has no Untyped (then it has no other thread, either).
    pub fn acquire(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) > 0 {
            return;
        }
        // A wait that somebody cancelled is none of its own accord: it goes on.
        while let Err(error) = syscall::call(self.gate().slot(), 0, [0; 4]).check() {
            assert_eq!(error, Error::Cancelled, "a semaphore cannot wait");
        }
    }

    /// Takes one away if there is one. Says whether there was.
    pub fn try_acquire(&self) -> bool {
        let less = |count| (count > 0).then_some(count - 1);
        self.count
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Adds one, and wakes who has waited longest.
    ///
    /// # Panics
    /// Somebody waits, and this thread owes a reply.
    pub fn release(&self) {
        if self.count.fetch_add(1, Ordering::AcqRel) >= 0 {
            return;
        }
        // Whoever waits has counted itself and calls at once, if it has not yet.
        while let Err(error) = syscall::recv(self.gate().slot()).check() {
            assert_eq!(error, Error::Cancelled, "a semaphore cannot wake a thread");
        }
        syscall::reply(syscall::Answer::new(0, [0; 4]));
    }

    fn gate(&self) -> &Cap<Endpoint> {
        self.gate.call_once(|| {
            let spare = SPARE.lock().pop();
            spare.unwrap_or_else(|| match Cap::endpoint() {
                Ok(endpoint) => endpoint,
                Err(error) => panic!("no endpoint for a semaphore: {error:?}"),
            })
        })
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        if let Some(gate) = core::mem::take(&mut self.gate).try_into_inner() {
            SPARE.lock().push(gate);
        }
    }
}

/// A value that one thread at a time may use.
#[derive(Debug)]
pub struct Mutex<T> {
    free: Semaphore,
    value: UnsafeCell<T>,
}

// SAFETY: `free` lets one thread at a time to the value.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A value that nobody uses.
    pub const fn new(value: T) -> Self {
        Self {
            free: Semaphore::new(1),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until nobody else uses the value. Who holds it already waits for ever.
    ///
    /// # Panics
    /// As [`Semaphore::acquire`].
    pub fn lock(&self) -> Guard<'_, T> {
        self.free.acquire();
        Guard { mutex: self }
    }

    /// The value, if nobody uses it.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.free.try_acquire().then_some(Guard { mutex: self })
    }

    /// The value, which nobody else can use any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

/// The right to use a [`Mutex`]'s value; dropping it lets the next thread do so.
#[derive(Debug)]
pub struct Guard<'a, T> {
    mutex: &'a Mutex<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard is the only one.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the only one, and borrowed for as long.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.mutex.free.release();
    }
}

struct Shared<T> {
    queue: Mutex<VecDeque<T>>,
    /// Values in the queue; one more once there are no senders.
    items: Semaphore,
    /// Places in the queue; one more once there is no receiver.
    room: Semaphore,
    senders: AtomicUsize,
    closed: AtomicBool,
}

/// A queue between threads that holds up to `capacity` (at least 1) values.
pub fn channel<T>(capacity: u32) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(VecDeque::new()),
        items: Semaphore::new(0),
        room: Semaphore::new(capacity.max(1)),
        senders: AtomicUsize::new(1),
        closed: AtomicBool::new(false),
    });
    (Sender(shared.clone()), Receiver(shared))
}

/// The end of a [`channel`] where values go in. There may be several.
pub struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Sends a value, and waits until there is room for it.
    ///
    /// # Errors
    /// The value: nobody receives any more.
    pub fn send(&self, value: T) -> Result<(), T> {
        self.0.room.acquire();
        if self.0.closed.load(Ordering::Acquire) {
            // The next sender shall see it, too.
            self.0.room.release();
            return Err(value);
        }
        self.0.queue.lock().push_back(value);
        self.0.items.release();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::AcqRel);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.items.release();
        }
    }
}

/// The end of a [`channel`] where values come out.
pub struct Receiver<T>(Arc<Shared<T>>);

impl<T> Receiver<T> {
    /// The next value, as soon as there is one; `None` if nobody can send any more.
    pub fn receive(&self) -> Option<T> {
        self.0.items.acquire();
        let value = self.0.queue.lock().pop_front();
        match value {
            Some(_) => self.0.room.release(),
            // The end stays the end.
            None => self.0.items.release(),
        }
        value
    }

    /// The next value if there is one now.
    pub fn try_receive(&self) -> Option<T> {
        self.0.items.try_acquire().then(|| {
            self.0.items.release();
            self.receive()
        })?
    }
}

impl<T> Iterator for Receiver<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receive()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.room.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Where nobody has to wait; the rest needs threads of Postern (`apps/example-thread`).

    #[test]
    fn semaphores_count() {
        let semaphore = Semaphore::new(2);
        assert!(semaphore.try_acquire() && semaphore.try_acquire());
        assert!(!semaphore.try_acquire());
        semaphore.release();
        semaphore.acquire();
        assert!(!semaphore.try_acquire());
    }

    #[test]
    fn a_mutex_has_one_user() {
        let mutex = Mutex::new(1);
        let mut guard = mutex.lock();
        assert!(mutex.try_lock().is_none());
        *guard += 1;
        drop(guard);
        assert_eq!(*mutex.lock(), 2);
        assert_eq!(mutex.into_inner(), 2);
    }

    #[test]
    fn channels_end() {
        let (sender, receiver) = channel(2);
        let other = sender.clone();
        assert_eq!((sender.send(1), other.send(2)), (Ok(()), Ok(())));
        drop((sender, other));
        assert_eq!(receiver.try_receive(), Some(1));
        assert_eq!(
            (receiver.receive(), receiver.receive(), receiver.receive()),
            (Some(2), None, None)
        );
        let (sender, receiver) = channel(1);
        drop(receiver);
        assert_eq!((sender.send(3), sender.send(4)), (Err(3), Err(4)));
    }
}
