//! A bundle: `config.json`, and the root file system that it names.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Process, Spec};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::at;
use super::{Error, Result, shape};

/// More than any real configuration has, in bytes.
const MAX_CONFIG: u64 = 16 << 20;

/// What a caller has prepared.
#[derive(Debug)]
pub struct Bundle {
    /// The bundle's directory, absolute.
    pub dir: PathBuf,
    /// Its configuration.
    pub spec: Spec,
    /// The process of the configuration.
    pub process: Process,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
}

impl Bundle {
    /// Reads the bundle at `dir`.
    ///
    /// # Errors
    /// There is no configuration, it does not follow the specification, or its root is
    /// no directory.
    pub fn load(dir: &Path) -> Result<Bundle> {
        let dir = dir.canonicalize().map_err(at(dir))?;
        let path = dir.join("config.json");
        let spec: Spec = read_json(&path, "")?;
        let wrong = |why: &str| Error::Config { path: path.clone(), why: why.to_owned() };
        if spec.version().split('.').next() != Some("1") {
            return Err(wrong(&format!("unknown ociVersion {:?}: 1.x is known", spec.version())));
        }
        let process = spec.process().clone().ok_or_else(|| wrong("there is no process"))?;
        check(&process).map_err(|why| wrong(&why))?;
        let root = spec.root().as_ref().ok_or_else(|| wrong("there is no root"))?;
        let rootfs = dir.join(root.path());
        let rootfs = rootfs.canonicalize().map_err(at(&rootfs))?;
        if !rootfs.is_dir() {
            return Err(wrong(&format!("root.path {} is no directory", rootfs.display())));
        }
        Ok(Bundle { dir, spec, process, rootfs })
    }
}

/// The process of the file at `path`, for an `exec`.
///
/// # Errors
/// It does not follow the specification.
pub fn process(path: &Path) -> Result<Process> {
    let process: Process = read_json(path, "/process")?;
    check(&process).map_err(|why| Error::Config { path: path.to_owned(), why })?;
    Ok(process)
}

/// Reads what a caller has written, the part `part` of a configuration; the error says in
/// which field it is wrong.
fn read_json<T: DeserializeOwned>(path: &Path, part: &str) -> Result<T> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(at(path))?;
    file.take(MAX_CONFIG + 1).read_to_end(&mut bytes).map_err(at(path))?;
    let wrong = |why: String| Error::Config { path: path.to_owned(), why };
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(wrong(format!("it is larger than {} MiB", MAX_CONFIG >> 20)));
    }
    let json: Value = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    shape::check(&json, part).map_err(wrong)?;
    serde_path_to_error::deserialize(json).map_err(|e| wrong(e.to_string()))
}

/// What the specification demands, and the types do not say.
fn check(process: &Process) -> std::result::Result<(), String> {
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err("process.args is empty".to_owned());
    }
    if !process.cwd().is_absolute() {
        return Err(format!("process.cwd {:?} is no absolute path", process.cwd()));
    }
    Ok(())
}

/// Writes the configuration of a new bundle: a shell, with docker's defaults.
///
/// # Errors
/// There is one already, or it cannot be written.
pub fn template(dir: &Path) -> Result<()> {
    let path = dir.join("config.json");
    let json = serde_json::to_vec_pretty(&Spec::default()).map_err(|e| at(&path)(e.into()))?;
    let mut file = File::create_new(&path).map_err(at(&path))?;
    std::io::Write::write_all(&mut file, &json).map_err(at(&path))?;
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(config: &str) -> (tempfile::TempDir, Result<Bundle>) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        fs::write(dir.path().join("config.json"), config).unwrap();
        let loaded = Bundle::load(dir.path());
        (dir, loaded)
    }

    #[test]
    fn the_template_is_a_bundle() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rootfs")).unwrap();
        template(dir.path()).unwrap();
        let bundle = Bundle::load(dir.path()).unwrap();
        assert!(bundle.rootfs.ends_with("rootfs"));
        assert!(template(dir.path()).is_err(), "nothing is overwritten");
    }

    #[test]
    fn a_mistake_is_named() {
        for (config, what) in [
            ("", "EOF"),
            ("{\"ociVersion\":\"2.0.0\"}", "ociVersion"),
            ("{\"ociVersion\":\"1.0.2\"}", "no process"),
            (
                r#"{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"cwd":"x","args":["a"]}}"#,
                "process.cwd",
            ),
            (
                r#"{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"cwd":"/","args":[]}}"#,
                "process.args",
            ),
            (
                r#"{"ociVersion":"1.0.2","root":{"path":"no"},"process":{"user":{"uid":0,"gid":0},"cwd":"/","args":["a"]}}"#,
                "No such file",
            ),
        ] {
            let error = bundle(config).1.unwrap_err().to_string();
            assert!(error.contains(what), "{config}: {error}");
        }
    }
}
