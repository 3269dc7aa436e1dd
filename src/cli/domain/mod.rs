//! `vxn domain`: the plain toolstack verbs, as xl has them.

mod block;
pub(super) mod console;
mod create;
mod list;
mod monitor;
mod name;
mod plan;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::config::Settings;
use crate::libxl::{Ctx, DomId, DomainInfo, EventKind};
use crate::xenstore::Xenstore;

/// Manage domains directly, without containers.
#[derive(Debug, Args)]
pub struct DomainArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List domains.
    List {
        /// Only these: names or ids.
        domains: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Create a domain from a configuration file in xl's format.
    Create(create::CreateArgs),
    /// Destroy domains at once.
    Destroy(Domains),
    /// Stop the CPUs of domains.
    Pause(Domains),
    /// Let paused domains run.
    Unpause(Domains),
    /// Ask domains to power off.
    Shutdown {
        #[command(flatten)]
        domains: Domains,
        /// Wait until they have.
        #[arg(short, long)]
        wait: bool,
    },
    /// Attach this terminal to the console of a domain; Ctrl-] leaves.
    Console {
        /// Name or id.
        domain: String,
    },
    /// Attach a disk to a domain.
    BlockAttach {
        /// Name or id.
        domain: String,
        /// As in the configuration file: `/dev/vg/a,raw,xvdb,w` or
        /// `vdev=xvdb,access=r,target=/srv/a.img`.
        #[arg(required = true)]
        disk: Vec<std::ffi::OsString>,
    },
    /// Detach a disk from a domain.
    BlockDetach {
        /// Name or id.
        domain: String,
        /// What the domain calls it, for instance xvdb.
        vdev: String,
    },
    /// List the disks of domains.
    BlockList {
        /// Names or ids.
        #[arg(required = true)]
        domains: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The process that stays with a domain made by `create`.
    #[command(hide = true)]
    Monitor,
}

#[derive(Debug, Args)]
struct Domains {
    /// Names or ids.
    #[arg(required = true)]
    domains: Vec<String>,
}

/// Runs `vxn domain …`.
pub fn run(args: DomainArgs, settings: &Settings) -> Result<ExitCode> {
    match args.verb {
        Verb::List { domains, json } => list(&domains, json)?,
        Verb::Create(args) => return create::run(&args, settings),
        Verb::Monitor => monitor::run()?,
        Verb::Destroy(Domains { domains }) => {
            let ctx = Ctx::open()?;
            domains
                .iter()
                .try_for_each(|wanted| name::destroy(&ctx, &settings.run.value, wanted))?;
        }
        Verb::Pause(these) => each(&these, Ctx::pause)?,
        Verb::Unpause(these) => each(&these, Ctx::unpause)?,
        Verb::Shutdown { domains, wait } => shutdown(&domains, wait)?,
        Verb::Console { domain } => {
            let domid = guest(&Ctx::open()?, &domain)?;
            return console::attach(&Xenstore::open()?, domid);
        }
        Verb::BlockAttach { domain, disk } => {
            block::attach(&domain, &disk, &settings.hotplug.value)?
        }
        Verb::BlockDetach { domain, vdev } => block::detach(&domain, &vdev)?,
        Verb::BlockList { domains, json } => block::list(&domains, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(names: &[String], json: bool) -> Result<()> {
    let ctx = Ctx::open()?;
    let domains = match names {
        [] => ctx.list()?,
        names => names.iter().map(|name| find(&ctx, name)).collect::<Result<_>>()?,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&domains)?);
    } else {
        print!("{}", list::table(&domains));
    }
    Ok(())
}

/// Does `action` to each of the guests; the first failure ends it.
fn each(these: &Domains, action: impl Fn(&Ctx, DomId) -> crate::libxl::Result<()>) -> Result<()> {
    let ctx = Ctx::open()?;
    for name in &these.domains {
        action(&ctx, guest(&ctx, name)?)?;
    }
    Ok(())
}

fn shutdown(these: &Domains, wait: bool) -> Result<()> {
    let ctx = Ctx::open()?;
    let mut watches = Vec::new();
    for name in &these.domains {
        let domid = guest(&ctx, name)?;
        if wait {
            watches.push((domid, ctx.watch_death(domid)?));
        }
        ctx.shutdown(domid)?;
    }
    while !watches.is_empty() {
        if let Some(event) = ctx.wait_event(None)? {
            match event.kind {
                EventKind::Shutdown(_) | EventKind::Death => {
                    watches.retain(|(domid, _)| *domid != event.domid);
                }
            }
        }
    }
    Ok(())
}

/// The domain of that name or, if it is a number, id.
fn find(ctx: &Ctx, name: &str) -> Result<DomainInfo> {
    let found = match name.parse() {
        Ok(domid) => ctx.info(domid)?,
        Err(_) => ctx.info_by_name(name)?,
    };
    match found {
        Some(info) => Ok(info),
        None => bail!("there is no domain {name}"),
    }
}

/// The same, for verbs that one should not try on Dom0.
fn guest(ctx: &Ctx, name: &str) -> Result<DomId> {
    let domid = find(ctx, name)?.domid;
    if domid.0 == 0 {
        bail!("{name} is Dom0, not a guest");
    }
    Ok(domid)
}
