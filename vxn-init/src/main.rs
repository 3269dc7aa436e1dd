//! PID 1 of a vxn DomU; see the library for the whole story.

use std::process::ExitCode;

use nix::{
    sys::{
        reboot::{RebootMode, reboot},
        utsname::uname,
    },
    unistd::sync,
};
use vxn_init::{
    Error, Result,
    boot::{Dom0, boot},
    channel::{Channel, Transport},
    configure,
    disk::Disks,
    modules::Modules,
    network::Nics,
    session::Session,
};

/// PID 1 that returns makes the kernel panic, and that makes the DomU crash:
/// this is how Dom0 learns that the guest has failed.
fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("vxn-init is the first process of a vxn DomU, nothing else");
        return ExitCode::FAILURE;
    }
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("vxn-init: {panic}");
        std::process::exit(1);
    }));
    let Err(error) = run();
    eprintln!("vxn-init: {error}");
    ExitCode::FAILURE
}

/// The life of a guest; returns only when it fails.
fn run() -> Result<std::convert::Infallible> {
    let (mut modules, disks) = boot()?;
    let mut channel = Channel::new(Dom0::connect()?);
    if let Err(error) = serve(&mut channel, &mut modules, disks) {
        channel.fail(&error);
        return Err(error);
    }
    sync();
    reboot(RebootMode::RB_POWER_OFF)
        .map_err(|error| Error::Other(format!("cannot power off: {error}")))
}

/// Does what the host says until it says stop or is gone.
fn serve<T: Transport>(
    channel: &mut Channel<T>,
    modules: &mut Modules,
    disks: Disks,
) -> Result<()> {
    let name = uname().map_err(|error| Error::Other(format!("cannot read uname: {error}")))?;
    channel.hello(&name.release().to_string_lossy())?;
    let Some(configure) = channel.configuration()? else { return Ok(()) };
    let nics = Nics::find(modules)?;
    let container = configure::apply(&configure, modules, disks)?;
    channel.configured()?;
    Session::new(channel, container, nics, modules)?.run().map(drop)
}
