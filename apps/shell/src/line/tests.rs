use super::*;

fn type_in(keys: &[u8]) -> (Vec<Event>, Vec<u8>) {
    let mut line = Line::default();
    let mut echo = Vec::new();
    let events = keys
        .iter()
        .map(|&key| line.input(key, &mut echo))
        .filter(|event| *event != Event::Typing);
    (events.collect(), echo)
}

fn done(text: &str) -> Event {
    Event::Done(text.into())
}

#[test]
fn lines() {
    assert_eq!(type_in(b"help\r"), (vec![done("help")], b"help\n".to_vec()));
    assert_eq!(type_in(b"a\r\nb\nc\r").0, [done("a"), done("b"), done("c")]);
    assert_eq!(type_in(b"\r\r").0, [done(""), done("")]);
}

#[test]
fn editing() {
    assert_eq!(
        type_in(b"ab\x7fc\r"),
        (vec![done("ac")], b"ab\x08 \x08c\n".to_vec())
    );
    for (keys, text) in [
        (&b"\x08a\r"[..], "a"),
        (b"abc\x15x\r", "x"),
        (b"abc\x1b[D\x1b[Dx\x1b[Cy\r", "axbyc"),
        (b"abc\x01x\x05y\r", "xabcy"),
        (b"abc\x1b[Hx\x1b[Fy\r", "xabcy"),
        (b"abc\x1b[1~\x1b[3~\r", "bc"),
        (b"abc\x02\x02\x0bd\r", "ad"),
        (b"one two  \x17x\r", "one x"),
        (b"a\x1b[1;5Db\x1bOPc\r", "bca"),
        (b"a\0b\r", "ab"),
        (b"a\x1b[1\x01b\r", "ba"),
        (b"a\x1b\r", "a"),
        ("aé\x7fb\r".as_bytes(), "ab"),
        (b"a\x1b[999999999999999999;~b\r", "ab"),
    ] {
        assert_eq!(type_in(keys).0, [done(text)], "{keys:?}");
    }
    assert_eq!(type_in(b"abc\x03x\r").0, [Event::Cancelled, done("x")]);
    assert_eq!(
        type_in(b"re\tx\r").0,
        [Event::Complete("re".into()), done("rex")]
    );
}

#[test]
fn history_comes_back() {
    let texts = |keys: &[u8]| type_in(keys).0.pop();
    assert_eq!(texts(b"one\rtwo\r\x1b[A\r"), Some(done("two")));
    assert_eq!(texts(b"one\rtwo\r\x10\x10\r"), Some(done("one")));
    assert_eq!(
        texts(b"one\rtwo\rnew\x1b[A\x1b[A\x1b[B\x1b[B\r"),
        Some(done("new"))
    );
    assert_eq!(texts(b"one\r\x1b[A\x1b[A\x1b[A2\r"), Some(done("one2")));
}

#[test]
fn broken_text_and_endless_lines() {
    assert_eq!(type_in(b"\xff\xc3\r").0, [done("\u{fffd}\u{fffd}")]);
    let mut keys = vec![b'x'; MOST + 10];
    keys.push(b'\r');
    assert_eq!(type_in(&keys).0, [done(&"x".repeat(MOST))]);
    assert_eq!(type_in(b"\x80\x80\x7f\x7fa\r").0, [done("a")]);
}

/// A terminal of one endless row.
fn shown(echo: &[u8]) -> String {
    let mut row: Vec<char> = Vec::new();
    let mut at = 0;
    for character in String::from_utf8_lossy(echo).chars() {
        match character {
            '\x08' => at -= 1,
            '\x07' => {}
            _ => {
                row.resize(row.len().max(at + 1), ' ');
                row[at] = character;
                at += 1;
            }
        }
    }
    row.iter().collect::<String>().trim_end().into()
}

#[test]
fn the_terminal_shows_the_line() {
    // Any keys but those that end a line: whatever they do, the terminal shows it.
    let keys = [
        b'a', b'b', b' ', 1, 2, 5, 6, 8, 11, 21, 23, 4, 0xc3, 0xa9, 0x1b, b'[', b'D', b'C', b'3',
        b'~',
    ];
    let mut seed = 1u64;
    for _ in 0..2000 {
        let (mut line, mut echo) = (Line::default(), Vec::new());
        for _ in 0..40 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            line.input(keys[(seed >> 33) as usize % keys.len()], &mut echo);
        }
        let text: String = line.text.iter().collect();
        assert_eq!(shown(&echo), text.trim_end(), "{echo:?}");
        assert!(line.cursor <= line.text.len());
    }
}
