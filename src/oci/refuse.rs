//! What a configuration may not ask for: a DomU shares no kernel with the host, so it
//! cannot share its namespaces, and what vxn cannot do yet is not passed over in silence.

use oci_spec::runtime::{Hooks, Linux, LinuxNamespaceType, LinuxResources, Spec};

use super::Result;
use super::error::refused;

const OWN_KERNEL: &str = "the container is a DomU with a kernel of its own";
const NOT_YET: &str = "vxn-oci-runtime cannot do it yet";

/// Refuses what cannot be, by name.
///
/// # Errors
/// [`super::Error::Refused`].
pub fn check(spec: &Spec) -> Result<()> {
    if let Some(linux) = spec.linux() {
        namespaces(linux)?;
        devices(linux)?;
        oddities(linux)?;
        linux.resources().as_ref().map_or(Ok(()), resources)?;
    }
    spec.hooks().as_ref().map_or(Ok(()), hooks)
}

/// Each namespace that a container has to have for itself. One with a path is somebody
/// else's, but for the network's, which was prepared for it.
fn namespaces(linux: &Linux) -> Result<()> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Time, User, Uts};
    let list = linux.namespaces().as_deref().unwrap_or_default();
    for (kind, what) in [(Network, "host network"), (Pid, "host pid"), (Ipc, "host ipc")] {
        if !list.iter().any(|namespace| namespace.typ() == kind) {
            return Err(refused(what, OWN_KERNEL));
        }
    }
    for namespace in list {
        let kind = namespace.typ();
        let word = match kind {
            User => return Err(refused("a user namespace", NOT_YET)),
            Time => return Err(refused("a time namespace", NOT_YET)),
            Network => continue,
            Pid => "pid",
            Ipc => "ipc",
            Uts => "uts",
            Mount => "mount",
            Cgroup => "cgroup",
        };
        match namespace.path() {
            None => {}
            Some(path) => {
                let what = format!("joining the {word} namespace {}", path.display());
                return Err(refused(what, OWN_KERNEL));
            }
        }
    }
    Ok(())
}

fn devices(linux: &Linux) -> Result<()> {
    match linux.devices().as_deref().unwrap_or_default().first() {
        Some(device) => {
            Err(refused(format!("the host device {}", device.path().display()), OWN_KERNEL))
        }
        None => Ok(()),
    }
}

fn oddities(linux: &Linux) -> Result<()> {
    let shared = linux.rootfs_propagation().as_deref();
    for (asked, what, why) in [
        (linux.intel_rdt().is_some(), "intelRdt", OWN_KERNEL),
        (linux.personality().is_some(), "personality", NOT_YET),
        (linux.time_offsets().as_ref().is_some_and(|o| !o.is_empty()), "timeOffsets", NOT_YET),
        (linux.net_devices().as_ref().is_some_and(|d| !d.is_empty()), "netDevices", OWN_KERNEL),
        (matches!(shared, Some("shared" | "rshared")), "a shared root", OWN_KERNEL),
        (has_mappings(linux), "uidMappings and gidMappings", NOT_YET),
    ] {
        if asked {
            return Err(refused(what, why));
        }
    }
    Ok(())
}

fn has_mappings(linux: &Linux) -> bool {
    let any = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
    any(linux.uid_mappings()) || any(linux.gid_mappings())
}

/// The limits that are neither Xen's nor the guest's. Zeros are what docker writes for
/// what nobody asked for.
///
/// # Errors
/// [`super::Error::Refused`].
pub fn resources(resources: &LinuxResources) -> Result<()> {
    let io = resources.block_io().as_ref();
    let throttled = io.is_some_and(|io| {
        let rates = [
            io.throttle_read_bps_device(),
            io.throttle_write_bps_device(),
            io.throttle_read_iops_device(),
            io.throttle_write_iops_device(),
        ];
        rates.iter().any(|list| list.as_ref().is_some_and(|list| !list.is_empty()))
            || io.weight().is_some_and(|weight| weight > 0)
            || io.weight_device().as_ref().is_some_and(|list| !list.is_empty())
    });
    let cpu = resources.cpu().as_ref();
    let real_time = cpu.is_some_and(|cpu| {
        cpu.realtime_runtime().is_some_and(|n| n > 0)
            || cpu.realtime_period().is_some_and(|n| n > 0)
    });
    let mems = cpu.and_then(|cpu| cpu.mems().as_deref()).is_some_and(|mems| !mems.is_empty());
    let huge = resources.hugepage_limits().as_ref().is_some_and(|list| !list.is_empty());
    let net = resources.network().as_ref().is_some_and(|net| {
        net.class_id().is_some_and(|id| id > 0)
            || net.priorities().as_ref().is_some_and(|list| !list.is_empty())
    });
    for (asked, what) in [
        (throttled, "resources.blockIO"),
        (real_time, "resources.cpu.realtimeRuntime"),
        (mems, "resources.cpu.mems"),
        (huge, "resources.hugepageLimits"),
        (net, "resources.network"),
        (resources.rdma().as_ref().is_some_and(|map| !map.is_empty()), "resources.rdma"),
        (resources.unified().as_ref().is_some_and(|map| !map.is_empty()), "resources.unified"),
    ] {
        if asked {
            return Err(refused(what, NOT_YET));
        }
    }
    Ok(())
}

/// The hook that is a program of the container's.
fn hooks(hooks: &Hooks) -> Result<()> {
    match hooks.start_container().as_deref() {
        Some([_, ..]) => Err(refused("a startContainer hook", NOT_YET)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut json = serde_json::to_value(Spec::default()).unwrap();
        change(&mut json);
        let spec: Spec = serde_json::from_value(json).unwrap();
        check(&spec).map_or_else(|e| e.to_string(), |()| "taken".to_owned())
    }

    #[test]
    fn the_template_is_taken() {
        assert_eq!(outcome(|_| {}), "taken");
    }

    #[test]
    fn what_a_vm_cannot_share_is_refused_by_name() {
        let without = |kind: &str| {
            outcome(|json| {
                let list = json["linux"]["namespaces"].as_array_mut().unwrap();
                list.retain(|namespace| namespace["type"] != kind);
            })
        };
        assert!(without("network").starts_with("host network is not supported: "));
        assert!(without("pid").starts_with("host pid is not supported: "));
        assert!(without("ipc").starts_with("host ipc is not supported: "));
        let joined = |kind: &str| {
            outcome(|json| {
                let list = json["linux"]["namespaces"].as_array_mut().unwrap();
                let found = list.iter_mut().find(|namespace| namespace["type"] == kind).unwrap();
                found["path"] = "/proc/1/ns/x".into();
            })
        };
        assert_eq!(joined("network"), "taken");
        assert!(joined("uts").contains("joining the uts namespace"));
    }

    #[test]
    fn limits_that_nobody_keeps_are_refused_and_zeros_are_not() {
        let with = |text: &str| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            outcome(|json| json["linux"]["resources"] = value)
        };
        assert_eq!(with(r#"{"blockIO":{"weight":0},"cpu":{"realtimeRuntime":0}}"#), "taken");
        assert!(with(r#"{"blockIO":{"weight":9}}"#).contains("resources.blockIO"));
        assert!(with(r#"{"unified":{"a":"b"}}"#).contains("resources.unified"));
        let hook = |when: &str| serde_json::json!({when: [{"path": "/bin/true"}]});
        let start = outcome(|json| json["hooks"] = hook("startContainer"));
        assert!(start.contains("a startContainer hook"), "{start}");
        assert_eq!(outcome(|json| json["hooks"] = hook("poststop")), "taken");
    }
}
