//! Networks on the real kernel: bridges, nftables, packets. Every host is a
//! network namespace; a guest is one with a cable to the bridge, or
//! to the place that it takes.

mod cli;
mod conflicts;
mod crash;
mod namespace;
mod packets;
mod places;

use std::sync::Arc;

use namespace::Namespace;
use tempfile::TempDir;
use vxn::network::{
    DEFAULT, Defaults, Error, Lease, Networks, NewNetwork, Owner, Publish, Request,
};

/// A Dom0 with networks of its own.
struct Dom0 {
    host: Namespace,
    networks: Arc<Networks>,
    dir: TempDir,
}

impl Dom0 {
    fn new(test: &str) -> Option<Dom0> {
        let host = Namespace::new(test)?;
        // In memory, as /run is.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let networks = Arc::new(networks(dir.path()));
        Some(Dom0 { host, networks, dir })
    }

    fn attach(&self, id: &str, request: Request) -> Result<Lease, Error> {
        let (networks, owner) = (self.networks.clone(), owner(id));
        self.host.run(move || networks.attach(&owner, &request))
    }

    fn release(&self, id: &str) {
        let (networks, id) = (self.networks.clone(), id.to_owned());
        self.host.run(move || networks.release(&id)).unwrap();
    }

    fn create(&self, new: NewNetwork) {
        let networks = self.networks.clone();
        self.host.run(move || networks.create(new)).unwrap();
    }

    /// A guest with a lease, a cable, and servers on ports 80 and 81.
    fn guest(&self, id: &str, request: Request) -> (Namespace, Lease) {
        let lease = self.attach(id, request).unwrap();
        let guest = Namespace::new(id).unwrap();
        self.host.plug(&guest, &lease);
        guest.serve(80);
        guest.serve(81);
        (guest, lease)
    }

    /// Nothing of ours is left.
    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.host.remains(), "");
        let left: Vec<_> = std::fs::read_dir(self.dir.path().join("network"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["lock"]);
    }
}

fn networks(dir: &std::path::Path) -> Networks {
    Networks::new(dir, dir, Defaults::default())
}

fn owner(id: &str) -> Owner {
    Owner { id: id.to_owned(), name: format!("container {id}") }
}

/// On the default network, with these `--publish`.
fn publish(ports: &[&str]) -> Request {
    let ports = ports.iter().flat_map(|port| Publish::parse(port).unwrap()).collect();
    Request { network: DEFAULT.to_owned(), ports, ..Request::default() }
}

fn on(network: &str) -> Request {
    Request { network: network.to_owned(), ..Request::default() }
}
