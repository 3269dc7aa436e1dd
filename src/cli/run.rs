//! `vxn run`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use vxn_proto::FileSystem;

use super::failure::{Failure, Hint};
use super::image::{PullFlags, obtain};
use crate::config::{Memory, Settings, TypeChoice};
use crate::container::plan::{self, Kernel, Plan, ProcessRequest, RootDisk};
use crate::container::{ContainerId, Name, front};
use crate::image::{DiskFormat, Image};
use crate::kernel;
use crate::libxl::Uuid;

/// Flags and words of `vxn run`.
#[derive(Debug, Args)]
#[command(
    // As docker has it: the last of a repeated flag counts.
    args_override_self = true,
    override_usage = "vxn run [OPTIONS] IMAGE [COMMAND] [ARG]...",
    after_help = "Examples:\n  vxn run --rm alpine echo hello\n  \
                  echo text | vxn run --rm -i oci:./busybox cat\n  \
                  vxn run --rm -m 512M --cpus 2 -e LANG=C --type pv debian make -j2"
)]
pub struct RunArgs {
    /// Remove the container when it exits (what it wrote is gone in any case today).
    #[arg(long)]
    rm: bool,
    /// Carry stdin to the process.
    #[arg(short, long)]
    interactive: bool,
    /// Set an environment variable; KEY alone takes its value from here.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<OsString>,
    /// Read environment variables from a file, one KEY=VALUE a line.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory of the process, made when it is missing.
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<OsString>,
    /// User of the process: a name from the image or a number.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Program to run in place of the image's; "" takes the image's away.
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<OsString>,
    /// Host name in the container.
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    hostname: Option<String>,
    /// Memory of the DomU.
    #[arg(short, long, value_name = "SIZE")]
    memory: Option<Memory>,
    /// Virtual CPUs of the DomU, a whole number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=128))]
    cpus: Option<u32>,
    /// Guest type: auto, pv or pvh.
    #[arg(long = "type", value_name = "TYPE")]
    guest_type: Option<TypeChoice>,
    /// Guest kernel: bzImage, Image or vmlinux.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Guest initramfs, as `cargo xtask initramfs` builds it.
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
    /// Name of the container and of its DomU.
    #[arg(long)]
    name: Option<Name>,
    /// Kill the container after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Network of the container: only "none" works today.
    #[arg(long, value_name = "NETWORK", default_value = "none", value_parser = ["none"])]
    network: String,
    #[command(flatten)]
    pull: PullFlags,
    /// Image, then the command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    words: Vec<OsString>,
}

fn hostname(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if text.is_empty() || text.len() > 63 || !text.bytes().all(good) {
        return Err("a host name has 1 to 63 letters, digits, dots or dashes".to_owned());
    }
    Ok(text.to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = f64::from_str(text).map_err(|e| e.to_string())?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(|| "a number of seconds above 0 is needed".to_owned())
}

/// Runs a container to its end.
pub fn run(args: RunArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(anyhow::anyhow!("vxn run needs root, as everything that talks to Xen does"))
            .context(Hint("sudo vxn run …".to_owned()));
    }
    let settings = with_flags(&args, settings);
    let plan = make_plan(args, &settings)?;
    let report = front::run(&plan).context("cannot start the container's monitor")?;
    let code = report.code;
    Ok(match report.error {
        None => ExitCode::from(code),
        Some(_) => Failure::from(report).print(code),
    })
}

fn with_flags(args: &RunArgs, settings: &Settings) -> Settings {
    Settings {
        memory: settings.memory.or_flag("--memory", args.memory),
        vcpus: settings.vcpus.or_flag("--cpus", args.cpus),
        guest_type: settings.guest_type.or_flag("--type", args.guest_type),
        kernel: settings.kernel.or_flag("--kernel", args.kernel.clone()),
        initramfs: settings.initramfs.or_flag("--initramfs", args.initramfs.clone()),
        ..settings.clone()
    }
}

