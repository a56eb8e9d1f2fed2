//! Capabilities that travel with messages.

use crate::lab::{ENDPOINT, HIGH, Lab};
use crate::outcome::Outcome;
use crate::{check, refused, same};
use abi::object::{captable, endpoint};
use abi::tag::{Flags, Transfer};
use abi::{Error, Kind};
use libsys::lease::Lease;
use libsys::object::OWN_TABLE;
use libsys::syscall::{self, Answer, Output, Slot};

fn offer(pass: Slot, move_it: bool) -> Transfer {
    Transfer {
        pass: pass.0,
        move_it,
        receive: 0,
    }
}

fn send(endpoint: Slot, transfer: Transfer) -> Output {
    syscall::call_transferring(endpoint, 0, [0; 4], Lease::NONE, transfer)
}

fn arrived(output: &Output) -> bool {
    output.tag.flags().contains(Flags::CAP_ARRIVED)
}

/// By call: a copy is a child of the sender's; a moved one is gone from there.
pub fn with_a_call(lab: &mut Lab) -> Outcome {
    let (endpoint, gift) = (lab.endpoint()?, lab.endpoint()?);
    let badged = lab.copy(gift, endpoint::CALL, 9)?;
    let receive = lab.slot();
    for move_it in [false, true] {
        let helper = lab.spawn(HIGH, move || {
            send(endpoint, offer(badged, move_it));
        })?;
        let m = syscall::recv_transferring(endpoint, receive).check()?;
        check!(arrived(&m));
        let identity = OWN_TABLE.identify(receive, gift)?;
        same!((identity.rights, identity.badge), (endpoint::CALL, Some(9)));
        same!(OWN_TABLE.identify(badged, gift).is_err(), move_it);
        syscall::reply(Answer::new(0, [0; 4]));
        lab.join(helper)?;
        if !move_it {
            OWN_TABLE.revoke(badged)?;
            refused!(OWN_TABLE.identify(receive, gift), NoCapability);
        }
    }
    OWN_TABLE.revoke(gift)?;
    refused!(OWN_TABLE.identify(receive, gift), NoCapability);
    Ok(())
}

/// By reply, also to a parked caller.
pub fn with_a_reply(lab: &mut Lab) -> Outcome {
    let (endpoint, gift) = (lab.endpoint()?, lab.endpoint()?);
    let (reply, receive) = (lab.reply()?, lab.slot());
    for (park, move_it) in [(false, false), (true, false), (false, true)] {
        let source = lab.copy(gift, ENDPOINT, 0)?;
        lab.spawn(HIGH, move || {
            let mut m = syscall::recv(endpoint);
            let answer = Answer {
                transfer: offer(source, move_it),
                ..Answer::new(5, m.words)
            };
            if park {
                let _ = reply.defer();
                m = syscall::reply_via(reply.0, answer);
            } else {
                m = syscall::reply(answer);
            }
            let _ = m;
        })?;
        let transfer = Transfer {
            receive: receive.0,
            ..Transfer::default()
        };
        let m = send(endpoint, transfer).check()?;
        check!(arrived(&m));
        same!(m.tag.label(), 5);
        same!(OWN_TABLE.identify(receive, Slot(0))?.rights, ENDPOINT);
        same!(OWN_TABLE.identify(source, Slot(0)).is_err(), move_it);
        OWN_TABLE.delete(receive)?;
    }
    Ok(())
}

/// Passing through a call needs GRANT; what is not there cannot be passed.
pub fn refusals(lab: &mut Lab) -> Outcome {
    let (endpoint, empty) = (lab.endpoint()?, lab.slot());
    let ungranted = lab.copy(endpoint, endpoint::CALL, 0)?;
    refused!(
        send(ungranted, offer(endpoint, false)).check(),
        MissingRight
    );
    refused!(send(endpoint, offer(empty, false)).check(), NoCapability);
    refused!(send(endpoint, offer(Slot(256), true)).check(), NoCapability);
    refused!(
        send(endpoint, offer(Slot(0x7fff_ffff), true)).check(),
        NoCapability
    );
    let helper = lab.spawn(HIGH, move || {
        send(endpoint, Transfer::default());
    })?;
    syscall::recv(endpoint).check()?;
    let answer = Answer {
        transfer: offer(empty, true),
        ..Answer::new(0, [0; 4])
    };
    refused!(syscall::reply(answer).check(), NoCapability);
    // Refused, so nothing happened: it still waits.
    refused!(syscall::recv(endpoint).check(), OwesReply);
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    lab.join(helper)
}

/// Without a free slot at the receiver the message arrives without the capability, which stays where it was.
pub fn nowhere_to_go(lab: &mut Lab) -> Outcome {
    let (endpoint, gift) = (lab.endpoint()?, lab.endpoint()?);
    let untyped = lab.make(Kind::Untyped, 12)?;
    for (given, receive) in [
        (gift, Slot(0)),
        (gift, gift),
        (gift, Slot(4096)),
        (untyped, Slot(0)),
        // Not derivable: it can only be moved.
        (untyped, lab.slot()),
    ] {
        let helper = lab.spawn(HIGH, move || {
            send(endpoint, offer(given, false));
        })?;
        let m = syscall::recv_transferring(endpoint, receive).check()?;
        check!(!arrived(&m));
        OWN_TABLE.identify(given, Slot(0))?;
        syscall::reply(Answer::new(0, [0; 4]));
        lab.join(helper)?;
    }
    let receive = lab.slot();
    lab.spawn(HIGH, move || {
        send(endpoint, offer(untyped, true));
    })?;
    check!(arrived(
        &syscall::recv_transferring(endpoint, receive).check()?
    ));
    same!(OWN_TABLE.identify(receive, Slot(0))?.kind, Kind::Untyped);
    Ok(())
}

/// What was revoked between the call and its delivery is not passed.
pub fn revoked_on_the_way(lab: &mut Lab) -> Outcome {
    let (endpoint, gift) = (lab.endpoint()?, lab.endpoint()?);
    let copy = lab.copy(gift, ENDPOINT, 0)?;
    let receive = lab.slot();
    lab.spawn(HIGH, move || {
        send(endpoint, offer(copy, false));
    })?;
    OWN_TABLE.revoke(gift)?;
    check!(!arrived(
        &syscall::recv_transferring(endpoint, receive).check()?
    ));
    same!(
        OWN_TABLE.identify(receive, Slot(0)).err(),
        Some(Error::NoCapability)
    );
    Ok(())
}

/// Between programs: the receiver's table gets it, and can use it.
pub fn to_another_program(lab: &mut Lab) -> Outcome {
    let (endpoint, gift) = (lab.endpoint()?, lab.endpoint()?);
    extern "C" fn takes(_: u64) -> ! {
        syscall::recv_transferring(Slot(1), Slot(2));
        syscall::reply(Answer::new(0, [0; 4]));
        syscall::call(Slot(2), 42, [0; 4]);
        crate::raw::stop()
    }
    let process = lab.process(takes, 0, HIGH, &[(endpoint, endpoint::RECV, 0)], Slot(0))?;
    send(endpoint, offer(gift, false)).check()?;
    same!(syscall::recv(gift).check()?.tag.label(), 42);
    same!(process.table.identify(Slot(2), gift)?.rights, ENDPOINT);
    let inspect = lab.copy(process.table.0, captable::INSPECT, 0)?;
    refused!(
        libsys::object::CapTable(inspect).delete(Slot(2)),
        MissingRight
    );
    Ok(())
}
