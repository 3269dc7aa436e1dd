//! `vxn cp`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use nix::unistd::{getegid, geteuid};
use vxn_files::{Options, Root};
use vxn_proto::FileRequest;

use super::engine::Engine;
use super::{files, format, image};
use crate::config::Settings;

/// Copy files between a container, running or not, and this host.
#[derive(Debug, Args)]
#[command(
    override_usage = "vxn cp [OPTIONS] CONTAINER:SRC DEST|-\n       vxn cp [OPTIONS] SRC|- CONTAINER:DEST",
    after_help = "Examples:\n  vxn cp web:/var/log/nginx ./logs\n  vxn cp -a ./site/. web:/srv/www\n  \
                  vxn cp db:/data - | gzip >data.tar.gz\n\nA local name with a colon in it is written ./NAME."
)]
pub struct CpArgs {
    /// Keep user and group of everything; else all is root's in the container, and yours here.
    #[arg(short, long)]
    archive: bool,
    /// If SRC is a symbolic link, copy where it leads.
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Do not say what was copied.
    #[arg(short, long)]
    quiet: bool,
    /// What to copy; with /. at its end, what is in that directory. - is a tar from stdin.
    #[arg(value_name = "SRC")]
    source: OsString,
    /// Where to; - is a tar to stdout.
    #[arg(value_name = "DEST")]
    destination: OsString,
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Container { name: String, path: OsString },
    Here(PathBuf),
    Stream,
}

impl End {
    /// As docker reads it: a path that is absolute or begins with a dot is none of a
    /// container.
    fn parse(word: &OsStr) -> anyhow::Result<End> {
        let bytes = word.as_bytes();
        if bytes.is_empty() {
            bail!("a path is empty");
        }
        if bytes == b"-" {
            return Ok(End::Stream);
        }
        let colon = bytes.iter().position(|byte| *byte == b':').filter(|at| *at > 0);
        match colon {
            Some(at) if !bytes.starts_with(b"/") && !bytes.starts_with(b".") => {
                let name =
                    std::str::from_utf8(&bytes[..at]).context("no container is called so")?;
                let path = OsString::from_vec(bytes[at + 1..].to_vec());
                Ok(End::Container { name: name.to_owned(), path })
            }
            _ => Ok(End::Here(word.into())),
        }
    }
}

/// Copies.
pub fn run(args: &CpArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("cp", settings)?;
    let copy = Copy { args, engine, settings };
    let destination = args.destination.to_string_lossy();
    let copied = match (End::parse(&args.source)?, End::parse(&args.destination)?) {
        (End::Container { .. }, End::Container { .. }) => {
            bail!("copying between containers is not supported")
        }
        (End::Container { name, path }, to) => copy.outward(&name, path, to)?,
        (from, End::Container { name, path }) => Some(copy.inward(&name, path, from)?),
        _ => bail!("must specify at least one container source"),
    };
    if let Some(bytes) = copied.filter(|_| !args.quiet) {
        eprintln!("Successfully copied {} to {destination}", format::bytes(bytes));
    }
    Ok(ExitCode::SUCCESS)
}

struct Copy<'a> {
    args: &'a CpArgs,
    engine: Engine,
    settings: &'a Settings,
}

impl Copy<'_> {
    /// From a container. Returns how many bytes, unless they have gone to stdout.
    fn outward(&self, name: &str, path: OsString, to: End) -> anyhow::Result<Option<u64>> {
        let definition = self.engine.store.find(name)?;
        let request = FileRequest::Pack { path: path.into_vec(), follow: self.args.follow_link };
        let End::Here(to) = to else {
            files::with(&self.engine, &definition, true, self.settings, |files| {
                files.fetch(request, |from| {
                    let mut out = io::stdout().lock();
                    io::copy(from, &mut out)?;
                    Ok(out.flush()?)
                })
            })?;
            return Ok(None);
        };
        no_device(&to)?;
        let limits = image::limits(self.settings);
        let options = Options {
            owner: (!self.args.archive).then(|| (geteuid().as_raw(), getegid().as_raw())),
            devices: false,
            bytes: limits.unpacked,
            entries: limits.entries,
        };
        let to = here(&to)?;
        let copied = files::with(&self.engine, &definition, true, self.settings, |files| {
            files.fetch(request, |from| {
                let mut from = Counted { inner: from, bytes: 0 };
                vxn_files::unpack_tree(&Root::open(Path::new("/"))?, &to, &options, &mut from)?;
                Ok(from.bytes)
            })
        })?;
        Ok(Some(copied))
    }

    /// Into a container. Returns how many bytes.
    fn inward(&self, name: &str, path: OsString, from: End) -> anyhow::Result<u64> {
        let definition = self.engine.store.find(name)?;
        files::check_writable(&self.engine, &definition)?;
        let any = from == End::Stream;
        let keep_owners = any || self.args.archive;
        let request = FileRequest::Unpack { path: path.into_vec(), any, keep_owners };
        let source = match from {
            End::Here(path) => {
                let path = here(&path)?;
                // No DomU is started for what is not there.
                fs::symlink_metadata(&path)
                    .with_context(|| format!("cannot copy {}", path.display()))?;
                Some(path)
            }
            _ => None,
        };
        let mut bytes = 0;
        files::with(&self.engine, &definition, true, self.settings, |files| {
            files.send(request, |to| {
                let mut to = io::BufWriter::with_capacity(1 << 16, Counted { inner: to, bytes: 0 });
                match &source {
                    Some(path) => {
                        let root = Root::open(Path::new("/"))?;
                        vxn_files::pack(&root, path, self.args.follow_link, &mut to)?;
                    }
                    None => drop(io::copy(&mut io::stdin().lock(), &mut to)?),
                }
                to.flush()?;
                bytes = to.get_ref().bytes;
                Ok(())
            })
        })?;
        Ok(bytes)
    }
}

/// An absolute path, with the end that it has: `/` and `/.` mean something.
fn here(path: &Path) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_dir().context("cannot find the working directory")?.join(path))
}

/// A file takes the place of the one that is there, which would be the end of a device.
pub fn no_device(path: &Path) -> anyhow::Result<()> {
    let Ok(kind) = fs::metadata(path).map(|meta| meta.file_type()) else { return Ok(()) };
    if kind.is_block_device() || kind.is_char_device() {
        bail!("invalid output path: {:?} must be a directory or a regular file", path.display());
    }
    Ok(())
}

/// Counts what goes by.
struct Counted<T> {
    inner: T,
    bytes: u64,
}

impl<T: Read> Read for Counted<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart_as_docker_does() {
        let container = |name: &str, path: &str| End::Container {
            name: name.to_owned(),
            path: path.to_owned().into(),
        };
        for (word, expected) in [
            ("web:/etc/.", container("web", "/etc/.")),
            ("web:etc:x", container("web", "etc:x")),
            ("web:", container("web", "")),
            ("-", End::Stream),
            ("file", End::Here("file".into())),
            ("./web:/etc", End::Here("./web:/etc".into())),
            ("/web:/etc", End::Here("/web:/etc".into())),
            (":/etc", End::Here(":/etc".into())),
        ] {
            assert_eq!(End::parse(OsStr::new(word)).unwrap(), expected, "{word}");
        }
        assert!(End::parse(OsStr::new("")).is_err());
    }

    #[test]
    fn a_device_is_no_destination() {
        assert!(no_device(Path::new("/dev/null")).is_err());
        assert!(no_device(Path::new("/none")).is_ok() && no_device(Path::new("/")).is_ok());
    }
}
