//! `vxn backend`: what `vrunner-backend-xen.sh` asks for, and any script may.
//! `docs/vcontainer.md` describes each verb; they are stable.

mod start;

use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::failure::Hint;
use crate::config::Settings;
use crate::container::{Name, sys};
use crate::image::{PullOptions, Store};
use crate::vcontainer::docker::quote;
use crate::vcontainer::front::{self, Link, Stopped};
use crate::vcontainer::message::{Answer, Info, Request};
use crate::vcontainer::{monitor, net, prepare};

/// DomUs that speak vcontainer's console protocol, for vrunner.sh and scripts.
#[derive(Debug, Args)]
pub struct BackendArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Get the image of `docker run …`; print what to start, as shell assignments.
    Prepare {
        /// Where the image is written, as an OCI layout.
        #[arg(long)]
        dir: PathBuf,
        /// The words, as one string.
        command: String,
    },
    /// Start a DomU; print its domid, the pid of its monitor, and its console.
    Start(Box<start::StartArgs>),
    /// Start a DomU with this terminal as its console, and wait for its end.
    Foreground(Box<start::StartArgs>),
    /// Exit 0 if the DomU runs, 1 if it does not.
    Running(Domain),
    /// Show domid, monitor, console, and whether a command runs.
    Info {
        #[command(flatten)]
        domain: Domain,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Wait until the DomU is gone; exit 1 if it is not in time.
    Wait {
        #[command(flatten)]
        domain: Domain,
        /// How long, in seconds; without it for ever.
        #[arg(long)]
        timeout: Option<u64>,
    },
    /// Power the guest off, and destroy the DomU if that does not help.
    Stop(Domain),
    /// Destroy the DomU.
    Destroy(Domain),
    /// Ask the guest to power off, and do not wait.
    Shutdown {
        #[command(flatten)]
        domain: Domain,
        /// Not while a command runs.
        #[arg(long)]
        when_idle: bool,
    },
    /// Exit 0 if the guest answers and is free.
    Ping(Domain),
    /// Print `running`, or `exited` and the code, of the container's process.
    Status(Domain),
    /// Run a command in the guest; its output and its exit code are the verb's.
    Send {
        #[command(flatten)]
        domain: Domain,
        /// How long it may take, in seconds; without it for ever.
        #[arg(long)]
        timeout: Option<u64>,
        /// The command, for the guest's shell.
        command: String,
    },
    /// Run a container in the guest; its output and its exit code are the verb's.
    Run {
        #[command(flatten)]
        domain: Domain,
        /// The disk with the container, attached read-only while it runs.
        #[arg(long)]
        disk: Option<PathBuf>,
        /// How long it may take, in seconds; without it for ever.
        #[arg(long)]
        timeout: Option<u64>,
        /// The command, for a shell in the container; without it the image's own.
        #[arg(default_value = "")]
        command: String,
    },
    /// Lead ports of this host to the guest; print each as docker lists it.
    Forward {
        #[command(flatten)]
        domain: Domain,
        /// As docker writes them: `[IP:]HOST:GUEST[/tcp|udp]`.
        #[arg(required = true)]
        ports: Vec<String>,
    },
    /// Take all of them back.
    Unforward(Domain),
    /// Exit 0 if directories of Dom0 can be shared with guests by 9P here.
    CheckShare,
    /// The process that stays with a DomU.
    #[command(hide = true)]
    Monitor {
        /// File descriptor of the socket to the verb.
        #[arg(long)]
        link: RawFd,
    },
}

#[derive(Debug, Args)]
struct Domain {
    /// Name of the DomU.
    name: Name,
}

/// Runs `vxn backend …`.
pub fn run(args: BackendArgs, settings: &Settings) -> Result<ExitCode> {
    let run = &settings.run.value;
    let find = |domain: &Domain| Link::find(run, &domain.name);
    let open = |domain: &Domain| Link::open(run, &domain.name);
    Ok(match args.verb {
        Verb::Prepare { dir, command } => print_prepared(&dir, &command, settings)?,
        Verb::Start(args) => args.start(settings)?,
        Verb::Foreground(args) => args.foreground(settings)?,
        Verb::Running(domain) => yes_or_no(find(&domain)?.is_some()),
        Verb::Info { domain, json } => print_info(&mut open(&domain)?, json)?,
        Verb::Wait { domain, timeout } => yes_or_no(wait(find(&domain)?, timeout)?),
        Verb::Stop(domain) => {
            stop(run, &domain.name)?;
            ExitCode::SUCCESS
        }
        Verb::Destroy(domain) => {
            front::destroy(run, &domain.name)?;
            ExitCode::SUCCESS
        }
        Verb::Shutdown { domain, when_idle } => {
            open(&domain)?.tell(&Request::Shutdown { when_idle })?;
            ExitCode::SUCCESS
        }
        Verb::Ping(domain) => ask(&mut open(&domain)?, &Request::Ping, None)?,
        Verb::Status(domain) => ask(&mut open(&domain)?, &Request::Status, None)?,
        Verb::Send { domain, timeout, command } => {
            ask(&mut open(&domain)?, &Request::Send { command }, timeout)?
        }
        Verb::Run { domain, disk, timeout, command } => {
            let disk = disk.map(start::present).transpose()?;
            ask(&mut open(&domain)?, &Request::Run { command, disk }, timeout)?
        }
        Verb::Forward { domain, ports } => {
            ask(&mut open(&domain)?, &Request::Forward { ports }, None)?
        }
        Verb::Unforward(domain) => match find(&domain)? {
            Some(mut link) => ask(&mut link, &Request::Unforward, None)?,
            // Its ports went with it.
            None => ExitCode::SUCCESS,
        },
        Verb::CheckShare => start::check_share()?,
        Verb::Monitor { link } => {
            let link = sys::inherited(link).context("started by other verbs, not by hand")?;
            monitor::main(UnixStream::from(link), &net::networks(settings))?;
            ExitCode::SUCCESS
        }
    })
}

