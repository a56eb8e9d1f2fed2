//! What a command's words mean.

use crate::number;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use getargs::{Arg, Opt, Options};

/// `read NAME [--offset N] [--size N] [--sha256]`
#[derive(Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// What to read.
    pub name: &'a str,
    /// First byte.
    pub offset: u64,
    /// How many bytes.
    pub size: Option<u64>,
    /// The digest instead of the bytes.
    pub sha256: bool,
}

/// `write NAME --offset N TEXT`
#[derive(Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// What to write to.
    pub name: &'a str,
    /// First byte.
    pub offset: u64,
    /// What to write.
    pub text: &'a str,
}

/// `ping HOST [--count N]`
#[derive(Debug, PartialEq, Eq)]
pub struct Ping<'a> {
    /// Whom to ask.
    pub host: &'a str,
    /// How often.
    pub count: u64,
}

/// `top [--count N] [--seconds N]`
#[derive(Debug, PartialEq, Eq)]
pub struct Top {
    /// How many tables.
    pub count: u64,
    /// Seconds between two.
    pub seconds: u64,
}

/// `fetch URL [--sha256]`
#[derive(Debug, PartialEq, Eq)]
pub struct Fetch<'a> {
    /// What to fetch.
    pub url: &'a str,
    /// The digest instead of the bytes.
    pub sha256: bool,
}

/// `--nonce N [--traces] --exec COMMAND [--exec COMMAND]`: the shell's own arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Program<'a> {
    /// Marks the output, so that the host tool finds it.
    pub nonce: Option<&'a str>,
    /// The host tool wants what `trace` finds.
    pub traces: bool,
    /// Commands to run instead of asking for some.
    pub commands: Vec<&'a str>,
}

impl<'a> Read<'a> {
    /// Understands the words after `read`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(words: &'a [String]) -> Result<Self, String> {
        let mut read = Self {
            name: "",
            offset: 0,
            size: None,
            sha256: false,
        };
        let mut names = Vec::new();
        each(words, |argument, options| {
            match argument {
                Arg::Long("offset") => read.offset = number(argument, options)?,
                Arg::Long("size") => read.size = Some(number(argument, options)?),
                Arg::Long("sha256") => read.sha256 = true,
                Arg::Positional(name) => names.push(name),
                other => return Err(unknown(other)),
            }
            Ok(())
        })?;
        let [name] = names[..] else {
            return Err("give one name, such as disk:0".into());
        };
        Ok(Self { name, ..read })
    }
}

impl<'a> Write<'a> {
    /// Understands the words after `write`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(words: &'a [String]) -> Result<Self, String> {
        let mut offset = None;
        let mut positional = Vec::new();
        each(words, |argument, options| {
            match argument {
                Arg::Long("offset") => offset = Some(number(argument, options)?),
                Arg::Positional(word) => positional.push(word),
                other => return Err(unknown(other)),
            }
            Ok(())
        })?;
        let offset = offset.ok_or("say where: --offset N")?;
        let [name, text] = positional[..] else {
            return Err("give one name and one text (in quotes if it has spaces)".into());
        };
        Ok(Self { name, offset, text })
    }
}

impl<'a> Ping<'a> {
    /// Understands the words after `ping`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(words: &'a [String]) -> Result<Self, String> {
        let (mut count, mut hosts) = (1, Vec::new());
        each(words, |argument, options| {
            match argument {
                Arg::Long("count") => count = number(argument, options)?,
                Arg::Positional(host) => hosts.push(host),
                other => return Err(unknown(other)),
            }
            Ok(())
        })?;
        match hosts[..] {
            [_] if count == 0 => Err("--count: at least 1".into()),
            [host] => Ok(Self { host, count }),
            _ => Err("give one host, such as 10.0.2.2".into()),
        }
    }
}

impl Top {
    /// Understands the words after `top`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut top = Self {
            count: u64::MAX,
            seconds: 1,
        };
        each(words, |argument, options| {
            match argument {
                Arg::Long("count") => top.count = number(argument, options)?,
                Arg::Long("seconds") => top.seconds = number(argument, options)?,
                other => return Err(unknown(other)),
            }
            Ok(())
        })?;
        Ok(top)
    }
}

