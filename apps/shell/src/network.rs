//! `ping`, `fetch` and `net`.

use crate::storage::hex;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::net::Ipv4Addr;
use core::time::Duration;
use libsys::handle::{Handle, IoError};
use libsys::net::{self, Source};
use libsys::{print, println, time};
use sha2::{Digest, Sha256};
use shell::arguments::{self, Fetch, Ping};
use shell::http::{Body, Response, Url};

/// How long an echo may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two echo requests.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes per message.
const PIECE: usize = 16 << 10;
/// Longest head of a response in bytes.
const HEAD: usize = 16 << 10;

/// Asks a host for an echo, again and again.
pub fn ping(words: &[String]) -> Result<(), String> {
    let Ping { host, count } = Ping::parse(words)?;
    let mut answers = 0;
    for number in 1..=count {
        match net::ping(host, PATIENCE) {
            Ok((duration, address)) => {
                answers += 1;
                let micros = duration.as_micros();
                println!(
                    "{}: echo {number} in {}.{:03} ms",
                    Ipv4Addr::from(address),
                    micros / 1000,
                    micros % 1000
                );
            }
            Err(IoError::TimedOut) => println!("{host}: no echo {number}"),
            Err(error) => return Err(format!("{host}: {error}")),
        }
        if number < count {
            time::sleep(INTERVAL).map_err(|error| format!("timer: {error}"))?;
        }
    }
    match answers {
        0 => Err(format!("{host}: no answer")),
        _ => Ok(()),
    }
}

/// Shows how the network is configured.
pub fn status(words: &[String]) -> Result<(), String> {
    arguments::none(words)?;
    let status = net::status().map_err(|error| format!("{error}"))?;
    let source = match status.source {
        Source::Nowhere => "no address yet",
        Source::Dhcp => "by DHCP",
        Source::Arguments => "by its arguments",
    };
    let [a, b, c, d, e, f] = status.mac;
    println!("device  {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    match status.address {
        Some((address, prefix)) => {
            println!("address {}/{prefix} {source}", Ipv4Addr::from(address))
        }
        None => println!("address {source}"),
    }
    if let Some(gateway) = status.gateway {
        println!("gateway {}", Ipv4Addr::from(gateway));
    }
    for server in status.dns {
        println!("dns     {}", Ipv4Addr::from(server));
    }
    println!(
        "open    {} sessions, {} TCP sockets",
        status.sessions.0, status.sessions.1
    );
    println!(
        "frames  {} received, {} sent",
        status.frames.0, status.frames.1
    );
    Ok(())
}

/// Shows what an HTTP server has at a URL, or its digest.
pub fn fetch(words: &[String]) -> Result<(), String> {
    let Fetch { url, sha256 } = Fetch::parse(words)?;
    let url = Url::parse(url)?;
    let named = |error: IoError| format!("{}: {error}", url.authority());
    let connection = Handle::open(&format!("tcp:{}:{}", url.host, url.port)).map_err(named)?;
    let request = url.request();
    let mut rest = request.as_bytes();
    while !rest.is_empty() {
        rest = &rest[connection.write(rest).map_err(named)?..];
    }
    let mut buffer = vec![0; PIECE];
    let mut head = vec![];
    let (response, length) = loop {
        if let Some(found) = Response::parse(&head)? {
            break found;
        }
        let count = connection.read(&mut buffer).map_err(named)?;
        if count == 0 || head.len() > HEAD {
            return Err(format!("{}: the answer is no HTTP", url.authority()));
        }
        head.extend_from_slice(&buffer[..count]);
    };
    let mut digest = Sha256::new();
    let mut body = Body::new(&response);
    let mut part = head.split_off(length);
    loop {
        body.feed(&part, |bytes| match sha256 {
            true => digest.update(bytes),
            false => print::write(bytes),
        })?;
        if body.is_complete() {
            break;
        }
        let count = connection.read(&mut buffer).map_err(named)?;
        if count == 0 {
            body.end()?;
            break;
        }
        part.clear();
        part.extend_from_slice(&buffer[..count]);
    }
    if sha256 {
        println!("{}  {}", hex(&digest.finalize()), url.text);
    } else if !body.ends_line() {
        println!();
    }
    match response.status {
        200..=299 => Ok(()),
        status => Err(format!("{}: status {status} {}", url.text, response.reason)),
    }
}
