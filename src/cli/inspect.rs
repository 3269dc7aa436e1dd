//! `vxn inspect`: what docker shows of a container, as far as it means something
//! here, and the DomU.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use serde_json::{Value, json};
use vxn_proto::Ulimit;

use super::engine::Engine;
use super::failure::Failure;
use super::format::Format;
use super::image;
use crate::config::Settings;
use crate::container::condition::{Condition, Phase};
use crate::container::cpu::Cpus;
use crate::container::definition::{Definition, Layer, Text};
use crate::container::devices::Device;
use crate::container::health::HealthCheck;
use crate::container::log;
use crate::container::mounts::{Mount, Source};
use crate::container::network::Held;
use crate::network::{Forward, Lease};
use crate::volume::Volumes;

/// Show all there is to know of containers and images, as JSON.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  vxn inspect web\n  vxn inspect --format '{{.State.ExitCode}}' web"
)]
pub struct InspectArgs {
    /// A line like '{{.State.Status}} {{.Xen.DomId}}' for each, in place of JSON.
    #[arg(short, long, value_name = "TEXT")]
    format: Option<Format>,
    /// Names or ids.
    #[arg(required = true, value_name = "CONTAINER|IMAGE")]
    words: Vec<String>,
}

/// Shows containers and images. As docker, those that are not there fail, the
/// others are shown.
pub fn run(args: &InspectArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("inspect", settings)?;
    let (mut rows, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for word in &args.words {
        match engine.store.find(word) {
            Ok(definition) => rows.push(serde_json::from_value(inspect(&engine, &definition)?)?),
            Err(e) => match image::inspect::one(word, settings) {
                Ok(row) => rows.push(row),
                Err(image) => {
                    tracing::debug!("{image:#}");
                    code = Failure::from(anyhow::Error::from(e)).print(1);
                }
            },
        }
    }
    let text = match &args.format {
        Some(format) => format.render(&rows)?,
        None => serde_json::to_string_pretty(&rows)? + "\n",
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(code)
}

fn inspect(engine: &Engine, definition: &Definition) -> anyhow::Result<Value> {
    let condition = engine.condition(definition)?;
    let texts = |list: &[Text]| list.iter().map(Text::lossy).collect::<Vec<_>>();
    let process = &definition.process;
    let args = texts(&process.args);
    let live = condition.live();
    let home = engine.store.home(&definition.id);
    let held = Held::load(&engine.run)?;
    Ok(json!({
        "Id": definition.id,
        "Created": definition.created,
        "Path": args.first(),
        "Args": args.iter().skip(1).collect::<Vec<_>>(),
        "State": state(&condition),
        "Image": definition.image.digest,
        "Name": format!("/{}", definition.name),
        "RestartCount": restarts(&condition),
        "LogPath": log::directory(&home).join("container.log"),
        "HostConfig": host_config(definition),
        "NetworkSettings": network_settings(definition, &held.of(&definition.id)),
        "Mounts": mounts(definition, &Volumes::new(engine.store.root())),
        "Config": {
            "Hostname": definition.hostname,
            "Domainname": definition.domainname,
            "User": process.user,
            "Tty": process.tty,
            "OpenStdin": process.stdin,
            "Env": texts(&process.env),
            "Cmd": args,
            "Image": definition.image.reference,
            "Labels": definition.labels,
            "Healthcheck": definition.health.as_ref().map(health_check),
            "WorkingDir": process.cwd.lossy(),
            "StopSignal": definition.stop.signal,
            "StopTimeout": definition.stop.seconds,
        },
        "Xen": {
            "DomId": live.and_then(|live| live.domid),
            "Type": definition.guest_type,
            "Vcpus": definition.vcpus,
            "Kernel": definition.kernel,
            "Initramfs": definition.initramfs,
            "RootDisk": definition.root_disk.path,
            "LayerDisk": engine.store.layer(definition),
        },
    }))
}

/// As docker shows them, in the order of their places.
fn mounts(definition: &Definition, volumes: &Volumes) -> Vec<Value> {
    let mut mounts: Vec<_> = definition.mounts.iter().collect();
    mounts.sort_by_key(|mount| &mount.destination);
    let show = |mount: &&Mount| {
        let mode = if mount.read_only { "ro" } else { "rw" };
        match &mount.source {
            Source::Bind(path) => json!({
                "Type": "bind",
                "Source": path,
                "Destination": mount.destination,
                "Mode": mode,
                "RW": !mount.read_only,
                "Propagation": "rprivate",
            }),
            Source::Volume { name, .. } => json!({
                "Type": "volume",
                "Name": name,
                "Source": volumes.data(name),
                "Destination": mount.destination,
                "Driver": "local",
                "Mode": mode,
                "RW": !mount.read_only,
                "Propagation": "",
            }),
        }
    };
    mounts.iter().map(show).collect()
}

fn host_config(definition: &Definition) -> Value {
    let Definition { cpu, limits, privileges, .. } = definition;
    let ulimit = |u: &Ulimit| {
        // docker writes no limit as -1.
        let number = |limit| i64::try_from(limit).unwrap_or(-1);
        json!({ "Name": u.name, "Soft": number(u.soft), "Hard": number(u.hard) })
    };
    let hidden = (privileges.privileged || privileges.unmasked).then(|| json!([]));
    json!({
        "AutoRemove": definition.remove,
        "Annotations": definition.annotations,
        "Memory": definition.memory_kib * 1024,
        "NanoCpus": cpu.cpus.unwrap_or(Cpus::whole(definition.vcpus)).nano(),
        "CpuShares": cpu.shares.unwrap_or_default(),
        "CpusetCpus": cpu.set,
        "PidsLimit": limits.pids,
        "Ulimits": limits.ulimits.iter().map(ulimit).collect::<Vec<_>>(),
        "ShmSize": limits.shm_bytes.unwrap_or(64 << 20),
        "Sysctls": limits.sysctls.iter().cloned().collect::<BTreeMap<_, _>>(),
        "OomScoreAdj": limits.oom_score_adj.unwrap_or_default(),
        "Devices": definition.devices.iter().map(device).collect::<Vec<_>>(),
        "OomKillDisable": false,
        "Privileged": privileges.privileged,
        "CapAdd": privileges.cap_add,
        "CapDrop": privileges.cap_drop,
        "GroupAdd": definition.groups,
        "SecurityOpt": security_opt(definition),
        "MaskedPaths": hidden,
        "ReadonlyPaths": hidden,
        "ReadonlyRootfs": definition.read_only,
        "RestartPolicy": definition.restart,
        "Tmpfs": definition.tmpfs,
        "LogConfig": definition.log,
        "StorageSize": match definition.layer {
            Layer::Memory => None,
            Layer::Disk { bytes } => Some(bytes),
        },
    })
}

/// docker's words, and null if there are none.
fn security_opt(definition: &Definition) -> Option<Vec<String>> {
    let calm = definition.privileges.no_new_privileges.then(|| "no-new-privileges".to_owned());
    let filter = definition.seccomp.as_ref().map(|filter| format!("seccomp={}", filter.profile));
    let all: Vec<_> = calm.into_iter().chain(filter).collect();
    (!all.is_empty()).then_some(all)
}

fn device(device: &Device) -> Value {
    json!({
        "PathOnHost": device.source,
        "PathInContainer": device.path(),
        "CgroupPermissions": if device.read_only { "rm" } else { "rwm" },
    })
}

/// docker's, with durations in nanoseconds.
fn health_check(check: &HealthCheck) -> Value {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let words = check.command.iter().map(Text::lossy);
    json!({
        "Test": std::iter::once("CMD".to_owned()).chain(words).collect::<Vec<_>>(),
        "Interval": nanos(check.interval),
        "Timeout": nanos(check.timeout),
        "StartPeriod": nanos(check.start_period),
        "StartInterval": nanos(check.start_interval),
        "Retries": check.retries,
    })
}

/// Its networks, and what it has there while it runs; docker's older fields are those
/// of the first one.
fn network_settings(definition: &Definition, leases: &[&Lease]) -> Value {
    let memberships = &definition.network.memberships;
    let mut networks: BTreeMap<&str, Value> =
        memberships.iter().map(|one| (one.network.as_str(), endpoint(None))).collect();
    for lease in leases {
        networks.insert(&lease.network, endpoint(Some(lease)));
    }
    for one in memberships {
        networks.entry(&one.network).and_modify(|value| value["Aliases"] = json!(one.aliases));
    }
    let mut all = endpoint(leases.first().copied());
    all["Bridge"] = json!(leases.first().map_or("", |lease| &lease.bridge));
    all["Networks"] = json!(networks);
    let forwards: Vec<Forward> = leases.iter().flat_map(|lease| lease.forwards.clone()).collect();
    all["Ports"] = ports(&forwards);
    all
}

/// docker's fields for the first address of each kind; empty ones without a lease.
fn endpoint(lease: Option<&Lease>) -> Value {
    let address = |v4| lease?.addresses.iter().find(|net| net.addr().is_ipv4() == v4);
    let gateway = |v4| lease?.gateways.iter().find(|ip| ip.is_ipv4() == v4);
    let of = |field: fn(&IpNet) -> String, v4| address(v4).map(field).unwrap_or_default();
    let by = |v4| gateway(v4).map(ToString::to_string).unwrap_or_default();
    json!({
        "IPAddress": of(|net| net.addr().to_string(), true),
        "IPPrefixLen": address(true).map_or(0, IpNet::prefix_len),
        "Gateway": by(true),
        "GlobalIPv6Address": of(|net| net.addr().to_string(), false),
        "GlobalIPv6PrefixLen": address(false).map_or(0, IpNet::prefix_len),
        "IPv6Gateway": by(false),
        "MacAddress": lease.map(|lease| lease.mac.to_string()).unwrap_or_default(),
    })
}

/// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`.
fn ports(forwards: &[Forward]) -> Value {
    let mut ports = BTreeMap::<String, Vec<Value>>::new();
    for forward in forwards {
        let at = forward.published();
        let binding = json!({ "HostIp": at.ip(), "HostPort": at.port().to_string() });
        let port = format!("{}/{}", forward.container, forward.protocol);
        ports.entry(port).or_default().push(binding);
    }
    json!(ports)
}

fn restarts(condition: &Condition) -> u32 {
    match condition {
        Condition::Created => 0,
        Condition::Live(live) => live.restarts,
        Condition::Exited(ended) => ended.restarts,
    }
}

fn state(condition: &Condition) -> Value {
    let live = condition.live();
    let is = |phase| live.is_some_and(|live| live.phase == phase);
    let ended = match condition {
        Condition::Exited(ended) => Some(ended),
        _ => None,
    };
    let started = live.and_then(|l| l.started).or(ended.and_then(|e| e.started));
    json!({
        "Status": condition.word(),
        "Running": live.is_some() && !is(Phase::Restarting),
        "Paused": is(Phase::Paused),
        "Restarting": is(Phase::Restarting),
        "OOMKilled": ended.is_some_and(|ended| ended.oom_killed),
        "Pid": live.map_or(0, |live| live.monitor),
        "ExitCode": ended.map_or(0, |ended| ended.code),
        "Error": ended.and_then(|ended| ended.error.clone()).unwrap_or_default(),
        "StartedAt": started,
        "Health": live.and_then(|live| live.health.as_ref()),
        "FinishedAt": ended.map(|ended| ended.finished),
    })
}
