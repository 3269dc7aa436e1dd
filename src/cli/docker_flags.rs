//! The table of `docker run`'s flags in docs/docker-run.md, made from the command
//! line itself so that it cannot rot.

use std::fmt::Write;
use std::{env, fs};

use clap::{Command, CommandFactory};

use super::{Cli, refused};

/// Every flag of docker 27's `docker run`.
const DOCKERS: &str = "add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop \
    cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period \
    cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach detach-keys device \
    device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops \
    disable-content-trust dns dns-option dns-search domainname entrypoint env env-file expose gpus \
    group-add health-cmd health-interval health-retries health-start-interval health-start-period \
    health-timeout help hostname init interactive io-maxbandwidth io-maxiops ip ip6 ipc isolation \
    kernel-memory label label-file link link-local-ip log-driver log-opt mac-address memory \
    memory-reservation memory-swap memory-swappiness mount name network network-alias \
    no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged publish \
    publish-all pull quiet read-only restart rm runtime security-opt shm-size sig-proxy \
    stop-signal stop-timeout storage-opt sysctl tmpfs tty ulimit user userns uts volume \
    volume-driver volumes-from workdir";

/// How flags that work differ.
const DIFFERS: [(&str, &str); 16] = [
    ("attach", "of `run` only; with stdin alone the command still stays to the end"),
    ("cap-add", "capabilities in the guest, whose kernel is the container's own"),
    ("cpu-shares", "a weight of Xen's credit schedulers, 1024 as 256"),
    ("cpus", "virtual CPUs, rounded up, and a cap for a fraction"),
    ("device", "block devices and image files, as a disk of the DomU: `/dev/vg/lv:/dev/xvdc`"),
    ("init", "it is so in any case"),
    ("ip", "on the default network too"),
    ("log-driver", "`local` and `none`"),
    ("memory", "all of it is the DomU's from its start, its kernel included"),
    ("network", "`none`, `bridge` or networks of `vxn network`, several too; never Dom0's"),
    ("oom-score-adj", "among the processes of the guest"),
    ("pids-limit", "in the guest"),
    ("privileged", "every capability in the guest; no device of Dom0"),
    ("read-only", "`/etc/hosts` and its like stay current"),
    (
        "security-opt",
        "`no-new-privileges`, `systempaths=unconfined`, `seccomp=`; no seccomp profile unless one is named",
    ),
    ("sysctl", "any parameter of the guest's kernel"),
];

const INTRODUCTION: &str = "# Flags of `docker run`

What each flag of docker 27's `run` and `create` is here. Written by the test
`cli::docker_flags` out of the command line; `VXN_WRITE_DOCS=1 cargo test --lib
docker_flags` writes it again. vxn's own flags are in `vxn run --help`.

| Flag | | |
|---|---|---|
";

/// The table, as it has to be.
fn table(run: &Command) -> String {
    let mut text = INTRODUCTION.to_owned();
    for flag in DOCKERS.split_whitespace() {
        let arg = run.get_arguments().find(|arg| {
            arg.get_long() == Some(flag)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&flag))
        });
        let note = DIFFERS.iter().find(|(name, _)| *name == flag).map(|(_, how)| *how);
        let (state, words) = match (refused::reason(flag), arg, note) {
            (Some((why, instead)), ..) => ("refused", format!("{why}: {instead}")),
            (None, Some(_), Some(how)) => ("differs", how.to_owned()),
            (None, Some(_), None) => ("works", String::new()),
            (None, None, _) => ("not yet", String::new()),
        };
        let _ = writeln!(text, "| `--{flag}` | {state} | {words} |");
    }
    text
}

#[test]
fn the_table_of_dockers_flags_is_true() {
    let mut cli = Cli::command();
    cli.build();
    let run = cli.find_subcommand("run").unwrap();
    let expected = table(run);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/docker-run.md");
    if env::var_os("VXN_WRITE_DOCS").is_some() {
        fs::write(file, &expected).unwrap();
    }
    let have = fs::read_to_string(file).unwrap();
    assert!(have == expected, "docs/docker-run.md is not current; it says how to write it");
    for (flag, _) in DIFFERS {
        assert!(expected.contains(&format!("| `--{flag}` | differs |")), "{flag} is no such flag");
    }
}
