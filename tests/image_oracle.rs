//! Root disks against what other programs make of the same layers: umoci, and
//! skopeo with GNU tar. Needs squashfs-tools, umoci, skopeo, buildah, tar, python3.

#[path = "images/engines.rs"]
mod engines;
mod images;
#[path = "images/oracle.rs"]
mod oracle;

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use engines::Buildah;
use images::{Layout, Packing, arch, options, store};
use oracle::{Eyes, same, without_directory_times};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use tar::{Builder, EntryType, Header};
use vxn::image::Reference;

/// What a layer does to a name.
#[derive(Debug, Clone)]
enum Op {
    File {
        data: u8,
        xattr: bool,
    },
    Directory,
    Symlink(&'static str),
    /// To one of the files that can be linked.
    HardLink(Index),
    Fifo,
    Device,
    Whiteout,
    Opaque,
}

#[derive(Debug, Clone)]
struct Step {
    name: &'static str,
    op: Op,
    mode: u32,
    owner: u64,
    time: u64,
}

/// Few, so that layers meet.
const NAMES: [&str; 14] =
    ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/b", "f", "f/a", "f/g", "f/g/a", "ü ö"];

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        4 => (any::<u8>(), any::<bool>()).prop_map(|(data, xattr)| Op::File { data, xattr }),
        3 => Just(Op::Directory),
        1 => select(&["a", "../x", "/abs/olute", "nowhere"][..]).prop_map(Op::Symlink),
        2 => any::<Index>().prop_map(Op::HardLink),
        1 => Just(Op::Fifo),
        1 => Just(Op::Device),
        2 => Just(Op::Whiteout),
        1 => Just(Op::Opaque),
    ];
    let mode = select(&[0o644, 0o755, 0o4755, 0o2711, 0o1777, 0o600][..]);
    let owner = select(&[0, 1, 1000, 70_000][..]);
    (select(&NAMES[..]), op, mode, owner, 1_000_000..1_700_000_000_u64)
        .prop_map(|(name, op, mode, owner, time)| Step { name, op, mode, owner, time })
}

/// Writes one layer. `lower` is the tree below it as GNU tar has laid it: hard
/// links go to what is there, and directories that are not there are made.
struct Writer<'a> {
    tar: Builder<Vec<u8>>,
    lower: &'a Path,
    /// Names of this layer, and whether each is a directory.
    here: Vec<(String, bool)>,
    hidden: Vec<String>,
}

