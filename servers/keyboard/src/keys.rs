//! From scan codes to what a terminal would send: characters in UTF-8, control characters, escape sequences.

use alloc::vec::Vec;
use pc_keyboard::layouts::{AnyLayout, De105Key, Us104Key};
use pc_keyboard::{DecodedKey, HandleControl, KeyCode, KeyState, PS2Keyboard, ScancodeSet1};

/// The keys of a keyboard: which are held, and what they mean.
pub struct Keys {
    keyboard: PS2Keyboard<AnyLayout, ScancodeSet1>,
}

impl Keys {
    /// With the layout of this name: `us` or `de`. `None`: there is no such layout.
    pub fn new(layout: &str) -> Option<Self> {
        let layout = match layout {
            "us" => AnyLayout::Us104Key(Us104Key),
            "de" => AnyLayout::De105Key(De105Key),
            _ => return None,
        };
        let control = HandleControl::MapLettersToUnicode;
        Some(Self {
            keyboard: PS2Keyboard::new(ScancodeSet1::new(), layout, control),
        })
    }

    /// Takes a byte of scan code set 1; appends what was typed by it to `typed`.
    pub fn input(&mut self, scan_code: u8, typed: &mut Vec<u8>) {
        // A byte that is no key's (the keyboard's own answers, say) is nobody's.
        let Ok(Some(event)) = self.keyboard.add_byte(scan_code) else {
            return;
        };
        let (code, state) = (event.code, event.state);
        let Some(key) = self.keyboard.process_keyevent(event) else {
            return;
        };
        if state == KeyState::Up {
            return;
        }
        match (code, key) {
            // What terminals send, rather than what the layout says.
            (KeyCode::Backspace, _) => typed.push(0x7f),
            (KeyCode::Return | KeyCode::NumpadEnter, _) => typed.push(b'\r'),
            (KeyCode::Delete, _) => typed.extend(b"\x1b[3~"),
            (_, DecodedKey::Unicode(character)) => {
                typed.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            (_, DecodedKey::RawKey(code)) => typed.extend(sequence(code)),
        }
    }
}

/// The escape sequence of a key without a character (those of a VT220).
fn sequence(code: KeyCode) -> &'static [u8] {
    match code {
        KeyCode::ArrowUp => b"\x1b[A",
        KeyCode::ArrowDown => b"\x1b[B",
        KeyCode::ArrowRight => b"\x1b[C",
        KeyCode::ArrowLeft => b"\x1b[D",
        KeyCode::Home => b"\x1b[H",
        KeyCode::End => b"\x1b[F",
        KeyCode::Insert => b"\x1b[2~",
        KeyCode::PageUp => b"\x1b[5~",
        KeyCode::PageDown => b"\x1b[6~",
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scan codes (set 1) of keys on a US keyboard.
    const A: u8 = 0x1e;
    const C: u8 = 0x2e;
    const Y: u8 = 0x15;
    const Q: u8 = 0x10;
    const SEMICOLON: u8 = 0x27;
    const LEFT_SHIFT: u8 = 0x2a;
    const CONTROL: u8 = 0x1d;
    const CAPS_LOCK: u8 = 0x3a;
    const ALT: u8 = 0x38;
    const ENTER: u8 = 0x1c;
    const BACKSPACE: u8 = 0x0e;
    const EXTENDED: u8 = 0xe0;
    const RELEASE: u8 = 0x80;

    fn typed(layout: &str, codes: &[u8]) -> Vec<u8> {
        let mut keys = Keys::new(layout).expect("there is such a layout");
        let mut typed = Vec::new();
        codes.iter().for_each(|&code| keys.input(code, &mut typed));
        typed
    }

    #[test]
    fn characters_and_modifiers() {
        assert_eq!(typed("us", &[A, A | RELEASE, A]), b"aa");
        assert_eq!(
            typed("us", &[LEFT_SHIFT, A, A | RELEASE, LEFT_SHIFT | RELEASE, A]),
            b"Aa"
        );
        let caps = [CAPS_LOCK, CAPS_LOCK | RELEASE];
        assert_eq!(typed("us", &[&caps[..], &[A], &caps, &[A]].concat()), b"Aa");
        assert_eq!(typed("us", &[CONTROL, C, CONTROL | RELEASE, C]), b"\x03c");
        assert_eq!(typed("us", &[ENTER, BACKSPACE]), b"\r\x7f");
    }

    #[test]
    fn layouts() {
        assert_eq!(typed("us", &[Y, SEMICOLON]), b"y;");
        assert_eq!(typed("de", &[Y, SEMICOLON]), "zö".as_bytes());
        assert_eq!(
            typed("de", &[EXTENDED, ALT, Q, EXTENDED, ALT | RELEASE, Q]),
            b"@q"
        );
        assert!(Keys::new("xx").is_none());
    }

    #[test]
    fn keys_without_a_character() {
        let arrows = [EXTENDED, 0x48, EXTENDED, 0x48 | RELEASE, EXTENDED, 0x4b];
        assert_eq!(typed("us", &arrows), b"\x1b[A\x1b[D");
        assert_eq!(typed("us", &[EXTENDED, 0x53]), b"\x1b[3~");
        // F1
        assert_eq!(typed("us", &[0x3b, 0xbb]), b"");
    }

    #[test]
    fn any_bytes_are_survived() {
        let mut keys = Keys::new("de").expect("it is there");
        let mut typed = Vec::new();
        for byte in (0..=255u8).chain((0..=255).rev()) {
            keys.input(EXTENDED, &mut typed);
            keys.input(byte, &mut typed);
            keys.input(0xe1, &mut typed);
            keys.input(byte, &mut typed);
        }
        assert!(str::from_utf8(&typed).is_ok());
    }
}
