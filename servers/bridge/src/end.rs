//! An end of a channel: the link, and the bell.

use crate::link::{Link, Trouble};
use crate::memory::Memory;

/// The bell between the two ends.
pub trait Bell {
    /// Rings at the other end.
    fn ring(&self);
    /// Who is there: changes whenever the other instance stops or starts.
    fn who(&self) -> u32;
}

/// What an end is there for.
pub trait Role<M> {
    /// The link is up: does all there is to do.
    ///
    /// # Errors
    /// The other end breaks the rules.
    fn work(&mut self, link: &mut Link<M>, bell: &impl Bell) -> Result<(), Trouble>;
    /// The other end is no more, or has begun anew.
    fn lose(&mut self);
}

/// An end.
#[derive(Debug)]
pub struct End<M, B> {
    /// The rings.
    pub link: Link<M>,
    /// The bell.
    pub bell: B,
    /// What the bell said last.
    who: u32,
    /// How often the other end broke the rules.
    broken: u64,
}

/// How often an end looks who is there before it waits for the bell again.
const LOOKS: usize = 3;

impl<M: Memory, B: Bell> End<M, B> {
    /// Of a link that has just begun. Rings.
    pub fn new(link: Link<M>, bell: B) -> Self {
        let who = bell.who();
        bell.ring();
        Self {
            link,
            bell,
            who,
            broken: 0,
        }
    }

    /// How often the other end broke the rules.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// The bell rang, or `role` has something to do.
    pub fn attend(&mut self, role: &mut impl Role<M>) {
        for _ in 0..LOOKS {
            let who = self.bell.who();
            if who != self.who {
                self.who = who;
                self.restart(role);
            }
            let change = self.link.look();
            if change.lost {
                role.lose();
            }
            if change.ring {
                self.bell.ring();
            }
            if !self.link.is_up() {
                return;
            }
            if role.work(&mut self.link, &self.bell).is_ok() {
                return;
            }
            // It may have begun anew since it was looked at.
            if !self.link.look().lost {
                self.broken += 1;
            }
            self.restart(role);
        }
    }

    fn restart(&mut self, role: &mut impl Role<M>) {
        self.link.restart();
        role.lose();
        self.bell.ring();
    }
}
