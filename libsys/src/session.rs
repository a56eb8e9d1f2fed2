//! Who has what open: the badge of every call names its session.

use alloc::vec::Vec;

/// Sessions of one server.
const MOST: usize = 64;
/// Sessions of one client, so that none can take them all.
const MOST_PER_CLIENT: usize = 16;

/// A badge: the client's program id in the upper half, the session's number in the lower; 0 = the capability root gave,
/// which may only open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge(pub u64);

impl Badge {
    /// The calling program's id.
    pub const fn client(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether it is that of the capability root gave.
    pub const fn is_roots(self) -> bool {
        self.number() == 0
    }

    const fn number(self) -> u32 {
        self.0 as u32
    }
}

struct Entry<T> {
    badge: Badge,
    session: Option<T>,
}

/// The open sessions. A number is an index (8 bits) under a count of the entry's uses, so an old badge never finds a new
/// session.
pub struct Sessions<T> {
    entries: Vec<Entry<T>>,
}

impl<T> Sessions<T> {
    /// None open.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Whether this client may open one more.
    pub fn has_room(&self, client: u32) -> bool {
        let open = || self.entries.iter().filter(|entry| entry.session.is_some());
        open().count() < MOST
            && open()
                .filter(|entry| entry.badge.client() == client)
                .count()
                < MOST_PER_CLIENT
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
        let uses = ((entry.badge.number() >> 8) + 1) & 0xff_ffff;
        let number = uses.max(1) << 8 | index as u32;
        *entry = Entry {
            badge: Badge((client as u64) << 32 | number as u64),
            session: Some(session),
        };
        entry.badge
    }

    /// The session of a call.
    #[inline]
    pub fn get(&mut self, badge: Badge) -> Option<&mut T> {
        let entry = self.entries.get_mut((badge.number() & 0xff) as usize)?;
        if entry.badge == badge {
            entry.session.as_mut()
        } else {
            None
        }
    }

    /// Ends a session.
    pub fn remove(&mut self, badge: Badge) -> Option<T> {
        self.get(badge)?;
        self.entries[(badge.number() & 0xff) as usize]
            .session
            .take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn badges_find_their_session_only() {
        let mut sessions = Sessions::new();
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
    fn quotas() {
        let mut sessions = Sessions::new();
        for client in 0..4 {
            for _ in 0..MOST_PER_CLIENT {
                assert!(sessions.has_room(client));
                sessions.insert(client, ());
            }
            assert!(!sessions.has_room(client));
        }
        assert!(!sessions.has_room(9), "the whole table is full");
        let badge = Badge(1 << 8);
        assert_eq!(sessions.remove(badge), Some(()));
        assert!(sessions.has_room(9));
        assert!(sessions.has_room(0));
        assert!(!sessions.has_room(1));
    }
}
