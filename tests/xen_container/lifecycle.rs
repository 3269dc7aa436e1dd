//! The verbs, from create to rm.

use crate::{BUSYBOX, PATIENT, alone, host};

#[test]
fn a_container_is_created_started_stopped_and_started_again() {
    let Some(host) = alone() else { return };
    let id = host.ok(["create", "--name", "web", "-m", "160M", BUSYBOX, "sh", "-c", PATIENT]);
    assert_eq!(id.len(), 64, "{id}");
    assert_eq!(host.ok(["ps", "-q"]), "");
    assert_eq!(
        host.ok(["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.Status}}"]),
        format!("{} web Created", &id[..12])
    );
    assert_eq!(host.ok(["start", "web"]), "web");
    host.wait_for("web", "ready");
    assert_eq!(host.ok(["start", &id[..12]]), id[..12], "one that runs is left alone");
    assert_eq!(
        host.field("web", "{{.State.Status}} {{.State.Running}} {{.Name}}"),
        "running true /web"
    );
    let domain = host.dom0.run(["xl", "domname", &host.field("web", "{{.Xen.DomId}}")]).unwrap();
    assert_eq!(domain.text(), "web");
    assert_eq!(host.ok(["stop", "web"]), "web");
    assert_eq!(host.field("web", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    assert_eq!(host.ok(["wait", "web"]), "5");
    assert_eq!(host.ok(["stop", "web"]), "web", "one that has ended is stopped");
    host.ok(["restart", "web"]);
    assert_eq!(host.ok(["ps", "-q"]), id[..12]);
    let told = host.told("web");
    assert!(told.ends_with("die\nstop\nstart\nrestart"), "{told}");
    host.fails(1, "stop it first", ["rm", "web"]);
    host.clean(["web"]);
}

#[test]
fn what_does_not_stop_is_killed_and_what_is_killed_has_ended() {
    let Some(host) = host() else { return };
    let deaf = "trap 'echo no' TERM; echo ready; while :; do sleep 1; done";
    host.start("deaf", ["--stop-timeout", "2"], deaf);
    host.wait_for("deaf", "ready");
    host.ok(["stop", "deaf"]);
    assert_eq!(host.field("deaf", "{{.State.ExitCode}}"), "137");
    assert!(host.ok(["logs", "deaf"]).contains("no"), "it was asked first");
    host.ok(["start", "deaf"]);
    host.ok(["kill", "deaf"]);
    assert_eq!(host.field("deaf", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
    host.fails(1, "not running", ["kill", "deaf"]);
    host.clean(["deaf"]);
}

#[test]
fn signals_are_the_ones_that_were_asked_for() {
    let Some(host) = host() else { return };
    let script = "trap 'echo hup' HUP; trap 'echo usr; exit 4' USR1; echo ready; \
                  while :; do sleep 1; done";
    host.start("sig", ["--stop-signal", "USR1"], script);
    host.wait_for("sig", "ready");
    host.ok(["kill", "-s", "HUP", "sig"]);
    host.wait_for("sig", "hup");
    let waiting = host.vxn(["wait", "sig"]).spawn().unwrap();
    host.ok(["stop", "sig"]);
    assert_eq!(waiting.wait().unwrap().success().unwrap().text(), "4");
    host.clean(["sig"]);
}

#[test]
fn a_name_is_held_until_the_container_is_removed() {
    let Some(host) = host() else { return };
    let create = ["create", "--name", "one", BUSYBOX, "true"];
    let id = host.ok(create);
    host.fails(1, "already in use", create);
    host.fails(125, "already in use", ["run", "--name", "one", BUSYBOX, "true"]);
    host.ok(["rename", "one", "two"]);
    host.fails(1, "no such container", ["inspect", "one"]);
    assert_eq!(host.field("two", "{{.Id}}"), id);
    let second = host.ok(create);
    host.fails(1, "already in use", ["rename", "one", "two"]);
    host.fails(1, "no such container", ["rm", "three"]);
    assert_eq!(host.ok(["rm", "two", &second[..20]]), format!("two\n{}", &second[..20]));
    host.clean([]);
}

#[test]
fn labels_and_a_file_tell_containers_apart() {
    let Some(host) = host() else { return };
    let flags = ["-l", "tier=web", "--label", "bare", "--cidfile", "/tmp/tagged.id", "-h", "box"];
    let create = host.vxn(["create", "--name", "tagged"]).args(flags).args([BUSYBOX, "true"]);
    let id = create.clone().run().unwrap().success().unwrap().text();
    assert_eq!(host.dom0.shell("cat /tmp/tagged.id").unwrap().text(), id);
    let names = |filter| host.ok(["ps", "-a", "-f", filter, "--format", "{{.Names}}"]);
    assert_eq!((names("label=tier=web"), names("label=bare")), ("tagged".into(), "tagged".into()));
    assert_eq!((names("label=tier=db"), names("label=other")), (String::new(), String::new()));
    assert_eq!(host.field("tagged", "{{.Config.Labels.tier}} {{.Config.Hostname}}"), "web box");
    let again = create.run().unwrap();
    assert!(again.code == 1 && again.error_text().contains("/tmp/tagged.id is there"), "{again}");
    host.dom0.shell("rm /tmp/tagged.id").unwrap();
    host.clean(["tagged"]);
}

#[test]
fn rename_reaches_the_domain() {
    let Some(host) = host() else { return };
    host.start("before", [], PATIENT);
    host.ok(["rename", "before", "after"]);
    let domain = host.dom0.run(["xl", "domname", &host.field("after", "{{.Xen.DomId}}")]).unwrap();
    assert_eq!(domain.text(), "after");
    assert_eq!(host.told("after"), "rename");
    host.clean(["after"]);
}

#[test]
fn a_paused_container_stands_still() {
    let Some(host) = host() else { return };
    host.start("still", [], PATIENT);
    host.ok(["pause", "still"]);
    assert!(host.ok(["ps", "--format", "{{.Status}}"]).ends_with("(Paused)"));
    host.fails(1, "already paused", ["pause", "still"]);
    host.fails(1, "unpause it first", ["exec", "still", "true"]);
    let paused = host.dom0.shell("xl list still | tail -1").unwrap().text();
    assert!(paused.contains("--p---"), "{paused}");
    host.ok(["unpause", "still"]);
    host.ok(["exec", "still", "true"]);
    host.ok(["pause", "still"]);
    host.ok(["stop", "still"]);
    assert_eq!(host.field("still", "{{.State.ExitCode}}"), "5", "a paused one hears its signal");
    host.clean(["still"]);
}

#[test]
fn restarts_are_counted_and_end() {
    let Some(host) = host() else { return };
    let script = "echo life >>/lives; wc -l </lives; exit 3";
    host.start("again", ["--restart", "on-failure:2"], script);
    host.ok(["wait", "again"]);
    assert_eq!(host.field("again", "{{.State.ExitCode}} {{.RestartCount}}"), "3 2");
    assert_eq!(host.ok(["logs", "again"]), "1\n2\n3");
    host.start("always", ["--restart", "always"], "echo life; sleep 1");
    host.wait_for("always", "life\nlife");
    host.ok(["stop", "always"]);
    assert_eq!(host.field("always", "{{.State.Status}}"), "exited");
    host.clean(["again", "always"]);
}

#[test]
fn ps_shows_what_it_is_asked_for() {
    let Some(host) = alone() else { return };
    for (name, command) in [("good", "true"), ("bad", "false")] {
        host.vxn(["run", "-m", "160M", "--name", name, BUSYBOX, command]).run().unwrap();
    }
    host.ok(["create", "--name", "new", BUSYBOX, "true"]);
    let table = host.ok(["ps", "-a"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("CONTAINER ID   IMAGE"), "{table}");
    assert!(lines[1].ends_with("new") && lines[2].contains("Exited (1)"), "{table}");
    assert_eq!(lines.len(), 4, "{table}");
    let names = |filter| host.ok(["ps", "-f", filter, "--format", "{{.Names}}"]);
    assert_eq!(names("exited=0"), "good");
    assert_eq!(names("status=exited"), "bad\ngood");
    assert_eq!(names("status=created"), "new");
    assert_eq!(host.ok(["ps", "-l", "--format", "{{.State}}"]), "created");
    let json = host.ok(["ps", "-a", "--json", "-f", "name=bad"]);
    assert!(json.contains(r#""Names":"bad""#) && json.lines().count() == 1, "{json}");
    assert_eq!(host.ok(["ps", "-aq", "--no-trunc", "-n", "1"]).len(), 64);
    host.fails(1, "Names", ["ps", "-a", "--format", "{{.Nmae}}"]);
    host.clean(["good", "bad", "new"]);
}

#[test]
fn a_detached_container_that_cannot_start_says_why() {
    let Some(host) = host() else { return };
    let output =
        host.fails(127, "not found", ["run", "-d", "--rm", "-m", "160M", BUSYBOX, "nosuch"]);
    assert!(output.stdout.is_empty(), "{output}");
    host.start("gone", ["--rm"], "exit 0");
    host.vxn(["wait", "gone"]).run().unwrap();
    host.clean([]);
}

#[test]
fn what_a_boot_brings_back_is_what_the_policies_say() {
    let Some(host) = alone() else { return };
    host.start("stays", ["--restart", "unless-stopped"], PATIENT);
    host.start("stopped", ["--restart", "unless-stopped"], PATIENT);
    host.start("plain", [], PATIENT);
    host.ok(["stop", "stopped"]);
    // What a boot does to live state.
    let script = "kill -KILL $(vxn inspect --format '{{.State.Pid}}' stays plain); vxn info";
    host.dom0.shell(script).unwrap().success().unwrap();
    assert_eq!(host.ok(["start", "--all-restartable"]), "stays");
    host.clean(["stays", "stopped", "plain"]);
}
