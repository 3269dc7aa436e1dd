//! What system calls the processes may make.

use vxn_proto::{
    Container, ExitStatus, Instruction, Privileges, ProcessId, ProcessSpec, Seccomp, StartFailure,
    StreamId, ToGuest,
};

use crate::host::{Host, MAIN, shell, spec};
use crate::text;

/// A filter that answers EPERM to these calls and allows all others.
fn without(calls: &[i64]) -> Seccomp {
    let step = |code, jt, k| Instruction { code, jt, jf: 0, k };
    // Load the number; jump behind the next-to-last where it is one of them.
    let mut program = vec![step(0x20, 0, 0)];
    for (call, left) in calls.iter().zip((1..=calls.len()).rev()) {
        program.push(step(0x15, left.try_into().unwrap(), (*call).try_into().unwrap()));
    }
    program.push(step(0x06, 0, 0x7fff_0000));
    program.push(step(0x06, 0, 0x0005_0001));
    Seccomp { flags: 0, program }
}

fn filtered(seccomp: Seccomp, no_new_privileges: bool) -> Host {
    let privileges = Privileges { no_new_privileges, ..Privileges::default() };
    Host::with(&Container { seccomp: Some(seccomp), privileges, ..Container::default() })
}

/// What `/proc/self/status` has, and what mkdir(1) says. The calls are those of x86-64 and
/// arm64.
const LOOK: &str = "grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | \
                    cut -f2 | tr '\\n' ' '; mkdir /tmp/new 2>&1 | grep -o 'Operation.*'";

fn no_mkdir() -> Seccomp {
    #[cfg(target_arch = "x86_64")]
    return without(&[libc::SYS_mkdir, libc::SYS_mkdirat]);
    #[cfg(not(target_arch = "x86_64"))]
    without(&[libc::SYS_mkdirat])
}

pub fn a_filter_holds_for_every_process() {
    let seen = |calm: bool, user: &str| {
        let mut host = filtered(no_mkdir(), calm);
        let as_user = |script: &str| ProcessSpec { user: user.into(), ..shell(script) };
        let main = as_user(&format!("{LOOK}; exec sleep 1000"));
        host.started(MAIN, main);
        host.start(ProcessId(1), as_user(LOOK));
        let second = text(&host.finish(ProcessId(1)).stdout);
        let stdout = StreamId::stdout(MAIN);
        host.until(|host| host.data.get(&stdout).is_some_and(|said| said.ends_with(b"\n")));
        host.send(&ToGuest::Signal { process: MAIN, signal: 9 });
        let first = text(&host.finish(MAIN).stdout);
        assert_eq!(first, second);
        first
    };
    // What loads the filter is gone with it: root has docker's, others have none.
    let (all, none) = ("00000000a80425fb", "0000000000000000");
    let denied = "2 Operation not permitted\n";
    assert_eq!(seen(false, "root"), format!("{all} {all} {all} 0 {denied}"));
    assert_eq!(seen(true, "root"), format!("{all} {all} {all} 1 {denied}"));
    assert_eq!(seen(false, "app"), format!("{none} {none} {all} 0 {denied}"));
    assert_eq!(seen(true, "app"), format!("{none} {none} {all} 1 {denied}"));
}

pub fn what_is_missing_is_told_whatever_a_filter_forbids() {
    let mut host = filtered(without(&[libc::SYS_write]), false);
    let (reason, message) = host.fail(spec(&["no-such-program"]));
    assert_eq!(reason, StartFailure::NotFound);
    assert_eq!(message, "exec: \"no-such-program\": executable file not found in $PATH");
    let (reason, message) = host.fail(spec(&["/data"]));
    assert_eq!(
        (reason, &*message),
        (StartFailure::NotExecutable, "exec: \"/data\": permission denied")
    );
    let (reason, message) = filtered(without(&[libc::SYS_execve]), false).fail(spec(&["true"]));
    assert_eq!(reason, StartFailure::NotExecutable);
    assert!(message.contains("Operation not permitted"), "{message}");
    assert_eq!(host.run(spec(&["true"])).status, ExitStatus::Code(0));
}

pub fn a_filter_that_is_none_starts_nothing() {
    let none = || Seccomp { flags: 0, program: Vec::new() };
    let (reason, message) = filtered(none(), false).fail(spec(&["true"]));
    assert_eq!(reason, StartFailure::Other);
    assert!(message.starts_with("cannot load the seccomp filter: "), "{message}");
}
