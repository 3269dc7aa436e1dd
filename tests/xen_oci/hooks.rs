//! Hooks, and a network that is prepared by the monitor's process id, as docker does it.

use testbed::schemas::Kind;

use crate::network::{SERVER, ask};
use crate::{Host, RUNTIME, host};

/// A hook that keeps its state in `/tmp/hooks/WHEN`, and does `more`.
fn hook(when: &str, more: &str) -> String {
    script(when, &format!("cat >/tmp/hooks/{when} && {more}"))
}

/// A hook that is a shell's script.
pub fn script(when: &str, script: &str) -> String {
    format!(r#""{when}": [{{"path": "/bin/sh", "args": ["sh", "-c", "{script}"]}}]"#)
}

impl Host {
    /// Makes the configuration of the bundle at `dir` its `good.json` with these hooks.
    pub fn hooked(&self, dir: &str, hooks: &str) {
        let config =
            format!("{{ printf '{{\"hooks\": {{%s}},' \"$H\"; sed '1s/^{{//' {dir}/good.json; }}");
        self.ok(&format!("H=$(cat <<'END'\n{hooks}\nEND\n); {config} >{dir}/config.json"));
    }
}

#[test]
fn hooks_run_in_their_turn_and_prepare_the_network() {
    let Some(host) = host() else { return };
    let dir = host.bundle("hooked", SERVER);
    host.ok("mkdir -p /tmp/hooks");
    let cable = "pid=$(sed 's/.*.pid.:\\\\([0-9]*\\\\).*/\\\\1/' /tmp/hooks/prestart) \
                 && ip link add hooked type veth peer name eth0 netns $pid \
                 && ip address add 192.0.2.1/24 dev hooked && ip link set hooked up \
                 && nsenter -t $pid -n ip address add 192.0.2.2/24 dev eth0 \
                 && nsenter -t $pid -n ip link set eth0 up";
    let hooks = [
        hook("prestart", cable),
        hook("createRuntime", "true"),
        hook("createContainer", "ip address show dev eth0 >/tmp/hooks/inside"),
        hook("poststart", "true"),
        hook("poststop", "true"),
    ];
    host.ok(&format!("cp {dir}/config.json {dir}/good.json"));
    host.hooked(&dir, &hooks.join(", "));
    host.ok(&format!(
        "{RUNTIME} create -b {dir} --pid-file {dir}/pid web </dev/null >{dir}/out 2>&1"
    ));
    let pid = host.ok(&format!("cat {dir}/pid"));
    for when in ["prestart", "createRuntime", "createContainer"] {
        let state = host.ok(&format!("cat /tmp/hooks/{when}"));
        assert!(state.contains("\"status\":\"creating\""), "{state}");
        host.as_specified(Kind::State, &format!("cat /tmp/hooks/{when}"));
        assert!(state.contains(&format!("\"pid\":{pid},")), "{state}");
    }
    assert!(host.ok("cat /tmp/hooks/inside").contains("192.0.2.2/24"));
    host.ok("! test -e /tmp/hooks/poststart");
    host.ok(&format!("{RUNTIME} start web && grep -q running /tmp/hooks/poststart"));
    assert_eq!(host.ok(&ask("192.0.2.2")), "hello");
    host.ok(&format!("{RUNTIME} kill web TERM; while [ -d /proc/{pid} ]; do sleep 0.1; done"));
    host.ok("! test -e /tmp/hooks/poststop");
    host.ok(&format!("{RUNTIME} delete web && grep -q stopped /tmp/hooks/poststop"));
    // It went with the namespace, which was the container's alone.
    host.ok("while ip link show hooked >/dev/null 2>&1; do sleep 0.1; done");

    let failing = hook("createRuntime", "echo no >&2; exit 3");
    host.hooked(&dir, &format!("{failing}, {}", hook("poststop", "true")));
    host.ok("rm /tmp/hooks/*");
    let create = format!("{RUNTIME} create -b {dir} web </dev/null");
    host.fails(1, "the createRuntime hook /bin/sh failed: exit status: 3: no", &create);
    host.ok("test -e /tmp/hooks/poststop");
    host.fails(1, "container does not exist", &format!("{RUNTIME} state web"));
    host.clean();
}
