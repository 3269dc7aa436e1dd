//! From flags and settings to a definition, and from there to a plan.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use oci_spec::image::Config as ImageConfig;

use super::devices::devices;
use super::env::environment;
use super::failure::Hint;
use super::image::obtain;
use super::labels::Labels;
use super::mounts::mounts;
use super::privileges::PrivilegeFlags;
use super::root_disk::{self, Guest, formats};
use super::spec::{self, SpecArgs};
use crate::config::{Memory, Settings};
use crate::container::cpu::{Cpu, Cpus};
use crate::container::definition::{DEFAULT_SIZE, Definition, ImageUse, Layer, Stop};
use crate::container::health::HealthCheck;
use crate::container::log::LogOptions;
use crate::container::plan::{Kernel, Plan};
use crate::container::process::{self, ProcessRequest};
use crate::container::restart::RestartPolicy;
use crate::container::store::Containers;
use crate::container::{ContainerId, Name, names};
use crate::image::{Image, Store};
use crate::kernel;
use crate::libxl::Uuid;
use crate::seccomp::Filter;

/// Less than this is no ext4 file system worth the name.
const LEAST_STORAGE: Memory = Memory::from_mib(16);

/// What a new container is to be. Its image is pulled when it is not there.
pub fn definition(mut args: SpecArgs, settings: &Settings) -> anyhow::Result<Definition> {
    check(&args)?;
    let log = log_options(&args)?;
    let mut words = std::mem::take(&mut args.words).into_iter();
    let reference = reference(words.next().unwrap_or_default())?;
    let image = image(&reference, &args, settings)?;
    let config = image.config.config().as_ref();
    let (exposed, volumes, of_image) = config.map(offers).unwrap_or_default();
    let mut flags = std::mem::take(&mut args.mounts);
    let mut disks = std::mem::take(&mut flags.devices);
    let store = Containers::new(&settings.root.value);
    let mounts = mounts(flags, &volumes, &mut args.tmpfs, &mut disks, &store)?;
    let (id, name) = identity(&args)?;
    let hostname = args.hostname.clone().unwrap_or_else(|| id.short().to_owned());
    let process = request(&mut args, words.map(OsString::into_vec).collect())?;
    let cpu = args.cpu.clone().over(Cpu::default());
    Ok(Definition {
        id,
        name,
        created: Timestamp::now(),
        image: ImageUse { reference, digest: image.digest },
        process: process::merge(process, config, &hostname)?.into(),
        health: health(&args, &image, settings)?,
        stop: stop(&args, config),
        root_disk: root_disk::of_image(image),
        hostname,
        domainname: args.domainname.take().unwrap_or_default(),
        groups: std::mem::take(&mut args.group_add),
        annotations: args.labels.annotations(),
        labels: args.labels.over(of_image)?,
        network: args.network.clone().spec(&exposed, &settings.networks())?,
        guest_type: args.guest_type.unwrap_or(settings.guest_type.value),
        memory_kib: args.memory.unwrap_or(settings.memory.value).kib(),
        vcpus: cpu.cpus.map_or(settings.vcpus.value, Cpus::vcpus),
        cpu,
        limits: args.limits.clone().limits(),
        seccomp: seccomp(&args.privileges, settings)?,
        privileges: args.privileges.clone().privileges(),
        kernel: args.kernel.as_deref().map(absolute).transpose()?,
        initramfs: args.initramfs.as_deref().map(absolute).transpose()?,
        timeout: args.timeout,
        remove: args.rm,
        layer: layer(&args),
        read_only: args.read_only,
        write_back: None,
        tmpfs: args.tmpfs,
        mounts,
        devices: devices(disks)?,
        restart: args.restart,
        log,
    })
}

fn reference(word: OsString) -> anyhow::Result<String> {
    word.into_string().map_err(|word| anyhow!("{word:?} is not an image"))
}

/// The image, with a root disk that the container's guest can mount.
fn image(text: &str, args: &SpecArgs, settings: &Settings) -> anyhow::Result<Image> {
    let guest = Guest::of(settings).or(args.kernel.as_deref(), args.initramfs.as_deref());
    obtain(text, &args.pull, formats(guest, settings)?, settings)
}

/// A new id, and the name that the user has chosen, or one of ours.
fn identity(args: &SpecArgs) -> anyhow::Result<(ContainerId, Name)> {
    let id = ContainerId::random().context("cannot make an id")?;
    let name = args.name.clone().map_or_else(names::random, Ok).context("cannot make a name")?;
    Ok((id, name))
}

/// What an image exposes, its volumes and its labels.
fn offers(config: &ImageConfig) -> (Vec<String>, Vec<String>, Labels) {
    let exposed = config.exposed_ports().clone().unwrap_or_default();
    let volumes = config.volumes().clone().unwrap_or_default();
    (exposed, volumes, config.labels().clone().unwrap_or_default().into_iter().collect())
}