/// Whether the DomU is gone in time.
fn wait(link: Option<Link>, timeout: Option<u64>) -> Result<bool> {
    let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    Ok(link.map_or(Ok(true), |mut link| link.wait_end(deadline))?)
}

fn stop(run: &Path, name: &Name) -> Result<()> {
    if front::stop(run, name)? == Stopped::Destroyed {
        eprintln!("vxn: {name} did not power off and was destroyed");
    }
    Ok(())
}

/// Whether the process is a monitor, which has no time for anything else.
pub fn is_monitor(args: &BackendArgs) -> bool {
    matches!(args.verb, Verb::Monitor { .. })
}

fn yes_or_no(yes: bool) -> ExitCode {
    if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints what the guest prints, as it comes, and passes its exit code on.
fn ask(link: &mut Link, request: &Request, timeout: Option<u64>) -> Result<ExitCode> {
    let mut print = |bytes: &[u8]| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    };
    match link.ask(request, timeout.map(Duration::from_secs), &mut print)? {
        Answer::Done(code) => Ok(ExitCode::from(code)),
        Answer::Status(None) => {
            println!("running");
            Ok(ExitCode::SUCCESS)
        }
        Answer::Status(Some(code)) => {
            println!("exited {code}");
            Ok(ExitCode::SUCCESS)
        }
        Answer::Forwards(forwards) => {
            forwards.iter().for_each(|forward| println!("{forward}"));
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("the monitor gave an answer to another question: {other:?}"),
    }
}

fn print_info(link: &mut Link, json: bool) -> Result<ExitCode> {
    let Answer::Info(info) = link.tell(&Request::Info)? else {
        bail!("the monitor gave an answer to another question");
    };
    if json {
        println!("{}", serde_json::to_string(&info)?);
    } else {
        print!("{}", lines(&info));
        println!("busy={}", info.busy);
    }
    Ok(ExitCode::SUCCESS)
}

/// What `start` prints, and `info` begins with.
fn lines(info: &Info) -> String {
    let addresses: String = info.addresses.iter().map(|ip| format!("address={ip}\n")).collect();
    format!("domid={}\npid={}\ntty={}\n{addresses}", info.domid, info.pid, info.tty.display())
}

fn print_prepared(dir: &Path, words: &str, settings: &Settings) -> Result<ExitCode> {
    let store = Store::open(&settings.root.value)?;
    let from = (&store, settings.registry.value.as_str());
    let pull = PullOptions::default();
    let mut progress = |step| tracing::info!("{step:?}");
    let Some(prepared) = prepare::prepare(words, dir, from, &pull, &mut progress)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let assign = |name: &str, value: &str| println!("{name}={}", quote(value));
    assign("INPUT_PATH", dir.to_str().context("the directory's name is not UTF-8")?);
    assign("INPUT_TYPE", "oci");
    if let Some(command) = &prepared.command {
        assign("DOCKER_CMD", command);
    }
    if let Some(memory) = prepared.memory {
        assign("VXN_MEMORY", &memory.kib().div_ceil(1024).to_string());
    }
    if let Some(cpus) = prepared.cpus {
        assign("VXN_VCPUS", &cpus.to_string());
    }
    if !prepared.ignored.is_empty() {
        let ignored = prepared.ignored.join(" ");
        eprintln!("vxn: these guests cannot follow {ignored}; `vxn run` can do more");
    }
    Ok(ExitCode::SUCCESS)
}

/// A hint that goes along.
fn hinted(error: front::Error) -> anyhow::Error {
    let hint = error.hint();
    let error = anyhow::Error::from(error);
    match hint {
        Some(hint) => error.context(Hint(hint)),
        None => error,
    }
}
