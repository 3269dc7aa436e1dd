//! `cargo xtask dom0`: one command, or a shell, in a fresh Dom0.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::{Dom0, Options, dom0_image};

use crate::artifacts;
use crate::signals::Signals;

/// Longer than anyone waits.
const NO_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Arguments of `cargo xtask dom0`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A directory of this machine that Dom0 sees, writable, at /mnt/share.
    #[arg(long, value_name = "DIR")]
    share: Option<PathBuf>,
    /// Debian's release in Dom0.
    #[arg(long, default_value = dom0_image::SUITE)]
    suite: String,
    /// The architecture of Dom0.
    #[arg(long, default_value = dom0_image::ARCH)]
    arch: String,
    /// The command to run in Dom0, with its arguments; a shell if there is none.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Boots, runs the command, and returns its exit code.
pub fn run(args: Args) -> Result<ExitCode> {
    check_supported("suite", &args.suite, dom0_image::SUITE)?;
    check_supported("arch", &args.arch, dom0_image::ARCH)?;
    let share = args
        .share
        .map(|dir| dir.canonicalize().with_context(|| format!("cannot share {}", dir.display())));
    let share = share.transpose()?;
    let signals = Signals::take_over()?;
    let artifacts = artifacts::make()?;
    let options = Options {
        name: "dom0".to_owned(),
        install: Some(artifacts.install.dir().to_owned()),
        images: Some(artifacts.images),
        share,
    };
    eprintln!("xtask: booting Xen and Dom0 in QEMU");
    let dom0 = Dom0::boot(&options)?;
    eprintln!("xtask: Dom0 is up; consoles and logs are in {}", dom0.logs().display());
    let code = if args.command.is_empty() {
        dom0.login()?
    } else {
        run_command(&dom0, args.command, &signals)?
    };
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn check_supported(what: &str, asked: &str, supported: &str) -> Result<()> {
    if asked != supported {
        bail!("--{what} {asked} is not supported; supported: {supported}");
    }
    Ok(())
}

/// Runs `command` with our stdin, stdout, stderr and signals; returns its exit code.
fn run_command(dom0: &Dom0, command: Vec<OsString>, signals: &Signals) -> Result<i32> {
    let mut running = dom0.command(command).timeout(NO_TIMEOUT).spawn_inherited()?;
    let pid = running.pid;
    let stdin = running.stdin.take();
    // Not joined: a read of our stdin may never return.
    thread::spawn(move || stdin.map(|mut stdin| io::copy(&mut io::stdin(), &mut stdin)));
    let received = signals.receive();
    thread::scope(|scope| {
        scope.spawn(|| {
            for signal in received {
                // The command may have ended meanwhile.
                let _ = dom0.kill(pid, signal as i32);
            }
        });
        let output = running.wait();
        signals.stop();
        Ok(output?.code)
    })
}
