//! Every relative link leads somewhere, and every page is led to.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use spillway_docs::{Page, anchors, pages, root};

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// The file that a link leads to, from the root, and the heading there.
fn led_to(page: &Page, target: &str) -> Option<(PathBuf, Option<String>)> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) =
        target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading.to_owned())));
    let here = Path::new(&page.name);
    let path = if file.is_empty() { here.to_owned() } else { here.parent().unwrap_or(here).join(file) };
    Some((plain(&path), heading))
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for page in &pages {
        for link in &page.links {
            let Some((path, heading)) = led_to(page, &link.target) else { continue };
            looked_at += 1;
            let place = format!("{}:{}: {}", page.name, link.line, link.target);
            if !root().join(&path).exists() {
                wrong.push(format!("{place}: nothing is there"));
            }
            let Some(heading) = heading else { continue };
            let other = pages.iter().find(|page| Path::new(&page.name) == path);
            if !other.is_some_and(|page| anchors(&page.text).contains(&heading)) {
                wrong.push(format!("{place}: there is no such heading"));
            }
        }
    }
    assert!(looked_at > 100, "{looked_at} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// From the front page every page can be reached.
#[test]
fn every_page_is_led_to() {
    let pages = pages();
    let mut reached = BTreeSet::new();
    let mut next = vec![PathBuf::from("README.md")];
    while let Some(path) = next.pop() {
        let Some(page) = pages.iter().find(|page| Path::new(&page.name) == path) else { continue };
        if reached.insert(page.name.clone()) {
            let targets = page.links.iter().filter_map(|link| led_to(page, &link.target)).map(|(path, _)| path);
            next.extend(targets.flat_map(|path| [path.join("README.md"), path]));
        }
    }
    let lost: Vec<&String> = pages.iter().map(|page| &page.name).filter(|name| !reached.contains(*name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
