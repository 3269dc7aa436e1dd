//! Pulls from a registry on loopback, with the real skopeo. Needs
//! docker-registry, skopeo and squashfs-tools.

mod images;
#[path = "images/registry.rs"]
mod registry;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use images::{Layout, Packing, arch, digest, layers, leftovers, options, store};
use registry::{Registry, Setup};
use serde_json::Value;
use tempfile::TempDir;
use vxn::image::{Error, Formats, Image, PullOptions, Reference};

/// A registry, a layout to push from and a store to pull into.
struct Fixture {
    dir: TempDir,
    layout: Layout,
    host: String,
    registry: Registry,
}

impl Fixture {
    fn new(password: bool) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("layout"));
        let registry = Registry::start(dir.path(), Setup { password, tls: false });
        Fixture { dir, layout, host: registry.host.clone(), registry }
    }

    /// Pushes a descriptor of the layout under `name`.
    fn push(&self, descriptor: &Value, name: &str, extra: &[&str]) {
        self.registry.push(&self.layout, descriptor, name, extra);
    }

    fn reference(&self, name: &str) -> Reference {
        Reference::parse(&format!("{}/{name}", self.host)).unwrap()
    }

    fn pull(&self, name: &str, options: &PullOptions) -> Result<Image, Error> {
        let pulled = store(self.dir.path()).pull(&self.reference(name), options, &mut |_| {});
        assert_eq!(leftovers(self.dir.path()), Vec::<PathBuf>::new());
        pulled
    }

    /// The error's text and hint.
    fn error(&self, name: &str, options: &PullOptions) -> (String, String) {
        let error = self.pull(name, options).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        (error.to_string(), error.hint().unwrap_or_default())
    }
}

#[test]
fn images_arrive_as_they_were_pushed() {
    let fixture = Fixture::new(false);
    let image = fixture.layout.image(arch().0, &layers("new"), Packing::Gzip);
    fixture.push(&image, "a/oci:1", &[]);
    fixture.push(&image, "a/docker:1", &["--format=v2s2"]);

    let oci = fixture.pull("a/oci:1", &options()).unwrap();
    assert_eq!(oci.digest, digest(&image));
    assert_eq!(oci.reference, format!("{}/a/oci:1", fixture.host));
    let docker = fixture.pull("a/docker:1", &options()).unwrap();
    assert_eq!(docker.root_disk, oci.root_disk);
    assert_eq!(docker.config.config(), oci.config.config());
    assert_eq!(images::cat(&oci.root_disk.path, "etc/new"), "new");

    let exact = fixture.pull(&format!("a/oci@{}", digest(&image)), &options()).unwrap();
    assert_eq!(exact.digest, oci.digest);
    let found =
        store(fixture.dir.path()).find(&fixture.reference("a/oci:1"), Formats::Any).unwrap();
    assert_eq!(found.unwrap().root_disk, oci.root_disk);
}

#[test]
fn a_list_gives_the_hosts_image_or_none() {
    let fixture = Fixture::new(false);
    let (ours, other) = arch();
    let mine = fixture.layout.image(ours, &layers("mine"), Packing::Gzip);
    let theirs = fixture.layout.image(other, &layers("theirs"), Packing::Gzip);
    let both = fixture.layout.list(&[theirs.clone(), mine.clone()]);
    fixture.push(&both, "both:latest", &["--all"]);
    assert_eq!(fixture.pull("both", &options()).unwrap().digest, digest(&mine));

    fixture.push(&fixture.layout.list(std::slice::from_ref(&theirs)), "theirs:list", &["--all"]);
    let (error, _) = fixture.error("theirs:list", &options());
    assert!(error.contains(&format!("is for linux/{other}, and this host runs")), "{error}");
    fixture.push(&theirs, "theirs:one", &[]);
    let (error, _) = fixture.error("theirs:one", &options());
    assert!(error.contains(&format!("is for linux/{other}")), "{error}");
}

#[test]
fn a_moved_tag_is_pulled_and_layers_are_kept() {
    let fixture = Fixture::new(false);
    let store = store(fixture.dir.path());
    let one = fixture.layout.image(arch().0, &layers("one"), Packing::Gzip);
    fixture.push(&one, "a:1", &[]);
    fixture.pull("a:1", &options()).unwrap();
    let shared = fs::read(fixture.layout.blob(&digest(&one))).unwrap();
    let shared: Value = serde_json::from_slice(&shared).unwrap();
    let kept = digest(&shared["layers"][0]).hex();
    let kept = fixture.dir.path().join("vxn/images/blobs/sha256").join(kept);
    let before = fs::metadata(&kept).unwrap().ino();

    let two = fixture.layout.image(arch().0, &layers("two"), Packing::Gzip);
    fixture.push(&two, "a:1", &[]);
    let found = store.find(&fixture.reference("a:1"), Formats::Any).unwrap().unwrap();
    assert_eq!(found.digest, digest(&one), "find asks no registry");
    let image = fixture.pull("a:1", &options()).unwrap();
    assert_eq!(images::cat(&image.root_disk.path, "etc/new"), "two");
    assert_eq!(fs::metadata(&kept).unwrap().ino(), before);

    // Without its disk the image is made again, and the registry is not asked.
    fs::remove_file(&image.root_disk.path).unwrap();
    let offline = PullOptions { tls_verify: true, ..options() };
    let again = store.get(&fixture.reference("a:1"), &offline, &mut |_| {}).unwrap();
    assert_eq!(again.root_disk, image.root_disk);
}

