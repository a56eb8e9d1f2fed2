//! Capabilities: a server thread gives a client one with a badge, the client passes it on, and revoking ends them all.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use abi::Error;
use libsys::cap::{Cap, Endpoint, Grant};
use libsys::println;
use libsys::thread::scope;

libsys::entry!(start);

fn start() -> Result<(), &'static str> {
    show().map_err(|_| "the kernel refused")
}

fn show() -> Result<(), Error> {
    let server = Cap::endpoint()?;
    let client = server.mint(7)?;
    let gift = server.mint(8)?;
    scope(|scope| {
        let thread = scope.spawn(|| {
            let (call, given) = server.receive::<Endpoint>()?;
            println!(
                "badge {} calls, and gives a capability: {}",
                call.badge,
                given.is_some()
            );
            server.reply(0, [42, 0, 0, 0]);
            Ok::<_, Error>(given)
        })?;
        let answer = client.call(0, [0; 4], Grant::give(gift)).check()?;
        println!("the answer is {}", answer.words[0]);
        let given = thread.join()?;
        server.revoke()?;
        let call = |cap: &Cap<Endpoint>| cap.call(0, [0; 4], Grant::copy(&server)).check().err();
        println!("after revoke: {:?}", call(&client));
        println!(
            "and what was given away: {:?}",
            given.as_ref().and_then(call)
        );
        Ok(())
    })
}
