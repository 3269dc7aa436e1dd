//! Debian's docker-registry on loopback: plain or with TLS, open or with a
//! password, and what it was asked for.
#![allow(dead_code, reason = "each suite uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use vxn::image::Digest;
use vxn::tool::{Running, SKOPEO, Tool};

use crate::images::Layout;

const REGISTRY: Tool = Tool { name: "docker-registry", package: "docker-registry" };
const OPENSSL: Tool = Tool { name: "openssl", package: "openssl" };
/// User `user`, password `secret`.
const HTPASSWD: &str = "user:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// How a registry is set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    pub password: bool,
    pub tls: bool,
}

/// A registry; dropping it ends it.
pub struct Registry {
    /// Host and port.
    pub host: String,
    dir: PathBuf,
    setup: Setup,
    server: Option<Running>,
}

impl Registry {
    /// Starts one on a free port, with its files in `dir`.
    pub fn start(dir: &Path, setup: Setup) -> Registry {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let mut registry = Registry { host, dir: dir.to_owned(), setup, server: None };
        registry.configure();
        registry.resume();
        registry
    }

    fn configure(&self) {
        let passwords = self.dir.join("htpasswd");
        fs::write(&passwords, HTPASSWD).unwrap();
        let mut config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: '{}'\n",
            self.dir.join("registry").display(),
            self.host,
        );
        if self.setup.tls {
            let (key, certificate) = (self.dir.join("key.pem"), self.certificate());
            let mut openssl = OPENSSL.command().unwrap();
            openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
            openssl.args(["-nodes", "-days", "2", "-subj", "/CN=test"]);
            openssl.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
            openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
            OPENSSL.start(&mut openssl).unwrap().wait().unwrap();
            let (key, certificate) = (key.display(), certificate.display());
            config += &format!("  tls: {{certificate: {certificate}, key: {key}}}\n");
        }
        if self.setup.password {
            config += &format!("auth: {{htpasswd: {{realm: r, path: {}}}}}\n", passwords.display());
        }
        fs::write(self.dir.join("registry.yml"), config).unwrap();
    }

    /// What a client has to trust.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("cert.pem")
    }

    /// Starts it again on the same port, and waits until it answers.
    pub fn resume(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = REGISTRY.command().unwrap();
        command.arg("serve").arg(self.dir.join("registry.yml")).stdout(log);
        self.server = Some(REGISTRY.start(&mut command).unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&self.host).is_err() {
            assert!(Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.server = None;
    }

    fn log(&self) -> PathBuf {
        self.dir.join("access.log")
    }

    /// The blobs that were asked for, each with the bytes of all its answers:
    /// `… "GET /v2/NAME/blobs/sha256:… HTTP/1.1" 200 BYTES …`.
    pub fn answers(&self) -> BTreeMap<Digest, Vec<u64>> {
        let mut answers: BTreeMap<Digest, Vec<u64>> = BTreeMap::new();
        for line in fs::read_to_string(self.log()).unwrap().lines() {
            let Some((_, request)) = line.split_once("\"GET /v2/") else { continue };
            let Some((_, blob)) = request.split_once("/blobs/") else { continue };
            let mut words = blob.split_whitespace();
            let digest = words.next().unwrap().parse().unwrap();
            let bytes = words.nth(2).unwrap().parse().unwrap();
            answers.entry(digest).or_default().push(bytes);
        }
        answers
    }

    /// The file in which it keeps a blob.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let blobs = self.dir.join("registry/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(&hex).join("data")
    }

    /// Pushes a descriptor of a layout under `name`, by skopeo.
    pub fn push(&self, layout: &Layout, descriptor: &Value, name: &str, extra: &[&str]) {
        layout.tag("push", descriptor);
        let from = format!("oci:{}:push", layout.dir.display());
        let to = format!("docker://{}/{name}", self.host);
        let mut skopeo = SKOPEO.command().unwrap();
        skopeo.args(["copy", "-q", "--dest-tls-verify=false"]).args(extra);
        if self.setup.password {
            skopeo.arg("--dest-creds=user:secret");
        }
        SKOPEO.start(skopeo.args([from, to])).unwrap().wait().unwrap();
    }
}
