//! Time by the processor's time stamp counter.

use crate::proto::{io::IoError, timer};
use crate::{handle, rt, syscall};
use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment, in TSC ticks since reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// This moment.
    #[inline(always)]
    pub fn now() -> Self {
        // SAFETY: RDTSC is unprivileged here (CR4.TSD is clear) and changes nothing.
        Self(unsafe { core::arch::x86_64::_rdtsc() })
    }

    /// Time since then.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(ticks(time, rt::info().tsc_hz)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// 0 if `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        duration(self.0.saturating_sub(earlier.0), rt::info().tsc_hz)
    }
}

/// Time since the machine's reset.
pub fn uptime() -> Duration {
    Instant(0).elapsed()
}

/// Waits for a time.
///
/// # Errors
/// As [`sleep_until`].
pub fn sleep(time: Duration) -> Result<(), IoError> {
    sleep_until(Instant::now() + time)
}

/// Waits for a moment.
///
/// # Errors
/// `NotPermitted`: this program may not call `timer`. `WouldBlock`: too many sleepers. `ServerDied`.
pub fn sleep_until(moment: Instant) -> Result<(), IoError> {
    let server = rt::endpoint("timer").ok_or(IoError::NotPermitted)?;
    handle::answered(syscall::call(server, timer::SLEEP, [moment.0, 0, 0, 0])).map(drop)
}

/// Seconds since 1970-01-01 00:00:00 UTC, by the machine's clock.
///
/// # Errors
/// `NotPermitted`: this program may not call `timer`. `NoDevice`: the machine has no clock. `ServerDied`.
pub fn unix_time() -> Result<u64, IoError> {
    let server = rt::endpoint("timer").ok_or(IoError::NotPermitted)?;
    handle::answered(syscall::call(server, timer::CLOCK, [0; 4])).map(|reply| reply[0])
}

/// The duration of `ticks` at `hz` ticks per second (0 is taken as 1).
pub fn duration(ticks: u64, hz: u64) -> Duration {
    let hz = hz.max(1);
    let nanoseconds = (ticks % hz) as u128 * 1_000_000_000 / hz as u128;
    Duration::new(ticks / hz, nanoseconds as u32)
}

/// The ticks of a duration, rounded up, at most `u64::MAX`.
pub fn ticks(time: Duration, hz: u64) -> u64 {
    let ticks = (time.as_nanos().saturating_mul(hz as u128)).div_ceil(1_000_000_000);
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_durations() {
        assert_eq!(
            duration(3_500_000_000, 1_000_000_000),
            Duration::from_millis(3500)
        );
        assert_eq!(
            ticks(Duration::from_millis(3500), 1_000_000_000),
            3_500_000_000
        );
        assert_eq!(ticks(Duration::from_nanos(1), 1_000), 1);
        assert_eq!(ticks(Duration::MAX, 3_000_000_000), u64::MAX);
        assert_eq!(duration(5, 0), Duration::from_secs(5));
    }
}
