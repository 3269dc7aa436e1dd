//! EROFS root disks, with the mkfs.erofs of a Debian that can make them and of one that
//! cannot. Needs squashfs-tools, mmdebstrap, python3.

#[path = "images/cli.rs"]
mod cli;
mod images;
#[path = "images/oracle.rs"]
mod oracle;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use cli::Vxn;
use images::{Layer, Layout, Packing, arch, digest, layers};
use oracle::{Eyes, same};
use tar::EntryType;
use tempfile::TempDir;
use vxn::tool::{Running, SQFSTAR, Tool};

const FSCK: Tool = Tool { name: "fsck.erofs", package: "erofs-utils" };

/// A store whose guest has EROFS, and an image that is not in it yet.
struct Fixture {
    dir: TempDir,
    layout: Layout,
    vxn: Vxn,
}

impl Fixture {
    /// With the erofs-utils of a Debian release, or none.
    fn new(suite: Option<&'static str>) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("layout"));
        let vxn = Vxn::new(dir.path()).with_path(&path(dir.path(), suite));
        let fixture = Fixture { dir, layout, vxn };
        fixture.guest(Some(b"z_erofs"));
        fixture.settings("");
        let layers = [layers("new"), vec![more()]].concat();
        fixture.layout.tag("t", &fixture.layout.image(arch().0, &layers, Packing::Gzip));
        fixture
    }

    /// Gives the guest's initramfs an erofs module, or none.
    fn guest(&self, module: Option<&[u8]>) {
        let modules = self.dir.path().join("modules");
        let line = if module.is_some() { "erofs.ko:\n" } else { "" };
        fs::create_dir_all(&modules).unwrap();
        fs::write(modules.join("modules.dep"), line).unwrap();
        fs::write(modules.join("erofs.ko"), module.unwrap_or_default()).unwrap();
        let init = modules.join("init");
        fs::write(&init, "init").unwrap();
        testbed::initramfs::build(&init, Some(&modules), &self.path("initramfs")).unwrap();
        // Its configuration says that nothing is built in.
        fs::write(self.path("vmlinux-0.0-none"), b"\x7fELF").unwrap();
        fs::write(self.path("config-0.0-none"), "CONFIG_EROFS_FS=m\n").unwrap();
    }

