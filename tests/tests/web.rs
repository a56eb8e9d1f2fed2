//! The web server, for curl, for many clients at once and for bad ones; and what happens when servers die. All traffic stays on
//! this machine's loopback, from a port that QEMU forwards to the guest.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use postern::system::System;
use postern::{install, paths};
use tests::LIMIT;
use tests::session::PROMPT;
use tests::web::Web;

/// Connections of the load, as many as its threads; and requests over all of them.
const CONNECTIONS: usize = 64;
const REQUESTS: usize = 20_000;

fn system() -> System {
    System::load("web").expect("it comes with Postern")
}

/// A connection to a web server, kept alive.
struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        // QEMU accepts for the guest, which then may or may not.
        let stream = TcpStream::connect(address).expect("QEMU accepts");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        Self {
            stream: BufReader::new(stream),
            address,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request, and returns the answer's status line and content.
    fn request(&mut self, head: &str) -> std::io::Result<(String, Vec<u8>)> {
        self.send(format!("{head}\r\nHost: {}\r\n\r\n", self.address).as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let (status, mut length) = (line.trim_end().to_string(), 0);
        while line != "\r\n" {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim_end().parse().expect("a number");
            }
        }
        let mut content = vec![0; length];
        self.stream.read_exact(&mut content)?;
        Ok((status, content))
    }
}

/// What `curl` prints, and what it tells about the connection.
fn curl(arguments: &[&str]) -> (Vec<u8>, String) {
    if paths::program("curl").is_none() {
        install::packages("curl", &["curl"]).expect("it can be installed");
    }
    let limit = LIMIT.as_secs().to_string();
    let output = Command::new("curl")
        .args([
            "--silent",
            "--verbose",
            "--noproxy",
            "*",
            "--max-time",
            &limit,
        ])
        .args(arguments)
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {told}");
    (output.stdout, told)
}

#[test]
fn a_web_server_for_everybody() {
    let mut web = Web::boot(&system());
    whole_and_in_parts(&web);
    bad_clients(web.address);
    load(web.address, &web.content);
    // All that was opened is closed again: the listener alone is left.
    let deadline = Instant::now() + LIMIT;
    while !web.session.command("net").contains("open    1 sessions") {
        assert!(Instant::now() < deadline, "sessions are left open");
    }
}

/// curl: whole, in parts, and several over one connection.
fn whole_and_in_parts(web: &Web) {
    let url = |path: &str| format!("http://{}{path}", web.address);
    let (whole, _) = curl(&[&url("/data")]);
    assert!(whole == web.content, "{} bytes", whole.len());
    let size = web.content.len();
    for (range, bytes) in [
        ("0-0", &web.content[..1]),
        ("1000-250000", &web.content[1000..250_001]),
        ("299000-", &web.content[299_000..]),
        ("-777", &web.content[size - 777..]),
    ] {
        let (part, told) = curl(&["--range", range, &url("/data")]);
        assert!(part == bytes, "{range}: {} bytes", part.len());
        assert!(told.contains("206 Partial Content"), "{told}");
    }
    let (both, told) = curl(&[&url("/data"), &url("/")]);
    assert!(both.starts_with(&web.content) && both.ends_with(b"microkernel.</p>\n"));
    assert!(told.contains("Re-using existing connection"), "{told}");
    let (head, _) = curl(&["--head", &url("/data")]);
    assert!(String::from_utf8_lossy(&head).contains(&format!("Content-Length: {size}\r\n")));
    assert!(curl(&[&url("/7")]).1.contains("404 Not Found"));
    assert!(
        curl(&["--path-as-is", &url("/../data")])
            .1
            .contains("400 Bad Request")
    );
    assert!(
        curl(&["--data", "x", &url("/data")])
            .1
            .contains("400 Bad Request"),
        "content is refused"
    );
}

/// Connections that the guest has taken. One after the other: QEMU's own queue of new ones holds a single one, and the host's
/// kernel resets those that find it full.
fn known(address: SocketAddr, count: usize) -> Vec<Client> {
    let one = |_| {
        let mut client = Client::connect(address);
        let (status, _) = client.request("GET / HTTP/1.1").expect("an answer");
        assert_eq!(status, "HTTP/1.1 200 OK");
        client
    };
    (0..count).map(one).collect()
}

/// Clients that say nonsense, half of something, or nothing; and go.
fn bad_clients(address: SocketAddr) {
    let silent = known(address, 40);
    let mut witness = known(address, 1);
    for text in [
        &b"\0\0\0\0"[..],
        b"GET",
        b"GET /data HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        &[b'a'; 20_000],
    ] {
        let mut client = Client::connect(address);
        let sent = client.send(text);
        let _ = client.stream.get_mut().shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        // It may be reset while it still sends; then there is no answer either.
        if sent.is_ok() && client.stream.read_to_end(&mut answer).is_ok() {
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
                "{text:?}"
            );
        }
    }
    // Bytes without any sense (xorshift64, Marsaglia 2003), some of them behind the beginning of a request.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..50 {
        let begin = [&b""[..], b"GET ", b"GET /data HTTP/1.1\r\n"][round % 3];
        let noise = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let noise: Vec<u8> = noise.take(1 + round * 20).flatten().collect();
        let mut client = Client::connect(address);
        // It may be reset before all is sent.
        let _ = client.send(&[begin, &noise].concat());
        let _ = client.stream.get_mut().shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = client.stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{round}"
        );
    }
    // Asks for all, reads a little, and goes.
    for _ in 0..10 {
        let mut client = Client::connect(address);
        client
            .send(b"GET /data HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("it listens");
        client.stream.read_exact(&mut [0; 100]).expect("it answers");
    }
    drop(silent);
    let (status, _) = witness[0]
        .request("GET / HTTP/1.1")
        .expect("it noticed nothing");
    assert_eq!(status, "HTTP/1.1 200 OK");
}

