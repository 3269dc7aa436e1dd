//! Debian's own docker, unpatched, with the daemon's settings of `share/`.

use testbed::Running;

use crate::containerd::end;
use crate::network::{SERVER, ask};
use crate::{Host, host};

/// A container of the small image.
fn run(words: &str) -> String {
    format!("docker run --runtime vxn {words}")
}

impl Host {
    /// dockerd, which has the small image; [`Host::undo_docker`] ends it.
    fn docker(&self) -> Running<'_> {
        let settings = include_str!("../../share/docker-daemon.json");
        self.ok(&format!(
            "iptables-save >/tmp/rules; mkdir -p /etc/docker; \
             cat >/etc/docker/daemon.json <<'END'\n{settings}END"
        ));
        let running = self.service("dockerd", "API listen on /var/run/docker.sock");
        self.ok("docker image inspect small >/dev/null 2>&1 || \
                 skopeo copy -q oci:/srv/images/busybox docker-daemon:small:latest");
        running
    }

    /// Takes away what dockerd leaves where it is used: its bridge, its chains, and a
    /// policy that drops what others forward. iptables-restore makes all chains that the
    /// kernel knows.
    fn undo_docker(&self, running: Running<'_>) {
        end(running);
        self.ok("ip link del docker0 && iptables-restore </tmp/rules && \
                 nft 'delete chain ip filter INPUT; delete chain ip filter OUTPUT; \
                 delete chain ip nat INPUT'");
    }
}

#[test]
fn docker_runs_a_container_to_its_end() {
    let Some(host) = host() else { return };
    let docker = host.docker();
    host.ok("vxn system prune --force");
    let both = host.run(&run("--rm small sh -c 'echo out; echo err >&2; exit 42'"));
    assert_eq!((both.code, both.text().as_str()), (42, "out"), "{both}");
    assert_eq!(both.error_text().trim_end(), "err");
    host.fails(127, "executable file not found in $PATH", &run("--rm small nosuch"));
    let settings = host.run(&run("--rm --hostname box -e A=1 -u 5:6 -v /srv/images:/data:ro small \
                                  sh -c 'hostname; echo $A; id -u; id -g; ls /data; touch /data/x'"));
    assert!(settings.text().starts_with("box\n1\n5\n6\n"), "{settings}");
    assert!(settings.error_text().contains("Read-only"), "{settings}");
    // docker has a lower directory of its own for each of them.
    assert_eq!(host.ok("ls /var/lib/vxn/oci/disks/*.squashfs | wc -l"), "1", "one root disk");
    let mut pty = host.shell(&run("-it --rm small sh")).spawn_pty().unwrap();
    pty.expect("# ").unwrap();
    pty.send("test -t 2 && echo all''right; exit 6\r").unwrap();
    pty.expect("allright").unwrap();
    assert_eq!(pty.wait().unwrap(), 6);
    host.undo_docker(docker);
    host.clean();
}

#[test]
fn docker_has_containers_that_serve_and_stop() {
    let Some(host) = host() else { return };
    let docker = host.docker();
    host.ok(&run(&format!("-d --name web -p 8080:80 small sh -c \"{SERVER}\"")));
    assert_eq!(host.ok(&ask("127.0.0.1:8080")), "hello");
    let address = host.ok("docker inspect -f '{{.NetworkSettings.IPAddress}}' web");
    assert_eq!(host.ok(&run(&format!("--rm small wget -q -O - http://{address}/"))), "hello");
    assert_eq!(host.ok("echo text | docker exec -i web cat"), "text");
    host.fails(9, "err", "docker exec web sh -c 'echo err >&2; exit 9'");
    assert_eq!(host.ok("docker logs web"), "ready");
    host.ok("docker pause web && docker unpause web");
    host.ok("docker stop -t 100 web");
    assert_eq!(host.ok("docker wait web"), "5");
    assert_eq!(host.ok("docker diff web"), "A /www\nA /www/index.html");
    host.ok("docker cp web:/www/index.html /tmp/copied");
    assert_eq!(host.ok("cat /tmp/copied"), "hello");
    host.ok("docker start web && docker kill web");
    assert_eq!(host.ok("docker wait web"), "137");
    host.ok("docker rm web");
    host.undo_docker(docker);
    host.clean();
}
