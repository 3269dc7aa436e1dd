//! Flags of docker's that are about one thing each.

use crate::{BUSYBOX, host};

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

#[test]
fn annotations_are_kept_and_quiet_shows_no_progress() {
    let Some(host) = host() else { return };
    let flags = ["--annotation=a.b/c=1=2", "--annotation", "bare", "--quiet", "--pull=always"];
    let create = host.vxn(["create", "--name", "noted"]).args(flags).args([BUSYBOX, "true"]);
    let output = create.run().unwrap().success().unwrap();
    assert_eq!(output.error_text(), "");
    let kept = host.field("noted", "{{json .HostConfig.Annotations}}");
    assert_eq!(kept, r#"{"a.b/c":"1=2","bare":""}"#);
    host.clean(["noted"]);
}