/// Many connections at once, each with one request after the other, as fast as the answers come.
fn load(address: SocketAddr, content: &[u8]) {
    let mut clients = known(address, CONNECTIONS);
    let each = REQUESTS.div_ceil(CONNECTIONS);
    let start = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                let requests = number * each..(number + 1) * each;
                scope.spawn(move || {
                    let times = requests.map(|request| one_request(content, client, request));
                    times.collect::<Vec<_>>()
                })
            })
            .collect();
        let results = threads
            .into_iter()
            .map(|thread| thread.join().expect("no answer is wrong"));
        results.flatten().collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    times.sort();
    let count = times.len();
    assert!(count >= REQUESTS);
    println!(
        "{count} requests over {CONNECTIONS} connections in {seconds:.1} s: {:.0} a second, median {:?}, longest {:?}",
        count as f64 / seconds,
        times[count / 2],
        times[count - 1]
    );
}

fn one_request(all: &[u8], client: &mut Client, number: usize) -> Duration {
    let start = Instant::now();
    // Every tenth is a large one.
    let large = number.is_multiple_of(10);
    let length = 1 + if large {
        number * 7 % 30_000
    } else {
        number * 13 % 600
    };
    let first = number * 4099 % (all.len() - length);
    let range = format!(
        "GET /data HTTP/1.1\r\nRange: bytes={first}-{}",
        first + length - 1
    );
    let (status, content) = client.request(&range).expect("an answer");
    assert_eq!(status, "HTTP/1.1 206 Partial Content");
    assert!(
        content == all[first..first + length],
        "request {number}: {first}, {length} bytes"
    );
    start.elapsed()
}

/// The beginning of `/data`, from a server that may just be starting: a connection that it does not take is tried again.
fn beginning(web: &Web) -> Vec<u8> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match Client::connect(web.address).request("GET /data HTTP/1.1\r\nRange: bytes=0-4") {
            Ok((_, content)) => return content,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

#[test]
fn servers_that_die() {
    let mut web = Web::boot(&system());
    // Half of an answer has come when the web server goes. The next one can listen again only if the network server has
    // closed what the dead one had open.
    let mut clients = known(web.address, 10);
    clients[0]
        .send(b"GET /data HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("it listens");
    clients[0]
        .stream
        .read_exact(&mut [0; 100])
        .expect("it answers");
    web.session.send("kill httpd\r");
    web.session.expect("at port 80\n");
    for mut client in clients {
        // Reset, or closed after what was on its way: either ends it. A read that times out does not.
        if let Err(error) = client.stream.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    assert_eq!(beginning(&web), web.content[..5]);
    // The web server outlives the network server.
    let mut client = known(web.address, 1);
    web.session.send("kill net\r");
    web.session.expect("httpd: the network server died\n");
    web.session.expect("at port 80\n");
    assert!(client[0].request("GET / HTTP/1.1").is_err());
    assert_eq!(beginning(&web), web.content[..5]);
}

#[test]
fn a_file_server_that_dies_while_somebody_reads_slowly() {
    // More than all buffers on the way hold: most of the file is still to be read when its server dies.
    let mut web = Web::serving(15 << 20, &system());
    let mut slow = Client::connect(web.address);
    let request = b"GET /data HTTP/1.1\r\nHost: x\r\n\r\n";
    slow.send(request).expect("it listens");
    let mut first = [0; 100];
    slow.stream.read_exact(&mut first).expect("it answers");
    web.session.send("\r");
    web.session.expect(PROMPT);
    assert_eq!(web.session.command("kill fs"), "");
    // The handle that the slow one's answer comes from breaks at the next look. Others get an answer all the same: the first
    // may still share that handle.
    let deadline = Instant::now() + LIMIT;
    let whole = loop {
        assert!(Instant::now() < deadline, "the broken handle is kept");
        match Client::connect(web.address).request("GET /data HTTP/1.1") {
            Ok((status, content)) if status.ends_with("200 OK") => break content,
            Ok((status, _)) => assert!(status.contains(" 503 "), "{status}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
        }
    };
    assert!(whole == web.content);
    let mut rest = Vec::new();
    let _ = slow.stream.read_to_end(&mut rest);
    assert!(
        rest.len() < web.content.len() / 2,
        "it was promised more: {}",
        rest.len()
    );
}
