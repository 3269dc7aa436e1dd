//! `vxn backend start` and `foreground`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cli::domain::console;
use crate::cli::failure::Hint;
use crate::config::{Origin, Settings, TypeChoice};
use crate::container::plan::Kernel;
use crate::container::{ContainerId, Name};
use crate::kernel;
use crate::libxl::{Disk, Share, ShareServer, Shares, Uuid};
use crate::tool;
use crate::vcontainer::front;
use crate::vcontainer::order::{Mode, Order};
use crate::xenstore::Xenstore;

#[derive(Debug, Args)]
pub struct StartArgs {
    /// Name of the DomU.
    name: Name,
    /// The guest's kernel.
    #[arg(long, value_name = "FILE")]
    kernel: PathBuf,
    /// The guest's initramfs.
    #[arg(long, value_name = "FILE")]
    ramdisk: PathBuf,
    /// What is added to the kernel's command line.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    append: String,
    /// A disk: `xvda,ro,FILE`.
    #[arg(long, value_name = "VDEV,MODE,FILE")]
    disk: Vec<DiskWords>,
    /// Memory in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory: u32,
    /// Virtual CPUs.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=128))]
    vcpus: u32,
    /// Take commands on the console (`ping`, `send`, `run`).
    #[arg(long)]
    daemon: bool,
    /// Where the console's output is added; a daemon's until it is ready.
    #[arg(long, value_name = "FILE", default_value = "/dev/null")]
    log: PathBuf,
    /// Destroy the DomU when this process ends.
    #[arg(long, value_name = "PID")]
    owner: Option<i32>,
    /// The network that the DomU is on; without it none.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Share a directory by 9P.
    #[arg(long, value_name = "TAG=DIR")]
    share: Vec<ShareWords>,
}

/// A disk as the command line has it.
#[derive(Debug, Clone)]
struct DiskWords {
    vdev: String,
    writable: bool,
    file: PathBuf,
}

impl FromStr for DiskWords {
    type Err = String;

    fn from_str(text: &str) -> Result<DiskWords, String> {
        let mut parts = text.splitn(3, ',');
        let (vdev, mode, file) = match (parts.next(), parts.next(), parts.next()) {
            (Some(vdev), Some(mode), Some(file)) if !vdev.is_empty() && !file.is_empty() => {
                (vdev, mode, file)
            }
            _ => return Err("a disk is written VDEV,MODE,FILE".to_owned()),
        };
        let writable = match mode {
            "ro" => false,
            "rw" => true,
            _ => return Err(format!("{mode:?} is neither ro nor rw")),
        };
        Ok(DiskWords { vdev: vdev.to_owned(), writable, file: file.into() })
    }
}

/// A shared directory as the command line has it.
#[derive(Debug, Clone)]
struct ShareWords(Share);

impl FromStr for ShareWords {
    type Err = String;

    fn from_str(text: &str) -> Result<ShareWords, String> {
        match text.split_once('=') {
            Some((tag, dir)) if !tag.is_empty() && !dir.is_empty() => {
                Ok(ShareWords(Share { tag: tag.to_owned(), path: dir.into() }))
            }
            _ => Err("a share is written TAG=DIR".to_owned()),
        }
    }
}

impl StartArgs {
    /// Starts a DomU in the background.
    pub fn start(self, settings: &Settings) -> Result<ExitCode> {
        let log = std::path::absolute(&self.log)?;
        let mode = if self.daemon { Mode::Daemon { log } } else { Mode::Capture { log } };
        let (info, _) = front::start(&self.order(mode, settings)?).map_err(super::hinted)?;
        print!("{}", super::lines(&info));
        Ok(ExitCode::SUCCESS)
    }

    /// Starts one in the foreground; it ends with this process.
    pub fn foreground(self, settings: &Settings) -> Result<ExitCode> {
        if self.daemon {
            bail!("a daemon has no terminal: use `vxn backend start --daemon`");
        }
        let order = self.order(Mode::Foreground, settings)?;
        let (info, lifeline) = front::start(&order).map_err(super::hinted)?;
        let shown = console::attach(&Xenstore::open()?, info.domid);
        drop(lifeline);
        // Whoever removes the disks next must find them free.
        front::destroy(&order.run, &order.name)?;
        shown
    }

    fn order(self, mode: Mode, settings: &Settings) -> Result<Order> {
        let kernel = present(self.kernel)?;
        let kernel = kernel::prepare(&kernel, &settings.kernels(), &settings.tmp())?;
        let hotplug = present(settings.hotplug.value.clone())?;
        let disk = |disk: DiskWords| -> Result<Disk> {
            let DiskWords { vdev, writable, file } = disk;
            Ok(Disk { path: present(file)?, vdev, writable, script: Some(hotplug.clone()) })
        };
        Ok(Order {
            id: ContainerId::random().context("cannot make an id")?,
            name: self.name,
            uuid: Uuid::random(),
            guest_type: guest_type(settings),
            memory_kib: u64::from(self.memory) * 1024,
            vcpus: self.vcpus,
            kernel: Kernel { path: kernel.path, pv: kernel.pv, pvh: kernel.pvh },
            ramdisk: present(self.ramdisk)?,
            append: self.append,
            disks: self.disk.into_iter().map(disk).collect::<Result<_>>()?,
            shares: shares(self.share)?,
            network: self.network,
            hotplug: hotplug.clone(),
            run: settings.run.value.clone(),
            mode,
            owner: self.owner,
        })
    }
}

/// The seed's guests are PV on x86, unless somebody says otherwise.
fn guest_type(settings: &Settings) -> TypeChoice {
    match settings.guest_type.origin {
        Origin::BuiltIn if cfg!(target_arch = "x86_64") => TypeChoice::Pv,
        _ => settings.guest_type.value,
    }
}

/// The absolute path of a file that has to be there.
pub fn present(path: PathBuf) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
}

fn shares(words: Vec<ShareWords>) -> Result<Option<Shares>> {
    if words.is_empty() {
        return Ok(None);
    }
    let absolute = |ShareWords(share)| Ok(Share { path: present(share.path)?, ..share });
    let shares = words.into_iter().map(absolute).collect::<Result<_>>()?;
    Ok(Some(Shares { server: share_server()?, shares }))
}

/// What serves directories here, or why nothing does.
fn share_server() -> Result<ShareServer> {
    let server = ShareServer::find(serves_xen).context(
        "no 9P shares: this libxl has them served by QEMU for Xen, or from Xen 4.19 on by \
         xen-9pfsd, and neither is installed",
    );
    server.context(Hint("install qemu-system-xen, or put the files on a disk".to_owned()))
}

/// Whether a QEMU was built with the machine that libxl starts for shares.
fn serves_xen(qemu: &Path) -> bool {
    let machines = tool::command(qemu).args(["-machine", "help"]).output();
    machines.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("xenpv"))
}

/// Whether directories can be shared: the exit code, and the reason if not.
pub fn check_share() -> Result<ExitCode> {
    share_server().map(|_| ExitCode::SUCCESS)
}
