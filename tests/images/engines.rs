//! podman and buildah with stores of their own, away from the host's.
#![allow(dead_code, reason = "each suite uses its part")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use vxn::tool::{SKOPEO, Tool};

const BUILDAH: Tool = Tool { name: "buildah", package: "buildah" };
const PODMAN: Tool = Tool { name: "podman", package: "podman" };

/// The store of both.
#[derive(Debug, Clone)]
struct Storage {
    root: PathBuf,
    run: PathBuf,
}

impl Storage {
    fn new(dir: &Path) -> Storage {
        Storage { root: dir.join("storage"), run: dir.join("storage-run") }
    }

    /// Runs a program on it and returns what it prints.
    fn run(&self, tool: Tool, arguments: &[&str]) -> String {
        let mut command = tool.command().unwrap();
        command.arg("--root").arg(&self.root).arg("--runroot").arg(&self.run);
        // vfs works on every file system, inside a container too.
        command.args(["--storage-driver", "vfs"]).args(arguments);
        let mut running = tool.start(command.stdout(Stdio::piped())).unwrap();
        let mut text = String::new();
        running.stdout().unwrap().read_to_string(&mut text).unwrap();
        running.wait().unwrap();
        text.trim_end().to_owned()
    }
}

/// buildah.
#[derive(Debug)]
pub struct Buildah(Storage);

impl Buildah {
    pub fn new(dir: &Path) -> Buildah {
        Buildah(Storage::new(dir))
    }

    /// Runs `script` in an image and commits what becomes of it.
    pub fn build(&self, base: &str, name: &str, script: &str) {
        let base = format!("localhost/{base}:latest");
        let container = self.0.run(BUILDAH, &["from", &base]);
        let shell = ["run", "--isolation", "chroot", &container, "--", "/bin/sh", "-ec", script];
        self.0.run(BUILDAH, &shell);
        self.0.run(BUILDAH, &["commit", "-q", "--rm", &container, &format!("localhost/{name}")]);
    }

    /// The image as vxn and skopeo call it.
    pub fn reference(&self, name: &str) -> String {
        let (root, run) = (self.0.root.display(), self.0.run.display());
        format!("containers-storage:[vfs@{root}+{run}]localhost/{name}:latest")
    }

    /// Makes an image of a directory.
    pub fn take(&self, root: &Path, name: &str) {
        let container = self.0.run(BUILDAH, &["from", "scratch"]);
        self.0.run(BUILDAH, &["copy", "-q", &container, root.to_str().unwrap(), "/"]);
        self.0.run(BUILDAH, &["commit", "-q", "--rm", &container, &format!("localhost/{name}")]);
    }

    /// Copies an image out.
    pub fn give(&self, name: &str, to: &str) {
        skopeo_copy(&self.reference(name), to);
    }
}

pub fn skopeo_copy(from: &str, to: &str) {
    let mut command = SKOPEO.command().unwrap();
    command.args(["copy", "-q", from, to]);
    SKOPEO.start(&mut command).unwrap().wait().unwrap();
}

/// podman.
#[derive(Debug)]
pub struct Podman(Storage);

impl Podman {
    pub fn new(dir: &Path) -> Podman {
        Podman(Storage::new(dir))
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        self.0.run(PODMAN, arguments)
    }
}
