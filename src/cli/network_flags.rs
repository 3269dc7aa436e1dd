//! The flags of a container's network, as docker has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, bail};
use clap::Args;

use super::failure::Hint;
use crate::container::network::{Host, NetworkSpec};
use crate::libxl::Mac;
use crate::network::{DEFAULT, Networks, Publish};

/// What docker calls a host's own address, seen from a container.
const HOST_GATEWAY: &str = "host-gateway";

/// Network flags of `vxn run` and `vxn create`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkFlags {
    /// Network of the container: none, bridge, or one that `vxn network create` made.
    #[arg(long, visible_alias = "net", value_name = "NETWORK", default_value = DEFAULT)]
    network: String,
    /// Publish a port, or a range of ports, of the container on this host.
    #[arg(short, long, value_name = "[[IP:]HOST:]CONTAINER[/PROTOCOL]", value_parser = publish)]
    publish: Vec<Published>,
    /// Publish every port that the image exposes, each on a free port of this host.
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Expose a port, or a range of ports, in addition to the image's.
    #[arg(long, value_name = "PORT[-PORT][/PROTOCOL]")]
    expose: Vec<String>,
    /// IPv4 address of the container.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address of the container.
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// Hardware address of the container's interface.
    #[arg(long, value_name = "MAC", value_parser = mac)]
    mac_address: Option<Mac>,
    /// Another name by which containers on the same network find this one.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    network_alias: Vec<String>,
    /// Name server for the container, in place of Dom0's.
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,
    /// Domain in which names are looked up; "." for none.
    #[arg(long, value_name = "DOMAIN", value_parser = host_name)]
    dns_search: Vec<String>,
    /// Option of the resolver.
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION", value_parser = one_word)]
    dns_option: Vec<String>,
    /// Give an address a name; "host-gateway" is Dom0's address.
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = add_host)]
    add_host: Vec<Host>,
}

/// What one `--publish` asks for.
#[derive(Debug, Clone)]
struct Published(Vec<Publish>);

fn publish(text: &str) -> Result<Published, String> {
    Publish::parse(text).map(Published)
}

/// An address that an interface may have: no group's, not that of nobody.
fn mac(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse().map_err(|e: vxn_link::ParseMacError| e.to_string())?;
    match mac.0 {
        [first, ..] if first & 1 == 1 => Err(format!("{mac} is the address of a group")),
        [0, 0, 0, 0, 0, 0] => Err(format!("{mac} is nobody's address")),
        _ => Ok(mac),
    }
}

/// What can stand in `/etc/hosts` as a name.
fn host_name(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if text.is_empty() || text.len() > 253 || !text.bytes().all(good) {
        return Err("a name has 1 to 253 letters, digits, dots or dashes".to_owned());
    }
    Ok(text.to_owned())
}

fn one_word(text: &str) -> Result<String, String> {
    if text.is_empty() || text.bytes().any(|b| !b.is_ascii_graphic()) {
        return Err("an option is one word".to_owned());
    }
    Ok(text.to_owned())
}

/// `NAME:ADDRESS`, or `NAME=ADDRESS`; IPv6 may stand in brackets.
fn add_host(text: &str) -> Result<Host, String> {
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or("a colon is missing between name and address")?;
    let name = host_name(name)?;
    if address == HOST_GATEWAY {
        return Ok(Host { name, address: None });
    }
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    let address = bare.parse().map_err(|_| format!("{address:?} is not an IP address"))?;
    Ok(Host { name, address: Some(address) })
}

impl NetworkFlags {
    /// What the flags ask for, with the ports that the image `exposed`.
    ///
    /// # Errors
    /// When flags contradict each other, or the network does not exist.
    pub fn spec(self, exposed: &[String], networks: &Networks) -> anyhow::Result<NetworkSpec> {
        let network = self.checked(networks)?;
        let mut ports: Vec<Publish> =
            self.publish.iter().flat_map(|published| published.0.iter().cloned()).collect();
        let exposed = exposed.iter().map(|text| (text, "the image"));
        let asked = self.expose.iter().map(|text| (text, "--expose"));
        for (text, whose) in exposed.chain(asked) {
            let each = Publish::parse_exposed(text)
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("cannot expose a port of {whose}"))?;
            for (container, protocol) in each.into_iter().filter(|_| self.publish_all) {
                let same = |p: &Publish| p.container == container && p.protocol == protocol;
                if !ports.iter().any(same) {
                    ports.push(Publish::anywhere(container, protocol));
                }
            }
        }
        Ok(NetworkSpec {
            network,
            namespace: None,
            ip: self.ip,
            ip6: self.ip6,
            mac: self.mac_address,
            ports,
            aliases: self.network_alias,
            dns: self.dns,
            dns_search: self.dns_search,
            dns_option: self.dns_option,
            hosts: self.add_host,
        })
    }

    /// The network's name, if there is one and it exists.
    fn checked(&self, networks: &Networks) -> anyhow::Result<Option<String>> {
        match self.network.as_str() {
            "none" => self.check_none().map(|()| None),
            "default" => Ok(Some(DEFAULT.to_owned())),
            "host" => Err(anyhow::anyhow!("a container cannot have Dom0's network: it is a VM"))
                .context(Hint("publish its ports with -p".to_owned())),
            name if name.starts_with("container:") => {
                Err(anyhow::anyhow!("containers cannot share a network stack: each is a VM"))
                    .context(Hint("put both on one network: they find each other by name".into()))
            }
            name => Ok(Some(networks.find(name)?.name)),
        }
    }

    /// Without an interface there is nothing to publish, and no address to have.
    fn check_none(&self) -> anyhow::Result<()> {
        let given = [
            ("--publish", !self.publish.is_empty()),
            ("--publish-all", self.publish_all),
            ("--ip", self.ip.is_some()),
            ("--ip6", self.ip6.is_some()),
            ("--mac-address", self.mac_address.is_some()),
            ("--network-alias", !self.network_alias.is_empty()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => bail!("{flag} needs a network, and --network is none"),
            None => Ok(()),
        }
    }
}
