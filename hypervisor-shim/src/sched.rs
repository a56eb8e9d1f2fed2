//! Who has the processor: of the instances that want it, the one that had least of its share.

use crate::INSTANCES;

/// An account.
#[derive(Debug, Clone, Copy)]
struct Account {
    /// Wants the processor.
    ready: bool,
    share: u64,
    /// Ticks it had, divided by its share.
    used: u64,
}

/// Precision of [`Account::used`]: the greatest share divides it well.
const SCALE: u64 = 1 << 10;

/// All accounts.
#[derive(Debug)]
pub struct Scheduler([Account; INSTANCES]);

impl Default for Scheduler {
    /// Nobody wants it.
    fn default() -> Self {
        Self([Account { ready: false, share: 1, used: 0 }; INSTANCES])
    }
}

impl Scheduler {
    /// The share of an instance, at least 1.
    pub fn set_share(&mut self, index: usize, share: u8) {
        self.0[index].share = u64::from(share.max(1));
    }

    /// It wants the processor. What it did not use while it did not want it is lost.
    pub fn wake(&mut self, index: usize) {
        if !self.0[index].ready {
            let least = self.ready().map(|account| account.used).min();
            let account = &mut self.0[index];
            account.used = account.used.max(least.unwrap_or(0));
            account.ready = true;
        }
    }

    /// It gives the rest of its turn away.
    pub fn sleep(&mut self, index: usize) {
        self.0[index].ready = false;
    }

    /// It had the processor for so many ticks.
    #[inline]
    pub fn charge(&mut self, index: usize, ticks: u64) {
        let account = &mut self.0[index];
        account.used += ticks * SCALE / account.share;
    }

    /// Whose turn it is. Of equals, not the one that ran last.
    pub fn next(&self, last: usize) -> Option<usize> {
        let ready = (0..INSTANCES).filter(|&index| self.0[index].ready);
        ready.min_by_key(|&index| (self.0[index].used, index == last))
    }

    /// More than one wants it.
    pub fn contended(&self) -> bool {
        self.ready().count() > 1
    }

    fn ready(&self) -> impl Iterator<Item = &Account> {
        self.0.iter().filter(|account| account.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks each had after `turns` turns of 100 ticks.
    fn run(scheduler: &mut Scheduler, turns: usize) -> [u64; INSTANCES] {
        let mut had = [0; INSTANCES];
        let mut last = 0;
        for _ in 0..turns {
            let next = scheduler.next(last).expect("somebody wants it");
            scheduler.charge(next, 100);
            had[next] += 100;
            last = next;
        }
        had
    }

    #[test]
    fn time_is_divided_by_shares() {
        let mut scheduler = Scheduler::default();
        scheduler.set_share(0, 3);
        for index in 0..2 {
            scheduler.wake(index);
        }
        let had = run(&mut scheduler, 400);
        assert!((29_700..=30_300).contains(&had[0]), "{had:?}");
        assert_eq!(had[0] + had[1], 40_000);
        assert!(scheduler.contended());
    }

    #[test]
    fn who_sleeps_gives_its_time_away_and_saves_nothing() {
        let mut scheduler = Scheduler::default();
        assert_eq!(scheduler.next(0), None);
        scheduler.wake(0);
        assert_eq!(run(&mut scheduler, 100)[0], 10_000);
        scheduler.wake(1);
        let had = run(&mut scheduler, 100);
        assert!((4_900..=5_100).contains(&had[1]), "{had:?}");
        scheduler.sleep(0);
        assert_eq!(run(&mut scheduler, 10)[1], 1_000);
        assert!(!scheduler.contended());
    }

    #[test]
    fn who_wakes_runs_before_who_ran() {
        let mut scheduler = Scheduler::default();
        scheduler.wake(0);
        scheduler.charge(0, 5_000);
        scheduler.wake(1);
        assert_eq!(scheduler.next(0), Some(1));
    }
}
