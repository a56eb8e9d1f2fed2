//! `httpd [--port N] ROOT`: serves the files whose names begin with ROOT, such as `file:/www` (or `disk:`, where `/0` is then
//! the whole disk). One thread waits for all connections at once.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use getargs::{Arg, Options};
use httpd::connection::{self, Connection, File};
use httpd::response::Status;
use libsys::handle::{Handle, IoError, Kind};
use libsys::net::{self, Events};
use libsys::proto::io::{READABLE, WRITABLE};
use libsys::time::{Instant, ticks};
use libsys::{eprintln, println, rt, time};

libsys::entry!(start);

/// The port if none is given.
const PORT: u16 = 80;
/// Connections at once; further ones wait at the listener.
const MOST: usize = 128;
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two looks at who is silent.
const ROUND: Duration = Duration::from_secs(10);
/// The number of the listener among the events; those of connections follow.
const LISTENER: u64 = 0;
/// Until there is an index, there is this.
const WELCOME: &str = "<!DOCTYPE html>\n<title>Postern</title>\n<h1>Postern</h1>\n<p>This page comes from a user-level web server of a microkernel.</p>\n";

/// The files.
struct Site {
    root: String,
    /// Those that are being sent, by name: one session is enough for all who want the same.
    open: RefCell<BTreeMap<String, Weak<Named>>>,
}

/// An open file.
struct Named {
    handle: Handle,
    size: u64,
    /// It could not be read: its server may have died. Who asks for it next opens it anew.
    broken: Cell<bool>,
}

/// A file of the site.
enum Page {
    Named(Rc<Named>),
    Welcome,
}

impl Site {
    fn named(&self, name: String) -> Result<Rc<Named>, IoError> {
        let mut open = self.open.borrow_mut();
        let known = open.get(&name).and_then(Weak::upgrade);
        if let Some(file) = known.filter(|file| !file.broken.get()) {
            return Ok(file);
        }
        let handle = Handle::open(&name)?;
        let stat = handle.stat()?;
        if stat.kind != Kind::Block {
            return Err(IoError::NotFound);
        }
        let file = Rc::new(Named {
            handle,
            size: stat.size,
            broken: Cell::new(false),
        });
        open.retain(|_, file| file.strong_count() > 0);
        open.insert(name, Rc::downgrade(&file));
        Ok(file)
    }
}

impl connection::Site for Site {
    type File = Page;

    fn open(&self, path: &str) -> Result<Page, Status> {
        let index = if path.ends_with('/') {
            "index.html"
        } else {
            ""
        };
        // `disk:` and `/0` make `disk:0`; `file:/www` and `/a` make `file:/www/a`.
        let path = if self.root.ends_with(':') {
            &path[1..]
        } else {
            path
        };
        match self.named(format!("{}{path}{index}", self.root)) {
            Ok(file) => Ok(Page::Named(file)),
            Err(IoError::NotFound | IoError::NoFileSystem)
                if !index.is_empty() && path.len() <= 1 =>
            {
                Ok(Page::Welcome)
            }
            Err(
                IoError::NotFound | IoError::NoDevice | IoError::NoFileSystem | IoError::BadName,
            ) => Err(Status::NotFound),
            Err(IoError::NotPermitted) => Err(Status::Forbidden),
            Err(IoError::WouldBlock | IoError::TooManySessions | IoError::ServerDied { .. }) => {
                Err(Status::Busy)
            }
            Err(_) => Err(Status::Failed),
        }
    }
}