#[test]
fn failures_are_one_line_with_a_hint() {
    let fixture = Fixture::new(false);
    let image = fixture.layout.image(arch().0, &layers("x"), Packing::Gzip);
    fixture.push(&image, "a:1", &[]);
    let check = "check the image's name and tag";
    for (name, words, remedy) in [
        ("a:2", "manifest unknown", check),
        ("b:1", "", check),
        (&format!("a@sha256:{}", "0".repeat(64)), "manifest unknown", check),
    ] {
        let (error, hint) = fixture.error(name, &options());
        assert!(error.starts_with("cannot fetch ") && error.contains(words), "{error}");
        assert_eq!(hint, remedy, "{error}");
    }
    let (error, hint) = fixture.error("a:1", &PullOptions::default());
    assert!(error.contains("server gave HTTP response to HTTPS client"), "{error}");
    assert!(hint.contains("--tls-verify=false"), "{hint}");

    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = Reference::parse(&format!("{down}/a")).unwrap();
    let error = store(fixture.dir.path()).pull(&down, &options(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    assert!(error.hint().unwrap().contains("registry is up"));
}

#[test]
fn credentials_come_from_the_given_file() {
    let fixture = Fixture::new(true);
    let image = fixture.layout.image(arch().0, &layers("x"), Packing::Gzip);
    fixture.push(&image, "a:1", &[]);
    let (error, hint) = fixture.error("a:1", &options());
    assert!(error.contains("unauthorized") || error.contains("authentication required"), "{error}");
    assert!(hint.contains("vxn login"), "{error}: {hint}");

    let authfile = fixture.dir.path().join("auth.json");
    // base64 of user:secret
    let auth = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, fixture.host);
    fs::write(&authfile, auth).unwrap();
    let options = PullOptions { authfile: Some(authfile), ..options() };
    fixture.pull("a:1", &options).unwrap();
}

/// What the child of the last test does: pulls, and says each step.
fn child(dir: &str, reference: &str) {
    let reference = Reference::parse(reference).unwrap();
    println!("step open");
    let store = store(Path::new(dir));
    store.pull(&reference, &options(), &mut |step| println!("step {step:?}")).unwrap();
    println!("step done");
}

const KILL_TEST: &str = "a_pull_killed_at_any_step_leaves_nothing_that_stays";

/// Starts a child that pulls, kills it after its `steps`th step and returns
/// whether it got that far.
fn kill_after(steps: usize, dir: &Path, reference: &Reference) -> bool {
    let mut command = vxn::tool::command(&std::env::current_exe().unwrap());
    command.args(["--exact", KILL_TEST, "--nocapture"]).stdout(Stdio::piped());
    command.env("VXN_TEST_DIR", dir).env("VXN_TEST_REF", reference.to_string());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // libtest puts the test's own name in front of the first line.
    let seen = lines.map(|l| l.unwrap()).filter(|l| l.contains("step ")).take(steps).count();
    child.kill().unwrap();
    child.wait().unwrap();
    seen == steps
}

/// Whether any process has `dir` among its arguments.
fn at_work_in(dir: &Path) -> bool {
    let needle = dir.join("vxn").into_os_string().into_encoded_bytes();
    fs::read_dir("/proc").unwrap().any(|process| {
        let arguments = fs::read(process.unwrap().path().join("cmdline")).unwrap_or_default();
        arguments.windows(needle.len()).any(|window| window == needle)
    })
}

#[test]
fn a_pull_killed_at_any_step_leaves_nothing_that_stays() {
    if let (Ok(dir), Ok(reference)) = (std::env::var("VXN_TEST_DIR"), std::env::var("VXN_TEST_REF"))
    {
        return child(&dir, &reference);
    }
    let fixture = Fixture::new(false);
    let mut big = layers("x");
    let noise: Vec<u8> =
        (0..8_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    big.push(images::Layer::new().file("big", &noise).tar());
    fixture.push(&fixture.layout.image(arch().0, &big, Packing::Gzip), "a:1", &[]);
    let reference = fixture.reference("a:1");
    for steps in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let killed = kill_after(steps, dir.path(), &reference);
        let deadline = Instant::now() + Duration::from_secs(5);
        while at_work_in(dir.path()) {
            assert!(Instant::now() < deadline, "a tool outlives its parent");
            std::thread::sleep(Duration::from_millis(5));
        }
        let store = store(dir.path());
        assert_eq!(leftovers(dir.path()), Vec::<PathBuf>::new(), "after step {steps}");
        let image = store.get(&reference, &options(), &mut |_| {}).unwrap();
        assert_eq!(images::cat(&image.root_disk.path, "hello"), "hello");
        if !killed {
            assert!(steps > 8, "{steps} steps");
            return;
        }
    }
}
