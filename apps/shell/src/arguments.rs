//! What a command's words mean.

use crate::number;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use getargs::{Arg, Opt, Options};

/// The words of a line, quotes and backslashes understood as a POSIX shell does. `None`: a quote is left open.
pub fn words(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}

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

/// `fetch URL [--sha256]`
#[derive(Debug, PartialEq, Eq)]
pub struct Fetch<'a> {
    /// What to fetch.
    pub url: &'a str,
    /// The digest instead of the bytes.
    pub sha256: bool,
}

/// `--nonce N --exec COMMAND [--exec COMMAND]`: the shell's own arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Program<'a> {
    /// Marks the output, so that the host tool finds it.
    pub nonce: Option<&'a str>,
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
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        words(line).expect("quotes are closed")
    }

    #[test]
    fn quotes() {
        assert_eq!(
            split(r#"write disk:0 "a b" 'c"d' e\ f"#),
            ["write", "disk:0", "a b", "c\"d", "e f"]
        );
        assert_eq!(words("echo 'open"), None);
        assert!(split("  ").is_empty());
    }

    #[test]
    fn read() {
        let all = split("--size 4K disk:0 --sha256 --offset=0x200");
        let expected = Read {
            name: "disk:0",
            offset: 512,
            size: Some(4096),
            sha256: true,
        };
        assert_eq!(Read::parse(&all), Ok(expected));
        let plain = split("disk:0");
        assert_eq!(
            Read::parse(&plain),
            Ok(Read {
                name: "disk:0",
                offset: 0,
                size: None,
                sha256: false
            })
        );
    }

    #[test]
    fn write() {
        let good = split("disk:0 --offset 1M 'two words'");
        assert_eq!(
            Write::parse(&good),
            Ok(Write {
                name: "disk:0",
                offset: 1 << 20,
                text: "two words"
            })
        );
        let dashes = split("--offset 0 disk:0 -- --text");
        assert_eq!(
            Write::parse(&dashes),
            Ok(Write {
                name: "disk:0",
                offset: 0,
                text: "--text"
            })
        );
    }

    #[test]
    fn ping_and_fetch() {
        let words = split("--count 3 10.0.2.2");
        assert_eq!(
            Ping::parse(&words),
            Ok(Ping {
                host: "10.0.2.2",
                count: 3
            })
        );
        assert_eq!(Ping::parse(&split("a")).map(|ping| ping.count), Ok(1));
        for bad in ["", "a b", "a --count 0", "a --count", "a --flood"] {
            assert!(Ping::parse(&split(bad)).is_err(), "{bad}");
        }
        let words = split("http://a/ --sha256");
        assert_eq!(
            Fetch::parse(&words),
            Ok(Fetch {
                url: "http://a/",
                sha256: true
            })
        );
        for bad in ["", "a b", "a --output=b"] {
            assert!(Fetch::parse(&split(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |line: &str| Read::parse(&split(line)).unwrap_err();
        assert_eq!(
            error("disk:0 --size much"),
            "--size: much is not a number (4096, 0x1000, 4K)"
        );
        assert_eq!(error("disk:0 --speed 3"), "--speed: not understood here");
        assert_eq!(error("disk:0 -x"), "-x: not understood here");
        assert_eq!(error(""), "give one name, such as disk:0");
        assert_eq!(error("disk:0 disk:1"), "give one name, such as disk:0");
        assert_eq!(error("disk:0 --size"), "option requires a value: --size");
        assert_eq!(
            error("disk:0 --sha256=yes"),
            "option does not require a value: --sha256"
        );
        assert_eq!(
            Write::parse(&split("disk:0 text")).unwrap_err(),
            "say where: --offset N"
        );
    }

    #[test]
    fn program_and_switch() {
        let arguments = [
            "--nonce",
            "7",
            "--exec",
            "read disk:0 --size 64",
            "--exec",
            "-odd",
        ]
        .map(String::from);
        let program = Program::parse(&arguments).unwrap();
        assert_eq!(
            (program.nonce, &program.commands[..]),
            (Some("7"), &["read disk:0 --size 64", "-odd"][..])
        );
        assert_eq!(switch(&split("--boot"), "boot"), Ok(true));
        assert_eq!(switch(&[], "boot"), Ok(false));
        assert!(switch(&split("now"), "boot").is_err());
        assert_eq!(none(&[]), Ok(()));
        assert_eq!(none(&split("now")).unwrap_err(), "now: not understood here");
        assert_eq!(names(&split("a b")), Ok(["a", "b"]));
        assert_eq!(names::<1>(&split("a b")).unwrap_err(), "give one name");
        assert_eq!(names::<2>(&[]).unwrap_err(), "give two names");
        assert!(names::<1>(&split("--long")).is_err());
    }
}
