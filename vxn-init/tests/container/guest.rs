//! The guest's side of these tests: this binary again, with a socket for a
//! channel and a root made of this machine's `/usr`.

use std::{
    fs,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{PermissionsExt, symlink},
            net::UnixStream,
        },
    },
    path::Path,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    poll::PollFlags,
    sched::{CloneFlags, unshare},
};
use vxn_init::{
    channel::{Channel, Transport},
    container::Container,
    modules::Modules,
    network::Nics,
    session::{End, Session},
};

/// What the host wants of the container, below the directory to work in.
pub const SETTINGS: &str = "settings.json";

/// A channel over a socket.
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

/// The controllers that this machine has in cgroup v2.
pub fn controllers() -> String {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .find_map(|root| fs::read_to_string(format!("{root}/cgroup.controllers")).ok())
        .unwrap_or_default()
}

/// Runs a session over `stdin`, which is a socket, with `dir` to work in.
pub fn run(stdin: OwnedFd, dir: &Path) -> End {
    prepare(dir).expect("a root to test with");
    let socket = UnixStream::from(stdin);
    socket.set_nonblocking(true).unwrap();
    let mut channel = Channel::new(Socket(socket));
    let mut container = Container::new(
        &dir.join("root"),
        &dir.join("state"),
        "box",
        serde_json::from_slice(&fs::read(dir.join(SETTINGS)).unwrap()).unwrap(),
    )
    .unwrap();
    container.share(shares());
    channel.configured().unwrap();
    let mut modules = Modules::open().unwrap();
    let session = Session::new(&mut channel, container, Nics::default(), &mut modules);
    session.unwrap().run().unwrap()
}

/// What [`prepare`] has put where shares are mounted.
fn shares() -> Vec<vxn_proto::Share> {
    let share = |path: &str, read_only, directory| vxn_proto::Share {
        path: path.into(),
        read_only,
        directory,
        options: Vec::new(),
        fill: false,
    };
    vec![
        share("/shared/deep/er", false, true),
        share("/shared", true, true),
        share("/etc/one", false, false),
    ]
}

/// Mounts what a container needs, in a mount namespace of our own. Kernel parameters
/// of the network are our own too.
fn prepare(dir: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let root = dir.join("root");
    for name in ["usr", "etc", "tmp", "root", "srv"] {
        fs::create_dir_all(root.join(name))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    mount(Some("/usr"), &root.join("usr"), none, MsFlags::MS_BIND, none)?;
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:100::/home/app:/bin/sh\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nusers:x:100:\nvideo:x:44:app\n")?;
    fs::write(root.join("data"), "not a program")?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none)?;
    fs::create_dir_all("/run/vxn/shares/0")?;
    fs::create_dir_all("/run/vxn/shares/1/deep/er")?;
    fs::create_dir_all("/run/vxn/shares/2")?;
    fs::create_dir_all("/run/vxn/lower")?;
    fs::create_dir_all("/run/vxn/layer/upper/proc")?;
    fs::write("/run/vxn/layer/upper/added", "")?;
    fs::set_permissions("/run/vxn/layer/upper/added", fs::Permissions::from_mode(0o640))?;
    fs::write("/run/vxn/shares/1/file", "read only")?;
    fs::write("/run/vxn/shares/2/file", "one file")?;
    // Machines that still have version 1 mounted there as well are fine too.
    umount2("/sys/fs/cgroup", MntFlags::MNT_DETACH)?;
    mount(Some("cgroup2"), "/sys/fs/cgroup", Some("cgroup2"), MsFlags::empty(), none)?;
    Ok(())
}
