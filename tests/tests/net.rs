//! The network: addresses by DHCP, echoes, files fetched, and what goes wrong. All traffic stays on this machine's loopback:
//! QEMU's user network carries 10.0.2.2 to 127.0.0.1.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

use postern::image;
use postern::qemu::{self, Options};
use postern::run;
use postern::status::Status;
use sha2::{Digest, Sha256};
use tests::session::{PROMPT, Session};
use tests::web::free_port;
use tests::{LIMIT, default_system, execute, hex, probing, seat};

fn commands<S: ToString>(commands: &[S]) -> Options {
    Options {
        exec: commands.iter().map(S::to_string).collect(),
        ..Options::default()
    }
}

/// Bytes without a pattern that a mistake could hide in.
fn content(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|i| (i ^ i >> 7 ^ i >> 13) as u8)
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A web server of this test, one request a connection. `/N` is N bytes; `/chunks` comes in chunks, `/short` breaks off.
fn serve_on_host() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(&stream));
        }
    });
    port
}

fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    match first.split(' ').nth(1).unwrap_or_default() {
        "/chunks" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nHello \r\n7;x\r\nchunks\n\r\n0\r\n\r\n",
        ),
        "/short" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot a hundred"),
        "/garbage" => stream.write_all(&[0xff; 5000]),
        path => match path[1..].parse() {
            Ok(length) => {
                stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
                stream.write_all(&content(length))
            }
            Err(_) => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnone\n"),
        },
    }?;
    stream.shutdown(Shutdown::Write)
}

#[test]
fn an_address_echoes_and_files_from_the_host() {
    let (port, nobody) = (serve_on_host(), free_port());
    let url = |path: &str| format!("fetch http://10.0.2.2:{port}{path}");
    let outcome = execute(&commands(&[
        "ping 10.0.2.2 --count 2",
        "net",
        &url("/chunks"),
        &format!("{} --sha256", url("/1000000")),
        &url("/missing"),
        &url("/short"),
        &url("/garbage"),
        &format!("fetch http://10.0.2.2:{nobody}/"),
        &format!("fetch https://10.0.2.2:{port}/"),
        "fetch http://10.0.2.256/",
        "ping 10.0.2.256",
        "ping 10.0.2.77",
        "echo on",
    ]));
    let lines: Vec<&str> = outcome.output.lines().collect();
    assert_eq!(outcome.status, Status::CommandFailed);
    for (number, line) in lines[..2].iter().enumerate() {
        let begin = format!("10.0.2.2: echo {} in ", number + 1);
        assert!(line.starts_with(&begin) && line.ends_with(" ms"), "{line}");
    }
    assert_eq!(
        lines[2..7],
        [
            "device  52:54:00:12:34:56",
            "address 10.0.2.15/24 by DHCP",
            "gateway 10.0.2.2",
            "dns     10.0.2.3",
            "open    0 sessions, 0 TCP sockets"
        ]
    );
    assert!(lines[7].starts_with("frames  "));
    assert_eq!(
        lines[8..],
        [
            "Hello chunks",
            &format!(
                "{}  http://10.0.2.2:{port}/1000000",
                digest(&content(1_000_000))
            ),
            "none",
            &format!("fetch: http://10.0.2.2:{port}/missing: status 404 Not Found"),
            "not a hundredfetch: the connection ended before the answer did",
            "fetch: the answer is no HTTP: invalid HTTP version",
            &format!("fetch: 10.0.2.2:{nobody}: the other side refuses"),
            &format!(
                "fetch: https://10.0.2.2:{port}/: not a URL such as http://10.0.2.2:8000/file"
            ),
            "fetch: 10.0.2.256:80: no such name",
            "ping: 10.0.2.256: no such name",
            "10.0.2.77: no echo 1",
            "ping: 10.0.2.77: no answer",
            "on",
        ]
    );
}

#[test]
fn wrong_names_and_sizes_are_refused() {
    let outcome = execute(&commands(&[
        "read tcp:nonsense --size 1",
        "read tcp:10.0.2.2:0 --size 1",
        "read tcp:10.0.2.2:65536 --size 1",
        "read tcp:accepted:1 --size 1",
        "read tcp:listen:0 --size 1",
        "read udp:a..b:1 --size 1",
        "read net:0 --size 1",
        "write tcp:listen:80 --offset 0 text",
        "write udp:listen:80 --offset 0 text",
        "write net: --offset 0 text",
        "write udp:10.0.2.2:9 --offset 0 text",
    ]));
    assert_eq!(outcome.status, Status::CommandFailed);
    assert_eq!(
        outcome.output,
        "read: tcp:nonsense: no such name\n\
         read: tcp:10.0.2.2:0: no such name\n\
         read: tcp:10.0.2.2:65536: no such name\n\
         read: tcp:accepted:1: no such name\n\
         read: tcp:listen:0: no such name\n\
         read: udp:a..b:1: no such name\n\
         read: net:0: no such name\n\
         write: tcp:listen:80: bad request\n\
         write: udp:listen:80: bad request\n\
         write: net:: bad request\n\
         4 bytes written\n"
    );
}

