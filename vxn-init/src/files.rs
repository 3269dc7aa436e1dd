//! Work on the container's files: `cp`, `export`, `diff` and `commit` of the host.
//!
//! A process of its own does it, a clone of vxn-init, so that the session's loop waits
//! for no file. It has a mount namespace, in which the root is as the container sees it:
//! with what is shared, but without `/proc`, `/sys`, `/dev` and file systems in memory,
//! which docker leaves alone too. What fails goes to its stderr.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::Pid,
};
use vxn_files::{Options, Packer, Root, overlay};
use vxn_proto::{FileRequest, Share};

use crate::{
    Error, Result,
    configure::{LOWER, UPPER},
    error::Context,
    freezer, share,
    stdio::{self, Ends},
    sys,
};

/// What vxn-init and libcontainer make in every container: no change of its image.
const SET_UP: [&str; 6] = ["dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// Files of ours, which an export has empty, as docker's does.
const NAMES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// Bytes written to a pipe at once.
const CHUNK: usize = 64 * 1024;

/// What a container's files are.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Where the root is mounted.
    pub root: &'a Path,
    /// Nothing may be written to it.
    pub read_only: bool,
    /// What of the host is in it.
    pub shares: &'a [Share],
}

/// Starts the work.
///
/// # Errors
/// The kernel's.
pub fn start(request: &FileRequest, view: View<'_>) -> Result<(Pid, Ends)> {
    let (theirs, ends) = stdio::pair(request.takes_input())?;
    let pid = sys::fork(CloneFlags::empty(), || work(request, view, theirs)).context("fork")?;
    Ok((pid, ends))
}

/// The life of the process. Returns its exit code.
fn work(request: &FileRequest, view: View<'_>, theirs: stdio::Theirs) -> i32 {
    let stdio::Theirs { input, output, error } = theirs;
    // The ends of other processes' pipes would keep them open.
    sys::close_all_but(&[&input, &output, &error].map(AsRawFd::as_raw_fd));
    match serve(request, view, input, output) {
        Ok(()) => 0,
        Err(failure) => {
            // Whoever does not read it does not want to know.
            let _ = File::from(error).write_all(failure.to_string().as_bytes());
            1
        }
    }
}

fn serve(request: &FileRequest, view: View<'_>, input: OwnedFd, output: OwnedFd) -> Result<()> {
    let mut out = io::BufWriter::with_capacity(CHUNK, File::from(output));
    match request {
        FileRequest::Pack { path, follow } => {
            let root = enter(view)?;
            vxn_files::pack(&root, as_path(path), *follow, &mut out)?;
        }
        FileRequest::Unpack { path, any, keep_owners } => {
            let owner = (!keep_owners).then_some((0, 0));
            // The container's disk is the bound.
            let options = Options { owner, devices: true, bytes: u64::MAX, entries: u64::MAX };
            let unpack = if *any { vxn_files::unpack_all } else { vxn_files::unpack_tree };
            let mut input = File::from(input);
            unpack(&enter(view)?, as_path(path), &options, &mut input)?;
            // Padding behind the end.
            io::copy(&mut input, &mut io::sink()).context("read the archive")?;
        }
        FileRequest::Export => {
            let root = Root::open(view.root)?;
            let mut packer = Packer::new(&mut out);
            NAMES.into_iter().for_each(|name| packer.hollow(name));
            packer.below(&root)?;
            packer.finish()?;
        }
        FileRequest::Changes => changes(&mut out)?,
        FileRequest::Layer { freeze } => {
            if *freeze {
                freezer::wait_until_frozen()?;
            }
            let found = overlay::changes(Path::new(LOWER), Path::new(UPPER), &SET_UP)?;
            overlay::pack_layer(&Root::open(Path::new(UPPER))?, &found, &mut out)?;
        }
    }
    out.flush().context("write the archive")
}

/// The root as the container sees it.
fn enter(view: View<'_>) -> Result<Root> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).context("make a mount namespace")?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("keep mounts apart")?;
    if view.read_only {
        bind(view.root, view.root, true)?;
    }
    let root = Root::open(view.root)?;
    let mut shares: Vec<_> = view.shares.iter().enumerate().collect();
    shares.sort_by_key(|(_, share)| Path::new(&share.path).components().count());
    for (number, share) in shares {
        let target = root.mount_point(Path::new(&share.path))?;
        let target = format!("/proc/self/fd/{}", target.as_fd().as_raw_fd());
        bind(&share::source(number, share), Path::new(&target), share.read_only)?;
    }
    Ok(root)
}

fn bind(from: &Path, to: &Path, read_only: bool) -> Result<()> {
    let none = None::<&str>;
    let what = format!("bind {}", from.display());
    mount(Some(from), to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).context(&what)?;
    if read_only {
        // The path leads to what is mounted there now, a link of /proc does not.
        let to = fs::canonicalize(to).context(&what)?;
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, &to, none, flags, none).context(what)?;
    }
    Ok(())
}

fn changes(out: &mut impl Write) -> Result<()> {
    for change in overlay::changes(Path::new(LOWER), Path::new(UPPER), &SET_UP)? {
        let kind: &[u8] = match change.kind {
            overlay::Kind::Added => b"A",
            overlay::Kind::Changed => b"C",
            overlay::Kind::Deleted => b"D",
        };
        let record = [kind, change.path.as_os_str().as_bytes(), b"\0"].concat();
        out.write_all(&record).context("tell the changes")?;
    }
    Ok(())
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

impl From<vxn_files::Error> for Error {
    fn from(error: vxn_files::Error) -> Self {
        Self::Other(error.to_string())
    }
}
