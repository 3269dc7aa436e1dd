//! `vxn network create`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use ipnet::IpNet;

use super::super::failure::Hint;
use crate::network::{Networks, NewNetwork};

/// docker's names of the options that mean something here.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
const MTU: [&str; 2] = ["com.docker.network.driver.mtu", "mtu"];

/// Arguments of `vxn network create`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn network create backend\n  \
    vxn network create --subnet 192.168.77.0/24 --subnet fd77::/64 --internal vault\n  \
    vxn run --rm --network backend --name db postgres")]
pub struct CreateArgs {
    /// Name of the network.
    #[arg(value_name = "NETWORK")]
    name: String,
    /// Kind of network: bridge.
    #[arg(short, long, default_value = "bridge", value_parser = ["bridge"])]
    driver: String,
    /// Range of its addresses, one of IPv4, one of IPv6; free ones are taken
    /// without it.
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<IpNet>,
    /// Dom0's IPv4 address on it; the first of the range without it.
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<Ipv4Addr>,
    /// Cut it off from everything but Dom0.
    #[arg(long)]
    internal: bool,
    /// IPv6 addresses, which every network has.
    #[arg(long)]
    ipv6: bool,
    /// Label it.
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Option of docker's bridge driver: com.docker.network.bridge.name (the
    /// bridge, an existing one or a new one), com.docker.network.driver.mtu.
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
}

/// Makes the network and prints its name.
pub fn run(args: CreateArgs, networks: &Networks) -> anyhow::Result<ExitCode> {
    let mut new = NewNetwork {
        name: args.name,
        gateway: args.gateway,
        internal: args.internal,
        labels: labels(&args.label),
        ..NewNetwork::default()
    };
    for subnet in args.subnet {
        let twice = match subnet {
            IpNet::V4(net) => new.subnet.replace(net).is_some(),
            IpNet::V6(net) => new.subnet6.replace(net).is_some(),
        };
        if twice {
            bail!("--subnet {subnet}: a network has one range of IPv4 and one of IPv6");
        }
    }
    args.opt.iter().try_for_each(|option| set(&mut new, option))?;
    println!("{}", networks.create(new)?.name);
    Ok(ExitCode::SUCCESS)
}

fn labels(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.iter().map(pair).collect()
}

fn set(new: &mut NewNetwork, option: &str) -> anyhow::Result<()> {
    match option.split_once('=') {
        Some((BRIDGE_NAME, value)) => new.bridge = Some(value.to_owned()),
        Some((key, value)) if MTU.contains(&key) => {
            let mtu = value.parse().ok().filter(|mtu| (1280..=65535).contains(mtu));
            let mtu = mtu.with_context(|| format!("--opt {option}: not from 1280 to 65535"))?;
            new.mtu = Some(mtu);
        }
        _ => {
            return Err(anyhow::anyhow!("--opt {option}: there is no such option here"))
                .context(Hint(format!("there are {BRIDGE_NAME}= and {}=", MTU[0])));
        }
    }
    Ok(())
}
