//! What can go wrong in this room.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use vxn_link::LinkError;

use super::port::Protocol;
use crate::tool;

/// Why a network cannot be used as asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no network of that name.
    #[error("no such network: {0}")]
    Unknown(String),
    /// A network of that name exists.
    #[error("network with name {0} already exists")]
    Exists(String),
    /// The name cannot be one of a network.
    #[error("{0:?} is not a name for a network: {1}")]
    BadName(String, &'static str),
    /// An address range cannot be one of a network.
    #[error("{net} cannot be a network's: {why}")]
    BadSubnet {
        /// The range.
        net: IpNet,
        /// What is wrong with it.
        why: String,
    },
    /// Every range that vxn would take is in use.
    #[error("all address ranges for networks are in use")]
    NoSubnet,
    /// The network that is always there.
    #[error("{0} is a pre-defined network and cannot be removed")]
    Predefined(String),
    /// Somebody uses the network.
    #[error("network {name} is in use by {}", owners.join(", "))]
    InUse {
        /// The network.
        name: String,
        /// Who.
        owners: Vec<String>,
    },
    /// The owner has a lease on the network already.
    #[error("{owner} is connected to network {network} already")]
    Connected {
        /// Who.
        owner: String,
        /// To what.
        network: String,
    },
    /// All addresses are in use.
    #[error("network {network} has no free address left in {subnet}")]
    Exhausted {
        /// The network.
        network: String,
        /// Its range.
        subnet: IpNet,
    },
    /// The address is somebody else's.
    #[error("address {address} is in use by {holder}")]
    AddressTaken {
        /// The address.
        address: String,
        /// Who has it.
        holder: String,
    },
    /// The address is not one that the network can give.
    #[error("address {address} cannot be given on network {network}: {why}")]
    BadAddress {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
        /// Why not.
        why: String,
    },
    /// A port of this host is taken.
    #[error("port {port}/{protocol} of this host is already in use by {holder}")]
    PortTaken {
        /// The first port that was tried.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
        /// Who has it.
        holder: String,
    },
    /// A port cannot be published on that address.
    #[error("cannot publish a port on {address}: {why}")]
    BadPublish {
        /// The address.
        address: String,
        /// Why not.
        why: String,
    },
    /// The network has no way out, and none in.
    #[error("network {0} is internal: nothing can be published on it")]
    Internal(String),
    /// The owner has no lease on the network.
    #[error("{owner} is not connected to network {network}")]
    NotConnected {
        /// Who.
        owner: String,
        /// To what.
        network: String,
    },
    /// Dom0's kernel cannot do what nft asks of it.
    #[error("this kernel cannot forward ports and masquerade with nf_tables ({words})")]
    NoNfTables {
        /// What nft says.
        words: String,
    },
    /// nft is missing or failed.
    #[error("cannot set up address translation: {0}")]
    Nft(#[from] tool::Error),
    /// What is named as the bridge is another kind of device.
    #[error("{0} is a network device, but not a bridge")]
    NotABridge(String),
    /// What is named as a network namespace cannot be entered.
    #[error("cannot enter the network namespace {}: {error}", path.display())]
    Namespace {
        /// Its file.
        path: PathBuf,
        /// The system's words: `EINVAL` for a file that is no network namespace.
        error: io::Error,
    },
    /// The network namespace is this host's own.
    #[error("host network is not supported: {} is this host's own network", .0.display())]
    OwnNamespace(PathBuf),
    /// A guest cannot stand in for an interface of a network namespace.
    #[error(
        "no guest can stand in for {link} of the network namespace {}: {why}",
        path.display()
    )]
    Unfit {
        /// The interface.
        link: String,
        /// The namespace.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The kernel refused a change to a network device.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
}

/// The result of everything in this room.
pub type Result<T> = std::result::Result<T, Error>;

/// What a kernel needs for [`super::rules`], by its configuration's names.
const OPTIONS: &str = "enable CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET, CONFIG_NF_CONNTRACK, \
    CONFIG_NF_NAT, CONFIG_NFT_CT, CONFIG_NFT_NAT, CONFIG_NFT_MASQ, CONFIG_NFT_FIB_INET and \
    CONFIG_BRIDGE in Dom0's kernel (built in or as modules), or run with --network none";

/// The same for a guest in a namespace.
const REDIRECTS: &str = "enable CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_U32, \
    CONFIG_NET_CLS_ACT and CONFIG_NET_ACT_MIRRED in Dom0's kernel (built in or as modules)";

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Error::Unknown(_) => "`vxn network ls` lists the networks",
            Error::BadSubnet { .. } | Error::NoSubnet => "choose another one with --subnet",
            Error::InUse { .. } => "end those who use it first",
            Error::PortTaken { .. } => "choose another port, or leave it out for any free one",
            Error::NoNfTables { .. } => OPTIONS,
            Error::Nft(e) => {
                return e.hint().map(|hint| format!("{hint}, or run with --network none"));
            }
            Error::NotABridge(_) => "name another bridge: `bridge` in the settings, or VXN_BRIDGE",
            Error::OwnNamespace(_) | Error::Unfit { .. } => {
                "a container is a DomU, which needs a network namespace for itself"
            }
            Error::Link(e) if e.errno() == Some(nix::libc::ENOENT) => REDIRECTS,
            Error::Link(e) if e.errno() == Some(nix::libc::EOPNOTSUPP) => {
                "enable CONFIG_BRIDGE in Dom0's kernel, or run with --network none"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// For `map_err`: on which file.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Error + use<'_> {
    move |error| Error::Io { path: path.to_owned(), error }
}
