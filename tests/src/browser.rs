//! A browser without a window: Debian's Chromium, installed if it is missing.

use std::path::Path;
use std::process::{Command, Stdio};

use postern::{install, paths};

/// The program, and its Debian package.
const CHROMIUM: &str = "chromium";

/// What a page looks like: width, and for each pixel, row by row, how bright it is (0 to 255).
pub struct Picture {
    width: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// How bright the pixel at a place is.
    ///
    /// # Panics
    /// The place is outside.
    pub fn brightness(&self, x: usize, y: usize) -> u8 {
        assert!(x < self.width);
        self.pixels[y * self.width + x]
    }
}

/// What a browser made of a page.
pub struct Screen {
    /// What it looks like.
    pub picture: Picture,
    /// Lines of the browser's console: errors of the page.
    pub console: String,
}

/// Shows a file in a window of `width` by `height` pixels.
///
/// # Panics
/// There is no Chromium, or it does not show it.
pub fn picture(file: &Path, width: usize, height: usize) -> Picture {
    show(file, width, height, false).picture
}

/// [`picture`], to a person who prefers a `dark` screen or not, with the console.
///
/// # Panics
/// As [`picture`].
pub fn show(file: &Path, width: usize, height: usize, dark: bool) -> Screen {
    if paths::program(CHROMIUM).is_none() {
        install::packages("a browser", &[CHROMIUM]).expect("it can be installed");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shot = folder.path().join("shot.png");
    let profile = folder.path().join("profile");
    let shown = Command::new(CHROMIUM)
        // The sandbox cannot be had as root, and the rest keeps it from looking for its maker's servers.
        .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(' '))
        .args(
            "--disable-background-networking --disable-component-update --disable-sync".split(' '),
        )
        .args(["--hide-scrollbars", "--force-device-scale-factor=1"])
        .arg("--enable-logging=stderr")
        .args(dark.then_some("--blink-settings=preferredColorScheme=0"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},{height}"))
        .arg(format!("--screenshot={}", shot.display()))
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && shot.exists(), "{said}");
    let console = said.lines().filter(|line| line.contains(":CONSOLE"));
    Screen {
        picture: decode(&std::fs::read(&shot).expect("it can be read")),
        console: console.map(|line| format!("{line}\n")).collect(),
    }
}

fn decode(bytes: &[u8]) -> Picture {
    let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    let mut reader = decoder.read_info().expect("it is a PNG");
    let mut buffer = vec![0; reader.output_buffer_size().expect("it fits the memory")];
    let info = reader.next_frame(&mut buffer).expect("it is a PNG");
    let pixels = buffer[..info.buffer_size()].chunks(info.color_type.samples());
    Picture {
        width: info.width as usize,
        // The green channel stands for all three.
        pixels: pixels.map(|pixel| pixel[pixel.len() / 2]).collect(),
    }
}
