//! Follows the links of built pages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

/// What links to something that is not there: page and link.
pub fn broken(out: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    read(out, &mut pages)?;
    let places: BTreeMap<&Path, BTreeSet<&str>> = pages
        .iter()
        .map(|(file, page)| (file.as_path(), attributes(page, " id=\"").collect()))
        .collect();
    let mut broken = Vec::new();
    for (file, page) in &pages {
        // The page for what is not there is shown in whatever folder that is.
        if file.ends_with("404.html") {
            continue;
        }
        for link in attributes(page, " href=\"").chain(attributes(page, " src=\"")) {
            if !leads(file, link, &places) {
                broken.push(format!("{}: {link}", file.strip_prefix(out)?.display()));
            }
        }
    }
    Ok(broken)
}

/// The HTML files of a folder.
fn read(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, pages)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let page = std::fs::read_to_string(&path);
            let page = page.with_context(|| format!("cannot read {}", path.display()))?;
            pages.insert(path, page);
        }
    }
    Ok(())
}

/// The values of an attribute.
fn attributes<'a>(page: &'a str, attribute: &'a str) -> impl Iterator<Item = &'a str> {
    let pieces = page.split(attribute).skip(1);
    pieces.filter_map(|piece| Some(piece.split_once('"')?.0))
}

/// Whether a link of a page leads somewhere. What is not in the book is not followed.
fn leads(page: &Path, link: &str, places: &BTreeMap<&Path, BTreeSet<&str>>) -> bool {
    if ["http:", "https:", "mailto:", "data:", "javascript:"]
        .iter()
        .any(|way| link.starts_with(way))
    {
        return true;
    }
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_path_buf(),
        _ => plain(&page.parent().unwrap_or(Path::new("")).join(file)),
    };
    match (target.exists(), place, places.get(target.as_path())) {
        (false, ..) => false,
        (true, "", _) => true,
        (true, place, known) => known.is_some_and(|known| known.contains(place)),
    }
}

/// Without `..`.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_are_found() {
        let folder = std::env::temp_dir().join(format!("postern-links-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("in")).expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).expect("it is written")
        };
        write(
            "a.html",
            "<a href=\"in/b.html#x\"></a><a href=\"#y\"></a><a href=\"c.html\"></a><a href=\"https://a/b\">",
        );
        write(
            "in/b.html",
            "<h1 id=\"x\"></h1><a href=\"../a.html\"></a><img src=\"no.svg\">",
        );
        let found = broken(&folder).expect("it can be read");
        std::fs::remove_dir_all(&folder).expect("it is removed");
        assert_eq!(found, ["a.html: #y", "a.html: c.html", "in/b.html: no.svg"]);
    }
}
