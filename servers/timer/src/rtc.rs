//! The machine's clock: an MC146818 and its descendants, read register by register (its data sheet, "Time, calendar and
//! alarm locations"; ACPI 6.5, 4.8.2.4 for the century).

use time::{Date, Month, PrimitiveDateTime, Time};

/// Register A: bit 7, an update is in progress and the others may not be read.
const STATUS_A: u8 = 0x0a;
const UPDATING: u8 = 1 << 7;
/// Register B: bit 1, hours count to 24; bit 2, numbers are binary, not BCD.
const STATUS_B: u8 = 0x0b;
const HOURS_24: u8 = 1 << 1;
const BINARY: u8 = 1 << 2;
/// Bit of the hours: afternoon, if hours count to 12.
const AFTERNOON: u8 = 1 << 7;
/// Seconds, minutes, hours, day, month, year, century.
const REGISTERS: [u8; 7] = [0, 2, 4, 7, 8, 9, 0x32];
/// Most readings of register A while an update is in progress: it takes 2 ms at most, and a port takes a microsecond.
const PATIENCE: usize = 100_000;
/// Most attempts to read the same twice.
const ATTEMPTS: usize = 10;

/// Seconds since 1970-01-01 00:00:00 by a clock that runs in UTC. `read` reads a register. `None`: there is no clock, or it
/// tells no time.
pub fn unix_time(mut read: impl FnMut(u8) -> u8) -> Option<u64> {
    let mut last = stable(&mut read)?;
    // An update may begin after the question whether there is one: what is read twice is right.
    for _ in 0..ATTEMPTS {
        let again = stable(&mut read)?;
        if again == last {
            return decode(again, read(STATUS_B));
        }
        last = again;
    }
    None
}

fn stable(read: &mut impl FnMut(u8) -> u8) -> Option<[u8; 7]> {
    (0..PATIENCE).find(|_| read(STATUS_A) & UPDATING == 0)?;
    Some(REGISTERS.map(read))
}

fn decode([second, minute, hour, day, month, year, century]: [u8; 7], mode: u8) -> Option<u64> {
    let number = |value: u8| match mode & BINARY {
        0 if value & 0xf > 9 || value >> 4 > 9 => None,
        0 => Some((value >> 4) * 10 + (value & 0xf)),
        _ => Some(value),
    };
    let hour = if mode & HOURS_24 != 0 {
        number(hour)?
    } else {
        let twelve = number(hour & !AFTERNOON).filter(|hour| (1..=12).contains(hour))?;
        twelve % 12 + if hour & AFTERNOON != 0 { 12 } else { 0 }
    };
    // Not every machine counts centuries; Postern was not there in the last one.
    let century = number(century).filter(|century| (20..=99).contains(century));
    let year = u16::from(century.unwrap_or(20)) * 100 + u16::from(number(year)?);
    let month = Month::try_from(number(month)?).ok()?;
    let date = Date::from_calendar_date(year.into(), month, number(day)?).ok()?;
    let time = Time::from_hms(hour, number(minute)?, number(second)?).ok()?;
    let moment = PrimitiveDateTime::new(date, time).assume_utc();
    u64::try_from(moment.unix_timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24 13:55:06 UTC.
    const NOW: u64 = 1_795_528_506;

    fn clock(values: [u8; 7], mode: u8) -> impl FnMut(u8) -> u8 {
        move |register| match register {
            STATUS_A => 0x26,
            STATUS_B => mode,
            other => REGISTERS
                .iter()
                .position(|known| *known == other)
                .map_or(0, |index| values[index]),
        }
    }

    #[test]
    fn all_four_ways_to_count() {
        let bcd = [0x06, 0x55, 0x13, 0x24, 0x11, 0x26, 0x20];
        assert_eq!(unix_time(clock(bcd, HOURS_24)), Some(NOW));
        let binary = [6, 55, 13, 24, 11, 26, 20];
        assert_eq!(unix_time(clock(binary, HOURS_24 | BINARY)), Some(NOW));
        let mut afternoon = bcd;
        afternoon[2] = 0x81;
        assert_eq!(unix_time(clock(afternoon, 0)), Some(NOW));
        afternoon[2] = AFTERNOON | 1;
        let mut binary = binary;
        binary[2] = afternoon[2];
        assert_eq!(unix_time(clock(binary, BINARY)), Some(NOW));
    }

    #[test]
    fn noon_midnight_and_leap_days() {
        let at = |hour| unix_time(clock([0, 0, hour, 0x29, 0x02, 0x28, 0x20], 0));
        let midnight = 1_835_395_200;
        assert_eq!(at(0x12), Some(midnight));
        assert_eq!(at(0x92), Some(midnight + 12 * 3600));
        assert_eq!(at(0x91), Some(midnight + 23 * 3600));
        assert_eq!(
            unix_time(clock([0, 0, 0, 0x29, 0x02, 0x26, 0x20], HOURS_24)),
            None
        );
    }

    #[test]
    fn machines_without_a_century() {
        for century in [0, 0xff, 0x19] {
            let values = [0x06, 0x55, 0x13, 0x24, 0x11, 0x26, century];
            assert_eq!(unix_time(clock(values, HOURS_24)), Some(NOW));
        }
    }

    #[test]
    fn an_update_between_two_registers_is_noticed() {
        // The clock steps from 13:59:59 to 14:00:00 after the minutes were read for the first time.
        let mut readings = 0;
        let mut before = clock([0x59, 0x59, 0x13, 0x24, 0x11, 0x26, 0x20], HOURS_24);
        let mut after = clock([0x00, 0x00, 0x14, 0x24, 0x11, 0x26, 0x20], HOURS_24);
        let stepping = |register| {
            readings += 1;
            match readings {
                // Two questions whether there is an update: the first says yes.
                1 => UPDATING,
                2..=4 => before(register),
                _ => after(register),
            }
        };
        assert_eq!(unix_time(stepping), Some(NOW + 4 * 60 + 54));
    }

    #[test]
    fn no_clock() {
        assert_eq!(unix_time(|_| 0xff), None);
        assert_eq!(unix_time(|_| 0), None, "month 0");
        // One that is never the same twice.
        let mut last = 0u8;
        let restless = |register| {
            last = last.wrapping_add(1);
            if register == STATUS_A { 0 } else { last }
        };
        assert_eq!(unix_time(restless), None);
    }
}
