//! The command line: one file per verb.

mod alias;
mod archive_output;
mod backend;
mod check;
mod cidfile;
mod commit;
mod completion;
mod confirm;
mod console;
mod cp;
mod create;
mod devices;
mod diff;
#[cfg(test)]
mod docker_flags;
mod domain;
pub mod domain_config;
mod engine;
mod env;
mod events;
mod exec;
mod export;
mod failure;
mod files;
mod format;
mod health_flags;
mod image;
mod info;
mod inspect;
mod labels;
mod limits;
mod logs;
mod monitor;
mod mount_flags;
mod mounts;
mod network;
mod network_flags;
mod oci;
mod port;
mod prepare;
mod privileges;
mod ps;
mod refused;
mod rm;
mod root_disk;
mod run;
mod spec;
mod start;
mod stats;
mod stop;
mod system;
mod top;
mod update;
mod vconfig;
mod volume;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::Settings;
use crate::container::reap;
use crate::container::report::ENGINE_FAILED;
use crate::vcontainer;
use failure::Failure;

/// Run OCI containers as Xen DomUs, and drive DomUs without xl.
#[derive(Debug, Parser)]
#[command(name = "vxn", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    /// Say more: -v what vxn does, -vv also what libxl says. It comes before the
    /// verb: behind it, -v is docker's.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

/// The verbs, by what they need.
#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Verb(Box<Verb>),
    #[command(flatten)]
    Alone(Alone),
}

/// The verbs. What a verb takes is put together when it is the one that is said: all
/// of them would be half of what a command takes to start. So their descriptions are here.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Verb {
    /// Run a command in a new container, which is a DomU of its own.
    Run(Box<run::RunArgs>),
    /// Create a container without starting it, and print its id.
    Create(Box<create::CreateArgs>),
    /// Start containers that have ended, or have not run yet.
    Start(start::StartArgs),
    /// Stop containers: their stop signal first, the kill when that does not do.
    Stop(stop::StopArgs),
    /// Stop containers and start them again.
    Restart(stop::StopArgs),
    /// Send a signal to the main process of containers.
    Kill(stop::KillArgs),
    /// Stop the CPUs of containers.
    Pause(engine::Names),
    /// Let paused containers go on.
    Unpause(engine::Names),
    /// Wait for containers to end, and print their exit codes.
    Wait(engine::Names),
    /// Remove containers and all that they have written.
    Rm(rm::RmArgs),
    /// Give a container another name, and its DomU.
    Rename(rm::RenameArgs),
    /// Change the limits of containers, whether they run or not.
    Update(update::UpdateArgs),
    /// List containers.
    Ps(ps::PsArgs),
    /// List the published ports of a container that runs.
    Port(port::PortArgs),
    /// Show all there is to know of containers and images, as JSON.
    Inspect(inspect::InspectArgs),
    /// Show what a container has said, also when it has ended.
    Logs(logs::LogsArgs),
    /// Show the processes of a container.
    Top(top::TopArgs),
    /// Show what containers take of the host and of their guests, second by second.
    Stats(stats::StatsArgs),
    /// Show what happens to containers, images, volumes and networks, as it happens.
    Events(events::EventsArgs),
    /// Show the log of a container's kernel: what is kept, and then what comes.
    Console(console::ConsoleArgs),
    /// Run another command in a container that runs.
    Exec(exec::ExecArgs),
    /// Stay with a container that runs: its output, its stdin, its exit code.
    Attach(exec::AttachArgs),
    /// Copy files between a container, running or not, and this host.
    Cp(cp::CpArgs),
    /// Write the root file system of a container as a tar archive.
    Export(export::ExportArgs),
    /// List what a container has changed of its image.
    Diff(diff::DiffArgs),
    /// Make an image of what a container has changed of its own.
    Commit(commit::CommitArgs),
    /// Drive domains directly, as xl does.
    Domain(domain::DomainArgs),
    /// Manage the networks that containers are on.
    Network(network::NetworkArgs),
    /// Manage volumes.
    Volume(volume::VolumeArgs),
    /// DomUs that speak vcontainer's console protocol, for vrunner.sh and scripts.
    Backend(backend::BackendArgs),
    /// Be an OCI runtime, as runc is: for podman, containerd and docker.
    Oci(oci::OciArgs),
    /// Say what this host lacks to run containers as Xen DomUs, and how to get it.
    Check(check::CheckArgs),
    /// Show versions, the host, and the settings with where each came from.
    Info(info::InfoArgs),
    #[command(flatten)]
    Image(image::Verb),
    /// Look after what vxn keeps on disk.
    #[command(subcommand)]
    System(system::SystemVerb),
    #[command(hide = true)]
    Vconfig(vconfig::VconfigArgs),
    #[command(hide = true, subcommand)]
    Vstorage(vconfig::VstorageVerb),
}

/// Those that need neither settings nor root, and clear up after nobody.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Alone {
    /// Write a shell's completions of vxn to stdout.
    Completion(completion::CompletionArgs),
    /// Write the man pages of vxn and its verbs.
    Man(completion::ManArgs),
    #[command(hide = true)]
    Monitor(monitor::MonitorArgs),
}

