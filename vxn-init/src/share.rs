//! Directories and files of Dom0 in the container.
//!
//! The kernel speaks 9P over a socket pair; a process of its own for each share
//! carries the bytes between that and a vchan. It is no thread, because vxn-init
//! has one only, and no part of the session's loop, because that waits for
//! libcontainer while it starts a process, and libcontainer touches what is shared;
//! so does sync(2) at the end.

use std::{
    fs,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::CloneFlags,
};
use vxn_proto::{SHARE_MSIZE, SHARED_FILE, Share, share_channel};

use crate::{
    Result,
    boot::Dom0,
    channel::Transport,
    error::{Context, try_later},
    fill::fill,
    modules::Modules,
    rootfs::Rootfs,
    sys,
};

/// Where shares are mounted, outside of the container, each below its number.
const SHARES: &str = "/run/vxn/shares";

/// What the kernel needs, if it has them as modules.
const MODULES: [&str; 2] = ["9pnet_fd", "9p"];

/// Bytes carried at once.
const CHUNK: usize = 64 * 1024;

/// Mounts all shares of a container whose root is `root`.
///
/// # Errors
/// The kernel's, and what Dom0 answers to 9P's first messages.
pub fn mount_all(shares: &[Share], modules: &mut Modules, root: &Rootfs) -> Result<()> {
    for (number, share) in shares.iter().enumerate() {
        MODULES.iter().try_for_each(|name| modules.load(name))?;
        let dir = place(number);
        fs::create_dir_all(&dir).context(format_args!("create {}", dir.display()))?;
        mount_9p(number, &dir).context(format_args!("mount the share {}", share.path))?;
        if share.fill {
            fill(root, Path::new(&share.path), &dir)?;
        }
    }
    Ok(())
}

/// What is bound into the container.
pub fn source(number: usize, share: &Share) -> PathBuf {
    let dir = place(number);
    if share.directory { dir } else { dir.join(SHARED_FILE) }
}

fn place(number: usize) -> PathBuf {
    Path::new(SHARES).join(number.to_string())
}

/// mount(2) has a conversation with Dom0, so the carrier is there first. Only what
/// programs map is cached: the rest is the host's word at any time.
fn mount_9p(number: usize, dir: &Path) -> io::Result<()> {
    let (kernel, carrier) = UnixStream::pair()?;
    sys::fork(CloneFlags::empty(), || i32::from(attend(number, &carrier).is_err()))?;
    drop(carrier);
    let fd = kernel.as_raw_fd();
    let options = format!(
        "trans=fd,rfdno={fd},wfdno={fd},version=9p2000.L,msize={SHARE_MSIZE},\
         access=client,cache=mmap"
    );
    // The kernel keeps the socket; device nodes of the host are nothing here.
    let mounted = mount(Some("vxn"), dir, Some("9p"), MsFlags::MS_NODEV, Some(options.as_str()));
    mounted.map_err(|error| match error {
        Errno::ENODEV => io::Error::other(
            "the guest's kernel has no 9P: it needs CONFIG_9P_FS and CONFIG_NET_9P_FD, built in \
             or as modules in the initramfs",
        ),
        error => error.into(),
    })
}

/// The carrier's life.
fn attend(number: usize, socket: &UnixStream) -> Result<()> {
    let carried = fs::write("/proc/self/oom_score_adj", "-1000")
        .context("keep the out-of-memory killer off")
        .and_then(|()| Dom0::connect_to(&share_channel(number)))
        .and_then(|mut channel| {
            carry(&mut channel, socket).context(format_args!("carry share {number}"))
        });
    // Whoever uses the share gets an error; the console gets the reason.
    carried.inspect_err(|error| eprintln!("vxn-init: {error}"))
}

/// Moves bytes both ways until one end is gone.
///
/// # Errors
/// The kernel's.
pub fn carry<T: Transport>(channel: &mut T, mut socket: &UnixStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let (mut up, mut down) = (Hand::new(), Hand::new());
    loop {
        let moved = [
            up.take(|bytes| socket.read(bytes))?,
            up.give(|bytes| channel.write(bytes))?,
            down.take(|bytes| channel.read(bytes))?,
            down.give(|bytes| socket.write(bytes))?,
        ];
        if up.ended || down.ended {
            return Ok(());
        }
        if moved.contains(&true) {
            continue;
        }
        let (mut wanted, waiting) = (PollFlags::empty(), !up.is_empty());
        wanted.set(PollFlags::POLLIN, up.is_empty());
        wanted.set(PollFlags::POLLOUT, !down.is_empty());
        let mut fds = [
            PollFd::new(channel.as_fd(), channel.interest(waiting)),
            PollFd::new(socket.as_fd(), wanted),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds[0].any().unwrap_or(false) {
            channel.acknowledge()?;
        }
    }
}

/// Bytes that one end has given and the other has not taken yet.
struct Hand {
    bytes: Box<[u8]>,
    /// Those between the two are still to be given.
    from: usize,
    to: usize,
    ended: bool,
}

impl Hand {
    fn new() -> Self {
        Self { bytes: vec![0; CHUNK].into_boxed_slice(), from: 0, to: 0, ended: false }
    }

    fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Takes what there is, when it has nothing. Returns whether it has something new.
    fn take(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<bool> {
        if !self.is_empty() {
            return Ok(false);
        }
        match read(&mut self.bytes) {
            Ok(0) => self.ended = true,
            Ok(count) => (self.from, self.to) = (0, count),
            Err(error) if try_later(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(!self.ended)
    }

    /// Gives what it has. Returns whether something was taken.
    fn give(&mut self, write: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        match write(&self.bytes[self.from..self.to]) {
            Ok(count) => self.from += count,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.ended = true,
            Err(error) if try_later(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::BorrowedFd, thread};

    use super::*;

    struct Socket(UnixStream);

    impl AsFd for Socket {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Transport for Socket {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn acknowledge(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn interest(&self, writing: bool) -> PollFlags {
            let write = if writing { PollFlags::POLLOUT } else { PollFlags::empty() };
            PollFlags::POLLIN | write
        }
    }

    #[test]
    fn bytes_go_both_ways_whole_and_the_end_of_one_end_is_the_end() {
        let (host, channel) = UnixStream::pair().unwrap();
        let (kernel, socket) = UnixStream::pair().unwrap();
        channel.set_nonblocking(true).unwrap();
        let carrier = thread::spawn(move || carry(&mut Socket(channel), &socket));
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n ^ (n >> 9)) as u8).collect();
        let echo = thread::spawn(move || {
            let mut host = host;
            let mut buffer = vec![0; 10_000];
            while let Ok(count @ 1..) = host.read(&mut buffer) {
                host.write_all(&buffer[..count]).unwrap();
            }
        });
        let mut writer = kernel.try_clone().unwrap();
        let sent = bytes.clone();
        let sender = thread::spawn(move || writer.write_all(&sent).unwrap());
        let mut back = vec![0; bytes.len()];
        (&kernel).read_exact(&mut back).unwrap();
        assert!(back == bytes);
        sender.join().unwrap();
        drop(kernel);
        carrier.join().unwrap().unwrap();
        echo.join().unwrap();
    }
}
