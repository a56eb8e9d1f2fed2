//! What the shell waits for: keys, and the ends of programs. Two threads wait for one each, and tell the shell by a channel.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
use libsys::handle::{Handle, IoError};
use libsys::process::{self, Child, Ended};
use libsys::sync::{Mutex, Receiver, Semaphore, Sender, channel};
use libsys::thread::{self, JoinHandle};
use libsys::{eprintln, rt, time};

/// The key that ends programs.
const CTRL_C: u8 = 3;

/// Most keys that are typed ahead.
const AHEAD: usize = 4096;

/// Programs that Ctrl-C ends.
static FOREGROUND: Mutex<Vec<Child>> = Mutex::new(Vec::new());
/// Ctrl-C was typed while one of them ran.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The shell waits for what runs in the background.
static WAITING: AtomicBool = AtomicBool::new(false);
/// How many [`Event::Flush`] were sent, or will be at once.
static FLUSHES: AtomicU32 = AtomicU32::new(0);
/// Programs of which nobody has waited for the end yet.
static STARTED: Semaphore = Semaphore::new(0);

/// Something that the shell waited for.
pub enum Event {
    /// A key.
    Byte(u8),
    /// Ctrl-C has ended something: what was typed before it does not count any more.
    Flush,
    /// The console was started anew: the terminal may show anything.
    Reopened,
    /// A program has ended.
    Ended(Child, Ended),
}

/// Where the events come from.
pub struct Input {
    events: Receiver<Event>,
    /// Those that came while something else was waited for.
    kept: VecDeque<Event>,
    /// How many [`Event::Flush`] came.
    flushes: u32,
    _threads: Vec<JoinHandle<()>>,
}

impl Input {
    /// Starts the threads; `keys` says whether the console is asked for keys.
    ///
    /// # Errors
    /// There is no memory for them, or no console.
    pub fn new(keys: bool) -> Result<Self, &'static str> {
        let (sender, events) = channel(256);
        let mut threads = Vec::new();
        let mut start = |work: fn(Sender<Event>)| {
            let sender = sender.clone();
            let started = thread::spawn(move || work(sender));
            threads.push(started.map_err(|_| "it cannot make a thread")?);
            Ok::<_, &str>(())
        };
        start(tell_ends)?;
        if keys {
            start(tell_keys)?;
        }
        Ok(Self {
            events,
            kept: VecDeque::new(),
            flushes: 0,
            _threads: threads,
        })
    }

    /// The next event.
    pub fn next(&mut self) -> Option<Event> {
        self.kept.pop_front().or_else(|| self.events.receive())
    }

    /// Forgets what was typed before the last Ctrl-C that ended something.
    pub fn settle(&mut self) {
        while self.flushes != FLUSHES.load(Ordering::Relaxed)
            && let Some(event) = self.events.receive()
        {
            self.kept.push_back(event);
            if let Some(Event::Flush) = self.kept.back() {
                self.flush();
            }
        }
    }

    /// Forgets what is typed ahead.
    fn flush(&mut self) {
        self.flushes = self.flushes.wrapping_add(1);
        self.kept
            .retain(|event| !matches!(event, Event::Byte(_) | Event::Flush));
    }

    /// The next end of a program; what is typed before is kept. `None`: Ctrl-C, and nothing runs that it could end.
    pub fn next_end(&mut self) -> Option<(Child, Ended)> {
        // It may have come between two commands.
        let is_end = |event: &Event| matches!(event, Event::Ended(..));
        let at = self.kept.iter().position(is_end);
        if let Some(Event::Ended(child, ended)) = at.and_then(|at| self.kept.remove(at)) {
            FOREGROUND.lock().retain(|other| *other != child);
            return Some((child, ended));
        }
        // Ctrl-C may have been typed before the program ran.
        let is_interrupt = |event: &Event| matches!(event, Event::Byte(CTRL_C));
        let typed = self.kept.iter().position(is_interrupt);
        if let Some(at) = typed
            && interrupt(false)
        {
            self.kept.drain(..=at);
            if FOREGROUND.lock().is_empty() {
                return None;
            }
        }
        loop {
            match self.events.receive()? {
                Event::Ended(child, ended) => {
                    FOREGROUND.lock().retain(|other| *other != child);
                    return Some((child, ended));
                }
                Event::Flush => {
                    self.flush();
                    let running = FOREGROUND.lock();
                    // Of a pipeline, some may have started after the key.
                    for child in running.iter() {
                        let _ = child.end();
                    }
                    if running.is_empty() {
                        return None;
                    }
                }
                event if is_interrupt(&event) && interrupt(false) => {
                    self.kept.retain(|event| !matches!(event, Event::Byte(_)));
                    if FOREGROUND.lock().is_empty() {
                        return None;
                    }
                }
                event if self.kept.len() < AHEAD => self.kept.push_back(event),
                _ => {}
            }
        }
    }

    /// [`Input::next_end`] of anything, for a shell that has nothing else to do.
    pub fn wait(&mut self) -> Option<(Child, Ended)> {
        WAITING.store(true, Ordering::Relaxed);
        let end = self.next_end();
        // Not between the question whether it waits and the counting of a flush.
        let _running = FOREGROUND.lock();
        WAITING.store(false, Ordering::Relaxed);
        end
    }

    /// Whether there is one now.
    pub fn has_more(&mut self) -> bool {
        self.kept.extend(self.events.try_receive());
        !self.kept.is_empty()
    }

    /// A program was started: its end will be told.
    pub fn started(&self, child: Child, background: bool) {
        if !background {
            FOREGROUND.lock().push(child);
        }
        STARTED.release();
    }
}

