//! A bundle as a container of the engine.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use vxn_proto::FileSystem;

use super::bundle::Bundle;
use super::{Error, Result, mounts, process, refuse, resources};
use crate::config::Settings;
use crate::container::ContainerId;
use crate::container::cpu::Cpus;
use crate::container::definition::{Definition, ImageUse, Layer, Stop};
use crate::container::log::LogOptions;
use crate::container::network::NetworkSpec;
use crate::container::plan::RootDisk;
use crate::container::restart::RestartPolicy;
use crate::image::Digest;

/// Most bytes that a container can write, of a disk that takes what is written.
const LAYER_BYTES: u64 = 10 << 30;

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
    let hidden = linux.is_none_or(|linux| {
        [linux.masked_paths(), linux.readonly_paths()]
            .iter()
            .any(|list| list.as_ref().is_some_and(|list| !list.is_empty()))
    });
    let name = format!("oci-{}", id.short());
    let name = name.parse().map_err(|_| Error::Id(name))?;
    let hostname = spec.hostname().clone().filter(|name| !name.is_empty());
    Ok(Definition {
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
        network: NetworkSpec::default(),
        guest_type: settings.guest_type.value,
        memory_kib: resources::memory_kib(limits).unwrap_or(settings.memory.value.kib()),
        vcpus: cpu.cpus.map_or(settings.vcpus.value, Cpus::vcpus),
        cpu,
        limits: inner,
        privileges: process::privileges(&bundle.process, !hidden)?,
        kernel: None,
        initramfs: None,
        timeout: None,
        // Its caller keeps what is to be kept.
        remove: true,
        layer: layer(bundle),
        read_only: read_only(bundle),
        tmpfs: mounted.tmpfs,
        mounts: mounted.shared,
        devices: Vec::new(),
        health: None,
        stop: Stop::default(),
        restart: RestartPolicy::No,
        log: LogOptions::None,
    })
}

/// There is no image, but a directory and what is to be done with it.
fn image(bundle: &Bundle) -> ImageUse {
    let reference = bundle.dir.display().to_string();
    ImageUse { digest: Digest::of(&Sha256::digest(reference.as_bytes())), reference }
}

fn read_only(bundle: &Bundle) -> bool {
    bundle.spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or_default()
}

fn layer(bundle: &Bundle) -> Layer {
    if read_only(bundle) { Layer::Memory } else { Layer::Disk { bytes: LAYER_BYTES } }
}
