//! A capability that travels with a message.

use abi::{Kind, tag::Transfer};

use crate::{
    captable,
    slot::{Flags, SlotRef},
    thread::ThreadRef,
    tree,
};

/// Passes the capability the sender named to the slot the receiver named. If either is not there (any more), or it
/// cannot be copied, nothing is passed: the message arrives all the same.
#[inline(never)]
pub fn pass(sender: ThreadRef, receiver: ThreadRef) -> bool {
    let offer = Transfer::from_bits(sender.transfer.get());
    let wish = Transfer::from_bits(receiver.transfer.get());
    if offer.pass == 0 || wish.receive == 0 {
        return false;
    }
    let (Ok(from), Ok(to)) = (sender.slot(offer.pass as u64), receiver.slot(wish.receive as u64))
    else {
        return false;
    };
    if from == to || !passable(from) || !to.is_empty() {
        return false;
    }
    if offer.move_it {
        tree::relink(from, to);
        true
    } else {
        captable::derive(from, to, from.rights(), 0).is_ok()
    }
}

/// Whether a slot holds something that could be passed.
pub fn passable(slot: SlotRef) -> bool {
    slot.kind() != Kind::Empty && !slot.flags().contains(Flags::DYING)
}
