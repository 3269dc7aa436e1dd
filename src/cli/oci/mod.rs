//! The OCI runtime's command line, runc's: `vxn oci`, or this binary under the name
//! `vxn-oci-runtime`. One file for each step of a container's life.

mod create;
mod events;
mod exec;
mod finish;
mod info;
mod log;
mod start;
mod update;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

use super::engine::{Engine, need_root};
use super::failure::Failure;
use crate::config::Settings;
use crate::container::failure_log::FailureLog;
use crate::container::store::Containers;
use crate::oci;
use crate::oci::state::{Record, States};

/// The name under which this binary is an OCI runtime.
const NAME: &str = "vxn-oci-runtime";

/// Run OCI bundles as Xen DomUs, with runc's command line.
#[derive(Debug, Parser)]
#[command(name = NAME, disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    args: OciArgs,
}

/// Be an OCI runtime, as runc is: for podman, containerd and docker.
#[derive(Debug, Args)]
#[command(
    subcommand_required = false,
    arg_required_else_help = true,
    after_help = "Examples:\n  vxn bundle alpine /tmp/b -- echo hello && vxn oci run -b /tmp/b hello\n  \
                  podman --runtime /usr/bin/vxn-oci-runtime run alpine echo hello"
)]
pub struct OciArgs {
    /// Where the state of the caller's containers is kept; /run/vxn/oci if not said.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Write the error of a command that fails to this file too.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How the error is written there.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: log::Format,
    /// Say what is done on stderr.
    #[arg(long)]
    debug: bool,
    /// linux.cgroupsPath is systemd's slice:prefix:name: the process that stands for the
    /// container stays in its caller's group.
    #[arg(long)]
    systemd_cgroup: bool,
    /// Print versions.
    #[arg(long, short = 'v')]
    version: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a container from a bundle; its process waits to be started.
    Create(create::CreateArgs),
    /// Start the process of a container that was created.
    Start(start::Id),
    /// Create a container, start it, and stay with it to its end.
    Run(create::RunArgs),
    /// Print how a container is, as JSON.
    State(start::Id),
    /// Send a signal to the process of a container.
    Kill(finish::KillArgs),
    /// Remove what is left of a container that has ended.
    Delete(finish::DeleteArgs),
    /// Run another process in a container.
    Exec(exec::ExecArgs),
    /// List the containers below the root.
    List(info::ListArgs),
    /// List what stands for a container on this host.
    Ps(info::PsArgs),
    /// Stop the CPUs of a container.
    Pause(start::Id),
    /// Let a paused container go on.
    Resume(start::Id),
    /// Write the configuration of a new bundle.
    Spec(info::SpecArgs),
    /// Print what this runtime can do, as JSON.
    Features,
    /// Not supported.
    #[command(hide = true)]
    Checkpoint(Words),
    /// Not supported.
    #[command(hide = true)]
    Restore(Words),
    /// Change the limits of a container.
    Update(update::UpdateArgs),
    /// Print what a container takes, as JSON.
    Events(events::EventsArgs),
    /// Show the log of a container's kernel.
    Logs(events::LogsArgs),
    #[command(hide = true)]
    Attend(exec::AttendArgs),
}

/// Whatever is said to a verb that does nothing.
#[derive(Debug, Args)]
struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

/// Where the caller's containers are, and the engine's.
struct Runtime<'a> {
    settings: &'a Settings,
    states: States,
    systemd: bool,
    log: Option<&'a FailureLog>,
}

impl Runtime<'_> {
    /// Where monitors are found.
    fn run(&self) -> &Path {
        &self.settings.run.value
    }

    /// The engine's view of the callers' containers.
    fn engine(&self) -> Engine {
        let store = Containers::new(&oci::store(&self.settings.root.value));
        Engine { store, run: self.run().to_owned() }
    }

    /// The container `id`.
    fn find(&self, id: &str) -> Result<Record> {
        Ok(self.states.find(id)?)
    }
}

/// Whether `args` are those of an OCI runtime by its name.
pub fn is_asked_for(args: &[OsString]) -> bool {
    let name = args.first().and_then(|arg| Path::new(arg).file_name());
    name.is_some_and(|name| name == NAME)
}

