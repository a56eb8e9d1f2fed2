use super::*;

fn split(line: &str) -> Vec<String> {
    shlex::split(line).expect("quotes are closed")
}

#[test]
fn quotes() {
    assert_eq!(
        split(r#"write disk:0 "a b" 'c"d' e\ f"#),
        ["write", "disk:0", "a b", "c\"d", "e f"]
    );
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
