//! The flags of a container's network, as docker has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, bail};
use clap::Args;

use super::failure::Hint;
use crate::container::network::{Host, Membership, NetworkSpec};
use crate::libxl::Mac;
use crate::network::{DEFAULT, Networks, Publish};

/// What docker calls a host's own address, seen from a container.
const HOST_GATEWAY: &str = "host-gateway";

/// Network flags of `vxn run` and `vxn create`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkFlags {
    /// Networks of the container: none, bridge, or those that `vxn network create` made.
    /// The first that is not internal is its way out, and has its published ports.
    #[arg(
        long,
        visible_alias = "net",
        value_name = "NETWORK|name=NETWORK,ip=…,ip6=…,mac-address=…,alias=…",
        default_value = DEFAULT,
        value_parser = membership
    )]
    network: Vec<Membership>,
    /// Publish a port, or a range of ports, of the container on this host.
    #[arg(short, long, value_name = "[[IP:]HOST:]CONTAINER[/PROTOCOL]", value_parser = publish)]
    publish: Vec<Published>,
    /// Publish every port that the image exposes, each on a free port of this host.
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Expose a port, or a range of ports, in addition to the image's.
    #[arg(long, value_name = "PORT[-PORT][/PROTOCOL]")]
    expose: Vec<String>,
    /// IPv4 address of the container, on its first network.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address of the container, on its first network.
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// Hardware address of the container's first interface.
    #[arg(long, value_name = "MAC", value_parser = mac)]
    mac_address: Option<Mac>,
    /// Another name by which containers on its first network find this one.
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

/// `NETWORK`, or docker's long form.
fn membership(text: &str) -> Result<Membership, String> {
    let mut membership = Membership::default();
    if !text.contains('=') {
        membership.network = text.to_owned();
        return Ok(membership);
    }
    for pair in text.split(',') {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no value"))?;
        let address = |_| format!("{value:?} is not an address for {key}");
        match key {
            "name" => value.clone_into(&mut membership.network),
            "ip" => membership.ip = Some(value.parse().map_err(address)?),
            "ip6" => membership.ip6 = Some(value.parse().map_err(address)?),
            "mac-address" => membership.mac = Some(mac(value)?),
            "alias" => membership.aliases.push(host_name(value)?),
            _ => return Err(format!("no key {key:?}: name, ip, ip6, mac-address, alias")),
        }
    }
    if membership.network.is_empty() {
        return Err("name= is missing".to_owned());
    }
    Ok(membership)
}

/// What can stand in `/etc/hosts` as a name.
pub(super) fn host_name(text: &str) -> Result<String, String> {
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
        let memberships = self.memberships(networks)?;
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
            memberships,
            namespace: None,
            ports,
            dns: self.dns,
            dns_search: self.dns_search,
            dns_option: self.dns_option,
            hosts: self.add_host,
        })
    }

    /// The networks, if there are any and they exist. As with docker, the flags that
    /// say what the container is there are about the first one.
    fn memberships(&self, networks: &Networks) -> anyhow::Result<Vec<Membership>> {
        let mut spec = NetworkSpec::default();
        for membership in &self.network {
            match named(&membership.network, networks)? {
                None if self.network.len() > 1 => {
                    bail!("--network none and another network cannot go together")
                }
                None => self.check_none()?,
                Some(network) => {
                    spec.connect("the container", Membership { network, ..membership.clone() })?;
                }
            }
        }
        if let Some(first) = spec.memberships.first_mut() {
            let given = [
                ("--ip", first.ip.is_some() && self.ip.is_some()),
                ("--ip6", first.ip6.is_some() && self.ip6.is_some()),
                ("--mac-address", first.mac.is_some() && self.mac_address.is_some()),
            ];
            if let Some((flag, _)) = given.into_iter().find(|(_, twice)| *twice) {
                bail!("{flag} says what --network {} says too", first.network);
            }
            first.ip = first.ip.or(self.ip);
            first.ip6 = first.ip6.or(self.ip6);
            first.mac = first.mac.or(self.mac_address);
            first.aliases.extend(self.network_alias.iter().cloned());
        }
        Ok(spec.memberships)
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

/// The name of a network that exists; none for no network.
fn named(name: &str, networks: &Networks) -> anyhow::Result<Option<String>> {
    match name {
        "none" => Ok(None),
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::network::{Defaults, NewNetwork};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        network: NetworkFlags,
    }

    fn spec(words: &[&str]) -> anyhow::Result<NetworkSpec> {
        let dir = tempfile::tempdir()?;
        let networks = Networks::new(dir.path(), dir.path(), Defaults::default());
        networks.create(NewNetwork { name: "back".to_owned(), ..NewNetwork::default() })?;
        let line = Line::try_parse_from([&["x"], words].concat())?;
        line.network.spec(&[], &networks)
    }

    #[test]
    fn a_container_can_be_on_several_networks() {
        let names = |words: &[&str]| -> Vec<String> {
            spec(words).unwrap().memberships.into_iter().map(|one| one.network).collect()
        };
        assert_eq!(names(&[]), [DEFAULT]);
        assert_eq!(names(&["--network", "back"]), ["back"]);
        assert_eq!(names(&["--network", "back", "--net", "default"]), ["back", DEFAULT]);
        assert!(names(&["--network=none"]).is_empty());
        let long = "--network=name=back,ip=10.9.0.7,alias=db,alias=store";
        let both = spec(&["--network=bridge", long, "--ip=10.1.0.9", "--network-alias=w"]).unwrap();
        let [first, second] = &both.memberships[..] else { panic!("{both:?}") };
        assert_eq!(
            (first.ip, &first.aliases[..]),
            (Some(Ipv4Addr::new(10, 1, 0, 9)), &["w".to_owned()][..])
        );
        assert_eq!(second.ip, Some(Ipv4Addr::new(10, 9, 0, 7)));
        assert_eq!(second.aliases, ["db", "store"]);
    }

    #[test]
    fn what_cannot_be_of_networks_is_refused() {
        for words in [
            &["--network=none", "--network=back"][..],
            &["--network=back", "--network=back"],
            &["--network=host"],
            &["--network=nowhere"],
            &["--network=ip=10.9.0.7"],
            &["--network=name=back,nonsense=1"],
            &["--network=name=back,ip=x"],
            &["--network=name=back,ip=10.9.0.7", "--ip=10.9.0.8"],
            &["--network=none", "-p", "80:80"],
        ] {
            assert!(spec(words).is_err(), "{words:?}");
        }
    }
}