/// The OCI runtime under its own name.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let args = match Cli::try_parse_from(args) {
        Ok(cli) => cli.args,
        Err(e) => {
            // Nothing is left to tell the caller when its stderr is gone.
            let _ = e.print();
            return ExitCode::from(u8::from(e.use_stderr()));
        }
    };
    super::log_to_stderr(u8::from(args.debug));
    match Settings::load() {
        Ok(settings) => {
            super::clear_up(&settings);
            run(args, &settings)
        }
        Err(e) => log::fail(log::of(&args).as_ref(), &Failure::from(anyhow::Error::from(e))),
    }
}

/// Does what is asked for. A failure is told on stderr and in the log.
pub fn run(args: OciArgs, settings: &Settings) -> ExitCode {
    let log = log::of(&args);
    let done = dispatch(args, log.as_ref(), settings);
    done.unwrap_or_else(|e| log::fail(log.as_ref(), &Failure::from(e)))
}

fn dispatch(args: OciArgs, log: Option<&FailureLog>, settings: &Settings) -> Result<ExitCode> {
    let Some(verb) = args.verb.filter(|_| !args.version) else { return info::version() };
    if !matches!(verb, Verb::Spec(_) | Verb::Features | Verb::Attend(_)) {
        need_root("oci")?;
    }
    let root = args.root.unwrap_or_else(|| settings.run.value.join("oci"));
    let states = States::new(&root);
    let runtime = Runtime { settings, states, systemd: args.systemd_cgroup, log };
    match verb {
        Verb::Create(args) => create::create(&args, &runtime),
        Verb::Run(args) => create::run(&args, &runtime),
        Verb::Start(id) => start::start(&id, &runtime),
        Verb::Pause(id) => start::pause(&id, &runtime),
        Verb::Resume(id) => start::resume(&id, &runtime),
        Verb::Kill(args) => finish::kill(&args, &runtime),
        Verb::Delete(args) => finish::delete(&args, &runtime),
        Verb::Exec(args) => exec::exec(&args, &runtime),
        Verb::State(id) => info::state(&id, &runtime),
        Verb::List(args) => info::list(&args, &runtime),
        Verb::Ps(args) => info::ps(&args, &runtime),
        Verb::Checkpoint(_) | Verb::Restore(_) => {
            bail!("checkpoint and restore are not supported: a DomU's memory is not saved")
        }
        Verb::Update(args) => update::update(&args, &runtime),
        Verb::Events(args) => events::events(&args, &runtime),
        Verb::Logs(args) => events::logs(&args, &runtime),
        Verb::Spec(args) => info::spec(&args),
        Verb::Features => info::features(),
        Verb::Attend(args) => exec::attend(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn callers_are_understood() {
        Cli::command().debug_assert();
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.args);
        for line in [
            "vxn-oci-runtime --version",
            "r --systemd-cgroup --log-format=json --log L create --bundle B --pid-file P \
             --no-pivot --no-new-keyring --preserve-fds 0 --console-socket S ID",
            "r start ID",
            "r kill --all ID 9",
            "r kill ID SIGTERM",
            "r delete --force ID",
            "r --root R --log L --log-format json exec --process F --detach --pid-file P ID",
            "r exec -t --cwd / -e A=1 -u 0:0 ID sh -c x",
            "r ps --format json ID",
            "r list -f json",
            "r update --resources=- ID",
            "r update --memory 64M --cpu-quota -1 --pids-limit 9 ID",
            "r events --stats ID",
            "r events --interval 1s ID",
            "r logs -f ID",
            "r checkpoint --image-path x ID",
        ] {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(parse(&line).is_ok(), "{line}: {:?}", parse(&line).err());
        }
        assert!(parse("r create --unknown ID").is_err());
    }

    #[test]
    fn a_name_makes_the_runtime() {
        assert!(is_asked_for(&["/usr/bin/vxn-oci-runtime".into()]));
        assert!(!is_asked_for(&["vxn".into(), "oci".into()]));
    }
}
