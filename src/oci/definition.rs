//! A bundle as a container of the engine.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use oci_spec::runtime::{Linux, LinuxNamespaceType, Spec};
use vxn_proto::FileSystem;

use super::bundle::Bundle;
use super::error::at;
use super::{Error, Result, annotations, mounts, process, refuse, resources};
use crate::config::Settings;
use crate::container::cpu::Cpus;
use crate::container::definition::{Definition, ImageUse, Layer, Stop};
use crate::container::failure_log::FailureLog;
use crate::container::log::LogOptions;
use crate::container::network::NetworkSpec;
use crate::container::plan::RootDisk;
use crate::container::restart::RestartPolicy;
use crate::container::write_back::WriteBack;
use crate::container::{ContainerId, layer};
use crate::image::Digest;
use crate::seccomp::{self, Filter};

/// What the container `id` is to be; its root disk is made of the bundle's later.
///
/// # Errors
/// What the bundle asks for and cannot have is refused by name.
pub fn definition(bundle: &Bundle, id: ContainerId, settings: &Settings) -> Result<Definition> {
    refuse::check(&bundle.spec)?;
    let spec = &bundle.spec;
    let linux = spec.linux().as_ref();
    let limits = linux.and_then(|linux| linux.resources().as_ref());
    let mounted = mounts::mounts(spec, &bundle.dir)?;
    let cpu = resources::cpu(limits)?;
    let mut inner = resources::limits(linux, process::limits(&bundle.process));
    inner.shm_bytes = mounted.shm_bytes;
    let name = format!("oci-{}", id.short());
    let name = name.parse().map_err(|_| Error::Id(name))?;
    let hostname = spec.hostname().clone().filter(|name| !name.is_empty());
    let mut definition = Definition {
        hostname: hostname.unwrap_or_else(|| id.short().to_owned()),
        id,
        name,
        created: Timestamp::now(),
        image: image(bundle),
        root_disk: RootDisk { path: Path::new("").to_owned(), fs: FileSystem::SquashFs },
        process: process::spec(&bundle.process)?.into(),
        domainname: spec.domainname().clone().unwrap_or_default(),
        groups: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        network: network(spec),
        guest_type: settings.guest_type.value,
        memory_kib: resources::memory_kib(limits).unwrap_or(settings.memory.value.kib()),
        vcpus: cpu.cpus.map_or(settings.vcpus.value, Cpus::vcpus),
        cpu,
        limits: inner,
        privileges: process::privileges(&bundle.process, linux.is_some_and(|linux| !hides(linux)))?,
        seccomp: seccomp(linux)?,
        kernel: None,
        initramfs: None,
        timeout: None,
        // Its caller keeps what is to be kept.
        remove: true,
        layer: writable(bundle),
        read_only: read_only(bundle),
        write_back: None,
        tmpfs: mounted.tmpfs,
        mounts: mounted.shared,
        devices: Vec::new(),
        health: None,
        stop: Stop::default(),
        restart: RestartPolicy::No,
        log: LogOptions::None,
    };
    if let Some(said) = spec.annotations() {
        annotations::apply(&mut definition, said, &settings.oci_annotations.value)?;
    }
    Ok(definition)
}

/// The filter of the configuration, for every process.
fn seccomp(linux: Option<&Linux>) -> Result<Option<Filter>> {
    let rules = linux.and_then(|linux| linux.seccomp().as_ref());
    Ok(rules.map(seccomp::compile).transpose()?)
}

/// Whether some of `/proc` and `/sys` is hidden or read-only.
fn hides(linux: &Linux) -> bool {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    some(linux.masked_paths()) || some(linux.readonly_paths())
}

/// podman's word that a container goes with its process, and all that it has written.
const AUTO_REMOVE: &str = "io.podman.annotations.autoremove";

/// Where the writes of the container go back to: the bundle's root, unless there are none,
/// or nobody will ever look.
///
/// # Errors
/// The bundle's root is gone.
pub fn write_back(
    bundle: &Bundle,
    definition: &Definition,
    failures: Option<FailureLog>,
) -> Result<Option<WriteBack>> {
    let annotations = bundle.spec.annotations().as_ref();
    let fleeting = annotations.and_then(|all| all.get(AUTO_REMOVE)).is_some_and(|v| v == "TRUE");
    if fleeting || definition.read_only {
        return Ok(None);
    }
    let back = WriteBack::to(&bundle.rootfs, &definition.privileges, failures);
    back.map(Some).map_err(at(&bundle.rootfs))
}

/// The network is what the caller has prepared, if anything; names are in files that it
/// binds.
fn network(spec: &Spec) -> NetworkSpec {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let network = namespaces.iter().find(|one| one.typ() == LinuxNamespaceType::Network);
    let namespace = network.and_then(|network| network.path().clone());
    NetworkSpec { namespace, ..NetworkSpec::default() }
}

/// There is no image, but a directory and what is to be done with it.
fn image(bundle: &Bundle) -> ImageUse {
    let reference = bundle.dir.display().to_string();
    ImageUse { digest: Digest::of(reference.as_bytes()), reference }
}

fn read_only(bundle: &Bundle) -> bool {
    bundle.spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or_default()
}

fn writable(bundle: &Bundle) -> Layer {
    if read_only(bundle) { Layer::Memory } else { Layer::Disk { bytes: layer::DEFAULT_BYTES } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_compiled_or_its_mistake_is_told() {
        let of = |rules: serde_json::Value| {
            let mut json = serde_json::to_value(Spec::default()).unwrap();
            json["linux"]["seccomp"] = rules;
            let spec: Spec = serde_json::from_value(json).unwrap();
            seccomp(spec.linux().as_ref()).map_err(|e| e.to_string())
        };
        assert_eq!(of(serde_json::Value::Null), Ok(None));
        let filter = of(serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW"})).unwrap().unwrap();
        assert!(!filter.program.is_empty());
        let error = of(serde_json::json!({"defaultAction": "SCMP_ACT_NOTIFY"})).unwrap_err();
        assert!(error.starts_with("seccomp: SCMP_ACT_NOTIFY is not supported: "), "{error}");
    }

    #[test]
    fn the_network_is_the_namespace_that_was_prepared() {
        let mut json = serde_json::to_value(Spec::default()).unwrap();
        let of = |json: &serde_json::Value| {
            let spec: Spec = serde_json::from_value(json.clone()).unwrap();
            network(&spec)
        };
        assert_eq!(of(&json), NetworkSpec::default());
        let list = json["linux"]["namespaces"].as_array_mut().unwrap();
        let found = list.iter_mut().find(|namespace| namespace["type"] == "network").unwrap();
        found["path"] = "/run/netns/x".into();
        let namespace = Some("/run/netns/x".into());
        assert_eq!(of(&json), NetworkSpec { namespace, ..NetworkSpec::default() });
    }
}
