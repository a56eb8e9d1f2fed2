//! Who has what open: the badge of every call names its session.

use crate::proto::program;
use alloc::vec::Vec;

/// Bits of a session's number that say which entry it is.
const INDEX_BITS: u32 = 12;
/// Most sessions of one server.
const MOST: usize = 1 << INDEX_BITS;

/// A badge: the client's program id in the upper half, the session's number in the lower. Numbers up to
/// [`program::LAST_FACET`] are those of capabilities that root gave, which have no session and may open one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge(pub u64);

impl Badge {
    /// The calling program's id.
    pub const fn client(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Which of the server's ways in, if it is that of a capability root gave: 0 is the plain one.
    pub const fn facet(self) -> Option<u32> {
        if self.number() <= program::LAST_FACET {
            Some(self.number())
        } else {
            None
        }
    }

    const fn number(self) -> u32 {
        self.0 as u32
    }

    const fn index(self) -> usize {
        self.number() as usize & (MOST - 1)
    }
}

struct Entry<T> {
    badge: Badge,
    session: Option<T>,
}

/// The open sessions. A number is an index under a count of the entry's uses, so an old badge never finds a new session.
///
/// Each client has its own share, so that none can take another's.
pub struct Sessions<T> {
    entries: Vec<Entry<T>>,
    share: usize,
}

impl<T> Sessions<T> {
    /// None open; at most `share` for each client.
    pub const fn new(share: usize) -> Self {
        Self {
            entries: Vec::new(),
            share,
        }
    }

    /// Whether this client may open one more.
    pub fn has_room(&self, client: u32) -> bool {
        let open = || self.entries.iter().filter(|entry| entry.session.is_some());
        let own = open().filter(|entry| entry.badge.client() == client);
        own.count() < self.share && open().count() < MOST
    }

    /// Adds a session (if [`Sessions::has_room`]) and returns its badge.
    pub fn insert(&mut self, client: u32, session: T) -> Badge {
        let free = self
            .entries
            .iter()
            .position(|entry| entry.session.is_none());
        let index = free.unwrap_or_else(|| {
            self.entries.push(Entry {
                badge: Badge(0),
                session: None,
            });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[index];
        let uses = (entry.badge.number() >> INDEX_BITS).wrapping_add(1) & (u32::MAX >> INDEX_BITS);
        let number = uses.max(1) << INDEX_BITS | index as u32;
        *entry = Entry {
            badge: Badge((client as u64) << 32 | number as u64),
            session: Some(session),
        };
        entry.badge
    }

    /// Who has sessions, each once.
    pub fn clients(&self) -> Vec<u32> {
        let open = self.entries.iter().filter(|entry| entry.session.is_some());
        let mut clients: Vec<u32> = open.map(|entry| entry.badge.client()).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// Ends the sessions of a client.
    pub fn remove_all(&mut self, client: u32) -> impl Iterator<Item = T> {
        let entries = self.entries.iter_mut();
        let own = entries.filter(move |entry| entry.badge.client() == client);
        own.filter_map(|entry| entry.session.take())
    }

    /// The session of a call.
    #[inline]
    pub fn get(&mut self, badge: Badge) -> Option<&mut T> {
        let entry = self.entries.get_mut(badge.index())?;
        if entry.badge == badge {
            entry.session.as_mut()
        } else {
            None
        }
    }

    /// Ends a session.
    pub fn remove(&mut self, badge: Badge) -> Option<T> {
        self.get(badge)?;
        self.entries[badge.index()].session.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn badges_find_their_session_only() {
        let mut sessions = Sessions::new(4);
        let first = sessions.insert(7, "first");
        let second = sessions.insert(7, "second");
        assert_eq!(first.client(), 7);
        assert_eq!(sessions.get(first), Some(&mut "first"));
        assert_eq!(
            sessions.get(Badge(first.0 ^ 1 << 32)),
            None,
            "another client"
        );
        assert_eq!(sessions.get(Badge(7 << 32)), None, "root's capability");
        assert_eq!(sessions.remove(first), Some("first"));
        assert_eq!(sessions.remove(first), None);
        let third = sessions.insert(7, "third");
        assert_eq!(sessions.get(first), None, "an old badge");
        assert_eq!(sessions.get(second), Some(&mut "second"));
        assert_eq!(sessions.get(third), Some(&mut "third"));
    }

    #[test]
    fn each_client_has_its_share() {
        let mut sessions = Sessions::new(2);
        let mut last = Badge(0);
        for client in 1..=100 {
            for _ in 0..2 {
                assert!(sessions.has_room(client));
                last = sessions.insert(client, client);
            }
            assert!(!sessions.has_room(client));
        }
        assert_eq!(sessions.remove(last), Some(100));
        assert!(sessions.has_room(100));
        assert!(!sessions.has_room(99));
        assert_eq!(sessions.clients().len(), 100);
        assert_eq!(sessions.remove_all(99).collect::<Vec<_>>(), [99, 99]);
        assert_eq!(sessions.remove_all(99).count(), 0);
        assert!(sessions.has_room(99));
        assert!(!sessions.clients().contains(&99));
    }

    #[test]
    fn the_table_has_an_end() {
        let mut sessions = Sessions::new(usize::MAX);
        for _ in 0..MOST {
            assert!(sessions.has_room(1));
            sessions.insert(1, ());
        }
        assert!(!sessions.has_room(1));
        assert!(!sessions.has_room(2));
    }

    #[test]
    fn numbers_of_sessions_are_above_all_facets() {
        let mut sessions = Sessions::new(1);
        // Around the end of the count of uses.
        sessions.entries.push(Entry {
            badge: Badge(u32::MAX as u64 & !(MOST as u64 - 1)),
            session: None,
        });
        let badge = sessions.insert(1, ());
        assert_eq!(badge.facet(), None);
        assert_eq!(Badge(1 << 32).facet(), Some(0));
        assert_eq!(
            Badge(1 << 32 | program::LAST_FACET as u64).facet(),
            Some(program::LAST_FACET)
        );
    }
}
