//! What is left when those who have a container are killed, and what a caller is told of
//! what cannot be.

use crate::hooks::script as hook;
use crate::{PATIENT, RUNTIME, host};

#[test]
fn a_killed_monitor_leaves_a_container_that_has_stopped() {
    let Some(host) = host() else { return };
    let dir = host.bundle("killed", PATIENT);
    host.ok(&format!(
        "{RUNTIME} create -b {dir} --pid-file {dir}/pid killed </dev/null >{dir}/out 2>&1 \
         && {RUNTIME} start killed && kill -9 $(cat {dir}/pid)"
    ));
    // Whatever command comes next clears up.
    assert!(host.ok(&format!("{RUNTIME} state killed")).contains("\"stopped\""));
    host.ok(&format!("{RUNTIME} delete killed"));
    host.clean();
}

#[test]
fn a_container_that_was_never_started_is_killed_or_deleted() {
    let Some(host) = host() else { return };
    let dir = host.bundle("waiting", "true");
    let create = |id: &str| {
        host.ok(&format!(
            "{RUNTIME} create -b {dir} --pid-file {dir}/pid {id} </dev/null >/dev/null 2>&1"
        ));
    };
    create("one");
    host.ok(&format!("{RUNTIME} kill one KILL"));
    host.ok(&format!("pid=$(cat {dir}/pid); while [ -d /proc/$pid ]; do sleep 0.1; done"));
    host.fails(1, "has stopped", &format!("{RUNTIME} start one"));
    host.ok(&format!("{RUNTIME} delete one"));
    host.ok(&format!(
        "sed -i 's|\"linux\": {{|&\"cgroupsPath\": \"/waiting\",|' {dir}/config.json"
    ));
    create("two");
    host.ok(&format!("{RUNTIME} delete two && [ ! -e /sys/fs/cgroup/waiting ]"));
    create("three");
    // The same id below another root is another container.
    host.ok(&format!(
        "{RUNTIME} --root /tmp/other create -b {dir} three </dev/null >/dev/null 2>&1"
    ));
    host.ok(&format!("kill -9 $(cat {dir}/pid)"));
    host.ok(&format!("{RUNTIME} delete three && {RUNTIME} --root /tmp/other delete three"));
    host.clean();
}

#[test]
fn a_domain_that_is_destroyed_from_outside_ends_its_container() {
    let Some(host) = host() else { return };
    let dir = host.bundle("outside", PATIENT);
    // The runtime's caller is the monitor's parent, and has its exit code.
    let caller = format!("vxn oci run -b {dir} outside >{dir}/out 2>{dir}/err");
    let run = host.shell(&caller).spawn().unwrap();
    host.wait_for(&format!("{dir}/out"), "ready");
    host.ok("xl destroy $(xl list | awk '$1 ~ /^oci-/ { print $1 }')");
    let ended = run.wait().unwrap();
    assert_eq!(ended.code, 137, "{ended}");
    assert_ne!(host.ok(&format!("cat {dir}/err")), "", "the reason");
    host.fails(1, "container does not exist", &format!("{RUNTIME} state outside"));
    host.clean();
}

#[test]
fn a_create_that_is_killed_takes_all_of_it_along() {
    let Some(host) = host() else { return };
    let dir = host.bundle("halfway", "true");
    // The hook says where the runtime is, and stays there.
    host.ok(&format!("mkfifo {dir}/held"));
    host.ok(&format!("cp {dir}/config.json {dir}/good.json"));
    host.hooked(&dir, &hook("createRuntime", &format!("cat >{dir}/state; read x <{dir}/held")));
    let create = format!("exec {RUNTIME} create -b {dir} halfway </dev/null >{dir}/out 2>&1");
    let creating = host.shell(&create).spawn().unwrap();
    host.wait_for(&format!("{dir}/state"), "creating");
    let pid = host.ok(&format!("sed 's/.*.pid.:\\([0-9]*\\).*/\\1/' {dir}/state"));
    creating.signal(9).unwrap();
    assert_eq!(creating.wait().unwrap().code, 137);
    host.ok(&format!("echo >{dir}/held; while [ -d /proc/{pid} ]; do sleep 0.1; done"));
    assert!(host.ok(&format!("{RUNTIME} state halfway")).contains("\"stopped\""));
    host.fails(1, "has stopped", &format!("{RUNTIME} start halfway"));
    // Callers do so when their `create` has not come back.
    host.ok(&format!("{RUNTIME} delete --force halfway"));
    host.ok(&format!("cp {dir}/good.json {dir}/config.json; vxn oci run -b {dir} halfway"));
    host.clean();
}

