//! A real server, Debian's nginx, as people have it in a container.

use std::time::Instant;

use testbed::Running;

use crate::{BUSYBOX, Host, PATIENCE, WORKSHOP, host};

impl Host {
    /// What the published port says to Dom0.
    #[track_caller]
    fn page(&self) -> String {
        let get = "timeout 30 busybox wget -q -O - http://127.0.0.1:8090/";
        self.dom0.shell(get).unwrap().success().unwrap().text()
    }
}

/// Waits until nginx has said that it serves.
#[track_caller]
fn serves(logs: &Running<'_>) {
    let text = b"start worker processes";
    assert!(logs.stderr.wait_for(text, Instant::now() + PATIENCE), "nginx does not start");
}

#[test]
fn nginx_serves_dom0_and_its_neighbours_over_a_restart() {
    let Some(host) = host() else { return };
    let run = ["run", "-d", "-m", "160M", "--name", "www", "-p", "127.0.0.1:8090:80", WORKSHOP];
    host.ok(run);
    let logs = host.vxn(["logs", "-f", "www"]).spawn().unwrap();
    serves(&logs);
    assert_eq!(host.page(), "<h1>It works in a DomU</h1>");
    // As it happens: the log is not waited for, but followed.
    let seen = |text: &str| logs.stdout.wait_for(text.as_bytes(), Instant::now() + PATIENCE);
    assert!(seen("\"GET / HTTP/1.1\" 200"), "no access was logged");
    let name = host.field("www", "{{.Config.Hostname}}");
    let client = ["run", "--rm", "-m", "128M", BUSYBOX, "wget", "-q", "-O", "-"];
    let client = host.vxn(client).args(["http://www/name"]).run().unwrap().success().unwrap();
    assert_eq!(client.text(), name);
    assert!(seen("\"GET /name HTTP/1.1\" 200"), "no access of a neighbour was logged");

    logs.signal(9).unwrap();
    logs.wait().unwrap();
    let now = host.dom0.shell("date -u +%FT%T.%NZ").unwrap().text();
    host.ok(["restart", "www"]);
    let logs = host.vxn(["logs", "-f", "--since", &now, "www"]).spawn().unwrap();
    serves(&logs);
    assert_eq!(host.page(), "<h1>It works in a DomU</h1>");
    // The image's stop signal, by which nginx ends gracefully.
    host.ok(["stop", "www"]);
    assert_eq!(host.field("www", "{{.State.ExitCode}}"), "0");
    logs.wait().unwrap();
    let all = host.ok(["logs", "www"]);
    assert_eq!(all.matches("HTTP/1.1\" 200").count(), 3, "{all}");
    host.clean(["www"]);
}