    fn settings(&self, more: &str) {
        let guest = ["kernel", "initramfs"].into_iter().zip(["vmlinux-0.0-none", "initramfs"]);
        let guest = guest.map(|(key, file)| format!("{key} = {:?}\n", self.path(file)));
        self.vxn.configure(&format!("{}{more}", guest.collect::<String>()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn source(&self) -> String {
        format!("oci:{}:t", self.layout.dir.display())
    }

    /// Pulls the image, and returns the kinds of root disks that it has now.
    #[track_caller]
    fn pull(&self) -> Vec<String> {
        self.vxn.ok(&["pull", &self.source()]);
        self.kinds()
    }

    fn disks(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.vxn.root("disks")).unwrap();
        let kinds = [Some("erofs".as_ref()), Some("squashfs".as_ref())];
        let mut disks: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        disks.retain(|path| kinds.contains(&path.extension()));
        disks
    }

    fn kinds(&self) -> Vec<String> {
        let kind = |path: &PathBuf| path.extension().unwrap().to_str().unwrap().to_owned();
        let mut kinds: Vec<String> = self.disks().iter().map(kind).collect();
        kinds.sort();
        kinds
    }

    /// The one disk that there is.
    #[track_caller]
    fn disk(&self) -> PathBuf {
        let [disk] = &self.disks()[..] else { panic!("{:?}", self.disks()) };
        disk.clone()
    }
}

/// A `PATH` with what vxn needs for local images and nothing else of this host's.
fn path(dir: &Path, suite: Option<&'static str>) -> OsString {
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(SQFSTAR.find().unwrap(), bin.join("sqfstar")).unwrap();
    // What the script needs that starts them.
    for name in ["dirname", "readlink"] {
        symlink(Tool { name, package: "coreutils" }.find().unwrap(), bin.join(name)).unwrap();
    }
    let utils = suite.map(|suite| testbed::erofs::utils(suite).unwrap());
    std::env::join_paths(utils.into_iter().chain([bin])).unwrap()
}

/// `security.capability` of a file, as Linux keeps it (vfs_cap_data, version 2).
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// What the other layers do not have: owners, devices, long names, what no text is,
/// holes in the order of names, a file of several blocks.
fn more() -> Vec<u8> {
    let block: Vec<u8> = (0..300_000_u32).map(|n| (n / 7 % 251) as u8).collect();
    let deep = ["d".repeat(255), "e".repeat(255)].join("/");
    Layer::new()
        .entry(EntryType::Directory, "srv/", 0o2711, b"")
        .file("srv/large", &block)
        .file(&deep, b"deep")
        .file("srv/new\nline", b"")
        .link(EntryType::Link, "srv/also", "srv/large")
        .link(EntryType::Symlink, "srv/far", &"t".repeat(4000))
        .entry(EntryType::Char, "srv/null", 0o666, b"")
        .xattr("security.capability", CAPABILITY)
        .entry(EntryType::Regular, "srv/able", 0o1755, b"able")
        .tar()
}

fn extract(disk: &Path, into: &Path) {
    let program = testbed::erofs::utils("trixie").unwrap().join(FSCK.name);
    let mut command = vxn::tool::command(&program);
    command.arg(format!("--extract={}", into.display())).args(["--preserve", "--xattrs"]);
    let running: Running = FSCK.start(command.arg(disk)).unwrap();
    running.wait().unwrap();
}

#[test]
fn both_kinds_hold_the_same_tree_and_erofs_is_reproducible() {
    let fixture = Fixture::new(Some("trixie"));
    assert_eq!(fixture.pull(), ["erofs"], "the guest has it, and the tool can");
    let first = fs::read(fixture.disk()).unwrap();
    extract(&fixture.disk(), &fixture.path("by-erofs"));
    let again = Fixture::new(Some("trixie"));
    again.pull();
    assert_eq!(again.disk().file_name(), fixture.disk().file_name());
    assert!(fs::read(again.disk()).unwrap() == first);

    fixture.settings("root_disk = \"squashfs\"");
    assert_eq!(fixture.pull(), ["erofs", "squashfs"]);
    let is_squashfs = |disk: &PathBuf| disk.extension() == Some("squashfs".as_ref());
    let squashfs = fixture.disks().into_iter().find(is_squashfs).unwrap();
    oracle::disk(&squashfs, &fixture.path("by-squashfs"));
    let mut eyes = Eyes::open();
    let [erofs, mut squashfs] = ["by-erofs", "by-squashfs"].map(|d| eyes.look(&fixture.path(d)));
    assert!(squashfs.len() > 15, "{squashfs:?}");
    // fsck.erofs sets owners last, which takes capabilities away: they are on the disk.
    let able = squashfs.get_mut("srv/able").and_then(|file| file.as_object_mut()).unwrap();
    assert!(able.remove("xattrs").is_some());
    let on_disk = [&b"capability"[..], CAPABILITY].concat();
    assert!(first.windows(on_disk.len()).any(|bytes| bytes == on_disk));
    same(&erofs, &squashfs, "squashfs");
    let root = fs::metadata(fixture.path("by-erofs")).unwrap();
    assert_eq!(root.mode() & 0o7777, 0o755);
}

#[test]
fn a_tool_that_reads_no_archives_is_not_used() {
    for (suite, why) in [(Some("bookworm"), "it is too old"), (None, "mkfs.erofs is not installed")]
    {
        let fixture = Fixture::new(suite);
        assert_eq!(fixture.pull(), ["squashfs"]);
        fixture.settings("root_disk = \"erofs\"");
        let error = fixture.vxn.fails(&["pull", &fixture.source()]);
        assert!(error.contains(why) && error.contains("hint: "), "{error}");
    }
}

#[test]
fn a_guest_without_erofs_gets_squashfs() {
    let fixture = Fixture::new(Some("trixie"));
    // Another guest than the one that the disk was made for.
    assert_eq!(fixture.pull(), ["erofs"]);
    fixture.guest(Some(b"reads plain disks only"));
    assert_eq!(fixture.pull(), ["erofs", "squashfs"]);
    fixture.guest(None);
    fixture.settings("root_disk = \"erofs\"");
    let error = fixture.vxn.fails(&["pull", &fixture.source()]);
    assert!(error.contains("has no EROFS with lz4") && error.contains("hint: "), "{error}");
    assert!(error.contains("vxn.toml"), "it says who wants it: {error}");
}

#[test]
fn what_is_there_and_will_do_is_not_made_again() {
    let fixture = Fixture::new(Some("trixie"));
    fixture.settings("root_disk = \"squashfs\"");
    assert_eq!(fixture.pull(), ["squashfs"]);
    fixture.settings("");
    assert_eq!(fixture.pull(), ["squashfs"]);
    let bundle = fixture.path("bundle").display().to_string();
    fixture.vxn.with_path(&std::env::var_os("PATH").unwrap()).ok(&[
        "bundle",
        &fixture.source(),
        &bundle,
    ]);
}

#[test]
fn damage_is_found_and_mended_and_all_kinds_go_with_the_image() {
    let fixture = Fixture::new(Some("trixie"));
    fixture.pull();
    fixture.settings("root_disk = \"squashfs\"");
    fixture.pull();
    let whole: Vec<_> = fixture.disks().iter().map(|disk| fs::read(disk).unwrap()).collect();
    for disk in fixture.disks() {
        let mut bytes = fs::read(&disk).unwrap();
        bytes[5000] ^= 1;
        fs::remove_file(&disk).unwrap();
        fs::write(&disk, bytes).unwrap();
    }
    let said = fixture.vxn.ok(&["system", "check"]);
    assert_eq!(said.matches("it is damaged").count(), 2, "{said}");
    assert_eq!(said.matches(": made again").count(), 2, "{said}");
    let now: Vec<_> = fixture.disks().iter().map(|disk| fs::read(disk).unwrap()).collect();
    assert!(now == whole);
    assert_eq!(fixture.vxn.ok(&["system", "check"]), "The store is clean.");
    fixture.vxn.ok(&["rmi", &fixture.source()]);
    assert_eq!(fixture.kinds(), Vec::<String>::new());
    let left = fs::read_dir(fixture.vxn.root("disks")).unwrap().map(|e| e.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), [".lock"], "nor what was known of them");
}

/// mkfs.erofs 1.8 runs for ever at an archive that breaks off in the middle of a file.
#[test]
fn a_damaged_layer_ends_the_making() {
    let fixture = Fixture::new(Some("trixie"));
    let large = Layer::new().file("large", &vec![7; 3_000_000]).tar();
    let image = fixture.layout.image(arch().0, &[large], Packing::Plain);
    fixture.layout.tag("t", &image);
    fixture.pull();
    fs::remove_file(fixture.disk()).unwrap();
    let manifest = fs::read(fixture.layout.blob(&digest(&image))).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let blob = fixture.vxn.root("images/blobs/sha256").join(digest(&manifest["layers"][0]).hex());
    let mut bytes = fs::read(&blob).unwrap();
    bytes[2_000_000] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    let id = fixture.vxn.ok(&["images", "-q"]);
    let bundle = fixture.path("bundle").display().to_string();
    let error = fixture.vxn.fails(&["bundle", "--pull=never", &id, &bundle]);
    assert!(error.contains("is damaged"), "{error}");
}
