//! `vxn port`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::engine::Engine;
use crate::config::Settings;
use crate::container::network::Held;
use crate::network::{Forward, Protocol, Publish};

/// List the published ports of a container that runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn port web\n  vxn port web 80\n  vxn port web 53/udp")]
pub struct PortArgs {
    /// Name or id.
    container: String,
    /// Only where this port of the container is reached.
    #[arg(value_name = "PORT[/tcp|udp]", value_parser = one)]
    port: Option<(u16, Protocol)>,
}

/// Lists ports, or the places where one of them is reached.
pub fn run(args: &PortArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("port", settings)?;
    let definition = engine.store.find(&args.container)?;
    let held = Held::load(&engine.run)?;
    let forwards = held.forwards(&definition.id);
    let text = match args.port {
        None => forwards.iter().map(|forward| format!("{forward}\n")).collect(),
        Some(port) => reached(&forwards, port),
    };
    if let (Some((port, protocol)), true) = (args.port, text.is_empty()) {
        bail!("no public port {port}/{protocol} is published for container {}", definition.name);
    }
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn reached(forwards: &[Forward], (port, protocol): (u16, Protocol)) -> String {
    let this = |forward: &&Forward| (forward.container, forward.protocol) == (port, protocol);
    forwards.iter().filter(this).map(|forward| format!("{}\n", forward.published())).collect()
}

fn one(text: &str) -> Result<(u16, Protocol), String> {
    match Publish::parse_exposed(text)?[..] {
        [port] => Ok(port),
        _ => Err("one port at a time".to_owned()),
    }
}

/// A container's ports as `ps` shows them.
pub fn summary(forwards: &[Forward]) -> String {
    let one = |f: &Forward| format!("{}->{}/{}", f.published(), f.container, f.protocol);
    forwards.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(ip: Option<&str>, host: u16, container: u16, protocol: Protocol) -> Forward {
        Forward { ip: ip.map(|ip| ip.parse().unwrap()), host, container, protocol }
    }

    #[test]
    fn ports_are_shown_as_docker_shows_them() {
        let all = [
            forward(None, 8080, 80, Protocol::Tcp),
            forward(Some("127.0.0.1"), 8081, 80, Protocol::Tcp),
            forward(Some("fd00::1"), 53, 80, Protocol::Udp),
        ];
        assert_eq!(
            summary(&all),
            "0.0.0.0:8080->80/tcp, 127.0.0.1:8081->80/tcp, [fd00::1]:53->80/udp"
        );
        assert_eq!(reached(&all, one("80").unwrap()), "0.0.0.0:8080\n127.0.0.1:8081\n");
        assert_eq!(reached(&all, one("80/udp").unwrap()), "[fd00::1]:53\n");
        assert_eq!(all[0].to_string(), "80/tcp -> 0.0.0.0:8080");
        assert!(one("80-81").is_err() && one("80/sctp").is_err() && one("0").is_err());
    }
}
