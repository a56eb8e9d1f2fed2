//! Other systems beside ours: constants of a named source (`peers.toml`), and what was measured in the same run.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::results::{Other, Results};

/// Another system.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Where and how it was measured.
    pub source: String,
    /// Of this run, and no constants.
    pub measured: bool,
    /// Medians on one clock with ours.
    pub figures: Vec<Figure>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Its name, which may be one of the peer's own.
    pub id: String,
    /// The median.
    pub median: u64,
    /// Our rows that do the same job.
    pub beside: Vec<String>,
}

/// `peers.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    peer: Vec<Entry>,
}

/// A peer in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    source: String,
    figures: BTreeMap<String, u64>,
    /// Our rows beside those that have no row of the same name.
    #[serde(default)]
    beside: BTreeMap<String, Vec<String>>,
}

impl From<Entry> for Peer {
    fn from(mut entry: Entry) -> Peer {
        let figures = entry.figures.into_iter().map(|(id, median)| Figure {
            beside: entry.beside.remove(&id).unwrap_or_else(|| vec![id.clone()]),
            id,
            median,
        });
        Peer {
            figures: figures.collect(),
            name: entry.name,
            source: entry.source,
            measured: false,
        }
    }
}

impl From<&Other> for Peer {
    fn from(other: &Other) -> Peer {
        let figures = other.results.iter().map(|row| Figure {
            id: row.id.clone(),
            median: row.summary.median,
            beside: row.beside.iter().map(|beside| beside.id.clone()).collect(),
        });
        Peer {
            name: other.name.clone(),
            source: other.source.clone(),
            measured: true,
            figures: figures.collect(),
        }
    }
}

impl Peer {
    /// Its least figure beside our row: it may have several ways to do the job. As text: a constant is in parentheses.
    pub fn beside(&self, id: &str, written: impl Fn(u64) -> String) -> Option<String> {
        let same = |figure: &&Figure| figure.beside.iter().any(|row| row == id);
        let least = self.figures.iter().filter(same).map(|figure| figure.median);
        let text = written(least.min()?);
        Some(match self.measured {
            true => text,
            false => format!("({text})"),
        })
    }

    /// Where its figures come from, in a sentence.
    pub fn origin(&self) -> String {
        match self.measured {
            true => format!("{}, measured in this run: {}.", self.name, self.source),
            false => format!(
                "{}, in parentheses because it is no part of this run: {}.",
                self.name, self.source
            ),
        }
    }
}

/// The constants.
///
/// # Errors
/// The file that was compiled in is damaged.
pub fn known() -> Result<Vec<Peer>> {
    parse(include_str!("peers.toml")).context("peers.toml")
}

fn parse(text: &str) -> Result<Vec<Peer>> {
    let file: File = toml::from_str(text)?;
    Ok(file.peer.into_iter().map(Peer::from).collect())
}

/// What was measured beside these results, and the constants of other systems.
///
/// # Errors
/// As [`known`].
pub fn of(results: &Results) -> Result<Vec<Peer>> {
    let mut peers: Vec<Peer> = results.others.iter().map(Peer::from).collect();
    let constants = known()?.into_iter();
    let constants: Vec<Peer> = constants
        .filter(|known| peers.iter().all(|peer| peer.name != known.name))
        .collect();
    peers.extend(constants);
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::super::ids;
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn constants_stand_beside_ids_that_exist() {
        for peer in known().expect("the file is sound") {
            assert!(!peer.source.is_empty());
            for id in peer.figures.iter().flat_map(|figure| &figure.beside) {
                assert!(ids::find(id).is_some(), "{} has `{id}`", peer.name);
            }
        }
    }

    #[test]
    fn of_several_ways_the_cheapest_stands_beside_ours() {
        let text = "[[peer]]\nname = 'X'\nsource = 'y'\n[peer.figures]\n'a' = 1\n'pipe' = 9\n'queue' = 7\n\
            [peer.beside]\n'pipe' = ['b', 'c']\n'queue' = ['b']\n";
        let mut peer = parse(text).expect("it is sound").remove(0);
        let beside = |peer: &Peer, id| peer.beside(id, |figure| figure.to_string());
        assert_eq!(beside(&peer, "a").as_deref(), Some("(1)"));
        assert_eq!(beside(&peer, "b").as_deref(), Some("(7)"));
        assert_eq!(beside(&peer, "c").as_deref(), Some("(9)"));
        assert_eq!(beside(&peer, "pipe"), None);
        peer.measured = true;
        assert_eq!(beside(&peer, "b").as_deref(), Some("7"));
        for bad in [
            "[[peer]]\nname = 'X'\n",
            "[[peer]]\nname = 'X'\nsource = 'y'\nfigures = {}\nfigure = 1\n",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_measured_takes_the_place_of_constants() {
        let mut rows = results([("ipc.roundtrip.cross.0", 100)]);
        let names = |rows: &_| -> Vec<(String, bool)> {
            let peers = of(rows).expect("the file is sound").into_iter();
            peers.map(|peer| (peer.name, peer.measured)).collect()
        };
        let constants = names(&rows);
        assert!(constants.iter().all(|(_, measured)| !measured));
        let row = rows.results[0].clone();
        rows.other("seL4", "here").results.push(row);
        let both = names(&rows);
        assert_eq!(both[0], ("seL4".into(), true));
        assert_eq!(both.len(), constants.len());
    }
}
