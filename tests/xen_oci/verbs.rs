//! The verbs, as runc's callers say them.

use testbed::schemas::{Kind, Schemas};

use crate::{Host, PATIENT, RUNTIME, host};

impl Host {
    /// Holds what `script` prints against the specification's schema.
    #[track_caller]
    pub fn as_specified(&self, kind: Kind, script: &str) {
        let printed = serde_json::from_str(&self.ok(script)).unwrap();
        Schemas::get().unwrap().check(kind, &printed).unwrap();
    }
}

#[test]
fn a_bundle_runs_with_its_streams_and_its_exit_code() {
    let Some(host) = host() else { return };
    let dir = host.bundle("streams", "cat; echo out; echo err >&2; exit 7");
    let run = host.shell(&format!("vxn oci run -b {dir} streams")).stdin("in\n").run().unwrap();
    assert_eq!((run.code, run.text().as_str()), (7, "in\nout"), "{run}");
    assert_eq!(run.error_text().trim_end(), "err");
    assert_eq!(host.ok(&format!("{RUNTIME} list -q")), "");
    host.clean();
}

#[test]
fn a_container_goes_from_create_to_delete() {
    let Some(host) = host() else { return };
    let dir = host.bundle("steps", PATIENT);
    host.ok(&format!(
        "sed -i 's|\"linux\": {{|&\"cgroupsPath\": \"/vxn/steps\",|' {dir}/config.json"
    ));
    let runtime = format!("{RUNTIME} --log {dir}/log --log-format json");
    host.ok(&format!(
        "{runtime} create -b {dir} --pid-file {dir}/pid steps </dev/null >{dir}/out 2>&1"
    ));
    let field = |name: &str| {
        host.ok(&format!(
            "{runtime} state steps | sed -n 's/^  \"{name}\": \"\\?\\([^\",]*\\).*/\\1/p'"
        ))
    };
    assert_eq!(field("status"), "created");
    host.as_specified(Kind::State, &format!("{runtime} state steps"));
    let pid = host.ok(&format!("cat {dir}/pid"));
    assert_eq!(field("pid"), pid);
    assert_eq!(host.ok(&format!("cat /proc/{pid}/cgroup")), "0::/vxn/steps");
    host.ok(&format!("{runtime} start steps"));
    host.wait_for(&format!("{dir}/out"), "ready");
    assert_eq!(field("status"), "running");
    host.as_specified(Kind::Config, &format!("cat {dir}/config.json"));
    host.as_specified(Kind::State, &format!("{runtime} state steps"));
    let pids = host.ok(&format!("{runtime} ps -f json steps | tr -d '[] \\n'"));
    assert_eq!(pids, pid);

    assert_eq!(host.ok(&format!("echo text | {runtime} exec steps cat")), "text");
    host.fails(3, "", &format!("{runtime} exec steps sh -c 'exit 3'"));
    host.ok(&format!("{runtime} pause steps"));
    assert_eq!(field("status"), "paused");
    host.ok(&format!("{runtime} resume steps"));

    assert_eq!(host.ok(&format!("cat {dir}/log 2>/dev/null | wc -c")), "0", "nothing but failures");
    host.fails(1, "already exists", &format!("{runtime} create -b {dir} steps"));
    host.fails(1, "already running", &format!("{runtime} start steps"));
    host.fails(1, "not stopped: running", &format!("{runtime} delete steps"));
    assert_eq!(
        host.ok(&format!("sed 's/.*\"level\":\"\\([a-z]*\\)\".*/\\1/' {dir}/log")),
        "error\nerror\nerror"
    );

    host.ok(&format!("{runtime} kill steps TERM"));
    host.wait_for(&format!("{dir}/out"), "asked");
    host.ok(&format!("while [ -d /proc/{pid} ]; do sleep 0.1; done"));
    assert_eq!(field("status"), "stopped");
    host.as_specified(Kind::State, &format!("{runtime} state steps"));
    host.fails(1, "container not running", &format!("{runtime} kill steps KILL"));
    host.ok(&format!("{runtime} kill --all steps KILL"));
    host.ok(&format!("{runtime} delete steps"));
    host.fails(1, "container does not exist", &format!("{runtime} delete steps"));
    host.ok(&format!("{runtime} delete --force steps && rmdir /sys/fs/cgroup/vxn"));
    host.clean();
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let Some(host) = host() else { return };
    let dir = host.bundle("refused", "true");
    host.ok(&format!("cp {dir}/config.json {dir}/good.json"));
    let refused = |change: &str, words: &str| {
        host.ok(&format!("sed '{change}' {dir}/good.json >{dir}/config.json"));
        host.fails(1, words, &format!("{RUNTIME} create -b {dir} refused"));
    };
    refused("s/\"sh\"/\"nosuch\"/", "executable file not found in $PATH");
    refused("s|\"sh\"|\"/etc/passwd\"|", "permission denied");
    refused("s/\"type\": \"network\"/\"type\": \"user\"/", "host network is not supported");
    refused("s/\"type\": \"network\"/&, \"path\": \"\\/proc\\/1\\/ns\\/net\"/", "/proc/1/ns/net");
    refused("s/\"terminal\": false/\"terminal\": true/", "--console-socket");
    refused("s/^{/[/", "config.json");
    host.fails(1, "/nowhere", &format!("{RUNTIME} create -b /nowhere x"));
    assert_eq!(host.ok(&format!("{RUNTIME} list -q")), "");
    host.clean();
}
