//! Images for the image suites: layouts made entry by entry.
#![allow(dead_code, reason = "each suite uses its part")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};
use vxn::image::{Digest, PullOptions, Store};
use vxn::tool::Tool;

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    /// Two gzip members, as estargz has many.
    Members,
    Zstd,
}

/// A layer in the making.
pub struct Layer(Builder<Vec<u8>>);

impl Layer {
    pub fn new() -> Layer {
        Layer(Builder::new(Vec::new()))
    }

    pub fn entry(mut self, kind: EntryType, name: &str, mode: u32, data: &[u8]) -> Layer {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_700_000_000);
        header.set_size(data.len() as u64);
        self.0.append_data(&mut header, name, data).unwrap();
        self
    }

    pub fn file(self, name: &str, data: &[u8]) -> Layer {
        self.entry(EntryType::Regular, name, 0o644, data)
    }

    pub fn link(mut self, kind: EntryType, name: &str, target: &str) -> Layer {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o777);
        header.set_size(0);
        self.0.append_link(&mut header, name, target).unwrap();
        self
    }

    pub fn xattr(mut self, name: &str, value: &[u8]) -> Layer {
        let key = format!("SCHILY.xattr.{name}");
        self.0.append_pax_extensions([(key.as_str(), value)]).unwrap();
        self
    }

    pub fn tar(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// An OCI layout in a directory.
pub struct Layout {
    pub dir: PathBuf,
}

impl Layout {
    pub fn new(dir: &Path) -> Layout {
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        let layout = Layout { dir: dir.to_owned() };
        layout.write("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}));
        layout.write("index.json", &json!({"schemaVersion": 2, "manifests": []}));
        layout
    }

    fn write(&self, name: &str, value: &Value) {
        fs::write(self.dir.join(name), value.to_string()).unwrap();
    }

    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Adds a blob and returns its descriptor.
    pub fn add(&self, media: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.blob(&digest), bytes).unwrap();
        json!({"mediaType": media, "digest": digest.to_string(), "size": bytes.len()})
    }

    pub fn json(&self, media: &str, value: &Value) -> Value {
        self.add(media, value.to_string().as_bytes())
    }

    pub fn layer(&self, tar: &[u8], packing: Packing) -> Value {
        let (suffix, bytes) = match packing {
            Packing::Plain => ("", tar.to_vec()),
            Packing::Gzip => ("+gzip", gzip(tar)),
            Packing::Members => {
                let (a, b) = tar.split_at(tar.len() / 3);
                ("+gzip", [gzip(a), gzip(b)].concat())
            }
            Packing::Zstd => ("+zstd", zstd::encode_all(tar, 3).unwrap()),
        };
        self.add(&format!("application/vnd.oci.image.layer.v1.tar{suffix}"), &bytes)
    }

    /// Adds an image for `arch` and returns its manifest's descriptor.
    pub fn image(&self, arch: &str, layers: &[Vec<u8>], packing: Packing) -> Value {
        let diff_ids: Vec<String> = layers.iter().map(|tar| Digest::of(tar).to_string()).collect();
        let descriptors: Vec<Value> = layers.iter().map(|tar| self.layer(tar, packing)).collect();
        self.manifest(&config(arch, &diff_ids), descriptors)
    }

    pub fn manifest(&self, config: &Value, layers: Vec<Value>) -> Value {
        let platform = json!({"os": config["os"], "architecture": config["architecture"]});
        let config = self.json("application/vnd.oci.image.config.v1+json", config);
        let media = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media, "config": config, "layers": layers});
        let mut descriptor = self.json(media, &manifest);
        descriptor["platform"] = platform;
        descriptor
    }

    /// Adds an index of `manifests` and returns its descriptor.
    pub fn list(&self, manifests: &[Value]) -> Value {
        let media = "application/vnd.oci.image.index.v1+json";
        self.json(media, &json!({"schemaVersion": 2, "mediaType": media, "manifests": manifests}))
    }

    /// Makes `name` mean `descriptor`.
    pub fn tag(&self, name: &str, descriptor: &Value) {
        let index = fs::read(self.dir.join("index.json")).unwrap();
        let mut index: Value = serde_json::from_slice(&index).unwrap();
        let key = "org.opencontainers.image.ref.name";
        let manifests = index["manifests"].as_array_mut().unwrap();
        manifests.retain(|d| d["annotations"][key] != name);
        let mut descriptor = descriptor.clone();
        descriptor["annotations"][key] = json!(name);
        manifests.push(descriptor);
        self.write("index.json", &index);
    }
}

pub fn config(arch: &str, diff_ids: &[String]) -> Value {
    json!({
        "os": "linux", "architecture": arch,
        "config": {"Cmd": ["/hello"], "Env": ["A=b"], "User": "7:8", "WorkingDir": "/work"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

pub fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The architecture that this host runs, and one that it does not.
pub fn arch() -> (&'static str, &'static str) {
    if cfg!(target_arch = "x86_64") { ("amd64", "arm64") } else { ("arm64", "amd64") }
}

/// Everything of the layers' own, little: two layers with all that layers have.
pub fn layers(text: &str) -> Vec<Vec<u8>> {
    let lower = Layer::new()
        .entry(EntryType::Directory, "bin/", 0o755, b"")
        .entry(EntryType::Regular, "bin/su", 0o4755, b"su")
        .link(EntryType::Link, "bin/su2", "bin/su")
        .link(EntryType::Symlink, "lib", "usr/lib")
        .entry(EntryType::Fifo, "run/pipe", 0o600, b"")
        .file("etc/old", b"old")
        .file("opt/a/b", b"below");
    let upper = Layer::new()
        .file("etc/.wh.old", b"")
        .file("etc/new", text.as_bytes())
        .file("opt/a/.wh..wh..opq", b"")
        .xattr("user.note", b"line\nline\0")
        .file("hello", b"hello");
    vec![lower.tar(), upper.tar()]
}

pub fn store(dir: &Path) -> Store {
    Store::open(&dir.join("vxn")).unwrap()
}

pub fn options() -> PullOptions {
    PullOptions { tls_verify: false, ..PullOptions::default() }
}

const UNSQUASHFS: Tool = Tool { name: "unsquashfs", package: "squashfs-tools" };

/// What `unsquashfs` prints.
pub fn unsquashfs(arguments: &[&str]) -> String {
    let output =
        UNSQUASHFS.command().unwrap().args(arguments).stdout(std::process::Stdio::piped()).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// The names in a squashfs, each with mode and owner as `ls -l` has them.
pub fn list(disk: &Path) -> Vec<String> {
    let listing = unsquashfs(&["-lln", disk.to_str().unwrap()]);
    let lines = listing.lines().filter(|line| line.contains("squashfs-root/"));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (mode, owner) = (words.next().unwrap(), words.next().unwrap());
            let name = line.split_once("squashfs-root/").unwrap().1;
            format!("{mode} {owner} {name}")
        })
        .collect()
}

pub fn cat(disk: &Path, name: &str) -> String {
    unsquashfs(&["-cat", disk.to_str().unwrap(), name])
}

/// Whether anything is left in a store's `tmp/`.
pub fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("vxn/tmp")).into_iter().flatten();
    entries.map(|e| e.unwrap().path()).filter(|p| !p.ends_with(".lock")).collect()
}
