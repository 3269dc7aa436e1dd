//! What a container has said.

use std::time::Instant;

use crate::{PATIENCE, host};

#[test]
fn logs_are_there_during_and_after_and_keep_streams_apart() {
    let Some(host) = host() else { return };
    let script = "echo one; echo two >&2; printf 'th'; sleep 1; echo ree; echo ready; \
                  trap 'exit 0' TERM; while :; do sleep 1; done";
    host.start("says", [], script);
    host.wait_for("says", "ready");
    for _ in 0..2 {
        let output = host.vxn(["logs", "says"]).run().unwrap().success().unwrap();
        assert_eq!(
            (output.text().as_str(), output.error_text().as_str()),
            ("one\nthree\nready", "two\n")
        );
        host.ok(["stop", "says"]);
    }
    assert_eq!(host.ok(["logs", "--tail", "1", "says"]), "ready");
    let stamped = host.ok(["logs", "-t", "-n", "2", "says"]);
    let (time, text) = stamped.lines().next().unwrap().split_once(' ').unwrap();
    assert!(time.ends_with('Z') && text == "three", "{stamped}");
    assert_eq!(host.ok(["logs", "--since", time, "says"]), "three\nready");
    assert_eq!(host.ok(["logs", "--until", "1h", "says"]), "");
    host.clean(["says"]);
}

#[test]
fn follow_shows_it_as_it_happens_and_ends_with_the_container() {
    let Some(host) = host() else { return };
    host.start("talks", [], "while [ ! -e /go ]; do sleep 1; done; echo went");
    let logs = host.vxn(["logs", "-f", "talks"]).spawn().unwrap();
    host.ok(["exec", "talks", "touch", "/go"]);
    assert!(logs.stdout.wait_for(b"went", Instant::now() + PATIENCE));
    assert_eq!(logs.wait().unwrap().success().unwrap().text(), "went");
    host.clean(["talks"]);
}

#[test]
fn a_flood_is_bounded_on_disk_and_does_not_stop_the_guest() {
    let Some(host) = host() else { return };
    let flags = ["--log-opt", "max-size=100k", "--log-opt", "max-file=3"];
    // Nobody reads it. 20 MB pass, and the process gets to its end.
    host.start("flood", flags, "yes | head -c 20000000; echo; echo end");
    assert_eq!(host.ok(["wait", "flood"]), "0");
    assert_eq!(host.ok(["logs", "--tail", "1", "flood"]), "end");
    let log = host.field("flood", "{{.LogPath}}");
    let kept = format!("d=$(dirname {log}); ls $d | wc -l; du -sb $d | cut -f1");
    let text = host.dom0.shell(&kept).unwrap().text();
    let (files, bytes) = text.split_once('\n').unwrap();
    assert_eq!(files, "3");
    assert!(bytes.parse::<u64>().unwrap() < 350_000, "{text}");
    host.clean(["flood"]);
}

#[test]
fn no_log_is_kept_where_none_is_wanted() {
    let Some(host) = host() else { return };
    host.start("mute", ["--log-driver", "none"], "echo secret");
    host.ok(["wait", "mute"]);
    host.fails(1, "keeps no log", ["logs", "mute"]);
    let found = host.dom0.shell("grep -r secret /var/lib/vxn/containers/*/log").unwrap();
    assert_ne!(found.code, 0, "{found}");
    host.clean(["mute"]);
}
