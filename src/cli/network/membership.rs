//! `vxn network connect` and `disconnect`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::super::engine::Engine;
use super::super::network_flags::host_name;
use crate::config::Settings;
use crate::container::control::{Departure, ToMonitor};
use crate::container::definition::Definition;
use crate::container::network::{Membership, NetworkSpec, owner_name};
use crate::container::{journal, news};
use crate::network::Result;

/// Arguments of `vxn network connect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn network connect backend web\n  \
    vxn network connect --ip 10.145.0.9 --alias db backend web")]
pub struct ConnectArgs {
    /// Name of the network.
    network: String,
    /// Name or id of the container.
    container: String,
    /// Its IPv4 address on the network.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// Its IPv6 address on the network.
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// Another name by which containers on the network find it.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    alias: Vec<String>,
}

/// Arguments of `vxn network disconnect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn network disconnect backend web\n  \
    vxn network disconnect -f backend web")]
pub struct DisconnectArgs {
    /// Name of the network.
    network: String,
    /// Name or id of the container.
    container: String,
    /// Do not wait for the guest to let go of its interface; it may be paused.
    #[arg(short, long)]
    force: bool,
}

/// Puts a container on a network.
pub fn connect(args: ConnectArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("network connect", settings)?;
    let definition = engine.store.find(&args.container)?;
    let owner = owner_name(definition.name.as_str());
    let network = settings.networks().find(&args.network)?;
    let asked = [args.ip.map(IpAddr::V4), args.ip6.map(IpAddr::V6)];
    asked.into_iter().flatten().try_for_each(|ip| network.check_address(ip))?;
    let membership = Membership {
        network: network.name.clone(),
        ip: args.ip,
        ip6: args.ip6,
        mac: None,
        aliases: args.alias,
    };
    let message = ToMonitor::Connect(membership.clone());
    let on = |spec: &mut NetworkSpec| spec.connect(&owner, membership.clone());
    change(&engine, &definition, &message, on)
        .with_context(|| format!("cannot connect {owner} to network {}", network.name))?;
    news::tell_network(engine.store.root(), &definition, "connect", &network.name);
    Ok(ExitCode::SUCCESS)
}

/// Takes a container off a network, which need not exist any more.
pub fn disconnect(args: &DisconnectArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("network disconnect", settings)?;
    let definition = engine.store.find(&args.container)?;
    let owner = owner_name(definition.name.as_str());
    let DisconnectArgs { network, force, .. } = args;
    let message = ToMonitor::Disconnect(Departure { network: network.clone(), force: *force });
    change(&engine, &definition, &message, |spec| spec.disconnect(&owner, network))
        .with_context(|| format!("cannot disconnect {owner} from network {network}"))?;
    news::tell_network(engine.store.root(), &definition, "disconnect", network);
    Ok(ExitCode::SUCCESS)
}

/// Changes the networks of a container: those of its DomU, if it runs, and those that
/// it has from its next start on.
fn change(
    engine: &Engine,
    definition: &Definition,
    message: &ToMonitor,
    change: impl Fn(&mut NetworkSpec) -> Result<()>,
) -> anyhow::Result<()> {
    // What cannot be is refused before the guest hears of it.
    change(&mut definition.network.clone())?;
    let write = || engine.store.change(&definition.id, |new| anyhow::Ok(change(&mut new.network)?));
    match engine.take(definition) {
        Ok(entry) => {
            write()?;
            Ok(entry.remove()?)
        }
        Err(journal::Error::Busy(_)) => {
            engine.ask(definition, message)?;
            write()
        }
        Err(e) => Err(e.into()),
    }
}
