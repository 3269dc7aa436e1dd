//! From a local layout to a root disk, with the real sqfstar. Needs
//! squashfs-tools and skopeo.

mod images;

use std::fs;
use std::path::Path;

use images::{Layer, Layout, Packing, arch, digest, layers, leftovers, list, options, store};
use serde_json::{Value, json};
use tempfile::TempDir;
use vxn::image::store::Commit;
use vxn::image::{Digest, Error, Formats, Image, Reference, Store};
use vxn::tool::{SKOPEO, Tool};

struct Fixture {
    dir: TempDir,
    layout: Layout,
    store: Store,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("layout"));
        let store = store(dir.path());
        Fixture { dir, layout, store }
    }

    fn reference(&self, tag: &str) -> Reference {
        Reference::parse(&format!("oci:{}:{tag}", self.layout.dir.display())).unwrap()
    }

    fn get(&self, tag: &str) -> Result<Image, Error> {
        self.store.get(&self.reference(tag), &options(), &mut |_| {})
    }

    /// Tags one image and gets it.
    fn image(&self, descriptor: &Value) -> Result<Image, Error> {
        self.layout.tag("t", descriptor);
        self.get("t")
    }

    /// The error's text; nothing is left behind.
    fn error(&self, descriptor: &Value) -> String {
        let error = self.image(descriptor).unwrap_err().to_string();
        assert_eq!(leftovers(self.dir.path()), Vec::<std::path::PathBuf>::new());
        assert!(!error.contains('\n'), "{error}");
        error
    }
}

