//! Hooks: programs of this host that a configuration has run at certain moments (runtime-spec,
//! config.md, "POSIX-platform Hooks"), with the container's state on their stdin.
//!
//! They run beside the runtime. What they see of the container on this host is the process
//! that stands for it, and its network namespace; its other namespaces are its guest's.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oci_spec::runtime::{Hook, Hooks};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;

use super::{Error, Result};
use crate::network::Namespace;
use crate::tool;

/// Most bytes that are told of what a hook said.
const MAX_WORDS: u64 = 1024;

/// When a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// While the container is created, in the runtime's namespaces. The older name of
    /// [`Moment::CreateRuntime`].
    Prestart,
    /// The same.
    CreateRuntime,
    /// After that, in the network namespace of the container.
    CreateContainer,
    /// When its process runs.
    Poststart,
    /// When it is deleted.
    Poststop,
}

impl Moment {
    /// All of them, in the order in which they come.
    pub const ALL: [Moment; 5] = [
        Moment::Prestart,
        Moment::CreateRuntime,
        Moment::CreateContainer,
        Moment::Poststart,
        Moment::Poststop,
    ];

    /// The specification's word.
    pub fn word(self) -> &'static str {
        match self {
            Moment::Prestart => "prestart",
            Moment::CreateRuntime => "createRuntime",
            Moment::CreateContainer => "createContainer",
            Moment::Poststart => "poststart",
            Moment::Poststop => "poststop",
        }
    }

    fn of(self, hooks: &Hooks) -> &[Hook] {
        let list = match self {
            Moment::Prestart => hooks.prestart(),
            Moment::CreateRuntime => hooks.create_runtime(),
            Moment::CreateContainer => hooks.create_container(),
            Moment::Poststart => hooks.poststart(),
            Moment::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }
}

/// Runs the hooks of the creation, in `dir`, the bundle's directory; `network` is the
/// container's network namespace. The first that fails ends it.
///
/// # Errors
/// [`Error::Hook`]; there is no such namespace.
pub fn create(hooks: &Hooks, dir: &Path, state: &Value, network: &Path) -> Result<()> {
    let run =
        |moment: Moment| moment.of(hooks).iter().try_for_each(|hook| run(moment, hook, dir, state));
    run(Moment::Prestart)?;
    run(Moment::CreateRuntime)?;
    if Moment::CreateContainer.of(hooks).is_empty() {
        return Ok(());
    }
    Namespace::open(network)?.inside(|| run(Moment::CreateContainer))?
}

/// Runs the hooks of a moment that cannot fail any more: what one cannot do is only told.
pub fn later(moment: Moment, hooks: &Hooks, dir: &Path, state: &Value) {
    for hook in moment.of(hooks) {
        if let Err(e) = run(moment, hook, dir, state) {
            tracing::warn!("{e}");
        }
    }
}

fn run(moment: Moment, hook: &Hook, dir: &Path, state: &Value) -> Result<()> {
    attempt(hook, dir, state).map_err(|why| Error::Hook {
        moment: moment.word(),
        path: hook.path().clone(),
        why,
    })
}

fn attempt(hook: &Hook, dir: &Path, state: &Value) -> std::result::Result<(), String> {
    let io = |e: io::Error| e.to_string();
    // Files, not pipes: a hook need not read, and may leave somebody behind who writes.
    let mut input = tempfile::tempfile().map_err(io)?;
    let mut words = tempfile::tempfile().map_err(io)?;
    input.write_all(state.to_string().as_bytes()).and_then(|()| input.rewind()).map_err(io)?;
    let mut command = tool::command(hook.path());
    let mut args = hook.args().iter().flatten();
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    command.args(args).current_dir(dir);
    if let Some(env) = hook.env() {
        let pairs = env.iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        command.env_clear().envs(pairs);
    }
    command.stdin(input).stdout(Stdio::null()).stderr(words.try_clone().map_err(io)?);
    let mut child = command.spawn().map_err(io)?;
    let status = wait(&mut child, timeout(hook)).map_err(io)?;
    let said = last_words(&mut words).map_err(io)?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) if said.is_empty() => Err(status.to_string()),
        Some(status) => Err(format!("{status}: {said}")),
        None => Err(format!("it was killed after {} s", timeout(hook).unwrap_or(0))),
    }
}

