//! The image verbs as a user types them, against a real registry with TLS and a
//! password where there is one. Needs docker-registry, openssl, curl, skopeo and
//! squashfs-tools.

#[path = "images/cli.rs"]
mod cli;
mod images;
#[path = "images/registry.rs"]
mod registry;

use std::fs;

use cli::Vxn;
use images::{Layer, Layout, Packing, arch, digest, layers};
use registry::{Registry, Setup};
use serde_json::Value;
use tempfile::TempDir;

struct Fixture {
    dir: TempDir,
    layout: Layout,
    vxn: Vxn,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("layout"));
        let vxn = Vxn::new(dir.path());
        Fixture { dir, layout, vxn }
    }

    /// An image in the store, under `name`; returns its manifest.
    fn image(&self, name: &str, text: &str) -> Value {
        let image = self.layout.image(arch().0, &layers(text), Packing::Gzip);
        self.layout.tag("t", &image);
        let source = format!("oci:{}:t", self.layout.dir.display());
        self.vxn.ok(&["pull", &source]);
        self.vxn.ok(&["tag", &source, name]);
        self.vxn.ok(&["rmi", &source]);
        image
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

#[test]
fn a_registry_with_tls_and_a_password() {
    let fixture = Fixture::new();
    let registry = Registry::start(fixture.dir.path(), Setup { password: true, tls: true });
    let host = registry.host.clone();
    let name = format!("{host}/team/app:1");
    let image = fixture.image(&name, "x");
    let stranger = &fixture.vxn;
    let vxn = stranger.trusting(&registry.certificate());

    let error = stranger.fails(&["push", &name]);
    assert!(error.contains("x509") && error.contains("hint: "), "{error}");
    let error = vxn.fails(&["push", &name]);
    assert!(error.contains("cannot push to") && error.contains("vxn login"), "{error}");
    let wrong = vxn.fails(&["login", "-u", "user", "-p", "wrong", &host]);
    assert!(wrong.contains(&format!("cannot log in to {host}")), "{wrong}");
    let said = vxn.ok_with(&["login", "-u", "user", "--password-stdin", &host], b"secret");
    assert!(said.contains("Login Succeeded"), "{said}");

    let file = fixture.path("digest");
    let pushed = vxn.ok(&["push", "--digestfile", &file, &name]);
    let there = fs::read_to_string(&file).unwrap();
    assert_eq!(pushed, format!("{name}: digest: {there}"));
    assert_eq!(there, digest(&image).to_string(), "nothing is converted");

    let before = vxn.inspect(&name);
    vxn.ok(&["rmi", &name]);
    assert_eq!(vxn.ok(&["images", "-q"]), "");
    assert_eq!(vxn.ok(&["pull", &name]), name);
    assert_eq!(vxn.inspect(&name), before);
    let pinned = format!("{host}/team/app@{there}");
    assert_eq!(vxn.ok(&["pull", "-q", &pinned]), before["Id"]);

    let found = vxn.ok(&["search", "--format", "{{.Name}}", &format!("{host}/ap")]);
    assert_eq!(found, format!("{host}/team/app"));
    vxn.ok(&["logout", &host]);
    let error = vxn.fails(&["pull", &name]);
    assert!(error.contains("vxn login"), "{error}");

    let keys = fixture.path("keys.json");
    let login = ["login", "-u", "user", "--password-stdin", "--authfile", &keys, &host];
    vxn.ok_with(&login, b"secret");
    assert_eq!(vxn.ok(&["pull", "--authfile", &keys, &name]), name);
    assert!(vxn.fails(&["pull", &name]).contains("vxn login"), "they are in that file only");
}

#[test]
fn a_name_without_a_registry_belongs_to_the_settings_one() {
    let fixture = Fixture::new();
    let registry = Registry::start(fixture.dir.path(), Setup::default());
    let vxn = &fixture.vxn;
    vxn.configure(&format!("registry = {:?}\n", registry.host));
    let whole = format!("{}/team/app:1", registry.host);
    fixture.image("team/app:1", "x");
    assert_eq!(vxn.inspect("team/app:1")["RepoTags"], serde_json::json!([whole]));
    vxn.ok(&["push", "--tls-verify=false", "team/app:1"]);
    vxn.ok(&["rmi", "team/app:1"]);
    assert_eq!(vxn.ok(&["pull", "--tls-verify=false", "team/app:1"]), whole);
}

#[test]
fn a_list_has_an_image_for_each_platform() {
    let fixture = Fixture::new();
    let registry = Registry::start(fixture.dir.path(), Setup::default());
    let images =
        ["amd64", "arm64"].map(|arch| fixture.layout.image(arch, &layers(arch), Packing::Gzip));
    let list = fixture.layout.list(&images);
    registry.push(&fixture.layout, &list, "both:1", &["--all"]);
    let (vxn, name) = (&fixture.vxn, format!("{}/both:1", registry.host));
    for (arch, image) in ["amd64", "arm64"].iter().zip(&images) {
        let platform = format!("--platform=linux/{arch}");
        vxn.ok(&["pull", "--tls-verify=false", &platform, &name]);
        let there = vxn.inspect(&name);
        assert_eq!(there["Architecture"], *arch);
        assert_eq!(there["Digest"], image["digest"]);
        // The registry's own digest of the name is the list's.
        let list = format!("{}/both@{}", registry.host, digest(&list));
        assert_eq!(there["RepoDigests"], serde_json::json!([list]));
    }
    let error = vxn.fails(&["pull", "--tls-verify=false", "--platform=linux/s390x", &name]);
    assert!(
        error.contains("is for linux/amd64, linux/arm64, and wanted is linux/s390x"),
        "{error}"
    );
    let dangling = vxn.ok(&["images", "-f", "dangling=true", "--format", "{{.Repository}}"]);
    assert_eq!(dangling, "<none>", "the first lost its name to the second");
}

#[test]
fn mirrors_and_policy_are_those_of_skopeo() {
    let fixture = Fixture::new();
    let registry = Registry::start(fixture.dir.path(), Setup::default());
    let image = fixture.layout.image(arch().0, &layers("x"), Packing::Gzip);
    registry.push(&fixture.layout, &image, "a:1", &[]);
    let containers = fixture.dir.path().join(".config/containers");
    fs::create_dir_all(&containers).unwrap();
    let mirror = format!(
        "[[registry]]\nlocation = \"origin.example\"\n\
         [[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        registry.host
    );
    fs::write(containers.join("registries.conf"), mirror).unwrap();
    let vxn = &fixture.vxn;
    vxn.configure("registry = \"origin.example\"\n");
    assert_eq!(vxn.ok(&["pull", "a:1"]), "origin.example/a:1");
    assert_eq!(vxn.inspect("a:1")["Digest"], image["digest"]);

    vxn.ok(&["rmi", "a:1"]);
    fs::write(containers.join("policy.json"), r#"{"default": [{"type": "reject"}]}"#).unwrap();
    let error = vxn.fails(&["pull", "a:1"]);
    assert!(error.contains("rejected by policy"), "{error}");
}

#[test]
fn a_layer_that_is_corrupted_in_the_registry() {
    let fixture = Fixture::new();
    let registry = Registry::start(fixture.dir.path(), Setup::default());
    let image = fixture.layout.image(arch().0, &layers("x"), Packing::Gzip);
    registry.push(&fixture.layout, &image, "a:1", &[]);
    let manifest = fs::read(fixture.layout.blob(&digest(&image))).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let layer = digest(&manifest["layers"][1]);
    let good = fs::read(registry.blob(&layer)).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(registry.blob(&layer), bad).unwrap();

    let (vxn, name) = (&fixture.vxn, format!("{}/a:1", registry.host));
    let error = vxn.fails(&["pull", "--tls-verify=false", &name]);
    assert!(error.contains(&layer.to_string()), "{error}");
    assert_eq!(vxn.ok(&["images", "-q"]), "");
    assert_eq!(vxn.ok(&["system", "check"]), "The store is clean.");
    fs::write(registry.blob(&layer), good).unwrap();
    vxn.ok(&["pull", "--tls-verify=false", &name]);
}

#[test]
fn names_come_and_go_and_images_with_the_last() {
    let fixture = Fixture::new();
    let vxn = &fixture.vxn;
    let one = fixture.image("one:1", "1");
    fixture.image("two", "2");
    vxn.ok(&["tag", "one:1", "reg.example/also:v"]);
    let list = vxn.ok(&["images", "--format", "{{.Repository}} {{.Tag}}"]);
    let mut lines: Vec<&str> = list.lines().collect();
    lines.sort_unstable();
    let expected =
        ["docker.io/library/one 1", "docker.io/library/two latest", "reg.example/also v"];
    assert_eq!(lines, expected);
    assert!(vxn.ok(&["images", "--digests", "one"]).contains(&digest(&one).to_string()));
    assert_eq!(vxn.ok(&["images", "-f", "reference=reg.example/*", "-q"]).lines().count(), 1);

    let id = vxn.inspect("one:1")["Id"].as_str().unwrap().to_owned();
    let short = &id["sha256:".len()..][..8];
    let error = vxn.fails(&["rmi", short]);
    assert!(error.contains("it has the names") && error.contains("--force"), "{error}");
    assert_eq!(vxn.ok(&["rmi", "one:1"]), "Untagged: docker.io/library/one:1");
    assert_eq!(vxn.inspect(short)["RepoTags"], serde_json::json!(["reg.example/also:v"]));
    let removed = vxn.ok(&["rmi", "reg.example/also:v"]);
    assert_eq!(removed, format!("Untagged: reg.example/also:v\nDeleted: {id}"));
    assert!(vxn.fails(&["image", "inspect", short]).contains("no such image"));
    assert!(vxn.fails(&["inspect", short]).contains(short));

    vxn.ok(&["untag", "two"]);
    assert_eq!(vxn.ok(&["images", "--format", "{{.Repository}}"]), "<none>");
    let pruned = vxn.ok(&["image", "prune", "--force"]);
    assert!(pruned.starts_with("Deleted: sha256:") && pruned.contains("reclaimed"), "{pruned}");
    let df = vxn.ok(&["system", "df", "--format", "{{.TotalCount}} {{.Size}}"]);
    assert_eq!(df, ["0 0B"; 3].join("\n"), "images, containers, volumes");
    for dir in ["images/blobs/sha256", "disks"] {
        let left = fs::read_dir(vxn.root(dir)).unwrap();
        let left: Vec<_> = left.map(|e| e.unwrap().file_name()).filter(|n| n != ".lock").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn an_image_of_a_container_is_kept() {
    let fixture = Fixture::new();
    let vxn = &fixture.vxn;
    fixture.image("one", "1");
    vxn.ok(&["create", "--name", "web", "one", "true"]);

    let error = vxn.fails(&["rmi", "one"]);
    assert!(error.contains("it is the image of container web"), "{error}");
    vxn.ok(&["image", "prune", "--all", "--force"]);
    let disk = vxn.inspect("one")["RootDisk"].as_str().unwrap().to_owned();
    assert_eq!(vxn.ok(&["rmi", "--force", "one"]), "Untagged: docker.io/library/one:latest");
    assert!(fs::exists(&disk).unwrap(), "the container still needs it");
    assert_eq!(vxn.ok(&["images", "--format", "{{.Repository}}"]), "<none>");
    vxn.ok(&["rm", "web"]);
    vxn.ok(&["image", "prune", "--force"]);
    assert!(!fs::exists(&disk).unwrap());
}

#[test]
fn a_damaged_store_is_found_and_mended() {
    let fixture = Fixture::new();
    let registry = Registry::start(fixture.dir.path(), Setup::default());
    let image = fixture.layout.image(arch().0, &layers("x"), Packing::Gzip);
    registry.push(&fixture.layout, &image, "a:1", &[]);
    let (vxn, name) = (&fixture.vxn, format!("{}/a:1", registry.host));
    vxn.ok(&["pull", "--tls-verify=false", &name]);
    let before = vxn.inspect(&name);
    let disk = before["RootDisk"].as_str().unwrap();
    let layer = before["Layers"][0]["Digest"].as_str().unwrap().trim_start_matches("sha256:");
    let damage = |path: &std::path::Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    damage(disk.as_ref());
    damage(&vxn.root(&format!("images/blobs/sha256/{layer}")));

    let looked = vxn.output(&["system", "check", "--dry-run"], b"");
    assert_eq!(looked.status.code(), Some(1));
    let words = String::from_utf8(looked.stdout).unwrap();
    assert!(words.contains(layer) && words.contains("root disk of"), "{words}");
    let mended = vxn.ok(&["system", "check", "--tls-verify=false"]);
    for word in ["removed", "fetched again", "made again"] {
        assert!(mended.contains(word), "{mended}");
    }
    assert_eq!(vxn.ok(&["system", "check"]), "The store is clean.");
    assert_eq!(vxn.inspect(&name), before);
}

#[test]
fn a_root_file_system_becomes_an_image() {
    let fixture = Fixture::new();
    let (vxn, file) = (&fixture.vxn, fixture.path("root.tar.gz"));
    let tar = Layer::new().file("etc/motd", b"hello\n").file("bin/sh", b"#!").tar();
    fs::write(&file, images::gzip(&tar)).unwrap();
    let changes =
        ["--change", "CMD [\"/bin/sh\", \"-c\", \"x y\"]", "-c", "ENV A=1", "-c", "USER 7"];
    let id = vxn.ok(&[&["import", "-m", "made here"][..], &changes, &[&file, "base:1"]].concat());
    let image = vxn.inspect("base:1");
    assert_eq!(image["Id"], id);
    assert_eq!(image["Config"]["Cmd"], serde_json::json!(["/bin/sh", "-c", "x y"]));
    assert_eq!(
        (&image["Config"]["Env"][0], &image["Config"]["User"]),
        (&"A=1".into(), &"7".into())
    );
    assert_eq!(images::cat(image["RootDisk"].as_str().unwrap().as_ref(), "etc/motd"), "hello\n");
    assert!(vxn.ok(&["history", "base:1"]).contains("made here"));
    let again = vxn.ok_with(&["import", "-"], &tar);
    assert_eq!(vxn.inspect(&again)["RootFS"], image["RootFS"], "compression is no difference");
    assert!(vxn.fails(&["import", "-c", "RUN ls", &file]).contains("RUN cannot be changed"));

    vxn.configure("image_limit = 2000\n");
    let error = vxn.fails(&["import", &file]);
    assert!(error.contains("more than the allowed 2000"), "{error}");
}

#[test]
fn a_decompression_bomb_is_refused_by_the_settings_limit() {
    let fixture = Fixture::new();
    let vxn = &fixture.vxn;
    let bomb = Layer::new().file("zeros", &vec![0; 4 << 20]).tar();
    let image = fixture.layout.image(arch().0, &[bomb], Packing::Gzip);
    fixture.layout.tag("bomb", &image);
    let source = format!("oci:{}:bomb", fixture.layout.dir.display());
    vxn.configure("image_limit = \"1M\"\n");
    let error = vxn.fails(&["pull", &source]);
    assert!(error.contains("layer sha256:") && error.contains("1048576 bytes"), "{error}");
    vxn.configure("image_limit = \"16M\"\n");
    vxn.ok(&["pull", &source]);
}

#[test]
fn archives_come_back_as_they_went() {
    let fixture = Fixture::new();
    let vxn = &fixture.vxn;
    fixture.image("one:1", "1");
    fixture.image("two", "2");
    let before = [vxn.inspect("one:1"), vxn.inspect("two")];
    for format in ["docker-archive", "oci-archive"] {
        let file = fixture.path(format);
        vxn.ok(&["save", "--format", format, "-o", &file, "one:1", "two"]);
        vxn.ok(&["rmi", "--all"]);
        let loaded = vxn.ok(&["load", "-i", &file]);
        assert_eq!(
            loaded,
            "Loaded image: docker.io/library/one:1\nLoaded image: docker.io/library/two:latest"
        );
        assert_eq!([vxn.inspect("one:1"), vxn.inspect("two")], before);
    }
    let saved = vxn.output(&["save", "two"], b"").stdout;
    vxn.ok(&["rmi", "two"]);
    vxn.ok_with(&["load", "-q"], &images::gzip(&saved));
    assert_eq!(vxn.inspect("two"), before[1]);
    let error = vxn.output(&["load"], b"no archive");
    assert_eq!(error.status.code(), Some(1));
}

#[test]
fn a_bundle_is_what_a_runtime_expects() {
    let fixture = Fixture::new();
    fixture.image("one", "1");
    let dir = fixture.path("bundle");
    fixture.vxn.ok(&["bundle", "one", &dir, "--", "/hello", "a b"]);
    let config = fs::read(fixture.dir.path().join("bundle/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let process = &config["process"];
    assert_eq!(process["args"], serde_json::json!(["/hello", "a b"]));
    assert_eq!((&process["cwd"], &process["user"]["uid"]), (&"/work".into(), &7.into()));
    assert!(process["env"].as_array().unwrap().contains(&"A=b".into()));
    assert_eq!(config["root"]["path"], "rootfs");
    assert_eq!(fs::read(fixture.dir.path().join("bundle/rootfs/etc/new")).unwrap(), b"1");
    let vxn = &fixture.vxn;
    assert!(vxn.fails(&["bundle", "one", &dir]).contains("is not empty"));

    // Whatever makes a container comes by its image in these ways.
    let id = vxn.inspect("one")["Id"].as_str().unwrap()["sha256:".len()..][..12].to_owned();
    vxn.ok(&["bundle", "--pull=never", &id, &fixture.path("by-id"), "--", "/hello"]);
    let error = vxn.fails(&["bundle", "--pull=never", "two", &fixture.path("none")]);
    assert!(error.contains("no such image: two"), "{error}");
    let other = format!("--platform=linux/{}", arch().1);
    let error = vxn.fails(&["bundle", &other, "one", &fixture.path("none")]);
    assert!(error.contains("this host runs linux/"), "{error}");
    let error = vxn.fails(&["bundle", "--pull=always", "localhost:1/none", &fixture.path("none")]);
    assert!(error.contains("connection refused"), "{error}");
}
