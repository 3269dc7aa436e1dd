//! `vxn domain create`: reads the configuration, prepares the kernel, and leaves
//! the rest to a monitor of the domain's own (see `monitor`).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use super::monitor::{Ends, Order, Report};
use super::{console, plan};
use crate::cli::domain_config::{self, DomainFile, MAX_SIZE};
use crate::config::Settings;
use crate::xenstore::Xenstore;
use crate::{kernel, tool};

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The configuration file, in xl's format.
    file: PathBuf,
    /// More lines for it, which win: `memory=512` or `'name="web"'`.
    settings: Vec<OsString>,
    /// Leave the domain paused.
    #[arg(short, long)]
    paused: bool,
    /// Attach this terminal to its console.
    #[arg(short, long)]
    console: bool,
    /// Print what was created as JSON.
    #[arg(long, conflicts_with = "console")]
    json: bool,
}

/// Where Xen's toolstacks keep their logs.
const LOGS: &str = "/var/log/xen";

pub fn run(args: &CreateArgs, settings: &Settings) -> Result<ExitCode> {
    let file = read(args)?;
    let ends = Ends { poweroff: file.on_poweroff, reboot: file.on_reboot, crash: file.on_crash };
    let kernel = kernel::prepare(&file.kernel, &settings.kernels(), &settings.tmp())?;
    let config = plan::domain(file, kernel, &settings.hotplug.value)?;
    let name = config.name.clone();
    let (hotplug, run) = (settings.hotplug.value.clone(), settings.run.value.clone());
    let order = Order { config, ends, hotplug, run, paused: args.paused };
    let (domid, uuid) = match start_monitor(&order)? {
        Report::Created { domid, uuid } => (domid, uuid),
        Report::Failed(failure) => return Ok(failure.print(1)),
    };
    if args.console {
        return console::attach(&Xenstore::open()?, domid);
    }
    if args.json {
        let made = serde_json::json!({ "domid": domid, "uuid": uuid, "name": name });
        println!("{made}");
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: &CreateArgs) -> Result<DomainFile> {
    let name = args.file.display().to_string();
    let mut text = Vec::new();
    File::open(&args.file)
        .and_then(|file| file.take(MAX_SIZE as u64 + 1).read_to_end(&mut text))
        .with_context(|| format!("cannot read {name}"))?;
    let settings: Vec<Vec<u8>> =
        args.settings.iter().map(|setting| setting.as_bytes().to_vec()).collect();
    Ok(domain_config::parse(&name, &text, &settings)?)
}

/// Starts this program again as the monitor, and waits for its report.
fn start_monitor(order: &Order) -> Result<Report> {
    let log = Path::new(LOGS).join(format!("vxn-{}.log", order.config.name));
    let mut child = tool::this_program()?
        .args(["--verbose", "domain", "monitor"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(open_log(&log)?)
        .spawn()
        .context("cannot start the monitor of the domain")?;
    let order = serde_json::to_vec(order)?;
    let mut answer = Vec::new();
    // A monitor that dies early says so by an empty answer.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(&order);
    }
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut answer).context("cannot read the monitor's report")?;
    }
    serde_json::from_slice(&answer).with_context(|| {
        format!("the monitor of the domain ended without a report, see {}", log.display())
    })
}

fn open_log(path: &Path) -> Result<File> {
    fs::create_dir_all(LOGS)
        .and_then(|()| OpenOptions::new().append(true).create(true).mode(0o640).open(path))
        .with_context(|| format!("cannot open the log {}", path.display()))
}
