//! `vxn network ls` and `inspect`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use comfy_table::{Table, presets};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::super::failure::Failure;
use crate::network::{Lease, Network, Networks};

/// Arguments of `vxn network ls`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print names only.
    #[arg(short, long)]
    quiet: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

/// Lists the networks.
pub fn list(args: &ListArgs, networks: &Networks) -> anyhow::Result<ExitCode> {
    let all = networks.list()?;
    if args.quiet {
        all.iter().for_each(|network| println!("{}", network.name));
    } else if args.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        println!("{}", table(&all));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(all: &[Network]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["NAME", "DRIVER", "BRIDGE", "SUBNET", "IPV6 SUBNET", "INTERNAL"]);
    for network in all {
        let internal = if network.internal { "yes" } else { "no" };
        let subnet6 = network.subnet6.map(|net| net.to_string()).unwrap_or_default();
        let subnet = network.subnet.to_string();
        let (name, bridge) = (network.name.as_str(), network.bridge.as_str());
        table.add_row([name, "bridge", bridge, &subnet, &subnet6, internal]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table
}

/// Shows the networks that there are; each that is not is named.
pub fn inspect(names: &[String], networks: &Networks) -> anyhow::Result<ExitCode> {
    let state = networks.state()?;
    let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for name in names {
        match networks.find(name) {
            Ok(network) => {
                let leases: Vec<&Lease> = state.on(name).collect();
                found.push(object(&network, &leases));
            }
            Err(e) => code = Failure::from(anyhow::Error::from(e)).print(1),
        }
    }
    println!("{}", serde_json::to_string_pretty(&found)?);
    Ok(code)
}

/// A network with docker's names for its parts.
fn object(network: &Network, leases: &[&Lease]) -> Value {
    let created = jiff::Timestamp::from_second(i64::try_from(network.created).unwrap_or(0));
    let config: Vec<Value> = network
        .gateways()
        .map(|gateway| json!({"Subnet": gateway.trunc(), "Gateway": gateway.addr()}))
        .collect();
    let address = |lease: &Lease, v4: bool| -> Option<IpNet> {
        lease.addresses.iter().find(|net| net.addr().is_ipv4() == v4).copied()
    };
    let containers: BTreeMap<&str, Value> = leases
        .iter()
        .map(|lease| {
            let id = lease.owner.id.rsplit(':').next().unwrap_or_default();
            let container = json!({
                "Name": lease.names.first().unwrap_or(&lease.owner.name),
                "MacAddress": lease.mac,
                "IPv4Address": address(lease, true),
                "IPv6Address": address(lease, false),
                "Ports": lease.forwards.iter().map(ToString::to_string).collect::<Vec<_>>(),
            });
            (id, container)
        })
        .collect();
    json!({
        "Name": network.name,
        "Created": created.map(|time| time.to_string()).unwrap_or_default(),
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv6": network.subnet6.is_some(),
        "IPAM": {"Driver": "default", "Config": config},
        "Internal": network.internal,
        "Containers": containers,
        "Options": {
            "com.docker.network.bridge.name": network.bridge,
            "com.docker.network.driver.mtu": network.mtu,
        },
        "Labels": network.labels,
    })
}
