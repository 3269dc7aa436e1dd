//! OCI runtime bundles (runtime-spec, bundle.md): a root file system and a
//! `config.json`, for any runtime.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use oci_spec::runtime::{ProcessBuilder, RootBuilder, Spec, User, UserBuilder};
use vxn_proto::ProcessSpec;

use crate::tool::{self, UNSQUASHFS};

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory has something in it.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The root disk could not be unpacked.
    #[error(transparent)]
    Tool(#[from] tool::Error),
    /// The image has no such user or group.
    #[error("the image has no {what} {name:?}")]
    Nobody {
        /// User or group.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// JSON knows text only.
    #[error("{0:?} is no UTF-8, and a config.json holds nothing else")]
    NotText(String),
    /// The specification's own rules.
    #[error("config.json: {0}")]
    Spec(#[from] oci_spec::OciSpecError),
    /// A file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

type Result<T> = std::result::Result<T, Error>;

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), source }
}

/// Writes a bundle into `dir`, which is made or empty: the content of `disk` and
/// a configuration that runs `process` in it.
pub fn write(disk: &Path, process: &ProcessSpec, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(at(dir))?;
    if fs::read_dir(dir).map_err(at(dir))?.next().is_some() {
        return Err(Error::NotEmpty(dir.to_owned()));
    }
    let spec = spec(disk, process)?;
    let rootfs = dir.join("rootfs");
    let mut command = UNSQUASHFS.command()?;
    command.args(["-no-progress", "-dest"]).arg(&rootfs).arg(disk);
    UNSQUASHFS.start(&mut command)?.wait()?;
    let config = dir.join("config.json");
    let json = serde_json::to_vec_pretty(&spec).map_err(|e| at(&config)(e.into()))?;
    crate::state::write_atomic(&config, &json).map_err(at(&config))
}

fn spec(disk: &Path, process: &ProcessSpec) -> Result<Spec> {
    let text = |bytes: &[u8]| {
        let lossy = || Error::NotText(String::from_utf8_lossy(bytes).into_owned());
        String::from_utf8(bytes.to_vec()).map_err(|_| lossy())
    };
    let list = |items: &[Vec<u8>]| items.iter().map(|i| text(i)).collect::<Result<Vec<_>>>();
    let cwd = if process.cwd.is_empty() { "/".to_owned() } else { text(&process.cwd)? };
    let built = ProcessBuilder::default()
        .terminal(false)
        .args(list(&process.args)?)
        .env(list(&process.env)?)
        .cwd(cwd)
        .user(user(disk, &process.user)?)
        .no_new_privileges(false)
        .build()?;
    let mut spec = Spec::default();
    spec.set_process(Some(built));
    spec.set_root(Some(RootBuilder::default().path("rootfs").readonly(false).build()?));
    spec.set_hostname(Some("vxn".to_owned()));
    Ok(spec)
}

/// `USER[:GROUP]`, names looked up in the image itself.
fn user(disk: &Path, text: &str) -> Result<User> {
    let (name, group) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
    let (uid, mut gid) = match name.parse() {
        _ if name.is_empty() => (0, 0),
        Ok(uid) => (uid, 0),
        Err(_) => {
            let line = line(disk, "etc/passwd", name)?;
            let ids = line.as_ref().and_then(|l| Some((id(l, 2)?, id(l, 3)?)));
            ids.ok_or_else(|| Error::Nobody { what: "user", name: name.to_owned() })?
        }
    };
    if let Some(group) = group {
        gid = match group.parse() {
            Ok(gid) => gid,
            Err(_) => line(disk, "etc/group", group)?
                .and_then(|line| id(&line, 2))
                .ok_or_else(|| Error::Nobody { what: "group", name: group.to_owned() })?,
        };
    }
    Ok(UserBuilder::default().uid(uid).gid(gid).build()?)
}

fn id(line: &str, field: usize) -> Option<u32> {
    line.split(':').nth(field)?.parse().ok()
}

/// More than any real passwd has, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// The line of a passwd or group file that begins with `name`. The file is read
/// inside the disk: a symbolic link of the image's leads nowhere else.
fn line(disk: &Path, file: &str, name: &str) -> Result<Option<String>> {
    let mut command = UNSQUASHFS.command()?;
    command.arg("-cat").arg(disk).arg(file).stdout(Stdio::piped());
    let mut running = UNSQUASHFS.start(&mut command)?;
    let mut bytes = Vec::new();
    if let Some(out) = running.stdout() {
        out.take(MAX_FILE).read_to_end(&mut bytes).map_err(at(disk))?;
    }
    // An image without the file has no such user; unsquashfs calls that a failure.
    drop(running);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = text.lines().map(str::to_owned);
    Ok(lines.find(|line| line.split(':').next() == Some(name)))
}
