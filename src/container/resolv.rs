//! `/etc/resolv.conf` of a container: the user's words, or Dom0's.

use std::fs;
use std::net::IpAddr;

use super::network::NetworkSpec;

/// Where a host with systemd-resolved keeps what its stub at 127.0.0.53 asks.
const RESOLV_CONF: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// What it is to hold.
pub fn conf(spec: &NetworkSpec) -> String {
    choose(spec, RESOLV_CONF.iter().filter_map(|file| fs::read_to_string(file).ok()))
}

/// Servers at an address of Dom0's own loopback are of no use to a guest: the
/// first of `files` that names others is taken, as docker does.
fn choose(spec: &NetworkSpec, files: impl Iterator<Item = String>) -> String {
    let fields = |text: &str, key: &str| -> Vec<String> {
        let of_key = |line: &str| {
            let mut words = line.split_whitespace();
            (words.next() == Some(key)).then(|| words.map(str::to_owned).collect::<Vec<_>>())
        };
        text.lines().filter_map(of_key).flatten().collect()
    };
    let far = |server: &String| !server.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let mut texts: Vec<String> = files.collect();
    let useful = |text: &String| fields(text, "nameserver").iter().any(far);
    let at = texts.iter().position(useful).unwrap_or(0);
    let text = if texts.is_empty() { String::new() } else { texts.swap_remove(at) };
    let pick = |asked: Vec<String>, key: &str| {
        if asked.is_empty() { fields(&text, key) } else { asked }
    };
    let servers = pick(spec.dns.iter().map(IpAddr::to_string).collect(), "nameserver");
    let servers = servers.into_iter().filter(|server| !spec.dns.is_empty() || far(server));
    let mut lines: Vec<String> = servers.map(|server| format!("nameserver {server}")).collect();
    // "." is docker's way to say none.
    let search = pick(spec.dns_search.clone(), "search");
    for (key, words) in [("search", search), ("options", pick(spec.dns_option.clone(), "options"))]
    {
        if !words.is_empty() && words != ["."] {
            lines.push(format!("{key} {}", words.join(" ")));
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# made by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.53\n\
                        search example.org a.example.org\noptions ndots:2\n";
    const STUB: &str = "nameserver 127.0.0.53\n";

    fn resolv(spec: &NetworkSpec, files: &[&str]) -> String {
        choose(spec, files.iter().map(|text| (*text).to_owned()))
    }

    #[test]
    fn name_servers_are_doms_own_but_for_its_loopback() {
        let spec = NetworkSpec::default();
        let far = "nameserver 192.0.2.53\nsearch example.org a.example.org\noptions ndots:2\n";
        assert_eq!(resolv(&spec, &[HOST]), far);
        assert_eq!(resolv(&spec, &[STUB, "nameserver 2001:db8::1\n"]), "nameserver 2001:db8::1\n");
        assert_eq!(resolv(&spec, &[STUB]), "");
        assert_eq!(resolv(&spec, &[]), "");
    }

    #[test]
    fn name_servers_that_are_asked_for_replace_those() {
        let spec = NetworkSpec {
            dns: vec!["127.0.0.1".parse().unwrap(), "198.51.100.1".parse().unwrap()],
            dns_search: vec![".".to_owned()],
            dns_option: vec!["rotate".to_owned(), "ndots:1".to_owned()],
            ..NetworkSpec::default()
        };
        let asked = "nameserver 127.0.0.1\nnameserver 198.51.100.1\noptions rotate ndots:1\n";
        assert_eq!(resolv(&spec, &[HOST]), asked);
    }
}