#[test]
fn every_packing_gives_the_same_disk() {
    let mut disks = Vec::new();
    for packing in [Packing::Plain, Packing::Gzip, Packing::Members, Packing::Zstd] {
        let fixture = Fixture::new();
        let image =
            fixture.image(&fixture.layout.image(arch().0, &layers("new"), packing)).unwrap();
        let name = image.root_disk.path.file_name().unwrap().to_owned();
        disks.push((name, fs::read(&image.root_disk.path).unwrap()));
    }
    assert!(disks.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_disk_holds_what_the_layers_mean() {
    let fixture = Fixture::new();
    let image =
        fixture.image(&fixture.layout.image(arch().0, &layers("new"), Packing::Gzip)).unwrap();
    let disk = &image.root_disk.path;
    assert_eq!(image.root_disk.format.fs_type(), "squashfs");
    let mut names = list(disk);
    names.sort();
    let expected = [
        "-rw-r--r-- 0/0 etc/new",
        "-rw-r--r-- 0/0 hello",
        "-rwsr-xr-x 0/0 bin/su",
        "-rwsr-xr-x 0/0 bin/su2",
        "drwxr-xr-x 0/0 bin",
        "drwxr-xr-x 0/0 etc",
        "drwxr-xr-x 0/0 opt",
        "drwxr-xr-x 0/0 opt/a",
        "drwxr-xr-x 0/0 run",
        "lrwxrwxrwx 0/0 lib -> usr/lib",
        "prw------- 0/0 run/pipe",
    ];
    assert_eq!(names, expected);
    assert_eq!(images::cat(disk, "bin/su2"), "su");
    assert_eq!(images::cat(disk, "etc/new"), "new");
    let config = image.config.config().clone().unwrap();
    assert_eq!(config.cmd().as_deref(), Some(&["/hello".to_owned()][..]));
}

#[test]
fn extended_attributes_and_links_reach_the_disk() {
    const PYTHON: Tool = Tool { name: "python3", package: "python3" };
    let fixture = Fixture::new();
    let image =
        fixture.image(&fixture.layout.image(arch().0, &layers("new"), Packing::Zstd)).unwrap();
    let out = fixture.dir.path().join("out");
    images::unsquashfs(&["-d", out.to_str().unwrap(), image.root_disk.path.to_str().unwrap()]);
    let script = "import os,sys; os.chdir(sys.argv[1]); \
                  print(os.getxattr('hello','user.note'), os.stat('bin/su').st_nlink, \
                  int(os.stat('hello').st_mtime))";
    let mut python = PYTHON.command().unwrap();
    let output =
        python.args(["-c", script]).arg(&out).stdout(std::process::Stdio::piped()).output();
    let printed = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(printed, "b'line\\nline\\x00' 2 1700000000\n");
}

#[test]
fn an_empty_image_has_an_empty_root() {
    let fixture = Fixture::new();
    let image = fixture.image(&fixture.layout.image(arch().0, &[], Packing::Plain)).unwrap();
    assert_eq!(list(&image.root_disk.path), Vec::<String>::new());
}

#[test]
fn names_that_are_no_text_reach_the_disk() {
    let fixture = Fixture::new();
    let deep = ["d".repeat(255), "e".repeat(255), "f".repeat(255)].join("/");
    let layer = Layer::new().file("new\nline", b"1").file(&deep, b"2").file("-o", b"3").tar();
    let image = fixture.image(&fixture.layout.image(arch().0, &[layer], Packing::Gzip)).unwrap();
    let disk = &image.root_disk.path;
    assert_eq!(images::cat(disk, &deep), "2");
    assert!(list(disk).contains(&"-rw-r--r-- 0/0 -o".to_owned()));
}

#[test]
fn a_moved_tag_is_noticed() {
    let fixture = Fixture::new();
    assert!(fixture.store.find(&fixture.reference("t"), Formats::Any).is_err(), "no such tag");
    let one = fixture.layout.image(arch().0, &layers("one"), Packing::Gzip);
    let first = fixture.image(&one).unwrap();
    let found = fixture.store.find(&fixture.reference("t"), Formats::Any).unwrap().unwrap();
    assert_eq!((found.digest, found.root_disk), (digest(&one), first.root_disk.clone()));

    let two = fixture.layout.image(arch().0, &layers("two"), Packing::Gzip);
    fixture.layout.tag("t", &two);
    assert!(fixture.store.find(&fixture.reference("t"), Formats::Any).unwrap().is_none());
    let second = fixture.get("t").unwrap();
    assert_eq!(images::cat(&second.root_disk.path, "etc/new"), "two");

    fixture.layout.tag("t", &one);
    let again = fixture.get("t").unwrap();
    assert_eq!(again.root_disk, first.root_disk, "built once");
}

#[test]
fn a_replaced_archive_is_noticed() {
    let fixture = Fixture::new();
    let archive = fixture.dir.path().join("image.tar");
    let reference = Reference::parse(&format!("docker-archive:{}", archive.display())).unwrap();
    for text in ["one", "two"] {
        fixture.layout.tag("t", &fixture.layout.image(arch().0, &layers(text), Packing::Gzip));
        let _ = fs::remove_file(&archive);
        let mut skopeo = SKOPEO.command().unwrap();
        let to = format!("docker-archive:{}:name:tag", archive.display());
        let from = fixture.reference("t").to_string();
        SKOPEO.start(skopeo.args(["copy", "-q", &from, &to])).unwrap().wait().unwrap();
        assert!(fixture.store.find(&reference, Formats::Any).unwrap().is_none());
        let image = fixture.store.get(&reference, &options(), &mut |_| {}).unwrap();
        assert_eq!(images::cat(&image.root_disk.path, "etc/new"), text);
        assert!(fixture.store.find(&reference, Formats::Any).unwrap().is_some());
    }
    fs::remove_file(&archive).unwrap();
    let gone = fixture.store.find(&reference, Formats::Any).unwrap_err();
    assert_eq!(gone.hint().as_deref(), Some("check the path"));
}

#[test]
fn nested_indexes_give_the_hosts_image() {
    let fixture = Fixture::new();
    let (ours, other) = arch();
    let mine = fixture.layout.image(ours, &layers("mine"), Packing::Gzip);
    let theirs = fixture.layout.image(other, &layers("theirs"), Packing::Gzip);
    let attestation = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": theirs["digest"], "size": 1,
        "platform": {"os": "unknown", "architecture": "unknown"}});
    let inner = fixture.layout.list(&[theirs.clone(), attestation, mine.clone()]);
    assert_eq!(fixture.image(&fixture.layout.list(&[inner])).unwrap().digest, digest(&mine));
    let only = fixture.layout.list(&[theirs]);
    assert!(fixture.error(&only).contains(&format!("is for linux/{other}, and this host runs")));
    let mut deep = mine;
    for _ in 0..6 {
        deep = fixture.layout.list(&[deep]);
    }
    assert!(fixture.error(&deep).contains("deep"));
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let fixture = Fixture::new();
    let mut theirs = fixture.layout.image(arch().1, &layers("x"), Packing::Gzip);
    theirs.as_object_mut().unwrap().remove("platform");
    assert!(fixture.error(&theirs).contains("is for linux/"));
}

