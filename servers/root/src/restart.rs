//! When a program that died is started anew. Pure arithmetic on TSC ticks.
//!
//! The first few times it is at once; a program that dies again and again waits, each time twice as long, so that a crash
//! loop takes next to nothing from the others. A program that ran for a while starts from the beginning.

/// Starts in a row that do not wait: its clients notice nothing but the death.
const AT_ONCE: u32 = 5;
/// The first wait after those, in milliseconds. It doubles each time.
const FIRST_WAIT: u64 = 100;
/// Longest wait, in milliseconds.
const LONGEST_WAIT: u64 = 60_000;
/// Who ran for so long, in milliseconds, does not crash in a loop.
const STEADY: u64 = 10_000;

/// The starts of one program.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Restarts {
    /// How often it was started anew.
    pub count: u32,
    /// Deaths in a row, each soon after a start.
    crashes: u32,
    /// When it was started last (ticks).
    pub started: u64,
    /// When it shall be started anew.
    due: Option<u64>,
}

impl Restarts {
    /// It was started.
    pub fn started(&mut self, now: u64) {
        self.started = now;
        self.due = None;
    }

    /// It died by itself, and shall be started anew. Returns the milliseconds until then.
    pub fn crashed(&mut self, now: u64, tsc_hz: u64) -> u64 {
        let per_millisecond = (tsc_hz / 1000).max(1);
        if now.saturating_sub(self.started) / per_millisecond >= STEADY {
            self.crashes = 0;
        }
        let wait = match self.crashes.checked_sub(AT_ONCE) {
            None => 0,
            // Shifted by less than 32: no bit is lost.
            Some(again) => (FIRST_WAIT << again.min(31)).min(LONGEST_WAIT),
        };
        self.crashes = self.crashes.saturating_add(1);
        self.due = Some(now.saturating_add(wait.saturating_mul(per_millisecond)));
        wait
    }

    /// It was ended on request, and shall be started anew at once.
    pub fn wanted(&mut self, now: u64) {
        self.due = Some(now);
    }

    /// When it shall be started anew, if at all.
    pub fn due(&self) -> Option<u64> {
        self.due
    }

    /// Takes the order to start it, if it is time.
    pub fn take_due(&mut self, now: u64) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
            self.count = self.count.saturating_add(1);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock of one tick a millisecond.
    const HZ: u64 = 1000;

    #[test]
    fn a_loop_is_backed_off() {
        let mut restarts = Restarts::default();
        let mut now = 0;
        let mut waits = [0; 18];
        for wait in &mut waits {
            restarts.started(now);
            now += 5;
            *wait = restarts.crashed(now, HZ);
            assert_eq!(restarts.due(), Some(now + *wait));
            assert!(*wait == 0 || !restarts.take_due(now + *wait - 1));
            now += *wait;
            assert!(restarts.take_due(now));
            assert!(!restarts.take_due(now), "once");
        }
        let doubling = [
            0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200,
        ];
        assert_eq!(waits[..15], doubling);
        assert_eq!(waits[15..], [LONGEST_WAIT; 3]);
        assert_eq!(restarts.count, 18);
    }

    #[test]
    fn who_ran_for_a_while_starts_from_the_beginning() {
        let mut restarts = Restarts {
            crashes: AT_ONCE,
            ..Restarts::default()
        };
        restarts.started(1);
        assert_eq!(restarts.crashed(2, HZ), FIRST_WAIT);
        restarts.started(102);
        assert_eq!(restarts.crashed(102 + STEADY, HZ), 0);
    }

    #[test]
    fn extremes() {
        let mut restarts = Restarts {
            crashes: u32::MAX,
            count: u32::MAX,
            ..Restarts::default()
        };
        assert_eq!(restarts.crashed(0, 0), LONGEST_WAIT);
        assert_eq!(restarts.crashed(u64::MAX, u64::MAX), LONGEST_WAIT);
        assert_eq!(restarts.crashed(u64::MAX, 0), 0);
        restarts.wanted(7);
        assert!(restarts.take_due(7));
        assert_eq!(restarts.count, u32::MAX);
    }
}