impl Writer<'_> {
    fn header(step: &Step, kind: EntryType) -> Header {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        // GNU tar does not clear the bit that a directory has from the one above it.
        let dropped = if kind == EntryType::Directory { 0o2000 } else { 0 };
        header.set_mode(step.mode & !dropped);
        header.set_uid(step.owner);
        header.set_gid(step.owner / 2);
        header.set_mtime(step.time);
        header.set_size(0);
        header
    }

    /// Whether the name can be used as it is: nothing of this layer stands on or
    /// above it that is no directory, and no whiteout hides it or what is in it.
    fn free(&self, name: &str) -> bool {
        let above = |other: &str| name.starts_with(&format!("{other}/"));
        let below = |other: &str| other.starts_with(&format!("{name}/"));
        self.here.iter().all(|(other, dir)| *dir || (other != name && !above(other)))
            && self.hidden.iter().all(|other| other != name && !above(other) && !below(other))
    }

    /// Directories above a name, as entries of this layer.
    fn parents(&mut self, step: &Step) {
        let mut at = String::new();
        let parts: Vec<&str> = step.name.split('/').collect();
        for part in &parts[..parts.len() - 1] {
            at = if at.is_empty() { (*part).to_owned() } else { format!("{at}/{part}") };
            let real = self.lower.join(&at).symlink_metadata().is_ok_and(|m| m.is_dir());
            if real && self.hidden.is_empty() || self.here.iter().any(|(name, _)| *name == at) {
                continue;
            }
            let mut header = Self::header(step, EntryType::Directory);
            self.tar.append_data(&mut header, &at, &[][..]).unwrap();
            self.here.push((at.clone(), true));
        }
    }

    fn apply(&mut self, step: &Step) {
        let name = step.name;
        let inside = self.here.iter().any(|(other, _)| other.starts_with(&format!("{name}/")));
        let known = self.here.iter().any(|(other, _)| other == name);
        if !self.free(name) || (known || inside) && !matches!(step.op, Op::Directory) {
            return;
        }
        self.parents(step);
        let mut plain = |kind| {
            let mut header = Self::header(step, kind);
            if kind == EntryType::Char {
                header.set_device_major(1).unwrap();
                header.set_device_minor(3).unwrap();
            }
            self.tar.append_data(&mut header, name, &[][..]).unwrap();
        };
        match &step.op {
            Op::Directory => plain(EntryType::Directory),
            Op::Fifo => plain(EntryType::Fifo),
            Op::Device => plain(EntryType::Char),
            Op::File { data, xattr } => {
                if *xattr {
                    let pair = ("SCHILY.xattr.user.note", &[*data, 0, b'\n'][..]);
                    self.tar.append_pax_extensions([pair]).unwrap();
                }
                let bytes = vec![*data; usize::from(*data) * 7];
                let mut header = Self::header(step, EntryType::Regular);
                header.set_size(bytes.len() as u64);
                self.tar.append_data(&mut header, name, &bytes[..]).unwrap();
            }
            Op::Symlink(target) => {
                let mut header = Self::header(step, EntryType::Symlink);
                header.set_mode(0o777);
                self.tar.append_link(&mut header, name, target).unwrap();
            }
            Op::HardLink(which) => return self.hard_link(step, which),
            Op::Whiteout | Op::Opaque => return self.hide(step),
        }
        self.here.push((name.to_owned(), matches!(step.op, Op::Directory)));
    }

    /// To a file of a lower layer that this one leaves alone.
    fn hard_link(&mut self, step: &Step, which: &Index) {
        // Not one that the link, or a directory for it, takes the place of.
        let apart = |name: &str| {
            name != step.name
                && !step.name.starts_with(&format!("{name}/"))
                && !name.starts_with(&format!("{}/", step.name))
                && !self.here.iter().any(|(other, _)| other == name)
        };
        let is_file = |name: &&&str| {
            let there = self.lower.join(name).symlink_metadata();
            there.is_ok_and(|m| m.is_file()) && self.free(name) && apart(name)
        };
        let files: Vec<_> = NAMES.iter().filter(is_file).collect();
        if files.is_empty() {
            return;
        }
        let mut header = Self::header(step, EntryType::Link);
        self.tar.append_link(&mut header, step.name, which.get(&files)).unwrap();
        self.here.push((step.name.to_owned(), false));
        // Nothing may come upon the file meanwhile.
        self.here.push(((**which.get(&files)).to_owned(), false));
    }

    fn hide(&mut self, step: &Step) {
        let opaque = matches!(step.op, Op::Opaque);
        let (dir, last) = step.name.rsplit_once('/').unwrap_or((".", step.name));
        let name = if opaque {
            format!("{}/.wh..wh..opq", step.name)
        } else {
            format!("{dir}/.wh.{last}")
        };
        if opaque {
            // The mark stands in a directory of its layer.
            let mut header = Self::header(step, EntryType::Directory);
            self.tar.append_data(&mut header, step.name, &[][..]).unwrap();
            self.here.push((step.name.to_owned(), true));
        }
        let mut header = Self::header(step, EntryType::Regular);
        self.tar.append_data(&mut header, name, &[][..]).unwrap();
        self.hidden.push(if opaque { format!("{}/*", step.name) } else { step.name.to_owned() });
    }
}

/// Makes layers, each upon what GNU tar made of those below, and compares.
fn compare(eyes: &mut Eyes, stack: &[Vec<Step>]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let by_tar = dir.path().join("tar");
    fs::create_dir(&by_tar).unwrap();
    let mut layers = Vec::new();
    for steps in stack {
        let tar = Builder::new(Vec::new());
        let mut writer = Writer { tar, lower: &by_tar, here: Vec::new(), hidden: Vec::new() };
        steps.iter().for_each(|step| writer.apply(step));
        let layer = writer.tar.into_inner().unwrap();
        let file = dir.path().join("layer.tar");
        fs::write(&file, &layer).unwrap();
        oracle::lay(&file, &by_tar);
        layers.push(layer);
    }
    let layout = Layout::new(&dir.path().join("layout"));
    layout.tag("t", &layout.image(arch().0, &layers, Packing::Gzip));
    let ours = eyes.look(&ours(dir.path(), &layout.dir, "t"));
    let by_umoci = oracle::umoci(&layout.dir, "t", &dir.path().join("umoci"));
    same(&ours, &eyes.look(&by_umoci), "umoci");
    let by_tar = without_directory_times(&eyes.look(&by_tar));
    same(&without_directory_times(&ours), &by_tar, "tar");
    ours.len()
}

