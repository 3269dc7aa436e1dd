//! `cargo xtask demo`: a container's output that came from a DomU.

use std::process::ExitCode;

use anyhow::{Result, bail};
use testbed::{Dom0, Options};

use crate::artifacts;

/// What is shown: the last one's output is the point.
const COMMANDS: [&[&str]; 3] = [
    &["vxn", "info"],
    &["vxn", "run", "--rm", BUSYBOX, "uname", "-a"],
    &["vxn", "run", "--rm", BUSYBOX, "echo", "Hello from a container that is a Xen DomU."],
];
const BUSYBOX: &str = "oci:/srv/images/busybox";

/// Boots, and runs the commands.
pub fn run() -> Result<ExitCode> {
    let artifacts = artifacts::make()?;
    eprintln!("xtask: booting Xen and Dom0 in QEMU");
    let dom0 = Dom0::boot(&Options {
        name: "demo".to_owned(),
        install: Some(artifacts.install.dir().to_owned()),
        images: Some(artifacts.images),
        share: None,
    })?;
    for command in COMMANDS {
        eprintln!("dom0# {}", command.join(" "));
        let output = dom0.command(command.iter().copied()).spawn_inherited()?.wait()?;
        if output.code != 0 {
            bail!("{output}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
