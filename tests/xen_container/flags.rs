//! Flags of docker's that are about one thing each.

use crate::host;

#[test]
fn groups_and_a_domain_name_are_the_containers() {
    let Some(host) = host() else { return };
    let flags = ["--group-add=777", "--domainname=example.org", "--hostname=box"];
    host.start("grouped", flags, "id -G; echo done; exec sleep 1000");
    host.wait_for("grouped", "done");
    let said = host.ok(["logs", "grouped"]);
    assert!(said.lines().next().is_some_and(|line| line.ends_with(" 777")), "{said}");
    assert!(host.ok(["exec", "grouped", "id", "-G"]).ends_with(" 777"));
    let domain = ["exec", "grouped", "cat", "/proc/sys/kernel/domainname"];
    assert_eq!(host.ok(domain), "example.org");
    let fields = "{{.Config.Domainname}} {{.HostConfig.GroupAdd}}";
    assert_eq!(host.field("grouped", fields), "example.org [777]");
    host.clean(["grouped"]);
}
