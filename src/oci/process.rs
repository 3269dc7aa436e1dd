//! The process of a configuration, for the guest. Pure.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

use oci_spec::runtime::{Capabilities, PosixRlimit, Process};
use vxn_proto::{Limits, Privileges, ProcessSpec, Ulimit, WindowSize};

use super::Result;
use super::error::refused;
use crate::container::definition::DEFAULT_SIZE;

/// What to run, and as whom. Its stdin is carried: a caller that has none gives
/// /dev/null.
///
/// # Errors
/// What the guest cannot do for a process is refused by name.
pub fn spec(process: &Process) -> Result<ProcessSpec> {
    check(process)?;
    let bytes = |list: &Option<Vec<String>>| -> Vec<Vec<u8>> {
        list.iter().flatten().map(|text| text.clone().into_bytes()).collect()
    };
    let user = process.user();
    Ok(ProcessSpec {
        args: bytes(process.args()),
        env: bytes(process.env()),
        cwd: process.cwd().as_os_str().as_bytes().to_vec(),
        user: format!("{}:{}", user.uid(), user.gid()),
        tty: process.terminal().unwrap_or_default().then(|| size(process)),
        stdin: true,
        groups: Some(user.additional_gids().clone().unwrap_or_default()),
        umask: user.umask(),
    })
}

fn check(process: &Process) -> Result<()> {
    let inner = "the guest's kernel schedules its processes alike";
    for (asked, what) in [
        (process.io_priority().is_some(), "process.ioPriority"),
        (process.scheduler().is_some(), "process.scheduler"),
        (process.exec_cpu_affinity().is_some(), "process.execCPUAffinity"),
    ] {
        if asked {
            return Err(refused(what, inner));
        }
    }
    Ok(())
}

/// A terminal has a size at first, and its holder says when it changes.
fn size(process: &Process) -> WindowSize {
    let cells = |number: u64| u16::try_from(number).ok().filter(|&number| number > 0);
    process
        .console_size()
        .and_then(|size| {
            Some(WindowSize { rows: cells(size.height())?, columns: cells(size.width())? })
        })
        .unwrap_or(DEFAULT_SIZE)
}

/// What the process may do. Its bounding set is what the guest is told of: it gives root
/// all of it and others none, as podman and docker have it too.
///
/// # Errors
/// Sets of which that is not true.
pub fn privileges(process: &Process, unmasked: bool) -> Result<Privileges> {
    let sets = process.capabilities().as_ref();
    let of = |set: &Option<Capabilities>| set.clone().unwrap_or_default();
    let bounding = sets.map(|sets| of(sets.bounding())).unwrap_or_default();
    if let Some(sets) = sets {
        let effective = of(sets.effective());
        let root = process.user().uid() == 0;
        if !of(sets.ambient()).is_empty() && !root {
            return Err(refused("process.capabilities.ambient", "the guest gives none"));
        }
        if root && effective != bounding {
            let why = "for root, the guest's is the bounding set";
            return Err(refused("another process.capabilities.effective", why));
        }
    }
    let names: BTreeSet<String> =
        bounding.iter().map(|capability| format!("CAP_{capability}")).collect();
    Ok(Privileges {
        privileged: false,
        cap_add: names.into_iter().collect(),
        cap_drop: vec!["ALL".to_owned()],
        no_new_privileges: process.no_new_privileges().unwrap_or_default(),
        unmasked,
    })
}

/// What the process itself may take.
pub fn limits(process: &Process) -> Limits {
    let ulimit = |limit: &PosixRlimit| {
        let name = limit.typ().to_string().to_lowercase();
        let name = name.trim_start_matches("rlimit_").to_owned();
        Ulimit { name, soft: limit.soft(), hard: limit.hard() }
    };
    let score = process.oom_score_adj().unwrap_or_default().clamp(-1000, 1000);
    Limits {
        ulimits: process.rlimits().iter().flatten().map(ulimit).collect(),
        oom_score_adj: i16::try_from(score).ok().filter(|&score| score != 0),
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(text: &str) -> Process {
        let mut json = serde_json::json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/srv", "args": ["a", "b"], "env": ["A=1"],
        });
        let more: serde_json::Value = serde_json::from_str(text).unwrap();
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_whole_process_is_translated() {
        let process = process(
            r#"{"user": {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 18},
                "terminal": true, "consoleSize": {"height": 30, "width": 100}}"#,
        );
        let spec = spec(&process).unwrap();
        assert_eq!(spec.args, [b"a", b"b"]);
        assert_eq!((spec.cwd.as_slice(), spec.user.as_str()), (&b"/srv"[..], "5:6"));
        assert_eq!((spec.groups, spec.umask), (Some(vec![7]), Some(18)));
        assert_eq!(spec.tty, Some(WindowSize { rows: 30, columns: 100 }));
    }

    #[test]
    fn capabilities_are_exactly_those_that_are_named() {
        let some = r#"["CAP_CHOWN", "CAP_KILL"]"#;
        let sets = format!(r#"{{"capabilities": {{"bounding": {some}, "effective": {some}}}}}"#);
        let privileges = privileges(&process(&sets), false).unwrap();
        assert_eq!(privileges.cap_add, ["CAP_CHOWN", "CAP_KILL"]);
        assert_eq!(privileges.cap_drop, ["ALL"]);
        let less = format!(r#"{{"capabilities": {{"bounding": {some}, "effective": []}}}}"#);
        assert!(super::privileges(&process(&less), false).is_err());
    }

    #[test]
    fn limits_have_the_guests_names() {
        let limits = limits(&process(
            r#"{"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}], "oomScoreAdj": 9}"#,
        ));
        assert_eq!(limits.ulimits, [Ulimit { name: "nofile".into(), soft: 1, hard: 2 }]);
        assert_eq!(limits.oom_score_adj, Some(9));
    }
}
