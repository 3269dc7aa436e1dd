//! vxn-init's container on this machine, without Xen: a real libcontainer, real
//! namespaces, the real protocol over a socket. It needs root and cgroup v2.
//!
//! The guest must be single-threaded, so this is a program, not a set of
//! `#[test]` functions: it starts itself once more for each guest.

mod files;
mod guest;
mod host;
mod limits;
mod look;
mod seccomp;

use std::{
    io::{self, stdin},
    os::fd::AsFd,
    panic::catch_unwind,
    path::Path,
    process::ExitCode,
};

use host::{Host, MAIN, shell, spec};
use vxn_proto::{
    Container, ExitStatus, ProcessId, StartFailure, StreamId, Tmpfs, ToGuest, WINDOW, WindowSize,
};

/// A test and its name.
type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("arguments_arrive_byte_for_byte", arguments_arrive_byte_for_byte),
    ("streams_stay_apart_and_codes_come_through", streams_stay_apart_and_codes_come_through),
    ("failures_to_start_are_told_apart", failures_to_start_are_told_apart),
    ("a_second_process_fails_as_the_first_does", a_second_process_fails_as_the_first_does),
    ("signals_have_their_default_effect", signals_have_their_default_effect),
    ("stdin_is_carried", stdin_is_carried),
    ("a_stalled_stdout_stops_nothing_else", a_stalled_stdout_stops_nothing_else),
    ("a_terminal_is_one", a_terminal_is_one),
    ("processes_run_side_by_side", processes_run_side_by_side),
    ("the_end_of_the_main_process_is_the_end_of_all", the_end_of_the_main_process_is_the_end),
    ("user_directory_and_environment_are_dockers", user_directory_and_environment_are_dockers),
    ("a_tmpfs_is_mounted_with_its_options", a_tmpfs_is_mounted_with_its_options),
    ("shares_are_bound_in_their_order", shares_are_bound_in_their_order),
    ("orphans_are_reaped", orphans_are_reaped),
    ("a_host_that_hangs_up_ends_the_guest", a_host_that_hangs_up_ends_the_guest),
    ("processes_and_usage_are_told", look::processes_and_usage_are_told),
    ("files_go_out_and_in", files::files_go_out_and_in),
    ("a_read_only_root_takes_nothing", files::a_read_only_root_takes_nothing),
    ("a_layer_is_read_while_all_stand_still", files::a_layer_is_read_while_all_stand_still),
    ("limits_are_the_kernels", limits::limits_are_the_kernels),
    ("groups_and_a_domain_name_are_added", limits::groups_and_a_domain_name_are_added),
    ("disks_have_nodes", limits::disks_have_nodes),
    ("a_group_has_so_many_processes", limits::a_group_has_so_many_processes),
    ("a_kill_for_want_of_memory_is_told", limits::a_kill_for_want_of_memory_is_told),
    ("kernel_parameters_are_set", limits::kernel_parameters_are_set),
    ("capabilities_are_those_that_were_asked_for", limits::capabilities_are_those_asked_for),
    ("no_new_privileges_are_given", limits::no_new_privileges_are_given),
    ("a_filter_holds_for_every_process", seccomp::a_filter_holds_for_every_process),
    (
        "what_is_missing_is_told_whatever_a_filter_forbids",
        seccomp::what_is_missing_is_told_whatever_a_filter_forbids,
    ),
    ("a_filter_that_is_none_starts_nothing", seccomp::a_filter_that_is_none_starts_nothing),
    ("privileged_has_and_sees_everything", limits::privileged_has_and_sees_everything),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, dir] = args.as_slice() {
        if flag == "--guest" {
            let socket = stdin().as_fd().try_clone_to_owned().expect("a socket");
            guest::run(socket, Path::new(dir));
            return ExitCode::SUCCESS;
        }
    }
    if args.iter().any(|arg| arg == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if let Err(why) = can_run() {
        TESTS.iter().for_each(|(name, _)| println!("test {name} ... SKIPPED: {why}"));
        return ExitCode::SUCCESS;
    }
    let filter = args.get(1).filter(|arg| !arg.starts_with('-')).map_or("", String::as_str);
    let failed = TESTS
        .iter()
        .filter(|(name, _)| name.contains(filter))
        .filter(|(name, test)| {
            let passed = catch_unwind(test).is_ok();
            println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            !passed
        })
        .count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn can_run() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("not root".into());
    }
    let filesystems = std::fs::read_to_string("/proc/filesystems");
    match filesystems {
        Ok(list) if list.contains("cgroup2") => Ok(()),
        Ok(_) => Err("no cgroup v2".into()),
        Err(error) => Err(io::Error::to_string(&error)),
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn arguments_arrive_byte_for_byte() {
    let mut spec = spec(&["printf", "[%s]", "a b", "\"'\\", "$HOME;\n", "", "-"]);
    spec.args.push(b"\xff\xfe\x01".to_vec());
    let output = Host::new().run(spec);
    assert_eq!(output.stdout, b"[a b][\"'\\][$HOME;\n][][-][\xff\xfe\x01]");
    assert_eq!(output.status, ExitStatus::Code(0));

    let mut spec = shell("printf %s \"$X\"");
    spec.env = vec![b"X=\xff\n=".to_vec()];
    assert_eq!(Host::new().run(spec).stdout, b"\xff\n=");
}

fn streams_stay_apart_and_codes_come_through() {
    let output = Host::new().run(shell("echo out; echo err >&2; printf end; exit 7"));
    assert_eq!(text(&output.stdout), "out\nend");
    assert_eq!(text(&output.stderr), "err\n");
    assert_eq!(output.status, ExitStatus::Code(7));

    let output = Host::new().run(shell("head -c 3000000 /dev/zero"));
    assert_eq!(output.stdout.len(), 3_000_000);
    assert_eq!(output.status, ExitStatus::Code(0));
}

fn failures_to_start_are_told_apart() {
    let mut host = Host::new();
    let (reason, message) = host.fail(spec(&["no-such-program"]));
    assert_eq!(reason, StartFailure::NotFound);
    assert_eq!(message, "exec: \"no-such-program\": executable file not found in $PATH");
    let (reason, message) = host.fail(spec(&["/data"]));
    assert_eq!(reason, StartFailure::NotExecutable);
    assert_eq!(message, "exec: \"/data\": permission denied");
    assert_eq!(host.fail(spec(&["/no/such"])).0, StartFailure::NotFound);
    assert_eq!(host.fail(spec(&["/etc"])).0, StartFailure::NotExecutable);
    let mut stranger = spec(&["true"]);
    stranger.user = "stranger".into();
    let (reason, message) = host.fail(stranger);
    assert_eq!(reason, StartFailure::Other);
    assert!(message.contains("unable to find user stranger"), "{message}");
    let mut astray = spec(&["true"]);
    astray.cwd = b"/data".to_vec();
    assert_eq!(host.fail(astray).0, StartFailure::Other);
    assert_eq!(host.run(spec(&["true"])).status, ExitStatus::Code(0));
}

fn a_second_process_fails_as_the_first_does() {
    let mut host = Host::new();
    host.started(MAIN, spec(&["sleep", "1000"]));
    let (reason, message) = host.fail_as(ProcessId(1), spec(&["no-such-program"]));
    assert_eq!(reason, StartFailure::NotFound);
    assert_eq!(message, "exec: \"no-such-program\": executable file not found in $PATH");
    assert_eq!(host.fail_as(ProcessId(2), spec(&["/etc"])).0, StartFailure::NotExecutable);
    host.start(ProcessId(3), spec(&["true"]));
    assert_eq!(host.finish(ProcessId(3)).status, ExitStatus::Code(0));
    host.send(&ToGuest::Signal { process: MAIN, signal: 9 });
    assert_eq!(host.finish(MAIN).status, ExitStatus::Signal(9));
}

fn signals_have_their_default_effect() {
    for signal in [15, 9, 10] {
        let mut host = Host::new();
        host.started(MAIN, spec(&["sleep", "1000"]));
        host.send(&ToGuest::Signal { process: MAIN, signal });
        assert_eq!(host.finish(MAIN).status, ExitStatus::Signal(signal));
    }
    let mut host = Host::new();
    host.started(
        MAIN,
        shell("trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.1; done"),
    );
    host.until(|host| host.data.contains_key(&StreamId::stdout(MAIN)));
    host.send(&ToGuest::Signal { process: MAIN, signal: 15 });
    let output = host.finish(MAIN);
    assert_eq!(text(&output.stdout), "ready\ncaught\n");
    assert_eq!(output.status, ExitStatus::Code(5));
    // A broken pipe kills, as it does everywhere: nothing stays ignored.
    let output = Host::new().run(shell("yes | head -1; grep SigIgn /proc/self/status"));
    assert!(text(&output.stdout).ends_with("0000\n"), "{}", text(&output.stdout));
}

fn stdin_is_carried() {
    let input: Vec<u8> = (0..5_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let output = Host::new().feed(spec(&["cat"]), input.clone());
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());
    // A process that does not read does not block the host.
    let output = Host::new().feed(spec(&["head", "-c", "3"]), input);
    assert_eq!(output.stdout.len(), 3);
    let output = Host::new().run(spec(&["cat"]));
    assert_eq!(output.stdout, b"", "stdin is empty when it is not carried");
}

fn a_stalled_stdout_stops_nothing_else() {
    let mut host = Host::new();
    let stdout = StreamId::stdout(MAIN);
    host.stalled.push(stdout);
    host.started(
        MAIN,
        shell("head -c 2000000 /dev/zero & head -c 1000000 /dev/zero >&2; echo done >&2; wait"),
    );
    host.until(|host| {
        host.data.get(&StreamId::stderr(MAIN)).is_some_and(|data| data.ends_with(b"done\n"))
            && host.data.get(&stdout).is_some_and(|data| data.len() == WINDOW as usize)
    });
    host.release(stdout);
    let output = host.finish(MAIN);
    assert_eq!((output.stdout.len(), output.stderr.len()), (2_000_000, 1_000_005));
}

fn a_terminal_is_one() {
    let mut spec = shell(
        "test -t 0 && test -t 2 && tty; stty size; echo $TERM; read x; stty size; echo got $x >&2; cat",
    );
    spec.tty = Some(WindowSize { rows: 24, columns: 80 });
    spec.stdin = true;
    let mut host = Host::new();
    host.started(MAIN, spec);
    let stdout = StreamId::stdout(MAIN);
    host.until(|host| text(host.data.get(&stdout).map_or(&[], Vec::as_slice)).contains("xterm"));
    host.resize(WindowSize { rows: 50, columns: 132 });
    host.type_in("hello\n");
    host.until(|host| text(&host.data[&stdout]).contains("got hello"));
    host.end_stdin();
    let output = host.finish(MAIN);
    assert_eq!(
        text(&output.stdout),
        "/dev/pts/0\r\n24 80\r\nxterm\r\nhello\r\n50 132\r\ngot hello\r\n"
    );
    assert_eq!(output.stderr, b"");
    assert_eq!(output.status, ExitStatus::Code(0));
}

fn processes_run_side_by_side() {
    let mut host = Host::new();
    host.started(MAIN, shell("echo main > /tmp/mark; exec sleep 1000"));
    let second = ProcessId(1);
    let mut spec =
        shell("sleep 1000 & cat /tmp/mark; hostname; id -un; ls /proc/1/ns 2>&1 | head -1; exit 3");
    spec.user = "app".into();
    host.start(second, spec);
    let output = host.finish(second);
    assert!(text(&output.stdout).starts_with("main\nbox\napp\n"), "{}", text(&output.stdout));
    assert_eq!(output.status, ExitStatus::Code(3));
    host.start(ProcessId(2), shell("kill -9 -1; exec sleep 1000"));
    assert_eq!(host.finish(MAIN).status, ExitStatus::Signal(9));
    assert_eq!(host.finish(ProcessId(2)).status, ExitStatus::Signal(9));
}

fn the_end_of_the_main_process_is_the_end() {
    let mut host = Host::new();
    let output = host.run(shell("(trap '' TERM HUP; exec sleep 1000) & echo started; exit 4"));
    assert_eq!(text(&output.stdout), "started\n");
    assert_eq!(output.status, ExitStatus::Code(4));
    let (_, message) = host.fail(spec(&["true"]));
    assert_eq!(message, "the container has ended");
}

fn user_directory_and_environment_are_dockers() {
    let mut app = shell("id -u; id -g; id -G; pwd; env | sort; grep Cap /proc/self/status");
    app.user = "app".into();
    app.cwd = b"/new/dir".to_vec();
    app.env = vec![b"A=b".to_vec()];
    let output = Host::new().run(app);
    assert_eq!(
        text(&output.stdout),
        "1000\n100\n100 44\n/new/dir\nA=b\nHOME=/home/app\nHOSTNAME=box\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/new/dir\n\
         CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
         CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n",
        "{}",
        text(&output.stderr)
    );
    let output =
        Host::new().run(shell("grep CapEff /proc/self/status; echo $$; hostname; ls /dev"));
    let text = text(&output.stdout);
    assert!(text.starts_with("CapEff:\t00000000a80425fb\n2\nbox\n"), "{text}");
    assert!(text.contains("\nnull\n") && !text.contains("\nxvda\n"), "{text}");
}

fn a_tmpfs_is_mounted_with_its_options() {
    let tmpfs = vec![Tmpfs { path: "/scratch".into(), options: vec!["size=64k".into()] }];
    let settings = Container { tmpfs, ..Container::default() };
    let output = Host::with(&settings).run(shell("grep ' /scratch ' /proc/mounts"));
    let line = text(&output.stdout);
    assert!(line.starts_with("tmpfs /scratch tmpfs rw,nosuid,nodev,noexec"), "{line}");
    assert!(line.contains("size=64k"), "{line}");
}

fn shares_are_bound_in_their_order() {
    let script = "cat /shared/file /etc/one; echo; echo new >/shared/deep/er/x && cat /shared/deep/er/x; \
        echo changed >/etc/one && cat /etc/one; echo x >/shared/file; \
        grep -o ' /shared[^ ]* tmpfs [a-z]*\\|nodev' /proc/mounts | grep shared";
    let output = Host::new().run(shell(script));
    assert_eq!(
        text(&output.stdout),
        "read onlyone file\nnew\nchanged\n /shared tmpfs ro\n /shared/deep/er tmpfs rw\n"
    );
    assert!(text(&output.stderr).contains("Read-only file system"), "{}", text(&output.stderr));
}

fn orphans_are_reaped() {
    let script = "for i in 1 2 3; do (sh -c 'true &') ; done; sleep 0.3; \
        grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l; grep PPid /proc/self/status";
    let output = Host::new().run(shell(script));
    assert!(text(&output.stdout).starts_with("0\n"), "{}", text(&output.stdout));
}

fn a_host_that_hangs_up_ends_the_guest() {
    let mut host = Host::new();
    host.started(MAIN, spec(&["sleep", "1000"]));
    assert!(host.hang_up());
}
