//! Images to and from other engines: what vxn saves podman and skopeo load, what
//! they save vxn loads, and the digests stay. Needs podman, skopeo and
//! squashfs-tools.

#[path = "images/cli.rs"]
mod cli;
#[path = "images/engines.rs"]
mod engines;
mod images;

use cli::Vxn;
use engines::{Podman, skopeo_copy};
use images::{Layout, Packing, arch, layers};
use serde_json::Value;
use tempfile::TempDir;

struct Fixture {
    dir: TempDir,
    vxn: Vxn,
    podman: Podman,
}

impl Fixture {
    /// With the images `one:1` and `two:2` in vxn's store.
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("layout"));
        let vxn = Vxn::new(dir.path());
        for (name, text) in [("one:1", "1"), ("two:2", "2")] {
            layout.tag("t", &layout.image(arch().0, &layers(text), Packing::Gzip));
            let source = format!("oci:{}:t", layout.dir.display());
            vxn.ok(&["pull", &source]);
            vxn.ok(&["tag", &source, name]);
            vxn.ok(&["rmi", &source]);
        }
        let podman = Podman::new(dir.path());
        Fixture { dir, vxn, podman }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn id(&self, name: &str) -> String {
        let image = self.vxn.inspect(name);
        image["Id"].as_str().unwrap().trim_start_matches("sha256:").to_owned()
    }

    fn podmans_id(&self, name: &str) -> String {
        self.podman.run(&["image", "inspect", "--format", "{{.Id}}", name])
    }
}

#[test]
fn podman_loads_what_vxn_saves() {
    for format in ["docker-archive", "oci-archive"] {
        let fixture = Fixture::new();
        let file = fixture.path("saved.tar");
        fixture.vxn.ok(&["save", "--format", format, "-o", &file, "one:1"]);
        let said = fixture.podman.run(&["load", "-i", &file]);
        assert!(said.contains("docker.io/library/one:1"), "{format}: {said}");
        assert_eq!(fixture.podmans_id("docker.io/library/one:1"), fixture.id("one:1"));
    }
}

#[test]
fn skopeo_finds_the_same_digests() {
    let fixture = Fixture::new();
    let image = fixture.vxn.inspect("one:1");
    let file = fixture.path("saved.tar");
    fixture.vxn.ok(&["save", "-o", &file, "one:1", "two:2"]);
    for (number, from) in [
        format!("oci-archive:{file}:docker.io/library/one:1"),
        format!("docker-archive:{file}:docker.io/library/one:1"),
    ]
    .into_iter()
    .enumerate()
    {
        let to = fixture.path(&format!("flat{number}"));
        skopeo_copy(&from, &format!("dir:{to}"));
        let manifest = std::fs::read(format!("{to}/manifest.json")).unwrap();
        let read: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(read["config"]["digest"], image["Id"], "{from}");
        if from.starts_with("oci-archive") {
            assert_eq!(vxn::image::Digest::of(&manifest).to_string(), image["Digest"]);
        }
    }
}

#[test]
fn vxn_loads_what_podman_saves() {
    let fixture = Fixture::new();
    let file = fixture.path("saved.tar");
    fixture.vxn.ok(&["save", "-o", &file, "one:1"]);
    fixture.podman.run(&["load", "-i", &file]);
    fixture.vxn.ok(&["save", "--format", "oci-archive", "-o", &fixture.path("two.tar"), "two:2"]);
    fixture.podman.run(&["load", "-i", &fixture.path("two.tar")]);
    let ids = [fixture.id("one:1"), fixture.id("two:2")];
    let names = ["docker.io/library/one:1", "docker.io/library/two:2"];
    fixture.vxn.ok(&["rmi", "--all"]);
    for (number, arguments) in [
        &["save", "-m", names[0], names[1]][..],
        &["save", "--format", "oci-archive", names[0]],
        &["save", "--format", "docker-archive", names[1]],
    ]
    .into_iter()
    .enumerate()
    {
        let file = fixture.path(&format!("podman{number}.tar"));
        fixture.podman.run(&[&arguments[..1], &["-o", &file], &arguments[1..]].concat());
        let loaded = fixture.vxn.ok(&["load", "-i", &file]);
        for (name, id) in names.iter().zip(&ids).filter(|(name, _)| arguments.contains(name)) {
            assert!(loaded.contains(&format!("Loaded image: {name}")), "{arguments:?}: {loaded}");
            assert_eq!(fixture.id(name), *id, "{arguments:?}");
        }
        fixture.vxn.ok(&["rmi", "--all"]);
    }
}

/// The archive of `docker save` before docker 25: a directory for each layer, and a link
/// in place of one that is there twice.
#[test]
fn vxn_loads_what_docker_saves() {
    let fixture = Fixture::new();
    let layers = images::layers("docker");
    let stack = [&layers[0], &layers[1], &layers[0]];
    let diff_ids = stack.map(|tar| vxn::image::Digest::of(tar).to_string());
    let config = images::config(images::arch().0, &diff_ids).to_string();
    let id = vxn::image::Digest::of(config.as_bytes());
    let names = ["c".repeat(64), "d".repeat(64), "e".repeat(64)];
    let mut tar = tar::Builder::new(Vec::new());
    let mut file = |path: &str, data: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, path, data).unwrap();
    };
    file(&format!("{}.json", id.hex()), config.as_bytes());
    for (name, layer) in names.iter().zip(&stack).take(2) {
        file(&format!("{name}/VERSION"), b"1.0");
        file(&format!("{name}/json"), b"{}");
        file(&format!("{name}/layer.tar"), layer);
    }
    let paths = names.each_ref().map(|name| format!("{name}/layer.tar"));
    let table = serde_json::json!([
        {"Config": format!("{}.json", id.hex()), "RepoTags": ["three:3"], "Layers": paths}
    ]);
    file("manifest.json", table.to_string().as_bytes());
    let top = serde_json::json!({"three": {"3": names[2]}});
    file("repositories", top.to_string().as_bytes());
    let mut link = tar::Header::new_ustar();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, &paths[2], format!("../{}/layer.tar", names[0])).unwrap();
    let path = fixture.path("docker.tar");
    std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
    let loaded = fixture.vxn.ok(&["load", "-i", &path]);
    assert_eq!(loaded, "Loaded image: docker.io/library/three:3");
    assert_eq!(fixture.id("three:3"), id.hex());
}