/// The user's health check, over the image's. OCI's configuration does not know
/// HEALTHCHECK and SHELL: they are read as they are written.
fn health(
    args: &SpecArgs,
    image: &Image,
    settings: &Settings,
) -> anyhow::Result<Option<HealthCheck>> {
    let config = Store::open(&settings.root.value)?.raw_config(&image.config_digest)?;
    args.health.clone().check(&config)
}

/// The profile that is named, else the setting's, for who is not privileged.
fn seccomp(flags: &PrivilegeFlags, settings: &Settings) -> anyhow::Result<Option<Filter>> {
    let privileges = flags.clone().privileges();
    let choice = match flags.seccomp() {
        Some(choice) => choice,
        None if privileges.privileged => return Ok(None),
        None => &settings.seccomp.value,
    };
    choice.filter(&privileges).map_err(|e| match e.hint() {
        Some(hint) => anyhow::Error::from(e).context(Hint(hint.to_owned())),
        None => e.into(),
    })
}

fn log_options(args: &SpecArgs) -> anyhow::Result<LogOptions> {
    LogOptions::parse(args.log_driver.as_deref(), &args.log_opt).map_err(|e| anyhow!(e))
}

/// What cannot go together, or cannot be.
fn check(args: &SpecArgs) -> anyhow::Result<()> {
    args.refused.check()?;
    if args.rm && args.restart != RestartPolicy::No {
        bail!("--rm and --restart cannot go together: what is removed is not started again");
    }
    if args.storage_size < LEAST_STORAGE {
        bail!("--storage-size {} is less than {LEAST_STORAGE}", args.storage_size);
    }
    Ok(())
}

/// What the user asks of the process.
fn request(args: &mut SpecArgs, command: Vec<Vec<u8>>) -> anyhow::Result<ProcessRequest> {
    Ok(ProcessRequest {
        command,
        entrypoint: args.entrypoint.take().map(OsString::into_vec),
        env: environment(&args.env_file, &args.env)?,
        workdir: args.workdir.take().map(OsString::into_vec),
        user: args.user.take(),
        stdin: args.interactive,
        tty: args.tty.then_some(DEFAULT_SIZE),
    })
}

/// The user's word on how to stop, then the image's, then docker's.
fn stop(args: &SpecArgs, config: Option<&ImageConfig>) -> Stop {
    let default = Stop::default();
    let of_image = config.and_then(|config| config.stop_signal().as_deref());
    let of_image = of_image.and_then(|signal| spec::signal(signal).ok());
    Stop {
        signal: args.stop_signal.or(of_image).unwrap_or(default.signal),
        seconds: args.stop_timeout.unwrap_or(default.seconds),
    }
}

/// A disk is for what is to be found again.
fn layer(args: &SpecArgs) -> Layer {
    if args.rm || args.read_only {
        return Layer::Memory;
    }
    Layer::Disk { bytes: args.storage_size.bytes() }
}

/// A container's next life on this host.
pub fn plan(definition: Definition, settings: &Settings) -> anyhow::Result<Plan> {
    let initramfs = present(
        definition.initramfs.as_ref().unwrap_or(&settings.initramfs.value),
        "the guest's initramfs",
        "build one with `cargo xtask initramfs`, or name one with --initramfs",
    )?;
    let hotplug = present(&settings.hotplug.value, "vxn's hotplug program", "install vxn whole")?;
    let kernel = definition.kernel.as_ref().unwrap_or(&settings.kernel.value);
    let kernel = guest_kernel(kernel, settings)?;
    Ok(Plan {
        definition,
        uuid: Uuid::random(),
        kernel,
        initramfs,
        hotplug,
        networks: settings.networks(),
        boot_timeout: Duration::from_secs(settings.boot_timeout.value),
        root: settings.root.value.clone(),
        run: settings.run.value.clone(),
        helper: false,
    })
}

/// The same for a container that was made of an image some time ago: its guest may have
/// another kernel now.
pub fn plan_again(mut definition: Definition, settings: &Settings) -> anyhow::Result<Plan> {
    root_disk::renew(&mut definition, settings)?;
    plan(definition, settings)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))
}

fn guest_kernel(source: &Path, settings: &Settings) -> anyhow::Result<Kernel> {
    let path = present(source, "the guest's kernel", "name one with --kernel")?;
    let info = kernel::prepare(&path, &settings.kernels(), &settings.tmp())?;
    Ok(Kernel { path: info.path, pv: info.pv, pvh: info.pvh })
}

/// The absolute path of a file that has to be there.
fn present(path: &Path, what: &str, hint: &str) -> anyhow::Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("cannot find {what} at {}", path.display()))
        .context(Hint(hint.to_owned()))
}
