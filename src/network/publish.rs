//! From what is to be published to ports that are free.

use std::io;
use std::net::IpAddr;

use super::definition::Network;
use super::error::{Error, Result};
use super::leases::{Lease, State};
use super::listener;
use super::port::{Forward, Publish};

/// Free ports of this host for all that is to be published of `lease`.
pub(super) fn resolve(
    state: &State,
    network: &Network,
    lease: &Lease,
    ports: &[Publish],
) -> Result<Vec<Forward>> {
    if network.internal && !ports.is_empty() {
        return Err(Error::Internal(network.name.clone()));
    }
    let mut found = Vec::new();
    for port in ports {
        check_family(lease, port)?;
        let forward = free(state, lease, &found, port)?;
        found.push(forward);
    }
    Ok(found)
}

fn check_family(lease: &Lease, port: &Publish) -> Result<()> {
    let Some(ip) = port.ip else { return Ok(()) };
    if ip.is_loopback() && ip.is_ipv6() {
        let why = "Linux leads ::1 to no other host; use 127.0.0.1".to_owned();
        return Err(Error::BadPublish { address: ip.to_string(), why });
    }
    if lease.addresses.iter().any(|net| net.addr().is_ipv4() == ip.is_ipv4()) {
        return Ok(());
    }
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let why = format!("network {} has no {family} addresses", lease.network);
    Err(Error::BadPublish { address: ip.to_string(), why })
}

/// The first port that will do and that nobody has.
fn free(state: &State, lease: &Lease, new: &[Forward], port: &Publish) -> Result<Forward> {
    let Some((low, high)) = port.host else { return any(state, new, port) };
    let mut first = None;
    for host in low..=high {
        match take(state, &lease.owner.name, new, &forward(port, host))? {
            None => return Ok(forward(port, host)),
            Some(holder) => first = first.or(Some(holder)),
        }
    }
    let holder = first.unwrap_or_default();
    Err(Error::PortTaken { port: low, protocol: port.protocol, holder })
}

/// A port that the kernel thinks free, and so do we.
fn any(state: &State, new: &[Forward], port: &Publish) -> Result<Forward> {
    loop {
        let host = listener::probe(port.ip, port.protocol, 0).map_err(|e| bad(port.ip, &e))?;
        let forward = forward(port, host);
        if holder(state, "", new, &forward).is_none() {
            return Ok(forward);
        }
    }
}

fn forward(port: &Publish, host: u16) -> Forward {
    Forward { ip: port.ip, host, container: port.container, protocol: port.protocol }
}

/// Who has the port, a guest or a program of this host; nobody if it is free.
fn take(state: &State, own: &str, new: &[Forward], wanted: &Forward) -> Result<Option<String>> {
    if let Some(holder) = holder(state, own, new, wanted) {
        return Ok(Some(holder));
    }
    match listener::probe(wanted.ip, wanted.protocol, wanted.host) {
        Ok(_) => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            let holder = listener::holder(wanted.protocol, wanted.host);
            Ok(Some(holder.unwrap_or_else(|| "another program".to_owned())))
        }
        Err(e) => Err(bad(wanted.ip, &e)),
    }
}

fn holder(state: &State, own: &str, new: &[Forward], wanted: &Forward) -> Option<String> {
    if new.iter().any(|forward| forward.overlaps(wanted)) {
        return Some(own.to_owned());
    }
    let has = |lease: &&Lease| lease.forwards.iter().any(|forward| forward.overlaps(wanted));
    state.leases.iter().find(has).map(|lease| lease.owner.name.clone())
}

fn bad(ip: Option<IpAddr>, error: &io::Error) -> Error {
    let address = ip.map_or("any address".to_owned(), |ip| ip.to_string());
    let why = match error.kind() {
        io::ErrorKind::AddrNotAvailable => "this host has no such address".to_owned(),
        _ => error.to_string(),
    };
    Error::BadPublish { address, why }
}