impl Command {
    /// The exit code of vxn's own failures: docker's.
    fn failure_code(&self) -> u8 {
        match self {
            Command::Verb(verb) if matches!(**verb, Verb::Run(_)) => ENGINE_FAILED,
            Command::Alone(Alone::Monitor(_)) => ENGINE_FAILED,
            _ => 1,
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if oci::is_asked_for(&args) {
        return oci::main(args);
    }
    let (args, hint) = alias::rewrite(args);
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    log_to_stderr(cli.verbose);
    let code = cli.command.failure_code();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(e) => Failure::from(e).print(code),
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let verb = match command {
        Command::Alone(Alone::Monitor(args)) => return monitor::run(&args),
        Command::Alone(Alone::Completion(args)) => return completion::completion(&args),
        Command::Alone(Alone::Man(args)) => return completion::man(&args),
        Command::Verb(verb) => *verb,
    };
    let settings = Settings::load()?;
    // The monitors are started by a command that has cleared up.
    if !matches!(&verb, Verb::Backend(args) if backend::is_monitor(args)) {
        clear_up(&settings);
    }
    execute(verb, &settings)
}

fn execute(verb: Verb, settings: &Settings) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Run(args) => run::run(*args, settings),
        Verb::Create(args) => create::run(*args, settings),
        Verb::Start(args) => start::run(args, settings),
        Verb::Stop(args) => stop::stop(&args, settings),
        Verb::Restart(args) => stop::restart(&args, settings),
        Verb::Kill(args) => stop::kill(&args, settings),
        Verb::Pause(names) => stop::pause(&names, settings),
        Verb::Unpause(names) => stop::unpause(&names, settings),
        Verb::Wait(names) => stop::wait(&names, settings),
        Verb::Rm(args) => rm::rm(&args, settings),
        Verb::Rename(args) => rm::rename(&args, settings),
        Verb::Update(args) => update::run(&args, settings),
        Verb::Ps(args) => ps::run(&args, settings),
        Verb::Port(args) => port::run(&args, settings),
        Verb::Inspect(args) => inspect::run(&args, settings),
        Verb::Logs(args) => logs::run(&args, settings),
        Verb::Top(args) => top::run(&args, settings),
        Verb::Stats(args) => stats::run(&args, settings),
        Verb::Events(args) => events::run(&args, settings),
        Verb::Console(args) => console::run(args, settings),
        Verb::Exec(args) => exec::exec(args, settings),
        Verb::Attach(args) => exec::attach(args, settings),
        Verb::Cp(args) => cp::run(&args, settings),
        Verb::Export(args) => export::run(&args, settings),
        Verb::Diff(args) => diff::run(&args, settings),
        Verb::Commit(args) => commit::run(&args, settings),
        Verb::Domain(args) => domain::run(args, settings),
        Verb::Network(args) => network::run(args, settings),
        Verb::Volume(args) => volume::run(args, settings),
        Verb::Backend(args) => backend::run(args, settings),
        Verb::Oci(args) => Ok(oci::run(args, settings)),
        Verb::Check(args) => check::run(&args, settings),
        Verb::Info(args) => info::run(&args, settings),
        Verb::Image(verb) => image::run(verb, settings),
        Verb::System(verb) => system::run(verb, settings),
        Verb::Vconfig(args) => vconfig::run(&args, settings),
        Verb::Vstorage(verb) => Ok(vconfig::storage(&verb, settings)),
    }
}

/// Removes what killed commands left; a few directory listings when they left
/// nothing. A failure is no reason not to do what was asked for.
fn clear_up(settings: &Settings) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (root, run) = (&settings.root.value, &settings.run.value);
    let cleared = reap::abandoned(run)
        .and_then(|_| vcontainer::clear_up(run))
        .and_then(|()| reap::after_boot(root, run))
        .and_then(|()| reap::leftovers(root))
        .and_then(|()| crate::oci::clear_up(root, run));
    if let Err(e) = cleared {
        tracing::warn!("cannot remove what a killed vxn left: {e}");
    }
}

/// Help goes to stdout; a mistake is answered with clap's words, and with
/// docker's code where docker has one.
fn usage(e: &clap::Error) -> ExitCode {
    // Nothing is left to tell the user when the terminal itself is gone.
    let _ = e.print();
    let verb = std::env::args_os().skip(1).find(|a| !a.as_encoded_bytes().starts_with(b"-"));
    match (e.use_stderr(), verb) {
        (false, _) => ExitCode::SUCCESS,
        (true, Some(verb)) if verb == "run" => ExitCode::from(ENGINE_FAILED),
        (true, _) => ExitCode::from(2),
    }
}

/// `VXN_LOG` takes tracing's filter words and beats `-v`.
fn log_to_stderr(verbose: u8) {
    let default = match verbose {
        0 => "warn,libxl=off",
        1 => "vxn=info,libxl=off",
        _ => "vxn=debug,libxl=debug",
    };
    let filter = EnvFilter::try_from_env("VXN_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let stderr = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    stderr.with_target(false).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_verb_is_described() {
        Cli::command().debug_assert();
        let listed = Cli::command();
        for verb in listed.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            assert!(verb.get_arguments().next().is_none(), "{} is put together", verb.get_name());
        }
    }
}
