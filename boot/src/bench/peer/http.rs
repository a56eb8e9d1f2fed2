//! A web server with one file, of both systems, and a client on the host: requests a second, and bytes a second.

use std::any::Any;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use super::expect;
use super::script::Script;
use crate::network;
use crate::paths;
use crate::qemu::Options;
use crate::run;
use crate::system::System;

/// Bytes of the file that is served.
const SIZE: usize = 4 << 20;
/// Bytes of it that a small request asks for.
const PART: usize = 512;
/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Something to measure.
pub struct Figure {
    /// Its name.
    pub id: &'static str,
    /// What one is.
    pub unit: &'static str,
    /// The first bytes of the file are asked for, or all of them.
    bytes: usize,
    /// Requests of a round, each over a connection of its own.
    requests: usize,
    /// A round's figure is its requests a second times this.
    factor: f64,
}

/// All of them.
pub const FIGURES: [Figure; 2] = [
    Figure {
        id: "http.requests",
        unit: "requests of 512 bytes a second, a connection each",
        bytes: PART,
        requests: 200,
        factor: 1.0,
    },
    Figure {
        id: "http.bulk",
        unit: "MiB a second, in answers of 4 MiB",
        bytes: SIZE,
        requests: 4,
        factor: 4.0,
    },
];

impl Figure {
    /// The median of several rounds.
    ///
    /// # Errors
    /// An answer is wrong, or does not come.
    pub fn measure(&self, server: &Served, quick: bool) -> Result<f64> {
        self.round(server)?;
        let mut rounds = Vec::new();
        for _ in 0..if quick { 1 } else { 5 } {
            rounds.push(self.round(server)?);
        }
        rounds.sort_by(f64::total_cmp);
        Ok(rounds[rounds.len() / 2] * self.factor)
    }

    /// Requests a second of one round.
    fn round(&self, server: &Served) -> Result<f64> {
        let start = Instant::now();
        for _ in 0..self.requests {
            let content = get(server.address, self.bytes).context("a request failed")?;
            ensure!(
                content == server.content[..self.bytes],
                "an answer is wrong"
            );
        }
        Ok(self.requests as f64 / start.elapsed().as_secs_f64())
    }
}

/// The first bytes of the file. The server closes the connection.
fn get(address: SocketAddr, bytes: usize) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let last = bytes - 1;
    let head = format!(
        "GET /0 HTTP/1.1\r\nHost: peer\r\nRange: bytes=0-{last}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::with_capacity(bytes + 1024);
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let content = answer.split_off(end.context("it is no HTTP")? + 4);
    let status = String::from_utf8_lossy(&answer)
        .lines()
        .next()
        .unwrap_or_default()
        .to_string();
    ensure!(
        content.len() == bytes,
        "{} bytes instead of {bytes}: {status}",
        content.len()
    );
    Ok(content)
}

/// A system that serves the file.
pub struct Served {
    address: SocketAddr,
    content: Vec<u8>,
    /// The machine and its files, which end with this.
    _machine: Box<dyn Any>,
}

impl Served {
    /// `httpd` of the system `web`; the file is its disk.
    ///
    /// # Errors
    /// It does not start.
    pub fn postern() -> Result<Served> {
        let content = content();
        let disk = NamedTempFile::new_in(paths::state()?).context("cannot make a disk")?;
        std::fs::write(disk.path(), &content)?;
        let (address, mut options) = options()?;
        options.disks.push(disk.path().into());
        let mut system = System::load("web")?;
        let server = system
            .program("httpd")
            .context("the system has no `httpd`")?;
        server.args = vec!["disk:".into()];
        server.needs.push("disk".into());
        let booted = run::boot(&options, &system)?;
        expect(&booted.machine, "at port 80").context("Postern does not boot")?;
        Ok(Served {
            address,
            content,
            _machine: Box::new((booted, disk)),
        })
    }

    /// busybox' `httpd` on Linux; the file is in its memory.
    ///
    /// # Errors
    /// As [`Script::new`] and [`Script::boot`].
    pub fn linux() -> Result<Served> {
        let content = content();
        let (address, options) = options()?;
        let mut linux = Script::new()?;
        linux.module("virtio_pci")?;
        linux.module("virtio_net")?;
        linux.file("www/0", &content);
        linux.command("ifconfig lo 127.0.0.1 up");
        linux.command("ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up");
        linux.command("route add default gw 10.0.2.2");
        linux.command("httpd -p 80 -h /www");
        let network = network::arguments(&options.forward, &System::load("web")?.manifest)?;
        let running = linux.boot(&options, &network)?;
        Ok(Served {
            address,
            content,
            _machine: Box::new(running),
        })
    }
}

/// A machine with a port of this host that leads to its port 80.
fn options() -> Result<(SocketAddr, Options)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    let address = listener.local_addr()?;
    let options = Options {
        forward: vec![(address.port(), 80)],
        ..Options::default()
    };
    Ok((address, options))
}

/// Bytes without a pattern that a mistake could hide in.
fn content() -> Vec<u8> {
    (0..SIZE as u32)
        .map(|i| (i ^ i >> 7 ^ i >> 13) as u8)
        .collect()
}
