//! Figures of other systems (`peers.toml`): constants of a named source, to be shown beside those of a run.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Another system.
#[derive(Debug, Clone, Deserialize)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Where and how it was measured.
    pub source: String,
    /// Medians on the instruction clock, by id.
    pub figures: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct File {
    peer: Vec<Peer>,
}

/// All of them.
///
/// # Errors
/// The file that was compiled in is damaged.
pub fn known() -> Result<Vec<Peer>> {
    let file: File = toml::from_str(include_str!("peers.toml")).context("peers.toml")?;
    Ok(file.peer)
}

#[cfg(test)]
mod tests {
    use super::super::ids;
    use super::*;

    #[test]
    fn peers_have_only_ids_that_exist() {
        for peer in known().expect("the file is sound") {
            assert!(!peer.source.is_empty());
            for id in peer.figures.keys() {
                assert!(ids::find(id).is_some(), "{} has `{id}`", peer.name);
            }
        }
    }
}