/// Whether Ctrl-C was typed since the last [`was_interrupted`].
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// [`is_interrupted`], once.
pub fn was_interrupted() -> bool {
    INTERRUPTED.swap(false, Ordering::Relaxed)
}

fn tell_ends(sender: Sender<Event>) {
    loop {
        // One end for each start.
        STARTED.acquire();
        if let Ok((child, ended)) = process::wait()
            && sender.send(Event::Ended(child, ended)).is_err()
        {
            return;
        }
    }
}

fn tell_keys(sender: Sender<Event>) {
    let mut console = None;
    loop {
        let Some(handle) = console.take().or_else(open_console) else {
            return eprintln!("shell: the console does not answer");
        };
        let mut bytes = [0; 64];
        let count = handle.read(&mut bytes);
        let events: Vec<_> = match count {
            Ok(count) => {
                console = Some(handle);
                bytes[..count]
                    .iter()
                    .map(|byte| Event::Byte(*byte))
                    .collect()
            }
            Err(_) => [Event::Reopened].into(),
        };
        for event in events {
            let interrupts = matches!(event, Event::Byte(CTRL_C)) && interrupt(true);
            let event = if interrupts { Event::Flush } else { event };
            if sender.send(event).is_err() {
                return;
            }
        }
    }
}

/// Ctrl-C: ends what runs in the foreground. Says whether anything does; then, if `flush`, the caller sends [`Event::Flush`].
fn interrupt(flush: bool) -> bool {
    let running = FOREGROUND.lock();
    if running.is_empty() && !WAITING.load(Ordering::Relaxed) {
        return false;
    }
    INTERRUPTED.store(true, Ordering::Relaxed);
    FLUSHES.fetch_add(flush.into(), Ordering::Relaxed);
    eprintln!("^C");
    for child in running.iter() {
        // It may just have ended.
        let _ = child.end();
    }
    true
}

/// The console, which may just be starting anew.
fn open_console() -> Option<Handle> {
    let server = rt::endpoint("console")?;
    for _ in 0..50 {
        match Handle::open_at(server, "") {
            Ok(console) => return Some(console),
            Err(IoError::ServerDied { .. }) => {
                let _ = time::sleep(Duration::from_millis(100));
            }
            Err(_) => break,
        }
    }
    None
}
