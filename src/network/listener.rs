//! Whether a port of this host is free, and who has it if it is not.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::ffi::OsStrExt;

use super::port::Protocol;

/// Takes the port for a moment, or any free one for 0, and says which it was.
/// Without an address it has to be free on all, of IPv6 and IPv4.
pub(super) fn probe(ip: Option<IpAddr>, protocol: Protocol, port: u16) -> io::Result<u16> {
    let bind = |ip: IpAddr| {
        let address = SocketAddr::new(ip, port);
        match protocol {
            Protocol::Tcp => TcpListener::bind(address)?.local_addr(),
            Protocol::Udp => UdpSocket::bind(address)?.local_addr(),
        }
    };
    let bound = match ip {
        Some(ip) => bind(ip),
        None => match bind(Ipv6Addr::UNSPECIFIED.into()) {
            Err(e) if e.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => {
                bind(Ipv4Addr::UNSPECIFIED.into())
            }
            bound => bound,
        },
    };
    bound.map(|address| address.port())
}

/// The process that has the port, as `nginx (process 123)`.
pub(super) fn holder(protocol: Protocol, port: u16) -> Option<String> {
    let inodes: Vec<String> = ["", "6"]
        .iter()
        // Not /proc/net: that is the namespace of the process's first thread.
        .filter_map(|v| fs::read_to_string(format!("/proc/thread-self/net/{protocol}{v}")).ok())
        .flat_map(|table| listening(&table, protocol, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let pids = fs::read_dir("/proc").ok()?;
    let mut pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| has_any(*pid, &inodes))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (process {pid})", name.trim_end()))
}

/// Inodes of the sockets in a table of proc_pid_net(5) that wait on the port.
fn listening(table: &str, protocol: Protocol, port: u16) -> Vec<String> {
    // TCP_LISTEN and, for what has no peer, TCP_CLOSE of the kernel.
    let waiting = match protocol {
        Protocol::Tcp => "0A",
        Protocol::Udp => "07",
    };
    let port = format!("{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let found = local == port && fields.get(3) == Some(&waiting);
        found.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    };
    table.lines().skip(1).filter_map(inode).collect()
}

fn has_any(pid: u32, sockets: &[String]) -> bool {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
        .any(|target| sockets.iter().any(|s| s.as_bytes() == target.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_free_or_has_a_holder() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let localhost = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let port = probe(localhost, protocol, 0).unwrap();
            let _tcp = TcpListener::bind(("127.0.0.1", port)).unwrap();
            let _udp = UdpSocket::bind(("127.0.0.1", port)).unwrap();
            for ip in [localhost, None, Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED))] {
                let error = probe(ip, protocol, port).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{ip:?} {protocol}");
            }
            let holder = holder(protocol, port).unwrap();
            assert!(holder.ends_with(&format!("(process {})", std::process::id())), "{holder}");
        }
        assert_eq!(holder(Protocol::Tcp, 0), None);
    }
}