#[test]
fn damaged_blobs_are_refused_by_name_and_fetched_again() {
    let fixture = Fixture::new();
    let image = fixture.layout.image(arch().0, &layers("x"), Packing::Gzip);
    let bytes = fs::read(fixture.layout.blob(&digest(&image))).unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    for blob in [&manifest["layers"][1], &manifest["config"]] {
        let path = fixture.layout.blob(&digest(blob));
        let good = fs::read(&path).unwrap();
        fs::write(&path, b"bad").unwrap();
        let error = fixture.error(&image);
        assert!(error.contains(&digest(blob).to_string()) && error.contains("damaged"), "{error}");
        fs::write(&path, good).unwrap();
    }
    fixture.get("t").unwrap();

    // The same in the store itself: the next run mends it.
    for name in ["manifest", "config", "layer"] {
        let blob = match name {
            "manifest" => digest(&image),
            "config" => digest(&manifest["config"]),
            _ => digest(&manifest["layers"][0]),
        };
        let kept = fixture.dir.path().join("vxn/images/blobs/sha256").join(blob.hex());
        let disk = fixture.get("t").unwrap().root_disk.path;
        fs::write(&kept, b"bad").unwrap();
        fs::remove_file(&disk).unwrap();
        assert!(
            fixture.store.find(&fixture.reference("t"), Formats::Any).unwrap().is_none(),
            "{name}"
        );
        if name == "layer" {
            assert!(
                matches!(fixture.get("t"), Err(Error::Damaged { digest, .. }) if digest == blob)
            );
        }
        fixture.get("t").unwrap();
    }
}

#[test]
fn layers_that_are_not_what_the_configuration_says() {
    let fixture = Fixture::new();
    let tar = layers("x").remove(0);
    let layer = fixture.layout.layer(&tar, Packing::Gzip);
    let named = |error: String| {
        let name = format!("layer {}: ", digest(&layer));
        error.strip_prefix(&name).unwrap_or_else(|| panic!("{error}")).to_owned()
    };
    let wrong = images::config(arch().0, &[vxn::image::Digest::of(b"other").to_string()]);
    let image = fixture.layout.manifest(&wrong, vec![layer.clone()]);
    assert!(named(fixture.error(&image)).contains("the content has digest"));

    let none = images::config(arch().0, &[]);
    let image = fixture.layout.manifest(&none, vec![layer]);
    assert!(fixture.error(&image).contains("number of layers"));
}