#[test]
fn a_machine_without_a_network_device() {
    let _seat = seat();
    let mut system = default_system();
    let commands = [
        "net",
        "ping 10.0.2.2",
        "fetch http://10.0.2.2/",
        "read net: --size 1",
        "dmesg",
        "echo on",
    ];
    system
        .execute("7", &commands.map(String::from))
        .expect("it has a shell");
    let image = image::build(&system).expect("it builds");
    let mut archive = tempfile::NamedTempFile::new().expect("a temporary file");
    archive
        .write_all(&image.archive)
        .expect("it can be written");
    // This command line has no network: `run` adds it.
    let command = qemu::command(&Options::default(), &image.loader, archive.path());
    let machine = postern::machine::Machine::start(command.expect("a command line"));
    let options = Options {
        timeout: Some(LIMIT),
        ..Options::default()
    };
    let outcome = run::attend(&mut machine.expect("it starts"), &options, &mut |_| Ok(()));
    let log = outcome.expect("it ends").log;
    println!("{log}");
    for line in [
        "net: no such device",
        "ping: 10.0.2.2: no such device",
        "fetch: 10.0.2.2:80: no such device",
        "read: net:: no such device",
        "on",
    ] {
        assert!(log.lines().any(|found| found == line), "{line}");
    }
    assert!(log.contains("net: absent: the machine has no network device"));
}

#[test]
fn a_network_server_that_dies_in_the_middle() {
    let mut system = default_system();
    let servers = ["console", "names", "net"];
    let reader = probing("reader", 60, "blocked tcp:listen:7", &servers);
    system.manifest.programs.push(reader);
    let mut session = Session::boot(&Options::default(), &system);
    session.expect("blocked: reads tcp:listen:7\n");
    session.expect(PROMPT);
    session.send("kill net\r");
    session.expect(
        "blocked: tcp:listen:7: the server died during the request, which may have had an effect\n",
    );
    session.expect("blocked: reads tcp:listen:7\n");
    session.send("\r");
    session.expect(PROMPT);
    let echo = session.command("ping 10.0.2.2");
    assert!(echo.contains("10.0.2.2: echo 1 in "), "{echo}");
}

#[test]
fn a_malicious_client_is_refused_and_nobody_else_notices() {
    let port = serve_on_host();
    let mut system = default_system();
    let hostile = probing(
        "hostile",
        45,
        "hostile --count 5000 --seed 7",
        &["net", "console"],
    );
    system.manifest.programs.push(hostile);
    let mut session = Session::boot(&Options::default(), &system);
    session.expect(PROMPT);
    // Beside it at first, and after it.
    let good = format!(
        "{}  http://10.0.2.2:{port}/100000\n",
        digest(&content(100_000))
    );
    session.send(&format!("fetch http://10.0.2.2:{port}/100000 --sha256\r"));
    session.expect(&good);
    let text = session.expect("hostile: done\n");
    assert!(
        text.contains("hostile: net got 5000 messages and answered 0 stale sessions\n"),
        "{text}"
    );
    session.send("\r");
    session.expect(PROMPT);
    let fetched = session.command(&format!("fetch http://10.0.2.2:{port}/100000 --sha256"));
    assert_eq!(fetched, good);
    let status = session.command("net");
    assert!(status.contains("open    0 sessions"), "{status}");
    let programs = session.command("ps");
    assert!(
        programs
            .lines()
            .any(|line| line.contains(" net ") && !line.contains("ended")),
        "{programs}"
    );
}

#[test]
fn what_one_program_takes_another_still_gets() {
    let port = serve_on_host();
    let mut system = default_system();
    let names = ["tcp:10.0.2.2:9", "udp:10.0.2.2:9", "net:"];
    let arguments = format!("greedy --keep {}", names.join(" "));
    let servers = ["console", "names", "net"];
    for name in ["greedy", "other"] {
        let program = probing(name, 60, &arguments, &servers);
        system.manifest.programs.push(program);
    }
    let mut session = Session::boot(&Options::default(), &system);
    // Both have a ninth of the sockets, of whatever kind: as much as the shell and each of the six programs that it may start.
    let mut log = session.expect(": net: 1 times, then: out of memory\n");
    log += &session.expect(": net: 1 times, then: out of memory\n");
    for name in ["greedy", "other"] {
        for taken in ["tcp:10.0.2.2:9 21", "udp:10.0.2.2:9 3"] {
            let line = format!("{name}: {taken} times, then: out of memory\n");
            assert!(log.contains(&line), "{line} in {log}");
        }
    }
    session.send("\r");
    session.expect(PROMPT);
    let url = format!("http://10.0.2.2:{port}/1000000");
    let fetched = session.command(&format!("fetch {url} --sha256"));
    assert_eq!(fetched, format!("{}  {url}\n", digest(&content(1_000_000))));
    let echo = session.command("ping 10.0.2.2");
    assert!(echo.contains("10.0.2.2: echo 1 in "), "{echo}");
    // Frames were kept for both all the while: the server has memory enough.
    assert!(!session.command("dmesg").contains("program net"));
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}
