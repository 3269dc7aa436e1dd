//! Published ports, written as docker writes them:
//! `[[ip:][host]:]container[/tcp|udp]`, where both ports may be ranges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Protocol, String> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            _ => Err(format!("{text:?} is not a protocol whose ports can be published: tcp, udp")),
        }
    }
}

/// One port of a container that is to be reached from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The address of this host that it is published on; all when there is none.
    pub ip: Option<IpAddr>,
    /// The ports of this host that will do, the first free one is taken;
    /// any free port when there is none.
    pub host: Option<(u16, u16)>,
    /// The container's port.
    pub container: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl Publish {
    /// A port on any free port of this host, as `--publish-all` asks for.
    pub fn anywhere(container: u16, protocol: Protocol) -> Publish {
        Publish { ip: None, host: None, container, protocol }
    }

    /// Reads a `--publish`: one entry for each port of the container.
    ///
    /// # Errors
    /// In words for the user.
    pub fn parse(text: &str) -> Result<Vec<Publish>, String> {
        let bad = |why: String| format!("{text:?} is no [[IP:]HOST:]CONTAINER[/tcp|udp]: {why}");
        let (rest, protocol) = protocol(text).map_err(bad)?;
        let (rest, container) = match rest.rsplit_once(':') {
            Some((rest, container)) => (Some(rest), container),
            None => (None, rest),
        };
        let (ip, host) = rest.map_or(Ok((None, "")), address).map_err(bad)?;
        let container = range(container).map_err(bad)?;
        let host = if host.is_empty() { None } else { Some(range(host).map_err(bad)?) };
        if host.is_none() && ip.is_none() && rest.is_some() {
            return Err(bad("there is nothing before the colon".to_owned()));
        }
        pair(host, container).map_err(bad).map(|pairs| {
            let publish = |(host, container)| Publish { ip, host, container, protocol };
            pairs.into_iter().map(publish).collect()
        })
    }

    /// Reads a port that an image exposes or a `--expose` names: `80`, `53/udp`,
    /// `8000-8010`.
    ///
    /// # Errors
    /// In words for the user.
    pub fn parse_exposed(text: &str) -> Result<Vec<(u16, Protocol)>, String> {
        let bad = |why: String| format!("{text:?} is no PORT[-PORT][/tcp|udp]: {why}");
        let (ports, protocol) = protocol(text).map_err(bad)?;
        let (first, last) = range(ports).map_err(bad)?;
        Ok((first..=last).map(|port| (port, protocol)).collect())
    }
}

fn protocol(text: &str) -> Result<(&str, Protocol), String> {
    match text.split_once('/') {
        Some((rest, protocol)) => Ok((rest, protocol.parse()?)),
        None => Ok((text, Protocol::Tcp)),
    }
}

/// What stands before the container's port: an address, and a colon and the
/// host's port if it has one. IPv6 stands in brackets.
fn address(text: &str) -> Result<(Option<IpAddr>, &str), String> {
    let not_ip = |ip: &str| format!("{ip:?} is not an IP address");
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, host) = rest.split_once(']').ok_or("a bracket is not closed")?;
        let host = host.strip_prefix(':').ok_or("a colon is missing after the bracket")?;
        let ip = ip.parse().map(IpAddr::V6).map_err(|_| not_ip(ip))?;
        return Ok((Some(ip), host));
    }
    match text.split_once(':') {
        Some(("", host)) => Ok((None, host)),
        Some((ip, host)) => Ok((Some(ip.parse().map(IpAddr::V4).map_err(|_| not_ip(ip))?), host)),
        None => Ok((None, text)),
    }
}

/// `80` or `8000-8010`.
fn range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(format!("the range {text} ends before it starts"));
    }
    Ok((first, last))
}

fn port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|&port| digits && port != 0)
        .ok_or_else(|| format!("{text:?} is not a port from 1 to 65535"))
}

type Pair = (Option<(u16, u16)>, u16);

/// Ranges of one length go together; one port may have its pick of a range.
fn pair(host: Option<(u16, u16)>, (first, last): (u16, u16)) -> Result<Vec<Pair>, String> {
    let Some((low, high)) = host else {
        return Ok((first..=last).map(|port| (None, port)).collect());
    };
    if first == last {
        return Ok(vec![(host, first)]);
    }
    if high - low != last - first {
        return Err(format!("the ranges {low}-{high} and {first}-{last} differ in length"));
    }
    Ok((low..=high).zip(first..=last).map(|(host, port)| (Some((host, host)), port)).collect())
}

/// A port of this host that leads to a container's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The address of this host; all when there is none.
    pub ip: Option<IpAddr>,
    /// The port of this host.
    pub host: u16,
    /// The container's port.
    pub container: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl Forward {
    /// Whether a packet could be meant for both.
    pub fn overlaps(&self, other: &Forward) -> bool {
        let any =
            |ip: IpAddr, other: IpAddr| ip.is_unspecified() && ip.is_ipv4() == other.is_ipv4();
        let same = match (self.ip, other.ip) {
            (Some(a), Some(b)) => a == b || any(a, b) || any(b, a),
            _ => true,
        };
        same && self.protocol == other.protocol && self.host == other.host
    }

    /// Where it is reached, `0.0.0.0:8080` or `[fe80::1]:8080`.
    pub fn published(&self) -> SocketAddr {
        SocketAddr::new(self.ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), self.host)
    }
}