#[test]
fn truncated_layers_name_themselves() {
    let fixture = Fixture::new();
    let tar = layers("x").remove(0);
    for packed in [tar[..1500].to_vec(), images::gzip(&tar)[..100].to_vec()] {
        let layer = fixture.layout.add("application/vnd.oci.image.layer.v1.tar", &packed);
        let config = images::config(arch().0, &[vxn::image::Digest::of(&tar).to_string()]);
        let error = fixture.error(&fixture.layout.manifest(&config, vec![layer.clone()]));
        assert!(error.starts_with(&format!("layer {}: ", digest(&layer))), "{error}");
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let fixture = Fixture::new();
    let layout = &fixture.layout;
    let config = layout.json("application/vnd.cncf.helm.config.v1+json", &json!({}));
    let media = "application/vnd.oci.image.manifest.v1+json";
    let chart = json!({"schemaVersion": 2, "config": config, "layers": []});
    assert!(fixture.error(&layout.json(media, &chart)).contains("artifact"));

    let secret = layout.add("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", b"x");
    let config = images::config(arch().0, &[vxn::image::Digest::of(b"x").to_string()]);
    assert!(fixture.error(&layout.manifest(&config, vec![secret])).contains("encrypted"));

    let large = layout.add(media, &vec![b' '; 5 << 20]);
    assert!(fixture.error(&large).contains("4 MiB"));
    assert!(fixture.error(&layout.add(media, b"{}")).contains("missing field"));

    let mut sha512 = layout.image(arch().0, &[], Packing::Plain);
    sha512["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
    assert!(fixture.error(&sha512).contains("no sha256 digest"));
}

#[test]
fn what_is_no_layout_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let find = |path: &Path| {
        let reference = Reference::parse(&format!("oci:{}", path.display())).unwrap();
        store.find(&reference, Formats::Any).unwrap_err().to_string()
    };
    assert!(find(&dir.path().join("none")).contains("No such file"));
    assert!(find(dir.path()).contains("no OCI layout"));
    let layout = Layout::new(&dir.path().join("layout"));
    assert!(find(&layout.dir).contains("no image in it"));
    layout.tag("b", &layout.image(arch().0, &[], Packing::Plain));
    layout.tag("a", &layout.image(arch().0, &layers("x"), Packing::Plain));
    assert!(find(&layout.dir).contains("choose one of its tags: a, b"));
    fs::write(layout.dir.join("index.json"), "{").unwrap();
    assert!(find(&layout.dir).contains("malformed"));
}

#[test]
fn eight_at_once_share_one_disk() {
    let fixture = Fixture::new();
    fixture.layout.tag("t", &fixture.layout.image(arch().0, &layers("x"), Packing::Gzip));
    let disks: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let store = store(fixture.dir.path());
                    store.get(&fixture.reference("t"), &options(), &mut |_| {}).unwrap().root_disk
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(disks.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(leftovers(fixture.dir.path()), Vec::<std::path::PathBuf>::new());
}

/// A layer of a guest, on top of an image, named `name`.
fn commit(fixture: &Fixture, parent: Digest, layer: &[u8], name: &str) -> Result<Digest, Error> {
    let name = Reference::parse(name).unwrap();
    let commit = Commit {
        parent,
        config: fixture.store.config(&parent)?,
        author: Some("me".into()),
        comment: "fixed".into(),
        created_by: "sh".into(),
    };
    fixture.store.commit(&mut &*layer, commit, Some(&name), &options(), &mut |_| {})
}

#[test]
fn a_commit_is_its_image_and_a_layer() {
    let fixture = Fixture::new();
    let below = fixture.layout.image(arch().0, &layers("x"), Packing::Gzip);
    let parent = fixture.image(&below).unwrap().digest;
    let layer = Layer::new().file("etc/.wh.new", b"").file("hello", b"changed").tar();
    let first = commit(&fixture, parent, &layer, "mine:1").unwrap();
    let find =
        |name| fixture.store.find(&Reference::parse(name).unwrap(), Formats::Any).unwrap().unwrap();
    let image = find("mine:1");
    assert_eq!(image.digest, first);
    let files = list(&image.root_disk.path).join("\n");
    assert!(files.contains("bin/su") && !files.contains("etc/new"), "{files}");
    assert_eq!(images::cat(&image.root_disk.path, "hello"), "changed");
    let last = image.config.history().iter().flatten().next_back().unwrap().clone();
    assert_eq!((last.author().as_deref(), last.comment().as_deref()), (Some("me"), Some("fixed")));
    // Of a commit too, and of one in which nothing has changed.
    commit(&fixture, first, &Layer::new().tar(), "mine:2").unwrap();
    assert_eq!(find("mine:2").config.rootfs().diff_ids().len(), 4);
    // A guest's layer is hostile, and what is below may be gone.
    let bad = commit(&fixture, parent, b"no archive at all", "mine:3").unwrap_err();
    assert!(matches!(bad, Error::Layer { .. }), "{bad}");
    assert!(matches!(
        commit(&fixture, Digest::of(b"none"), &layer, "mine:3"),
        Err(Error::Incomplete { .. })
    ));
    assert!(
        fixture.store.find(&Reference::parse("mine:3").unwrap(), Formats::Any).unwrap().is_none()
    );
    assert_eq!(leftovers(fixture.dir.path()), Vec::<std::path::PathBuf>::new());
}
