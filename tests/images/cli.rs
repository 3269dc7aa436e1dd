//! The program itself, with a store of its own.
#![allow(dead_code, reason = "each suite uses its part")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// `vxn` with its state in a directory.
#[derive(Debug, Clone)]
pub struct Vxn {
    dir: PathBuf,
    trusted: Option<PathBuf>,
    path: Option<OsString>,
}

impl Vxn {
    pub fn new(dir: &Path) -> Vxn {
        fs::write(dir.join("vxn.toml"), "").unwrap();
        Vxn { dir: dir.to_owned(), trusted: None, path: None }
    }

    /// The same, which trusts a certificate.
    pub fn trusting(&self, certificate: &Path) -> Vxn {
        Vxn { trusted: Some(certificate.to_owned()), ..self.clone() }
    }

    /// The same, which looks for programs there.
    pub fn with_path(&self, path: &OsStr) -> Vxn {
        Vxn { path: Some(path.to_owned()), ..self.clone() }
    }

    /// Settings, in the words of the file.
    pub fn configure(&self, settings: &str) {
        fs::write(self.dir.join("vxn.toml"), settings).unwrap();
    }

    /// A file of its store.
    pub fn root(&self, path: &str) -> PathBuf {
        self.dir.join("vxn").join(path)
    }

    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = vxn::tool::command(Path::new(env!("CARGO_BIN_EXE_vxn")));
        command.args(arguments).env("VXN_ROOT", self.root("")).env("VXN_RUN", self.dir.join("run"));
        command.env("VXN_CONFIG", self.dir.join("vxn.toml"));
        command.env("REGISTRY_AUTH_FILE", self.dir.join("auth.json")).env("HOME", &self.dir);
        if let Some(certificate) = &self.trusted {
            command.env("SSL_CERT_FILE", certificate).env("CURL_CA_BUNDLE", certificate);
        }
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn output<S: AsRef<OsStr>>(&self, arguments: &[S], stdin: &[u8]) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // It may not want to read it.
            scope.spawn(move || drop(to.write_all(stdin)));
            child.wait_with_output().unwrap()
        })
    }

    /// What it prints; it has to succeed.
    #[track_caller]
    pub fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        self.ok_with(arguments, b"")
    }

    #[track_caller]
    pub fn ok_with<S: AsRef<OsStr>>(&self, arguments: &[S], stdin: &[u8]) -> String {
        let output = self.output(arguments, stdin);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", output.status);
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// What it says when it fails with code 1: an error and perhaps a hint.
    #[track_caller]
    pub fn fails<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.output(arguments, b"");
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        let last: Vec<&str> =
            words.lines().filter(|l| l.starts_with("vxn: ") || l.starts_with("hint: ")).collect();
        assert!(!last.is_empty(), "{words}");
        last.join("\n")
    }

    /// What `inspect` says of an image.
    #[track_caller]
    pub fn inspect(&self, image: &str) -> Value {
        let text = self.ok(&["inspect", image]);
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    }
}
