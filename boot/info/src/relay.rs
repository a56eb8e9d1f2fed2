//! How kernels that boot one after the other ([`archive::STAGES`](crate::archive::STAGES)) hand over, and what each leaves to the next.
//!
//! The loader tells it in a word of the command line. Whoever ends goes to [`Relay::resume`] with interrupts off, devices silent and
//! the page tables that it was entered with; it leaves text for people in [`Relay::text`], behind what is there. The last kernel
//! finds all of it there, in memory that is [`Reserved`](crate::MemoryKind::Reserved).

use core::fmt;
use core::str::FromStr;

/// How the word begins.
const NAME: &str = "relay=";

/// Bytes before the text: its length.
pub const HEADER: u64 = 8;

/// Where to go, and where the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// Address of the loader's instruction: physical and, in the page tables of the hand-over, virtual.
    pub resume: u64,
    /// Physical address, a multiple of 4096: [`HEADER`] bytes with the length of the text, and the text.
    pub text: u64,
    /// Bytes there, a multiple of 4096.
    pub size: u64,
}

/// The word is not one that the loader writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRelay;

impl Relay {
    /// What a command line tells.
    pub fn of(command_line: &str) -> Option<Relay> {
        let mut words = command_line.split_whitespace();
        words.find_map(|word| word.parse().ok())
    }
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}{},{},{}", self.resume, self.text, self.size)
    }
}

impl FromStr for Relay {
    type Err = NoRelay;

    fn from_str(word: &str) -> Result<Relay, NoRelay> {
        let mut numbers = word.strip_prefix(NAME).ok_or(NoRelay)?.split(',');
        let mut number = || -> Result<u64, NoRelay> {
            let number = numbers.next().ok_or(NoRelay)?;
            number.parse().map_err(|_| NoRelay)
        };
        let relay = Relay {
            resume: number()?,
            text: number()?,
            size: number()?,
        };
        let whole = relay.text.is_multiple_of(4096) && relay.size.is_multiple_of(4096);
        let sound = whole && relay.size > HEADER && relay.text.checked_add(relay.size).is_some();
        match numbers.next().is_none() && sound {
            true => Ok(relay),
            false => Err(NoRelay),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    #[test]
    fn the_word_says_it_all() {
        let relay = Relay {
            resume: 0x10_0123,
            text: 0x11_0000,
            size: 0x8000,
        };
        assert_eq!(Relay::of(&format!("a {relay} b=1")), Some(relay));
    }

    #[test]
    fn other_words_are_none() {
        for bad in [
            "",
            "relay=",
            "relay=1,4096",
            "relay=1,4096,4096,0",
            "relay=1,4097,4096",
            "relay=1,4096,0",
            "relay=1,18446744073709547520,8192",
            "relay=x,4096,4096",
        ] {
            assert_eq!(Relay::of(bad), None, "{bad}");
        }
    }
}
