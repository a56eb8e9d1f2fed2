//! The machine's screen and keyboard, through QEMU's monitor.

use std::time::Instant;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use postern::monitor::Monitor;
use serde_json::json;

use crate::LIMIT;

/// Characters of a line, and lines.
const COLUMNS: usize = 80;
const ROWS: usize = 25;
/// Where the text of the screen lies, and its bytes: a character and its colours for each cell.
const TEXT: usize = 0xb8000;
const BYTES: usize = 2 * COLUMNS * ROWS;

/// Presses and releases keys, by QEMU's names of the keys of a US keyboard; those held together are joined by `-`.
///
/// # Panics
/// QEMU does not know a key.
pub fn press(monitor: &Monitor, keys: &[&str]) {
    for held in keys {
        let names = held.split('-');
        let keys: Vec<_> = names
            .map(|name| json!({"type": "qcode", "data": name}))
            .collect();
        let pressed = monitor.execute("send-key", json!({"keys": keys, "hold-time": 10}));
        pressed.expect("QEMU takes it");
    }
}

/// The keys that type a text on a US keyboard, for [`press`].
///
/// # Panics
/// There is a character that no test has needed yet.
pub fn keys(text: &str) -> Vec<String> {
    text.chars()
        .map(|character| match character {
            'a'..='z' | '0'..='9' => character.into(),
            'A'..='Z' => format!("shift-{}", character.to_ascii_lowercase()),
            ' ' => "spc".into(),
            ',' => "comma".into(),
            '.' => "dot".into(),
            '!' => "shift-1".into(),
            ':' => "shift-semicolon".into(),
            '-' => "minus".into(),
            '\n' => "ret".into(),
            other => panic!("which key is {other:?}?"),
        })
        .collect()
}

/// Types a text on a US keyboard.
///
/// # Panics
/// As [`keys`] and [`press`].
pub fn type_in(monitor: &Monitor, text: &str) {
    let keys = keys(text);
    press(
        monitor,
        &keys.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

/// What the screen shows: the lines' characters (in code page 437), without the blanks at their ends.
///
/// # Panics
/// QEMU does not tell, or a character is in other colours than light grey on black.
pub fn lines(monitor: &Monitor) -> Vec<Vec<u8>> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let arguments = json!({"val": TEXT, "size": BYTES, "filename": file.path()});
    monitor.execute("pmemsave", arguments).expect("QEMU tells");
    let bytes = std::fs::read(file.path()).expect("QEMU has written it");
    assert_eq!(bytes.len(), BYTES);
    assert!(bytes.chunks(2).all(|cell| cell[1] == 7), "colours");
    let line = |cells: &[u8]| {
        let mut line: Vec<u8> = cells.iter().step_by(2).copied().collect();
        let length = line
            .iter()
            .rposition(|byte| *byte != b' ')
            .map_or(0, |last| last + 1);
        line.truncate(length);
        line
    };
    bytes.chunks(2 * COLUMNS).map(line).collect()
}

/// Waits until the screen, which is up to 10 ms behind the serial line, shows `expected`.
///
/// # Panics
/// It does not.
pub fn wait_for(monitor: &Monitor, expected: impl Fn(&[Vec<u8>]) -> bool) {
    wait_for_lines(|| lines(monitor), expected);
}

/// The same where the screen is one of pixels.
///
/// # Panics
/// It does not.
pub fn wait_for_drawn(monitor: &Monitor, expected: impl Fn(&[Vec<u8>]) -> bool) {
    wait_for_lines(|| drawn_lines(monitor), expected);
}

fn wait_for_lines(lines: impl Fn() -> Vec<Vec<u8>>, expected: impl Fn(&[Vec<u8>]) -> bool) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let lines = lines();
        if expected(&lines) {
            return;
        }
        if Instant::now() > deadline {
            let lines = lines.iter().map(|line| String::from_utf8_lossy(line));
            panic!("the screen shows\n{}", lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The same where the screen is one of pixels, with the characters of ASCII: what is none of them is a `?`.
///
/// # Panics
/// As [`lines`].
pub fn drawn_lines(monitor: &Monitor) -> Vec<Vec<u8>> {
    const FONT: (FontWeight, RasterHeight) = (FontWeight::Regular, RasterHeight::Size16);
    let (width, height) = (get_raster_width(FONT.0, FONT.1), FONT.1.val());
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let arguments = json!({"filename": file.path()});
    monitor
        .execute("screendump", arguments)
        .expect("QEMU tells");
    // P6, width, height and 255, each followed by one blank; then three bytes for each pixel.
    let bytes = std::fs::read(file.path()).expect("QEMU has written it");
    let mut words = bytes.splitn(5, u8::is_ascii_whitespace);
    assert_eq!(words.next(), Some(&b"P6"[..]));
    let pitch = words.next().and_then(|word| str::from_utf8(word).ok());
    let pitch: usize = pitch.and_then(|word| word.parse().ok()).expect("a width");
    let pixels = words.nth(2).expect("pixels");
    let red = |row: usize, column: usize| pixels[3 * (row * pitch + column)];
    let shows = |row: usize, column: usize, character: char| {
        let raster = get_raster(character, FONT.0, FONT.1).expect("it is in the font");
        (0..height - 2).all(|y| {
            (0..width).all(|x| {
                let ink = u32::from(raster.pixel(x, y).expect("it is inside"));
                u32::from(red(row * height + y, column * width + x)) == 0xaa * ink / 255
            })
        })
    };
    let line = |row| {
        let cell = |column| {
            let found = (b' '..0x7f).find(|byte| shows(row, column, char::from(*byte)));
            found.unwrap_or(b'?')
        };
        let line: Vec<u8> = (0..COLUMNS).map(cell).collect();
        line.trim_ascii_end().to_vec()
    };
    (0..ROWS).map(line).collect()
}

/// What a terminal of this size shows after it got `log`, without the blanks at the lines' ends.
pub fn expected(log: &str) -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for line in log.split('\n') {
        let mut pieces: Vec<_> = line
            .as_bytes()
            .chunks(COLUMNS)
            .map(<[u8]>::to_vec)
            .collect();
        if pieces.is_empty() {
            pieces.push(Vec::new());
        }
        rows.append(&mut pieces);
    }
    let mut last = rows.split_off(rows.len().saturating_sub(ROWS));
    last.iter_mut()
        .for_each(|row| *row = row.trim_ascii_end().to_vec());
    last
}
