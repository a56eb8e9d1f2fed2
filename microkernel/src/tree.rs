//! The derivation tree: one list of all slots in preorder, each with its depth.
//!
//! The descendants of a slot are the run after it while the depth is greater than its own. So insertion, moving
//! and removal are a few link changes, and no walk is longer than the tree is deep.

use abi::Error;

use crate::slot::{Flags, SlotRef};

/// No slot lies deeper than this minus one.
pub const MAX_DEPTH: u8 = 32;

/// Links `new` as a child of `parent`.
pub fn insert_child(parent: SlotRef, new: SlotRef) -> Result<(), Error> {
    check_depth(parent)?;
    insert_after(parent, new, parent.depth() + 1);
    Ok(())
}

/// Whether `parent` may have children.
pub fn check_depth(parent: SlotRef) -> Result<(), Error> {
    if parent.depth() + 1 < MAX_DEPTH { Ok(()) } else { Err(Error::TooDeep) }
}

/// Links `new` as a root of its own, right after `position`.
pub fn insert_root(position: SlotRef, new: SlotRef) {
    // Only root's first capabilities: `position` has no descendants yet.
    insert_after(position, new, 0);
}

fn insert_after(position: SlotRef, new: SlotRef, depth: u8) {
    let next = position.next();
    new.set_depth(depth);
    new.set_previous(Some(position));
    new.set_next(next);
    position.set_next(Some(new));
    if let Some(next) = next {
        next.set_previous(Some(new));
    }
}

/// Moves the capability and its place in the tree to an empty slot; `from` becomes empty.
pub fn relink(from: SlotRef, to: SlotRef) {
    to.set(from.get());
    to.set_depth(from.depth());
    to.set_previous(from.previous());
    to.set_next(from.next());
    if let Some(previous) = from.previous() {
        previous.set_next(Some(to));
    }
    if let Some(next) = from.next() {
        next.set_previous(Some(to));
    }
    from.clear();
}

/// Takes a leaf out of the tree and empties it.
pub fn remove(leaf: SlotRef) {
    debug_assert!(!has_children(leaf));
    unlink(leaf);
    leaf.clear();
}

fn unlink(slot: SlotRef) {
    if let Some(previous) = slot.previous() {
        previous.set_next(slot.next());
    }
    if let Some(next) = slot.next() {
        next.set_previous(slot.previous());
    }
}

/// Something descends from it.
pub fn has_children(slot: SlotRef) -> bool {
    slot.next().is_some_and(|next| next.depth() > slot.depth())
}

/// A descendant without descendants of its own, at most [`MAX_DEPTH`] steps away.
pub fn leaf_below(slot: SlotRef) -> Option<SlotRef> {
    let mut leaf = slot;
    while let Some(next) = leaf.next().filter(|next| next.depth() > leaf.depth()) {
        leaf = next;
    }
    (leaf != slot).then_some(leaf)
}

/// Makes `node`, a leaf below `slot`, its elder sibling: the node of a dying table outlives the Untyped it came
/// from and then keeps the next one above it busy.
pub fn move_up(node: SlotRef, slot: SlotRef) {
    debug_assert!(node.flags().contains(Flags::DYING));
    unlink(node);
    let previous = slot.previous();
    node.set_depth(slot.depth());
    node.set_previous(previous);
    node.set_next(Some(slot));
    slot.set_previous(Some(node));
    if let Some(previous) = previous {
        previous.set_next(Some(node));
    }
}