#[test]
fn one_of_two_deletes_removes_a_container() {
    let Some(host) = host() else { return };
    let dir = host.bundle("twice", PATIENT);
    host.ok(&format!("cp {dir}/config.json {dir}/good.json"));
    host.hooked(&dir, &hook("poststop", &format!("echo >>{dir}/deleted")));
    let create = format!("{RUNTIME} create -b {dir} --pid-file {dir}/pid twice </dev/null");
    // Each says how it ended, and why.
    let twice = |force: &str| {
        let delete = format!("{{ {RUNTIME} delete {force} twice 2>&1; echo $?; }}");
        let said = host.ok(&format!("{delete} >{dir}/one & {delete}; wait; cat {dir}/one"));
        assert_eq!(host.ok(&format!("wc -l <{dir}/deleted; rm {dir}/deleted")), "1", "{said}");
        let good = said.lines().filter(|line| *line == "0").count();
        (good, said.matches("container does not exist").count())
    };
    host.ok(&format!("{create} >/dev/null 2>&1; {RUNTIME} kill twice KILL"));
    host.ok(&format!("while [ -d /proc/$(cat {dir}/pid) ]; do sleep 0.1; done"));
    assert_eq!(twice(""), (1, 1));
    host.ok(&format!("{create} >/dev/null 2>&1"));
    assert_eq!(twice("--force"), (2, 0));
    // Who stays with it does not keep others from it.
    let run = host.shell(&format!("vxn oci run -b {dir} twice")).spawn().unwrap();
    host.ok(&format!("until {RUNTIME} state twice >/dev/null 2>&1; do sleep 0.1; done"));
    host.ok(&format!("{RUNTIME} delete --force twice"));
    assert_eq!(run.wait().unwrap().code, 137);
    host.clean();
}

#[test]
fn what_is_missing_is_named_and_leaves_nothing() {
    let Some(host) = host() else { return };
    let dir = host.bundle("missing", "true");
    let log = format!("--log {dir}/log --log-format json");
    let create = format!("{RUNTIME} {log} create -b {dir} --pid-file {dir}/pid missing </dev/null");
    host.ok(&format!("cp {dir}/config.json {dir}/good.json && rm {dir}/config.json"));
    host.fails(1, "config.json: No such file", &create);
    host.ok(&format!("head -c 100 {dir}/good.json >{dir}/config.json"));
    host.fails(1, "config.json: EOF while parsing", &create);
    // A terminal that nobody waits for any more.
    let terminal = "s/\"terminal\": false/\"terminal\": true/";
    host.ok(&format!("sed '{terminal}' {dir}/good.json >{dir}/config.json"));
    let gone = create.replace(" -b", " --console-socket /tmp/missing/none -b");
    host.fails(1, "console socket /tmp/missing/none: No such file", &gone);
    host.ok(&format!(
        "cp {dir}/good.json {dir}/config.json && mv {dir}/rootfs {dir}/full && mkdir {dir}/rootfs"
    ));
    host.fails(1, "executable file not found in $PATH", &create);
    host.ok(&format!("rmdir {dir}/rootfs"));
    host.fails(1, "rootfs: No such file", &create);
    let lines = host.ok(&format!("sed 's/.*\"level\":\"\\([a-z]*\\)\".*/\\1/' {dir}/log"));
    assert_eq!(lines, ["error"; 5].join("\n"));
    host.ok(&format!("! test -e {dir}/pid"));
    assert_eq!(host.ok(&format!("{RUNTIME} list -q")), "");
    host.clean();
}
