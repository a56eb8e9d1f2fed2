//! Programs that a program starts itself: for those whose manifest entry has `children`, at `root.memory`.
//!
//! Reply labels are 0 or a [`super::control::Status`].

use super::control::Ended;

/// `w0` = number of arguments, `w1` = of variables, `w2` = of needs; lease 0 (READ), up to [`SPAWN_MAX`] bytes: strings that each
/// end with a zero byte: a name for people, the ELF file, arguments, variables (`NAME=VALUE`), needs. Replies `w0` = program id.
pub const SPAWN: u32 = 0x120;
/// Waits until one of the children has ended. Replies `w0` = its id and `w1` to `w3` = how ([`to_words`]).
pub const WAIT: u32 = 0x121;
/// `w0` = id of a child: ends it.
pub const END: u32 = 0x122;

/// Longest text of [`SPAWN`].
pub const SPAWN_MAX: usize = 2048;

/// How a program ended, as three words.
pub const fn to_words(ended: Ended) -> [u64; 3] {
    match ended {
        Ended::Exit(status) => [0, status as u64, 0],
        Ended::Panic => [1, 0, 0],
        // Addresses of user programs have fewer than 48 bits.
        Ended::Fault(vector, address, rip) => [2 | (vector as u64) << 8, address, rip],
        Ended::Killed => [3, 0, 0],
    }
}

/// See [`to_words`]. Words that no ending has count as killed.
pub const fn from_words([kind, first, second]: [u64; 3]) -> Ended {
    match kind & 0xff {
        0 => Ended::Exit(first as u32),
        1 => Ended::Panic,
        2 => Ended::Fault((kind >> 8) as u8, first, second),
        _ => Ended::Killed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_round_trip() {
        let fault = Ended::Fault(14, 0xdead_0000, 0x40_1000);
        for ended in [
            Ended::Exit(0),
            Ended::Exit(u32::MAX),
            Ended::Panic,
            fault,
            Ended::Killed,
        ] {
            assert_eq!(from_words(to_words(ended)), ended);
        }
    }
}
