//! A screen of pixels, where firmware left one: UEFI has no text screen.
//!
//! The loader tells it in a word at the end of the command line, because the kernel has no use for it: root reads the word.

use core::fmt;
use core::num::ParseIntError;
use core::str::FromStr;

/// How the word begins.
const NAME: &str = "pixels=";

/// A screen, with 32 bits for each pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels {
    /// Physical address of the upper left pixel.
    pub address: u64,
    /// Bytes from a line to the next.
    pub pitch: u32,
    /// Pixels of a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Where in a pixel the 8 bits of red, green and blue begin.
    pub shifts: [u8; 3],
}

/// The word is not one that the loader writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPixels;

impl Pixels {
    /// Those that a command line tells: the loader's word is the last one.
    pub fn of(command_line: &str) -> Option<Pixels> {
        command_line.split_whitespace().next_back()?.parse().ok()
    }

    /// Whether a terminal can be shown: no sum overflows, and every line is as long as it says.
    fn is_sound(&self) -> bool {
        let lines = u64::from(self.pitch) * u64::from(self.height);
        let whole = self.address.checked_add(lines).is_some();
        let long = u64::from(self.pitch) >= 4 * u64::from(self.width);
        let apart = self.shifts.iter().all(|shift| *shift <= 24);
        whole && long && apart && self.pitch.is_multiple_of(4)
    }
}

impl fmt::Display for Pixels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pixels {
            address,
            pitch,
            width,
            height,
            shifts: [red, green, blue],
        } = self;
        write!(
            f,
            "{NAME}{address},{pitch},{width},{height},{red},{green},{blue}"
        )
    }
}

impl FromStr for Pixels {
    type Err = NoPixels;

    fn from_str(word: &str) -> Result<Pixels, NoPixels> {
        let numbers = word.strip_prefix(NAME).ok_or(NoPixels)?;
        let mut numbers = numbers.split(',').map(str::parse);
        let mut number = || -> Result<u64, NoPixels> {
            let number: Result<u64, ParseIntError> = numbers.next().ok_or(NoPixels)?;
            number.map_err(|_| NoPixels)
        };
        let address = number()?;
        let mut small = || number().and_then(|n| u32::try_from(n).map_err(|_| NoPixels));
        let (pitch, width, height) = (small()?, small()?, small()?);
        let mut shift = || small().and_then(|n| u8::try_from(n).map_err(|_| NoPixels));
        let pixels = Pixels {
            address,
            pitch,
            width,
            height,
            shifts: [shift()?, shift()?, shift()?],
        };
        match numbers.next().is_none() && pixels.is_sound() {
            true => Ok(pixels),
            false => Err(NoPixels),
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
        let pixels = Pixels {
            address: 0x8000_0000,
            pitch: 5120,
            width: 1280,
            height: 800,
            shifts: [16, 8, 0],
        };
        assert_eq!(format!("{pixels}").parse(), Ok(pixels));
        assert_eq!(Pixels::of(&format!("other words {pixels}")), Some(pixels));
        assert_eq!(Pixels::of(&format!("{pixels} other words")), None);
    }

    #[test]
    fn other_words_are_none() {
        for bad in [
            "",
            "pixels=",
            "pixels=1,2,3",
            "pixels=0,5120,1280,800,16,8,0,1",
            "pixels=0,5120,1281,800,16,8,0",
            "pixels=0,5121,1280,800,16,8,0",
            "pixels=0,5120,1280,800,16,8,25",
            "pixels=0,5120,1280,800,16,8,300",
            "pixels=-1,5120,1280,800,16,8,0",
            "pixels=18446744073709551615,5120,1280,800,16,8,0",
            "pixels=0,4294967296,1280,800,16,8,0",
        ] {
            assert_eq!(bad.parse::<Pixels>(), Err(NoPixels), "{bad}");
        }
    }
}