/// In seconds.
fn timeout(hook: &Hook) -> Option<u64> {
    hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).filter(|&seconds| seconds > 0)
}

/// Waits for so many seconds; then it is killed.
fn wait(child: &mut Child, seconds: Option<u64>) -> io::Result<Option<ExitStatus>> {
    let Some(seconds) = seconds else { return child.wait().map(Some) };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("a process without an id"))?;
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    let patience = PollTimeout::try_from(Duration::from_secs(seconds)).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&end), PollFlags::POLLIN)];
    if poll(&mut fds, patience)? > 0 {
        return child.wait().map(Some);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn last_words(words: &mut File) -> io::Result<String> {
    let length = words.seek(SeekFrom::End(0))?;
    words.seek(SeekFrom::Start(length.saturating_sub(MAX_WORDS)))?;
    let mut bytes = Vec::new();
    words.take(MAX_WORDS).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(json: Value) -> Hooks {
        serde_json::from_value(json).unwrap()
    }

    /// A hook that executes `script`.
    fn shell(script: &str) -> Value {
        serde_json::json!({ "path": "/bin/sh", "args": ["hook", "-c", script] })
    }

    fn created(json: Value) -> std::result::Result<(), String> {
        let state = serde_json::json!({ "id": "web" });
        let dir = tempfile::tempdir().unwrap();
        create(&hooks(json), dir.path(), &state, Path::new("/no/network"))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn a_hook_has_the_state_and_its_own_environment() {
        let dir = tempfile::tempdir().unwrap();
        let mut hook = shell("cat >state; echo $A$HOME >>state; pwd >>state; echo $0 >>state");
        hook["env"] = serde_json::json!(["A=1"]);
        let hooks = hooks(serde_json::json!({ "prestart": [hook] }));
        create(&hooks, dir.path(), &serde_json::json!({ "id": "web" }), dir.path()).unwrap();
        let written = std::fs::read_to_string(dir.path().join("state")).unwrap();
        let cwd = dir.path().canonicalize().unwrap();
        assert_eq!(written, format!("{{\"id\":\"web\"}}1\n{}\nhook\n", cwd.display()));
    }

    #[test]
    fn the_first_that_fails_is_named() {
        let two = [shell("echo no >&2; exit 3"), shell("exit 4")];
        let error = created(serde_json::json!({ "createRuntime": two })).unwrap_err();
        assert_eq!(error, "the createRuntime hook /bin/sh failed: exit status: 3: no");
        let gone = serde_json::json!({ "path": "/no/such/hook" });
        let error = created(serde_json::json!({ "prestart": [gone] })).unwrap_err();
        assert!(error.contains("/no/such/hook failed: No such file"), "{error}");
        let error = created(serde_json::json!({ "createContainer": [gone] })).unwrap_err();
        assert!(error.contains("/no/network"), "{error}");
        created(serde_json::json!({ "poststop": [shell("exit 1")] })).unwrap();
    }

    #[test]
    fn one_that_takes_too_long_is_killed() {
        let mut hook = shell("exec sleep 1000");
        hook["timeout"] = 1.into();
        let error = created(serde_json::json!({ "prestart": [hook] })).unwrap_err();
        assert!(error.ends_with("it was killed after 1 s"), "{error}");
        let mut hook = shell("exit 0");
        hook["timeout"] = 100.into();
        created(serde_json::json!({ "prestart": [hook] })).unwrap();
    }

    #[test]
    fn a_late_failure_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let hooks = hooks(serde_json::json!({ "poststop": [shell("exit 1"), shell(">done")] }));
        later(Moment::Poststop, &hooks, dir.path(), &Value::Null);
        assert!(dir.path().join("done").exists());
    }
}