fn make_plan(args: RunArgs, settings: &Settings) -> anyhow::Result<Plan> {
    let env = environment(&args)?;
    let mut words = args.words.into_iter();
    let reference = words.next().unwrap_or_default();
    let text = reference.to_str().with_context(|| format!("{reference:?} is not an image"))?;
    let image = obtain(text, &args.pull, settings)?;
    let kernel = guest_kernel(settings)?;
    let initramfs = present(
        &settings.initramfs.value,
        "the guest's initramfs",
        "build one with `cargo xtask initramfs`, or name one with --initramfs",
    )?;
    let hotplug = present(&settings.hotplug.value, "vxn's hotplug program", "install vxn whole")?;
    let id = ContainerId::random().context("cannot make an id")?;
    let hostname = args.hostname.unwrap_or_else(|| id.short().to_owned());
    let request = ProcessRequest {
        command: words.map(OsString::into_vec).collect(),
        entrypoint: args.entrypoint.map(OsString::into_vec),
        env,
        workdir: args.workdir.map(OsString::into_vec),
        user: args.user,
        stdin: args.interactive,
    };
    Ok(Plan {
        process: plan::process(request, image.config.config().as_ref(), &hostname)?,
        id,
        name: args.name,
        uuid: Uuid::random(),
        guest_type: settings.guest_type.value,
        memory_kib: settings.memory.value.kib(),
        vcpus: settings.vcpus.value,
        kernel,
        initramfs,
        hotplug,
        image: image.digest,
        root_disk: root_disk(image),
        hostname,
        timeout: args.timeout,
        boot_timeout: Duration::from_secs(settings.boot_timeout.value),
        run: settings.run.value.clone(),
    })
}

fn root_disk(image: Image) -> RootDisk {
    let fs = match image.root_disk.format {
        DiskFormat::SquashFs => FileSystem::SquashFs,
    };
    RootDisk { path: image.root_disk.path, fs }
}

fn guest_kernel(settings: &Settings) -> anyhow::Result<Kernel> {
    let source = &settings.kernel.value;
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

/// Files first, flags after them, as docker reads them.
fn environment(args: &RunArgs) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut env = Vec::new();
    for file in &args.env_file {
        let text = std::fs::read(file)
            .with_context(|| format!("cannot read the env file {}", file.display()))?;
        for line in text.split(|&b| b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
            if !line.is_empty() && !line.starts_with(b"#") {
                env.extend(variable(line)?);
            }
        }
    }
    for entry in &args.env {
        env.extend(variable(entry.as_bytes())?);
    }
    Ok(env)
}

/// `KEY=VALUE` as it is; `KEY` with the value that it has here, if it has one.
fn variable(entry: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    match entry.iter().position(|&b| b == b'=') {
        Some(0) => anyhow::bail!("{:?} names no variable", String::from_utf8_lossy(entry)),
        Some(_) => Ok(Some(entry.to_vec())),
        None if entry.is_empty() => anyhow::bail!("an empty string names no variable"),
        None => {
            let value = std::env::var_os(std::ffi::OsStr::from_bytes(entry));
            Ok(value.map(|v| [entry, b"=", v.as_bytes()].concat()))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    fn parse(words: &[&str]) -> RunArgs {
        Line::try_parse_from([&["run"], words].concat()).unwrap().run
    }

    #[test]
    fn the_last_of_a_repeated_flag_counts_and_lists_grow() {
        let args = parse(&["-m", "64M", "-e", "A=1", "-m", "128M", "-e", "B=2", "image"]);
        assert_eq!(args.memory, Some("128M".parse().unwrap()));
        assert_eq!(args.env, ["A=1", "B=2"]);
    }

    #[test]
    fn what_follows_the_image_is_the_commands_own() {
        let words = ["image", "printf", "", "-m", "--rm", "-rm", "--", "a b", "-e"];
        assert_eq!(parse(&[&["-i"], &words[..]].concat()).words, words);
    }
}
