//! A network namespace that somebody else has prepared, and whose place a guest takes.
//!
//! [`Namespace::interfaces`] reads what was prepared. [`Namespace::tie`] moves a device
//! of this host's, behind which the guest is, into it, and has each of the two send what
//! the other receives (as Kata's tcfilter). From then on the guest is what answers there;
//! the namespace's own stack sees nothing of it, and keeps all that it was given.

use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use vxn_link::{Link, LinkError, LinkFlags, Links, Mac, Route};

use super::error::{Error, Result, at};

/// How long the kernel may take to remove the devices of a guest that is gone: netback
/// does it after libxl has let go of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// The network namespace of this thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace, which lasts for as long as this does.
#[derive(Debug)]
pub struct Namespace {
    path: PathBuf,
    file: File,
    links: Links,
}

/// An interface of a namespace: what a guest has to have to stand in for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name there.
    pub name: String,
    /// Its `ifindex` there.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// Bytes.
    pub mtu: u32,
    /// Its addresses, those of its own link left out.
    pub addresses: Vec<IpNet>,
    /// The ways through it, each after those that it needs.
    pub routes: Vec<Route>,
    /// Neighbours that somebody has written down.
    pub neighbours: Vec<(IpAddr, Mac)>,
}

impl Namespace {
    /// The network namespace that the file `path` stands for.
    ///
    /// # Errors
    /// When there is none, or it is this thread's own: a guest does not take the
    /// place of the host.
    pub fn open(path: &Path) -> Result<Namespace> {
        let file = File::open(path).map_err(at(path))?;
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let own = fs::metadata(OWN).map_err(at(Path::new(OWN)))?;
        if identity(file.metadata().map_err(at(path))?) == identity(own) {
            return Err(Error::OwnNamespace(path.to_owned()));
        }
        let links = enter(&file, Links::open)
            .map_err(|error| Error::Namespace { path: path.to_owned(), error })?;
        Ok(Namespace { path: path.to_owned(), file, links })
    }

    /// Does something in it.
    ///
    /// # Errors
    /// It cannot be entered.
    pub fn inside<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T> {
        enter(&self.file, || Ok(job()))
            .map_err(|error| Error::Namespace { path: self.path.clone(), error })
    }

    /// What takes part in the network there: the Ethernet interfaces that are up, in the
    /// order of their names.
    ///
    /// # Errors
    /// An interface that is none for a guest, by name; the kernel's.
    pub fn interfaces(&self) -> Result<Vec<Interface>> {
        let mut links = self.list()?;
        links.retain(|link| {
            let flags = link.flags;
            flags.contains(LinkFlags::Up)
                && !flags.contains(LinkFlags::Loopback)
                && link.master == 0
        });
        // "eth10" comes after "eth9".
        links.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
        let mut found: Vec<Interface> = Vec::new();
        for link in links {
            let Some(interface) = self.interface(&link)? else { continue };
            if found.iter().any(|other| other.mac == interface.mac) {
                return Err(self.unfit(&interface.name, "another one has the same address"));
            }
            found.push(interface);
        }
        Ok(found)
    }

    /// One of them; none if it has nothing to do with the network.
    fn interface(&self, link: &Link) -> Result<Option<Interface>> {
        let fail = LinkError::of("look at", &link.name);
        let addresses = self.links.addresses(link.index).map_err(&fail)?;
        let mac: Option<[u8; 6]> = link.address.as_slice().try_into().ok();
        let (true, Some(mac)) = (link.ethernet, mac) else {
            return match addresses.is_empty() {
                true => Ok(None),
                false => Err(self.unfit(&link.name, "it is no Ethernet device")),
            };
        };
        let mut routes = self.links.routes(link.index).map_err(&fail)?;
        // A gateway may be a neighbour by another route.
        routes.sort_by_key(|route| route.gateway.is_some());
        let neighbours = self.links.neighbours(link.index).map_err(&fail)?;
        let (name, mac) = (link.name.clone(), Mac(mac));
        let Link { index, mtu, .. } = *link;
        Ok(Some(Interface { name, index, mac, mtu, addresses, routes, neighbours }))
    }

    /// Moves the device `name` of this thread's namespace here, and ties it to an
    /// interface. It bears the name of its owner from then on. It ends with the device;
    /// [`Namespace::untie`] removes what is left.
    ///
    /// # Errors
    /// When somebody has the interface already; the kernel's.
    pub fn tie(&self, owner: &str, name: &str, interface: &Interface) -> Result<()> {
        let missing = || io::Error::from_raw_os_error(libc::ENODEV);
        let find = |links: &Links| {
            let found = links.find(name).and_then(|link| link.ok_or_else(missing));
            found.map_err(LinkError::of("find", name))
        };
        let here = Links::open().map_err(LinkError::of("ask for", name))?;
        let change = here.change(find(&here)?.index).alias(&mark(owner));
        let moved = change.namespace(self.file.as_fd()).apply();
        moved.map_err(LinkError::of("move to the network namespace", name))?;
        let device = find(&self.links)?.index;
        self.redirect(interface.index, &interface.name, device)?;
        self.redirect(device, name, interface.index)?;
        let up = self.links.change(device).up().apply();
        Ok(up.map_err(LinkError::of("take up", name))?)
    }

    fn redirect(&self, from: u32, name: &str, to: u32) -> Result<()> {
        self.links.redirect(from, to).map_err(|error| match error.raw_os_error() {
            Some(libc::EEXIST) => self.unfit(name, "what it receives is somebody else's already"),
            _ => LinkError::of("redirect what comes to", name)(error).into(),
        })
    }

    /// Lets the interfaces receive again for which guests stood in that are gone, after
    /// the devices of `owner`, whose guest is gone, are gone too. Others keep their place.
    ///
    /// # Errors
    /// When its devices stay; the kernel's.
    pub fn untie(&self, owner: &str) -> Result<()> {
        let mark = mark(owner);
        let gone =
            enter(&self.file, || Links::open()?.wait_gone(PATIENCE, |link| link.alias == mark));
        let late = || {
            let words = format!("it is still there after {} s", PATIENCE.as_secs());
            io::Error::new(io::ErrorKind::TimedOut, words)
        };
        gone.and_then(|gone| gone.then_some(()).ok_or_else(late))
            .map_err(LinkError::of("see the end of", &format!("of {owner}")))?;
        for link in self.list()? {
            let removed = self.links.remove_dead_redirect(link.index);
            removed.map_err(LinkError::of("take a redirect from", &link.name))?;
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<Link>> {
        self.links.list().map_err(at(&self.path))
    }

    fn unfit(&self, link: &str, why: &'static str) -> Error {
        Error::Unfit { link: link.to_owned(), path: self.path.clone(), why }
    }
}

/// How the devices of an owner are known.
fn mark(owner: &str) -> String {
    format!("vxn {owner}")
}

/// Does something in a namespace. Threads stay in the one that they entered: it is done by
/// a thread of its own. Sockets stay in the one where they were made.
fn enter<T: Send>(namespace: &File, job: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            job()
        });
        done.join().unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))
    })
}
