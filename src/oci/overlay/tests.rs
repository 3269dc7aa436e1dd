use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const OPTIONS: &str = "rw,lowerdir=/s/l/A:/s/l/B,upperdir=/s/c/diff,workdir=/s/c/work,nodev";

fn line(at: &str, kind: &str, options: &str) -> String {
    format!("36 35 0:42 / {at} rw,relatime shared:1 - {kind} {kind} {options}\n")
}

#[test]
fn the_mount_on_top_counts() {
    let overlay = Overlay::of(OPTIONS).unwrap();
    assert_eq!(overlay.lower, [Path::new("/s/l/A"), Path::new("/s/l/B")]);
    assert_eq!(overlay.upper.as_deref(), Some(Path::new("/s/c/diff")));
    assert_eq!(overlay.others, ["rw", "nodev"]);
    let at = |mounts: &str| Overlay::at(Path::new("/m x"), mounts.as_bytes());
    let own = line("/m\\040x", "overlay", OPTIONS);
    assert_eq!(at(&format!("{}{own}", line("/", "ext4", "rw"))), Some(overlay));
    assert_eq!(at(&format!("{own}{}", line("/m\\040x", "tmpfs", "rw"))), None);
    assert_eq!(at(&own.replace("0:42 / ", "0:42 /sub ")), None, "a part of it");
    assert_eq!(at(&line("/other", "overlay", OPTIONS)), None);
}

#[test]
fn what_is_not_understood_has_no_name() {
    for options in [
        "lowerdir=l/A,upperdir=/u",
        "lowerdir=/a::/data,upperdir=/u",
        "lowerdir+=/a,datadir+=/b",
        "lowerdir=/a\\,b",
        "upperdir=/u",
    ] {
        assert_eq!(Overlay::of(options), None, "{options}");
    }
    let new = Overlay::of("lowerdir+=/a,lowerdir+=/b").unwrap();
    assert_eq!(new.lower, [Path::new("/a"), Path::new("/b")]);
}

/// An overlay of real directories, which need not be mounted to be named.
struct Store {
    dir: tempfile::TempDir,
}

impl Store {
    fn new() -> Store {
        let dir = tempfile::tempdir().unwrap();
        for name in ["A/etc", "B", "one/etc", "two/etc"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Store { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn name(&self, upper: &str) -> Option<Digest> {
        let lower = ["A", "B"].map(|name| self.path(name)).to_vec();
        Overlay { lower, upper: Some(self.path(upper)), others: Vec::new() }.name().unwrap()
    }
}

#[test]
fn the_same_content_has_the_same_name() {
    let store = Store::new();
    for upper in ["one", "two"] {
        symlink("/proc/mounts", store.path(upper).join("etc/mtab")).unwrap();
    }
    let name = store.name("one");
    if name.is_none() {
        eprintln!("SKIPPED: the file system of {:?} tells no birth times", store.dir.path());
        return;
    }
    assert_eq!(store.name("two"), name);
    let file = store.path("two/etc/f");
    fs::write(&file, "x").unwrap();
    let other = store.name("two");
    assert!(other.is_some() && other != name);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(store.name("two") != other, "another mode");
    fs::write(&file, vec![0; 100_000]).unwrap();
    assert_eq!(store.name("two"), None, "too much");
    (0..40).for_each(|n| fs::write(store.path("one").join(n.to_string()), "").unwrap());
    assert_eq!(store.name("one"), None, "too many");
}

#[test]
fn another_directory_at_a_path_is_another_one() {
    let store = Store::new();
    let fill = || (0..40).for_each(|n| fs::write(store.path("B").join(n.to_string()), "").unwrap());
    fill();
    let Some(name) = store.name("one") else { return };
    fs::remove_dir_all(store.path("B")).unwrap();
    fs::create_dir(store.path("B")).unwrap();
    fill();
    assert_ne!(store.name("one"), Some(name));
    // Engines mount by short names.
    symlink("B", store.path("l")).unwrap();
    let of = |lower: &str| {
        let lower = vec![store.path(lower)];
        Overlay { lower, upper: None, others: Vec::new() }.name().unwrap()
    };
    assert_eq!(of("B"), of("l"));
}

#[test]
fn a_lower_directory_with_little_in_it_is_told_by_that() {
    let store = Store::new();
    let of = |lower: &str| {
        let lower = vec![store.path(lower)];
        Overlay { lower, upper: None, others: Vec::new() }.name().unwrap().unwrap()
    };
    // docker's for each container: places for what it mounts.
    for init in ["one", "two"] {
        fs::write(store.path(init).join("etc/hosts"), "").unwrap();
    }
    assert_eq!(of("one"), of("two"));
    fs::write(store.path("two/etc/hosts"), "x").unwrap();
    assert_ne!(of("one"), of("two"));
    fs::set_permissions(store.path("B"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(store.path("C")).unwrap();
    assert_ne!(of("B"), of("C"), "another mode of the directory itself");
}