impl fmt::Display for Forward {
    /// As docker lists it: `80/tcp -> 0.0.0.0:8080`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} -> {}", self.container, self.protocol, self.published())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Publish {
        let all = Publish::parse(text).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        all[0].clone()
    }

    #[test]
    fn ports_are_read_as_docker_reads_them() {
        let tcp = |ip: Option<&str>, host, container| Publish {
            ip: ip.map(|ip| ip.parse().unwrap()),
            host,
            container,
            protocol: Protocol::Tcp,
        };
        assert_eq!(one("80"), tcp(None, None, 80));
        assert_eq!(one("8080:80"), tcp(None, Some((8080, 8080)), 80));
        assert_eq!(one("127.0.0.1:8080:80/tcp"), tcp(Some("127.0.0.1"), Some((8080, 8080)), 80));
        assert_eq!(one("127.0.0.1::80"), tcp(Some("127.0.0.1"), None, 80));
        assert_eq!(one("[::1]:8080:80"), tcp(Some("::1"), Some((8080, 8080)), 80));
        assert_eq!(one("[::1]::80"), tcp(Some("::1"), None, 80));
        assert_eq!(one("8000-8010:80"), tcp(None, Some((8000, 8010)), 80));
        assert_eq!(one("53:53/udp").protocol, Protocol::Udp);
        let range = Publish::parse("8000-8002:80-82").unwrap();
        assert_eq!(range.len(), 3);
        assert_eq!((range[2].host, range[2].container), (Some((8002, 8002)), 82));
        assert_eq!(Publish::parse("80-81").unwrap().len(), 2);
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for text in [
            "",
            ":",
            ":80",
            "80:",
            "0:80",
            "80:0",
            "65536",
            "+80",
            "8o:80",
            "::1:80:80",
            "[::1]80:80",
            "[::1:80:80",
            "[1.2.3.4]:80:80",
            "1.2.3:80:80",
            "a:1:2:3",
            "80-79",
            "1-2:1-3",
            "80/sctp",
            "80/tcp/udp",
            "8080:80-82",
            "1.2.3.4:80",
            "80-",
            "-80",
            "80 : 80",
        ] {
            let error = Publish::parse(text).expect_err(text);
            assert!(error.starts_with(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn exposed_ports_have_ranges_and_protocols() {
        assert_eq!(Publish::parse_exposed("80").unwrap(), [(80, Protocol::Tcp)]);
        let range = Publish::parse_exposed("53-54/udp").unwrap();
        assert_eq!(range, [(53, Protocol::Udp), (54, Protocol::Udp)]);
        assert!(Publish::parse_exposed("1:2").is_err());
    }

    #[test]
    fn forwards_overlap_by_address_port_and_protocol() {
        let forward = |ip: Option<&str>, host| Forward {
            ip: ip.map(|ip| ip.parse().unwrap()),
            host,
            container: 80,
            protocol: Protocol::Tcp,
        };
        let all = forward(None, 80);
        let local = forward(Some("127.0.0.1"), 80);
        assert!(all.overlaps(&local) && local.overlaps(&all) && local.overlaps(&local));
        assert!(local.overlaps(&forward(Some("0.0.0.0"), 80)));
        assert!(!local.overlaps(&forward(Some("::"), 80)));
        assert!(!local.overlaps(&forward(Some("127.0.0.2"), 80)));
        assert!(!all.overlaps(&forward(None, 81)));
        assert!(!all.overlaps(&Forward { protocol: Protocol::Udp, ..forward(None, 80) }));
        assert_eq!(forward(Some("::1"), 8080).to_string(), "80/tcp -> [::1]:8080");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9:./\\[\\]a-z -]{0,40}") {
            let _ = Publish::parse(&text);
            let _ = Publish::parse_exposed(&text);
        }

        #[test]
        fn what_is_written_is_read(
            ip in any::<Option<IpAddr>>(),
            low in 1_u16..60_000,
            length in 0_u16..20,
            container in 1_u16..60_000,
            udp in any::<bool>(),
        ) {
            let ip_text = match ip {
                None => String::new(),
                Some(IpAddr::V4(ip)) => format!("{ip}:"),
                Some(IpAddr::V6(ip)) => format!("[{ip}]:"),
            };
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let (high, last) = (low + length, container + length);
            let text = format!("{ip_text}{low}-{high}:{container}-{last}/{protocol}");
            let ports = Publish::parse(&text).unwrap();
            prop_assert_eq!(ports.len(), usize::from(length) + 1);
            for (n, port) in (0..).zip(&ports) {
                let host = Some((low + n, low + n));
                let wanted = Publish { ip, host, container: container + n, protocol };
                prop_assert_eq!(port, &wanted);
            }
        }
    }
}
