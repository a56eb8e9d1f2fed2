//! Bytes that come by themselves, such as keys, and the callers who wait for them.

use crate::proto::io::{IoError, READABLE};
use crate::serve::{Done, Parked, Reaction, Request};
use alloc::collections::VecDeque;

/// Bytes that came and nobody has read yet, and those who wait for more.
pub struct Input {
    bytes: VecDeque<u8>,
    most: usize,
    readers: VecDeque<Parked>,
    /// Who waits for something to read.
    watchers: VecDeque<Parked>,
}

impl Input {
    /// Nothing has come; at most so many bytes are kept.
    pub const fn new(most: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            most,
            readers: VecDeque::new(),
            watchers: VecDeque::new(),
        }
    }

    /// Keeps what came, as far as there is room, and returns how many bytes are lost.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let room = self.most - self.bytes.len();
        self.bytes.extend(&bytes[..bytes.len().min(room)]);
        bytes.len().saturating_sub(room)
    }

    /// Forgets what nobody has read.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What is ready: [`READABLE`], or nothing.
    pub fn readiness(&self) -> u64 {
        if self.bytes.is_empty() { 0 } else { READABLE }
    }

    /// Gives what there is to those who wait, in their order.
    pub fn serve(&mut self) {
        while !self.bytes.is_empty()
            && let Some(reader) = self.readers.pop_front()
        {
            let count = reader.length().min(self.bytes.len());
            // Who cannot take it (it died, or lent nonsense) leaves it to the next.
            let taken = reader.copy_out(0, &self.bytes.make_contiguous()[..count]);
            if taken.is_ok() {
                self.bytes.drain(..count);
            }
            reader.finish(taken.map(|()| Done::Count(count)));
        }
        if !self.bytes.is_empty() {
            self.watchers
                .drain(..)
                .for_each(|watcher| watcher.finish(Ok(Done::Words([READABLE, 0, 0, 0]))));
        }
    }

    /// Answers a read, or parks it.
    ///
    /// # Errors
    /// `BadBuffer`, and as [`Request::park`]. `WouldBlock`: there is nothing, and the caller does not wait.
    pub fn read(&mut self, request: Request) -> Reaction<'static> {
        if request.length() == 0 {
            return Ok(Done::Count(0));
        }
        if self.bytes.is_empty() || !self.readers.is_empty() {
            if !request.waits() {
                return Err(IoError::WouldBlock);
            }
            self.forget_dead();
            self.readers.push_back(request.park()?);
            return Ok(Done::Later);
        }
        let count = request.length().min(self.bytes.len());
        request.copy_out(0, &self.bytes.make_contiguous()[..count])?;
        self.bytes.drain(..count);
        Ok(Done::Count(count))
    }

    /// Answers when there is something to read.
    ///
    /// # Errors
    /// As [`Request::park`].
    pub fn wait(&mut self, request: Request) -> Reaction<'static> {
        if self.bytes.is_empty() {
            self.forget_dead();
            self.watchers.push_back(request.park()?);
            return Ok(Done::Later);
        }
        Ok(Done::Words([READABLE, 0, 0, 0]))
    }

    /// Forgets callers that no longer wait: they hold Reply objects in vain.
    pub fn forget_dead(&mut self) {
        self.readers.retain(Parked::is_alive);
        self.watchers.retain(Parked::is_alive);
    }
}