impl<'a> Fetch<'a> {
    /// Understands the words after `fetch`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(words: &'a [String]) -> Result<Self, String> {
        let (mut sha256, mut urls) = (false, Vec::new());
        each(words, |argument, _| {
            match argument {
                Arg::Long("sha256") => sha256 = true,
                Arg::Positional(url) => urls.push(url),
                other => return Err(unknown(other)),
            }
            Ok(())
        })?;
        match urls[..] {
            [url] => Ok(Self { url, sha256 }),
            _ => Err("give one URL, such as http://10.0.2.2:8000/file".into()),
        }
    }
}

impl<'a> Program<'a> {
    /// Understands the shell's own arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(words: &'a [String]) -> Result<Self, String> {
        let mut program = Self::default();
        each(words, |argument, options| {
            match argument {
                Arg::Long("nonce") => program.nonce = Some(value(options)?),
                Arg::Long("traces") => program.traces = true,
                Arg::Long("exec") => program.commands.push(value(options)?),
                other => return Err(unknown(other)),
            }
            Ok(())
        })?;
        Ok(program)
    }
}

/// Checks that nothing is given.
///
/// # Errors
/// Something is.
pub fn none(words: &[String]) -> Result<(), String> {
    each(words, |argument, _| Err(unknown(argument)))
}

/// Exactly so many names.
///
/// # Errors
/// More, fewer, or options.
pub fn names<const N: usize>(words: &[String]) -> Result<[&str; N], String> {
    let mut names = Vec::new();
    each(words, |argument, _| match argument {
        Arg::Positional(name) => {
            names.push(name);
            Ok(())
        }
        other => Err(unknown(other)),
    })?;
    let count = if N == 1 { "one name" } else { "two names" };
    names.try_into().map_err(|_| format!("give {count}"))
}

/// Any number of names.
///
/// # Errors
/// Options.
pub fn any_names(words: &[String]) -> Result<Vec<&str>, String> {
    let mut names = Vec::new();
    each(words, |argument, _| match argument {
        Arg::Positional(name) => {
            names.push(name);
            Ok(())
        }
        other => Err(unknown(other)),
    })?;
    Ok(names)
}

/// Whether a lone switch `--NAME` is given; nothing else may be.
///
/// # Errors
/// Something else is.
pub fn switch(words: &[String], name: &str) -> Result<bool, String> {
    let mut given = false;
    each(words, |argument, _| match argument {
        Arg::Long(long) if long == name => {
            given = true;
            Ok(())
        }
        other => Err(unknown(other)),
    })?;
    Ok(given)
}

type Words<'a> = core::iter::Map<core::slice::Iter<'a, String>, fn(&'a String) -> &'a str>;

/// Calls `use_argument` with every option and word.
fn each<'a>(
    words: &'a [String],
    mut use_argument: impl FnMut(Arg<&'a str>, &mut Options<&'a str, Words<'a>>) -> Result<(), String>,
) -> Result<(), String> {
    let mut options = Options::new(
        words
            .iter()
            .map(String::as_str as fn(&'a String) -> &'a str),
    );
    while let Some(argument) = options.next_arg().map_err(|error| format!("{error}"))? {
        use_argument(argument, &mut options)?;
    }
    Ok(())
}

fn value<'a>(options: &mut Options<&'a str, Words<'a>>) -> Result<&'a str, String> {
    options.value().map_err(|error| format!("{error}"))
}

fn number<'a>(
    option: Arg<&'a str>,
    options: &mut Options<&'a str, Words<'a>>,
) -> Result<u64, String> {
    let text = value(options)?;
    number::parse(text).ok_or_else(|| {
        format!(
            "{}: {text} is not a number (4096, 0x1000, 4K)",
            name(option)
        )
    })
}

fn unknown(argument: Arg<&str>) -> String {
    format!("{}: not understood here", name(argument))
}

fn name(argument: Arg<&str>) -> String {
    match argument.opt() {
        Some(Opt::Long(long)) => format!("--{long}"),
        Some(Opt::Short(short)) => format!("-{short}"),
        None => argument.positional().unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests;
