//! Containers of one image have one root disk.

use crate::podman::podman;
use crate::{PATIENT, host};

#[test]
fn containers_of_one_image_share_its_root_disk() {
    let Some(host) = host() else { return };
    let disks = "cd /var/lib/vxn/oci/disks && ls *.squashfs 2>/dev/null | wc -l";
    let users = "stat -c %h /var/lib/vxn/oci/disks/*.squashfs";
    host.ok("vxn system prune --force");
    assert_eq!(host.ok(disks), "0");
    for (name, links) in [("one", "2"), ("two", "3")] {
        host.ok(&podman(&format!("run -d --name {name} small sh -c \"{PATIENT}\"")));
        assert_eq!(host.ok(users), links, "the disk, and a link for each container");
    }
    host.ok(&podman("stop -t 100 one two"));
    assert_eq!((host.ok(disks).as_str(), host.ok(users).as_str()), ("1", "1"));
    host.ok(&podman("rm one two"));
    host.ok("vxn system prune --force");
    assert_eq!(host.ok(disks), "0");
    host.clean();
}
