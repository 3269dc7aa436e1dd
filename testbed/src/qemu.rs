//! A QEMU process that runs Xen and Dom0, in software emulation.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::dom0_image::Dom0Image;
use crate::{logs, tool};

/// The program that emulates the machine.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Xen, Dom0 and twenty small guests; only what is touched takes memory here.
const MEMORY: &str = "6G";
const XEN: &str = "console=com1 com1=115200,8n1 dom0_mem=1536M,max:1536M bootscrub=0";
const DOM0: &str = "console=hvc0 quiet panic=-1 mitigations=off apparmor=0 cryptomgr.notests i8042.nokbd i8042.noaux";
/// From start to "ready" takes 15 s on an idle machine.
const BOOT_TIMEOUT: Duration = Duration::from_secs(300);

/// A directory of this machine that Dom0 mounts by 9p under a tag its init knows.
#[derive(Debug, Clone)]
pub struct Share {
    /// `install`, `images`, `logs` or `share`.
    pub tag: &'static str,
    /// The directory.
    pub dir: PathBuf,
}

/// A running QEMU. Dropping it kills it; it also dies with this process,
/// whichever way that ends.
#[derive(Debug)]
pub struct Qemu {
    /// The port on 127.0.0.1 that leads to Dom0's sshd.
    pub ssh_port: u16,
    ready: ChildStdout,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Qemu {
    /// Starts QEMU, with its own messages and the console of Xen and Dom0 in `dir`.
    pub fn start(image: &Dom0Image, shares: &[Share], dir: &Path) -> Result<Self> {
        let ssh_port = free_port()?;
        let mut command = command(image, shares, dir, ssh_port)?;
        let (stop, stopped) = mpsc::channel();
        let (started, start) = mpsc::channel();
        let keeper = thread::Builder::new().name("qemu".to_owned()).spawn(move || {
            keep(&mut command, &started, &stopped);
        })?;
        let ready = start.recv()?.context("cannot start QEMU")?;
        Ok(Self { ssh_port, ready, stop: Some(stop), keeper: Some(keeper) })
    }

    /// Waits for the line with which Dom0's init says that it is up.
    pub fn wait_ready(&mut self) -> Result<()> {
        match read_line(&mut self.ready, Instant::now() + BOOT_TIMEOUT)?.as_deref() {
            Some("ready") => Ok(()),
            Some(line) => bail!("Dom0 says: {line}"),
            None => bail!("QEMU ended during the boot"),
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            // It only fails by a panic, which has been printed.
            let _ = keeper.join();
        }
    }
}

type Started = std::io::Result<ChildStdout>;

/// Starts QEMU and kills it when `stopped` closes. The thread that runs this
/// lives as long as QEMU: the kernel kills QEMU when that thread ends (see
/// PR_SET_PDEATHSIG), also by SIGKILL of the whole process. QEMU's stdin stays
/// open with `child`: its end would close the port for Dom0.
fn keep(command: &mut Command, started: &mpsc::Sender<Started>, stopped: &mpsc::Receiver<()>) {
    let spawned = command.spawn().and_then(|mut child: Child| {
        let stdout = child.stdout.take().ok_or_else(|| std::io::Error::other("no stdout"))?;
        Ok((child, stdout))
    });
    let mut child = match spawned {
        Ok((child, stdout)) => {
            let _ = started.send(Ok(stdout));
            child
        }
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    // Never sent to: the error is the sender's end.
    let _ = stopped.recv();
    let _ = child.kill();
    let _ = child.wait();
}

/// QEMU's command line. Its stdin and stdout are Dom0's virtio-serial port.
fn command(image: &Dom0Image, shares: &[Share], dir: &Path, ssh_port: u16) -> Result<Command> {
    let mut command = tool::command("setpriv");
    command.args(["--pdeathsig", "KILL", "--", PROGRAM]);
    command.args(["-machine", "q35,accel=tcg", "-cpu", "qemu64,+svm,+npt", "-smp", "2"]);
    command.args([
        "-m",
        MEMORY,
        "-display",
        "none",
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
    ]);
    command.arg("-kernel").arg(image.xen()).args(["-append", XEN]);
    command.arg("-initrd").arg(modules(image)?);
    command.args(["-chardev", "stdio,id=ready,signal=off", "-device", "virtio-serial-pci"]);
    command.args(["-device", "virtserialport,chardev=ready,name=testbed"]);
    command.arg("-drive").arg(option("if=virtio,format=raw,snapshot=on,file=", &image.root())?);
    command.arg("-serial").arg(option("file:", &dir.join(logs::XEN_AND_DOM0))?);
    command.args(["-device", "virtio-rng-pci"]);
    command.args(["-netdev", &format!("user,id=net,hostfwd=tcp:127.0.0.1:{ssh_port}-:22")]);
    command.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    for Share { tag, dir } in shares {
        let share = format!("local,mount_tag={tag},security_model=none,multidevs=remap,path=");
        command.arg("-virtfs").arg(option(&share, dir)?);
    }
    let stderr = File::create(dir.join(logs::QEMU))?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
    // Ctrl-C at the terminal is for the command in Dom0, not for Dom0.
    command.process_group(0);
    Ok(command)
}

/// Dom0's kernel and initrd, as the multiboot modules of Xen.
fn modules(image: &Dom0Image) -> Result<OsString> {
    let mut modules = option("", &image.kernel())?;
    modules.push(format!(" {DOM0},"));
    modules.push(option("", &image.initrd())?);
    Ok(modules)
}

/// `key` and a path as QEMU's option parser wants it: commas doubled.
fn option(key: &str, path: &Path) -> Result<OsString> {
    let path = path.to_str().ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))?;
    Ok(format!("{key}{}", path.replace(',', ",,")).into())
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The next line of `pipe` without its end; `None` at end of file.
fn read_line(pipe: &mut (impl Read + AsFd), deadline: Instant) -> Result<Option<String>> {
    let mut line = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout)?;
        if ready == 0 {
            bail!("Dom0 was not up within {} s", BOOT_TIMEOUT.as_secs());
        }
        let mut byte = [0];
        if pipe.read(&mut byte)? == 0 {
            return Ok(None);
        }
        if byte[0] == b'\n' {
            return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
        }
        line.push(byte[0]);
    }
}

/// Whether QEMU failed to get its port because another process was quicker.
pub fn port_was_taken(dir: &Path) -> bool {
    fs::read_to_string(dir.join(logs::QEMU)).is_ok_and(|log| log.contains("host forwarding"))
}
