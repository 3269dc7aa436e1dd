//! Directories of this host served to one DomU: a vchan and a thread for each, so
//! that neither a slow disk nor a greedy guest holds the monitor up.

mod service;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use vxn_proto::{Share, share_channel};

use self::service::Service;
use super::mounts::{Mount, Source};
use crate::guest;
use crate::share::{Connection, Export};
use crate::volume::{self, Volumes};

/// Bytes of a ring, one each way. With the page that they are found by, a share
/// takes 33 of the pages that Dom0's kernel may grant.
const RING: usize = 64 * 1024;

/// File descriptors that the monitor needs besides fids.
const OTHER_FILES: u64 = 256;

/// Fids of a share: each keeps an inode in the memory of Dom0's kernel.
const MAX_FIDS: u64 = 1 << 14;

/// Why something cannot be shared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not there, or it is nothing that can be shared.
    #[error("cannot share {}: {source}", path.display())]
    Open {
        /// The directory or the file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A volume.
    #[error(transparent)]
    Volume(#[from] volume::Error),
    /// The channel.
    #[error("cannot offer the guest {path}: {source}")]
    Channel {
        /// Where it is mounted in the container.
        path: String,
        /// What failed.
        source: xen_vchan::Error,
    },
    /// No thread, no event.
    #[error("cannot serve shared directories: {0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Channel { source, .. } => Some(guest::channel_hint(source)),
            Error::Volume(e) => e.hint(),
            _ => None,
        }
    }
}

/// What is served to a DomU, until this is dropped.
#[derive(Debug)]
pub struct Shares {
    told: Vec<Share>,
    stop: Arc<EventFd>,
    threads: Vec<JoinHandle<()>>,
}

impl Shares {
    /// Serves `mounts` to domain `domid`, which has not started yet.
    ///
    /// # Errors
    /// [`Error`] names what cannot be shared.
    pub fn serve(domid: u32, mounts: &[Mount], volumes: &Volumes) -> Result<Shares, Error> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let stop = Arc::new(EventFd::from_value_and_flags(0, flags).map_err(io::Error::from)?);
        let mut shares = Shares { told: Vec::new(), stop, threads: Vec::new() };
        if mounts.is_empty() {
            return Ok(shares);
        }
        let fids = max_fids(mounts.len()).map_err(io::Error::from)?;
        for (number, mount) in mounts.iter().enumerate() {
            let (export, told) = open(mount, volumes)?;
            let path = format!("/local/domain/{domid}/{}", share_channel(number));
            let channel = guest::offer(domid, &path, RING)
                .map_err(|source| Error::Channel { path: told.path.clone(), source })?;
            let service = Service {
                channel,
                connection: Connection::new(export, fids),
                stop: Arc::clone(&shares.stop),
            };
            shares.told.push(told);
            shares.threads.push(service.spawn(mount.destination.clone())?);
        }
        Ok(shares)
    }

    /// What the guest is told of them.
    pub fn told(&self) -> &[Share] {
        &self.told
    }
}

impl Drop for Shares {
    /// Waits for what is being written.
    fn drop(&mut self) {
        if let Err(e) = self.stop.write(1) {
            tracing::error!("cannot stop serving shared directories: {e}");
            return;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("the server of a shared directory has panicked");
            }
        }
    }
}

/// What is shared by a mount. A volume that somebody has removed is made again.
fn open(mount: &Mount, volumes: &Volumes) -> Result<(Export, Share), Error> {
    let (path, fill) = match &mount.source {
        Source::Bind(path) => (path.clone(), false),
        Source::Volume { name, fill, .. } => {
            let data = volumes.ensure(name)?;
            let fill = *fill && !mount.read_only && is_empty(&data);
            (data, fill)
        }
    };
    let export = Export::open(&path, mount.read_only);
    let export = export.map_err(|source| Error::Open { path, source })?;
    let share = Share {
        path: mount.destination.clone(),
        read_only: mount.read_only,
        directory: export.is_directory(),
        options: mount.options.clone(),
        fill,
    };
    Ok((export, share))
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// How many fids each of so many shares may have. A fid is a file descriptor, and a
/// container may have as many files open as this host lets a process have, up to
/// [`MAX_FIDS`] on each of them.
fn max_fids(shares: usize) -> nix::Result<usize> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let each = hard.min(1 << 20).saturating_sub(OTHER_FILES) / shares as u64;
    Ok(each.min(MAX_FIDS) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named() {
        let root = tempfile::tempdir().unwrap();
        let source = Source::Bind("/nonexistent/x".into());
        let mount = Mount { source, destination: "/x".into(), read_only: false, options: vec![] };
        let error = Shares::serve(1, &[mount], &Volumes::new(root.path())).unwrap_err();
        assert!(error.to_string().starts_with("cannot share /nonexistent/x: "), "{error}");
    }

    #[test]
    fn only_an_empty_volume_that_can_be_written_is_filled() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(root.path());
        let name: volume::Name = "data".parse().unwrap();
        let filled = |fill, read_only| {
            let source = Source::Volume { name: name.clone(), anonymous: false, fill };
            let mount = Mount { source, destination: "/x".into(), read_only, options: vec![] };
            open(&mount, &volumes).unwrap().1.fill
        };
        assert_eq!(
            [filled(true, false), filled(true, true), filled(false, false)],
            [true, false, false]
        );
        fs::write(volumes.data(&name).join("a"), "").unwrap();
        assert!(!filled(true, false));
    }
}
