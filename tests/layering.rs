//! Data flows one way through the rooms of `src/`: a room imports only rooms
//! below it. The order is the one of `docs/architecture.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("state", &[]),
    ("tool", &[]),
    ("events", &["state"]),
    ("config", &["network", "seccomp"]),
    ("xenstore", &[]),
    ("libxl", &["xenstore"]),
    ("image", &["events", "state", "tool"]),
    ("kernel", &["state"]),
    ("network", &["events", "state", "tool"]),
    ("seccomp", &[]),
    ("share", &[]),
    ("volume", &["events", "state"]),
    ("guest", &[]),
    ("hotplug", &["state", "xenstore"]),
    (
        "container",
        &[
            "config", "events", "guest", "hotplug", "image", "kernel", "libxl", "network",
            "seccomp", "share", "state", "tool", "volume", "xenstore",
        ],
    ),
    (
        "vcontainer",
        &["config", "container", "image", "libxl", "network", "state", "tool", "xenstore"],
    ),
    ("oci", &["config", "container", "image", "network", "seccomp", "state", "tool"]),
    (
        "cli",
        &[
            "config",
            "container",
            "events",
            "hotplug",
            "image",
            "kernel",
            "libxl",
            "network",
            "oci",
            "seccomp",
            "state",
            "tool",
            "vcontainer",
            "volume",
            "xenstore",
        ],
    ),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The names that a file has after `crate::`, in `crate::{a, b::c}` too.
fn imports(text: &str) -> Vec<String> {
    let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let name = |text: &str| text.trim_start().chars().take_while(is_name).collect::<String>();
    let names = |rest: &str| match rest.strip_prefix('{') {
        // What is nested deeper names no room, so a comma is enough to part by.
        Some(list) => list.split('}').next().unwrap_or(list).split(',').map(name).collect(),
        None => vec![name(rest)],
    };
    text.split("crate::").skip(1).flat_map(names).collect()
}

#[test]
fn rooms_import_only_what_is_below_them() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut upward = Vec::new();
    let mut seen = 0;
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = room.trim_end_matches(".rs");
        if room == "lib" || room == "bin" {
            continue;
        }
        let below = allowed.get(room).unwrap_or_else(|| panic!("{room} is not in the list"));
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            seen += 1;
            let known = allowed.contains_key(import.as_str());
            if known && import != room && !below.contains(&import.as_str()) {
                upward.push(format!("{}: crate::{import}", inside.display()));
            }
        }
    }
    assert!(seen > 20, "only {seen} imports found: is the search broken?");
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

#[test]
fn what_is_not_about_domains_knows_no_xen() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for room in ["image", "kernel", "network", "seccomp", "share", "volume"] {
        let mut files = Vec::new();
        sources(&src.join(room), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for name in ["xen_sys", "xen_vchan"] {
                assert!(!text.contains(name), "{} names {name}", file.display());
            }
        }
    }
}