impl File for Page {
    fn size(&self) -> u64 {
        match self {
            Self::Named(file) => file.size,
            Self::Welcome => WELCOME.len() as u64,
        }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Option<usize> {
        match self {
            Self::Named(file) => {
                let read = file.handle.read_at(offset, buffer);
                file.broken.set(file.broken.get() || read.is_err());
                read.ok()
            }
            Self::Welcome => {
                let bytes = WELCOME.as_bytes().get(offset as usize..)?;
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                Some(count)
            }
        }
    }
}

/// A client.
struct Client {
    socket: Handle,
    connection: Connection<Page>,
    interest: u64,
    heard: Instant,
}

impl Client {
    /// Goes on as far as it can without waiting. Says whether there is more to come.
    fn advance(&mut self, number: u64, site: &Site, buffer: &mut [u8]) -> Result<bool, IoError> {
        self.heard = Instant::now();
        if !self.connection.has_output() {
            match self.socket.try_read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => self.connection.feed(&buffer[..count], site),
                Err(IoError::WouldBlock) => {}
                Err(error) => return Err(error),
            }
        }
        let mut interest = READABLE;
        while self.connection.has_output() {
            let output = self.connection.output();
            if output.is_empty() {
                // The file broke off.
                break;
            }
            match self.socket.try_write(output) {
                Ok(count) => self.connection.sent(count, site),
                Err(IoError::WouldBlock) => {
                    interest = WRITABLE;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if self.connection.is_over() {
            return Ok(false);
        }
        if interest != self.interest {
            Events::subscribe(&self.socket, number, interest)?;
            self.interest = interest;
        }
        Ok(true)
    }
}

/// Everybody who is served.
struct Clients {
    site: Site,
    listener: Handle,
    all: BTreeMap<u64, Client>,
    next: u64,
    /// Whether it is told of new connections.
    listening: bool,
}

impl Clients {
    /// Takes new connections, as many as there is room for.
    fn accept(&mut self) -> Result<(), IoError> {
        while self.all.len() < MOST {
            let socket = match net::try_accept(&self.listener) {
                Ok(socket) => socket,
                Err(IoError::WouldBlock) => return self.listen(true),
                // It has gone, or there are too many: then the others are served first.
                Err(IoError::NotFound | IoError::TooManySessions | IoError::OutOfMemory) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            Events::subscribe(&socket, self.next, READABLE)?;
            let client = Client {
                socket,
                connection: Connection::default(),
                interest: READABLE,
                heard: Instant::now(),
            };
            self.all.insert(self.next, client);
            self.next += 1;
        }
        self.listen(false)
    }

    fn listen(&mut self, on: bool) -> Result<(), IoError> {
        if self.listening != on {
            Events::subscribe(&self.listener, LISTENER, if on { READABLE } else { 0 })?;
            self.listening = on;
        }
        Ok(())
    }

    fn advance(&mut self, number: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        if let Some(client) = self.all.get_mut(&number) {
            match client.advance(number, &self.site, buffer) {
                Ok(true) => {}
                Err(error @ IoError::ServerDied { .. }) => return Err(error),
                Ok(false) | Err(_) => {
                    self.all.remove(&number);
                    self.listen(true)?;
                }
            }
        }
        Ok(())
    }

    fn drop_silent(&mut self) -> Result<(), IoError> {
        self.all
            .retain(|_, client| client.heard.elapsed() < SILENCE);
        // There may be room again.
        self.listen(self.all.len() < MOST)
    }
}

/// What goes wrong is for whoever has started it.
fn start() {
    if let Err(error) = run() {
        eprintln!("httpd: {error}");
        rt::exit(1);
    }
}

fn run() -> Result<(), String> {
    let (root, port) = arguments()?;
    loop {
        match serve(&root, port) {
            Ok(()) => {}
            // All connections went with the network server; the new one has none yet.
            Err(IoError::ServerDied { .. }) => {
                println!("httpd: the network server died");
                let _ = time::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(format!("port {port}: {error}")),
        }
    }
}

/// Serves for good.
fn serve(root: &str, port: u16) -> Result<(), IoError> {
    let listener = Handle::open(&format!("tcp:listen:{port}"))?;
    let mut clients = Clients {
        site: Site {
            root: root.into(),
            open: RefCell::default(),
        },
        listener,
        all: BTreeMap::new(),
        next: LISTENER + 1,
        listening: false,
    };
    clients.listen(true)?;
    println!("httpd: {root} at port {port}");
    let (mut events, mut buffer) = (Events::new(MOST + 1), vec![0; 4096]);
    let round = || Instant(Instant::now().0 + ticks(ROUND, rt::info().tsc_hz));
    let mut until = round();
    loop {
        for (number, _) in events.wait(Some(until))? {
            match number {
                LISTENER => clients.accept()?,
                number => clients.advance(number, &mut buffer)?,
            }
        }
        if Instant::now() >= until {
            clients.drop_silent()?;
            until = round();
        }
    }
}

/// Root and port.
fn arguments() -> Result<(String, u16), String> {
    let usage = || String::from("usage: [--port N] ROOT, such as file:/www");
    let mut options = Options::new(rt::info().args.iter().map(String::as_str));
    let (mut root, mut port) = (None, PORT);
    while let Some(argument) = options.next_arg().map_err(|_| usage())? {
        match argument {
            Arg::Long("port") => {
                let text = options.value().map_err(|_| usage())?;
                port = text
                    .parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or_else(usage)?;
            }
            Arg::Positional(name) if root.is_none() => root = Some(name.into()),
            _ => return Err(usage()),
        }
    }
    Ok((root.ok_or_else(usage)?, port))
}