/// What vxn makes of an image, unpacked.
fn ours(dir: &Path, layout: &Path, tag: &str) -> PathBuf {
    let reference = Reference::parse(&format!("oci:{}:{tag}", layout.display())).unwrap();
    let image = store(dir).get(&reference, &options(), &mut |_| {}).unwrap();
    oracle::disk(&image.root_disk.path, &dir.join("vxn-root"))
}

/// Half of the stacks: two tests use two processors.
fn generated(seed: u8) {
    const STACKS: u32 = 160;
    let eyes = RefCell::new(Eyes::open());
    let names = Cell::new(0);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let config = Config { cases: STACKS, failure_persistence: None, ..Config::default() };
    let outcome =
        TestRunner::new_with_rng(config, rng).run(&vec(vec(step(), 0..14), 1..5), |stack| {
            names.set(names.get() + compare(&mut eyes.borrow_mut(), &stack));
            Ok(())
        });
    outcome.unwrap();
    assert!(names.get() > 5 * STACKS as usize, "only {} names in all trees", names.get());
}

#[test]
fn generated_stacks_are_what_umoci_and_tar_make_of_them() {
    generated(1);
}

#[test]
fn more_generated_stacks_are_what_umoci_and_tar_make_of_them() {
    generated(2);
}

/// Compares an image of a layout with what umoci, and skopeo with tar, make of it.
/// Returns how many names it has.
fn compare_real(layout: &Path, tag: &str) -> usize {
    let mut eyes = Eyes::open();
    let dir = tempfile::tempdir().unwrap();
    let ours = eyes.look(&ours(dir.path(), layout, tag));
    let start = SystemTime::now();
    let by_umoci = eyes.look(&oracle::umoci(layout, tag, &dir.path().join("umoci")));
    let (dated, by_umoci) = oracle::without_times_since(start, &ours, &by_umoci);
    same(&dated, &by_umoci, "umoci");
    let by_tar = oracle::skopeo(&format!("oci:{}:{tag}", layout.display()), dir.path());
    let by_tar = without_directory_times(&eyes.look(&by_tar));
    same(&without_directory_times(&ours), &by_tar, "skopeo and tar");
    ours.len()
}

/// A layout of the images under test, with its only tag.
fn under_test(name: &str) -> (PathBuf, String) {
    let layout = testbed::images::get().unwrap().join(name);
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let tag = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"].as_str();
    (layout, tag.unwrap().to_owned())
}

#[test]
fn busybox_is_what_others_make_of_it() {
    let (layout, tag) = under_test("busybox");
    assert!(compare_real(&layout, &tag) > 10);
}

#[test]
fn debian_in_several_layers_is_what_others_make_of_it() {
    let (layout, tag) = under_test("debian");
    assert!(compare_real(&layout, &tag) > 5000);
}

#[test]
fn an_image_that_buildah_made_is_what_others_make_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (base, tag) = under_test("busybox");
    let buildah = Buildah::new(dir.path());
    let root = oracle::skopeo(&format!("oci:{}:{tag}", base.display()), dir.path());
    buildah.take(&root, "base");
    buildah.build("base", "one", "mkdir -p /d/e /o/old && echo 1 >/d/a && echo 2 >/d/e/b && \
        ln /d/a /d/link && echo 3 >/o/old/x && echo 4 >/moved && chmod 4711 /d/e/b && ln -s ../a /d/s");
    buildah.build(
        "one",
        "two",
        "rm /d/a && mv /moved /d/renamed && rm -r /o && mkdir /o && \
        echo 5 >/o/new && mv /d/e /d/f && chown 7:8 /d/f/b",
    );
    buildah.build(
        "two",
        "three",
        "rm -r /d/f && echo 6 >/d/f && ln /o/new /o/also && mkdir /o/sub && \
        echo 7 >/d/renamed",
    );
    let layout = dir.path().join("layout");
    buildah.give("three", &format!("oci:{}:three", layout.display()));
    assert!(compare_real(&layout, "three") > 10);

    // vxn reads buildah's store itself, and comes to the same root disk.
    let text = buildah.reference("three");
    let image = store(dir.path()).pull(&Reference::parse(&text).unwrap(), &options(), &mut |_| {});
    let disk = image.unwrap().root_disk.path;
    assert_eq!(images::cat(&disk, "d/link"), "1\n");
    assert_eq!(images::cat(&disk, "o/also"), "5\n");
    let reference = Reference::parse(&format!("oci:{}:three", layout.display())).unwrap();
    let again = store(dir.path()).get(&reference, &options(), &mut |_| {}).unwrap();
    assert_eq!(again.root_disk.path, disk);
}
