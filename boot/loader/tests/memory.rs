//! The memory map against a model that keeps one kind per page.

mod common;

use bootinfo::{MemoryKind, Range};
use common::map;
use loader::{Error, Map};
use proptest::prelude::*;

const PAGE: u64 = 4096;
/// Pages of the model, around the 1 MiB line.
const FIRST: u64 = 240;
const PAGES: u64 = 64;

type Piece = (u64, u64, MemoryKind);

fn kind() -> impl Strategy<Value = MemoryKind> {
    use MemoryKind::{Acpi, Loaded, Reserved, Usable};
    prop_oneof![4 => Just(Usable), 1 => Just(Loaded), 1 => Just(Acpi), 1 => Just(Reserved)]
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let start = FIRST * PAGE..(FIRST + PAGES) * PAGE;
    let size = prop_oneof![0u64..0x3000, 0..PAGES * PAGE];
    // Whole pages as often as odd addresses.
    let piece = (start, size, kind(), any::<bool>()).prop_map(|(start, size, kind, whole)| {
        let (start, size) = if whole {
            (start / PAGE * PAGE, size / PAGE * PAGE)
        } else {
            (start, size)
        };
        (start, size.min((FIRST + PAGES) * PAGE - start), kind)
    });
    proptest::collection::vec(piece, 0..10)
}

fn rank(kind: MemoryKind) -> usize {
    use MemoryKind::{Acpi, Loaded, Reserved, Usable};
    [Usable, Loaded, Acpi, Reserved]
        .iter()
        .position(|&each| each == kind)
        .expect("listed")
}

/// What each page should be.
fn model(pieces: &[Piece]) -> Vec<Option<MemoryKind>> {
    let page_kind = |page: u64| {
        let (from, to) = (page * PAGE, (page + 1) * PAGE);
        let touches = |&&(start, size, kind): &&Piece| match kind {
            MemoryKind::Usable => start <= from && to <= start + size,
            _ => size > 0 && start < to && from < start + size,
        };
        let kinds = pieces.iter().filter(touches).map(|piece| piece.2);
        kinds.max_by_key(|&kind| rank(kind))
    };
    (FIRST..FIRST + PAGES).map(page_kind).collect()
}

/// What each page is.
fn pages(map: &Map) -> Vec<Option<MemoryKind>> {
    let page_kind = |page: u64| {
        let mut inside = map
            .ranges()
            .iter()
            .filter(|range| (range.start..range.start + range.size).contains(&(page * PAGE)));
        let kind = inside.next().map(|range| range.kind);
        assert!(inside.next().is_none(), "ranges overlap");
        kind
    };
    (FIRST..FIRST + PAGES).map(page_kind).collect()
}

fn check_form(map: &Map) {
    for range in map.ranges() {
        assert!(range.size > 0 && range.start % PAGE == 0 && range.size % PAGE == 0);
    }
    for pair in map.ranges().windows(2) {
        let end = pair[0].start + pair[0].size;
        assert!(end <= pair[1].start, "not sorted, or overlapping");
        assert!(
            end < pair[1].start || pair[0].kind != pair[1].kind,
            "not merged"
        );
    }
}

proptest! {
    #[test]
    fn adding_agrees_with_the_model_in_any_order(pieces in pieces()) {
        let forward = map(&pieces);
        check_form(&forward);
        prop_assert_eq!(pages(&forward), model(&pieces));
        let backward: Vec<_> = pieces.iter().rev().copied().collect();
        prop_assert_eq!(forward, map(&backward));
    }

    #[test]
    fn taking_gives_the_lowest_free_memory_and_changes_nothing_else(
        pieces in pieces(), size in 1u64..20 * PAGE, limit in FIRST * PAGE..(FIRST + PAGES) * PAGE,
    ) {
        let mut map = map(&pieces);
        let before = pages(&map);
        let count = size.div_ceil(PAGE);
        let fits = |page: u64| {
            page >= 256
                && (page + count) * PAGE <= limit
                && (page..page + count).all(|page| {
                    before[(page - FIRST) as usize] == Some(MemoryKind::Usable)
                })
        };
        let expected = (FIRST..FIRST + PAGES - count + 1).find(|&page| fits(page));
        match map.take(size, limit, "a test") {
            Ok(start) => {
                prop_assert_eq!(Some(start / PAGE), expected);
                let mut after = before.clone();
                for page in start / PAGE..start / PAGE + count {
                    after[(page - FIRST) as usize] = Some(MemoryKind::Loaded);
                }
                prop_assert_eq!(pages(&map), after);
                check_form(&map);
            }
            Err(error) => {
                prop_assert_eq!(expected, None);
                prop_assert_eq!(error, Error::NotEnoughMemory { purpose: "a test", size });
                prop_assert_eq!(pages(&map), before);
            }
        }
    }

    #[test]
    fn no_range_is_too_strange(start: u64, size: u64, kind in kind(), take: u64, limit: u64) {
        let mut map = map(&[(0, 1 << 30, MemoryKind::Usable), (start, size, kind)]);
        check_form(&map);
        if map.take(take, limit, "a test").is_ok() {
            check_form(&map);
        }
    }
}

#[test]
fn a_map_that_is_too_long_is_refused_and_stays() {
    let mut map = Map::new();
    let page = |index: u64| Range {
        start: 2 * index * PAGE,
        size: PAGE,
    };
    for index in 0..64 {
        map.add(page(index), MemoryKind::Usable).expect("64 fit");
    }
    let before = map.clone();
    assert_eq!(
        map.add(page(64), MemoryKind::Usable),
        Err(Error::MapTooLong)
    );
    assert_eq!(map, before);
    // Closing a gap makes room.
    let gap = Range {
        start: PAGE,
        size: PAGE,
    };
    map.add(gap, MemoryKind::Usable).expect("it merges");
    assert_eq!(map.ranges().len(), 63);
}

#[test]
fn the_end_of_memory_ignores_what_firmware_keeps() {
    let map = map(&[
        (0, 1 << 20, MemoryKind::Usable),
        (2 << 20, PAGE, MemoryKind::Acpi),
        (4 << 20, PAGE, MemoryKind::Reserved),
    ]);
    assert_eq!(map.memory_end(), (2 << 20) + PAGE);
    assert_eq!(Map::new().memory_end(), 0);
}
