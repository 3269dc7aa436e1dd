//! Several at once, names, and which programs are started.

use std::collections::BTreeSet;

use crate::{Alone, BUSYBOX, TYPES, alone, vxn};

#[test]
fn eight_at_once_have_their_own_output() {
    let Some(host) = alone() else { return };
    let runs: Vec<_> = (0..8)
        .map(|n| {
            let word = format!("run {n}");
            vxn(host.dom0, ["-m", "128M", "--type", "pv", BUSYBOX, "echo", &word]).spawn().unwrap()
        })
        .collect();
    for (n, run) in runs.into_iter().enumerate() {
        let output = run.wait().unwrap().success().unwrap();
        assert_eq!(output.text(), format!("run {n}"), "{output}");
    }
    host.assert_as_found("eight runs");
}

#[test]
fn a_name_has_one_owner() {
    let Some(host) = alone() else { return };
    let args = ["--name", "twin", BUSYBOX, "echo", "won"];
    let runs = [vxn(host.dom0, args).spawn().unwrap(), vxn(host.dom0, args).spawn().unwrap()];
    let outputs = runs.map(|run| run.wait().unwrap());
    let lost = outputs.iter().find(|o| o.code != 0).expect("both had the name");
    assert_eq!(lost.code, 125, "{lost}");
    assert!(lost.error_text().contains("\"twin\" is already in use"), "{lost}");
    let won = outputs.iter().find(|o| o.code == 0).expect("none had the name");
    assert_eq!(won.text(), "won");
    host.assert_as_found("two of a name");
}

/// The programs that a process and its descendants executed, by strace.
fn executed(trace: &str) -> BTreeSet<String> {
    let calls = trace.lines().filter(|l| l.contains("execve(") && l.contains(") = 0"));
    calls.filter_map(|l| Some(l.split_once('"')?.1.split_once('"')?.0.to_owned())).collect()
}

/// The programs of a `vxn run` that succeeds with these flags.
fn programs(host: &Alone<'_>, flags: &str) -> BTreeSet<String> {
    let script = format!(
        "strace -f -qq -e trace=execve -o /tmp/exec.trace vxn run --rm {flags} {BUSYBOX} true; \
         code=$?; cat /tmp/exec.trace; rm /tmp/exec.trace; exit $code"
    );
    let output = host.dom0.command(["sh", "-c", &script]).timeout(crate::PATIENCE).run().unwrap();
    executed(&output.success().unwrap().text())
}

#[test]
fn only_vxns_own_programs_run_and_nft_for_a_network() {
    let Some(host) = alone() else { return };
    let mut ours = BTreeSet::from(["/usr/bin/vxn", "/usr/lib/vxn/vxn-hotplug"].map(str::to_owned));
    for kind in TYPES {
        assert_eq!(programs(&host, &format!("--network none --type {kind}")), ours);
    }
    ours.insert("/usr/sbin/nft".to_owned());
    assert_eq!(programs(&host, "--network bridge --type pv"), ours);
}
